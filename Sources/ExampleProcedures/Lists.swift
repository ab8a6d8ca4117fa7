import Messages
import ShardState

/// Visits keys one after the other, each from within the call before, and leaves its place in the line at each. A key
/// may come again, and then has what the earlier visit left.
public struct Chain: Procedure {
    /// Where the chain still has to go, and how far it has come.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// In the order of the visits, this one first. At most 16 are decoded, and nine can be visited: calls go eight
        /// deep (`CallPath.maxDepth`).
        public let keys: [String]
        /// How many keys were visited before this one.
        public let place: UInt64
        /// A new chain begins at place 0.
        public init(keys: [String], place: UInt64 = 0) { (self.keys, self.place) = (keys, place) }
        /// Refuses more than 16 keys.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (keys, place) = (try reader.array(limit: 16), try reader.uint64())
        }
        /// Counted keys, then eight bytes for the place.
        public func encode(into writer: inout ByteWriter) {
            writer.put(array: keys)
            writer.put(integer: place)
        }
    }

    /// Why it does not go on.
    public enum Problem: Error, CustomStringConvertible {
        /// What is there, or the place, has no room for one more.
        case tooLarge(key: String)
        /// One sentence.
        public var description: String {
            switch self {
            case .tooLarge(let key): "the number at \(key) would be too large"
            }
        }
    }

    /// Called by itself, once for each key.
    public static let name = "chain"
    /// What each key held when it was visited, in order.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> [UInt64] {
        guard let key = arguments.keys.first else { return [] }
        let held: UInt64 = try context.value(of: key) ?? 0
        // Both are what somebody signed: a replica that traps on them does so again whenever it executes them again.
        let (place, isBeyond) = arguments.place.addingReportingOverflow(1)
        let (sum, overflows) = held.addingReportingOverflow(place)
        guard !isBeyond, !overflows else { throw Problem.tooLarge(key: key) }
        try context.set(key, to: sum)
        guard let next = arguments.keys.dropFirst().first else { return [held] }
        let rest: [UInt64] = try context.call(
            .key(next), name, Arguments(keys: Array(arguments.keys.dropFirst()), place: place))
        return [held] + rest
    }
}

/// Operations on lists of any shards, in one transaction: the workload of `quorate bench --workload list-append`.
public typealias ListTransaction = KeyedTransaction<ListOperation>

/// Reads the list under a key, and appends to it if there is a value.
public struct ListOperation: KeyedOperation {
    /// The list's key; its shard follows from it.
    public let key: String
    /// What is appended; nil only reads.
    public let value: UInt64?

    /// The root; the lists of each shard are another procedure, `lists.shard`.
    public static let procedure = "lists"
    /// The second: the first one took its locks in the order of the operations, and died more often.
    public static let version: UInt16 = 2
    /// What is not there is empty.
    public static let nothing: [UInt64] = []
    /// An append does.
    public var isChange: Bool { value != nil }
    /// The list, with the value behind it.
    public func after(_ list: [UInt64]) -> [UInt64] { list + (value.map { [$0] } ?? []) }

    /// Any key: the shard refuses one that is too long.
    public init(key: String, value: UInt64?) { (self.key, self.value) = (key, value) }
    /// Any key and value are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (key, value) = (try reader.value(), try reader.bool() ? try reader.uint64() : nil)
    }
    /// Counted key, then a byte that says whether there is a value, and the value.
    public func encode(into writer: inout ByteWriter) {
        writer.put(key)
        writer.put(value != nil)
        if let value { writer.put(integer: value) }
    }
}
