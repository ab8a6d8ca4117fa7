import StrictInput

/// What is wrong with a trace file, and where: `file:line:column: column name: expected …, got …`. What it quotes of
/// the file is printable.
public struct TraceProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The path, as it was given.
    public let file: String
    /// From 1; the header is line 1. Nil when the file as a whole is at fault.
    public let line: Int?
    /// The byte of the line at which the offending field starts, from 1.
    public let column: Int?
    /// What was expected and what was there, quoted so that it is printable.
    public let message: String

    /// - Parameter message: without the place, which `description` puts before it.
    public init(file: String, line: Int? = nil, column: Int? = nil, message: String) {
        (self.file, self.line, self.column, self.message) = (file, line, column, message)
    }

    /// `file:line:column: message`, as far as the place is known.
    public var description: String {
        var place = Printable.line(file)
        if let line { place += ":\(line)" }
        if let column { place += ":\(column)" }
        return "\(place): \(message)"
    }
}

/// Reads `timestamp,from,to,amount` from CSV or CSV.gz, in UTF-8 with or without a byte order mark.
///
/// - No row is missing without a word: damage, whether in a line or in any member of the gzip data, is an error, and so
///   is whatever follows the last member.
/// - The first line is the header. It starts with the four names in that order; columns that it names after them
///   are ignored.
/// - Accounts are any non-empty text; a field may stand in double quotes, with `""` for a quote inside.
/// - Amounts are whole numbers of minor units below 2^63. Rows are replayed in file order; the time is not used,
///   but must be there.
/// - Transfers from an account to itself and of zero are counted and left out.
public struct TraceReader {
    /// What a header must begin with, in this order.
    public static let columns = ["timestamp", "from", "to", "amount"]

    private let file: String
    private var width = 0
    private var indexes: [[UInt8]: Int] = [:]
    private var trace = Trace(accounts: [], rows: [])

    private init(file: String) { self.file = file }

    /// - Parameter limit: at most so many rows are read; what follows them in the file is not looked at.
    /// - Throws: `TraceProblem`.
    public static func read(_ path: String, limit: Int = .max) throws(TraceProblem) -> Trace {
        var lines = try CompressedLines(path: path)
        var reader = TraceReader(file: path)
        var number = 0
        while reader.trace.rows.count < limit, let line = try lines.next() {
            number += 1
            if number == 1 {
                try reader.readHeader(line)
            } else if !line.isEmpty {
                try reader.readRow(line, number: number)
            }
        }
        guard number > 0 else {
            throw TraceProblem(
                file: path, message: "the file is empty; expected the header \(columns.joined(separator: ","))")
        }
        guard !reader.trace.rows.isEmpty else { throw TraceProblem(file: path, message: "the file has no transfers") }
        return reader.trace
    }

    private mutating func readHeader(_ line: [UInt8]) throws(TraceProblem) {
        let fields = try split(line, number: 1)
        for (i, name) in Self.columns.enumerated() {
            guard i < fields.count else {
                throw TraceProblem(
                    file: file, line: 1, column: line.count + 1,
                    message:
                        "expected column \"\(name)\", but the header ends here; it must start with \(Self.columns.joined(separator: ","))"
                )
            }
            guard fields[i].bytes == Array(name.utf8) else {
                throw problem(fields[i], line: 1, name: "header", expected: "column \"\(name)\"")
            }
        }
        width = fields.count
    }

    private mutating func readRow(_ line: [UInt8], number: Int) throws(TraceProblem) {
        if let zero = line.firstIndex(of: 0) {
            throw TraceProblem(
                file: file, line: number, column: zero + 1,
                message: "expected text, got a NUL byte: the file is damaged, or is no CSV")
        }
        let fields = try split(line, number: number)
        guard fields.count == width else {
            let column = fields.count < width ? line.count + 1 : fields[width].start
            throw TraceProblem(
                file: file, line: number, column: column,
                message: "expected \(width) fields as in the header, got \(fields.count)")
        }
        for i in 0..<3 where fields[i].bytes.isEmpty {
            throw problem(fields[i], line: number, name: Self.columns[i], expected: i == 0 ? "a time" : "an account")
        }
        guard let amount = Self.number(fields[3].bytes), amount < 1 << 63 else {
            throw problem(
                fields[3], line: number, name: "amount", expected: "a whole number of minor units from 0 to 2^63 - 1")
        }
        guard fields[1].bytes != fields[2].bytes else {
            trace.skippedSelfTransfers += 1
            return
        }
        guard amount > 0 else {
            trace.skippedZeroAmounts += 1
            return
        }
        let from = try account(fields[1], line: number, name: "from")
        let to = try account(fields[2], line: number, name: "to")
        trace.rows.append(Trace.Row(from: from, to: to, amount: amount))
    }

    private mutating func account(_ field: Field, line: Int, name: String) throws(TraceProblem) -> Int {
        if let index = indexes[field.bytes] { return index }
        guard let text = String(validating: field.bytes, as: UTF8.self) else {
            throw problem(field, line: line, name: name, expected: "UTF-8 text")
        }
        let index = trace.accounts.count
        guard index < Int32.max else { throw TraceProblem(file: file, line: line, message: "more than 2^31 accounts") }
        indexes[field.bytes] = index
        trace.accounts.append(text)
        return index
    }

    private static func number(_ digits: [UInt8]) -> UInt64? {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard digit >= 48, digit <= 57 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit - 48))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    private struct Field {
        var bytes: [UInt8]
        /// First byte of the field in its line, from 1.
        var start: Int
    }

    private func problem(_ field: Field, line: Int, name: String, expected: String) -> TraceProblem {
        TraceProblem(
            file: file, line: line, column: field.start,
            message: "\(name): expected \(expected), got \(Printable.quoted(field.bytes))")
    }

    /// Splits at commas; understands double quotes.
    private func split(_ line: [UInt8], number: Int) throws(TraceProblem) -> [Field] {
        let (comma, quote) = (UInt8(ascii: ","), UInt8(ascii: "\""))
        var fields: [Field] = []
        var i = 0
        while true {
            var field = Field(bytes: [], start: i + 1)
            if i < line.count, line[i] == quote {
                i += 1
                while true {
                    guard i < line.count else {
                        throw TraceProblem(
                            file: file, line: number, column: field.start,
                            message: "expected a closing quote before the end of the line")
                    }
                    if line[i] != quote {
                        field.bytes.append(line[i])
                    } else if i + 1 < line.count, line[i + 1] == quote {
                        field.bytes.append(quote)
                        i += 1
                    } else {
                        break
                    }
                    i += 1
                }
                i += 1
                guard i == line.count || line[i] == comma else {
                    throw TraceProblem(
                        file: file, line: number, column: i + 1, message: "expected a comma after the closing quote")
                }
            } else {
                let end = line[i...].firstIndex(of: comma) ?? line.count
                field.bytes = Array(line[i..<end])
                i = end
            }
            fields.append(field)
            guard i < line.count else { return fields }
            i += 1
        }
    }
}
