import Histogram
import Messages

/// One run of a bench: one cluster, one workload. The keys of its JSON are a promise: some may be added, none renamed.
public struct RunResult: Codable, Sendable, Equatable {
    /// Latencies in microseconds, from first submit to verified receipt, of committed transfers. In an open loop from
    /// the moment that the first submit was meant for.
    public struct Latency: Codable, Sendable, Equatable {
        /// One point of the distribution.
        public struct Point: Codable, Sendable, Equatable {
            /// 0 to 100.
            public var percentile: Double
            /// Microseconds that so many percent are not above.
            public var us: UInt64
            /// How many values are not above it; null in reports from before it was noted.
            public var count: UInt64?
        }
        /// Commits that were measured.
        public var count: UInt64
        /// The median; 0 if nothing committed, as all that follow.
        public var p50_us: UInt64
        /// Nine of ten took no longer.
        public var p90_us: UInt64
        /// 99 of 100 took no longer.
        public var p99_us: UInt64
        /// 999 of 1,000 took no longer.
        public var p999_us: UInt64
        /// The slowest, counted as 120 s at most.
        public var max_us: UInt64
        /// The arithmetic mean, which few slow ones pull up.
        public var mean_us: Double
        /// The distribution at growing resolution towards the tail.
        public var curve: [Point]
        /// The standard deviation; null in reports from before it was noted.
        public var stddev_us: Double?
        /// All of it: an HdrHistogram of microseconds, V2, compressed, in base64; null if nothing committed.
        public var hdr: String?

        /// - Parameter histogram: of microseconds, three digits exact.
        public init(_ histogram: Histogram<UInt64>) {
            let some = histogram.totalCount > 0
            func at(_ percentile: Double) -> UInt64 { some ? histogram.valueAtPercentile(percentile) : 0 }
            count = histogram.totalCount
            (p50_us, p90_us, p99_us, p999_us) = (at(50), at(90), at(99), at(99.9))
            max_us = some ? histogram.max : 0
            mean_us = some ? histogram.mean : 0
            curve = []
            guard some else { return }
            (stddev_us, hdr) = (histogram.stdDeviation, HistogramLog.encoded(histogram))
            func point(_ percentile: Double, _ us: UInt64) -> Point {
                let share = histogram.percentileAtOrBelowValue(us) / 100
                return Point(percentile: percentile, us: us, count: UInt64((share * Double(count)).rounded()))
            }
            // Four points for each halving of what is left, up to the percentile of a single value.
            for halving in 0..<24 {
                let step = 50.0 / Double(1 << halving)
                for i in 0..<4 {
                    let percentile = 100 - 2 * step + step * Double(i) / 4
                    curve.append(point(percentile, at(percentile)))
                }
                if step / 100 * Double(count) < 1 { break }
            }
            curve.append(Point(percentile: 100, us: max_us, count: count))
        }
    }

    /// What every replica was asked for when the load was over, and whether it is as it must be.
    public struct Invariants: Codable, Sendable, Equatable {
        /// What is posted equals what was issued, and that equals what receipts prove, asset by asset.
        public var conservation: Bool
        /// All replicas that should be there answered, and those of a shard have one state and history.
        public var replicas_agree: Bool
        /// No transaction is undecided, and no money reserved, on any replica.
        public var no_locks: Bool
        /// Of the recorded history of transactions on lists; null where none was recorded, or it could not be told.
        public var strictly_serializable: Bool?
        /// What a workload left is what was certified of it; null where it has no such check, or not all
        /// could be read.
        public var workload_consistent: Bool?
        /// Nothing was ordered and pushed any more.
        public var at_rest = true
        /// From the end of the load to the last batch that was ordered or record that was pushed; null if that went on.
        public var came_to_rest_s: Double?
        /// What was found wrong; empty if all hold.
        public var problems: [String]
        /// All of them; a history that was not recorded counts as holding, and so does a check that there is not.
        public var allHold: Bool {
            conservation && replicas_agree && no_locks && at_rest && strictly_serializable != false
                && workload_consistent != false
        }

        /// Whether the cluster came to rest and the history held is set afterwards.
        public init(conservation: Bool, replicasAgree: Bool, noLocks: Bool, problems: [String]) {
            (self.conservation, replicas_agree, no_locks, self.problems) = (
                conservation, replicasAgree, noLocks, problems
            )
        }
    }

