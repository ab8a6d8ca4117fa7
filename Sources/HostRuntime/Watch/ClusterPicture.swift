import Messages

/// A cluster as the dashboard shows it: what hosts say of themselves, and what one gateway has seen. Nothing of it is
/// certified. docs/DASHBOARD.md has every field; names that end in `_ms` and `_us` are milliseconds and microseconds,
/// and moments are milliseconds since 1970 by the gateway's clock.
package struct ClusterPicture: Encodable, Sendable {
    /// One host.
    package struct Host: Encodable, Sendable {
        package var host: Int
        package var address: String
        package var answers: Bool
        package var since_ms: UInt64
        /// Why it does not answer; empty if it does.
        package var why: String
        package var round_trip_us: UInt64?
        package var shortest_round_trip_us: UInt64?
        package var clock_ahead_ms: Int64?
        package var view_changes: UInt64?
    }

    /// One shard, by the word of its replicas.
    package struct Shard: Encodable, Sendable {
        package var shard: Int
        /// Whether 2f + 1 replicas vote.
        package var commits: Bool
        package var since_ms: UInt64
        package var replicas: Int
        package var voting: Int
        package var needed: Int
        /// As f + 1 replicas have it at least.
        package var view: UInt64
        package var executed: UInt64
        /// The most that any replica has recorded.
        package var undecided: UInt32
        package var oldest_undecided_ms: UInt64
        /// What keeps replicas from voting, in words.
        package var why: [String]
    }

    /// One replica of a shard.
    package struct Replica: Encodable, Sendable {
        /// What it is in the view that it is in.
        package enum Role: String, Encodable, Sendable { case primary, backup, unknown }
        /// Whether it takes part in ordering.
        package enum Standing: String, Encodable, Sendable {
            case votes
            case changing_view
            case not_voting
            case halted
            case no_answer
        }
        package var shard: Int
        package var replica: Int
        package var host: Int
        package var role: Role
        package var standing: Standing
        /// More about the standing, in words; empty if there is nothing more.
        package var detail: String
        package var view: UInt64?
        package var executed: UInt64?
        package var stable: UInt64?
        package var flushed: UInt64?
        /// Batches behind what f + 1 replicas have executed.
        package var lag: UInt64?
        package var waiting: UInt32?
        package var undecided: UInt32?
        package var open: UInt32?
        package var oldest_undecided_ms: UInt64?
    }

    /// The gateway that made the picture.
    package struct Gateway: Encodable, Sendable {
        package struct Lane: Encodable, Sendable {
            package var shard: Int
            package var queued: Int
            package var in_flight: Int
            /// Its breaker is open: the shard has certified nothing for long, and requests for it are refused.
            package var breaker_open: Bool
        }
        package var queued: UInt64
        package var in_flight: UInt64
        package var backing_off: Int
        package var settling: Int
        /// Over several shards.
        package var undecided: Int
        package var completed: UInt64
        package var rejected: UInt64
        package var retransmissions: UInt64
        package var conflicts: UInt64
        package var lanes: [Lane]
    }

    /// How often something happened.
    package struct Reason: Encodable, Sendable, Equatable {
        package var reason: String
        /// For people.
        package var text: String
        package var last_minute: UInt64
        package var total: UInt64
    }

    /// What the gateway answered, a number a second.
    package struct Series: Encodable, Sendable {
        /// When the last second ended.
        package var end_ms: UInt64
        package var committed: [UInt32] = []
        package var aborted: [UInt32] = []
        package var refused: [UInt32] = []
        package var intra_p50_us: [UInt64?] = []
        package var intra_p99_us: [UInt64?] = []
        package var cross_p50_us: [UInt64?] = []
        package var cross_p99_us: [UInt64?] = []
    }

    /// Over the last ten seconds.
    package struct Latency: Encodable, Sendable, Equatable {
        package var count: UInt64
        package var p50_us: UInt64?
        package var p99_us: UInt64?
    }

    /// Between shards, over the last minute.
    package struct Traffic: Encodable, Sendable {
        package var seconds: Int
        /// Of rows and columns.
        package var labels: [String]
        package var cells: [[UInt64]]
    }

    /// A request over several shards without a decision, at this gateway.
    package struct Doubt: Encodable, Sendable {
        package var request: String
        package var age_ms: UInt64
        package var shards: [Int]
        /// That have certified something.
        package var voted: [Int]
        package var waits_for: [Int]
    }

    /// A request that was answered.
    package struct Recent: Encodable, Sendable {
        package var request: String
        package var ago_ms: UInt64
        package var latency_us: UInt64?
        package var shards: [Int]
        /// `committed`, or why it was aborted.
        package var outcome: String
        package var text: String
        /// Whether its waterfall can be asked for, for a while.
        package var traced: Bool
    }

    /// How batches travel between hosts.
    package struct Propagation: Encodable, Sendable, Equatable {
        /// From one host to another.
        package struct Link: Encodable, Sendable, Equatable {
            package var from: Int
            package var to: Int
            /// What it is measured from: `pre_prepare` or `prepare`.
            package var message: String
            package var count: UInt64
            package var p50_us: UInt64?
            package var p99_us: UInt64?
            /// How wrong these may be, to either side, for what is known of the two clocks.
            package var error_us: UInt64
        }
        /// Until a batch has come so far, since its PRE-PREPARE left.
        package struct Step: Encodable, Sendable, Equatable {
            /// As `PropagationStep` has it.
            package var step: String
            package var count: UInt64
            package var p50_us: UInt64?
            package var p99_us: UInt64?
        }
        package var seconds: Int
        /// One batch in so many.
        package var sampled_each: UInt64
        package var steps: [Step] = []
        package var links: [Link] = []
    }

    /// Undecided requests that are named.
    package static let maxDoubts = 20
    /// Of the format. Fields may be added without a new one.
    package static let schema = 1

    package var schema = ClusterPicture.schema
    package var at_ms: UInt64
    package var cluster: String
    package var hosts: [Host]
    package var shards: [Shard]
    package var replicas: [Replica]
    /// Nil while it stops.
    package var gateway: Gateway?
    package var intra: Latency
    package var cross: Latency
    package var series: Series
    package var aborts: [Reason]
    package var refusals: [Reason]
    package var traffic: Traffic
    package var doubts: [Doubt]
    package var records: [Record]
    /// Set by who looks again and again.
    package var propagation: Propagation?
    package var recent: [Recent]
    /// The share of requests that is traced.
    package var trace_rate: Double
    /// What is wrong with clocks, in words.
    package var problems: [String]
}
