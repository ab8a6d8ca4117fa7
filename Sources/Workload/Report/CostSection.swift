import StrictInput

/// What a committed transfer cost, as the page shows it.
struct CostSection {
    let runs: [RunResult]
    let palette: Palette

    /// Empty if no run was sampled.
    func html() -> String {
        let rows = CostTable(runs: runs).rows
        guard !rows.isEmpty else { return "" }
        var out =
            "<section class=\"card wide\"><h2>Costs</h2><p class=\"muted\">Per committed transfer after the warm-up, over all processes of a kind. The load is the process of the bench: clients that sign and verify. A dash: a process was started or ended meanwhile, or did not answer</p><table>\n"
        out += row("th", CostTable.header)
        for (run, cells) in zip(runs, rows) { out += row("td", cells, chip: palette.style(run.shards)) }
        return out + "</table></section>\n" + kinds()
    }

    private func row(_ tag: String, _ cells: [String], chip: String? = nil) -> String {
        let first = chip.map { "<i class=\"chip \($0)\"></i>" } ?? ""
        return "<tr>"
            + cells.enumerated().map { "<\(tag)>\($0.offset == 0 ? first : "")\(Markup.escape($0.element))</\(tag)>" }
            .joined() + "</tr>\n"
    }

    /// One column a run, so that runs can be compared.
    private func kinds() -> String {
        let sampled = runs.filter { $0.costs?.by_kind != nil }
        let kinds = Set(sampled.flatMap { ($0.costs?.by_kind ?? [:]).keys }).sorted()
        guard !kinds.isEmpty else { return "" }
        var out =
            "<section class=\"card wide\"><h2>Messages</h2><p class=\"muted\">Per committed transfer: messages, and bytes of their frames before TLS</p><table>\n<tr><th class=\"text\">kind</th>"
        for run in sampled {
            let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
            let name = "\(shards), \(decimal(run.setup.cross_share * 100, 0)) %"
            out += "<th><i class=\"chip \(palette.style(run.shards))\"></i>\(name)</th><th>bytes</th>"
        }
        out += "</tr>\n"
        for kind in kinds {
            out += "<tr><td class=\"text\">\(Markup.escape(kind))</td>"
            for run in sampled {
                let sent = run.costs?.by_kind?[kind]
                out += "<td>\(CostTable.text(sent?.messages, 2))</td><td>\(CostTable.text(sent?.bytes, 0))</td>"
            }
            out += "</tr>\n"
        }
        return out + "</table></section>\n"
    }
}
