import StrictInput
extension SequenceDiagram {
    /// A picture that stands by itself, legible on light and on dark: lifelines, arrows coloured by the kind of
    /// message, lost ones dashed. Arrows slant as time does; distances down the page are steps, not time, and where the
    /// time jumps there is a mark that says how far. Below is a legend of what occurs.
    public func svg(title: String? = nil) -> String { SVGDrawing(self, title: title).document() }
}

/// One row below the other; see `SequenceDiagram.phases`.
private struct SVGDrawing {
    private let diagram: SequenceDiagram
    private let title: String?
    private let rows: [[SequenceDiagram.Step]]
    private let left = 126
    private let spacing: Int
    private let rowHeight = 34
    private let slant = 20
    private let top: Int
    /// By the row before which the time jumps.
    private let jumps: [Int: String]
    private let jumpHeight = 30
    private let legendRow = 22
    private var width: Int { left + spacing * diagram.columns.count + 8 }
    private var bottom: Int { top + rows.count * rowHeight + jumps.count * jumpHeight + 14 }

    init(_ diagram: SequenceDiagram, title: String?) {
        (self.diagram, self.title) = (diagram, title)
        rows = diagram.phases
        spacing = diagram.hosts <= 4 ? 168 : diagram.hosts <= 7 ? 132 : 112
        top = title == nil ? 52 : 84
        jumps = SequenceDiagram.jumps(rows)
    }

    /// Where a row's arrows begin.
    private func y(_ row: Int) -> Int { top + row * rowHeight + jumps.keys.count { $0 <= row } * jumpHeight + 8 }

