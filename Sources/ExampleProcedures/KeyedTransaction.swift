import Messages
import ShardState

/// What is done to the value under one key, as a part of a `KeyedTransaction`.
public protocol KeyedOperation: Hashable, Sendable, CanonicalCodable {
    /// What is under the key.
    associatedtype Held: CanonicalCodable

    /// The name of the transaction; that of its part on each shard is this and `.shard`.
    static var procedure: String { get }
    /// Of the transaction; its parts are always the first version.
    static var version: UInt16 { get }
    /// What a key holds under which nothing was ever put.
    static var nothing: Held { get }

    /// The key's shard does it.
    var key: String { get }
    /// False for what only reads.
    var isChange: Bool { get }
    /// What the key holds afterwards.
    /// - Throws: what ends the transaction.
    func after(_ held: Held) throws -> Held
}

extension KeyedOperation {
    /// 1, for what was never changed.
    public static var version: UInt16 { 1 }
}

/// Operations on keys of any shards, in one transaction.
///
/// Their order matters only where they concern the same key. So they are grouped by shard, and every shard is called
/// once, in ascending order, and takes its locks in ascending order: then the transaction waits where others stand in
/// its way, and does not die (R5). It is best called on the highest of its shards, `home(of:)`: what that one locks is
/// let go in the same batch, if nobody is in the way.
public struct KeyedTransaction<Operation: KeyedOperation>: Procedure {
    /// The root; what is done on each shard is another procedure, `KeyedOfShard`.
    public static var name: String { Operation.procedure }
    /// As the operation says.
    public static var version: UInt16 { Operation.version }
    /// By shard, and on each shard by key: what `run` does, and `KeyedOfShard` on each shard.
    public static var locksInOrder: Bool { true }

    /// Where it is best called.
    public static func home(of operations: [Operation], in map: ShardMap) -> CallTarget? {
        operations.max { first, second in
            let (one, other) = (Array(first.key.utf8), Array(second.key.utf8))
            let shards = (map.shard(ofKey: one), map.shard(ofKey: other))
            return shards.0 == shards.1 ? one.lexicographicallyPrecedes(other) : shards.0 < shards.1
        }.map { .key($0.key) }
    }

    /// What each operation found.
    public static func run(_ operations: [Operation], _ context: ProcedureContext) throws -> [Operation.Held] {
        let shards = operations.map { context.shard(of: .key($0.key)) }
        let places = operations.indices.sorted { (shards[$0], $0) < (shards[$1], $1) }
        var found = [Operation.Held](repeating: Operation.nothing, count: operations.count)
        var rest = places[...]
        while let first = rest.first {
            let here = rest.prefix { shards[$0] == shards[first] }
            rest = rest.dropFirst(here.count)
            let group = here.map { operations[$0] }
            let values: [Operation.Held] =
                if shards[first] == context.shard { try KeyedOfShard.run(group, context) } else {
                    try context.call(.key(group[0].key), KeyedOfShard<Operation>.name, group)
                }
            for (place, value) in zip(here, values) { found[place] = value }
        }
        return found
    }
}

/// Those of one shard.
public struct KeyedOfShard<Operation: KeyedOperation>: Procedure {
    /// Called by `KeyedTransaction`, once on each of its shards.
    public static var name: String { Operation.procedure + ".shard" }
    /// What each operation found. Every key is locked before any is changed.
    /// - Throws: when a key is another shard's, or holds something else; and what an operation throws.
    public static func run(_ operations: [Operation], _ context: ProcedureContext) throws -> [Operation.Held] {
        let changed = Set(operations.filter(\.isChange).map { Array($0.key.utf8) })
        // Locked in ascending order first, then in the order in which they were asked for.
        for key in LockOrder.keys(operations.map(\.key)) {
            _ = try context.bytes(of: key, toChange: changed.contains(key))
        }
        return try operations.map { operation in
            let held = try context.value(of: operation.key) ?? Operation.nothing
            if operation.isChange { try context.set(operation.key, to: try operation.after(held)) }
            return held
        }
    }
}
