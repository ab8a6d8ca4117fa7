import Messages
import StrictInput

/// The parameters of one request, strictly: none twice, none that is not known.
package struct APIQuery: Sendable {
    private var values: [String: String] = [:]

    /// - Throws: `Problem`.
    package init(_ query: String?, names: [String]) throws {
        guard let query, !query.isEmpty else { return }
        for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            guard names.contains(name) else {
                let known = names.isEmpty ? "there are none here" : "known are \(names.joined(separator: ", "))"
                throw Problem(
                    .malformedParameter,
                    "the query has an unknown parameter \(Printable.quoted(name.utf8, limit: 40)): \(known)")
            }
            guard values[name] == nil else {
                throw Problem(.malformedParameter, "the parameter \(name) is there twice")
            }
            values[name] = parts.count > 1 ? parts[1] : ""
        }
    }

    /// - Throws: `Problem`.
    package func number<T: FixedWidthInteger & UnsignedInteger>(_ name: String, _: T.Type = T.self) throws -> T? {
        guard let text = values[name] else { return nil }
        guard let number = T(decimalDigits: text) else {
            throw Self.malformed(name, text, expected: "a decimal number from 0 to \(T.max)")
        }
        return number
    }

    /// - Throws: `Problem`.
    package func bytes32<T: Bytes32>(_ name: String, _: T.Type = T.self) throws -> T? {
        guard let text = values[name] else { return nil }
        return try Self.bytes32(name, text)
    }

    /// - Throws: `Problem`.
    package static func bytes32<T: Bytes32>(_ name: String, _ text: String, _: T.Type = T.self) throws -> T {
        guard text.utf8.count == 64, isLowerHex(text), let value = T(hex: text) else {
            throw malformed(name, text, expected: "64 hexadecimal digits in lower case")
        }
        return value
    }

    /// - Throws: `Problem`.
    package static func account(_ text: String) throws -> AccountID {
        guard isLowerHex(text), let account = AccountID(hex: text) else {
            throw malformed("account", text, expected: "32 hexadecimal digits in lower case")
        }
        return account
    }

    private static func isLowerHex(_ text: String) -> Bool {
        text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func malformed(_ name: String, _ text: String, expected: String) -> Problem {
        Problem(
            .malformedParameter, "\(name) is \(Printable.quoted(text.utf8, limit: 80)); it must be \(expected)")
    }
}
