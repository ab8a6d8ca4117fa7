import Messages

/// Status messages that repair loss, and catching up on committed batches.
extension Replica {
    mutating func tick(oldestPending: Instant?, primaryReachable: Bool, now: Instant, into ready: inout ReplicaReady) {
        if promises.isFull {
            tickView(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now, into: &ready)
        }
        sayResumed(now: now, into: &ready)
        if case .rebuilding(let minimum) = standing {
            ready.needsState = minimum
        } else {
            askForMissingBodies(now: now, into: &ready)
            catchUp.tick(
                target: peers.certainlyExecuted, executed: lastExecuted, progressAt: pacemaker.progressAt, now: now,
                promises,
                into: &ready)
        }
        if peers.isStatusDue(now: now) { promises.send(.status(status()), to: .others, into: &ready) }
    }

    // MARK: Status

    mutating func receive(_ status: Status, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard peers.note(status, from: from, now: now) else { return }
        rejoin.witness.reconsider(from, status)
        rejoin.complain(to: from, stable: stable.sequence, promises, into: &ready)
        if status.suspects, isHeard(.suspect(status.view), from: from) {
            receiveSuspect(status.view, from: from, now: now, into: &ready)
        } else if !status.suspects {
            pacemaker.note(trustIn: status.view, by: from)
        }
        if status.stable < stable.sequence {
            // Those who lack claims for the stable checkpoint cannot move their watermarks.
            promises.send(.checkpoint(stable), to: .one(from), into: &ready)
        }
        for own in checkpoints.said(above: status.stable) {
            promises.send(.checkpoint(own), to: .one(from), into: &ready)
        }
        if let viewChange = viewChanger.repeated(to: status) {
            promises.send(.viewChange(viewChange), to: .one(from), into: &ready)
        }
        guard let installed = viewChanger.installed else { return }
        if status.view < view || (status.view == view && status.isChangingView) {
            if let newView = viewChanger.repeated(newViewTo: status) {
                promises.send(.newView(newView), to: .one(from), into: &ready)
            }
        } else if status.view == view, peers[from].isStuck {
            let votes = ordering.log.votes(in: installed, of: me, after: status.lastExecuted, upTo: status.proposedUpTo)
            for vote in votes { promises.send(vote, to: .one(from), into: &ready) }
        }
    }

    // MARK: Bodies by digest

    mutating func answerFetch(of digest: Digest, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        if let batch = ordering.log.body(of: digest) {
            guard serving.allows(bytes: batch.bytes.count, to: peer, now: now) else { return }
            promises.send(.batch(batch), to: .one(peer), into: &ready)
        } else if let sequence = retained.sequence(of: digest, upTo: stable.sequence, within: limits.window),
            let size = retained.byteCount(at: sequence), serving.allows(bytes: size, to: peer, now: now),
            let batch = retained[sequence]
        {
            promises.send(.batch(batch), to: .one(peer), into: &ready)
        }
    }

    // MARK: Committed batches

    /// When all that was asked for is executed, the next range is asked for at once.
    mutating func continueFetching(now: Instant, into ready: inout ReplicaReady) {
        guard catchUp.isActive, catchUp.isRangeDone(target: peers.certainlyExecuted, executed: lastExecuted) else {
            return
        }
        catchUp.askNext(after: lastExecuted, now: now, promises, into: &ready)
    }

    /// The batch at `sequence` that f + 1 peers claim to have executed, and without what. The correct one of them, or
    /// whoever it had this from, knew who had checked its signatures.
    func claimedBatch(at sequence: SequenceNumber) -> (Batch, skipped: [UInt32])? {
        guard let claimed = catchUp.certain(at: sequence) else { return nil }
        return (body(claimed.digest, at: sequence) ?? catchUp.body(claimed.digest)).map { ($0, claimed.skipped) }
    }
}
