import Messages

/// What executing one batch gave.
public struct ExecutedBatch: Hashable, Sendable {
    /// What a replica attests (R1).
    public let statement: AttestationStatement
    /// The history after this batch.
    public let history: Digest
    /// At most one a request.
    public let leaves: [Leaf]
    /// Uncertified: nothing was recorded for these legs (R9).
    public let refusals: [Refusal]
    /// The shard's time after this batch.
    public let time: Timestamp
    /// Items that changed nothing and were refused nothing: whoever brought them made the shard order what it knew.
    /// Requests by their digest, decides and evidence as `PendingPool` names them.
    public let vain: [Digest]

    /// Where the batch stands in the shard's order.
    public var sequence: SequenceNumber { statement.sequence }
    /// The history before this batch, which chains it to all earlier ones.
    public var previousHistory: Digest { statement.previousHistory }
}

/// Executes one shard's batches in order. Deterministic: the same batches give the same state, leaves and digests,
/// whenever the state was flushed and however often the replica restarted.
///
/// Every method that throws leaves the executor unusable: the replica halts (R7).
public struct ShardExecutor {
    /// Whose batches are executed here.
    public let shard: ShardID
    /// Part of ordered execution: every replica of the shard has the same, from the first batch on.
    public let limits: ShardLimits
    /// Zero before the first batch; after a restart, that of the state in the store.
    public internal(set) var lastExecuted: SequenceNumber
    /// The largest time of any batch so far (R2).
    public internal(set) var time: Timestamp
    /// Everything that was ever executed, in order.
    public internal(set) var history: Digest

    let cluster: ClusterID
    let epoch: Epoch
    let issuer: PublicKey
    let map: ShardMap
    let procedures: ProcedureRegistry
    var state: StateView
    /// Of the batch that is being executed: its number, how many waits began in it, and what was let go and not yet
    /// given on.
    var executing = SequenceNumber.zero
    var waits: UInt64 = 0
    /// Of the batch that is executed: certified votes of requests of which nothing is recorded here.
    var backing: [Digest: [Certificate]] = [:]
    var grants: [[UInt8]] = []

    /// Reads what is above the buckets, and what hosts may have to push: not the state.
    public init(
        shard: ShardID, manifest: Manifest, store: any KeyValueStore, limits: ShardLimits = .init(),
        procedures: ProcedureRegistry = .init()
    ) throws(ShardStateError) {
        precondition(manifest.hasShard(shard))
        (self.shard, self.limits) = (shard, limits)
        (cluster, epoch, issuer, map) = (manifest.cluster, manifest.epoch, manifest.issuer, manifest.shardMap)
        self.procedures = procedures
        let overlay = Overlay(store: store)
        if let stored = try overlay.storedMetadata() {
            let metadata: StateMetadata
            do throws(ShardStateError) {
                metadata = try Self.decode(stored, cluster: manifest.cluster, shard: shard, procedures)
            } catch {
                try Self.checkSeal(of: store, metadata: stored, refusedFor: error)
                throw error
            }
            (lastExecuted, time, history) = (metadata.sequence, metadata.time, metadata.history)
        } else {
            (lastExecuted, time, history) = (.zero, .zero, .null)
        }
        state = try StateView(shard: shard, map: map, overlay: overlay)
    }

    /// Legs with a yes vote and no decision.
    public var undecidedCount: Int { state.indexes.undecided + state.indexes.undecidedCalls }
    /// Records of which another shard may have to be told: they are pushed.
    public var openCount: Int { state.indexes.open.count + state.indexes.openCalls.count }
    /// Keys written since the last freeze.
    public var overlayCount: Int { state.count }
    /// Whether a frozen state waits for `flushed` or `thaw`. Until then there is no other `freeze`.
    public var isFlushing: Bool { state.isFlushing }

    /// Executes a batch whose signatures and certificates were verified before. Content never makes it throw.
    /// - Precondition: `sequence` follows `lastExecuted`.
    public mutating func execute(_ batch: Batch, sequence: SequenceNumber) throws(ShardStateError) -> ExecutedBatch {
        precondition(sequence == lastExecuted.next, "batch \(sequence) after \(lastExecuted)")
        var results = BatchResults()
        // The null request carries no time and changes nothing (R2).
        if !batch.isNull {
            time = max(time, batch.time)
            (executing, waits) = (sequence, 0)
            try forgetDue()
            try forgetDueCalls()
            try expireCalls(into: &results)
            try runWaiters(into: &results)
            for item in batch.items {
                switch item {
                case .decide(let decide): try execute(decide, into: &results)
                case .evidence(let evidence): try execute(evidence, into: &results)
                case .request: continue
                }
                try runWaiters(into: &results)
            }
            for case .request(let request) in batch.items {
                try execute(request, into: &results)
                try runWaiters(into: &results)
            }
            backing = [:]
        }
        let leaves = results.leaves
        let previous = Mutant.is(.attestationWithoutHistory) ? .null : history
        let statement = AttestationStatement(
            cluster: cluster, epoch: epoch, shard: shard, sequence: sequence, previousHistory: previous,
            batch: batch.digest,
            leavesRoot: MerkleTree(leaves: leaves).root)
        history = statement.history
        lastExecuted = sequence
        try state.hashIfDue()
        return ExecutedBatch(
            statement: statement, history: history, leaves: leaves, refusals: results.refusals, time: time,
            vain: results.vain)
    }

