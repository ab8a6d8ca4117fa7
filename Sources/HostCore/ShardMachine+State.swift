import Messages
import PBFT
import ShardState

/// State that comes from peers, goes to peers, or goes to disk; what there is to see of it.
extension ShardMachine {
    mutating func flushed(_ sequence: SequenceNumber, now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        try execution.flushed(sequence)
        if fetching.installing?.sequence == sequence {
            try fetch(.flushed(sequence), now: now, into: &ready)
        } else {
            replica.step(.flushed(sequence), now: now, into: &work)
        }
    }

    // MARK: State transfer

    mutating func receive(
        _ message: StateTransferMessage, from peer: ReplicaIndex, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        switch message {
        case .fetchCheckpoint(let minimum):
            guard replica.mayAttest, fetching.installing == nil else { return }
            let state = ServableState(flushed: replica.flushed, stable: replica.stable.sequence, taken: execution.taken)
            try serve(.fetchCheckpoint(from: peer, atLeast: minimum, state), now: now, into: &ready)
        case .fetchBuckets(let sequence, let buckets):
            try serve(.fetchBuckets(from: peer, sequence, buckets), now: now, into: &ready)
        case .checkpoint(let sequence, let metadata, let buckets):
            let offer = StateFetching.Input.offer(from: peer, sequence: sequence, metadata: metadata, buckets: buckets)
            try fetch(offer, now: now, into: &ready)
        case .bucket(let sequence, let bucket, let number, let isLast, let entries):
            let part = BucketPart(
                sequence: sequence, bucket: Int(bucket), number: number, isLast: isLast, entries: entries)
            try fetch(.bucket(from: peer, part), now: now, into: &ready)
        case .gone(let sequence): try fetch(.gone(from: peer, sequence), now: now, into: &ready)
        }
    }

    mutating func tickStateTransfer(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        try serve(.tick, now: now, into: &ready)
        let offered = fetching.offered
        let claims = setting.hosts.indices.map { peer in
            offered.isEmpty ? [] : offered.filter { replica.hasClaimed($0, ReplicaIndex(UInt8(peer))) }
        }
        try fetch(.tick(executed: replica.lastExecuted, claims: claims), now: now, into: &ready)
    }

    mutating func fetch(_ input: StateFetching.Input, now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        var asked = StateFetching.Ready()
        fetching.step(input, now: now, into: &asked)
        ready.drops += asked.drops
        for (to, message) in asked.sends { ready.send(.stateTransfer(setting.shard, message), to: hosts(to)) }
        if asked.wantsOwnBuckets {
            let own = try execution.ownBuckets()
            try fetch(.ownBuckets(own, executed: replica.lastExecuted), now: now, into: &ready)
        }
        if let state = asked.installs, let flush = try execution.install(state) {
            // Nothing is executed on it before it is on disk.
            replica.isExecutionPaused = true
            ready.flushes.append(flush)
            try fetch(.installing, now: now, into: &ready)
        }
        if let state = asked.installed { goOn(from: state, now: now) }
    }

    private mutating func goOn(from state: InstalledState, now: Instant) {
        answering.forgetBatches()
        proposer.goOn(now: now)
        replica.isExecutionPaused = false
        replica.step(.stateInstalled(state.checkpoint, isStable: state.isStable), now: now, into: &work)
        next([.answerReads])
    }

    private mutating func serve(
        _ input: StateServing.Input, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        var asked = StateServing.Ready()
        serving.step(input, now: now, into: &asked)
        for (peer, message) in asked.sends {
            let said: HostMessage =
                switch message {
                case .checkpoint(let checkpoint): .pbft(setting.shard, .checkpoint(checkpoint))
                case .state(let state): .stateTransfer(setting.shard, state)
                }
            ready.send(said, to: [setting.hosts[peer.index]])
        }
        if let (sequence, peer) = asked.wantsSnapshot {
            let (snapshot, buckets) = try execution.snapshot(of: sequence)
            try serve(.snapshot(snapshot, of: sequence, buckets: buckets, for: peer), now: now, into: &ready)
        }
        if let failure = asked.failure { throw ShardFailure(reason: "reading a snapshot for a peer: \(failure)") }
    }

    // MARK: What there is to see

    /// - Parameter now: nil leaves out what needs a clock.
    func status(now: Instant?) -> ReplicaStatus {
        ReplicaStatus(
            shard: setting.shard, replica: setting.me, view: replica.view, isChangingView: replica.isChangingView,
            isPrimary: replica.isPrimary, lastExecuted: replica.lastExecuted, stable: replica.stable.sequence,
            flushed: replica.flushed, pendingRequests: UInt32(clamping: proposer.count),
            undecided: UInt32(clamping: execution.executor.undecidedCount),
            open: UInt32(clamping: execution.executor.openCount),
            oldestUndecided: now.map { pushes.oldestUndecided(now: $0) / 1000 } ?? 0, halted: halted ?? "",
            standing: replica.standing == .full ? "" : replica.standing.description, time: execution.executor.time,
            clock: now?.wall ?? .zero)
    }

    /// Nil, and the replica halts, if the state cannot be read.
    mutating func audit(now: Instant, into ready: inout ShardReady) -> ShardAudit? {
        do { return try execution.audit(setting, now: now.uptime) } catch {
            halt(error.reason, into: &ready)
            return nil
        }
    }

    /// As this replica has it now.
    func view(of account: AccountID) -> AccountView? { (try? execution.executor.account(account)) ?? nil }

    /// Everything that a restart needs.
    func liveRecords() -> [JournalRecord] { replica.liveRecords() }

    func progress() -> HostCore.Progress {
        HostCore.Progress(
            shard: setting.shard, sequence: execution.executor.lastExecuted, history: execution.executor.history,
            view: replica.view, undecided: execution.executor.undecidedCount, time: execution.executor.time)
    }

    func activity() -> HostCore.Activity {
        HostCore.Activity(shard: setting.shard, pending: proposer.count, open: execution.executor.openCount)
    }

    mutating func checkInvariants() throws {
        guard halted == nil else { return }
        try replica.checkInvariants()
        precondition(
            replica.isExecutionPaused || replica.lastExecuted == execution.executor.lastExecuted,
            "the replica and its state stand at different batches")
    }

    /// The expensive part: reads the whole state.
    mutating func checkStateInvariants() throws { if halted == nil { try execution.checkInvariants() } }
    mutating func freshAudit() throws -> ShardAudit { try execution.freshAudit(setting) }
}
