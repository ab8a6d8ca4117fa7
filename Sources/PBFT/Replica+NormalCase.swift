import Messages

/// Pre-prepare, prepare, commit (PBFT §4.2), and execution in order.
extension Replica {
    mutating func propose(_ batch: Batch, into ready: inout ReplicaReady) {
        precondition(canPropose && !batch.isNull)
        let sequence = nextSequence
        nextSequence = sequence.next
        log[sequence].digest = batch.digest
        log[sequence].isPrePrepared = true
        log[sequence].keep(batch)
        #if MUTANTS
        let isInQ = !Mutant.is(.ownPrePrepareNotInQ)
        #else
        let isInQ = true
        #endif
        // Q includes the primary's own pre-prepare (TOCS '02 §4.4).
        if isInQ { log[sequence].addToQ(batch.digest, view: view) }
        promises.promise(
            .prePrepared(view: view, sequence: sequence, batch),
            thenSay: .prePrepare(PrePrepare(view: view, sequence: sequence, batch: batch)), into: &ready)
        evaluate(sequence, into: &ready)
    }

    mutating func receive(_ prePrepare: PrePrepare, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        let sequence = prePrepare.sequence
        guard accepts(.prePrepare(prePrepare), view: prePrepare.view, sequence: sequence, from: from, into: &ready) else { return }
        guard from == primary else { return ready.drops.append((from, .notFromPrimary(from))) }
        let batch = prePrepare.batch
        if let digest = log[sequence].digest {
            guard digest == batch.digest else { return ready.drops.append((from, .conflictingPrePrepare(sequence))) }
            // NEW-VIEW selected this digest, and here is its body; or a repetition.
            if !log[sequence].isPrePrepared { prePrepareSelected(sequence, body: batch, into: &ready) }
            return
        }
        // NEW-VIEW settled everything up to its end: nothing fresh may stand there, nor where something else is executed.
        guard sequence > newViewEnd, retained[sequence].map({ $0.digest == batch.digest }) ?? true else {
            return ready.drops.append((from, .conflictingPrePrepare(sequence)))
        }
        // A correct primary has few proposals in flight; a window full of the largest batches would fill the memory.
        let furthest = SequenceNumber(lastExecuted.number + 16 * limits.pipelineDepth)
        guard sequence <= furthest else {
            return ready.drops.append((from, .outsideWatermarks(got: sequence, low: log.low, high: furthest)))
        }
        // A fresh proposal: its time is bounded (R2); only a view change makes null requests.
        let local = now.wall
        #if MUTANTS
        let timeBehind = Mutant.is(.slowClockKept) ? 10_000_000 : limits.timeBehind
        #else
        let timeBehind = limits.timeBehind
        #endif
        guard !batch.isNull, batch.time <= latestAcceptable(local), local <= batch.time.adding(microseconds: timeBehind)
        else {
            pacemaker.refusedTime(of: sequence, now: now)
            return ready.drops.append((from, .timeOutOfBounds(got: batch.time, local: local)))
        }
        log[sequence].digest = batch.digest
        log[sequence].isPrePrepared = true
        log[sequence].keep(batch)
        log[sequence].addToQ(batch.digest, view: view)
        promises.promise(
            .prePrepared(view: view, sequence: sequence, batch),
            thenSay: .prepare(Vote(view: view, sequence: sequence, digest: batch.digest)), into: &ready)
        evaluate(sequence, into: &ready)
    }

    /// A fresh proposal's time may be ahead of this replica's clock by so much, and no further, but for a time that was executed
    /// already. Nothing is added to that one: a lying primary would otherwise move the time on by a little with each batch,
    /// while every clock stands behind it (R2).
    private func latestAcceptable(_ local: Timestamp) -> Timestamp {
        #if MUTANTS
        if Mutant.is(.followsPrimaryClock), certainTime > local { return Timestamp(.max) }
        if Mutant.is(.timeMustAdvance) { return local.adding(microseconds: limits.timeAhead) }
        if Mutant.is(.allowanceOnCertain) { return max(local, certainTime).adding(microseconds: limits.timeAhead) }
        #endif
        return max(local.adding(microseconds: limits.timeAhead), certainTime)
    }

    /// The checks that PRE-PREPARE, PREPARE and COMMIT share. Messages of the next view wait for it, within a bound.
    private mutating func accepts(
        _ message: @autoclosure () -> PBFTMessage, view messageView: View, sequence: SequenceNumber, from: ReplicaIndex,
        into ready: inout ReplicaReady
    ) -> Bool {
        guard messageView == view, phase == .normal else {
            let isLater = messageView > view || (messageView == view && phase != .normal)
            if isLater, from != me, future[from.index].count < limits.futureMessagesPerPeer, hasRoomForFuture(message(), from) {
                future[from.index].append(message())
            } else if from != me {
                ready.drops.append((from, phase == .normal ? .wrongView(got: messageView, current: view) : .changingView))
            }
            return false
        }
        guard log.contains(sequence) else {
            if sequence > log.high {
                ready.drops.append((from, .outsideWatermarks(got: sequence, low: log.low, high: log.high)))
            }
            return false
        }
        return true
    }

