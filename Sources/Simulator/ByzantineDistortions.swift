import Cores
import Messages
import PBFT

/// How a message of a Byzantine host's core is bent for one peer.
extension ByzantineHosts {
    func signer(_ m: Int) -> StandInSigner { StandInSigner(UInt64(members[m].identity)) }

    /// Keeps what one may lie with later.
    mutating func overhear(_ message: HostMessage, by m: Int) {
        members[m].remember(message)
        guard case .pbft(let shard, let pbft) = message else { return }
        switch pbft {
        case .prePrepare(let prePrepare):
            note(prePrepare.batch, shard)
            if hasJumpingClocks { latestTime[shard] = max(latestTime[shard] ?? .zero, prePrepare.batch.time) }
        case .batch(let batch), .committedBody(let batch): note(batch, shard)
        case .viewChange(let viewChange): note(viewChange)
        case .prepare, .commit, .checkpoint, .suspect, .newView, .status, .fetchBatch, .fetchCommitted, .committed,
            .resumed, .recollection:
            break
        }
    }

    mutating func note(_ viewChange: ViewChange) {
        let key = ViewOfShard(shard: viewChange.shard, view: viewChange.view)
        guard (viewChanges[key]?.count ?? 0) < 64 else { return }
        viewChanges[key, default: []].append(viewChange)
    }

    private mutating func note(_ batch: Batch, _ shard: ShardID) {
        guard !batch.isNull else { return }
        if digests[shard, default: []].count >= 32 { digests[shard]?.removeFirst() }
        digests[shard, default: []].append(batch.digest)
        if bodies.count >= 64 { bodies.removeFirst() }
        bodies.append(batch)
        if forgeries.count >= 256 { forgeries.removeAll() }
        forgeries[batch.digest] = forgery(of: batch)?.digest
        for case .request(let request) in batch.items where !requests.contains(request) {
            if requests.count >= 64 { requests.removeFirst() }
            requests.append(request)
        }
    }

    mutating func anyDigest(_ shard: ShardID, _ m: Int) -> Digest {
        let known = digests[shard] ?? []
        if known.isEmpty || members[m].rng.chance(perMille: 200) { return invented(m) }
        return known[members[m].rng.below(known.count)]
    }

    mutating func invented(_ m: Int) -> Digest {
        var hasher = Hasher256()
        hasher.update(integer: members[m].rng.next())
        return hasher.finish()
    }

    static func kind(_ message: HostMessage) -> UInt64 {
        switch message {
        case .pbft(_, let pbft):
            switch pbft {
            case .prePrepare: 0
            case .prepare: 1
            case .commit: 2
            case .checkpoint: 3
            case .suspect: 4
            case .viewChange: 5
            case .newView: 6
            case .status: 7
            case .fetchBatch, .fetchCommitted: 8
            case .batch, .committed, .committedBody: 9
            case .resumed: 13
            case .recollection: 14
            }
        case .push: 10
        case .stateTransfer: 11
        case .forward: 12
        }
    }

    mutating func distort(_ message: HostMessage, by m: Int, to: Int) -> [Distorted] {
        let isToCorrect = !isByzantine(to)
        if members[m].does(.mute) {
            if isToCorrect { effects.count(.mute) }
            return []
        }
        let isSilenced =
            members[m].silencedPeers >> UInt64(to % 64) & 1 == 1
            || members[m].silencedKinds >> Self.kind(message) & 1 == 1
        if members[m].does(.selectiveSilence), isSilenced {
            if isToCorrect { effects.count(.selectiveSilence) }
            return []
        }
        var said: [Distorted]
        switch message {
        case .pbft(let shard, let pbft):
            said = distort(pbft, shard, by: m, to: to).map {
                Distorted(message: .pbft(shard, $0.0), act: $0.1)
            }
        case .push(let shard, let push): said = [distort(push, shard, by: m)]
        case .stateTransfer(let shard, let transfer):
            said = distort(transfer, by: m).map { Distorted(message: .stateTransfer(shard, $0.0), act: $0.1) }
        case .forward: said = [Distorted(message: message)]
        }
        if members[m].does(.delay), !said.isEmpty, members[m].rng.chance(perMille: 700) {
            for i in said.indices {
                said[i].delay = members[m].rng.below(members[m].lateness)
                said[i].act = said[i].act ?? .delay
            }
        }
        if members[m].does(.slowPrimary), case .pbft(let shard, .prePrepare(let m)) = message {
            slowViews.insert(ViewOfShard(shard: shard, view: m.view))
            for i in said.indices {
                // Journals and the network take their part of the timeout too.
                said[i].delay = progressTimeout * 9 / 10
                said[i].act = .slowPrimary
            }
        }
        return said
    }