    /// Transactions of which every call and every answer was noted, and what the checker made of them.
    public struct History: Codable, Sendable, Equatable {
        /// Those with any outcome.
        public var transactions: Int
        /// Certified to have taken effect.
        public var committed: Int
        /// Certified to have no effect.
        public var failed: Int
        /// Of these: an older transaction was in the way.
        public var died: Int
        /// They may have happened or not.
        public var unknown: Int
        /// Lists that were in use at any time.
        public var lists: Int
        /// Lists that could not be read once more at the end.
        public var unread_lists: Int
        /// It ended before the load did, at the limit of what is recorded.
        public var is_full: Bool
        /// Seconds that the checker took.
        public var check_s: Double
        /// What `lists` and `unread_lists` count where it is something else: `accounts` or `keys`.
        public var things: String?
        /// True if too much was under way at once to tell whether it is strictly serializable; null otherwise.
        public var is_undecided: Bool?
        /// Where the history was written line by line; null where it was kept in memory.
        public var file: String?

        /// What the recorder and the checker counted.
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

    /// Repetitions and failures, by who made them.
    public struct Retries: Codable, Sendable, Equatable {
        /// By the client: the same signed bytes again.
        public var resent: Int
        /// By the client: a new attempt after a certified abort without a record, or of a call after a death.
        public var new_attempts: Int
        /// By gateways; of these, after a conflict.
        public var gateway: Int
        /// Those of `gateway` that followed a conflict.
        public var gateway_conflicts: Int
        /// Answers of gateways without an outcome, by reason; those that did not occur are left out.
        public var rejections: [String: Int]
        /// Requests that came back without an answer because their connection failed.
        public var connection_failures: Int
        /// Receipts that did not verify: a gateway lied, or is broken.
        public var invalid_receipts: Int

        /// - Parameter counters: of a load that has ended.
        public init<Source>(_ counters: RequestEngine<Source>.Counters) {
            (resent, new_attempts) = (counters.resent, counters.newAttempts + counters.deaths)
            (gateway, gateway_conflicts) = (counters.gatewayRetries, counters.gatewayConflicts)
            (connection_failures, invalid_receipts) = (counters.connectionFailures, counters.invalidReceipts)
            rejections = [:]
            for reason in GatewayRejection.allCases where counters.rejections[Int(reason.rawValue) - 1] > 0 {
                rejections["\(reason)"] = counters.rejections[Int(reason.rawValue) - 1]
            }
        }
    }

    /// Commits over time.
    public struct Timeline: Codable, Sendable, Equatable {
        /// Of one entry of `committed`.
        public var interval_ms: Int
        /// Commits in each interval since the start, warm-up included.
        public var committed: [Int]
        /// The longest time between two commits.
        public var max_gap_ms: Double
        /// When it began, in seconds since the load did, as `events` have it; null where there were no two commits.
        public var max_gap_at_s: Double?
        /// - Parameter measurements: of a load that has ended.
        public init(_ measurements: Measurements) {
            interval_ms = Int(Measurements.timelineInterval / 1_000_000)
            committed = measurements.timeline
            max_gap_ms = Double(measurements.maxGapNanoseconds) / 1e6
            max_gap_at_s = measurements.maxGapBegin.map { Double($0) / 1e9 }
        }
    }

    /// Something that was done to the cluster during the run.
    public struct Event: Codable, Sendable, Equatable {
        /// Seconds since the load began.
        public var at_s: Double
        /// In a few words: `kill -9 host 1`.
        public var what: String
        /// - Parameter atSeconds: since the load began.
        public init(atSeconds: Double, what: String) { (at_s, self.what) = (atSeconds, what) }

        private static let unasked = " ended unexpectedly"
        /// A process that ended by itself, and by no fault that was asked for.
        public static func ended(_ process: String, atSeconds: Double) -> Event {
            Event(atSeconds: atSeconds, what: process + unasked)
        }
        /// Whether it is one of these.
        public var isUnasked: Bool { what.hasSuffix(Self.unasked) }
    }

