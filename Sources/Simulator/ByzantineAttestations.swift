import Cores
import Messages
import PBFT
import ShardState

/// False results and false states.
extension ByzantineHosts {
    /// What was committed was aborted and the other way round; all liars say the same, so that f of them agree.
    func lie(about leaf: Leaf) -> Leaf {
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

    func sign(_ honest: AttestationStatement, leavesRoot: Digest, by replica: ReplicaIndex, _ m: Int) -> (
        AttestationStatement, ReplicaSignature
    ) {
        let statement = AttestationStatement(
            cluster: honest.cluster, epoch: honest.epoch, shard: honest.shard, sequence: honest.sequence,
            previousHistory: honest.previousHistory, batch: honest.batch, leavesRoot: leavesRoot)
        return (statement, ReplicaSignature(replica: replica, signature: signer(m).sign(statement.signingBytes)))
    }

    mutating func distort(_ push: RecoveryPush, _ shard: ShardID, by m: Int) -> Distorted {
        let honest = HostMessage.push(shard, push)
        guard members[m].does(.wrongAttestation) else { return Distorted(message: honest) }
        let leaf = lie(about: push.attested.leaf)
        let tree = MerkleTree(leaves: [leaf])
        let (statement, signature) = sign(
            push.attested.statement, leavesRoot: tree.root, by: push.attested.signature.replica, m)
        let attested = AttestedLeaf(statement: statement, signature: signature, leaf: leaf, path: tree.path(at: 0))
        return Distorted(
            message: .push(shard, RecoveryPush(request: push.request, attested: attested, asks: push.asks)),
            act: .wrongAttestation)
    }

    mutating func distort(_ reply: HostReply, by m: Int) -> [DistortedReply] {
        if members[m].does(.mute) {
            effects.count(.mute)
            return []
        }
        switch reply {
        case .attestation(let attestation):
            if members[m].does(.falseRefusal), let leaf = attestation.leaves.first, members[m].rng.chance(perMille: 500)
            {
                let reason = RefusalReason.allCases[members[m].rng.below(RefusalReason.allCases.count)]
                let refusal = Refusal(
                    shard: attestation.statement.shard, request: leaf.request, legs: leaf.entries.map(\.leg),
                    reason: reason,
                    retryAfterMicroseconds: members[m].rng.chance(perMille: 300) ? .max : 1000)
                return [DistortedReply(reply: .refused(refusal), act: .falseRefusal)]
            }
            guard members[m].does(.wrongAttestation) else { return [DistortedReply(reply: reply)] }
            var leaves = attestation.leaves.map { lie(about: $0) }
            if members[m].rng.chance(perMille: 200) { leaves.removeLast() }
            let (statement, signature) = sign(
                attestation.statement, leavesRoot: MerkleTree(leaves: leaves).root, by: attestation.signature.replica, m
            )
            let wrong = BatchAttestation(statement: statement, signature: signature, leaves: leaves)
            let said = DistortedReply(reply: .attestation(wrong), act: .wrongAttestation)
            // Before or after the truth, or instead of it.
            switch members[m].rng.below(3) {
            case 0: return [said]
            case 1: return [said, DistortedReply(reply: reply)]
            default: return [DistortedReply(reply: reply), said]
            }
        case .refused, .account, .status, .audit, .read: return [DistortedReply(reply: reply)]
        }
    }

    // MARK: State transfer

    mutating func distort(_ message: StateTransferMessage, by m: Int) -> [(StateTransferMessage, ByzantineAct?)] {
        guard members[m].does(.wrongTransfer) else { return [(message, nil)] }
        switch message {
        case .checkpoint(let sequence, let metadata, let buckets):
            members[m].hasRobbed = false
            // Often honest: who is not believed is not asked for buckets.
            switch members[m].rng.below(10) {
            case 0:
                return [
                    (
                        .checkpoint(sequence: sequence, metadata: metadata, buckets: buckets.map { lie(about: $0) }),
                        .wrongTransfer
                    )
                ]
            case 1...3:
                // A state without some of its entries: nobody can be asked for what an empty bucket holds.
                let empty = StateDigest.emptyBucketDigest
                guard
                    let robbed = buckets.indices.filter({ buckets[$0] != empty }).randomElement(using: &members[m].rng)
                else { return [(message, nil)] }
                var fewer = buckets
                fewer[robbed] = empty
                members[m].hasRobbed = true
                return [(.checkpoint(sequence: sequence, metadata: metadata, buckets: fewer), .wrongTransfer)]
            case 4:
                // A state from the far future, or of another history, if the metadata can still be read.
                var invented = metadata
                let place = members[m].rng.chance(perMille: 500) ? 36..<44 : 44..<52
                for i in invented.indices where place.contains(i) {
                    invented[i] = UInt8(truncatingIfNeeded: members[m].rng.next())
                }
                let claimed = StateDigest.sequence(ofMetadata: invented) ?? SequenceNumber(.max)
                return [(.checkpoint(sequence: claimed, metadata: invented, buckets: buckets), .wrongTransfer)]
            case 5:
                return [
                    (
                        .checkpoint(sequence: sequence, metadata: metadata, buckets: Array(buckets.dropLast())),
                        .wrongTransfer
                    )
                ]
            // An honest offer that will not be kept.
            default: return [(message, nil)]
            }
        case .bucket(let sequence, let bucket, let part, let isLast, let entries):
            // The rest is as it was offered, or the robbed state would never be taken.
            if members[m].hasRobbed { return [(message, nil)] }
            switch members[m].rng.below(5) {
            case 0: return [(.gone(sequence: sequence), .wrongTransfer)]
            case 1:
                let nothing = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: [])
                return [(nothing, entries.isEmpty ? nil : .wrongTransfer)]
            case 3:
                // Never the last part.
                let half = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: false, entries: entries)
                return [(half, .wrongTransfer)]
            case 2:
                let wrong = entries.map { StateTransferMessage.StateEntry(key: $0.key, value: $0.value + [0]) }
                let message = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: wrong)
                return [(message, entries.isEmpty ? nil : .wrongTransfer)]
            default:
                let other = UInt16(members[m].rng.below(65536))
                if !other.isMultiple(of: 2), let last = entries.last {
                    // All that is right, and one before it that is not.
                    let first = StateTransferMessage.StateEntry(
                        key: last.key, value: [UInt8(truncatingIfNeeded: other)])
                    let more = StateTransferMessage.bucket(
                        sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: [first] + entries)
                    return [(more, .wrongTransfer)]
                }
                let elsewhere = StateTransferMessage.bucket(
                    sequence: sequence, bucket: other, part: part, isLast: isLast, entries: entries)
                return [(elsewhere, .wrongTransfer), (message, nil)]
            }
        case .fetchCheckpoint, .fetchBuckets, .gone: return [(message, nil)]
        }
    }
}
