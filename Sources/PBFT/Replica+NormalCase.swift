import Messages

/// The normal case (PBFT §4.2), and execution in order.
extension Replica {
    mutating func propose(_ batch: Batch, into ready: inout ReplicaReady) {
        precondition(canPropose && !batch.isNull)
        if let view = viewChanger.installed { ordering.propose(batch, in: view, promises, into: &ready) }
    }

    mutating func receive(_ proposal: PrePrepare, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard let view = installed(proposal.view, else: .prePrepare(proposal), from: from, into: &ready) else { return }
        let refusal = ordering.receive(
            proposal, from: from, in: view, over: retained, now: now, promises, into: &ready)
        if case .timeOutOfBounds = refusal { pacemaker.refusedTime(of: proposal.sequence, now: now) }
        ready.drop(refusal, of: from)
    }

    mutating func receivePrepare(_ vote: Vote, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard let view = installed(vote.view, else: .prepare(vote), from: from, into: &ready) else { return }
        ready.drop(ordering.receive(prepare: vote, from: from, in: view, promises, into: &ready), of: from)
    }

    mutating func receiveCommit(_ vote: Vote, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard installed(vote.view, else: .commit(vote), from: from, into: &ready) != nil else { return }
        ready.drop(ordering.receive(commit: vote, from: from), of: from)
    }

    /// The view of a message, if it is installed. Messages of a later one wait for it, within a bound.
    private mutating func installed(
        _ messageView: View, else message: @autoclosure () -> PBFTMessage, from: ReplicaIndex, into ready: inout ReplicaReady
    ) -> InstalledView? {
        if let installed = viewChanger.installed, installed.number == messageView { return installed }
        guard from != me, !(viewChanger.isAhead(messageView) && viewChanger.postpone(message(), from: from)) else { return nil }
        ready.drop(phase == .normal ? .wrongView(got: messageView, current: view) : .changingView, of: from)
        return nil
    }

    // MARK: Execution

    /// Executes what is committed, in order.
    mutating func advanceExecution(now: Instant, into ready: inout ReplicaReady) {
        defer { continueFetching(now: now, into: &ready) }
        while !isHalted && !isExecutionPaused {
            let next = lastExecuted.next
            if phase == .normal, let batch = ordering.log.committedBatch(at: next) {
                promises.remember(.committed(sequence: next, batch.digest), into: &ready)
                execute(batch, at: next, now: now, into: &ready)
            } else if let batch = claimedBatch(at: next) {
                // The journal must be able to rebuild what a checkpoint claims, so the body goes into it.
                promises.remember(.committedBody(sequence: next, batch), into: &ready)
                execute(batch, at: next, now: now, into: &ready)
            } else {
                return
            }
        }
    }

    private mutating func execute(_ batch: Batch, at sequence: SequenceNumber, now: Instant, into ready: inout ReplicaReady) {
        retained.append(batch)
        catchUp.executed(batch.digest)
        trimRetained()
        let isFruit = viewChanger.installed.map { $0.inheritedEnd < sequence } ?? false
        pacemaker.progressed(ordered: batch.items.count, isFruit: isFruit, now: now)
        ordering.skip(to: sequence.next)
        ready.executes.append((sequence, batch))
    }

    mutating func flush(upTo sequence: SequenceNumber) {
        checkpoints.flush(upTo: sequence)
        trimRetained()
    }

    /// What is not durable in the store is needed after a crash, whatever its size.
    mutating func trimRetained() { retained.trim(upTo: min(flushed, stable.sequence), limits) }
}
