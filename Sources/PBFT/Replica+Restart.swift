import Messages

/// Restart from the journal (R3), and the journal's compaction.
extension Replica {
    /// Rebuilds what the journal proves. What was committed above the store's state is returned for execution, in order;
    /// checkpoints on the way must be said as `checkpointTaken`, then `started`.
    public init(
        configuration: ReplicaConfiguration, base: Checkpoint, records: [JournalRecord], now: Instant, into ready: inout ReplicaReady
    ) {
        self.init(configuration: configuration, base: base, now: now)
        var bodies: [SequenceNumber: [Batch]] = [:]
        var committed: [SequenceNumber: Digest] = [:]
        // A state that was fetched may lie above what is stable here.
        let low = Self.lowWatermark(of: base, records)
        var stableCheckpoint = low
        var isQuarantined = false
        for record in records {
            switch record {
            case .prePrepared(_, let sequence, let batch) where sequence > low.sequence:
                if !(bodies[sequence] ?? []).contains(batch) { bodies[sequence, default: []].append(batch) }
            case .committedBody(let sequence, let batch) where sequence > base.sequence:
                if !(bodies[sequence] ?? []).contains(batch) { bodies[sequence, default: []].append(batch) }
                committed[sequence] = batch.digest
            case .committed(let sequence, let digest) where sequence > base.sequence: committed[sequence] = digest
            case .stable(let checkpoint) where checkpoint.sequence > stableCheckpoint.sequence: stableCheckpoint = checkpoint
            case .quarantine(let life, let isOver):
                isQuarantined = !isOver
                if life > rejoin.incarnations.own { rejoin.incarnations.begin(life) }
            case .peerLife(let declaration):
                rejoin.incarnations.restore(declaration)
            case .prePrepared, .prePreparedAgain, .prepared, .committed, .committedBody, .viewChange, .newView, .stable: break
            }
        }
        while let digest = committed[lastExecuted.next] {
            let next = lastExecuted.next
            guard let batch = digest.isNull ? .null : bodies[next]?.first(where: { $0.digest == digest }) else { break }
            retained.append(batch)
            ready.executes.append((next, batch))
        }
        // `stable` is written after the `committed` that it covers, so on the state that it belongs to a journal without rot
        // always reaches it.
        if isQuarantined {
            promises.fallSilent(.quarantined(until: nil))
        } else if stableCheckpoint.sequence > lastExecuted {
            // The journal is whole and the state is not: the votes are remembered, and everything waits for a state on which the
            // journal's batches follow.
            var minimum = stableCheckpoint.sequence
            while minimum > .zero, let digest = committed[minimum],
                digest.isNull || bodies[minimum]?.contains(where: { $0.digest == digest }) == true
            {
                minimum = SequenceNumber(minimum.number - 1)
            }
            promises.fallSilent(.rebuilding(from: minimum))
            rejoin.remember(records)
            return
        } else if !records.isEmpty || base.sequence > .zero {
            promises.fallSilent(.resuming)
        }
        if stableCheckpoint.sequence <= lastExecuted {
            checkpoints.restore(stable: stableCheckpoint, base: base)
            if low != base { log = MessageLog(low: stable.sequence, window: limits.window, n: group.n) }
            log.advance(to: stable.sequence)
        }
        for record in records { restore(record, bodies: bodies, now: now) }
        nextSequence = max(nextSequence, lastExecuted.next, stable.sequence.next)
        for sequence in log.sequences where log[sequence].digest != nil { nextSequence = max(nextSequence, sequence.next) }
    }

    /// The stable checkpoint that the journal knows, if the store's state lies above it; otherwise the store's.
    private static func lowWatermark(of base: Checkpoint, _ records: [JournalRecord]) -> Checkpoint {
        var stable: Checkpoint?
        for case .stable(let checkpoint) in records where checkpoint.sequence >= stable?.sequence ?? .zero { stable = checkpoint }
        // A journal without any knows of nothing below the state.
        guard let stable, stable.sequence < base.sequence else { return base }
        return stable
    }

