import Messages
import PBFT
import ShardState

/// One shard on one host: a replica with its state and everything that waits for it. One `step`, no I/O, and but for
/// `SourceAccounts` nothing that another shard of the host has a part in.
///
/// It is made of parts that each own their state. What one input brings about is carried out here, in one loop, until
/// nothing is left to do. Never copied: there is one of each replica, and what is asked of it is looked at where it
/// lies.
package struct ShardMachine: ~Copyable {
    /// What is left to do of an input once the replica has been drained of what came before.
    enum Errand {
        /// What this shard has to say of a request is to be certified in a new batch.
        // Indirect, so that the many that say little are small.
        indirect case order(SignedRequest, CallEvidence, from: Source)
        indirect case answer(RecoveryPush, CallEvidence, to: HostID)
        case answerReads
        // Of a tick.
        case checkSubmissions
        case forward
        case push
        case transferState
        case proposeEmpty
        case watchClock
        case fillReads
        case checkState
    }

    let setting: ShardSetting
    var replica: Replica
    var execution: Execution
    var proposer: Proposer
    var answering: Answering
    /// The host's.
    let accounts: SourceAccounts
    var reads: QuorumReads
    var pushes: Pushes
    var transfer: StateTransfer
    var clocks: ClockWatch
    /// As of the last tick: whether the session to the primary's host is there.
    var isPrimaryReachable = true
    /// Why it has halted. It stays silent until an operator acts.
    package private(set) var halted: String?
    /// What the replica asks for and has not got yet.
    var work = ReplicaReady()
    /// The next one last.
    private var agenda: [Errand] = []
    /// The view that was counted last.
    private var countedView: View

    /// Opens the state where the store has it and executes again what the journal knows to be committed above it.
    /// - Parameter records: the journal's of this shard, in order.
    package init(
        _ setting: ShardSetting, accounts: SourceAccounts, store: any KeyValueStore, records: [JournalRecord],
        now: Instant
    ) throws(ShardStateError) {
        var execution = try Execution(setting, store: store)
        let (manifest, options) = (setting.manifest, setting.options)
        let base = try execution.base(options)
        let configuration = ReplicaConfiguration(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: setting.shard, group: setting.group,
            me: setting.me, signer: setting.signer, limits: options.replica)
        var restored = ReplicaReady()
        let replica = Replica(configuration: configuration, base: base, records: records, now: now, into: &restored)
        if let stable = Self.lastStable(at: base.sequence, records), stable.digest != base.digest {
            throw .digestMismatch(got: base.digest, expected: stable.digest)
        }
        var answering = Answering(options: options)
        for executed in try execution.restore(restored.executes, for: replica, options: options) {
            answering.note(executed.statement, executed.leaves)
        }
        (self.setting, self.replica, self.execution, self.answering) = (setting, replica, execution, answering)
        proposer = Proposer(options: options, view: replica.view)
        self.accounts = accounts
        reads = QuorumReads(options: options)
        pushes = Pushes(setting)
        transfer = StateTransfer(setting)
        countedView = replica.view
        clocks = ClockWatch(setting)
        for checkpoint in execution.taken { self.replica.step(.checkpointTaken(checkpoint), now: now, into: &work) }
    }

    /// The last that the journal says of a number: what it said before may have been of a state that was put aside.
    private static func lastStable(at sequence: SequenceNumber, _ records: [JournalRecord]) -> Checkpoint? {
        for case .stable(let checkpoint) in records.reversed() where checkpoint.sequence == sequence {
            return checkpoint
        }
        return nil
    }

    /// Votes may be forgotten (R4). Before the first step.
    mutating func quarantine(now: Instant) { replica.quarantine(now: now, into: &work) }

    package mutating func step(_ input: ShardInput, now: Instant, into ready: inout ShardReady) {
        defer {
            if setting.options.archives { ready.executed += execution.takeArchived() }
            ready.time = execution.executor.time
            countViewChange(into: &ready)
        }
        guard halted == nil else { return answerHalted(input, into: &ready) }
        do throws(ShardFailure) {
            try handle(input, now: now, into: &ready)
            try drain(now: now, into: &ready)
            while let errand = agenda.popLast() {
                try handle(errand, now: now, into: &ready)
                try drain(now: now, into: &ready)
            }
        } catch { halt(error, into: &ready) }
    }

    private mutating func countViewChange(into ready: inout ShardReady) {
        guard replica.view > countedView else { return }
        countedView = replica.view
        ready.viewChanges += 1
    }

    /// Before what is left already.
    mutating func next(_ errands: [Errand]) { agenda.append(contentsOf: errands.reversed()) }

    mutating func halt(_ failure: ShardFailure, into ready: inout ShardReady) {
        guard halted == nil else { return }
        (halted, ready.halt, ready.isDamaged, agenda) = (failure.reason, failure.reason, failure.isDamage, [])
    }

    // MARK: The loop

    /// Carries out what the replica asks until it asks for nothing more, then proposes, until there is nothing to
    /// propose.
    private mutating func drain(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        repeat {
            try carryOut(now: now, into: &ready)
            if !replica.isChangingView, proposer.enter(replica.view), replica.isPrimary {
                checkSubmissions(now: now, into: &ready)
            }
        } while propose(now: now)
    }

    /// In the order of `ReplicaReady`, but who halts executes nothing any more.
    private mutating func carryOut(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        var hasExecuted = true
        while hasExecuted {
            // Most of what is looked at on a tick asks for nothing.
            if work.isEmpty { return flush(into: &ready) }
            let asked = work
            work = ReplicaReady()
            ready.records += asked.records
            for message in asked.held { ready.held.append(.init(message: message, after: ready.records.count)) }
            for outgoing in asked.sends {
                ready.send(.pbft(setting.shard, outgoing.message), to: setting.hosts(outgoing.to))
            }
            for check in asked.checks { ready.checks.append(.batch(setting.shard, check)) }
            note(asked.drops, now: now, into: &ready)
            if let reason = asked.halt { throw ShardFailure(reason: reason, isDamage: asked.hasDiverged) }
            for ordered in asked.executes { try execute(ordered, now: now, into: &ready) }
            if let minimum = asked.needsState { try transfer(.needed(atLeast: minimum), now: now, into: &ready) }
            flush(into: &ready)
            hasExecuted = !asked.executes.isEmpty
        }
    }

    private mutating func flush(into ready: inout ShardReady) {
        if let flush = execution.flush(stable: replica.stable.sequence) { ready.flushes.append(flush) }
    }

    private mutating func note(_ drops: [(ReplicaIndex, DropReason)], now: Instant, into ready: inout ShardReady) {
        for (_, reason) in drops { ready.drop(MessageDrop(reason)) }
        for case (let from, .timeOutOfBounds(let got, let local)) in drops {
            clocks.noteRefusedProposal(of: setting.hosts[from.index], got: got, local: local, now: now, into: &ready)
        }
    }

    // MARK: Proposing

    /// The next batch, if this replica may propose and something waits.
    private mutating func propose(now: Instant) -> Bool {
        guard replica.canPropose, !replica.isExecutionPaused, proposer.isDue(now: now) else { return false }
        let items = proposer.take(execution.executor)
        guard !items.isEmpty else { return false }
        replica.step(.propose(Batch(time: proposalTime(now), items: items)), now: now, into: &work)
        return true
    }

    /// For a replica that rejoins.
    mutating func proposeEmptyIfAwaited(now: Instant) {
        guard replica.isAwaited(now: now), proposer.takeEmpty(now: now) else { return }
        replica.step(.propose(Batch(time: proposalTime(now), items: [])), now: now, into: &work)
    }

    /// What this primary proposes is its clock. The shard's time is the latest of all proposals, so while it stands
    /// ahead of the clocks it stands still, and nothing has to be said of it. But where another shard of these hosts
    /// stands ahead, further than a clock may, this one follows: no transaction could have a deadline on both
    /// otherwise.
    private func proposalTime(_ now: Instant) -> Timestamp {
        let time = execution.executor.time
        if Mutant.is(.timeMustAdvance) { return max(now.wall, time) }
        if Mutant.is(.neverFollows) { return now.wall }
        let certain = replica.certainTime
        let limit = now.wall.adding(microseconds: setting.options.replica.timeAhead)
        return certain > limit && certain > time ? certain : now.wall
    }

    // MARK: Executing

    private mutating func execute(
        _ ordered: OrderedBatch, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        let executed = try execution.execute(ordered)
        let (batch, sequence) = (ordered.batch, ordered.sequence)
        answering.note(executed.statement, executed.leaves)
        clocks.noteRefusedRequests(executed, batch, now: now, into: &ready)
        var brought: Set<Digest> = []
        for case .decide(let decide) in ordered.items {
            if case .gateway? = proposer.source(of: decide.digest) { brought.insert(decide.request) }
        }
        for leaf in executed.leaves { pushes.note(leaf, learns: brought.contains(leaf.request), now: now) }
        settleAccounts(executed, ordered.items, now: now, into: &ready)
        for leaf in executed.leaves {
            guard let (decide, source) = proposer.takeEarly(leaf.request) else { continue }
            try admit(decide, from: source, now: now, into: &ready)
        }
        if replica.mayAttest {
            pushes.pushBack(executed.leaves, &answering, into: &ready)
            answering.answer(executed, setting, into: &ready)
        }
        try answerReads(now: now, into: &ready)
        guard replica.isCheckpoint(sequence) else { return }
        let checkpoint = try execution.takeCheckpoint(at: sequence, options: setting.options)
        replica.step(.checkpointTaken(checkpoint), now: now, into: &work)
    }

    /// What was ordered waits no longer. Who made the shard order what it knew already pays for it; who brought
    /// something that changed something gets something back.
    private mutating func settleAccounts(
        _ executed: ExecutedBatch, _ items: [BatchItem], now: Instant, into ready: inout ShardReady
    ) {
        proposer.noteOrdered(items: items.count)
        let vain = Set(executed.vain)
        let refused = Set(executed.refusals.map(\.request))
        // What was skipped is not what waits here under the same digest: that is signed.
        for item in items {
            let key = item.key
            let unchecked = takeUnchecked(item, now: now)
            let checked = proposer.source(of: key).flatMap { isOpen($0) ? $0 : nil }
            proposer.remove(key)
            if case .decide(let decide) = item { dropOvertaken(decide.request) }
            if refused.contains(key) { continue }
            if vain.contains(key) {
                for source in unchecked.map(\.source) + (checked.map { [$0] } ?? []) {
                    _ = accounts.charge(source, now: now, into: &ready)
                }
            } else if let source = checked ?? unchecked.first(where: \.isSame)?.source {
                // One of those who brought it, and nobody for a copy under a signature of his own making.
                accounts.reward(source, now: now)
            }
        }
    }

    /// Certificates of one record come put together in several ways, from a gateway and from pushes. What one of them
    /// has decided another need not be ordered for.
    private mutating func dropOvertaken(_ request: Digest) {
        for decide in proposer.unproposedDecides(of: request)
        where (try? execution.executor.effect(of: decide)) == .nothing {
            proposer.remove(decide.digest)
        }
    }

    private func isOpen(_ source: Source) -> Bool {
        if case .gateway(let session) = source { answering.isOpen(session) } else { true }
    }

    mutating func answerReads(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        // While a fetched state is written down this one is behind it, and nothing of it is final for a reader.
        guard !reads.isEmpty, replica.mayRead, !replica.isExecutionPaused else { return }
        try reads.answer(execution.executor, setting, now: now, into: &ready)
    }
}