    func document() -> String {
        let legend = legend()
        let height = bottom + 30 + legend.rows * legendRow + 8
        var out = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img">
            <title>\(Markup.escape(title ?? "Sequence diagram"))</title>
            <style>\(Self.style)</style>
            <defs>
            """
        for kind in MessageKind.allCases {
            out += """

                <marker id="\(kind)" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto" \
                markerUnits="userSpaceOnUse">\
                <path class="head \(kind)" d="M0 0.5L8 4L0 7.5z"/></marker>
                """
        }
        out += "\n</defs>\n<rect class=\"page\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n"
        if let title { out += "<text class=\"title\" x=\"20\" y=\"32\">\(Markup.escape(title))</text>\n" }
        out +=
            "<text class=\"time\" x=\"\(left - 46)\" y=\"\(top - 22)\">\(diagram.timeUnit.map { "time, \($0)" } ?? "time")</text>\n"
        for column in diagram.columns {
            out += "<rect class=\"box\" x=\"\(x(column) - 36)\" y=\"\(top - 40)\" width=\"72\" height=\"26\" rx=\"5\"/>"
            out += "<text class=\"name\" x=\"\(x(column))\" y=\"\(top - 22)\">\(SequenceDiagram.name(column))</text>\n"
        }
        out += lifelines()
        var (arrows, labels) = ("", "")
        var down = diagram.down
        for (number, row) in rows.enumerated() {
            let y = y(number)
            if let jump = jumps[number] { arrows += self.jump(jump, y - 20, down) }
            for step in row { step.follow(&down) }
            labels +=
                "<text class=\"time\" x=\"\(left - 46)\" y=\"\(y + 4)\">\(Markup.escape(row.first?.time ?? ""))</text>\n"
            for step in row { draw(step, isAlone: row.count == 1, y, &arrows, &labels) }
        }
        // Labels last: nothing is drawn over them.
        return out + arrows + labels + legend.text + "</svg>\n"
    }

    /// A line over all lifelines, which has a break where it crosses each.
    /// - Parameter down: hosts that have no lifeline there.
    private func jump(_ text: String, _ y: Int, _ down: Set<Int>) -> String {
        var out = "<g class=\"jump\"><title>\(Markup.escape(text)) pass here</title>"
        out += "<text class=\"time\" x=\"\(left - 46)\" y=\"\(y + 4)\">+ \(Markup.escape(text))</text>"
        out += "<path d=\"M\(left - 36) \(y)H\(width - 16)\"/>"
        for column in diagram.columns where !down.contains(column) {
            let x = x(column)
            out += "<path class=\"gap\" d=\"M\(x - 7) \(y + 6)L\(x + 7) \(y)V\(y - 6)L\(x - 7) \(y)Z\"/>"
            out += "<path class=\"cut\" d=\"M\(x - 8) \(y + 7)L\(x + 8) \(y)M\(x - 8) \(y)L\(x + 8) \(y - 7)\"/>"
        }
        return out + "</g>\n"
    }

    // MARK: Legend

    /// What occurs, and what it means.
    private func legend() -> (text: String, rows: Int) {
        var items: [(sample: (Int, Int) -> String, text: String)] = []
        let steps = rows.joined()
        var kinds: Set<MessageKind> = []
        var losesSome = false
        var places: (did: Bool, crash: Bool, start: Bool) = (false, false, false)
        for step in steps {
            switch step.event {
            case .message(_, _, let lost, let label):
                kinds.insert(MessageKind(label))
                if !lost.isEmpty { losesSome = true }
            case .mark:
                if step.isCrash {
                    places.crash = true
                } else if step.isStart {
                    places.start = true
                } else {
                    places.did = true
                }
            case .note: break
            }
        }
        for kind in MessageKind.allCases where kinds.contains(kind) {
            items.append(
                (
                    { x, y in
                        "<circle class=\"head \(kind)\" cx=\"\(x + 3)\" cy=\"\(y)\" r=\"3\"/><line class=\"arrow \(kind)\" x1=\"\(x + 3)\" y1=\"\(y)\" "
                            + "x2=\"\(x + 28)\" y2=\"\(y)\" marker-end=\"url(#\(kind))\"/>"
                    }, kind.meaning
                ))
        }
        if losesSome {
            items.append(
                (
                    { x, y in
                        "<line class=\"arrow lost request\" x1=\"\(x)\" y1=\"\(y)\" x2=\"\(x + 24)\" y2=\"\(y)\"/>"
                            + "<path class=\"gone\" d=\"M\(x + 20) \(y - 4)L\(x + 28) \(y + 4)M\(x + 20) \(y + 4)L\(x + 28) \(y - 4)\"/>"
                    }, "lost"
                ))
        }
        if places.did {
            items.append(
                ({ "<circle class=\"mark\" cx=\"\($0 + 14)\" cy=\"\($1)\" r=\"4.5\"/>" }, "does something by itself"))
        }
        if places.crash {
            items.append(
                (
                    { x, y in
                        "<path class=\"crash\" d=\"M\(x + 7) \(y - 7)L\(x + 21) \(y + 7)M\(x + 7) \(y + 7)L\(x + 21) \(y - 7)\"/>"
                    }, "loses power"
                ))
        }
        if places.start {
            items.append(({ "<circle class=\"start\" cx=\"\($0 + 14)\" cy=\"\($1)\" r=\"4.5\"/>" }, "starts again"))
        }
        if !jumps.isEmpty {
            items.append(
                (
                    { x, y in
                        "<g class=\"jump\"><path d=\"M\(x) \(y)H\(x + 28)\"/><path class=\"cut\" d=\"M\(x + 6) \(y + 7)L\(x + 22) \(y)M\(x + 6) \(y)L\(x + 22) \(y - 7)\"/></g>"
                    }, "much more time passes than between other rows"
                ))
        }
        var (x, row) = (20, 0)
        var out =
            "<text class=\"caption\" x=\"20\" y=\"\(bottom + 22)\">Simulated time; distances down the page are steps, not time.</text>\n"
        for (sample, text) in items {
            let length = 38 + text.count * 6 + 22
            if x > 20, x + length > width - 8 { (x, row) = (20, row + 1) }
            let y = bottom + 44 + row * legendRow
            out += sample(x, y) + "<text class=\"key\" x=\"\(x + 38)\" y=\"\(y + 4)\">\(Markup.escape(text))</text>\n"
            x += length
        }
        return (out, row + 1)
    }

    private func x(_ column: Int) -> Int { left + spacing * (column + 1) }

    // MARK: Lifelines

    private func lifelines() -> String {
        var out = ""
        var begun: [Int: Int] = [:]
        func end(_ column: Int, _ y: Int) {
            guard let start = begun.removeValue(forKey: column) else { return }
            out += "<line class=\"life\" x1=\"\(x(column))\" x2=\"\(x(column))\" y1=\"\(start)\" y2=\"\(y)\"/>\n"
        }
        for column in diagram.columns where !diagram.down.contains(column) { begun[column] = top - 14 }
        for (number, row) in rows.enumerated() {
            let y = y(number)
            for step in row {
                guard let column = step.column else { continue }
                if step.isCrash { end(column, y) }
                if step.isStart, begun[column] == nil { begun[column] = y }
            }
        }
        for column in diagram.columns { end(column, bottom) }
        return out
    }

    // MARK: Steps

    private func draw(
        _ step: SequenceDiagram.Step, isAlone: Bool, _ y: Int, _ arrows: inout String, _ labels: inout String
    ) {
        switch step.event {
        case .message(let from, let to, let lost, let label):
            let kind = MessageKind(label)
            for target in to { arrows += arrow(from: from, to: target, isLost: lost.contains(target), kind, y, label) }
            arrows += "<circle class=\"head \(kind)\" cx=\"\(x(from))\" cy=\"\(y)\" r=\"3\"/>\n"
            // Above the line's beginning and at the sender's right, where no other sender's label is.
            labels +=
                "<text class=\"label \(kind)\" x=\"\(x(from) + 8)\" y=\"\(y - 3)\">\(Markup.escape(short(label)))</text>\n"
        case .mark(let column, let what):
            guard diagram.columns.contains(column) else { return }
            let x = x(column)
            if step.isCrash {
                arrows +=
                    "<path class=\"crash\" d=\"M\(x - 7) \(y - 7)L\(x + 7) \(y + 7)M\(x - 7) \(y + 7)L\(x + 7) \(y - 7)\"/>\n"
            } else {
                arrows += "<circle class=\"\(step.isStart ? "start" : "mark")\" cx=\"\(x)\" cy=\"\(y)\" r=\"4.5\"/>\n"
            }
            labels +=
                "<text class=\"did\(step.isCrash ? " bad" : "")\" x=\"\(x + 11)\" y=\"\(y + 4)\">\(Markup.escape(isAlone ? what : short(what)))</text>\n"
        case .note(let what):
            arrows +=
                "<rect class=\"band\" x=\"\(left - 36)\" y=\"\(y - 10)\" width=\"\(width - left + 20)\" height=\"20\" rx=\"4\"/>\n"
            labels += "<text class=\"note\" x=\"\(left - 26)\" y=\"\(y + 4)\">\(Markup.escape(what))</text>\n"
        }
    }

    private func arrow(from: Int, to: Int, isLost: Bool, _ kind: MessageKind, _ y: Int, _ label: String) -> String {
        let (x1, x2) = (x(from), x(to))
        let tip =
            "<title>\(Markup.escape("\(SequenceDiagram.name(from)) to \(SequenceDiagram.name(to)): \(label)\(isLost ? " (lost)" : "")"))</title>"
        guard isLost else {
            return "<line class=\"arrow \(kind)\" x1=\"\(x1)\" y1=\"\(y)\" x2=\"\(x2)\" y2=\"\(y + slant)\" "
                + "marker-end=\"url(#\(kind))\">\(tip)</line>\n"
        }
        // It ends shortly before its receiver.
        let (dx, dy) = (x2 > x1 ? x2 - 26 : x2 + 26, y + slant - slant * 26 / max(26, abs(x2 - x1)))
        return "<line class=\"arrow lost \(kind)\" x1=\"\(x1)\" y1=\"\(y)\" x2=\"\(dx)\" y2=\"\(dy)\">\(tip)</line>"
            + "<path class=\"gone\" d=\"M\(dx - 4) \(dy - 4)L\(dx + 4) \(dy + 4)M\(dx - 4) \(dy + 4)L\(dx + 4) \(dy - 4)\"/>\n"
    }

    /// What fits between two columns: digests stay in the tooltip.
    private func short(_ label: String) -> String {
        let words = label.split(separator: " ").filter { !Self.isDetail($0) }
        let text = words.joined(separator: " ") as String
        let limit = (spacing - 20) / 6
        return text.count <= limit ? text : String(text.prefix(max(1, limit - 1))) + "…"
    }

    private static func isDetail(_ word: Substring) -> Bool {
        (word.count == 8 && word.allSatisfy(\.isHexDigit)) || (word.first == "(" && word.last == ")")
    }

    private static let style = """

        .page{fill:#fff}.box{fill:#f1f3f6;stroke:#c8ced6}.life{stroke:#c3c9d1;stroke-width:1.5}
        text{font:12px ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1c2128}
        .title{font-size:16px;font-weight:600}.name{text-anchor:middle;font-weight:600}
        .time{text-anchor:end;fill:#6a737d;font-size:11px;font-variant-numeric:tabular-nums}
        .label,.did{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
        .caption,.key{font-size:11px;fill:#57606a}.jump path{fill:none;stroke:#8c959f;stroke-width:1.5;stroke-dasharray:2 4}
        .jump .gap{fill:#fff;stroke:none}.jump .cut{stroke-dasharray:none}.jump .time{font-style:italic}
        .did{fill:#57606a}.note{font-size:11px;font-style:italic}.band{fill:#f6f0d8}
        .arrow{stroke-width:1.4;fill:none}.lost{stroke-dasharray:5 4;opacity:.75}.gone,.crash{stroke:#cf222e;stroke-width:2;fill:none}
        .crash{stroke-width:3}.bad{fill:#cf222e;font-weight:600}.mark{fill:#57606a}.start{fill:#2da44e}
        line.request{stroke:#57606a}.head.request,text.request{fill:#57606a}
        line.preprepare{stroke:#0969da}.head.preprepare,text.preprepare{fill:#0969da}
        line.prepare{stroke:#0b8494}.head.prepare,text.prepare{fill:#0b8494}line.commit{stroke:#1a7f37}.head.commit,text.commit{fill:#1a7f37}
        line.viewchange{stroke:#bc4c00}.head.viewchange,text.viewchange{fill:#bc4c00}
        line.checkpoint{stroke:#8250df}.head.checkpoint,text.checkpoint{fill:#8250df}
        line.push{stroke:#bf3989}.head.push,text.push{fill:#bf3989}line.repair{stroke:#7d5e00}.head.repair,text.repair{fill:#7d5e00}
        @media(prefers-color-scheme:dark){.page{fill:#0f141a}.box{fill:#1d242d;stroke:#3a444f}.life{stroke:#3f4954}text{fill:#e6edf3}
        .time{fill:#8b949e}.label,.did{stroke:#0f141a}.did,.mark{fill:#a3adb8}.band{fill:#2f2a17}.gone,.crash{stroke:#ff7b72}
        .bad{fill:#ff7b72}.start{fill:#56d364}.caption,.key{fill:#a3adb8}.jump path{stroke:#6e7681}.jump .gap{fill:#0f141a}
        line.request{stroke:#a3adb8}.head.request,text.request{fill:#a3adb8}
        line.preprepare{stroke:#58a6ff}.head.preprepare,text.preprepare{fill:#58a6ff}
        line.prepare{stroke:#39c5cf}.head.prepare,text.prepare{fill:#39c5cf}line.commit{stroke:#56d364}.head.commit,text.commit{fill:#56d364}
        line.viewchange{stroke:#ffa657}.head.viewchange,text.viewchange{fill:#ffa657}
        line.checkpoint{stroke:#bc8cff}.head.checkpoint,text.checkpoint{fill:#bc8cff}
        line.push{stroke:#f778ba}.head.push,text.push{fill:#f778ba}line.repair{stroke:#d4a72c}.head.repair,text.repair{fill:#d4a72c}}

        """
}

/// What a message is for, which gives its colour.
private enum MessageKind: String, CaseIterable, CustomStringConvertible {
    case request, preprepare, prepare, commit, viewchange, checkpoint, push, repair

    var description: String { rawValue }

    /// In the legend.
    var meaning: String {
        switch self {
        case .request: "request, vote for the client"
        case .preprepare: "PRE-PREPARE"
        case .prepare: "PREPARE"
        case .commit: "COMMIT"
        case .viewchange: "change of view"
        case .checkpoint: "CHECKPOINT"
        case .push: "PUSH between shards"
        case .repair: "repair and catch-up"
        }
    }

    init(_ label: String) {
        let words = label.split(separator: " ")
        switch words.first(where: { $0.allSatisfy { $0.isUppercase || $0 == "-" } && $0.count > 2 }) {
        case "PRE-PREPARE": self = .preprepare
        case "PREPARE": self = .prepare
        case "COMMIT": self = .commit
        case "VIEW-CHANGE", "NEW-VIEW", "SUSPECT": self = .viewchange
        case "CHECKPOINT": self = .checkpoint
        case "PUSH": self = .push
        case "REQUEST", "ATTESTATION", "REFUSED", "FORWARD": self = .request
        case nil: self = .request
        default: self = .repair
        }
    }
}