    private mutating func restore(_ record: JournalRecord, bodies: [SequenceNumber: [Batch]], now: Instant) {
        switch record {
        case .prePrepared(let view, let sequence, let batch):
            restorePrePrepared(view, sequence, batch)
        case .prePreparedAgain(let view, let sequence, let digest):
            guard let batch = digest.isNull ? .null : bodies[sequence]?.first(where: { $0.digest == digest }) else { return }
            restorePrePrepared(view, sequence, batch)
        case .prepared(let view, let sequence, let digest):
            guard log.contains(sequence) else { return }
            if let entry = log[sequence].prepared, entry.view > view { return }
            log[sequence].prepared = PQEntry(sequence: sequence, digest: digest, view: view)
            if view == self.view, log[sequence].digest == digest { log[sequence].isPrepared = true }
        case .viewChange(let viewChange):
            guard viewChange.view > view || (viewChange.view == view && phase != .normal) else { return }
            view = viewChange.view
            phase = .changing(since: now.uptime, quorumSince: nil)
            ownViewChange = viewChange
        case .newView(let newView):
            guard newView.view > view || (newView.view == view && phase != .normal) else { return }
            enter(newView, now: now)
            var sequence = newView.start.sequence
            for digest in newView.selection {
                sequence = sequence.next
                if log.contains(sequence) { log[sequence].digest = digest }
            }
        case .committed, .committedBody, .stable, .quarantine, .peerLife: return
        }
    }

    private mutating func restorePrePrepared(_ view: View, _ sequence: SequenceNumber, _ batch: Batch) {
        guard log.contains(sequence) else { return }
        log[sequence].keep(batch)
        if !log[sequence].prePrepared.contains(where: { $0.digest == batch.digest && $0.view >= view }) {
            log[sequence].addToQ(batch.digest, view: view)
        }
        if view == self.view, phase == .normal {
            log[sequence].digest = batch.digest
            log[sequence].isPrePrepared = true
        }
    }

    /// Says again what was said before the restart, byte for byte; all of it is durable.
    mutating func resume(now: Instant, into ready: inout ReplicaReady) {
        pacemaker.start(now: now)
        for own in checkpoints.own { promises.sayOnceDurable(.checkpoint(own), into: &ready) }
        switch phase {
        case .changing:
            guard let ownViewChange else { return }
            promises.sayOnceDurable(.viewChange(ownViewChange), into: &ready)
        case .normal:
            if let newView, newView.replica == me {
                isNewViewDurable = false
                promises.sayOnceDurable(.newView(newView), into: &ready)
            }
            // The record of a selected number may have been lost behind NEW-VIEW's.
            applySelection(into: &ready)
            for sequence in log.sequences {
                guard log[sequence].isPrePrepared, let digest = log[sequence].digest, let batch = log[sequence].body(digest) else { continue }
                let vote = Vote(view: view, sequence: sequence, digest: digest)
                let proposal = PrePrepare(view: view, sequence: sequence, batch: batch)
                promises.sayOnceDurable(isPrimary ? .prePrepare(proposal) : .prepare(vote), into: &ready)
                if log[sequence].isPrepared { promises.sayOnceDurable(.commit(vote), into: &ready) }
            }
        }
    }

    /// Everything that a restart needs, given the store's state at `flushed`: what compaction writes forward.
    public func liveRecords() -> [JournalRecord] {
        if standing.isRebuilding { return rejoin.remembered }
        var records: [JournalRecord] = []
        for declaration in rejoin.incarnations.ofPeers { records.append(.peerLife(declaration)) }
        let life = rejoin.incarnations.own
        if life > 0 { records.append(.quarantine(life: life, isOver: !standing.isQuarantined)) }
        if let newView { records.append(.newView(newView)) }
        if let ownViewChange { records.append(.viewChange(ownViewChange)) }
        // Executed and not in the store.
        var sequence = max(flushed.next, retained.first)
        while let batch = retained[sequence] {
            records.append(.committedBody(sequence: sequence, batch))
            sequence = sequence.next
        }
        if stable.sequence > .zero { records.append(.stable(stable)) }
        for sequence in log.sequences {
            let slot = log[sequence]
            for entry in slot.prePrepared {
                // A body beyond Q's bound is gone only with its entry.
                guard let batch = slot.body(entry.digest) else { continue }
                records.append(.prePrepared(view: entry.view, sequence: sequence, batch))
            }
            if let entry = slot.prepared {
                records.append(.prepared(view: entry.view, sequence: sequence, entry.digest))
            }
        }
        return records
    }
}
