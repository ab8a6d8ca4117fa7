import Randomness
import Messages
import PBFT

/// How what a Byzantine host's core says of the order is bent for one peer.
enum OrderingLies {
    typealias Said = [(PBFTMessage, ByzantineAct?)]

    static func distort(
        _ message: PBFTMessage, _ shard: ShardID, by liar: inout ByzantineHost, _ knowledge: inout LiarsKnowledge,
        to: Int
    ) -> Said {
        switch message {
        case .prePrepare(let prePrepare):
            knowledge.note(prePrepare.batch, shard)
            let position = LiarsKnowledge.Position(shard: shard, view: prePrepare.view, sequence: prePrepare.sequence)
            if liar.does(.forgedRequests), knowledge.alternatives[position] == nil,
                let forged = knowledge.forgedProposal(insteadOf: prePrepare.batch, using: &liar.rng)
            {
                // What few have can be selected by one NEW-VIEW and not by another.
                let isForAll = liar.rng.chance(perMille: liar.does(.twoNewViews) ? 200 : 800)
                let believers = isForAll ? UInt64.max : liar.rng.next()
                knowledge.propose(forged, at: position, to: believers)
            }
            if liar.does(.equivocation), knowledge.alternatives[position] == nil,
                let other = alternative(to: prePrepare.batch, on: shard, by: &liar, knowledge)
            {
                knowledge.note(other, shard)
                // Any split, so that sometimes either side has enough for a quorum with liars' votes.
                knowledge.alternatives[position] = LiarsKnowledge.Alternative(
                    digest: other.digest, batch: other, believers: liar.rng.next())
            }
            guard let alternative = knowledge.alternatives[position], let batch = alternative.batch,
                alternative.isBelieved(by: to)
            else {
                return [(message, nil)]
            }
            let other = PBFTMessage.prePrepare(
                PrePrepare(view: prePrepare.view, sequence: prePrepare.sequence, batch: batch))
            let act = alternative.act
            if liar.rng.chance(perMille: 100) { return [(other, act), (message, act)] }
            return [(other, act)]
        case .prepare(let prepare):
            return distort(prepare.vote, vouches: prepare.vouches, shard, by: &liar, knowledge, to: to)
        case .commit(let vote): return distort(vote, vouches: nil, shard, by: &liar, knowledge, to: to)
        case .checkpoint(let checkpoint):
            guard liar.does(.wrongCheckpoint) else { return [(message, nil)] }
            let wrong = Checkpoint(sequence: checkpoint.sequence, digest: LiarsKnowledge.lie(about: checkpoint.digest))
            return [(.checkpoint(wrong), .wrongCheckpoint)]
        case .viewChange(let viewChange):
            knowledge.note(viewChange)
            guard liar.does(.forgedViewChange), knowledge.replica(of: shard, on: liar) == viewChange.replica else {
                return [(message, nil)]
            }
            let forged = ViewChangeLies.forge(viewChange, by: &liar, knowledge)
            knowledge.note(forged)
            return [(.viewChange(forged), .forgedViewChange)]
        case .newView(let newView):
            if liar.does(.twoNewViews), knowledge.replica(of: shard, on: liar) == newView.replica,
                let split = knowledge.split(newView, by: &liar)
            {
                return split.said(to: to).map { ($0, .twoNewViews) }
            }
            guard liar.does(.forgedNewView), knowledge.replica(of: shard, on: liar) == newView.replica,
                liar.rng.chance(perMille: 700)
            else {
                return [(message, nil)]
            }
            return [(.newView(ViewChangeLies.forge(newView, to: to, by: &liar, &knowledge)), .forgedNewView)]
        case .status(let status):
            guard liar.does(.falseStatus) else { return [(message, nil)] }
            return [(.status(falsify(status, using: &liar.rng)), .falseStatus)]
        case .committed(let claims):
            if liar.does(.forgedBodies) { return [(.committed(forge(claims, knowledge)), .forgedBodies)] }
            guard liar.does(.falseClaims) else { return [(message, nil)] }
            return [(.committed(falsify(claims, shard, by: &liar, knowledge)), .falseClaims)]
        case .batch(let batch):
            guard liar.does(.unaskedBodies), !knowledge.bodies.isEmpty else { return [(message, nil)] }
            let other = knowledge.bodies[liar.rng.below(knowledge.bodies.count)]
            return [(.batch(other), other == batch ? nil : .unaskedBodies)]
        case .committedBody(let batch):
            if liar.does(.forgedBodies), let forgery = LiarsKnowledge.forgery(of: batch) {
                return [(.committedBody(forgery), .forgedBodies)]
            }
            guard liar.does(.unaskedBodies), !knowledge.bodies.isEmpty else { return [(message, nil)] }
            let other = knowledge.bodies[liar.rng.below(knowledge.bodies.count)]
            return [(.committedBody(other), other == batch ? nil : .unaskedBodies)]
        case .resumed(let resumption):
            guard liar.does(.falseResumption) else { return [(message, nil)] }
            return [(.resumed(falsify(resumption, using: &liar.rng)), .falseResumption)]
        case .recollection(let recollection):
            guard liar.does(.falseRecollection) else { return [(message, nil)] }
            return [(.recollection(falsify(recollection, using: &liar.rng)), .falseRecollection)]
        case .suspect, .fetchBatch, .fetchCommitted: return [(message, nil)]
        }
    }

