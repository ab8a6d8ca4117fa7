import Messages

/// Status messages that repair loss, and catching up on committed batches.
struct CatchUp: Sendable {
    /// Digests that peers claim to have executed, whose bodies are awaited.
    var awaited: Set<Digest> = []
    /// Nobody checked their signatures: only what f + 1 claim may be taken from here.
    var bodies = Bodies()
    /// The range that was asked for last, and who sends its bodies.
    var from = SequenceNumber.zero
    var upTo = SequenceNumber.zero
    var sender: ReplicaIndex?
    var askedAt: UInt64 = 0
    var isActive = false
    /// Whose turn it is to send bodies.
    var turn = 0
    /// Questions in a row about the same number, and that number.
    var fruitless = 0
    var askedFrom = SequenceNumber.zero

    /// Counts the ranges that were asked for.
    var question: UInt64 = 0

    static let rangeCount: UInt32 = 256
    /// A range from each of 64 replicas.
    static let maxAwaited = 64 * 256
}

/// Bodies that are asked for by digest, because a NEW-VIEW selects them. What comes is verified. Apart from `CatchUp`: what
/// comes there is not, and must neither stand for one of these, nor use up the question for it, nor take its place.
struct SelectedBodies: Sendable {
    /// When each was asked for.
    var asked: [Digest: UInt64] = [:]
    var bodies = Bodies()

    static let maxAsked = 16_384
}

/// Batches by digest, bounded in bytes: what does not fit takes the place of all others, which are asked for again.
struct Bodies: Sendable {
    private var byDigest: [Digest: Batch] = [:]
    private var bytes = 0
    static let maxBytes = 64 << 20

    subscript(digest: Digest) -> Batch? { byDigest[digest] }

    mutating func insert(_ batch: Batch) {
        guard byDigest[batch.digest] == nil else { return }
        if bytes + batch.bytes.count > Self.maxBytes { self = Bodies() }
        byDigest[batch.digest] = batch
        bytes += batch.bytes.count
    }

    mutating func remove(_ digest: Digest) {
        if let batch = byDigest.removeValue(forKey: digest) { bytes -= batch.bytes.count }
    }
}

extension Replica {
    mutating func tick(oldestPending: Instant?, primaryReachable: Bool, now: Instant, into ready: inout ReplicaReady) {
        if standing == .full { tickView(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now, into: &ready) }
        sayResumed(now: now, into: &ready)
        if case .rebuilding(let minimum) = standing {
            ready.needsState = minimum
        } else {
            askForMissingBodies(now: now, into: &ready)
            catchUp(now: now, into: &ready)
        }
        if now.uptime >= lastStatusAt + limits.statusInterval {
            lastStatusAt = now.uptime
            promises.send(.status(status()), to: .others, into: &ready)
        }
    }

    // MARK: Status

    mutating func receive(_ status: Status, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        // A repair is much larger than a status: a faulty peer gets few.
        guard now.uptime >= peers[from.index].repairedAt + limits.statusInterval / 4 else { return }
        peers[from.index].repairedAt = now.uptime
        peers[from.index].statusAt = now.uptime
        reconsider(from, status)
        complain(to: from, into: &ready)
        let previous = peers[from.index].status
        peers[from.index].isStuck = previous?.lastExecuted == status.lastExecuted
        peers[from.index].status = status
        if status.suspects, isHeard(.suspect(status.view), from: from) { receiveSuspect(status.view, from: from, now: now, into: &ready) }
        if status.stable < stable.sequence {
            // Those who lack claims for the stable checkpoint cannot move their watermarks.
            promises.send(.checkpoint(stable), to: .one(from), into: &ready)
        }
        for own in checkpoints.said(above: status.stable) {
            promises.send(.checkpoint(own), to: .one(from), into: &ready)
        }
        switch phase {
        case .changing:
            let isMissing = status.view <= view && !status.holds(viewChangeOf: me, for: view)
            if isMissing, let ownViewChange, viewChanges[me.index] == ownViewChange {
                promises.send(.viewChange(ownViewChange), to: .one(from), into: &ready)
            }
        case .normal:
            if status.view < view || (status.view == view && status.isChangingView) {
                if let newView, isNewViewDurable, status.refuses != newView.hash { promises.send(.newView(newView), to: .one(from), into: &ready) }
            } else if status.view == view, peers[from.index].isStuck {
                repeatVotes(to: from, after: status.lastExecuted, upTo: status.proposedUpTo, into: &ready)
            }
        }
    }

