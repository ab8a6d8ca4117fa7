import StrictInput

/// Which runs are not valid, how open loads were offered, what repeated runs and searches for a knee came to, as the
/// page shows it.
struct LoadSection {
    let report: BenchReport

    /// Empty if there is nothing of it.
    func html() -> String {
        let table = LoadTable(report: report)
        var out = ""
        if !table.invalidLines.isEmpty {
            out += "<section class=\"card wide\"><h2>Not valid</h2>\n"
            for line in table.invalidLines { out += "<p class=\"bad\">\(Markup.escape(line))</p>\n" }
            out += "</section>\n"
        }
        out += card(
            "Open loop", LoadTable.header, table.rows,
            note:
                "Requests begin at moments that are fixed beforehand, and latency counts from these. Lag: how late the load's own process began them"
        )
        out += card("Repeated runs", LoadTable.repeatHeader, table.repeatRows, note: "Medians; \(table.repeatNote)")
        let knees = table.kneeLines.joined(separator: ". ")
        return out + card("Knee", LoadTable.kneeHeader, table.kneeRows, note: knees)
    }

    private func card(_ title: String, _ header: [String], _ rows: [[String]], note: String) -> String {
        guard !rows.isEmpty else { return "" }
        func line(_ tag: String, _ cells: [String]) -> String {
            "<tr>" + cells.map { "<\(tag)>\(Markup.escape($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return
            "<section class=\"card wide\"><h2>\(title)</h2><p class=\"muted\">\(Markup.escape(note))</p><table>\n"
            + line("th", header) + rows.map { line("td", $0) }.joined() + "</table></section>\n"
    }
}
