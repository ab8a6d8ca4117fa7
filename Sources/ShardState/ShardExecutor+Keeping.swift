import Messages

/// A state to be written down whole, or as what changed since the one before.
public struct FrozenState: Hashable, Sendable {
    public let sequence: SequenceNumber
    /// Ascending by key.
    public let writes: [KeyValueWrite]
    public let metadata: [UInt8]
    /// Everything in the store goes first.
    public let clearing: Bool
}

/// Digests, flushing, state transfer.
extension ShardExecutor {
    /// The digest of the whole state after `lastExecuted`. Hashes only buckets that changed since the last time.
    public mutating func checkpointDigest() throws(ShardStateError) -> Digest {
        try hashDirtyBuckets()
        return StateDigest.checkpoint(metadata: metadata.encoded(), root: indexes.tree.root)
    }

    /// The digests of every bucket after `lastExecuted`: with the metadata they are what state transfer starts from.
    public mutating func bucketDigests() throws(ShardStateError) -> [Digest] {
        try hashDirtyBuckets()
        return indexes.tree.buckets
    }

    private mutating func hashDirtyBuckets() throws(ShardStateError) {
        var digests: [Digest] = []
        for bucket in indexes.tree.dirty {
            var writer = ByteWriter(reserving: 4096)
            try overlay.forEach(inBucket: bucket) { StateDigest.put($0, $1, into: &writer) }
            digests.append(StateDigest.bucketDigest(of: writer))
        }
        indexes.tree.clean(digests)
    }

    /// Sets apart what was written so far, to be flushed while execution goes on; nil while another flush is under way.
    public mutating func freeze() -> FrozenState? {
        guard let writes = overlay.freeze(at: lastExecuted) else { return nil }
        return FrozenState(sequence: lastExecuted, writes: writes, metadata: metadata.encoded(), clearing: false)
    }

    /// The flush of the state at `sequence` is durable. Ignored if that state is not the one being flushed.
    public mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) { try overlay.flushed(sequence) }

    /// Becomes another replica's state. The caller has checked metadata and entries against a digest that a quorum
    /// certified; nothing changes if they are damaged all the same.
    /// - Parameter entries: all of them, in any order, no key twice.
    /// - Returns: what is to be flushed. Until it is, nothing is read from the store.
    public mutating func install(
        sequence: SequenceNumber, metadata: [UInt8], entries: [StateTransferMessage.StateEntry]
    ) throws(ShardStateError) -> FrozenState {
        let decoded = try Self.decode(metadata, cluster: cluster, shard: shard)
        guard decoded.sequence == sequence else { throw .sequenceMismatch(got: decoded.sequence, expected: sequence) }
        var layer = OverlayLayer()
        for entry in entries {
            guard let bucket = StateKey.bucket(of: entry.key) else { throw .corruptEntry(key: entry.key, what: "bucket") }
            guard layer.values[entry.key] == nil else { throw .corruptEntry(key: entry.key, what: "twice") }
            layer.set(entry.key, entry.value, bucket: bucket)
        }
        var installed = overlay
        installed.install(layer, at: sequence)
        indexes = try StateIndexes(scanning: installed)
        overlay = installed
        (lastExecuted, time, history) = (sequence, decoded.time, decoded.history)
        return FrozenState(sequence: sequence, writes: layer.writes(), metadata: metadata, clearing: true)
    }

    /// The store as of the last flush, for peers that need a whole state.
    public func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable { try overlay.snapshot() }
}
