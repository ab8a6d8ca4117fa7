import Messages
import ShardState

/// Quorum reads (R6). Whatever was acknowledged anywhere was committed, so 2f + 1 replicas had sent COMMIT for it; one
/// of them is correct and among any 2f + 1 that answer a read. If each answers only after executing all that it had
/// sent COMMIT for when the read arrived, no 2f + 1 agree on a value from before.
struct QuorumReads: Sendable {
    private var waiting: WaitingReads

    init(options: HostOptions) { waiting = WaitingReads(options: options) }

    var isEmpty: Bool { waiting.isEmpty }

    /// - Returns: false, and it is refused, if there is no room.
    mutating func add(_ read: WaitingRead, into ready: inout ShardReady) -> Bool {
        if waiting.append(read) { return true }
        ready.reply(.read(id: read.id, nil), to: [read.session])
        return false
    }

    /// Answers those whose time has come, as many as may be answered now; the others have their turn at a later step.
    mutating func answer(
        _ executor: borrowing ShardExecutor, _ setting: ShardSetting, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        while let read = waiting.popDue(executed: executor.lastExecuted) {
            let statement: ReadStatement?
            do { statement = try Self.statement(read, executor, setting) } catch {
                throw ShardFailure("reading for a client", error)
            }
            let time = executor.time
            let answer = statement.map { Self.sign($0, time: time, clock: now.wall, setting) }
            ready.reply(.read(id: read.id, answer), to: [read.session])
        }
    }

    /// Nil while undecided escrow is in the account: what it holds then is not known (R6).
    private static func statement(
        _ read: WaitingRead, _ executor: borrowing ShardExecutor, _ setting: ShardSetting
    ) throws(ShardStateError) -> ReadStatement? {
        let (cluster, epoch) = (setting.manifest.cluster, setting.manifest.epoch)
        switch read.subject {
        case .account(let account):
            let view = try executor.account(account)
            if executor.isLocked(account) { return nil }
            if let view, view.isPending { return nil }
            return ReadStatement(
                cluster: cluster, epoch: epoch, shard: setting.shard, nonce: read.nonce, account: account, view: view)
        case .principal(let key, _):
            return ReadStatement(
                cluster: cluster, epoch: epoch, shard: setting.shard, nonce: read.nonce, principal: key,
                standing: try executor.standing(of: key))
        }
    }

    private static func sign(
        _ statement: ReadStatement, time: Timestamp, clock: Timestamp, _ setting: ShardSetting
    ) -> ReadAnswer {
        let bytes = ReadAnswer.signingBytes(statement, time: time, clock: clock)
        return ReadAnswer(
            statement: statement, time: time, clock: clock,
            signature: ReplicaSignature(replica: setting.me, signature: setting.signer.sign(bytes)))
    }

    mutating func forget(_ session: SessionID) { if !waiting.isEmpty { waiting.forget(session) } }

    /// Time has passed.
    /// - Returns: whether more may be answered.
    mutating func fill(now: Instant) -> Bool { waiting.fill(now: now.uptime) }
}