    /// Votes are small; of proposals, which are not, only as many wait as a correct primary has in flight.
    private func hasRoomForFuture(_ message: PBFTMessage, _ from: ReplicaIndex) -> Bool {
        guard case .prePrepare = message else { return true }
        let waiting = future[from.index].count { if case .prePrepare = $0 { true } else { false } }
        return waiting < Int(limits.pipelineDepth) * 2
    }

    mutating func receivePrepare(_ vote: Vote, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard accepts(.prepare(vote), view: vote.view, sequence: vote.sequence, from: from, into: &ready) else { return }
        // The primary's pre-prepare is its prepare.
        guard from != primary else { return ready.drops.append((from, .notFromPrimary(from))) }
        guard log[vote.sequence].prepares.insert(vote.digest, from: from) else {
            return ready.drops.append((from, .conflictingVote(vote.sequence, from)))
        }
        evaluate(vote.sequence, into: &ready)
    }

    mutating func receiveCommit(_ vote: Vote, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard accepts(.commit(vote), view: vote.view, sequence: vote.sequence, from: from, into: &ready) else { return }
        guard log[vote.sequence].commits.insert(vote.digest, from: from) else {
            return ready.drops.append((from, .conflictingVote(vote.sequence, from)))
        }
    }

    /// Prepared: the pre-prepare and 2f prepares of different backups that match it (PBFT §4.2).
    func hasPrepared(_ slot: Slot) -> Bool {
        guard slot.isPrePrepared, let digest = slot.digest else { return false }
        #if MUTANTS
        if Mutant.is(.commitWithoutPrepare) { return true }
        if Mutant.is(.prepareQuorum) { return slot.prepares.count(of: digest, except: primary) >= 2 * group.f - 1 }
        #endif
        return slot.prepares.count(of: digest, except: primary) >= 2 * group.f
    }

    mutating func evaluate(_ sequence: SequenceNumber, into ready: inout ReplicaReady) {
        guard !log[sequence].isPrepared, hasPrepared(log[sequence]), let digest = log[sequence].digest else { return }
        log[sequence].isPrepared = true
        log[sequence].prepared = PQEntry(sequence: sequence, digest: digest, view: view)
        // COMMIT may leave only when P is durable (R3).
        promises.promise(
            .prepared(view: view, sequence: sequence, digest),
            thenSay: .commit(Vote(view: view, sequence: sequence, digest: digest)), into: &ready)
    }

    /// Committed: 2f + 1 commits. At least f + 1 correct replicas prepared it, so no view change can select another.
    private func committedBatch(at sequence: SequenceNumber) -> Batch? {
        guard log.contains(sequence), phase == .normal else { return nil }
        let slot = log[sequence]
        #if MUTANTS
        if Mutant.is(.executesPrepared), slot.isPrepared, let digest = slot.digest { return slot.body(digest) }
        if Mutant.is(.commitQuorum2f), slot.isPrePrepared, let digest = slot.digest, slot.commits.count(of: digest) >= 2 * group.f {
            return slot.body(digest)
        }
        #endif
        guard slot.isPrePrepared, let digest = slot.digest, slot.commits.count(of: digest) >= group.quorum else { return nil }
        return slot.body(digest)
    }

    /// Executes what is committed, in order.
    mutating func advanceExecution(now: Instant, into ready: inout ReplicaReady) {
        defer { continueFetching(now: now, into: &ready) }
        while !isHalted && !isExecutionPaused {
            let next = lastExecuted.next
            if let batch = committedBatch(at: next) {
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
        pacemaker.progressed(
            ordered: batch.items.count, isFruit: phase == .normal && newViewEnd < sequence, now: now)
        nextSequence = max(nextSequence, sequence.next)
        ready.executes.append((sequence, batch))
    }

    /// The last sequence number that the installed view inherited: progress is what is ordered above it.
    var newViewEnd: SequenceNumber {
        guard let newView, newView.view == view else { return .zero }
        return SequenceNumber(newView.start.sequence.number + UInt64(newView.selection.count))
    }

    mutating func trimRetained() {
        // What is not durable in the store is needed after a crash, whatever its size.
        while retained.count > 0, retained.first <= flushed, retained.first <= stable.sequence,
            retained.bytes > limits.retainedBytes || retained.count > limits.retainedBatches
        {
            retained.dropFirst()
        }
    }
}
