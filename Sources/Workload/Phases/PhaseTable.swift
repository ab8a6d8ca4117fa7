/// Where the time goes, as tables: one a run, a line a phase.
struct PhaseTable {
    let runs: [RunResult]

    /// As a terminal shows it; empty if no request was traced.
    var text: String {
        runs.compactMap { run in
            guard let phases = run.phases, phases.intra_count + phases.cross_count > 0 else { return nil }
            let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
            let title =
                "where the time goes, \(shards), \(decimal(run.setup.cross_share * 100, 0)) % cross: ms by phase, of "
                + "\(phases.intra_count) intra and \(phases.cross_count) cross requests"
            return title + "\n" + TextTable.aligned([Self.header] + Self.rows(phases))
        }.joined(separator: "\n\n")
    }

    private static let width = Phase.allCases.map(\.rawValue.count).max() ?? 0
    private static let header = ["phase".padding(to: width), "intra p50", "p90", "p99", "cross p50", "p90", "p99"]

    static func rows(_ phases: RunResult.Phases) -> [[String]] {
        Phase.allCases.compactMap { phase in
            let (intra, cross) = (phases.intra.first { $0.phase == phase }, phases.cross.first { $0.phase == phase })
            guard intra != nil || cross != nil else { return nil }
            // To the left, in a column that is aligned to the right.
            let name = phase.rawValue.padding(to: width)
            return [name] + cells(intra) + cells(cross)
        }
    }

    /// The same for a page.
    static func page(_ phases: RunResult.Phases) -> [[String]] {
        [["phase", "intra p50", "p90", "p99", "cross p50", "p90", "p99"]]
            + rows(phases).map { row in [String(row[0].prefix { $0 != " " })] + row.dropFirst() }
    }

    private static func cells(_ figures: RunResult.Phases.Figures?) -> [String] {
        guard let figures else { return ["-", "-", "-"] }
        return [figures.p50_us, figures.p90_us, figures.p99_us].map { decimal($0 / 1000, 2) }
    }
}

extension String {
    func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
