/// Finds the highest rate that is borne: doubles it until one is not, then halves what lies between, as a share of the
/// rate. No I/O: its owner measures.
public struct KneeSearch: Sendable {
    /// What was measured at one rate.
    public struct Step: Codable, Sendable, Equatable {
        /// Operations a second that were offered.
        public var rate_tps: Double
        /// Operations a second that were committed.
        public var throughput_tps: Double
        /// The slower one of the two kinds, intra-shard and cross-shard.
        public var p99_ms: Double
        /// Whether it was borne.
        public var is_met: Bool
        /// Why it was not; empty if it was.
        public var reasons: [String]

        /// - Parameter reasons: why the rate was not borne; empty if it was.
        public init(rate: Double, throughput: Double, p99Milliseconds: Double, reasons: [String]) {
            (rate_tps, throughput_tps, p99_ms) = (rate, throughput, p99Milliseconds)
            (self.reasons, is_met) = (reasons, reasons.isEmpty)
        }

        /// - Parameters:
        ///   - run: of an open loop.
        ///   - limit: of the 99th percentile, milliseconds.
        public init(_ run: RunResult, limit: Double) {
            (rate_tps, throughput_tps) = (run.load?.rate_tps ?? 0, run.throughput_tps)
            p99_ms = Double(max(run.intra.p99_us, run.cross.p99_us)) / 1000
            reasons = run.validity?.reasons ?? []
            if p99_ms > limit { reasons.append("p99 is above \(decimal(limit, 0)) ms") }
            if run.committed == 0, run.validity == nil { reasons.append("nothing was committed") }
            is_met = reasons.isEmpty
        }
    }

    /// Rates are so near each other at the end: the lowest that is not borne, as a share of the highest that is.
    public static let resolution = 1.05
    /// Rates that are tried at most.
    public static let maxSteps = 16
    /// No lower one is tried: operations a second.
    public static let lowest = 1.0

    private var borne: Double?
    private var notBorne: Double?
    private let start: Double
    /// In the order in which they were measured.
    public private(set) var steps: [Step] = []

    /// - Parameter start: the first rate, operations a second.
    public init(start: Double) {
        precondition(start > 0)
        self.start = start
    }

    /// The rate to be measured next; nil if the knee is found, or there is none.
    public var next: Double? {
        guard steps.count < Self.maxSteps else { return nil }
        switch (borne, notBorne) {
        case (nil, nil): return start
        case (let low?, nil): return low * 2
        case (nil, let high?): return high / 2 < Self.lowest ? nil : high / 2
        case (let low?, let high?): return high / low <= Self.resolution ? nil : (low * high).squareRoot()
        }
    }

    /// Takes over what was measured at `next`.
    public mutating func record(_ step: Step, at rate: Double) {
        steps.append(step)
        if step.is_met { borne = max(borne ?? rate, rate) } else { notBorne = min(notBorne ?? rate, rate) }
    }

    /// The highest rate that was borne; nil if none was.
    public var knee: Double? { borne }
}

/// Where a combination's throughput ends.
public struct Knee: Codable, Sendable, Equatable {
    /// Of the cluster.
    public var shards: Int
    /// Null as it falls out of the workload.
    public var cross_shard_percent: Int?
    /// What the 99th percentile was held against, milliseconds.
    public var p99_limit_ms: Double
    /// The highest rate that was borne, operations a second; null if none was.
    public var rate_tps: Double?
    /// The lowest rate that was not; null if all were.
    public var not_met_tps: Double?
    /// What was measured, in this order.
    public var steps: [KneeSearch.Step]

    /// - Parameter limit: of the 99th percentile, milliseconds.
    public init(_ search: KneeSearch, shards: Int, crossShardPercent: Int?, limit: Double) {
        (self.shards, cross_shard_percent, p99_limit_ms) = (shards, crossShardPercent, limit)
        rate_tps = search.knee
        not_met_tps = search.steps.filter { !$0.is_met }.map(\.rate_tps).min()
        steps = search.steps
    }

    /// Why it is there: of the lowest rate that was not borne.
    public var reasons: [String] { steps.filter { !$0.is_met }.min { $0.rate_tps < $1.rate_tps }?.reasons ?? [] }
}
