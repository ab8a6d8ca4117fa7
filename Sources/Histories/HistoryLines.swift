import StrictInput

// One event a line, in the names that Jepsen's histories have, which Elle and other checkers read:
// {"process":3,"type":"ok","f":"txn","time":17,"value":[["append","k",1],["r","k",[1]]]}
// {:process 3, :type :ok, :f :txn, :time 17, :value [[:append "k" 1] [:r "k" [1]]]}

/// How a history is written.
public enum HistoryFormat: Sendable {
    case jsonLines
    /// What Elle, elle-cli and, for keys and values, Porcupine's reader take without conversion.
    case edn

    /// - Parameter file: its name says which: `.edn`, or anything else for JSON lines.
    public init(file: String) { self = file.hasSuffix(".edn") ? .edn : .jsonLines }
}

/// A part of a line, in any format.
public indirect enum HistoryText: Hashable, Sendable {
    case null
    case number(UInt64)
    case string(String)
    /// A keyword in EDN, a string in JSON.
    case word(String)
    case list([HistoryText])
    /// Names are keywords in EDN.
    case object([Member])
    /// Numbers are integers in EDN, and strings in JSON, which has no other keys.
    case map([Entry])

    /// A name of an object, and what is under it.
    public struct Member: Hashable, Sendable {
        let name: String
        let value: HistoryText
    }
    /// A number of a map, and what is under it.
    public struct Entry: Hashable, Sendable {
        let number: UInt64
        let value: HistoryText
    }

    /// As it stands in a line.
    public func text(_ format: HistoryFormat) -> String {
        switch (self, format) {
        case (.null, .jsonLines): "null"
        case (.null, .edn): "nil"
        case (.number(let number), _): "\(number)"
        case (.string(let text), _), (.word(let text), .jsonLines): Self.quoted(text)
        case (.word(let text), .edn): ":" + text
        case (.list(let values), .jsonLines): "[" + values.map { $0.text(format) }.joined(separator: ",") + "]"
        case (.list(let values), .edn): "[" + values.map { $0.text(format) }.joined(separator: " ") + "]"
        case (.object(let members), .jsonLines):
            "{" + members.map { "\"\($0.name)\":\($0.value.text(format))" }.joined(separator: ",") + "}"
        case (.object(let members), .edn):
            "{" + members.map { ":\($0.name) \($0.value.text(format))" }.joined(separator: ", ") + "}"
        case (.map(let entries), .jsonLines):
            "{" + entries.map { "\"\($0.number)\":\($0.value.text(format))" }.joined(separator: ",") + "}"
        case (.map(let entries), .edn):
            "{" + entries.map { "\($0.number) \($0.value.text(format))" }.joined(separator: ", ") + "}"
        }
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
}

/// What a line says besides who, how and when.
public struct HistoryFields: Sendable {
    let json: JSONFields
}

extension HistoryEvent {
    /// Without the line feed.
    public func line(_ format: HistoryFormat = .jsonLines) -> String {
        var fields: [(name: String, value: HistoryText)] = [
            ("process", .number(UInt64(process))), ("type", .word(kind.rawValue)), ("f", .word(value.function)),
        ]
        if Value.hasTimes(in: format) { fields.append(("time", .number(time))) }
        let members = (fields + value.fields).map { HistoryText.Member(name: $0.name, value: $0.value) }
        return HistoryText.object(members).text(format)
    }

    /// - Parameter line: one JSON object. Besides our keys it may have those that other checkers' histories have:
    ///   `error` and `index`.
    /// - Parameter number: of the line, for the error.
    public init(line: String, number: Int = 1) throws(HistoryFormatError) {
        do {
            let fields = try JSONReader(Array(line.utf8), file: "the history")
                .object(
                    ["process", "type", "time"] + Value.keys.required,
                    optional: ["f", "error", "index"] + Value.keys.optional)
            guard let kind = Kind(rawValue: try fields["type"].string()) else {
                throw fields["type"].problem(
                    "an unknown type", expected: Kind.allCases.map(\.rawValue).joined(separator: ", "))
            }
            let value = try Value(function: try fields.optional("f")?.string(), in: HistoryFields(json: fields))
            self.init(
                process: try fields["process"].integer(in: 0...Int.max), kind: kind,
                time: try fields["time"].integer(), value: value)
        } catch let problem as InputProblem {
            let place = problem.path.isEmpty ? "" : "\(problem.path): "
            throw HistoryFormatError(
                line: number, what: place + problem.problem + (problem.expected.map { "; expected \($0)" } ?? ""))
        } catch {
            throw HistoryFormatError(line: number, what: "\(error)")
        }
    }
}

extension History {
    /// Reads the JSON lines that a `HistoryRecorder` has written. Empty lines are skipped.
    public init(lines: String) throws(HistoryFormatError) {
        var events: [HistoryEvent<Value>] = []
        for (i, line) in lines.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty
        {
            events.append(try HistoryEvent(line: String(line), number: i + 1))
        }
        try self.init(events: events)
    }
}
