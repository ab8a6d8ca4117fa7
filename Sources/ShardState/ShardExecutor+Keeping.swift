import Messages

/// A state to be written down, as what changed since the one in the store.
public struct FrozenState: Sendable {
    /// Of the last batch that is in it.
    public let sequence: SequenceNumber
    /// Where what the store has staged goes first; nil for a state that was reached here.
    public let moves: [KeyRange]?
    /// What changed.
    public let writes: StateWrites
    /// Cluster, shard, sequence number, history, time and the procedures' fingerprint, encoded.
    public let metadata: [UInt8]
    /// Of the whole state.
    public let digest: Digest
}

/// Digests, flushing, state transfer.
extension ShardExecutor {
    /// The digest of the whole state after `lastExecuted`. Hashes only what changed since the last time.
    public mutating func checkpointDigest() throws(ShardStateError) -> Digest {
        let root = try context.state.root()
        return StateDigest.checkpoint(metadata: metadata.encoded(), root: root)
    }

    /// The digest that the state in the store had when it was written; nil if it was not written with it.
    public func storedSeal() throws(ShardStateError) -> Digest? {
        guard let bytes = try context.state.storedSeal() else { return nil }
        do { return try Digest(decoding: bytes) } catch { throw .corruptMetadata("the seal: \(error)") }
    }

    /// The digests of every bucket after `lastExecuted`: with the metadata they are what state transfer starts from.
    public mutating func bucketDigests() throws(ShardStateError) -> [Digest] {
        try context.state.bucketDigests()
    }

    /// Sets apart what was written so far, to be flushed while execution goes on; nil while another flush is under way.
    public mutating func freeze() throws(ShardStateError) -> FrozenState? {
        guard let writes = try context.state.freeze(at: lastExecuted) else { return nil }
        return FrozenState(
            sequence: lastExecuted, moves: nil, writes: writes, metadata: metadata.encoded(),
            digest: try checkpointDigest())
    }

    /// The flush of the state at `sequence` is durable. Ignored if that state is not the one being flushed.
    public mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) {
        try context.state.flushed(sequence)
    }

    /// Forgets that a frozen state was to be flushed: it never will be.
    public mutating func thaw() { context.state.thaw() }

    /// How the store comes to hold another replica's state, from this one's and the buckets that differ. The caller has
    /// checked the metadata against a digest that enough peers vouch for. Changes nothing here: when it is written down
    /// another executor is opened from `refreshedStore`.
    /// - Parameters:
    ///   - staged: each bucket whose digest differs from `bucketDigests()`, as the store has it staged.
    ///   - digest: of the other state.
    /// - Precondition: no flush is under way.
    /// - Throws: among others `digestMismatch` if it would not be the state of that digest.
    public mutating func replacement(
        sequence: SequenceNumber, metadata: [UInt8], staged: [BucketSummary], digest: Digest
    ) throws(ShardStateError) -> FrozenState {
        precondition(!isFlushing)
        let decoded = try Self.decode(metadata, cluster: cluster, shard: shard, calls.procedures)
        guard decoded.sequence == sequence else { throw .sequenceMismatch(got: decoded.sequence, expected: sequence) }
        let (root, writes) = try context.state.replacement(by: staged)
        let got = StateDigest.checkpoint(metadata: metadata, root: root)
        guard got == digest else { throw .digestMismatch(got: got, expected: digest) }
        return FrozenState(
            sequence: sequence, moves: staged.flatMap { StateDigest.ranges(ofBucket: $0.bucket) }, writes: writes,
            metadata: metadata, digest: digest)
    }

    /// Reads the store as of its last write from now on, where that has the same entries: only staging was between.
    public mutating func renewReads() throws(ShardStateError) { try context.state.renewReads() }

    /// The store as of its last write. What is read here stays what it was.
    public func refreshedStore() throws(ShardStateError) -> any KeyValueStore {
        try context.state.refreshedStore()
    }

    /// The store as of the last flush, for peers that fetch from it.
    public func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable {
        try context.state.snapshot()
    }

    // MARK: Checking what was read

    /// Reads buckets of the state, and holds them against their digests: what is read is what was written, whatever the
    /// disk has done to it since. Goes on where the last call stopped, until everything was read once.
    /// - Parameter entries: about so many.
    /// - Returns: whether there is more.
    /// - Throws: what is wrong.
    @discardableResult
    public mutating func check(entries: Int) throws(ShardStateError) -> Bool {
        try context.state.check(entries: entries)
    }
}
