/// Who sent what to whom, one column a host and one for the clients. Made from an event log or a scenario; drawn as
/// text (`text`) or as SVG (`svg`).
public struct SequenceDiagram: Sendable, Equatable {
    /// A column: a host's number, or the clients.
    public static let client = -1

    /// What is drawn. Columns are hosts' numbers or `client`; `lost` are those of `to` that the message does not reach.
    public enum Event: Sendable, Equatable {
        case message(from: Int, to: [Int], lost: [Int], label: String)
        /// Something that one host or client does.
        case mark(at: Int, String)
        /// Something that concerns all.
        case note(String)
    }

    /// One event with its time. Steps at one time may share a row.
    public struct Step: Sendable, Equatable {
        /// As the log has it: `12.345` in milliseconds, or `12345 µs`.
        public let time: String
        /// What happens then.
        public let event: Event

        /// - Parameter time: as `time` has it. In another form it is shown all the same, and jumps of time are not.
        public init(time: String, _ event: Event) { (self.time, self.event) = (time, event) }

        /// A line of an event log: the time, two spaces, what happened. Nil for what has no time.
        /// - Parameter lost: hosts that a message of this line does not reach.
        public init?(line: String, lost: [Int] = []) {
            let trimmed = line.drop { $0 == " " }
            guard let gap = trimmed.firstRange(of: "  ") else { return nil }
            let rest = trimmed[gap.upperBound...].drop { $0 == " " }
            self.init(time: String(trimmed[..<gap.lowerBound]), Self.event(String(rest), lost: lost))
        }

        private static func event(_ text: String, lost: [Int]) -> Event {
            let words = text.split(separator: " ")
            guard words.count >= 2 else { return .note(text) }
            func column(_ word: Substring) -> Int? { word == "client" ? SequenceDiagram.client : Int(word) }
            func tail(_ count: Int) -> String { words.dropFirst(count).joined(separator: " ") }
            if words[1] == "->" || words[1] == "-x", let from = column(words[0]) {
                let to = words.dropFirst(2).prefix { column($0) != nil }.compactMap(column)
                return .message(from: from, to: to, lost: words[1] == "-x" ? to : lost, label: tail(2 + to.count))
            }
            if words[0] == "client" { return .mark(at: SequenceDiagram.client, tail(1)) }
            if words[0] == "host", let host = Int(words[1]) { return .mark(at: host, tail(2)) }
            if words[1] == "executes", let host = Int(words[0]) { return .mark(at: host, tail(1)) }
            return .note(text)
        }
    }

    /// How many columns there are beside the clients'.
    public let hosts: Int
    /// In the order of time.
    public private(set) var steps: [Step]
    /// Hosts that are down before the first step.
    public private(set) var down: Set<Int> = []

    /// - Parameter steps: in the order of time; columns in them are below `hosts`, or `client`.
    public init(hosts: Int, steps: [Step]) { (self.hosts, self.steps) = (hosts, steps) }

    /// Reads an event log, as `--trace` writes it.
    public init(hosts: Int, log: [String]) { self.init(hosts: hosts, steps: log.compactMap { Step(line: $0) }) }

    /// From the last so many messages on. STATUS, which repeats itself for ever, is left out.
    public func last(_ count: Int) -> SequenceDiagram {
        var copy = self
        copy.steps = steps.filter { !$0.isStatus }
        var messages = 0
        guard
            let start = copy.steps.lastIndex(where: {
                if case .message = $0.event { messages += 1 }
                return messages == count
            })
        else { return copy }
        for step in copy.steps[..<start] { step.follow(&copy.down) }
        copy.steps.removeFirst(start)
        return copy
    }

    /// Up to and with the first so many messages, and what happens before the next one.
    public func first(_ count: Int) -> SequenceDiagram {
        var copy = self
        var messages = 0
        if let end = steps.firstIndex(where: {
            if case .message = $0.event { messages += 1 }
            return messages > count
        }) {
            copy.steps.removeSubrange(end...)
        }
        return copy
    }

    /// The columns from left to right.
    var columns: [Int] { [Self.client] + (0..<hosts) }

    static func name(_ column: Int) -> String { column == client ? "client" : "host \(column)" }

    /// What happens at one moment to several hosts stands in one row: their executions, before what they send.
    var rows: [[Step]] {
        var rows: [[Step]] = []
        var start = 0
        while start < steps.count {
            let end = steps[start...].firstIndex { $0.time != steps[start].time } ?? steps.count
            let moment = Self.startsFirst(Array(steps[start..<end]))
            let earlier = moment.prefix { !$0.isExecution }
            rows += earlier.map { [$0] }
            rows += Self.side(bySide: moment.filter(\.isExecution))
            rows += moment.dropFirst(earlier.count).filter { !$0.isExecution }.map { [$0] }
            start = end
        }
        return rows
    }

    /// The same, and what several hosts send at one moment with the same words stands in one row too: the phases of the
    /// protocol, as the papers draw them.
    var phases: [[Step]] {
        var phases: [[Step]] = []
        for row in rows {
            let step = row[0]
            guard row.count == 1, let sender = step.sender,
                let together = phases.lastIndex(where: {
                    $0[0].time == step.time && $0[0].label == step.label && !$0.map(\.sender).contains(sender)
                })
            else {
                phases.append(row)
                continue
            }
            phases[together].append(step)
        }
        return phases
    }

    /// A host does nothing before it starts, also where several start at one moment and the rest of it is put together.
    private static func startsFirst(_ moment: [Step]) -> [Step] {
        let crashed = Set(moment.filter(\.isCrash).compactMap(\.column))
        func comesFirst(_ step: Step) -> Bool { step.isStart && !crashed.contains(step.column ?? client) }
        return moment.filter(comesFirst) + moment.filter { !comesFirst($0) }
    }

    /// As few rows as there are, no column twice in one.
    private static func side(bySide marks: [Step]) -> [[Step]] {
        var rows: [[Step]] = []
        var taken: [Int?] = []
        for mark in marks {
            let column = mark.column
            if rows.isEmpty || taken.contains(column) {
                rows.append([])
                taken = []
            }
            rows[rows.count - 1].append(mark)
            taken.append(column)
        }
        return rows
    }
}

extension SequenceDiagram.Step {
    var isStatus: Bool {
        if case .message(_, _, _, let label) = event {
            label.contains(" STATUS ") || label.hasPrefix("STATUS ")
        } else {
            false
        }
    }
    var isExecution: Bool { if case .mark(_, let what) = event { what.hasPrefix("executes") } else { false } }
    var isCrash: Bool {
        if case .mark(_, let what) = event { ["crashes", "loses power", "is killed"].contains(what) } else { false }
    }
    var isStart: Bool { if case .mark(_, let what) = event { what.hasPrefix("starts") } else { false } }
    var column: Int? {
        switch event {
        case .mark(let column, _): return column
        case .message, .note: return nil
        }
    }

    var sender: Int? {
        switch event {
        case .message(let from, _, _, _): return from
        case .mark, .note: return nil
        }
    }

    var label: String {
        switch event {
        case .message(_, _, _, let label): return label
        case .mark(_, let what), .note(let what): return what
        }
    }

    /// Keeps account of which hosts are down.
    func follow(_ down: inout Set<Int>) {
        guard let column else { return }
        if isCrash { down.insert(column) } else if isStart { down.remove(column) }
    }
}
