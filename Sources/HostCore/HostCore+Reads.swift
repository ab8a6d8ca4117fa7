import Messages
import PBFT
import ShardState

/// Quorum reads (R6). Whatever was acknowledged anywhere was committed, so 2f + 1 replicas had sent COMMIT for it; one of them
/// is correct and among any 2f + 1 that answer a read. If each answers only after executing all that it had sent COMMIT for
/// when the read arrived, no 2f + 1 agree on a value from before.
extension HostCore {
    mutating func read(_ subject: ReadSubject, _ nonce: Digest, for session: SessionID, id: UInt64, into ready: inout HostReady) {
        // Who may have forgotten a COMMIT is silent (R4).
        guard let i = node(subject.shard(in: manifest.shardMap)), nodes[i].halted == nil, nodes[i].replica.mayRead else { return }
        var after = nodes[i].replica.committedUpTo
        #if MUTANTS
        if Mutant.is(.readsWithoutWaiting) { after = .zero }
        #endif
        guard nodes[i].reads.append(.init(session: session, id: id, subject: subject, nonce: nonce, after: after)) else {
            return ready.toGateways.append(.init(to: [session], reply: .read(id: id, nil)))
        }
        answerReads(i, into: &ready)
    }

    /// Answers those whose time has come, as many as may be answered now; the others have their turn at a later step.
    mutating func answerReads(_ i: Int, into ready: inout HostReady) {
        // While a fetched state is written down the store holds a part of it.
        guard !nodes[i].reads.isEmpty, nodes[i].halted == nil, nodes[i].replica.mayRead, !nodes[i].replica.isExecutionPaused else { return }
        let executed = nodes[i].executor.lastExecuted
        while let read = nodes[i].reads.popDue(executed: executed) {
            let statement: ReadStatement?
            do { statement = try self.statement(read, i) } catch {
                return halt(i, "reading for a client: \(error)", into: &ready)
            }
            ready.toGateways.append(.init(to: [read.session], reply: .read(id: read.id, statement.map { sign($0, i) })))
        }
    }

    /// Nil while undecided escrow is in the account: what it holds then is not known (R6).
    private func statement(_ read: WaitingRead, _ i: Int) throws(ShardStateError) -> ReadStatement? {
        let shard = nodes[i].shard
        switch read.subject {
        case .account(let account):
            let view = try nodes[i].executor.account(account)
            if nodes[i].executor.isLocked(account) { return nil }
            if let view, view.isPending { return nil }
            return ReadStatement(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, nonce: read.nonce, account: account, view: view)
        case .principal(let key, _):
            return ReadStatement(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, nonce: read.nonce, principal: key,
                standing: try nodes[i].executor.standing(of: key))
        }
    }

    private func sign(_ statement: ReadStatement, _ i: Int) -> ReadAnswer {
        let time = nodes[i].executor.time
        let bytes = ReadAnswer.signingBytes(statement, time: time, clock: wall)
        return ReadAnswer(
            statement: statement, time: time, clock: wall,
            signature: ReplicaSignature(replica: nodes[i].me, signature: signer.sign(bytes)))
    }

    mutating func forgetReads(of session: SessionID) {
        for i in nodes.indices where !nodes[i].reads.isEmpty { nodes[i].reads.forget(session) }
    }

    /// Time has passed: more may be answered.
    mutating func fillReads(now: Instant, into ready: inout HostReady) {
        for i in nodes.indices where nodes[i].reads.fill(now: now.uptime) { answerReads(i, into: &ready) }
    }
}
