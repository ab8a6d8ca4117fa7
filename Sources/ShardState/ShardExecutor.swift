import Messages

/// Executes one shard's batches in order. Deterministic: the same batches give the same state, leaves and digests,
/// whenever the state was flushed and however often the replica restarted.
///
/// What a batch does is the work of two others over one `ExecutionContext`: of the `Participant`, which votes on legs
/// and decides them, and of the `Calls`, which run procedures. Neither knows the other. Which of them an item is for,
/// and in what order they have their turns, is said here and nowhere else (`execute`); what both must agree on is in
/// the state that they share: who may have a request number (R11), and which keys are locked (R6).
///
/// Every method that throws leaves the executor unusable: the replica halts (R7).
public struct ShardExecutor {
    /// Zero before the first batch; after a restart, that of the state in the store.
    public private(set) var lastExecuted: SequenceNumber
    /// Everything that was ever executed, in order.
    public private(set) var history: Digest

    let cluster: ClusterID
    let epoch: Epoch
    var context: ExecutionContext
    private(set) var participant: Participant
    private(set) var calls: Calls

    /// Reads what is above the buckets, and what hosts may have to push: not the state.
    public init(
        shard: ShardID, manifest: Manifest, store: any KeyValueStore, limits: ShardLimits = .init(),
        procedures: ProcedureRegistry = .init(), ahead: HashingAhead = .init()
    ) throws(ShardStateError) {
        precondition(manifest.hasShard(shard))
        (cluster, epoch) = (manifest.cluster, manifest.epoch)
        participant = Participant(issuer: manifest.issuer, compliance: manifest.compliance)
        calls = Calls(procedures: procedures)
        let overlay = Overlay(store: store)
        let time: Timestamp
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
        context = ExecutionContext(
            state: try StateView(shard: shard, map: manifest.shardMap, overlay: overlay, ahead: ahead), time: time,
            limits: limits)
    }

    /// Whose batches are executed here.
    public var shard: ShardID { context.shard }
    /// Part of ordered execution: every replica of the shard has the same, from the first batch on.
    public var limits: ShardLimits { context.limits }
    /// The largest time of any batch so far (R2).
    public var time: Timestamp { context.time }
    /// Legs with a yes vote and no decision.
    public var undecidedCount: Int { context.undecidedCount }
    /// Records of which another shard may have to be told: they are pushed.
    public var openCount: Int { context.openCount }
    /// Keys written since the last freeze.
    public var overlayCount: Int { context.overlayCount }
    /// Whether a frozen state waits for `flushed` or `thaw`. Until then there is no other `freeze`.
    public var isFlushing: Bool { context.isFlushing }

    /// Executes what the shard has ordered, whose signatures and certificates are not checked again. Content never
    /// makes it throw.
    /// - Parameter hashesAhead: a large state's changes are hashed as they come, so that the checkpoint has little left
    ///   to hash. Nobody waits for a checkpoint of what is executed again after a restart, and to hash once costs less.
    /// - Precondition: its sequence number follows `lastExecuted`.
    public mutating func execute(
        _ ordered: OrderedBatch, hashesAhead: Bool = true
    ) throws(ShardStateError) -> ExecutedBatch {
        let (batch, sequence) = (ordered.batch, ordered.sequence)
        precondition(sequence == lastExecuted.next, "batch \(sequence) after \(lastExecuted)")
        var results = BatchResults()
        // The null request carries no time and changes nothing (R2).
        if !batch.isNull { try execute(ordered.items, of: sequence, at: batch.time, into: &results) }
        let leaves = results.leaves
        let previous = Mutant.is(.attestationWithoutHistory) ? .null : history
        let statement = AttestationStatement(
            cluster: cluster, epoch: epoch, shard: shard, sequence: sequence, previousHistory: previous,
            batch: batch.digest,
            leavesRoot: MerkleTree(leaves: leaves).root)
        history = statement.history
        lastExecuted = sequence
        if hashesAhead { try context.state.hashIfDue() }
        return ExecutedBatch(
            statement: statement, history: history, leaves: leaves, refusals: results.refusals, time: time,
            vain: results.vain)
    }

    /// The order of things in a batch. What is over goes first, then what ends something, then what begins something:
    /// decides and evidence free what requests of the same batch need. After each of them, who waited for what it let
    /// go has his turn.
    private mutating func execute(
        _ items: [BatchItem], of sequence: SequenceNumber, at time: Timestamp, into results: inout BatchResults
    ) throws(ShardStateError) {
        context.time = max(context.time, time)
        calls.begin(sequence)
        try participant.forgetDue(in: &context)
        try calls.forgetDue(in: &context)
        try calls.expire(in: &context, into: &results)
        try calls.runWaiters(in: &context, into: &results)
        for item in items {
            switch item {
            case .decide(let decide): try participant.execute(decide, in: &context, into: &results)
            case .evidence(let evidence): try calls.execute(evidence, in: &context, into: &results)
            case .request: continue
            }
            try calls.runWaiters(in: &context, into: &results)
        }
        for case .request(let signed) in items {
            // It is legs, or it is a root call, and never both.
            if let invocation = signed.request.rootCall {
                try calls.execute(signed, invocation, in: &context, into: &results)
            } else {
                try participant.execute(signed, in: &context, into: &results)
            }
            try calls.runWaiters(in: &context, into: &results)
        }
        participant.finish()
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
            procedures: calls.procedures.fingerprint)
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
