import StrictInput
import Foundation

/// The report of a drill, in the form of a bench's.
public struct DrillPage: Sendable {
    /// One figure of several loads.
    public struct Comparison: Sendable {
        /// What the figures are, with their unit.
        public var title: String
        /// By load, in the order in which they are drawn; the bars are as long as the largest allows.
        public var figures: [(name: String, value: Double)]
        /// - Parameter figures: a load's name and its figure; what is below zero is drawn as nothing.
        public init(title: String, figures: [(name: String, value: Double)]) {
            (self.title, self.figures) = (title, figures)
        }
    }

    /// Figures over time.
    public struct Plot: Sendable {
        /// Points that are joined. Several lines of one name are one figure that began anew.
        public struct Line: Sendable {
            /// What is drawn.
            public var name: String
            /// Seconds since the load began, and the figure.
            public var points: [(x: Double, y: Double)]
            /// The colour's number, from 0; lines of one name have one.
            public var colour: Int
            /// - Parameter colour: from 0.
            public init(name: String, points: [(x: Double, y: Double)], colour: Int) {
                (self.name, self.points, self.colour) = (name, points, colour)
            }
        }
        /// The card's heading.
        public var title: String
        /// Of the vertical axis, with its unit.
        public var yTitle: String
        /// Drawn in this order.
        public var lines: [Line]
        /// Vertical lines, which are numbered.
        public var marks: [RunResult.Event]
        /// For figures of several sizes; those that are 0 are drawn at its foot.
        public var isLogarithmic: Bool

        /// - Parameter marks: listed below the plot.
        public init(
            title: String, yTitle: String, lines: [Line], marks: [RunResult.Event] = [], isLogarithmic: Bool = false
        ) {
            (self.title, self.yTitle, self.lines, self.marks) = (title, yTitle, lines, marks)
            self.isLogarithmic = isLogarithmic
        }
    }

    /// The page's heading.
    public var title: String
    /// What was asked for, in one sentence.
    public var subtitle: String
    /// When, by what and on what the drill was run.
    public var made: Provenance
    /// What the clients got.
    public var facts: [(count: Int, label: String)]
    /// Of all replicas at the end; nil if it did not come to that.
    public var invariants: RunResult.Invariants?
    /// What the cluster did not do and must.
    public var problems: [String]
    /// As a terminal shows them: columns under headers.
    public var findings: String
    /// A card each; empty if one load was all.
    public var comparisons: [Comparison]
    /// Nil where one load came after the other.
    public var timeline: RunResult.Timeline?
    /// Marked in the time line. Without one they are not shown.
    public var events: [RunResult.Event]
    /// Figures over time, below the time line.
    public var plots: [Plot]

    /// A page's parts as it shows them from top to bottom; texts are escaped when it is made.
    public init(
        title: String, subtitle: String, made: Provenance, facts: [(count: Int, label: String)],
        invariants: RunResult.Invariants?,
        problems: [String], findings: String, comparisons: [Comparison], timeline: RunResult.Timeline?,
        events: [RunResult.Event], plots: [Plot] = []
    ) {
        (self.title, self.subtitle, self.made, self.facts) = (title, subtitle, made, facts)
        (self.invariants, self.problems, self.findings) = (invariants, problems, findings)
        (self.comparisons, self.timeline, self.events, self.plots) = (comparisons, timeline, events, plots)
    }

