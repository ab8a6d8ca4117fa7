/// A JSON value as it stands in the text. Numbers stay text: whoever asks for one says which numbers there may be.
indirect enum JSONContent: Sendable {
    case object([JSONMember])
    case array([JSONValue])
    case string(String)
    case number(String)
    case boolean(Bool)
    case null

    var kind: String {
        switch self {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .number(let text):
            text.utf8.count <= 24 ? "the number \(text)" : "a number of \(text.utf8.count) characters"
        case .boolean(let value): "\(value)"
        case .null: "null"
        }
    }
}

struct JSONValue: Sendable {
    let content: JSONContent
    /// Where it begins in the text.
    let offset: Int
}

struct JSONMember: Sendable {
    let key: String
    let keyOffset: Int
    let value: JSONValue
}

/// The text of a document, which turns offsets into lines.
struct JSONSource: Sendable {
    let bytes: [UInt8]
    let file: String

    /// - Parameter path: of the value that is at fault.
    func problem(_ path: String, at offset: Int, _ problem: String, expected: String?) -> InputProblem {
        let before = bytes[..<min(offset, bytes.count)]
        let line = before.count { $0 == 0x0a } + 1
        let column = before.count - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1
        return InputProblem(file: file, path: path, line: line, column: column, problem: problem, expected: expected)
    }

    /// `path` is printable: keys of others become escapes.
    static func path(_ parent: String, key: String) -> String {
        let isShort = key.utf8.count <= 64
        let key =
            Printable.line(isShort ? key : String(key.unicodeScalars.prefix(32).map(Character.init)))
            + (isShort ? "" : "…")
        return parent.isEmpty ? key : "\(parent).\(key)"
    }

    static func path(_ parent: String, index: Int) -> String { "\(parent)[\(index)]" }
}