    /// What was asked for.
    public struct Setup: Codable, Sendable, Equatable {
        /// Shards of the cluster.
        public var shards: Int
        /// Of each shard, which is the number of hosts.
        public var replicas: Int
        /// Gateways at the start, over which the clients are spread.
        public var gateways: Int
        /// Signed requests in flight at most.
        public var clients: Int
        /// `strict`: all that is promised is synced before.
        public var durability: String
        /// The trace's file name, or what the built-in load is called.
        public var workload: String
        /// Rows of one pass of the trace; 0 for lists.
        public var rows: Int
        /// Accounts of the trace; 0 for lists.
        public var accounts: Int
        /// Of keys, mix, built-in rows and backoff.
        public var seed: UInt64
        /// Null: as it falls out of the workload.
        public var cross_shard_percent: Int?
        /// The share of rows that do cross shards, 0 to 1.
        public var cross_share: Double
        /// Null: every account has a key of its own.
        public var principals: Int?
        /// The largest number of transfers under one signature.
        public var bundle: Int
        /// Seconds at the beginning that are not measured.
        public var warmup_s: Double
        /// Whether clients and gateways spoke TLS 1.3; null in reports from before there was the choice: they did not.
        public var client_tls: Bool?
        /// True where no process ran, and time was simulated; null otherwise.
        public var simulated: Bool?
        /// The emulated network between the processes; null: the one that there was.
        public var network: String?
        /// What the workload was told; null for traces, lists and transfers without a skew of their own.
        public var parameters: WorkloadParameters?
        /// The name of the fault that was asked for; null where none was.
        public var fault: String?
        /// Operations a second of an open loop; null of a closed one, and of a search, whose result it is.
        public var rate_tps: Double?
        /// `poisson` or `constant`; null of a closed loop.
        public var arrivals: String?
        /// Seconds of load, all included; null: every row once.
        public var duration_s: Double?
        /// Seconds at the end that are not measured; null if there are none.
        public var cooldown_s: Double?
        /// True where all requests were signed before the load; null otherwise.
        public var presigned: Bool?
        /// Of each simulated machine; null where real processes ran, as the two that follow.
        public var cores: Int?
        /// Who shares a simulated machine: `apart` or `together`.
        public var placement: String?
        /// What the simulated costs are called.
        public var calibration: String?

        /// What the bench's options came to.
        public init(
            shards: Int, replicas: Int, gateways: Int, clients: Int, durability: String, workload: String, rows: Int,
            accounts: Int, seed: UInt64, crossShardPercent: Int?, crossShare: Double, principals: Int?, bundle: Int,
            warmupSeconds: Double, clientTLS: Bool? = nil
        ) {
            client_tls = clientTLS
            (self.shards, self.replicas, self.gateways, self.clients) = (shards, replicas, gateways, clients)
            (self.durability, self.workload, self.rows, self.accounts) = (durability, workload, rows, accounts)
            (self.seed, cross_shard_percent, cross_share) = (seed, crossShardPercent, crossShare)
            (self.principals, self.bundle, warmup_s) = (principals, bundle, warmupSeconds)
        }
    }

    /// Shards of the cluster, as in `setup`: runs of one bench differ in it.
    public var shards: Int
    /// Of each shard, as in `setup`.
    public var replicas: Int
    /// Signed requests in flight at most, as in `setup`.
    public var clients: Int
    /// `strict`, as in `setup`.
    public var durability: String
    /// Transfers, or transactions on lists, that took effect after the warm-up; of an open loop those that were meant
    /// for the time that is measured.
    public var committed: Int
    /// Those that certainly did not, after the warm-up.
    public var aborted: Int
    /// `committed` a second over `elapsed_s`; of an open loop what was committed within that time.
    public var throughput_tps: Double
    /// Of those that concern one shard.
    public var intra: Latency
    /// Of those that concern several.
    public var cross: Latency
    /// Of all replicas, when the load was over.
    public var invariants: Invariants
    /// What was asked for.
    public var setup: Setup
    /// Seconds from the end of the warm-up to the last outcome, or to the begin of the cool-down.
    public var elapsed_s: Double
    /// Seconds for opening and funding the accounts, before the load.
    public var funding_s: Double
    /// `aborted` by reason; reasons that did not occur are left out.
    public var aborts: [String: Int]
    /// Transfers, or transactions on lists, without a certified outcome.
    public var unknown: Int
    /// What was sent again, by whom and why; warm-up included.
    public var retries: Retries
    /// Works (signed requests) in flight on average; below `clients` where rows had to wait for each other.
    public var in_flight_mean: Double
    /// Commits over time, warm-up included.
    public var timeline: Timeline
    /// Faults that were injected, and gateways that ended by themselves.
    public var events: [Event]
    /// Asked for, at a time at which the load had ended.
    public var missed_events: [Event] = []
    /// Null where none was recorded.
    public var history: History?
    /// What it cost; null where it could not be sampled twice, after the warm-up and at the end.
    public var costs: Costs?
    /// Where the time of its requests went; null where none was traced.
    public var phases: Phases?
    /// How its batches travelled; null where no host said.
    public var propagation: Propagation?
    /// Which of the runs of its combination it is, from 1; null if these were not repeated.
    public var repetition: Int?
    /// How the load was offered; null in reports from before it was said.
    public var load: Load?
    /// Whether the figures say something of the cluster; null in reports from before it was said.
    public var validity: Validity?
    /// By kind, for workloads of several; null for transfers and lists.
    public var transactions: Transactions?
    /// The named fault; null where there was none.
    public var fault: Fault?
    /// Its place in a grid; null for a run by itself.
    public var grid: GridCell?
    /// Of a run in simulated time, with what it was simulated; null where real processes ran.
    public var simulation: Simulation?

    /// Takes over what the load's parts counted; `missed_events`, and what may be null, are set afterwards.
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
