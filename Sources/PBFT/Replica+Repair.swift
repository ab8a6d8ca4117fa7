import Messages

/// Status messages that repair loss, and catching up on committed batches.
extension Replica {
    mutating func tick(oldestPending: Instant?, primaryReachable: Bool, now: Instant, into ready: inout ReplicaReady) {
        if standing == .full { tickView(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now, into: &ready) }
        sayResumed(now: now, into: &ready)
        if case .rebuilding(let minimum) = standing {
            ready.needsState = minimum
        } else {
            askForMissingBodies(now: now, into: &ready)
            continueCatchUp(now: now, into: &ready)
        }
        if now.uptime >= lastStatusAt + limits.statusInterval {
            lastStatusAt = now.uptime
            promises.send(.status(status()), to: .others, into: &ready)
        }
    }

    // MARK: Status

    mutating func receive(_ status: Status, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard peers.note(status, from: from, now: now) else { return }
        rejoin.witness.reconsider(from, status)
        complain(to: from, into: &ready)
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
            } else if status.view == view, peers[from].isStuck {
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
        guard selected.ask(for: digest, patience: limits.fetchTimeout, now: now) else { return }
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

    mutating func answerFetch(of digest: Digest, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        for sequence in log.sequences {
            if let batch = log[sequence].bodies.first(where: { $0.digest == digest }) {
                guard serving.allows(batch, to: peer, now: now) else { return }
                return promises.send(.batch(batch), to: .one(peer), into: &ready)
            }
        }
        var sequence = stable.sequence
        while sequence >= retained.first, sequence.number + limits.window > stable.sequence.number {
            if let batch = retained[sequence], batch.digest == digest {
                guard serving.allows(batch, to: peer, now: now) else { return }
                return promises.send(.batch(batch), to: .one(peer), into: &ready)
            }
            guard sequence.number > 0 else { return }
            sequence = SequenceNumber(sequence.number - 1)
        }
    }

    mutating func receive(_ batch: Batch, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard selected.take(batch) else { return ready.drops.append((from, .notAsked)) }
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

    private mutating func continueCatchUp(now: Instant, into ready: inout ReplicaReady) {
        let target = peers.certainlyExecuted
        guard
            catchUp.isDue(target: target, executed: lastExecuted, progressAt: pacemaker.progressAt, now: now)
        else { return }
        if catchUp.isStateNeeded(after: lastExecuted) { ready.needsState = lastExecuted.next }
        fetchNext(now: now, into: &ready)
    }

    private mutating func fetchNext(now: Instant, into ready: inout ReplicaReady) {
        for (peer, request) in catchUp.ask(after: lastExecuted, now: now) {
            promises.send(.fetchCommitted(request), to: .one(peer), into: &ready)
        }
    }

    /// When all that was asked for is executed, the next range is asked for at once.
    mutating func continueFetching(now: Instant, into ready: inout ReplicaReady) {
        guard catchUp.isActive, catchUp.isRangeDone(target: peers.certainlyExecuted, executed: lastExecuted) else { return }
        fetchNext(now: now, into: &ready)
    }

    mutating func answer(_ request: FetchCommitted, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard let answer = serving.answer(request, to: peer, from: retained, now: now) else { return }
        promises.send(.committed(answer.claims), to: .one(peer), into: &ready)
        for batch in answer.bodies { promises.send(.committedBody(batch), to: .one(peer), into: &ready) }
    }

    /// The batch at `sequence` that f + 1 peers claim to have committed. The correct one of them, or whoever it had this from, took
    /// part in ordering it, and so had checked its signatures.
    func claimedBatch(at sequence: SequenceNumber) -> Batch? {
        catchUp.certainDigest(at: sequence).flatMap { body($0, at: sequence) ?? catchUp.body($0) }
    }
}
