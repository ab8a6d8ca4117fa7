import Messages
import PBFT
import ShardState

/// Quorum reads (R6). Whatever was acknowledged anywhere was committed, so 2f + 1 replicas had sent COMMIT for it; one of them
/// is correct and among any 2f + 1 that answer a read. If each answers only after executing all that it had sent COMMIT for
/// when the read arrived, no 2f + 1 agree on a value from before.
extension HostCore {
    mutating func read(_ account: AccountID, _ nonce: Digest, for session: SessionID, id: UInt64, into ready: inout HostReady) {
        // Who may have forgotten a COMMIT is silent (R4).
        guard let i = node(manifest.shardMap.shard(of: account)), nodes[i].halted == nil, nodes[i].replica.mayRead else { return }
        var after = nodes[i].replica.committedUpTo
        #if MUTANTS
        if Mutant.is(.readsWithoutWaiting) { after = .zero }
        #endif
        guard nodes[i].reads.append(.init(session: session, id: id, account: account, nonce: nonce, after: after)) else {
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
            let view: AccountView?
            do { view = try nodes[i].executor.account(read.account) } catch {
                return halt(i, "reading an account: \(error)", into: &ready)
            }
            ready.toGateways.append(.init(to: [read.session], reply: .read(id: read.id, readAnswer(read, view, i))))
        }
    }

    /// Nil while undecided escrow is in the account: what it holds then is not known (R6).
    private func readAnswer(_ read: WaitingRead, _ view: AccountView?, _ i: Int) -> ReadAnswer? {
        if nodes[i].executor.isLocked(read.account) { return nil }
        if let view, view.isPending { return nil }
        let statement = ReadStatement(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: nodes[i].shard, nonce: read.nonce, account: read.account, view: view)
        let signature = ReplicaSignature(replica: nodes[i].me, signature: signer.sign(statement.signingBytes))
        return ReadAnswer(statement: statement, signature: signature)
    }

    mutating func forgetReads(of session: SessionID) {
        for i in nodes.indices where !nodes[i].reads.isEmpty { nodes[i].reads.forget(session) }
    }

    /// Time has passed: more may be answered.
    mutating func fillReads(now: Instant, into ready: inout HostReady) {
        for i in nodes.indices where nodes[i].reads.fill(now: now.uptime) { answerReads(i, into: &ready) }
    }
}
