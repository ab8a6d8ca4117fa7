import StrictInput

/// A picture with its heading, what is to be seen in it, what is to be known of its runs, and its figures as a table.
struct ChartCard {
    var chart: Chart
    /// Markup before the heading's text.
    var chip = ""
    var note = ""
    /// Markup: the flags of the runs that are in the picture.
    var badges = ""
    /// Its first row is the header. Empty: the chart's own.
    var table: [[String]] = []

    func html() -> String {
        var out = "<figure class=\"card\"><figcaption><h2>\(chip)\(Markup.escape(chart.title))</h2>"
        if !chart.summary.isEmpty { out += "<p>\(Markup.escape(chart.summary))</p>" }
        if !note.isEmpty { out += "<p class=\"muted\">\(Markup.escape(note))</p>" }
        out += badges + "</figcaption>\(chart.legend())\(chart.html())"
        let rows = table.isEmpty ? chart.table : table
        if rows.count > 1 { out += HTML.figures(HTML.table(rows, caption: chart.title)) }
        return out + "</figure>\n"
    }
}

extension Chart {
    /// A line for each place on the horizontal axis, a column for each series.
    var table: [[String]] {
        let shown = series.filter { !$0.points.isEmpty }
        let places = Set(shown.flatMap { $0.points.map(\.x) }).sorted()
        guard !places.isEmpty else { return [] }
        // More lines than anybody reads are no table.
        let step = max(1, (places.count + 59) / 60)
        let rows = stride(from: 0, to: places.count, by: step).map { i -> [String] in
            let place = places[i]
            let name = xTicks.first { $0.position == place }?.label ?? HTML.number(place)
            return [name]
                + shown.map { line in
                    line.points.first { $0.x == place }.map { HTML.number($0.y) } ?? "-"
                }
        }
        return [[xTitle] + shown.map { $0.name == title ? yTitle : $0.name }] + rows
    }
}