    /// Metadata that say that the state is not for this host may have rotted: then it is a damaged state, which can be
    /// fetched again. Of another version's state only that is known, that it is sound if it is not this version's.
    /// - Throws: `digestMismatch` if the store's seal tells that they rotted.
    private static func checkSeal(
        of store: any KeyValueStore, metadata stored: [UInt8], refusedFor error: ShardStateError
    ) throws(ShardStateError) {
        let seal = try reading { try store.seal() }
        guard let seal, let expected = try? Digest(decoding: seal) else { return }
        let buckets = try reading { try StateDigest.bucketDigests(of: store) }
        guard let got = StateDigest.checkpoint(metadata: stored, bucketDigests: buckets) else { return }
        let isDamaged: Bool
        switch error {
        case .stateVersion:
            let ours = (try? StateMetadata(decoding: stored))?.inCurrentVersion.encoded()
            isDamaged = ours.flatMap { StateDigest.checkpoint(metadata: $0, bucketDigests: buckets) } == expected
        case .foreignState, .otherProcedures: isDamaged = got != expected
        case .store, .damagedStore, .corruptEntry, .corruptMetadata, .sequenceMismatch, .digestMismatch:
            isDamaged = false
        }
        if isDamaged { throw .digestMismatch(got: got, expected: expected) }
    }

    var metadata: StateMetadata {
        StateMetadata(
            cluster: cluster, shard: shard, sequence: lastExecuted, history: history, time: time,
            procedures: procedures.fingerprint)
    }

    static func decode(
        _ bytes: [UInt8], cluster: ClusterID, shard: ShardID, _ procedures: ProcedureRegistry
    ) throws(ShardStateError) -> StateMetadata {
        let metadata: StateMetadata
        do { metadata = try StateMetadata(decoding: bytes) } catch { throw .corruptMetadata(error.description) }
        guard metadata.version == StateMetadata.currentVersion else {
            throw .stateVersion(got: metadata.version, supported: StateMetadata.currentVersion)
        }
        guard metadata.cluster == cluster, metadata.shard == shard else {
            throw .foreignState(cluster: metadata.cluster, shard: metadata.shard)
        }
        guard metadata.procedures == procedures.fingerprint else { throw .otherProcedures(names: procedures.names) }
        return metadata
    }
}

/// Leaves and refusals of one batch as they arise.
struct BatchResults {
    private var order: [Leaf] = []
    private var position: [Digest: Int] = [:]
    private(set) var refusals: [Refusal] = []
    private(set) var vain: [Digest] = []

    var leaves: [Leaf] { order }

    /// One leaf a request. What is said later of a leg replaces what was said of it before, but never an outcome: a
    /// request that is ordered twice in one batch may be acknowledged and forgotten in between.
    /// - Parameter entries: ascending by leg.
    mutating func emit(_ request: Digest, _ entries: [Leaf.Entry]) {
        if entries.isEmpty { return }
        guard let index = position[request] else {
            position[request] = order.count
            order.append(Leaf(request: request, entries: entries))
            return
        }
        let (before, after) = (order[index], Leaf(request: request, entries: entries))
        let kept = before.entries.filter { $0.status.isDecided || after.find($0.leg) == nil }
        let added = entries.filter { before.find($0.leg)?.isDecided != true }
        order[index] = Leaf(request: request, entries: (kept + added).sorted { $0.leg < $1.leg })
    }

    /// Of a root call: everything that is to be said of it, in place of what was said before in this batch.
    mutating func emit(_ leaf: Leaf) {
        if let index = position[leaf.request] {
            order[index] = leaf
        } else {
            position[leaf.request] = order.count
            order.append(leaf)
        }
    }

    mutating func refuse(_ refusal: Refusal) { refusals.append(refusal) }
    mutating func noteVain(_ item: Digest) { vain.append(item) }
}
