/// The grammar of RFC 8259 and nothing beside it: UTF-8 without a byte order mark, each key of an object once, no half
/// of a surrogate pair, nothing after the value, and no deeper than the limit.
struct JSONParser {
    private let source: JSONSource
    private let maxDepth: Int
    private let maxValues: Int
    private var values = 0
    private var at = 0
    private var depth = 0
    /// Where we are, for errors.
    private var path = ""

    private init(_ source: JSONSource, limits: JSONReader.Limits) {
        (self.source, maxDepth, maxValues) = (source, limits.depth, limits.values)
    }

    static func parse(_ source: JSONSource, limits: JSONReader.Limits) throws(InputProblem) -> JSONValue {
        let bytes = source.bytes
        guard bytes.count <= limits.bytes else {
            throw InputProblem(file: source.file, problem: "the file is longer than \(limits.bytes) bytes")
        }
        guard !bytes.isEmpty else {
            throw InputProblem(file: source.file, problem: "the file is empty", expected: "a JSON document")
        }
        guard !bytes.starts(with: [0xef, 0xbb, 0xbf]) else {
            throw source.problem("", at: 0, "a byte order mark", expected: "JSON without one")
        }
        if let bad = UTF8Text.firstInvalid(in: bytes[...]) {
            throw source.problem(
                "", at: bad, "not UTF-8: the byte 0x\(String(bytes[bad], radix: 16))", expected: "JSON in UTF-8")
        }
        var parser = JSONParser(source, limits: limits)
        parser.skipSpace()
        let value = try parser.value()
        parser.skipSpace()
        guard parser.at == bytes.count else { throw parser.unexpected("the end of the file after the JSON value") }
        return value
    }

    private var byte: UInt8? { at < source.bytes.count ? source.bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { at += 1 }
    }

    private func problem(at offset: Int, _ text: String, expected: String?) -> InputProblem {
        source.problem(path, at: offset, text, expected: expected)
    }

    /// What stands here, where something else should.
    private func unexpected(_ expected: String) -> InputProblem {
        guard at < source.bytes.count else { return problem(at: at, "the file ends here", expected: expected) }
        // The bytes are UTF-8, so a character begins here, unless a text was left in its middle, which never happens.
        let end =
            source.bytes[(at + 1)...].prefix(3).firstIndex { $0 & 0xc0 != 0x80 } ?? min(at + 4, source.bytes.count)
        return problem(at: at, Printable.quoted(source.bytes[at..<end]), expected: expected)
    }