    /// The page: HTML that needs no other file.
    public func text() -> String {
        func verdict(_ holds: Bool, _ good: String, _ label: String) -> String {
            "<div class=\"fact\"><b class=\"\(holds ? "good" : "bad")\">\(holds ? good : "FAILED")</b><span>\(label)</span></div>\n"
        }
        var body = "<div class=\"facts\">\n"
        for (count, label) in facts {
            body += "<div class=\"fact\"><b>\(HTML.grouped(count))</b><span>\(Markup.escape(label))</span></div>\n"
        }
        body +=
            verdict(problems.isEmpty, "passed", "drill")
            + (invariants.map { verdict($0.allHold, "hold", "invariants, all replicas") }
                ?? verdict(true, "not checked", "invariants")) + "</div>\n"
        let wrong = problems + (invariants?.problems ?? [])
        if !wrong.isEmpty {
            body +=
                "<section class=\"card wide\"><h2>What is wrong</h2>"
                + wrong.map { "<p class=\"bad\">\(Markup.escape($0))</p>" }.joined() + "</section>\n"
        }
        body += "<section class=\"card wide\"><h2>Findings</h2><pre>\(Markup.escape(findings))</pre></section>\n"
        if !comparisons.isEmpty { body += "<div class=\"cards\">\n" + comparisons.map(card).joined() + "</div>\n" }
        if let timeline, !timeline.committed.isEmpty {
            let chart = TimeLine(timeline, events: events).chart(title: "Time line", style: "k0")
            body +=
                "<div class=\"lines\"><section class=\"card\"><h2>Time line</h2><p class=\"muted\">Longest time without a commit: "
                + "\(decimal(timeline.max_gap_ms, 1)) ms</p>\(chart.html())</section></div>\n"
        }
        if !plots.isEmpty { body += "<div class=\"lines\">\n" + plots.map(card).joined() + "</div>\n" }
        body +=
            "<section class=\"card wide\"><p class=\"muted\">docs/DRILLS.md says what the figures mean.</p></section>\n"
        return HTML.page(
            title: title, subtitle: subtitle, provenance: made, css: Palette(shards: Array(0...colours)).css, body: body
        )
    }

    /// The highest colour's number.
    private var colours: Int { plots.flatMap { $0.lines.map(\.colour) }.max() ?? 0 }

    private func card(_ plot: Plot) -> String {
        let lines = plot.lines.filter { !$0.points.isEmpty }
        let end = lines.flatMap { $0.points.map(\.x) }.max() ?? 0
        let step = Chart.niceStep(max(end, 1) / 6)
        let series = lines.map { Chart.Series(name: $0.name, points: $0.points, style: "k\($0.colour)") }
        let chart = Chart(
            title: plot.title, xTitle: "seconds", yTitle: plot.yTitle,
            yAxis: plot.isLogarithmic ? .logarithmic : .linear,
            xTicks: stride(from: 0.0, through: end + step * 1e-6, by: step).map {
                Chart.Tick(position: $0, label: HTML.number($0))
            },
            series: series,
            marks: plot.marks.map { Chart.Tick(position: $0.at_s, label: "\(decimal($0.at_s, 1)) s: \($0.what)") },
            isWide: true)
        var named: Set<String> = []
        var legend = chart
        legend.series = series.filter { named.insert($0.name).inserted }
        return
            "<section class=\"card\"><h2>\(Markup.escape(plot.title))</h2>\(legend.legend())\(chart.html())</section>\n"
    }

    private func card(_ comparison: Comparison) -> String {
        let most = max(comparison.figures.map(\.value).max() ?? 0, 1e-9)
        let rows = comparison.figures.map { name, value in
            "<span>\(Markup.escape(name))</span><div><i class=\"k0\" style=\"width: \(HTML.number(max(0, value) / most * 100))%\"></i></div><b>\(decimal(value, value >= 1000 ? 0 : 1))</b>\n"
        }
        return
            "<section class=\"card\"><h2>\(Markup.escape(comparison.title))</h2><div class=\"bars\">\n\(rows.joined())</div></section>\n"
    }

    /// Any report as lines of a figure's name and its value: `load.committed,1234`.
    /// - Parameter json: one object.
    public static func csv(json: String) throws -> String {
        let root = try JSONDecoder().decode(FlatJSON.self, from: Data(json.utf8))
        let lines = root.members().map { "\(CSV.quoted($0.name)),\(CSV.quoted($0.value))" }
        return (["figure,value"] + lines).joined(separator: "\n") + "\n"
    }
}
