import Cores
import Messages
import PBFT
import ShardState

/// False results: attestations of what nobody executed, to other shards and to the gateway, and refusals.
enum ResultLies {
    /// What was committed was aborted and the other way round; all liars say the same, so that f of them agree.
    static func lie(about leaf: Leaf) -> Leaf {
        let entries = leaf.entries.map { entry in
            let status: LegStatus =
                switch entry.status {
                case .committed: .aborted(.insufficientFunds)
                case .votedYes: .votedNo(.insufficientFunds)
                case .votedNo, .aborted, .noRecordAbort, .acknowledged: .committed
                case .read: .read(nil)
                case .running: .returned([], consumed: [])
                case .returned: .noRecordAbort
                case .failed, .closed: .committed
                }
            return Leaf.Entry(leg: entry.leg, status: status)
        }
        var calls = leaf.calls
        calls.responses = calls.responses.map { response in
            CallResponse(path: response.path, answer: .returned([]), consumed: [], flows: [])
        }
        calls.never += calls.issued.map(\.path)
        return Leaf(request: leaf.request, entries: entries, calls: calls)
    }

    private static func sign(
        _ honest: AttestationStatement, leavesRoot: Digest, by replica: ReplicaIndex, _ liar: ByzantineHost
    ) -> (AttestationStatement, ReplicaSignature) {
        let statement = AttestationStatement(
            cluster: honest.cluster, epoch: honest.epoch, shard: honest.shard, sequence: honest.sequence,
            previousHistory: honest.previousHistory, batch: honest.batch, leavesRoot: leavesRoot)
        return (statement, ReplicaSignature(replica: replica, signature: liar.signer.sign(statement.signingBytes)))
    }

    static func distort(_ push: RecoveryPush, _ shard: ShardID, by liar: ByzantineHost) -> Distorted {
        let honest = HostMessage.push(shard, push)
        guard liar.does(.wrongAttestation) else { return Distorted(message: honest) }
        let leaf = lie(about: push.attested.leaf)
        let tree = MerkleTree(leaves: [leaf])
        let (statement, signature) = sign(
            push.attested.statement, leavesRoot: tree.root, by: push.attested.signature.replica, liar)
        let attested = AttestedLeaf(statement: statement, signature: signature, leaf: leaf, path: tree.path(at: 0))
        return Distorted(
            message: .push(shard, RecoveryPush(request: push.request, attested: attested, asks: push.asks)),
            act: .wrongAttestation)
    }

    static func distort(_ reply: HostReply, by liar: inout ByzantineHost) -> [DistortedReply] {
        switch reply {
        case .attestation(let attestation):
            if liar.does(.falseRefusal), let leaf = attestation.leaves.first, liar.rng.chance(perMille: 500) {
                let reason = RefusalReason.allCases[liar.rng.below(RefusalReason.allCases.count)]
                let refusal = Refusal(
                    shard: attestation.statement.shard, request: leaf.request, legs: leaf.entries.map(\.leg),
                    reason: reason,
                    retryAfterMicroseconds: liar.rng.chance(perMille: 300) ? .max : 1000)
                return [DistortedReply(reply: .refused(refusal), act: .falseRefusal)]
            }
            guard liar.does(.wrongAttestation) else { return [DistortedReply(reply: reply)] }
            var leaves = attestation.leaves.map { lie(about: $0) }
            if liar.rng.chance(perMille: 200) { leaves.removeLast() }
            let (statement, signature) = sign(
                attestation.statement, leavesRoot: MerkleTree(leaves: leaves).root, by: attestation.signature.replica,
                liar)
            let wrong = BatchAttestation(statement: statement, signature: signature, leaves: leaves)
            let said = DistortedReply(reply: .attestation(wrong), act: .wrongAttestation)
            // Before or after the truth, or instead of it.
            switch liar.rng.below(3) {
            case 0: return [said]
            case 1: return [said, DistortedReply(reply: reply)]
            default: return [DistortedReply(reply: reply), said]
            }
        case .refused, .account, .status, .audit, .read, .stamps, .archive, .observation:
            return [DistortedReply(reply: reply)]
        }
    }
}