    // MARK: PBFT

    private mutating func distort(_ message: PBFTMessage, _ shard: ShardID, by m: Int, to: Int) -> [(
        PBFTMessage, ByzantineAct?
    )] {
        switch message {
        case .prePrepare(let prePrepare):
            note(prePrepare.batch, shard)
            let position = Position(shard: shard, view: prePrepare.view, sequence: prePrepare.sequence)
            if members[m].does(.equivocation), alternatives[position] == nil,
                let other = alternative(to: prePrepare.batch, on: shard, m)
            {
                note(other, shard)
                // Any split, so that sometimes either side has enough for a quorum with liars' votes.
                alternatives[position] = Alternative(
                    digest: other.digest, batch: other, believers: members[m].rng.next())
            }
            guard let alternative = alternatives[position], let batch = alternative.batch,
                Self.believes(alternative, to)
            else {
                return [(message, nil)]
            }
            let other = PBFTMessage.prePrepare(
                PrePrepare(view: prePrepare.view, sequence: prePrepare.sequence, batch: batch))
            if members[m].rng.chance(perMille: 100) { return [(other, .equivocation), (message, .equivocation)] }
            return [(other, .equivocation)]
        case .prepare(let vote): return distort(vote, shard, isCommit: false, by: m, to: to)
        case .commit(let vote): return distort(vote, shard, isCommit: true, by: m, to: to)
        case .checkpoint(let checkpoint):
            guard members[m].does(.wrongCheckpoint) else { return [(message, nil)] }
            let wrong = Checkpoint(sequence: checkpoint.sequence, digest: lie(about: checkpoint.digest))
            return [(.checkpoint(wrong), .wrongCheckpoint)]
        case .viewChange(let viewChange):
            note(viewChange)
            guard members[m].does(.forgedViewChange), isOwn(viewChange.replica, shard, m) else {
                return [(message, nil)]
            }
            let forged = forge(viewChange, m)
            note(forged)
            return [(.viewChange(forged), .forgedViewChange)]
        case .newView(let newView):
            guard members[m].does(.forgedNewView), isOwn(newView.replica, shard, m),
                members[m].rng.chance(perMille: 700)
            else {
                return [(message, nil)]
            }
            return [(.newView(forge(newView, m, to: to)), .forgedNewView)]
        case .status(let status):
            guard members[m].does(.falseStatus) else { return [(message, nil)] }
            return [(.status(falsify(status, m)), .falseStatus)]
        case .committed(let claims):
            if members[m].does(.forgedBodies) { return [(.committed(forge(claims)), .forgedBodies)] }
            guard members[m].does(.falseClaims) else { return [(message, nil)] }
            return [(.committed(falsify(claims, shard, m)), .falseClaims)]
        case .batch(let batch):
            guard members[m].does(.unaskedBodies), !bodies.isEmpty else { return [(message, nil)] }
            let other = bodies[members[m].rng.below(bodies.count)]
            return [(.batch(other), other == batch ? nil : .unaskedBodies)]
        case .committedBody(let batch):
            if members[m].does(.forgedBodies), let forgery = forgery(of: batch) {
                return [(.committedBody(forgery), .forgedBodies)]
            }
            guard members[m].does(.unaskedBodies), !bodies.isEmpty else { return [(message, nil)] }
            let other = bodies[members[m].rng.below(bodies.count)]
            return [(.committedBody(other), other == batch ? nil : .unaskedBodies)]
        case .resumed(let resumption):
            guard members[m].does(.falseResumption) else { return [(message, nil)] }
            return [(.resumed(falsify(resumption, m)), .falseResumption)]
        case .recollection(let recollection):
            guard members[m].does(.falseRecollection) else { return [(message, nil)] }
            return [(.recollection(falsify(recollection, m)), .falseRecollection)]
        case .suspect, .fetchBatch, .fetchCommitted: return [(message, nil)]
        }
    }

