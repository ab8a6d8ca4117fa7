/// One figure of repeated runs, on two sides.
public struct FigureComparison: Codable, Sendable, Equatable {
    /// What the runs say of whether the two differ.
    public enum Verdict: String, Codable, Sendable {
        /// The second is better, and that is no chance.
        case better
        /// The second is worse, and that is no chance.
        case worse
        /// It may be chance.
        case notShown = "not_shown"
        /// So few runs cannot show anything.
        case tooFewRuns = "too_few_runs"
    }

    /// `throughput_tps`, `intra_p50_us` and so on.
    public var figure: String
    /// The median of the first's runs.
    public var a: Double
    /// The median of the second's runs.
    public var b: Double
    /// The second's by the first's; null if that is 0.
    public var ratio: Double?
    /// From the smallest of the first's runs to the largest.
    public var range_a: [Double]
    /// The same of the second.
    public var range_b: [Double]
    /// Of the Mann-Whitney U test, exact; null of one run each.
    public var p: Double?
    /// What `p` would be if no run of one side were as high as any of the other.
    public var smallest_p: Double?
    /// At `level`.
    public var verdict: Verdict

    /// What is called no chance: as rare as 1 in 20.
    public static let level = 0.05

    private init?(_ figure: Figure, _ these: [RunResult], _ those: [RunResult]) {
        let (one, other) = (these.compactMap(figure.value), those.compactMap(figure.value))
        guard let a = Statistics.median(one), let b = Statistics.median(other), let lowA = one.min(),
            let highA = one.max(), let lowB = other.min(), let highB = other.max()
        else { return nil }
        self.figure = figure.name
        (self.a, self.b, ratio) = (a, b, a == 0 ? nil : b / a)
        (range_a, range_b) = ([lowA, highA], [lowB, highB])
        guard one.count > 1 || other.count > 1, let test = RankTest(one, other) else {
            verdict = .tooFewRuns
            return
        }
        (p, smallest_p) = (test.p, test.smallestP)
        guard test.smallestP <= Self.level else {
            verdict = .tooFewRuns
            return
        }
        verdict = test.p > Self.level || a == b ? .notShown : (b > a) == figure.isMoreBetter ? .better : .worse
    }

    /// Those that both sides have.
    static func all(_ these: [RunResult], _ those: [RunResult]) -> [FigureComparison] {
        Figure.all.compactMap { FigureComparison($0, these, those) }
    }

    private struct Figure: Sendable {
        let name: String
        let isMoreBetter: Bool
        let value: @Sendable (RunResult) -> Double?

        static let all: [Figure] = [
            Figure(name: "throughput_tps", isMoreBetter: true) { $0.throughput_tps },
            Figure(name: "intra_p50_us", isMoreBetter: false) { $0.intra.count > 0 ? Double($0.intra.p50_us) : nil },
            Figure(name: "intra_p99_us", isMoreBetter: false) { $0.intra.count > 0 ? Double($0.intra.p99_us) : nil },
            Figure(name: "cross_p50_us", isMoreBetter: false) { $0.cross.count > 0 ? Double($0.cross.p50_us) : nil },
            Figure(name: "cross_p99_us", isMoreBetter: false) { $0.cross.count > 0 ? Double($0.cross.p99_us) : nil },
        ]
    }

    // MARK: Words

    /// `throughput / s`, `intra p50 ms`.
    var title: String {
        switch figure {
        case "throughput_tps": "committed / s"
        case "intra_p50_us": "intra p50 ms"
        case "intra_p99_us": "intra p99 ms"
        case "cross_p50_us": "cross p50 ms"
        default: "cross p99 ms"
        }
    }

    /// In the unit of `title`.
    func text(_ value: Double) -> String { figure == "throughput_tps" ? decimal(value, 0) : decimal(value / 1000, 2) }

    /// What is to be thought of it.
    func words(_ runsA: Int, _ runsB: Int) -> String {
        switch verdict {
        case .better: "B is better (p = \(HTML.number(p ?? 0)))"
        case .worse: "B is WORSE (p = \(HTML.number(p ?? 0)))"
        case .notShown: "no difference shown (p = \(HTML.number(p ?? 1)))"
        case .tooFewRuns:
            if runsA == 1, runsB == 1 {
                "one run each: nothing can be said"
            } else if let smallest_p {
                "too few runs: p cannot be below \(HTML.number(smallest_p))"
            } else {
                "too many runs to be counted"
            }
        }
    }
}