    private static func distort(
        _ vote: Vote, vouches: Bool?, _ shard: ShardID, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge,
        to: Int
    ) -> Said {
        let isCommit = vouches == nil
        func message(_ vote: Vote, _ isCommit: Bool) -> PBFTMessage {
            isCommit ? .commit(vote) : .prepare(Prepare(vote, vouches: vouches ?? true))
        }
        let position = LiarsKnowledge.Position(shard: shard, view: vote.view, sequence: vote.sequence)
        var digest = vote.digest
        var act: ByzantineAct?
        if let alternative = knowledge.alternatives[position],
            liar.does(.equivocation) || liar.does(.conflictingVotes) || alternative.act == .forgedRequests
        {
            // Tells everyone what it believes already.
            if alternative.isBelieved(by: to) {
                digest = alternative.digest
                act = alternative.act == .forgedRequests ? .forgedRequests : .conflictingVotes
            }
        } else if liar.does(.conflictingVotes), liar.rng.chance(perMille: 500) {
            digest = knowledge.anyDigest(shard, using: &liar.rng)
            act = .conflictingVotes
        }
        let said = Vote(view: vote.view, sequence: vote.sequence, digest: digest)
        guard liar.does(.conflictingVotes), let vouches else { return [(message(said, isCommit), act)] }
        // Now it vouches and now it does not; and a commit without having prepared.
        return [
            (message(said, false), act), (.prepare(Prepare(said, vouches: !vouches)), .conflictingVotes),
            (message(said, true), .conflictingVotes),
        ]
    }

    /// A second batch for the place of the first: without some items, in another order, at another time.
    private static func alternative(
        to batch: Batch, on shard: ShardID, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> Batch? {
        var items = batch.items
        var time = batch.time
        switch liar.rng.below(4) {
        case 0:
            if items.count > 1 {
                items.removeFirst(1 + liar.rng.below(items.count - 1))
            } else {
                time = time.adding(microseconds: 1)
            }
        case 1:
            if items.count > 1 {
                items.reverse()
            } else {
                time = (knowledge.latestTime[shard] ?? time).adding(microseconds: 3_000_000)
            }
        case 2: time = Timestamp(time.number - min(time.number, 5_000_000))
        default:
            guard !knowledge.requests.isEmpty else { return nil }
            items.append(.request(knowledge.requests[liar.rng.below(knowledge.requests.count)]))
        }
        let other = Batch(time: time, items: items)
        return other == batch ? nil : other
    }

    /// Often far ahead, or the last that there is.
    static func any(insteadOf honest: SequenceNumber, using rng: inout SplitMix64) -> SequenceNumber {
        switch rng.below(5) {
        case 0: SequenceNumber(.max)
        case 1: SequenceNumber(honest.number &+ 1 &+ rng.below(UInt64(40)))
        case 2: .zero
        case 3: SequenceNumber(.max - rng.below(UInt64(1000)))
        default: honest
        }
    }

    static func falsify(_ status: Status, using rng: inout SplitMix64) -> Status {
        let view =
            rng.chance(perMille: 300)
            ? View(status.view.number &+ rng.below(UInt64(3))) : status.view
        return Status(
            view: rng.chance(perMille: 50) ? View(.max) : view,
            isChangingView: rng.chance(perMille: 300),
            lastExecuted: any(insteadOf: status.lastExecuted, using: &rng),
            stable: any(insteadOf: status.stable, using: &rng),
            awaits: rng.chance(perMille: 500) ? any(insteadOf: status.lastExecuted, using: &rng) : status.awaits)
    }

    /// Votes of the asker that nobody heard, and checkpoints that nobody took.
    static func falsify(_ honest: Recollection, using rng: inout SplitMix64) -> Recollection {
        Recollection(
            about: honest.about, nonce: honest.nonce, heard: any(insteadOf: honest.heard, using: &rng),
            checkpoint: any(insteadOf: honest.checkpoint, using: &rng),
            declaration: rng.chance(perMille: 500) ? honest.declaration : nil,
            refuses: rng.chance(perMille: 300))
    }

    static func falsify(_ honest: Resumption, using rng: inout SplitMix64) -> Resumption {
        Resumption(
            nonce: rng.chance(perMille: 300) ? rng.next() : honest.nonce,
            remembers: any(insteadOf: honest.remembers, using: &rng),
            isQuarantined: rng.chance(perMille: 500), declaration: honest.declaration)
    }

    private static func forge(_ claims: CommittedClaims, _ knowledge: LiarsKnowledge) -> CommittedClaims {
        CommittedClaims(
            from: claims.from, digests: claims.digests.map { knowledge.forgeries[$0] ?? $0 }, skipped: claims.skipped)
    }

    private static func falsify(
        _ claims: CommittedClaims, _ shard: ShardID, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> CommittedClaims {
        switch liar.rng.below(5) {
        case 3:
            // All of it, with the first item of each left out, or with nothing left out.
            CommittedClaims(
                from: claims.from, digests: claims.digests,
                skipped: liar.rng.chance(perMille: 500)
                    ? []
                    : claims.digests.indices.map {
                        SkippedPlaces(sequence: SequenceNumber(claims.from.number + UInt64($0)), places: [0])
                    })
        case 0: CommittedClaims(from: claims.from, digests: claims.digests.map { LiarsKnowledge.lie(about: $0) })
        case 1:
            CommittedClaims(
                from: claims.from,
                digests: claims.digests.map { _ in knowledge.anyDigest(shard, using: &liar.rng) })
        case 2:
            CommittedClaims(
                from: SequenceNumber(claims.from.number &+ 1 &+ liar.rng.below(UInt64(50))), digests: [])
        default: CommittedClaims(from: claims.from, digests: Array(claims.digests.dropFirst()))
        }
    }
}