    private static func believes(_ alternative: Alternative, _ peer: Int) -> Bool {
        alternative.believers >> UInt64(peer % 64) & 1 == 1
    }

    private mutating func distort(_ vote: Vote, _ shard: ShardID, isCommit: Bool, by m: Int, to: Int) -> [(
        PBFTMessage, ByzantineAct?
    )] {
        func message(_ vote: Vote, _ isCommit: Bool) -> PBFTMessage { isCommit ? .commit(vote) : .prepare(vote) }
        let position = Position(shard: shard, view: vote.view, sequence: vote.sequence)
        var digest = vote.digest
        var act: ByzantineAct?
        if let alternative = alternatives[position],
            members[m].does(.equivocation) || members[m].does(.conflictingVotes)
        {
            // Tells everyone what it believes already.
            if Self.believes(alternative, to) {
                digest = alternative.digest
                act = .conflictingVotes
            }
        } else if members[m].does(.conflictingVotes), members[m].rng.chance(perMille: 500) {
            digest = anyDigest(shard, m)
            act = .conflictingVotes
        }
        let said = Vote(view: vote.view, sequence: vote.sequence, digest: digest)
        guard members[m].does(.conflictingVotes), !isCommit else { return [(message(said, isCommit), act)] }
        // A commit without having prepared.
        return [(message(said, false), act), (message(said, true), .conflictingVotes)]
    }

    /// A second batch for the place of the first: without some items, in another order, at another time.
    mutating func alternative(to batch: Batch, on shard: ShardID, _ m: Int) -> Batch? {
        var items = batch.items
        var time = batch.time
        switch members[m].rng.below(4) {
        case 0:
            if items.count > 1 {
                items.removeFirst(1 + members[m].rng.below(items.count - 1))
            } else {
                time = time.adding(microseconds: 1)
            }
        case 1:
            if items.count > 1 {
                items.reverse()
            } else {
                time = (latestTime[shard] ?? time).adding(microseconds: 3_000_000)
            }
        case 2: time = Timestamp(time.number - min(time.number, 5_000_000))
        default:
            guard !requests.isEmpty else { return nil }
            items.append(.request(requests[members[m].rng.below(requests.count)]))
        }
        let other = Batch(time: time, items: items)
        return other == batch ? nil : other
    }

    /// All liars tell the same lie about the same thing.
    func lie(about digest: Digest) -> Digest {
        var hasher = Hasher256()
        hasher.update(digest)
        return hasher.finish()
    }

    func isOwn(_ replica: ReplicaIndex, _ shard: ShardID, _ m: Int) -> Bool {
        manifest.replica(of: shard, on: HostID(UInt16(members[m].identity))) == replica
    }

    private mutating func any(_ honest: SequenceNumber, _ m: Int) -> SequenceNumber {
        switch members[m].rng.below(5) {
        case 0: SequenceNumber(.max)
        case 1: SequenceNumber(honest.number &+ 1 &+ members[m].rng.below(UInt64(40)))
        case 2: .zero
        case 3: SequenceNumber(.max - members[m].rng.below(UInt64(1000)))
        default: honest
        }
    }

