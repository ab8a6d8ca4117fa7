import Messages

/// Restart from the journal (R3), and the journal's compaction.
extension Replica {
    /// Rebuilds what the journal proves. What was committed above the store's state is returned for execution, in
    /// order; checkpoints on the way must be said as `checkpointTaken`, then `started`.
    public init(
        configuration: ReplicaConfiguration, base: Checkpoint, records: [JournalRecord], now: Instant,
        into ready: inout ReplicaReady
    ) {
        self.init(configuration: configuration, base: base, now: now)
        let journal = Replay(records, over: base)
        rejoin.incarnations.restore(own: journal.incarnation, peers: journal.peerIncarnations)
        for ordered in journal.executed {
            retained.append(ordered.batch, skipping: ordered.skipped)
            ready.executes.append(ordered)
        }
        let standing = journal.standing(executed: lastExecuted, isNew: records.isEmpty && base.sequence == .zero)
        if standing != .full {
            promises.fallSilent(standing)
            viewChanger.forgetLead()
        }
        // The journal is whole and the state is not: the votes are remembered, and everything waits for a state.
        if standing.isRebuilding { rejoin.remember(records) } else { restore(records, journal, base: base, now: now) }
    }

    private mutating func restore(_ records: [JournalRecord], _ journal: Replay, base: Checkpoint, now: Instant) {
        if journal.stable.sequence <= lastExecuted {
            checkpoints.restore(stable: journal.stable, base: base)
            ordering.restart(at: journal.stable.sequence)
        }
        for record in records { restore(record, journal, now: now) }
        ordering.skip(to: max(lastExecuted.next, stable.sequence.next))
        ordering.skipProposed()
    }

    private mutating func restore(_ record: JournalRecord, _ journal: Replay, now: Instant) {
        switch record {
        case .prePrepared(let view, let sequence, let batch):
            ordering.restore(prePrepared: batch, at: sequence, in: view, installed: viewChanger.installed)
        case .prePreparedAgain(let view, let sequence, let digest):
            guard let batch = journal.body(digest, at: sequence) else { return }
            ordering.restore(prePrepared: batch, at: sequence, in: view, installed: viewChanger.installed)
        case .prepared(let view, let sequence, let digest):
            ordering.restore(PQEntry(sequence: sequence, digest: digest, view: view), installed: self.view)
        case .viewChange(let viewChange): viewChanger.restore(viewChange, now: now)
        case .newView(let newView):
            guard viewChanger.isAhead(newView.view) else { return }
            enter(newView, now: now)
            ordering.select(newView)
        case .committed, .committedBody, .stable, .quarantine, .peerIncarnation: return
        }
    }

    /// Says again what was said before the restart, byte for byte; all of it is durable. A view that it led it leaves:
    /// PRE-PREPAREs of it may have left that it does not remember.
    mutating func resume(now: Instant, into ready: inout ReplicaReady) {
        pacemaker.start(now: now)
        defer { resign(now: now, into: &ready) }
        for own in checkpoints.own { promises.sayOnceDurable(.checkpoint(own), into: &ready) }
        guard let view = viewChanger.installed else {
            if let own = viewChanger.own { promises.sayOnceDurable(.viewChange(own), into: &ready) }
            return
        }
        // The record of a selected number may have been lost behind NEW-VIEW's. Then NEW-VIEW has not left, and without
        // the body it must not: it is this replica's vote for all that it selects.
        let missing = takeUpSelection(into: &ready)
        if let newView = view.newView, newView.replica == me, missing.isEmpty {
            promises.sayOnceDurable(.newView(newView), into: &ready)
        }
        for vote in ordering.log.votes(in: view, of: me) { promises.sayOnceDurable(vote, into: &ready) }
    }

    /// Everything that a restart needs, given the store's state at `flushed`: what compaction writes forward.
    public func liveRecords() -> [JournalRecord] {
        if standing.isRebuilding { return rejoin.remembered }
        var records = rejoin.incarnations.ofPeers.map { JournalRecord.peerIncarnation($0) }
        let incarnation = rejoin.incarnations.own
        if incarnation > 0 { records.append(.quarantine(incarnation: incarnation, isOver: !standing.isQuarantined)) }
        if let newView = viewChanger.newView { records.append(.newView(newView)) }
        if let own = viewChanger.own { records.append(.viewChange(own)) }
        // Executed and not in the store.
        for (sequence, batch) in retained.after(flushed) {
            records.append(.committedBody(sequence: sequence, batch, skipped: retained.skipped(at: sequence)))
        }
        if stable.sequence > .zero { records.append(.stable(stable)) }
        return records + ordering.log.records
    }
}