    /// Sends again what this replica said in this view about the numbers on which a peer is stuck.
    /// - Parameter known: up to here the peer has the proposals, and votes are of use to it.
    private func repeatVotes(
        to peer: ReplicaIndex, after sequence: SequenceNumber, upTo known: SequenceNumber, into ready: inout ReplicaReady
    ) {
        guard sequence < log.high else { return }
        var next = max(sequence, stable.sequence).next
        for _ in 0..<16 {
            guard log.contains(next), let digest = log[next].digest else { return }
            let slot = log[next]
            if isPrimary, slot.isProposalDurable, let batch = slot.body(digest) {
                let prePrepare = PrePrepare(view: view, sequence: next, batch: batch)
                promises.send(.prePrepare(prePrepare), to: .one(peer), into: &ready)
            }
            let vote = Vote(view: view, sequence: next, digest: digest)
            defer { next = next.next }
            guard next <= known || isPrimary else { continue }
            // An own vote is in the set only when it is durable.
            if slot.prepares.contains(me) { promises.send(.prepare(vote), to: .one(peer), into: &ready) }
            if slot.commits.contains(me) { promises.send(.commit(vote), to: .one(peer), into: &ready) }
        }
    }

    // MARK: Bodies by digest

    mutating func ask(for digest: Digest, now: Instant, into ready: inout ReplicaReady) {
        if let at = selected.asked[digest], now.uptime < at + limits.fetchTimeout { return }
        if selected.asked.count >= SelectedBodies.maxAsked {
            selected.asked = selected.asked.filter { now.uptime < $0.value + limits.fetchTimeout }
            guard selected.asked.count < SelectedBodies.maxAsked else { return }
        }
        selected.asked[digest] = now.uptime
        promises.send(.fetchBatch(digest), to: .others, into: &ready)
    }

    mutating func askForMissingBodies(now: Instant, into ready: inout ReplicaReady) {
        guard phase == .normal, let newView, newView.view == view else { return }
        var sequence = newView.start.sequence
        for _ in newView.selection {
            sequence = sequence.next
            guard log.contains(sequence), !log[sequence].isPrePrepared, let digest = log[sequence].digest else { continue }
            // Perhaps it was executed meanwhile, on claims.
            if let body = body(digest, at: sequence) {
                prePrepareSelected(sequence, body: body, into: &ready)
            } else {
                ask(for: digest, now: now, into: &ready)
            }
        }
    }

    /// What bodies a peer may have: so many bytes at once, and so many a second. It asks again.
    private mutating func allows(_ bytes: Int, to peer: ReplicaIndex, now: Instant) -> Bool {
        let passed = now.uptime - min(now.uptime, peers[peer.index].allowedAt)
        let earned = Int(min(passed / 1000, 1_000_000)) * limits.bodyBytesPerSecond / 1_000_000
        let allowance = min(peers[peer.index].allowedAt == 0 ? .max : peers[peer.index].allowance + earned, limits.bodyBytesPerSecond)
        guard allowance >= bytes else { return false }
        (peers[peer.index].allowance, peers[peer.index].allowedAt) = (allowance - bytes, now.uptime)
        return true
    }

    mutating func answerFetch(of digest: Digest, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        for sequence in log.sequences {
            if let batch = log[sequence].bodies.first(where: { $0.digest == digest }) {
                guard allows(batch.bytes.count, to: peer, now: now) else { return }
                return promises.send(.batch(batch), to: .one(peer), into: &ready)
            }
        }
        var sequence = stable.sequence
        while sequence >= retained.first, sequence.number + limits.window > stable.sequence.number {
            if let batch = retained[sequence], batch.digest == digest {
                guard allows(batch.bytes.count, to: peer, now: now) else { return }
                return promises.send(.batch(batch), to: .one(peer), into: &ready)
            }
            guard sequence.number > 0 else { return }
            sequence = SequenceNumber(sequence.number - 1)
        }
    }

