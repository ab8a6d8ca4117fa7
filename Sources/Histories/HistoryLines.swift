import StrictInput

// One event a line, in the names that Jepsen's histories have, which Elle and other checkers read:
// {"process":3,"type":"ok","f":"txn","time":17,"value":[["append","k",1],["r","k",[1]]]}
// {:process 3, :type :ok, :f :txn, :time 17, :value [[:append "k" 1] [:r "k" [1]]]}

/// How a history is written.
public enum HistoryFormat: Sendable {
    case jsonLines
    /// What Elle reads without conversion.
    case edn

    /// - Parameter file: its name says which: `.edn`, or anything else for JSON lines.
    public init(file: String) { self = file.hasSuffix(".edn") ? .edn : .jsonLines }
}

extension HistoryEvent {
    /// Without the line feed.
    public func line(_ format: HistoryFormat = .jsonLines) -> String {
        let values = operations.map { Self.text($0, format) }
        switch format {
        case .jsonLines:
            return
                "{\"process\":\(process),\"type\":\"\(kind.rawValue)\",\"f\":\"txn\",\"time\":\(time),\"value\":[\(values.joined(separator: ","))]}"
        case .edn:
            return
                "{:process \(process), :type :\(kind.rawValue), :f :txn, :time \(time), :value [\(values.joined(separator: " "))]}"
        }
    }

    private static func text(_ operation: ListHistory.Operation, _ format: HistoryFormat) -> String {
        let (name, key, value): (String, String, String)
        let separator = format == .edn ? " " : ","
        switch operation {
        case .append(let list, let number): (name, key, value) = ("append", list, "\(number)")
        case .read(let list, nil): (name, key, value) = ("r", list, format == .edn ? "nil" : "null")
        case .read(let list, let numbers?):
            (name, key, value) = ("r", list, "[" + numbers.map { String($0) }.joined(separator: separator) + "]")
        }
        return "[" + [format == .edn ? ":\(name)" : "\"\(name)\"", quoted(key), value].joined(separator: separator)
            + "]"
    }

    /// The same in both.
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

    /// - Parameter line: one JSON object. Besides our keys it may have those that other checkers' histories have:
    ///   `error` and `index`; `f` may be missing, as there.
    /// - Parameter number: of the line, for the error.
    public init(line: String, number: Int = 1) throws(HistoryFormatError) {
        do {
            let fields = try JSONReader(Array(line.utf8), file: "the history")
                .object(["process", "type", "time", "value"], optional: ["f", "error", "index"])
            if let f = fields.optional("f"), try f.string() != "txn" {
                throw f.problem("another operation", expected: "txn")
            }
            guard let kind = Kind(rawValue: try fields["type"].string()) else {
                throw fields["type"].problem(
                    "an unknown type", expected: Kind.allCases.map(\.rawValue).joined(separator: ", "))
            }
            let operations = try fields["value"].elements().map(Self.operation)
            self.init(
                process: try fields["process"].integer(), kind: kind, time: try fields["time"].integer(),
                operations: operations)
        } catch let problem as InputProblem {
            let place = problem.path.isEmpty ? "" : "\(problem.path): "
            throw HistoryFormatError(
                line: number, what: place + problem.problem + (problem.expected.map { "; expected \($0)" } ?? ""))
        } catch {
            throw HistoryFormatError(line: number, what: "\(error)")
        }
    }

    private static func operation(_ value: JSONReader) throws(InputProblem) -> ListHistory.Operation {
        let values = try value.elements()
        guard values.count == 3 else {
            throw value.problem("\(values.count) elements", expected: "an operation: its kind, a key, and a value")
        }
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
        for (i, line) in lines.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty
        {
            events.append(try HistoryEvent(line: String(line), number: i + 1))
        }
        try self.init(events: events)
    }
}
