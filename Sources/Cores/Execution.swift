import Messages
import PBFT
import ShardState

/// A replica's state: executes batches, takes checkpoints, and has the state written down when a quorum has the same.
package struct Execution {
    private let setting: ShardSetting
    package private(set) var executor: ShardExecutor
    /// The frozen state that is flushed as soon as its checkpoint is stable.
    private var frozen: FrozenState?
    /// A peers' state that is being written down; the executor still has the own one.
    private var installing: Checkpoint?
    /// Taken above the state on disk, to vouch for the states of peers that have written down later ones; ascending.
    package private(set) var taken: [Checkpoint] = []
    private var isChecked = false
    private var checkedAt: UInt64 = 0
    /// What a start has executed again, for the archive.
    private var archived: [ArchivedBatch] = []
    /// The last audit and when it was made.
    private var lastAudit: (audit: ShardAudit, at: UInt64)?

    /// Opens the state where the store has it.
    package init(_ setting: ShardSetting, store: any KeyValueStore) throws(ShardStateError) {
        self.setting = setting
        executor = try Self.open(setting, store)
    }

    private static func open(
        _ setting: ShardSetting, _ store: any KeyValueStore
    ) throws(ShardStateError) -> ShardExecutor {
        try ShardExecutor(
            shard: setting.shard, manifest: setting.manifest, store: store, limits: setting.options.shard,
            procedures: setting.options.procedures, ahead: setting.options.hashingAhead)
    }

    /// What the store has.
    mutating func base(_ options: HostOptions) throws(ShardStateError) -> Checkpoint {
        let base = Checkpoint(sequence: executor.lastExecuted, digest: try executor.checkpointDigest())
        // What is read is what was written, whatever the disk has done to it since.
        if let seal = try executor.storedSeal(), seal != base.digest {
            throw .digestMismatch(got: base.digest, expected: seal)
        }
        try executor.check(entries: options.entriesCheckedAtStart)
        return base
    }

    /// Executes again what the journal knows to be committed.
    mutating func restore(
        _ batches: [OrderedBatch], for replica: Replica, options: HostOptions
    ) throws(ShardStateError) -> [ExecutedBatch] {
        // A flush that the crash came before is due again: peers that lag can fetch a state only where f + 1 hold the
        // same.
        let due = batches.map(\.sequence).filter { Self.isFlushDue(at: $0, options) }
        let freezesAt = due.last { $0 <= replica.stable.sequence } ?? due.first
        var results: [ExecutedBatch] = []
        for ordered in batches {
            let sequence = ordered.sequence
            let decided = try decidedRequests(ordered)
            let executed = try executor.execute(ordered, hashesAhead: false)
            if options.archives { archived.append(try archived(ordered, executed, decided)) }
            results.append(executed)
            if replica.isCheckpoint(sequence) {
                taken.append(Checkpoint(sequence: sequence, digest: try executor.checkpointDigest()))
            }
            if sequence == freezesAt { frozen = try executor.freeze() }
        }
        // What is left to hash is not left to the first batch that somebody waits for.
        _ = try executor.checkpointDigest()
        return results
    }

    package mutating func execute(_ ordered: OrderedBatch) throws(ShardFailure) -> ExecutedBatch {
        do {
            let decided = try decidedRequests(ordered)
            let executed = try executor.execute(ordered)
            if setting.options.archives { archived.append(try archived(ordered, executed, decided)) }
            return executed
        } catch {
            throw ShardFailure("execution of batch \(ordered.sequence)", error)
        }
    }

    // MARK: For the archive

    /// What was executed since this was asked last.
    mutating func takeArchived() -> [ArchivedBatch] {
        if archived.isEmpty { return [] }
        defer { archived = [] }
        return archived
    }

    /// What the batch decides, which it names by its digest alone. Looked up before it is executed: what ends may be
    /// forgotten.
    private func decidedRequests(_ ordered: OrderedBatch) throws(ShardStateError) -> [SignedRequest] {
        guard setting.options.archives else { return [] }
        var requests: [SignedRequest] = []
        for case .decide(let decide) in ordered.batch.items {
            if let request = try executor.request(of: decide) { requests.append(request) }
        }
        return requests
    }

    private func archived(
        _ ordered: OrderedBatch, _ executed: ExecutedBatch, _ decided: [SignedRequest]
    ) throws(ShardStateError) -> ArchivedBatch {
        var requests: [SignedRequest] = []
        var room = ArchivedBatch.maxRequestBytes
        func add(_ request: SignedRequest) {
            guard request.bytes.count <= room else { return }
            room -= request.bytes.count
            requests.append(request)
        }
        if !decided.isEmpty {
            var spokenOf = Set(executed.leaves.map(\.request))
            for request in decided where spokenOf.remove(request.digest) != nil { add(request) }
        }
        let calls = executed.leaves.filter(\.isOfCall).map(\.request)
        if !calls.isEmpty {
            // A call that got a lock goes on in the batch of whoever had it.
            var inside: Set<Digest> = []
            for case .request(let request) in ordered.batch.items { inside.insert(request.digest) }
            for case .evidence(let evidence) in ordered.batch.items { inside.insert(evidence.root.digest) }
            for call in calls where !inside.contains(call) {
                if let root = try executor.root(ofCall: call) { add(root) }
            }
        }
        return ArchivedBatch(
            statement: executed.statement, batch: ordered.batch.bytes, leaves: executed.leaves, requests: requests)
    }

    // MARK: Checkpoints

    package mutating func takeCheckpoint(at sequence: SequenceNumber, options: HostOptions) throws(ShardFailure)
        -> Checkpoint
    {
        do {
            let checkpoint = Checkpoint(sequence: sequence, digest: try executor.checkpointDigest())
            taken.append(checkpoint)
            let isDue = Self.isFlushDue(at: sequence, options) || executor.overlayCount >= options.flushKeys
            // One flush at a time; the next checkpoint asks again.
            if isDue, frozen == nil, !executor.isFlushing { frozen = try executor.freeze() }
            return checkpoint
        } catch { throw ShardFailure("digest of the state after \(sequence)", error) }
    }

    /// The same checkpoints on every host, so that peers hold the same states.
    private static func isFlushDue(at sequence: SequenceNumber, _ options: HostOptions) -> Bool {
        sequence.number.isMultiple(of: options.replica.checkpointInterval)
            && (sequence.number / options.replica.checkpointInterval).isMultiple(of: options.checkpointsPerFlush)
    }

    /// Only a stable checkpoint is written down: a quorum has the same state (R1).
    package mutating func flush(stable: SequenceNumber) -> StateFlush? {
        let stable = Mutant.is(.flushesUnstable) ? executor.lastExecuted : stable
        guard let frozen, stable >= frozen.sequence else { return nil }
        self.frozen = nil
        return flush(frozen)
    }

    private func flush(_ frozen: FrozenState) -> StateFlush {
        StateFlush(
            shard: executor.shard, sequence: frozen.sequence, writes: frozen.writes, moves: frozen.moves,
            metadata: frozen.metadata, digest: frozen.digest)
    }

    package mutating func flushed(_ sequence: SequenceNumber) throws(ShardFailure) {
        do {
            if let installing, installing.sequence == sequence {
                try become(installing)
            } else {
                try executor.flushed(sequence)
            }
        } catch { throw ShardFailure("reading the store after the flush of \(sequence)", error) }
        taken.removeAll { $0.sequence <= sequence }
    }

    // MARK: State transfer

    package mutating func ownBuckets() throws(ShardFailure) -> [Digest] {
        do { return try executor.bucketDigests() } catch {
            throw ShardFailure("digests of the own state", error)
        }
    }

    /// Nil if a flush is on its way to the disk: not now.
    package mutating func install(_ state: FetchedState) throws(ShardFailure) -> StateFlush? {
        if frozen != nil {
            frozen = nil
            executor.thaw()
        }
        guard !executor.isFlushing, installing == nil else { return nil }
        do {
            let replacement = try executor.replacement(
                sequence: state.checkpoint.sequence, metadata: state.metadata, staged: state.buckets,
                digest: state.checkpoint.digest)
            installing = state.checkpoint
            return flush(replacement)
        } catch { throw ShardFailure("installing the state of \(state.checkpoint.sequence)", error) }
    }

    /// Something was staged. Reads move on, or the store could not use again the pages that staging has freed; what is
    /// read stays the same.
    package mutating func staged() throws(ShardFailure) {
        guard installing == nil else { return }
        do { try executor.renewReads() } catch { throw ShardFailure("reading the store after staging", error) }
    }

    /// The store has it: opens it as a start does, and checks it anew.
    private mutating func become(_ installed: Checkpoint) throws(ShardStateError) {
        (installing, isChecked) = (nil, false)
        executor = try Self.open(setting, try executor.refreshedStore())
        let got = try executor.checkpointDigest()
        guard executor.lastExecuted == installed.sequence, got == installed.digest else {
            throw .digestMismatch(got: got, expected: installed.digest)
        }
    }

    /// The store as it is.
    package func snapshot() throws(ShardFailure) -> any KeyValueReader & Sendable {
        do { return try executor.snapshot() } catch {
            throw ShardFailure("reading a snapshot for a peer", error)
        }
    }

    // MARK: Checking

    /// Reads a little more of a large state that was not read at the start.
    package mutating func check(now: UInt64, options: HostOptions) throws(ShardFailure) {
        guard !isChecked, now >= checkedAt + options.checkInterval else { return }
        checkedAt = now
        do { isChecked = try !executor.check(entries: options.entriesCheckedAtOnce) } catch {
            throw ShardFailure("the state on disk is not what was written", error)
        }
    }

    // MARK: Questions

    /// Reads the whole state: whoever asks often gets the last answer again.
    package mutating func audit(now: UInt64) throws(ShardFailure) -> ShardAudit {
        if let (audit, at) = lastAudit,
            audit.sequence == executor.lastExecuted || now < at + setting.options.auditInterval
        {
            return audit
        }
        do {
            let audit = try executor.audit(replica: setting.me)
            lastAudit = (audit, now)
            return audit
        } catch { throw ShardFailure("audit", error) }
    }

    /// For tests and simulation: reads the whole state.
    mutating func checkInvariants() throws { try executor.checkInvariants() }
    mutating func freshAudit() throws -> ShardAudit { try executor.audit(replica: setting.me) }
}

extension Leaf {
    /// A root call, at home or where it was called.
    fileprivate var isOfCall: Bool {
        if !calls.isEmpty { return true }
        return entries.contains { entry in
            switch entry.status {
            case .running, .returned, .failed, .closed: true
            case .votedYes, .votedNo, .committed, .aborted, .noRecordAbort, .acknowledged, .read: false
            }
        }
    }
}
