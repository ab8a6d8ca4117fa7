import Foundation
import StrictInput

extension BenchComparison {
    /// One object on one line.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Printable.json(String(decoding: try encoder.encode(self), as: UTF8.self))
    }

    private static let header = ["", "figure", "A", "B", "B / A", "runs", "what the runs show"]

    private var cells: [[String]] {
        rows.flatMap { row in
            row.figures.enumerated().map { i, figure in
                [
                    i == 0 ? row.name + (row.is_invalid ? " (invalid)" : "") : "", figure.title, figure.text(figure.a),
                    figure.text(figure.b), figure.ratio.map { decimal($0, 3) } ?? "-", "\(row.runs_a), \(row.runs_b)",
                    figure.words(row.runs_a, row.runs_b),
                ]
            }
        }
    }

    /// What holds of all rows: differences in how they were made first.
    private var remarks: [String] {
        var out = differences.map {
            "differs: \($0.key): A \($0.a.isEmpty ? "not said" : $0.a), B \($0.b.isEmpty ? "not said" : $0.b)"
        }
        out += only_a.map { "only in A: \($0)" } + only_b.map { "only in B: \($0)" }
        if rows.contains(where: \.is_invalid) { out.append("INVALID runs are among those compared") }
        return out
    }

    /// How often chance alone would be taken for a difference.
    private var chance: String {
        let tests = rows.flatMap(\.figures).count { $0.verdict != .tooFewRuns }
        guard tests > 1 else { return "" }
        return
            "\(tests) figures were tested at \(HTML.number(FigureComparison.level * 100)) % each: of \(tests) that do not differ, \(HTML.number(Double(tests) * FigureComparison.level)) would seem to on average"
    }

    /// As a terminal shows it.
    public func table() -> String {
        var parts = ["A  \(a)\nB  \(b)"]
        if !remarks.isEmpty { parts.append(remarks.joined(separator: "\n")) }
        if !rows.isEmpty {
            // Text to the left, in columns that are aligned to the right.
            var lines = [Self.header] + cells
            for column in [0, 1, 6] {
                let width = lines.map { $0[column].count }.max() ?? 0
                for i in lines.indices { lines[i][column] = lines[i][column].padding(to: width) }
            }
            parts.append(TextTable.aligned(lines))
        }
        parts.append(sentence)
        if !chance.isEmpty { parts.append(chance) }
        return Printable.lines(parts.joined(separator: "\n\n"))
    }

    /// In a sentence.
    var sentence: String {
        let figures = rows.flatMap(\.figures)
        let (better, worse) = (figures.count { $0.verdict == .better }, figures.count { $0.verdict == .worse })
        if rows.isEmpty { return "The two reports have no run in common." }
        if better + worse == 0 {
            return figures.contains { $0.verdict == .notShown }
                ? "No difference is shown." : "Too few runs: whether they differ cannot be said."
        }
        return "B is better in \(better) and worse in \(worse) of \(figures.count) figures, and that is no chance."
    }

    /// One line a figure.
    public func csv() -> String {
        var lines = ["setup,figure,a,b,ratio,runs_a,runs_b,p,verdict"]
        for row in rows {
            for figure in row.figures {
                let fields = [
                    row.name, figure.figure, "\(figure.a)", "\(figure.b)", figure.ratio.map { "\($0)" } ?? "",
                    "\(row.runs_a)", "\(row.runs_b)", figure.p.map { "\($0)" } ?? "", figure.verdict.rawValue,
                ]
                lines.append(fields.map(CSV.quoted).joined(separator: ","))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A page that needs no other file.
    public func page(made: Provenance) -> String {
        var body = "<h1>Two benches</h1>\n<p class=\"headline\">\(Markup.escape(sentence))</p>\n"
        body += HTML.list([("A", Markup.escape(a)), ("B", Markup.escape(b))])
        if !remarks.isEmpty {
            body +=
                "<div class=\"card wide\"><h2>To be known first</h2><ul class=\"notes\">"
                + remarks.map { "<li>\(Markup.escape($0))</li>" }.joined() + "</ul></div>\n"
        }
        body += "<div class=\"cards\">\n"
        for figure in ["throughput_tps", "intra_p50_us", "intra_p99_us", "cross_p50_us", "cross_p99_us"] {
            body += card(figure)
        }
        body += "</div>\n<div class=\"card wide\"><h2>All figures</h2>"
        body += HTML.table(
            [["set-up"] + Self.header.dropFirst()] + cells, caption: "Medians of the runs", text: [0, 1, 6])
        body += chance.isEmpty ? "</div>\n" : "<p class=\"muted\">\(Markup.escape(chance))</p></div>\n"
        body += "<div class=\"card wide\"><h2>Environment</h2>\(HTML.facts(of: made))</div>\n"
        return HTML.page(title: "Two benches", css: StackedBars.css, body: body)
    }

    /// Both sides over the rows.
    private func card(_ name: String) -> String {
        let shown = rows.enumerated().compactMap { i, row in
            row.figures.first { $0.figure == name }.map { (place: Double(i), row: row, figure: $0) }
        }
        guard let first = shown.first else { return "" }
        let unit = name == "throughput_tps" ? 1.0 : 1000
        func series(
            _ label: String, _ style: String, _ marker: Chart.Marker, _ aside: Double,
            _ value: KeyPath<FigureComparison, Double>, _ range: KeyPath<FigureComparison, [Double]>
        ) -> Chart.Series {
            Chart.Series(
                name: label, points: shown.map { ($0.place + aside, $0.figure[keyPath: value] / unit) },
                style: style, marker: marker, isJoined: false,
                intervals: shown.map {
                    let ends = $0.figure[keyPath: range]
                    return ends.count == 2 && ends[0] < ends[1] ? ends[0] / unit...ends[1] / unit : nil
                },
                flags: shown.map {
                    $0.row.is_invalid ? RunFlag(word: "invalid", why: $0.row.name, sign: "✕", isBad: true) : nil
                })
        }
        var chart = Chart(
            title: first.figure.title, xTitle: "set-up", yTitle: first.figure.title,
            xTicks: shown.enumerated().map { Chart.Tick(position: $1.place, label: "\($0 + 1)") },
            series: [
                series("A", "s0", .circle, -0.06, \.a, \.range_a), series("B", "s2", .square, 0.06, \.b, \.range_b),
            ])
        chart.summary = shown.enumerated().map { "\($0 + 1): \($1.row.name)" }.prefix(12).joined(separator: "; ")
        let table =
            [["set-up", "A", "B", "B / A"]]
            + shown.map {
                [
                    $0.row.name, $0.figure.text($0.figure.a), $0.figure.text($0.figure.b),
                    $0.figure.ratio.map { decimal($0, 3) } ?? "-",
                ]
            }
        return ChartCard(chart: chart, note: "Medians; bars go from the lowest run to the highest", table: table).html()
    }

    /// Writes `report.json`, `report.csv` and `report.html`.
    /// - Returns: the folder, which is another one if there is a report in this one by now.
    public func write(to folder: ReportFolder, made: Provenance) throws -> String {
        try folder.write([
            ("report.json", try json() + "\n"), ("report.csv", csv()), ("report.html", page(made: made)),
        ])
    }
}
