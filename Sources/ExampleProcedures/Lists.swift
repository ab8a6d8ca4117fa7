import Messages
import ShardState

/// Visits keys one after the other, each from within the call before, and leaves its place in the line at each. A key may come
/// again, and then has what the earlier visit left.
public struct Chain: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let keys: [String]
        public let place: UInt64
        public init(keys: [String], place: UInt64 = 0) { (self.keys, self.place) = (keys, place) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) { (keys, place) = (try reader.array(limit: 16), try reader.uint64()) }
        public func encode(into writer: inout ByteWriter) {
            writer.put(array: keys)
            writer.put(integer: place)
        }
    }

    public static let name = "chain"
    /// What each key held when it was visited, in order.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> [UInt64] {
        guard let key = arguments.keys.first else { return [] }
        let held: UInt64 = try context.value(of: key) ?? 0
        try context.set(key, to: held + arguments.place + 1)
        guard let next = arguments.keys.dropFirst().first else { return [held] }
        let rest: [UInt64] = try context.call(
            .key(next), name, Arguments(keys: Array(arguments.keys.dropFirst()), place: arguments.place + 1))
        return [held] + rest
    }
}

/// Reads the list under a key, and appends to it if there is a value.
public struct ListOperation: Hashable, Sendable, CanonicalCodable {
    public let key: String
    public let value: UInt64?

    public init(key: String, value: UInt64?) { (self.key, self.value) = (key, value) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (key, value) = (try reader.value(), try reader.bool() ? try reader.uint64() : nil)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(key)
        writer.put(value != nil)
        if let value { writer.put(integer: value) }
    }
}

/// Operations on lists of any shards, in one transaction: the workload of `quorate bench --workload list-append`.
public struct ListTransaction: Procedure {
    public static let name = "lists"
    /// What each operation read, before its append.
    public static func run(_ operations: [ListOperation], _ context: ProcedureContext) throws -> [[UInt64]] {
        try operations.map { try context.call(.key($0.key), ListStep.name, $0) }
    }
}

public struct ListStep: Procedure {
    public static let name = "lists.step"
    public static func run(_ operation: ListOperation, _ context: ProcedureContext) throws -> [UInt64] {
        let list: [UInt64] = try context.value(of: operation.key) ?? []
        if let value = operation.value { try context.set(operation.key, to: list + [value]) }
        return list
    }
}
