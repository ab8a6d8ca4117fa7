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

    /// Called by itself, once for each key.
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
    /// The list's key; its shard follows from it.
    public let key: String
    /// What is appended; nil only reads.
    public let value: UInt64?

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

/// Operations on lists of any shards, in one transaction: the workload of `quorate bench --workload list-append`.
///
/// Their order matters only where they concern the same list. So they are grouped by shard, and every shard is called
/// once, in ascending order, and takes its locks in ascending order: then the transaction waits where others stand in
/// its way, and does not die (R5). It is best called on the highest of its shards, `home(of:)`: what that one locks is
/// let go in the same batch, if nobody is in the way.
public struct ListTransaction: Procedure {
    /// The root; the lists of each shard are another procedure, `ListsOfShard`.
    public static let name = "lists"
    /// The second: the first one took its locks in the order of the operations, and died more often.
    public static let version: UInt16 = 2
    /// By shard, and on each shard by key: what `run` does, and `ListsOfShard` on each shard.
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
    /// Called by `ListTransaction`, once on each of its shards.
    public static let name = "lists.shard"
    /// What each operation read, before its append. Every list is locked before any is changed.
    /// - Throws: when a key is another shard's, or holds something else than a list.
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