    private mutating func value() throws(InputProblem) -> JSONValue {
        let start = at
        guard let byte else { throw unexpected("a JSON value") }
        values += 1
        guard values <= maxValues else {
            throw problem(at: start, "more than \(maxValues) values", expected: "at most \(maxValues)")
        }
        switch byte {
        case UInt8(ascii: "{"): return JSONValue(content: try object(), offset: start)
        case UInt8(ascii: "["): return JSONValue(content: try array(), offset: start)
        case UInt8(ascii: "\""): return JSONValue(content: .string(try string()), offset: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return JSONValue(content: .number(try number()), offset: start)
        case UInt8(ascii: "t"): return JSONValue(content: try word("true", .boolean(true)), offset: start)
        case UInt8(ascii: "f"): return JSONValue(content: try word("false", .boolean(false)), offset: start)
        case UInt8(ascii: "n"): return JSONValue(content: try word("null", .null), offset: start)
        default: throw unexpected("a JSON value")
        }
    }

    private mutating func word(_ word: String, _ content: JSONContent) throws(InputProblem) -> JSONContent {
        guard source.bytes[at...].starts(with: word.utf8) else { throw unexpected("a JSON value") }
        at += word.utf8.count
        return content
    }

    private mutating func enter() throws(InputProblem) {
        depth += 1
        guard depth <= maxDepth else {
            throw problem(at: at, "values inside values, \(depth) deep", expected: "at most \(maxDepth)")
        }
        at += 1
        skipSpace()
    }

    /// After an element. - Returns: whether another one follows.
    private mutating func goesOn(until close: UInt8) throws(InputProblem) -> Bool {
        skipSpace()
        if byte == close {
            at += 1
            depth -= 1
            return false
        }
        guard byte == UInt8(ascii: ",") else { throw unexpected("a comma or \(Character(Unicode.Scalar(close)))") }
        at += 1
        skipSpace()
        return true
    }

    private mutating func object() throws(InputProblem) -> JSONContent {
        try enter()
        let (close, outer) = (UInt8(ascii: "}"), path)
        var members: [JSONMember] = []
        // By bytes: to Swift's own comparison of texts, two spellings of one character are equal.
        var seen: Set<[UInt8]> = []
        if byte == close {
            at += 1
            depth -= 1
            return .object([])
        }
        repeat {
            let keyOffset = at
            guard byte == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
            let key = try string()
            path = JSONSource.path(outer, key: key)
            guard seen.insert(Array(key.utf8)).inserted else {
                throw problem(at: keyOffset, "the key stands here a second time", expected: "each key once")
            }
            skipSpace()
            guard byte == UInt8(ascii: ":") else { throw unexpected("a colon") }
            at += 1
            skipSpace()
            members.append(JSONMember(key: key, keyOffset: keyOffset, value: try value()))
            path = outer
        } while try goesOn(until: close)
        return .object(members)
    }

    private mutating func array() throws(InputProblem) -> JSONContent {
        try enter()
        let (close, outer) = (UInt8(ascii: "]"), path)
        var elements: [JSONValue] = []
        if byte == close {
            at += 1
            depth -= 1
            return .array([])
        }
        repeat {
            path = JSONSource.path(outer, index: elements.count)
            elements.append(try value())
            path = outer
        } while try goesOn(until: close)
        return .array(elements)
    }

    /// `-`? digits without a leading zero, a fraction, an exponent.
    private mutating func number() throws(InputProblem) -> String {
        let start = at
        if byte == UInt8(ascii: "-") { at += 1 }
        if byte == UInt8(ascii: "0") {
            at += 1
            if let byte, (48...57).contains(byte) {
                throw problem(at: start, "a number that begins with 0", expected: "no leading zeros")
            }
        } else {
            try digits()
        }
        if byte == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            at += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
        return String(decoding: source.bytes[start..<at], as: UTF8.self)
    }

    private mutating func digits() throws(InputProblem) {
        let start = at
        while let byte, (48...57).contains(byte) { at += 1 }
        guard at > start else { throw unexpected("a digit") }
    }

    private mutating func string() throws(InputProblem) -> String {
        at += 1
        var text: [UInt8] = []
        while true {
            let start = at
            while let byte, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
            text.append(contentsOf: source.bytes[start..<at])
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text.append(contentsOf: Array(String(Character(try escape())).utf8))
            default: throw unexpected("a closing quote, with control characters as escapes")
            }
        }
    }

    private mutating func escape() throws(InputProblem) -> Unicode.Scalar {
        let start = at
        at += 1
        guard let byte else { throw unexpected("an escape") }
        let scalar: Unicode.Scalar
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scalar = Unicode.Scalar(byte)
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{c}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        case UInt8(ascii: "u"): return try unicodeEscape(from: start)
        default: throw unexpected("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
        at += 1
        return scalar
    }

    private mutating func unicodeEscape(from start: Int) throws(InputProblem) -> Unicode.Scalar {
        let unit = try fourDigits()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        // A high surrogate, and its other half at once.
        if (0xd800...0xdbff).contains(unit), source.bytes[at...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) {
            at += 1
            let low = try fourDigits()
            let pair = 0x10000 + (unit - 0xd800) << 10
            if (0xdc00...0xdfff).contains(low), let scalar = Unicode.Scalar(pair + (low - 0xdc00)) { return scalar }
        }
        throw problem(at: start, "half of a surrogate pair", expected: "both halves")
    }

    /// After a `u`, which is here.
    private mutating func fourDigits() throws(InputProblem) -> UInt32 {
        at += 1
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte, byte < 0x80, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw unexpected("four hexadecimal digits")
            }
            unit = unit << 4 | UInt32(digit)
            at += 1
        }
        return unit
    }
}
