/// A value of a JSON document that was read strictly. It knows its place, so that every error can say what is wrong,
/// where, and what was expected.
///
/// Fields are reached only through `object(_:)`, which refuses every key that it was not told of: no reader of ours can
/// forget to.
package struct JSONReader: Sendable {
    package struct Limits: Sendable {
        package var bytes = 1 << 24
        /// How many objects and arrays may stand inside each other.
        package var depth = 32
        /// How many values there may be altogether: each takes far more room than its bytes.
        package var values = Int.max
        package init() {}
    }

    private let source: JSONSource
    private let value: JSONValue
    package let path: String
    package var file: String { source.file }

    /// - Parameter file: the name that errors carry.
    package init(_ bytes: [UInt8], file: String, limits: Limits = Limits()) throws(InputProblem) {
        source = JSONSource(bytes: bytes, file: file)
        value = try JSONParser.parse(source, limits: limits)
        path = ""
    }

    fileprivate init(_ source: JSONSource, _ value: JSONValue, _ path: String) {
        (self.source, self.value, self.path) = (source, value, path)
    }

    package func problem(_ problem: String, expected: String? = nil) -> InputProblem {
        source.problem(path, at: value.offset, problem, expected: expected)
    }

    private func mismatch(_ expected: String) -> InputProblem { problem(value.content.kind, expected: expected) }

    // MARK: What it may be

    /// The fields of an object with exactly these keys.
    /// - Parameter optional: keys that may be there too.
    package func object(_ keys: [String], optional: [String] = []) throws(InputProblem) -> JSONFields {
        guard case .object(let members) = value.content else {
            throw mismatch("an object with the keys \(keys.joined(separator: ", "))")
        }
        var fields: [String: JSONReader] = [:]
        for member in members {
            let path = JSONSource.path(path, key: member.key)
            // By bytes, and not as texts are equal to Swift.
            guard let key = (keys + optional).first(where: { $0.utf8.elementsEqual(member.key.utf8) }) else {
                throw source.problem(
                    path, at: member.keyOffset, "unknown key",
                    expected: "only the keys \((keys + optional).joined(separator: ", "))")
            }
            fields[key] = JSONReader(source, member.value, path)
        }
        if let missing = keys.first(where: { fields[$0] == nil }) {
            throw source.problem(
                JSONSource.path(path, key: missing), at: value.offset, "the key is missing", expected: nil)
        }
        return JSONFields(fields: fields)
    }

    /// One field of an object whose other keys are not known yet: a version that says which they are.
    package func peek(_ key: String) throws(InputProblem) -> JSONReader {
        guard case .object(let members) = value.content else { throw mismatch("an object") }
        guard let member = members.first(where: { $0.key.utf8.elementsEqual(key.utf8) }) else {
            throw source.problem(JSONSource.path(path, key: key), at: value.offset, "the key is missing", expected: nil)
        }
        return JSONReader(source, member.value, JSONSource.path(path, key: key))
    }

    /// The keys of an object, in order, where they are data.
    package func names() throws(InputProblem) -> [String] {
        guard case .object(let members) = value.content else { throw mismatch("an object") }
        return members.map(\.key)
    }

    package func elements(limit: Int = .max) throws(InputProblem) -> [JSONReader] {
        guard case .array(let values) = value.content else { throw mismatch("an array") }
        guard values.count <= limit else { throw problem("\(values.count) elements", expected: "at most \(limit)") }
        return values.enumerated().map { JSONReader(source, $1, JSONSource.path(path, index: $0)) }
    }

    package func string() throws(InputProblem) -> String {
        guard case .string(let text) = value.content else { throw mismatch("a string") }
        return text
    }

    /// Exactly: no fraction, no exponent, no -0, nothing rounded.
    package func integer<T: FixedWidthInteger>(in range: ClosedRange<T>) throws(InputProblem) -> T {
        let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
        guard case .number(let text) = value.content else { throw mismatch(expected) }
        guard text != "-0", let number = T(text), range.contains(number) else { throw mismatch(expected) }
        return number
    }

    package func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(InputProblem) -> T {
        try integer(in: T.min...T.max)
    }

    package func boolean() throws(InputProblem) -> Bool {
        guard case .boolean(let value) = value.content else { throw mismatch("true or false") }
        return value
    }

    /// As it is written.
    package func number() throws(InputProblem) -> String {
        guard case .number(let text) = value.content else { throw mismatch("a number") }
        return text
    }

    package var isNull: Bool {
        if case .null = value.content { true } else { false }
    }

    /// Hexadecimal digits, lower case, two a byte.
    /// - Parameter count: how many bytes; nil for any number.
    package func hex(count: Int? = nil) throws(InputProblem) -> [UInt8] {
        let expected = (count.map { "exactly \($0 * 2)" } ?? "an even number of") + " hexadecimal digits in lower case"
        guard case .string(let text) = value.content else { throw mismatch("a string of \(expected)") }
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2), count == nil || digits.count == 2 * (count ?? 0) else {
            throw problem("\(digits.count) characters", expected: expected)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for i in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.nibble(digits[i]), let low = Self.nibble(digits[i + 1]) else {
                throw problem(
                    Printable.quoted(digits[i..<i + 2]) + " as digits \(i + 1) and \(i + 2)", expected: expected)
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 97...102: digit - 87
        default: nil
        }
    }

    // MARK: What it must be

    /// Throws at the first place where this is another value than `wanted`. Texts are compared byte for byte, numbers
    /// as they are written; the order of keys does not matter.
    package func expect(_ wanted: JSONReader) throws(InputProblem) {
        switch (value.content, wanted.value.content) {
        case (.object(let ours), .object(let theirs)):
            let theirs = Dictionary(theirs.map { (Array($0.key.utf8), $0) }, uniquingKeysWith: { first, _ in first })
            for member in ours {
                let path = JSONSource.path(path, key: member.key)
                guard let other = theirs[Array(member.key.utf8)] else {
                    throw source.problem(path, at: member.keyOffset, "unknown key", expected: "no such key")
                }
                try JSONReader(source, member.value, path).expect(JSONReader(wanted.source, other.value, path))
            }
            let known = Set(ours.map { Array($0.key.utf8) })
            if let missing = theirs.values.filter({ !known.contains(Array($0.key.utf8)) }).map(\.key).min() {
                throw source.problem(
                    JSONSource.path(path, key: missing), at: value.offset, "the key is missing", expected: nil)
            }
        case (.array(let ours), .array(let theirs)):
            guard ours.count == theirs.count else {
                throw problem("\(ours.count) elements", expected: "\(theirs.count)")
            }
            for (i, (mine, other)) in zip(ours, theirs).enumerated() {
                let path = JSONSource.path(path, index: i)
                try JSONReader(source, mine, path).expect(JSONReader(wanted.source, other, path))
            }
        case (.string(let ours), .string(let theirs)):
            guard ours.utf8.elementsEqual(theirs.utf8) else {
                throw problem(
                    Printable.quoted(ours.utf8, limit: 160), expected: Printable.quoted(theirs.utf8, limit: 160))
            }
        case (.number(let ours), .number(let theirs)):
            guard ours == theirs else { throw mismatch(theirs) }
        case (.boolean(let ours), .boolean(let theirs)):
            guard ours == theirs else { throw mismatch("\(theirs)") }
        case (.null, .null): break
        default: throw mismatch(wanted.value.content.kind)
        }
    }
}

/// The fields of an object whose keys have been checked.
package struct JSONFields: Sendable {
    fileprivate let fields: [String: JSONReader]

    /// - Precondition: one of the keys that `object(_:)` was told of.
    package subscript(key: String) -> JSONReader {
        guard let field = fields[key] else { preconditionFailure("the key \(key) was not asked for") }
        return field
    }

    package func optional(_ key: String) -> JSONReader? { fields[key] }
}