    mutating func receive(_ batch: Batch, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard selected.asked.removeValue(forKey: batch.digest) != nil else { return ready.drops.append((from, .notAsked)) }
        selected.bodies.insert(batch)
        if phase == .normal, let newView, newView.view == view {
            var sequence = newView.start.sequence
            for digest in newView.selection {
                sequence = sequence.next
                guard digest == batch.digest, log.contains(sequence), !log[sequence].isPrePrepared,
                    log[sequence].digest == digest
                else { continue }
                prePrepareSelected(sequence, body: batch, into: &ready)
            }
        }
        tryNewView(now: now, into: &ready)
    }

    // MARK: Committed batches

    /// f + 1 peers executed beyond this replica, so a correct one did.
    private var certainTarget: SequenceNumber {
        let executed = peers.compactMap { $0.status?.lastExecuted }.sorted(by: >)
        return executed.count >= group.weakQuorum ? executed[group.f] : .zero
    }

    private mutating func catchUp(now: Instant, into ready: inout ReplicaReady) {
        let target = certainTarget
        guard target > lastExecuted else {
            // No longer behind: what was fetched is of no more use.
            if fetch.isActive { fetch = CatchUp(question: fetch.question) }
            return
        }
        let isFar = target.number > lastExecuted.number + limits.window / 2
        let isIdle = now.uptime > pacemaker.progressAt + limits.fetchTimeout
        // While what was asked for is executed, nothing is asked again; a sender whose bodies are of no use has no more time.
        let heardAt = max(fetch.askedAt, min(pacemaker.progressAt, fetch.askedAt + 4 * limits.fetchTimeout))
        guard isIdle || isFar, now.uptime > heardAt + limits.fetchTimeout else { return }
        let gone = peers.count { $0.retainsFrom.map { $0 > lastExecuted.next } ?? false }
        fetch.fruitless = fetch.askedFrom == lastExecuted.next ? fetch.fruitless + 1 : 0
        fetch.askedFrom = lastExecuted.next
        // One may be the only other that could have made f + 1 claims: after everybody was asked twice, its word is enough.
        if gone >= group.weakQuorum || (gone > 0 && fetch.fruitless >= 2 * group.n) {
            ready.needsState = lastExecuted.next
        }
        fetch.turn += 1
        sendFetch(now: now, into: &ready)
    }

    private mutating func sendFetch(now: Instant, into ready: inout ReplicaReady) {
        if !fetch.isActive {
            // What a peer claimed the last time it may have claimed as a liar that is mended since.
            for i in peers.indices { peers[i].claims = nil }
        }
        fetch.isActive = true
        fetch.askedAt = now.uptime
        fetch.awaited.removeAll()
        fetch.question += 1
        let count = CatchUp.rangeCount
        fetch.from = lastExecuted.next
        fetch.upTo = SequenceNumber(lastExecuted.number + UInt64(count))
        // Everybody says what is committed; one sends the bodies, another one each time.
        let sender = ReplicaIndex(UInt8((me.index + 1 + fetch.turn % (group.n - 1)) % group.n))
        fetch.sender = sender
        for i in 0..<group.n where i != me.index {
            let peer = ReplicaIndex(UInt8(i))
            let request = FetchCommitted(from: fetch.from, count: count, bodies: peer == sender)
            promises.send(.fetchCommitted(request), to: .one(peer), into: &ready)
        }
    }

    /// When all that was asked for is executed, the next range is asked for at once.
    mutating func continueFetching(now: Instant, into ready: inout ReplicaReady) {
        if fetch.isActive, lastExecuted >= fetch.upTo, certainTarget > lastExecuted {
            fetch.turn += 1
            sendFetch(now: now, into: &ready)
        }
    }

