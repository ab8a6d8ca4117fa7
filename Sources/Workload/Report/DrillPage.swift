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

    /// The page's heading.
    public var title: String
    /// What was asked for, in one sentence.
    public var subtitle: String
    /// When, by what and on what the drill was run.
    public var made: Provenance
    /// What the clients got.
    public var facts: [(count: Int, label: String)]
    /// Of all replicas at the end.
    public var invariants: RunResult.Invariants
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

    /// A page's parts as it shows them from top to bottom; texts are escaped when it is made.
    public init(
        title: String, subtitle: String, made: Provenance, facts: [(count: Int, label: String)],
        invariants: RunResult.Invariants,
        problems: [String], findings: String, comparisons: [Comparison], timeline: RunResult.Timeline?,
        events: [RunResult.Event]
    ) {
        (self.title, self.subtitle, self.made, self.facts) = (title, subtitle, made, facts)
        (self.invariants, self.problems, self.findings) = (invariants, problems, findings)
        (self.comparisons, self.timeline, self.events) = (comparisons, timeline, events)
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
            + verdict(invariants.allHold, "hold", "invariants, all replicas") + "</div>\n"
        let wrong = problems + invariants.problems
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
        body +=
            "<section class=\"card wide\"><p class=\"muted\">docs/DRILLS.md says what the figures mean.</p></section>\n"
        return HTML.page(title: title, subtitle: subtitle, provenance: made, css: Palette(shards: [1]).css, body: body)
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
        let root = try JSONDecoder().decode(Flat.self, from: Data(json.utf8))
        var lines = ["figure,value"]
        root.add(to: &lines, name: "")
        return lines.joined(separator: "\n") + "\n"
    }

    private indirect enum Flat: Decodable {
        case value(String)
        case list([Flat])
        case object([String: Flat])

        init(from decoder: any Decoder) throws {
            if let object = try? [String: Flat](from: decoder) {
                self = .object(object)
            } else if let list = try? [Flat](from: decoder) {
                self = .list(list)
            } else {
                let container = try decoder.singleValueContainer()
                if container.decodeNil() {
                    self = .value("")
                } else if let flag = try? container.decode(Bool.self) {
                    self = .value("\(flag)")
                } else if let number = try? container.decode(Int64.self) {
                    self = .value("\(number)")
                } else if let number = try? container.decode(UInt64.self) {
                    self = .value("\(number)")
                } else if let number = try? container.decode(Double.self) {
                    self = .value("\(number)")
                } else {
                    self = .value(try container.decode(String.self))
                }
            }
        }

        func add(to lines: inout [String], name: String) {
            func child(_ part: String) -> String { name.isEmpty ? part : "\(name).\(part)" }
            switch self {
            case .value(let text): lines.append("\(CSV.quoted(name)),\(CSV.quoted(text))")
            case .list(let values): for (i, value) in values.enumerated() { value.add(to: &lines, name: child("\(i)")) }
            case .object(let members):
                for (key, value) in members.sorted(by: { $0.key < $1.key }) { value.add(to: &lines, name: child(key)) }
            }
        }
    }
}
