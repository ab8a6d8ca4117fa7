/// What a committed transfer cost, as rows of a table: a line a run.
struct CostTable {
    let runs: [RunResult]

    static let header = [
        "shards", "cross", "host CPU µs", "gateway CPU µs", "load CPU µs", "switches", "syncs", "records", "journal B",
        "messages", "bytes", "items/batch",
    ]

    /// None if no run was sampled. A dash stands for what is not known.
    var rows: [[String]] {
        guard runs.contains(where: { $0.costs != nil }) else { return [] }
        return runs.map { run in
            let costs = run.costs
            return [
                "\(run.shards)", "\(decimal(run.setup.cross_share * 100, 0)) %",
                Self.text(costs?.hosts?.cpu_us, 0), Self.text(costs?.gateways?.cpu_us, 0),
                Self.text(costs?.load?.cpu_us, 0), Self.text(costs?.switches, 1),
                Self.text(costs?.syncs, 2), Self.text(costs?.journal_records, 1), Self.text(costs?.journal_bytes, 0),
                Self.text(costs?.messages, 1), Self.text(costs?.message_bytes, 0), Self.text(costs?.batch_items, 1),
            ]
        }
    }

    /// As a terminal shows it; empty if there is nothing to show.
    var text: String {
        let rows = rows
        guard !rows.isEmpty else { return "" }
        return "per committed transfer, after the warm-up:\n" + TextTable.aligned([Self.header] + rows)
    }

    static func text(_ value: Double?, _ digits: Int) -> String { value.map { decimal($0, digits) } ?? "-" }
}

extension RunResult.Costs {
    /// Of threads of hosts and gateways; null if either is not known.
    var switches: Double? {
        guard let hosts = hosts?.switches, let gateways = gateways?.switches else { return nil }
        return hosts + gateways
    }
}

extension RunResult.Costs.Role {
    /// Of both kinds.
    var switches: Double? { voluntary_switches.flatMap { a in involuntary_switches.map { a + $0 } } }
}

package enum TextTable {
    /// Columns to the right, two spaces between them.
    package static func aligned(_ rows: [[String]]) -> String {
        guard let first = rows.first else { return "" }
        let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
