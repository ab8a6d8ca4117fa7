import Meter

extension RunResult {
    /// How long batches take to reach the replicas, to be executed there, and to be known to clients. Microseconds.
    public struct Propagation: Codable, Sendable, Equatable {
        /// One step over many batches.
        public struct Figures: Codable, Sendable, Equatable {
            /// Which.
            public var step: PropagationStep
            /// Batches of which it is known; of `client_knows` requests.
            public var count: UInt64
            /// The median.
            public var p50_us: Double
            /// Nine of ten took no longer.
            public var p90_us: Double
            /// 99 of 100 took no longer.
            public var p99_us: Double
            /// 999 of 1,000 took no longer.
            public var p999_us: Double
            /// The slowest, counted as 120 s at most.
            public var max_us: Double
        }

        /// From one host to another.
        public struct Link: Codable, Sendable, Equatable {
            /// The number of the host that sends.
            public var from: Int
            /// The number of the host that reads.
            public var to: Int
            /// What it is measured from.
            public var message: LinkDelay.Message
            /// Messages that were measured.
            public var count: UInt64
            /// The median.
            public var p50_us: Double
            /// 99 of 100 took no longer.
            public var p99_us: Double
            /// How wrong these may be, to either side, for what is known of the two clocks; 0 on one machine.
            public var error_us: Double
        }

        /// One second.
        public struct Second: Codable, Sendable, Equatable {
            /// Since the load began, warm-up included.
            public var at_s: Int
            /// Batches that were proposed in it.
            public var batches: UInt64
            /// Of PRE-PREPAREs, over all links; null if there were none.
            public var link_p50_us: Double?
            /// 99 of 100 took no longer.
            public var link_p99_us: Double?
            /// Until the last replica had the batch; null if that is known of none.
            public var last_p50_us: Double?
            /// Of 99 of 100 batches.
            public var last_p99_us: Double?
        }

        /// Hosts of the cluster: side of the matrix.
        public var hosts: Int
        /// Replicas of a shard.
        public var replicas: Int
        /// How many make `quorum_received`: 2f + 1, the primary among them.
        public var received_quorum: Int
        /// How many make `quorum_executed`: f + 1.
        public var executed_quorum: Int
        /// Batches in the figures.
        public var batches: UInt64
        /// Of these, those that some replica was not seen to receive or execute in time.
        public var incomplete: UInt64
        /// Batches that were left out because nobody said when they were proposed.
        public var without_start: UInt64
        /// Messages that seemed to arrive before they left, by more than zero, and count as zero.
        public var negative: UInt64
        /// How wrong the worst known of the hosts' clocks may be; 0 if all are of this machine.
        public var clock_error_us: Double
        /// In the order of `PropagationStep`, without those that are not known.
        public var steps: [Figures]
        /// Ascending by sender, receiver and message, without those over which nothing was measured.
        public var links: [Link]
        /// Ascending; at most an hour.
        public var over_time: [Second]

        /// The cell of the matrix: what primaries sent if there is any, as it carries the batches; otherwise PREPAREs.
        public func cell(from: Int, to: Int) -> Link? {
            let both = links.filter { $0.from == from && $0.to == to }
            return both.first { $0.message == .prePrepare } ?? both.first
        }
    }
}
