import Messages

/// The normal case (PBFT §4.2), and execution in order.
extension Replica {
    mutating func propose(_ batch: Batch, into ready: inout ReplicaReady) {
        precondition(canPropose && !batch.isNull)
        guard let view = viewChanger.installed else { return }
        let isEarly = viewChanger.isLeadDurable || Mutant.is(.leadsUnrecorded)
        ordering.propose(batch, isEarly: isEarly, in: view, promises, into: &ready)
    }

    /// PRE-PREPARE, PREPARE and COMMIT of the installed view. Those of a later one wait for it, within a bound.
    mutating func order(
        _ message: Verified<PBFTMessage>, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady
    ) {
        guard let messageView = message.value.orderedIn else { return }
        guard let view = viewChanger.installed, view.number == messageView else {
            if viewChanger.isAhead(messageView), viewChanger.postpone(message, from: from) { return }
            return ready.drop(
                phase == .normal ? .wrongView(got: messageView, current: self.view) : .changingView, of: from)
        }
        let refusal = ordering.receive(message, from: from, in: view, over: retained, now: now, promises, into: &ready)
        if refusal == nil, let proposal = message.prePrepare { checkAhead(proposal.value, now: now, into: &ready) }
        if case .timeOutOfBounds = refusal, let sequence = message.prePrepare?.value.sequence {
            pacemaker.refusedTime(of: sequence, now: now)
        }
        ready.drop(refusal, of: from)
    }

    // MARK: Execution

    /// Executes what is committed, in order, as soon as its signatures are known to be checked.
    mutating func advanceExecution(now: Instant, into ready: inout ReplicaReady) {
        defer { continueFetching(now: now, into: &ready) }
        while !isHalted && !isExecutionPaused {
            let next = lastExecuted.next
            if phase == .normal, let batch = ordering.log.committedBatch(at: next),
                let skipped = skips(in: batch, at: next, now: now, into: &ready)
            {
                promises.remember(.committed(sequence: next, batch.digest, skipped: skipped), into: &ready)
                execute(OrderedBatch(committed: batch, skipping: skipped, at: next), now: now, into: &ready)
            } else if let (batch, skipped) = claimedBatch(at: next) {
                // The journal must be able to rebuild what a checkpoint claims, so the body goes into it.
                promises.remember(.committedBody(sequence: next, batch, skipped: skipped), into: &ready)
                execute(OrderedBatch(claimed: batch, skipping: skipped, at: next), now: now, into: &ready)
            } else {
                return
            }
        }
    }

    private mutating func execute(_ ordered: OrderedBatch, now: Instant, into ready: inout ReplicaReady) {
        let (batch, sequence) = (ordered.batch, ordered.sequence)
        retained.append(batch, skipping: ordered.skipped)
        catchUp.executed(batch.digest)
        gate.executed(batch.digest)
        trimRetained()
        let isFruit = viewChanger.installed.map { $0.inheritedEnd < sequence } ?? false
        let count = batch.items.count - ordered.skipped.count
        // What nobody signed is no progress, but for who had to take it over from another view.
        if count > 0 || ordered.skipped.isEmpty || !isFruit {
            pacemaker.progressed(ordered: count, isFruit: isFruit, now: now)
        }
        ordering.skip(to: sequence.next)
        ready.executes.append(ordered)
    }

    mutating func flush(upTo sequence: SequenceNumber) {
        checkpoints.flush(upTo: sequence)
        trimRetained()
    }

    /// What is not durable in the store is needed after a crash, whatever its size.
    mutating func trimRetained() { retained.trim(upTo: min(flushed, stable.sequence), limits) }
}

extension PBFTMessage {
    /// The view of a message of the normal case.
    fileprivate var orderedIn: View? {
        switch self {
        case .prePrepare(let m): m.view
        case .prepare(let m): m.view
        case .commit(let m): m.view
        case .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted, .committed,
            .committedBody, .resumed, .recollection:
            nil
        }
    }
}
