import StrictInput

// JSON lines, as checkers of other people read them:
// {"process":3,"type":"ok","time_ns":17,"ops":[["append","k",1],["r","k",[1]]]}

extension HistoryEvent {
    /// Without the line feed.
    public var line: String {
        var line = "{\"process\":\(process),\"type\":\"\(kind.rawValue)\",\"time_ns\":\(time),\"ops\":["
        for (i, operation) in operations.enumerated() {
            if i > 0 { line += "," }
            switch operation {
            case .append(let key, let value): line += "[\"append\",\(Self.quoted(key)),\(value)]"
            case .read(let key, nil): line += "[\"r\",\(Self.quoted(key)),null]"
            case .read(let key, let values?):
                line += "[\"r\",\(Self.quoted(key)),[" + values.map { String($0) }.joined(separator: ",") + "]]"
            }
        }
        return line + "]}"
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    /// - Parameter line: one JSON object. Besides our keys it may have those that other checkers' histories have: `error` and `index`.
    /// - Parameter number: of the line, for the error.
    public init(line: String, number: Int = 1) throws(HistoryFormatError) {
        do {
            let fields = try JSONReader(Array(line.utf8), file: "the history")
                .object(["process", "type", "time_ns", "ops"], optional: ["error", "index"])
            guard let kind = Kind(rawValue: try fields["type"].string()) else {
                throw fields["type"].problem("an unknown type", expected: Kind.allCases.map(\.rawValue).joined(separator: ", "))
            }
            let operations = try fields["ops"].elements().map(Self.operation)
            self.init(process: try fields["process"].integer(), kind: kind, time: try fields["time_ns"].integer(), operations: operations)
        } catch let problem as InputProblem {
            let place = problem.path.isEmpty ? "" : "\(problem.path): "
            throw HistoryFormatError(line: number, what: place + problem.problem + (problem.expected.map { "; expected \($0)" } ?? ""))
        } catch {
            throw HistoryFormatError(line: number, what: "\(error)")
        }
    }

    private static func operation(_ value: JSONReader) throws(InputProblem) -> ListHistory.Operation {
        let values = try value.elements()
        guard values.count == 3 else { throw value.problem("\(values.count) elements", expected: "an operation: its kind, a key, and a value") }
        let (kind, key, last) = (try values[0].string(), try values[1].string(), values[2])
        switch kind {
        case "append": return .append(key: key, value: try last.integer())
        case "r":
            guard !last.isNull else { return .read(key: key, nil) }
            var list: [UInt64] = []
            for element in try last.elements() { list.append(try element.integer()) }
            return .read(key: key, list)
        default: throw values[0].problem("an unknown operation", expected: "append or r")
        }
    }
}

extension ListHistory {
    /// Reads what a `HistoryRecorder` has written. Empty lines are skipped.
    public init(lines: String) throws(HistoryFormatError) {
        var events: [HistoryEvent] = []
        for (i, line) in lines.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty {
            events.append(try HistoryEvent(line: String(line), number: i + 1))
        }
        try self.init(events: events)
    }
}
