import StrictInput

/// What became of each kind of a workload's transactions: a line a run and kind.
struct TransactionTable {
    let runs: [RunResult]

    static let header = [
        "shards", "cross", "transaction", "committed", "refused", "failed", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms",
    ]

    /// None if no run has kinds.
    var rows: [[String]] {
        runs.flatMap { run in
            (run.transactions?.kinds ?? []).enumerated().map { place, kind in
                let latency = kind.latency
                func ms(_ us: UInt64) -> String { latency.count == 0 ? "-" : decimal(Double(us) / 1000, 2) }
                return [
                    place == 0 ? "\(run.shards)" : "",
                    place == 0 ? "\(decimal(run.setup.cross_share * 100, 0)) %" : "", kind.name, "\(kind.committed)",
                    "\(kind.refused)", "\(kind.failed)", ms(latency.p50_us), ms(latency.p90_us), ms(latency.p99_us),
                    ms(latency.p999_us),
                ]
            }
        }
    }

    /// As a terminal shows it; empty if there is nothing to show.
    var text: String {
        let rows = rows
        guard !rows.isEmpty else { return "" }
        return "by kind of transaction, after the warm-up:\n" + TextTable.aligned([Self.header] + rows)
    }

    /// As the page shows it; empty if there is nothing to show.
    func html() -> String {
        let rows = rows
        guard !rows.isEmpty else { return "" }
        func line(_ tag: String, _ cells: [String]) -> String {
            "<tr>" + cells.map { "<\(tag)>\(Markup.escape($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        var out = "<section class=\"card wide\"><h2>Transactions</h2>"
        for run in runs {
            guard let transactions = run.transactions else { continue }
            let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
            let check = transactions.check.map { "; " + $0 } ?? ""
            out +=
                "<p class=\"muted\">\(Markup.escape("\(shards): \(transactions.deaths) attempts died and were tried again\(check)"))</p>"
        }
        out += "<table>\n" + line("th", Self.header)
        for row in rows { out += line("td", row) }
        return out + "</table></section>\n"
    }
}