    mutating func answer(_ request: FetchCommitted, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        // A range a time: repetitions of the same range are answered seldom.
        if peers[peer.index].servedFrom == request.from, now.uptime < peers[peer.index].servedAt + limits.fetchTimeout / 2 { return }
        (peers[peer.index].servedFrom, peers[peer.index].servedAt) = (request.from, now.uptime)
        guard request.from >= retained.first else {
            // Too far back: say from where on there is something.
            let claims = CommittedClaims(from: retained.first, digests: [])
            return promises.send(.committed(claims), to: .one(peer), into: &ready)
        }
        var digests: [Digest] = []
        var bodies: [Batch] = []
        var bytes = 0
        var sendsBodies = request.bodies
        var sequence = request.from
        let count = min(Int(request.count), CommittedClaims.maxCount)
        while digests.count < count, let batch = retained[sequence], bytes < 2 << 20 {
            if sendsBodies {
                if allows(batch.bytes.count, to: peer, now: now) {
                    bodies.append(batch)
                    bytes += batch.bytes.count
                } else if bodies.isEmpty {
                    // Its word alone; another peer sends the bodies.
                    sendsBodies = false
                } else {
                    // The peer waits for what is named here.
                    break
                }
            }
            digests.append(batch.digest)
            sequence = sequence.next
        }
        promises.send(.committed(CommittedClaims(from: request.from, digests: digests)), to: .one(peer), into: &ready)
        for batch in bodies where !batch.isNull { promises.send(.committedBody(batch), to: .one(peer), into: &ready) }
    }

    mutating func receive(_ claims: CommittedClaims, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard fetch.isActive else { return ready.drops.append((from, .notAsked)) }
        if claims.digests.isEmpty {
            if claims.from > lastExecuted.next { peers[from.index].retainsFrom = claims.from }
            return
        }
        // One answer a question: a liar must not fill what is remembered with digests of its own invention. A late answer to
        // an earlier question must not take the place of this one's.
        guard claims.from == fetch.from, peers[from.index].claimedTurn != fetch.question,
            claims.digests.count <= Int(CatchUp.rangeCount)
        else {
            return ready.drops.append((from, .notAsked))
        }
        peers[from.index].claimedTurn = fetch.question
        peers[from.index].retainsFrom = nil
        peers[from.index].claims = claims
        let executed = lastExecuted.number >= claims.from.number ? Int(min(lastExecuted.number - claims.from.number + 1, 1 << 32)) : 0
        for digest in claims.digests.dropFirst(executed) where fetch.awaited.count < CatchUp.maxAwaited && fetch.bodies[digest] == nil {
            fetch.awaited.insert(digest)
        }
        // It sends no more bodies than it names: the next question need not wait for what will not come.
        if from == fetch.sender {
            fetch.upTo = min(fetch.upTo, SequenceNumber(claims.from.number + UInt64(claims.digests.count) - 1))
        }
    }

    mutating func receive(committed batch: Batch, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard fetch.awaited.remove(batch.digest) != nil else { return ready.drops.append((from, .notAsked)) }
        fetch.bodies.insert(batch)
    }

    /// The batch at `sequence` that f + 1 peers claim to have committed: a correct one of them did.
    func claimedBatch(at sequence: SequenceNumber) -> Batch? {
        guard fetch.isActive else { return nil }
        var counts: [(digest: Digest, count: Int)] = []
        for peer in peers {
            guard let claims = peer.claims, sequence >= claims.from else { continue }
            let offset = sequence.number - claims.from.number
            guard offset < UInt64(claims.digests.count) else { continue }
            let digest = claims.digests[Int(offset)]
            if let i = counts.firstIndex(where: { $0.digest == digest }) { counts[i].count += 1 } else { counts.append((digest, 1)) }
        }
        #if MUTANTS
        if Mutant.is(.laggardTrustsOneClaim), let claimed = counts.first?.digest {
            return body(claimed, at: sequence) ?? fetch.bodies[claimed]
        }
        #endif
        guard let certain = counts.first(where: { $0.count >= group.weakQuorum })?.digest else { return nil }
        // The correct one of them, or whoever it had this from, took part in ordering it, and so had checked its signatures.
        return body(certain, at: sequence) ?? fetch.bodies[certain]
    }
}
