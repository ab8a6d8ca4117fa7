import StrictInput

/// What a transaction does to one list, or learns of it.
public enum ListAction: Hashable, Sendable {
    /// Values are unique, per key.
    case append(key: String, value: UInt64)
    /// Nil: not known what was read.
    case read(key: String, [UInt64]?)
}

/// What clients asked for and saw of lists under keys: the workload that shows most about isolation, because a list
/// that is read tells the order of all appends before it (Kingsbury and Alvaro, "Elle", VLDB 14(3), 2020).
public typealias ListHistory = History<[ListAction]>

extension History where Value == [ListAction] {
    /// Of one list.
    public typealias Operation = ListAction
}

extension History.Transaction where Value == [ListAction] {
    /// In the order in which they were done.
    public var operations: [ListAction] { value }

    /// - Parameters:
    ///   - returnedAt: of no meaning if the outcome is not known.
    ///   - operations: in the order in which they were done.
    public init(
        process: Int, invokedAt: UInt64, returnedAt: UInt64, outcome: HistoryOutcome, operations: [ListAction]
    ) {
        self.init(
            process: process, invokedAt: invokedAt, returnedAt: returnedAt, outcome: outcome, value: operations)
    }
}

// [["append","k",1],["r","k",[1]]], or [[:append "k" 1] [:r "k" [1]]].
extension Array: HistoryValue where Element == ListAction {
    /// Long lists by their ends.
    public var words: String {
        map { operation in
            switch operation {
            case .append(let key, let value): "append \(value) to \(key)"
            case .read(let key, let values): "read \(key): \(values.map(Self.short) ?? "?")"
            }
        }.joined(separator: ", ")
    }

    /// The ends of a long list: what is wrong with it is said beside it.
    static func short(_ values: [UInt64]) -> String {
        guard values.count > 12 else { return "\(values)" }
        let (first, last) = (values.prefix(3).map { "\($0)" }, values.suffix(6).map { "\($0)" })
        return "[\(first.joined(separator: ", ")), …, \(last.joined(separator: ", "))] (\(values.count))"
    }

    /// As Elle has it.
    public var function: String { "txn" }
    /// Each operation is its kind, its key, and what was appended or read.
    public var fields: [(name: String, value: HistoryText)] {
        let operations = map { operation -> HistoryText in
            switch operation {
            case .append(let key, let value): .list([.word("append"), .string(key), .number(value)])
            case .read(let key, nil): .list([.word("r"), .string(key), .null])
            case .read(let key, let values?): .list([.word("r"), .string(key), .list(values.map { .number($0) })])
            }
        }
        return [("value", .list(operations))]
    }

    /// Nothing but the operations.
    public static var keys: (required: [String], optional: [String]) { (["value"], []) }

    /// The function may be missing, as in other checkers' histories.
    public init(function: String?, in line: HistoryFields) throws {
        guard function == nil || function == "txn" else {
            throw line.json["f"].problem("another operation", expected: "txn")
        }
        self = try line.json["value"].elements().map(Self.action)
    }

    private static func action(_ value: JSONReader) throws(InputProblem) -> ListAction {
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
