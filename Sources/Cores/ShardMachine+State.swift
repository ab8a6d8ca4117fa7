import Messages
import PBFT
import ShardState

/// State that comes from peers, goes to peers, or goes to disk; what there is to see of it.
extension ShardMachine {
    mutating func flushed(_ sequence: SequenceNumber, now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        try execution.flushed(sequence)
        if transfer.isInstalling(sequence) {
            try transfer(.flushed(sequence), now: now, into: &ready)
        } else {
            replica.step(.flushed(sequence), now: now, into: &work)
        }
    }

    mutating func transfer(
        _ input: StateTransfer.Input, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        switch try transfer.step(input, replica, &execution, now: now, into: &ready) {
        case .nothing: return
        case .paused: replica.isExecutionPaused = true
        case .installed(let state): goOn(from: state, now: now)
        }
    }

    private mutating func goOn(from state: InstalledState, now: Instant) {
        answering.forgetBatches()
        pushes.lookAgain()
        proposer.goOn(now: now)
        replica.isExecutionPaused = false
        replica.step(.stateInstalled(state.checkpoint, isStable: state.isStable), now: now, into: &work)
        next([.answerReads])
    }

    // MARK: What there is to see

    /// Nil, and the replica halts, if the state cannot be read.
    package mutating func audit(now: Instant, into ready: inout ShardReady) -> ShardAudit? {
        do { return try execution.audit(now: now.uptime) } catch {
            halt(error, into: &ready)
            return nil
        }
    }

    /// As this replica has it now.
    func view(of account: AccountID) -> AccountView? { (try? execution.executor.account(account)) ?? nil }

    /// Everything that a restart needs.
    func liveRecords() -> [JournalRecord] { replica.liveRecords() }

    mutating func checkInvariants() throws {
        guard halted == nil else { return }
        try replica.checkInvariants()
        precondition(
            replica.isExecutionPaused || replica.lastExecuted == execution.executor.lastExecuted,
            "the replica and its state stand at different batches")
    }

    /// The expensive part: reads the whole state.
    mutating func checkStateInvariants() throws { if halted == nil { try execution.checkInvariants() } }
    mutating func freshAudit() throws -> ShardAudit { try execution.freshAudit() }
}
