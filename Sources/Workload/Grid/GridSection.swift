import StrictInput

/// The cells of a grid, as the page shows them.
struct GridSection {
    let runs: [RunResult]

    /// Empty if the runs are of no grid.
    func html() -> String {
        let summary = GridSummary(runs: runs)
        guard !summary.rows.isEmpty else { return "" }
        let table = summary.table
        var out =
            "<div class=\"card wide\"><h2>Grid</h2><p class=\"muted\">A row for each combination, with the medians of its runs. Every round measured each of them once, in an order drawn anew, so that what drifts on the machine is in all of them</p><table>\n"
        for (i, cells) in table.enumerated() {
            let tag = i == 0 ? "th" : "td"
            out += "<tr>" + cells.map { "<\(tag)>\(Markup.escape($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return out + "</table></div>\n"
    }
}
