import Foundation

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

    /// - Parameter line: one JSON object; keys that are not ours are ignored.
    /// - Parameter number: of the line, for the error.
    public init(line: String, number: Int = 1) throws(HistoryFormatError) {
        let read: Line
        do { read = try JSONDecoder().decode(Line.self, from: Data(line.utf8)) } catch {
            throw HistoryFormatError(line: number, what: "\(error)")
        }
        guard let kind = Kind(rawValue: read.type) else { throw HistoryFormatError(line: number, what: "type \"\(read.type)\"") }
        self.init(process: read.process, kind: kind, time: read.time_ns, operations: read.ops.map(\.operation))
    }

    private struct Line: Decodable {
        let process: Int
        let type: String
        let time_ns: UInt64
        let ops: [Element]
    }

    private struct Element: Decodable {
        let operation: ListHistory.Operation

        init(from decoder: any Decoder) throws {
            var values = try decoder.unkeyedContainer()
            let kind = try values.decode(String.self)
            let key = try values.decode(String.self)
            switch kind {
            case "append": operation = .append(key: key, value: try values.decode(UInt64.self))
            case "r": operation = .read(key: key, try values.decodeNil() ? nil : try values.decode([UInt64].self))
            default: throw DecodingError.dataCorruptedError(in: values, debugDescription: "operation \"\(kind)\"")
            }
            guard values.isAtEnd else { throw DecodingError.dataCorruptedError(in: values, debugDescription: "more than an operation") }
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
