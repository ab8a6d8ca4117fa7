import StrictInput

/// How batches travelled, as tables: for each run one of the steps, and one of the links.
struct PropagationTable {
    let runs: [RunResult]

    /// As a terminal shows it; empty if nothing is known.
    var text: String {
        runs.compactMap { run in
            guard let propagation = run.propagation else { return nil }
            let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
            let title =
                "propagation, \(shards), \(decimal(run.setup.cross_share * 100, 0)) % cross: ms after the PRE-PREPARE "
                + "of \(propagation.batches) batches left"
            let rows = Self.rows(propagation)
            // To the left, in a column that is aligned to the right.
            let until = "until".padding(to: rows.first?[0].count ?? 0)
            let steps = title + "\n" + TextTable.aligned([[until] + Self.header] + rows)
            let links =
                "from host to host, ms, p50 / p99 (\(Self.source(propagation)))\n"
                + TextTable.aligned(Self.matrix(propagation))
            return steps + "\n\n" + links
        }.joined(separator: "\n\n")
    }

    private static let header = ["count", "p50", "p90", "p99", "p99.9", "max"]

    static func rows(_ propagation: RunResult.Propagation) -> [[String]] {
        let names = propagation.steps.map { $0.step.words(propagation) }
        let width = names.map(\.count).max() ?? 0
        return zip(names, propagation.steps).map { name, step in
            [name.padding(to: width), "\(step.count)"]
                + [step.p50_us, step.p90_us, step.p99_us, step.p999_us, step.max_us].map(milliseconds)
        }
    }

    /// Rows send, columns read.
    static func matrix(_ propagation: RunResult.Propagation) -> [[String]] {
        let hosts = 0..<propagation.hosts
        return [["from \\ to"] + hosts.map { "host \($0)" }]
            + hosts.map { from in
                ["host \(from)"] + hosts.map { cell(propagation.cell(from: from, to: $0)) }
            }
    }

    private static func cell(_ link: RunResult.Propagation.Link?) -> String {
        guard let link else { return "-" }
        let mark = link.message == .prePrepare ? "" : "*"
        return "\(milliseconds(link.p50_us)) / \(milliseconds(link.p99_us))\(mark)"
    }

    /// What the cells are measured from, and how well clocks are known.
    static func source(_ propagation: RunResult.Propagation) -> String {
        let clocks =
            propagation.clock_error_us == 0
            ? "one clock" : "clocks known to ±\(milliseconds(propagation.clock_error_us)) ms each"
        return "PRE-PREPARE; * PREPARE, where a host led no shard; \(clocks)"
    }

    static func milliseconds(_ us: Double) -> String { decimal(us / 1000, us < 1000 ? 3 : 2) }
}
