import Messages

/// What a state's metadata say, whoever made it.
public struct StoredStateHeader: Hashable, Sendable {
    /// Of its format.
    public let version: UInt16
    /// Of the format that this build reads.
    public static var supportedVersion: UInt16 { StateMetadata.currentVersion }
    /// Whose state it is.
    public let cluster: ClusterID
    /// Of that cluster.
    public let shard: ShardID
    /// The last batch that is in it.
    public let sequence: SequenceNumber
    /// Of everything that was executed.
    public let history: Digest
    /// The shard's time after it.
    public let time: Timestamp
    /// The fingerprint of the procedures that it was made with.
    public let procedures: Digest
    /// The checkpoint's digest as it was stored with the state; nil if it was not.
    public let seal: Digest?

    /// - Returns: nil if the store holds no state.
    /// - Throws: `corruptMetadata`, or that the store cannot be read.
    public init?(of store: some KeyValueReader) throws(ShardStateError) {
        let bytes = try reading { try store.metadata() }
        let sealed = try reading { try store.seal() }
        guard let bytes else { return nil }
        let metadata: StateMetadata
        do { metadata = try StateMetadata(decoding: bytes) } catch { throw .corruptMetadata(error.description) }
        (version, cluster, shard) = (metadata.version, metadata.cluster, metadata.shard)
        (sequence, history, time) = (metadata.sequence, metadata.history, metadata.time)
        procedures = metadata.procedures
        if let sealed {
            do { seal = try Digest(decoding: sealed) } catch { throw .corruptMetadata("the seal: \(error)") }
        } else {
            seal = nil
        }
    }
}

/// A state that a store holds, to be looked at: nothing is executed on it or written. Unlike `ShardExecutor` it needs no
/// procedures.
public struct StoredState {
    /// What it says of itself.
    public let header: StoredStateHeader
    private var context: ExecutionContext
    private let metadata: [UInt8]

    /// Reads what is above the buckets, and what hosts may have to push.
    /// - Returns: nil if the store holds no state.
    /// - Throws: `stateVersion` and `foreignState` for a state that this build or manifest cannot read.
    public init?(of store: any KeyValueStore, shard: ShardID, manifest: Manifest) throws(ShardStateError) {
        precondition(manifest.hasShard(shard))
        let stored = try reading { try store.metadata() }
        guard let stored, let header = try Self.header(of: store) else { return nil }
        guard header.version == StateMetadata.currentVersion else {
            throw .stateVersion(got: header.version, supported: StateMetadata.currentVersion)
        }
        guard header.cluster == manifest.cluster, header.shard == shard else {
            throw .foreignState(cluster: header.cluster, shard: header.shard)
        }
        (self.header, metadata) = (header, stored)
        context = try ExecutionContext(
            shard: shard, map: manifest.shardMap, store: store, time: header.time, limits: ShardLimits())
    }

    private static func header(of store: some KeyValueReader) throws(ShardStateError) -> StoredStateHeader? {
        try StoredStateHeader(of: store)
    }

    /// Legs and calls with no decision.
    public var undecided: Int { context.undecidedCount }
    /// Records of which another shard may have to be told.
    public var open: Int { context.openCount }
    /// Keys that procedures hold, and keys that they wait for.
    public var locks: (held: Int, awaited: Int) { context.state.indexes.locks.counts }

    /// Of the buckets, as the tree has them: how many have entries, and the most that one has.
    public var buckets: (used: Int, all: Int, largest: UInt64) { context.state.bucketCounts }

    /// The digest of the state, from the buckets' digests as they are stored.
    public mutating func digest() throws(ShardStateError) -> Digest {
        StateDigest.checkpoint(metadata: metadata, root: try context.state.root())
    }

    /// Reads all entries, and holds them and the nodes over them against the buckets' digests.
    /// - Throws: what is wrong.
    public mutating func verify() throws(ShardStateError) {
        while try context.state.check(entries: 100_000) {}
    }

    /// How many entries of each kind there are, by its name; reads them all.
    public func census() throws(ShardStateError) -> [(kind: String, count: Int)] {
        var counts: [Int] = Array(repeating: 0, count: Self.kinds.count)
        try context.state.forEach { key, _ in
            guard let kind = StateKey.kind(of: key), let place = Self.kinds.firstIndex(where: { $0.kind == kind })
            else { throw ShardStateError.corruptEntry(key: key, what: "not a key of the state") }
            counts[place] += 1
        }
        return zip(Self.kinds, counts).map { ($0.name, $1) }
    }

    private static let kinds: [(kind: StateKey.Kind, name: String)] = [
        (.account, "accounts"), (.value, "values"), (.principal, "principals"), (.request, "requests"),
        (.body, "bodies"), (.call, "calls"), (.issued, "assets"),
    ]

    /// Nil if there is none.
    public func account(_ id: AccountID) throws(ShardStateError) -> AccountView? { try context.account(id) }

    /// Whether a procedure uses the account.
    public func isLocked(_ id: AccountID) -> Bool { context.isLocked(id) }

    /// Records of which another shard may have to be told, with those shards; the ones with the earliest deadline.
    /// - Parameter limit: of legs and of calls each.
    public func openRecords(limit: Int) throws(ShardStateError) -> [UnforgottenRecord] {
        try context.unforgotten(after: nil, limit: limit) + context.unfinishedCalls(after: nil, limit: limit)
    }
}
