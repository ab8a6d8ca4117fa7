import Histogram
import Messages

/// One run of a bench: one cluster, one workload. The keys of its JSON are a promise: some may be added, none renamed.
public struct RunResult: Codable, Sendable, Equatable {
    /// Latencies in microseconds, from first submit to verified receipt, of committed transfers.
    public struct Latency: Codable, Sendable, Equatable {
        public struct Point: Codable, Sendable, Equatable {
            /// 0 to 100.
            public var percentile: Double
            public var us: UInt64
        }
        public var count: UInt64
        public var p50_us: UInt64
        public var p90_us: UInt64
        public var p99_us: UInt64
        public var p999_us: UInt64
        public var max_us: UInt64
        public var mean_us: Double
        /// The distribution at growing resolution towards the tail.
        public var curve: [Point]

        public init(_ histogram: Histogram<UInt64>) {
            let some = histogram.totalCount > 0
            func at(_ percentile: Double) -> UInt64 { some ? histogram.valueAtPercentile(percentile) : 0 }
            count = histogram.totalCount
            (p50_us, p90_us, p99_us, p999_us) = (at(50), at(90), at(99), at(99.9))
            max_us = some ? histogram.max : 0
            mean_us = some ? histogram.mean : 0
            curve = []
            guard some else { return }
            // Four points for each halving of what is left, up to the percentile of a single value.
            for halving in 0..<24 {
                let step = 50.0 / Double(1 << halving)
                for i in 0..<4 {
                    let percentile = 100 - 2 * step + step * Double(i) / 4
                    curve.append(Point(percentile: percentile, us: at(percentile)))
                }
                if step / 100 * Double(count) < 1 { break }
            }
            curve.append(Point(percentile: 100, us: max_us))
        }
    }

    public struct Invariants: Codable, Sendable, Equatable {
        public var conservation: Bool
        public var replicas_agree: Bool
        public var no_locks: Bool
        /// Of the recorded history of transactions on lists; null where none was recorded.
        public var strictly_serializable: Bool?
        /// Nothing was ordered and pushed any more.
        public var at_rest = true
        /// From the end of the load to the last batch that was ordered or record that was pushed; null if that went on.
        public var came_to_rest_s: Double?
        /// What was found wrong; empty if all hold.
        public var problems: [String]
        public var allHold: Bool {
            conservation && replicas_agree && no_locks && at_rest && strictly_serializable != false
        }

        public init(conservation: Bool, replicasAgree: Bool, noLocks: Bool, problems: [String]) {
            (self.conservation, replicas_agree, no_locks, self.problems) = (
                conservation, replicasAgree, noLocks, problems
            )
        }
    }

    /// Transactions on lists, of which every call and every answer was noted, and what the checker made of them.
    public struct History: Codable, Sendable, Equatable {
        public var transactions: Int
        public var committed: Int
        /// Certified to have no effect.
        public var failed: Int
        /// Of these: an older transaction was in the way.
        public var died: Int
        /// They may have happened or not.
        public var unknown: Int
        public var lists: Int
        /// Lists that could not be read once more at the end.
        public var unread_lists: Int
        /// It ended before the load did, at the limit of what is recorded.
        public var is_full: Bool
        public var check_s: Double
        public var file: String?

        public init(
            transactions: Int, committed: Int, failed: Int, died: Int, unknown: Int, lists: Int, unreadLists: Int,
            isFull: Bool,
            checkSeconds: Double, file: String?
        ) {
            (self.transactions, self.committed, self.failed, self.died) = (transactions, committed, failed, died)
            (self.unknown, self.lists, unread_lists) = (unknown, lists, unreadLists)
            (is_full, check_s, self.file) = (isFull, checkSeconds, file)
        }
    }

    public struct Retries: Codable, Sendable, Equatable {
        /// By the client: the same signed bytes again.
        public var resent: Int
        /// By the client: a new attempt after a certified abort without a record.
        public var new_attempts: Int
        /// By gateways; of these, after a conflict.
        public var gateway: Int
        public var gateway_conflicts: Int
        public var rejections: [String: Int]
        public var connection_failures: Int
        public var invalid_receipts: Int