    mutating func falsify(_ status: Status, _ m: Int) -> Status {
        let view =
            members[m].rng.chance(perMille: 300)
            ? View(status.view.number &+ members[m].rng.below(UInt64(3))) : status.view
        return Status(
            view: members[m].rng.chance(perMille: 50) ? View(.max) : view,
            isChangingView: members[m].rng.chance(perMille: 300),
            lastExecuted: any(status.lastExecuted, m), stable: any(status.stable, m),
            awaits: members[m].rng.chance(perMille: 500) ? any(status.lastExecuted, m) : status.awaits)
    }

    /// Votes of the asker that nobody heard, and checkpoints that nobody took.
    mutating func falsify(_ honest: Recollection, _ m: Int) -> Recollection {
        Recollection(
            about: honest.about, nonce: honest.nonce, heard: any(honest.heard, m),
            checkpoint: any(honest.checkpoint, m),
            declaration: members[m].rng.chance(perMille: 500) ? honest.declaration : nil,
            refuses: members[m].rng.chance(perMille: 300))
    }

    mutating func falsify(_ honest: Resumption, _ m: Int) -> Resumption {
        Resumption(
            nonce: members[m].rng.chance(perMille: 300) ? members[m].rng.next() : honest.nonce,
            remembers: any(honest.remembers, m),
            isQuarantined: members[m].rng.chance(perMille: 500), declaration: honest.declaration)
    }

    /// A start that never was: of a host that forgot, in another incarnation for each who hears it, and under the
    /// number of somebody else's question, so that the answers look as if they were for him.
    mutating func inventResumption(remembers: SequenceNumber, of shard: ShardID, _ m: Int) -> Resumption {
        var nonces: [UInt64] = []
        for message in members[m].heard {
            if case .pbft(_, .resumed(let question)) = message { nonces.append(question.nonce) }
        }
        let nonce =
            nonces.isEmpty || members[m].rng.chance(perMille: 300)
            ? members[m].rng.next() : nonces[members[m].rng.below(nonces.count)]
        var declaration: IncarnationDeclaration?
        if members[m].rng.chance(perMille: 700),
            let replica = manifest.replica(of: shard, on: HostID(UInt16(members[m].identity)))
        {
            let incarnation =
                members[m].rng.chance(perMille: 100)
                ? UInt64.max - members[m].rng.below(UInt64(2)) : 1 + members[m].rng.below(UInt64(1) << 60)
            declaration = IncarnationDeclaration(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, replica: replica,
                incarnation: incarnation,
                signer: StandInSigner(UInt64(members[m].identity)))
        }
        let isQuarantined = declaration != nil && members[m].rng.chance(perMille: 800)
        return Resumption(
            nonce: nonce, remembers: any(remembers, m), isQuarantined: isQuarantined, declaration: declaration)
    }

    /// With a request in the name of somebody who never signed it. The bodies of claims pass no verifier, so claims
    /// must hold it off.
    private func forgery(of batch: Batch) -> Batch? {
        var items = batch.items
        guard let i = items.firstIndex(where: { if case .request = $0 { true } else { false } }),
            case .request(let request) = items[i]
        else {
            return nil
        }
        items[i] = .request(SignedRequest(request.request, signedBy: StandInSigner(.max)))
        return Batch(time: batch.time, items: items)
    }

    private func forge(_ claims: CommittedClaims) -> CommittedClaims {
        CommittedClaims(from: claims.from, digests: claims.digests.map { forgeries[$0] ?? $0 })
    }

    mutating func falsify(_ claims: CommittedClaims, _ shard: ShardID, _ m: Int) -> CommittedClaims {
        switch members[m].rng.below(4) {
        case 0: CommittedClaims(from: claims.from, digests: claims.digests.map { lie(about: $0) })
        case 1: CommittedClaims(from: claims.from, digests: claims.digests.map { _ in anyDigest(shard, m) })
        case 2:
            CommittedClaims(
                from: SequenceNumber(claims.from.number &+ 1 &+ members[m].rng.below(UInt64(50))), digests: [])
        default: CommittedClaims(from: claims.from, digests: Array(claims.digests.dropFirst()))
        }
    }
}
