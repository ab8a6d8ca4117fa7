import Messages
import ShardState

/// Visits keys one after the other, each from within the call before, and leaves its place in the line at each. A key
/// may come again, and then has what the earlier visit left.
public struct Chain: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let keys: [String]
        public let place: UInt64
        public init(keys: [String], place: UInt64 = 0) { (self.keys, self.place) = (keys, place) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (keys, place) = (try reader.array(limit: 16), try reader.uint64())
        }
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
///
/// Their order matters only where they concern the same list. So they are grouped by shard, and every shard is called
/// once, in ascending order, and takes its locks in ascending order: then the transaction waits where others stand in
/// its way, and does not die (R5). It is best called on the highest of its shards, `home(of:)`: what that one locks is
/// let go in the same batch, if nobody is in the way.
public struct ListTransaction: Procedure {
    public static let name = "lists"
    public static let version: UInt16 = 2
    public static let locksInOrder = true

    /// Where it is best called.
    public static func home(of operations: [ListOperation], in map: ShardMap) -> CallTarget? {
        operations.max {
            (map.shard(ofKey: Array($0.key.utf8)), $0.key) < (map.shard(ofKey: Array($1.key.utf8)), $1.key)
        }.map { .key($0.key) }
    }

    /// What each operation read, before its append.
    public static func run(_ operations: [ListOperation], _ context: ProcedureContext) throws -> [[UInt64]] {
        let shards = operations.map { context.shard(of: .key($0.key)) }
        let places = operations.indices.sorted { (shards[$0], $0) < (shards[$1], $1) }
        var read = [[UInt64]](repeating: [], count: operations.count)
        var rest = places[...]
        while let first = rest.first {
            let here = rest.prefix { shards[$0] == shards[first] }
            rest = rest.dropFirst(here.count)
            let group = here.map { operations[$0] }
            let lists: [[UInt64]] =
                if shards[first] == context.shard { try ListsOfShard.run(group, context) } else {
                    try context.call(.key(group[0].key), ListsOfShard.name, group)
                }
            for (place, list) in zip(here, lists) { read[place] = list }
        }
        return read
    }
}

/// Those of one shard.
public struct ListsOfShard: Procedure {
    public static let name = "lists.shard"
    public static func run(_ operations: [ListOperation], _ context: ProcedureContext) throws -> [[UInt64]] {
        let changed = Set(operations.filter { $0.value != nil }.map(\.key))
        // Locked in ascending order first, then in the order in which they were asked for.
        for key in Set(operations.map(\.key)).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            _ = try context.bytes(of: Array(key.utf8), toChange: changed.contains(key))
        }
        return try operations.map { operation in
            let list: [UInt64] = try context.value(of: operation.key) ?? []
            if let value = operation.value { try context.set(operation.key, to: list + [value]) }
            return list
        }
    }
}