        public init<Source>(_ counters: RequestEngine<Source>.Counters) {
            (resent, new_attempts) = (counters.resent, counters.newAttempts)
            (gateway, gateway_conflicts) = (counters.gatewayRetries, counters.gatewayConflicts)
            (connection_failures, invalid_receipts) = (counters.connectionFailures, counters.invalidReceipts)
            rejections = [:]
            for reason in GatewayRejection.allCases where counters.rejections[Int(reason.rawValue) - 1] > 0 {
                rejections["\(reason)"] = counters.rejections[Int(reason.rawValue) - 1]
            }
        }
    }

    public struct Timeline: Codable, Sendable, Equatable {
        public var interval_ms: Int
        /// Commits in each interval since the start, warm-up included.
        public var committed: [Int]
        /// The longest time between two commits.
        public var max_gap_ms: Double
        public init(_ measurements: Measurements) {
            interval_ms = Int(Measurements.timelineInterval / 1_000_000)
            committed = measurements.timeline
            max_gap_ms = Double(measurements.maxGapNanoseconds) / 1e6
        }
    }

    /// Something that was done to the cluster during the run.
    public struct Event: Codable, Sendable, Equatable {
        public var at_s: Double
        public var what: String
        public init(atSeconds: Double, what: String) { (at_s, self.what) = (atSeconds, what) }
    }

    /// What was asked for.
    public struct Setup: Codable, Sendable, Equatable {
        public var shards: Int
        public var replicas: Int
        public var gateways: Int
        public var clients: Int
        public var durability: String
        public var workload: String
        public var rows: Int
        public var accounts: Int
        public var seed: UInt64
        /// Null: as it falls out of the workload.
        public var cross_shard_percent: Int?
        /// The share of rows that do cross shards, 0 to 1.
        public var cross_share: Double
        /// Null: every account has a key of its own.
        public var principals: Int?
        public var bundle: Int
        public var warmup_s: Double

        public init(
            shards: Int, replicas: Int, gateways: Int, clients: Int, durability: String, workload: String, rows: Int,
            accounts: Int, seed: UInt64, crossShardPercent: Int?, crossShare: Double, principals: Int?, bundle: Int,
            warmupSeconds: Double
        ) {
            (self.shards, self.replicas, self.gateways, self.clients) = (shards, replicas, gateways, clients)
            (self.durability, self.workload, self.rows, self.accounts) = (durability, workload, rows, accounts)
            (self.seed, cross_shard_percent, cross_share) = (seed, crossShardPercent, crossShare)
            (self.principals, self.bundle, warmup_s) = (principals, bundle, warmupSeconds)
        }
    }

    public var shards: Int
    public var replicas: Int
    public var clients: Int
    public var durability: String
    public var committed: Int
    public var aborted: Int
    public var throughput_tps: Double
    public var intra: Latency
    public var cross: Latency
    public var invariants: Invariants
    public var setup: Setup
    public var elapsed_s: Double
    public var funding_s: Double
    public var aborts: [String: Int]
    /// Transfers, or transactions on lists, without a certified outcome.
    public var unknown: Int
    public var retries: Retries
    /// Works (signed requests) in flight on average; below `clients` where rows had to wait for each other.
    public var in_flight_mean: Double
    public var timeline: Timeline
    public var events: [Event]
    /// Asked for, at a time at which the load had ended.
    public var missed_events: [Event] = []
    /// Null where none was recorded.
    public var history: History?

    public init(
        setup: Setup, measurements: Measurements, retries: Retries, meanInFlight: Double, fundingSeconds: Double,
        invariants: Invariants, events: [Event], history: History? = nil
    ) {
        (shards, replicas, clients, durability) = (setup.shards, setup.replicas, setup.clients, setup.durability)
        (committed, aborted, unknown) = (measurements.committed, measurements.aborted, measurements.unknown)
        throughput_tps = measurements.throughput
        (intra, cross) = (Latency(measurements.intra), Latency(measurements.cross))
        (self.setup, self.invariants, self.events, self.history) = (setup, invariants, events, history)
        (elapsed_s, funding_s) = (measurements.elapsedSeconds, fundingSeconds)
        aborts = [:]
        for reason in AbortReason.allCases where measurements.aborts[Int(reason.rawValue) - 1] > 0 {
            aborts["\(reason)"] = measurements.aborts[Int(reason.rawValue) - 1]
        }
        (self.retries, in_flight_mean, timeline) = (retries, meanInFlight, Timeline(measurements))
    }
}
