extension ReportSection {
    /// The cells of a grid.
    static let grid = ReportSection(id: "grid", title: "Grid") { context in
        let summary = GridSummary(runs: context.runs)
        guard !summary.rows.isEmpty else { return "" }
        let table = HTML.table(
            summary.table, caption: "A row for each combination, with the medians of its runs",
            text: Set(summary.axes.indices.dropFirst()))
        return """
            <div class="card wide"><h2>Grid</h2>\(table)<p class="muted">Every round measured each combination once, in an \
            order drawn anew, so that what drifts on the machine is in all of them</p></div>

            """
    }
}
