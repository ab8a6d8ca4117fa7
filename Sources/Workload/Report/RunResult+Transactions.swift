extension RunResult {
    /// What became of a workload's transactions, kind by kind, and what its own check found.
    public struct Transactions: Codable, Sendable, Equatable {
        /// Those of one kind. All counts are after the warm-up.
        public struct Kind: Codable, Sendable, Equatable {
            /// As the workload calls it: `send-payment`.
            public var name: String
            /// With verified certificates that they took effect.
            public var committed: Int
            /// The procedure itself said no, such as for want of money: certified to have no effect. Counted as aborted.
            public var refused: Int
            /// Certified to have no effect for any other reason. Counted as aborted.
            public var failed: Int
            /// Nothing was certified in time.
            public var unknown: Int
            /// Of the committed ones.
            public var latency: Latency

            /// What the load counted.
            public init(name: String, committed: Int, refused: Int, failed: Int, unknown: Int, latency: Latency) {
                (self.name, self.committed, self.refused) = (name, committed, refused)
                (self.failed, self.unknown, self.latency) = (failed, unknown, latency)
            }
        }

        /// In the workload's order; kinds that were never drawn are there too.
        public var kinds: [Kind]
        /// Attempts of calls that died for want of a lock and were tried again as old as the first; warm-up included.
        public var deaths: Int
        /// What the workload's check looked at, in a sentence; null where there was nothing to look at.
        public var check: String?
        /// Values that the check needed and could not read at the end; null if there were none.
        public var unread_values: Int?
        /// What was said of the first that failed and was not refused; null if there was none.
        public var first_failure: String?

        /// - Parameter deaths: of the whole load.
        public init(kinds: [Kind], deaths: Int, check: String?, firstFailure: String?) {
            (self.kinds, self.deaths, self.check, first_failure) = (kinds, deaths, check, firstFailure)
        }
    }
}

/// What a workload was told, as a part of `RunResult.Setup`. Keys that it does not have are left out.
public struct WorkloadParameters: Codable, Sendable, Equatable {
    /// `smallbank`, `ycsb-t`, `settlement`, `calls`, `procedures` or `transfers`.
    public var kind: String
    /// Where the workload comes from.
    public var source: String?
    /// `uniform`, `zipf:0.9` or `hot:1000:0.9`.
    public var skew: String?
    /// Weights by kind.
    public var mix: [String: Int]?
    /// Of SmallBank.
    public var customers: Int?
    /// Of SmallBank: `benchbase` or `basil`.
    public var preset: String?
    /// Of YCSB+T, or counters of calls.
    public var records: Int?
    /// How deep calls go.
    public var depth: Int?
    /// Transfers in one settlement.
    public var legs: Int?
    /// Shards of a settlement over several.
    public var participants: Int?
    /// Keys that sign.
    public var signers: Int?
    /// The file of the user's procedures.
    public var file: String?

    /// The rest is set afterwards.
    public init(kind: String, source: String? = nil, skew: Skew? = nil) {
        (self.kind, self.source, self.skew) = (kind, source, skew?.description)
    }
}
