extension RunResult {
    /// Where the time of requests goes: percentiles by phase, over the requests that were traced.
    public struct Phases: Codable, Sendable, Equatable {
        /// One phase over many requests, in microseconds.
        public struct Figures: Codable, Sendable, Equatable {
            /// As `Phase` has it.
            public var phase: Phase
            /// Requests of which it is known.
            public var count: Int
            /// The median.
            public var p50_us: Double
            /// Nine of ten took no longer.
            public var p90_us: Double
            /// 99 of 100 took no longer.
            public var p99_us: Double
            /// The arithmetic mean: those of the phases add up to that of the total where all are known.
            public var mean_us: Double

            /// Nil if nothing is known of it.
            init?(_ phase: Phase, nanoseconds: [UInt64]) {
                guard !nanoseconds.isEmpty else { return nil }
                let sorted = nanoseconds.sorted()
                /// The smallest that so many percent are not above.
                func at(_ percent: Double) -> Double {
                    let rank = Int((Double(sorted.count) * percent / 100).rounded(.up))
                    return Double(sorted[max(0, rank - 1)]) / 1000
                }
                (self.phase, count) = (phase, sorted.count)
                (p50_us, p90_us, p99_us) = (at(50), at(90), at(99))
                mean_us = sorted.reduce(0) { $0 + Double($1) } / 1000 / Double(sorted.count)
            }
        }

        /// The share of requests that were traced, 0 to 1.
        public var rate: Double
        /// Requests of one shard that are in the figures.
        public var intra_count: Int
        /// Those of several.
        public var cross_count: Int
        /// In the order of `Phase`.
        public var intra: [Figures]
        /// The same of requests over several shards, each by its slowest one.
        public var cross: [Figures]

        /// - Parameters:
        ///   - traces: of requests whose client has verified the outcome.
        ///   - quorum: how many replicas make a certificate.
        public init(_ traces: [RequestTrace], rate: Double, quorum: Int) {
            let times = traces.map { PhaseTimes($0, quorum: quorum) }
            func figures(_ times: [PhaseTimes]) -> [Figures] {
                Phase.allCases.compactMap { phase in
                    Figures(phase, nanoseconds: times.compactMap { $0[phase] })
                }
            }
            self.rate = rate
            let (cross, intra) = (times.filter(\.isCross), times.filter { !$0.isCross })
            (intra_count, cross_count) = (intra.count, cross.count)
            (self.intra, self.cross) = (figures(intra), figures(cross))
        }
    }
}
