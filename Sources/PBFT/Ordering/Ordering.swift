import Messages

/// Pre-prepare, prepare, commit between the watermarks (PBFT §4.2), in the installed view.
package struct Ordering: Sendable {
    private let configuration: ReplicaConfiguration
    package internal(set) var log: MessageLog
    /// The next sequence number that this replica proposes when it is the primary.
    package private(set) var nextSequence: SequenceNumber
    /// The latest time that a shard of this host has executed, of those on exactly this shard's hosts. A quorum has
    /// found it right once, so a fresh proposal may have it, however far behind this host's clock is now (R2).
    package var certainTime = Timestamp.zero

    package init(configuration: ReplicaConfiguration, low: SequenceNumber) {
        self.configuration = configuration
        log = MessageLog(low: low, window: configuration.limits.window, group: configuration.group)
        nextSequence = low.next
    }

    private var limits: ReplicaConfiguration.Limits { configuration.limits }

    // MARK: Proposals

    /// Whether the pipeline has room.
    func hasRoom(after executed: SequenceNumber) -> Bool {
        log.contains(nextSequence)
            && nextSequence.number - min(nextSequence, executed.next).number < limits.pipelineDepth
    }

    /// - Parameter isEarly: PRE-PREPARE leaves at once, and not with the record.
    mutating func propose(
        _ batch: Batch, isEarly: Bool, in view: InstalledView, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        let sequence = nextSequence
        nextSequence = sequence.next
        log[sequence].digest = batch.digest
        log[sequence].take(batch)
        let isInQ = !Mutant.is(.ownPrePrepareNotInQ)
        // Q includes the primary's own pre-prepare (TOCS '02 §4.4).
        if isInQ { log[sequence].addToQ(batch.digest, view: view.number) }
        log[sequence].hasProposalLeft = isEarly
        promises.propose(
            PrePrepare(view: view.number, sequence: sequence, batch: batch),
            thenSay: view.prepare(sequence, batch.digest), isEarly: isEarly, into: &ready)
        evaluate(sequence, in: view, promises, into: &ready)
    }

    /// - Parameter retained: what was executed here, up to its last number.
    /// - Returns: why it is of no use; nil also for what is old.
    package mutating func receive(
        _ message: Verified<PBFTMessage>, from: ReplicaIndex, in view: InstalledView, over retained: RetainedBatches,
        now: Instant,
        _ promises: Promises, into ready: inout ReplicaReady
    ) -> DropReason? {
        switch message.value {
        case .prePrepare:
            message.prePrepare.flatMap {
                receive($0, from: from, in: view, over: retained, now: now, promises, into: &ready)
            }
        case .prepare(let prepare): receive(prepare, from: from, in: view, promises, into: &ready)
        case .commit(let vote): receive(commit: vote, from: from)
        case .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted, .committed,
            .committedBody, .resumed, .recollection:
            nil
        }
    }

    private mutating func receive(
        _ verified: Verified<PrePrepare>, from: ReplicaIndex, in view: InstalledView, over retained: RetainedBatches,
        now: Instant,
        _ promises: Promises, into ready: inout ReplicaReady
    ) -> DropReason? {
        let proposal = verified.value
        let (sequence, batch) = (proposal.sequence, proposal.batch)
        // PREPARE will say that this replica has checked its share.
        precondition(verified.share == .all || verified.share == .of(configuration.me), "another replica's share")
        guard log.contains(sequence) else { return outside(sequence) }
        guard from == view.primary else { return .notFromPrimary(from) }
        if let digest = log[sequence].digest {
            guard digest == batch.digest else { return .conflictingPrePrepare(sequence) }
            // NEW-VIEW selected this digest, and here is its body; or a repetition.
            if !log[sequence].isPrePrepared { takeUpSelected(sequence, batch, in: view, promises, into: &ready) }
            return nil
        }
        if let refusal = refusal(ofFresh: proposal, in: view, over: retained, now: now) { return refusal }
        log[sequence].digest = batch.digest
        log[sequence].take(batch)
        log[sequence].isWhollyChecked = verified.share == .all
        log[sequence].addToQ(batch.digest, view: view.number)
        promises.promise(
            .prePrepared(view: view.number, sequence: sequence, batch),
            thenSay: .prepare(view.prepare(sequence, batch.digest)), into: &ready)
        evaluate(sequence, in: view, promises, into: &ready)
        return nil
    }

    private func outside(_ sequence: SequenceNumber) -> DropReason? {
        sequence > log.high ? .outsideWatermarks(got: sequence, low: log.low, high: log.high) : nil
    }

    private func refusal(
        ofFresh proposal: PrePrepare, in view: InstalledView, over retained: RetainedBatches, now: Instant
    ) -> DropReason? {
        let (sequence, batch) = (proposal.sequence, proposal.batch)
        // NEW-VIEW settled everything up to its end: nothing fresh may stand there, nor where something else is
        // executed.
        guard view.isFresh(sequence), retained.digest(at: sequence).map({ $0 == batch.digest }) ?? true else {
            return .conflictingPrePrepare(sequence)
        }
        // A correct primary has few proposals in flight; a window full of the largest batches would fill the memory.
        let furthest = SequenceNumber(retained.last.number + 16 * limits.pipelineDepth)
        guard sequence <= furthest else { return .outsideWatermarks(got: sequence, low: log.low, high: furthest) }
        // A fresh proposal: its time is bounded (R2); only a view change makes null requests.
        return !batch.isNull && isTimely(batch.time, local: now.wall)
            ? nil : .timeOutOfBounds(got: batch.time, local: now.wall)
    }

    private func isTimely(_ time: Timestamp, local: Timestamp) -> Bool {
        let timeBehind = Mutant.is(.slowClockKept) ? 10_000_000 : limits.timeBehind
        return time <= latestAcceptable(local) && local <= time.adding(microseconds: timeBehind)
    }

    /// A fresh proposal's time may be ahead of this replica's clock by so much, and no further, but for a time that was
    /// executed already. Nothing is added to that one: a lying primary would otherwise move the time on by a little
    /// with each batch, while every clock stands behind it (R2).
    private func latestAcceptable(_ local: Timestamp) -> Timestamp {
        if Mutant.is(.followsPrimaryClock), certainTime > local { return Timestamp(.max) }
        if Mutant.is(.timeMustAdvance) { return local.adding(microseconds: limits.timeAhead) }
        if Mutant.is(.allowanceOnCertain) { return max(local, certainTime).adding(microseconds: limits.timeAhead) }
        return max(local.adding(microseconds: limits.timeAhead), certainTime)
    }

    // MARK: Votes

    mutating func receive(
        _ prepare: Prepare, from: ReplicaIndex, in view: InstalledView, _ promises: Promises,
        into ready: inout ReplicaReady
    ) -> DropReason? {
        let sequence = prepare.sequence
        guard log.contains(sequence) else { return outside(sequence) }
        guard log[sequence].prepares.insert(prepare.digest, from: from) else {
            return .conflictingVote(sequence, from)
        }
        // The primary's PRE-PREPARE vouches; what is counted here are its backups.
        if from != view.primary, prepare.vouches || Mutant.is(.everyPrepareVouches) {
            log[sequence].vouchers.insert(from)
        }
        evaluate(sequence, in: view, promises, into: &ready)
        return nil
    }

    mutating func receive(commit vote: Vote, from: ReplicaIndex) -> DropReason? {
        guard log.contains(vote.sequence) else { return outside(vote.sequence) }
        return log[vote.sequence].commits.insert(vote.digest, from: from) ? nil : .conflictingVote(vote.sequence, from)
    }

    private mutating func evaluate(
        _ sequence: SequenceNumber, in view: InstalledView, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        guard !log[sequence].isPrepared, log.hasPrepared(sequence, primary: view.primary),
            let digest = log[sequence].digest
        else { return }
        log[sequence].isPrepared = true
        log[sequence].prepared = PQEntry(sequence: sequence, digest: digest, view: view.number)
        // COMMIT may leave only when P is durable (R3).
        promises.promise(
            .prepared(view: view.number, sequence: sequence, digest),
            thenSay: .commit(Vote(view: view.number, sequence: sequence, digest: digest)), into: &ready)
    }

    /// This primary's own proposal, which waited for its record, has left.
    mutating func hasLeft(_ proposal: PrePrepare) {
        if log.contains(proposal.sequence) { log[proposal.sequence].hasProposalLeft = true }
    }

    // MARK: What NEW-VIEW selects

    /// Takes up the selected numbers that lie between the watermarks and whose bodies are here; said again when the
    /// watermarks move, because a replica that lags is needed for the quorum as soon as it has caught up.
    /// - Returns: the digests whose bodies are not here.
    @discardableResult
    mutating func takeUpSelection(
        in view: InstalledView, _ selected: SelectedBodies, or retained: RetainedBatches, _ promises: Promises,
        into ready: inout ReplicaReady
    ) -> [Digest] {
        var missing: [Digest] = []
        guard let newView = view.newView else { return missing }
        for (sequence, digest) in newView.numbered where log.contains(sequence) && !log[sequence].isPrePrepared {
            select(digest, at: sequence, by: view.primary)
            if let body = log[sequence].body(digest) ?? selected.body(digest, at: sequence, or: retained) {
                takeUpSelected(sequence, body, in: view, promises, into: &ready)
            } else {
                missing.append(digest)
            }
        }
        return missing
    }

    /// A body that was asked for has come.
    mutating func takeUpSelected(
        _ body: Batch, in view: InstalledView, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        guard let newView = view.newView else { return }
        for (sequence, digest) in newView.numbered
        where digest == body.digest && log.contains(sequence) && !log[sequence].isPrePrepared
            && log[sequence].digest == digest
        {
            takeUpSelected(sequence, body, in: view, promises, into: &ready)
        }
    }

    /// Pre-prepares what NEW-VIEW selected, now that its body is here: byte for byte what it was, whatever its time
    /// (R2).
    private mutating func takeUpSelected(
        _ sequence: SequenceNumber, _ body: Batch, in view: InstalledView, _ promises: Promises,
        into ready: inout ReplicaReady
    ) {
        precondition(log[sequence].digest == body.digest && !log[sequence].isPrePrepared)
        let isBodyInJournal = log[sequence].hasBody(body.digest)
        log[sequence].take(body)
        log[sequence].addToQ(body.digest, view: view.number)
        let record: JournalRecord =
            isBodyInJournal
            ? .prePreparedAgain(view: view.number, sequence: sequence, body.digest)
            : .prePrepared(view: view.number, sequence: sequence, body)
        if view.primary == configuration.me, let newView = view.newView {
            promises.promise(record, saidBy: newView, into: &ready)
        } else {
            promises.promise(record, thenSay: .prepare(view.prepare(sequence, body.digest)), into: &ready)
        }
        evaluate(sequence, in: view, promises, into: &ready)
    }

    /// This primary's own NEW-VIEW is durable, and all that it selects: its vote counts.
    mutating func isDurable(
        _ newView: NewView, in view: InstalledView, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        for (sequence, digest) in newView.numbered where log.contains(sequence) && log[sequence].isPrePrepared {
            if log[sequence].prepares.insert(digest, from: configuration.me) {
                evaluate(sequence, in: view, promises, into: &ready)
            }
        }
    }

    /// Another's NEW-VIEW left when it was durable, with all that it selects: it is its sender's PREPARE for that.
    private mutating func select(_ digest: Digest, at sequence: SequenceNumber, by primary: ReplicaIndex) {
        log[sequence].digest = digest
        if primary != configuration.me { _ = log[sequence].prepares.insert(digest, from: primary) }
    }

    // MARK: Views and watermarks

    /// Nothing below this number is proposed here.
    mutating func skip(to sequence: SequenceNumber) { nextSequence = max(nextSequence, sequence) }

    mutating func advance(to low: SequenceNumber) {
        log.advance(to: low)
        skip(to: low.next)
    }

    mutating func enter(_ newView: NewView, executed: SequenceNumber) {
        log.enterView()
        nextSequence = max(newView.end, executed, log.low).next
    }

    // MARK: Restart

    /// The journal's low watermark lies below the store's state, so the log begins there.
    mutating func restart(at low: SequenceNumber) {
        if low < log.low { log = MessageLog(low: low, window: limits.window, group: configuration.group) }
        log.advance(to: low)
    }

    mutating func restore(
        prePrepared batch: Batch, at sequence: SequenceNumber, in view: View, installed: InstalledView?
    ) {
        guard log.contains(sequence) else { return }
        log[sequence].keep(batch)
        if !log[sequence].prePrepared.contains(where: { $0.digest == batch.digest && $0.view >= view }) {
            log[sequence].addToQ(batch.digest, view: view)
        }
        guard view == installed?.number else { return }
        log[sequence].digest = batch.digest
        log[sequence].isPrePrepared = true
    }

    mutating func restore(_ entry: PQEntry, installed: View) {
        guard log.contains(entry.sequence) else { return }
        if let known = log[entry.sequence].prepared, known.view > entry.view { return }
        log[entry.sequence].prepared = entry
        if entry.view == installed, log[entry.sequence].digest == entry.digest { log[entry.sequence].isPrepared = true }
    }

    mutating func select(_ newView: NewView) {
        for (sequence, digest) in newView.numbered where log.contains(sequence) {
            select(digest, at: sequence, by: newView.replica)
        }
    }

    mutating func skipProposed() {
        for sequence in log.sequences where log[sequence].digest != nil { skip(to: sequence.next) }
    }
}
