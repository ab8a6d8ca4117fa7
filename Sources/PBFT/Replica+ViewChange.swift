import Messages

/// The view change of TOCS 20(4) 2002 §4.4, without signed phases: P and Q are durable, VIEW-CHANGE and NEW-VIEW signed.
extension Replica {
    // MARK: Suspicion

    mutating func receiveSuspect(_ suspected: View, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard suspected >= view else { return }
        pacemaker.note(suspicionOf: suspected, by: from, now: now)
        leaveSuspectedView(now: now, into: &ready)
    }

    mutating func suspect(now: Instant, into ready: inout ReplicaReady) {
        #if MUTANTS
        if Mutant.is(.suspicionNotSent) { return }
        #endif
        if pacemaker.suspect(view, now: now) { promises.send(.suspect(view), to: .others, into: &ready) }
        leaveSuspectedView(now: now, into: &ready)
    }

    private mutating func leaveSuspectedView(now: Instant, into ready: inout ReplicaReady) {
        guard phase == .normal, promises.isFull else { return }
        let view = view
        let isSuspected = pacemaker.isSuspected(
            view, hasLeft: { viewChanges[$0.index].map { $0.view > view } ?? false }, now: now)
        if isSuspected { startViewChange(to: view.next, now: now, into: &ready) }
    }

    // MARK: VIEW-CHANGE

    mutating func startViewChange(to newView: View, now: Instant, into ready: inout ReplicaReady) {
        precondition(newView > view || (newView == view && phase != .normal))
        precondition(promises.isFull)
        pacemaker.leaveView(isChanging: phase != .normal)
        view = newView
        phase = .changing(since: now.uptime, quorumSince: nil)
        var prepared: [PQEntry] = []
        var prePrepared: [PQEntry] = []
        for sequence in log.sequences {
            let slot = log[sequence]
            if let entry = slot.prepared { prepared.append(entry) }
            prePrepared.append(contentsOf: slot.prePrepared)
        }
        #if MUTANTS
        if Mutant.is(.viewChangeWithoutP) { prepared = [] }
        #endif
        prePrepared.sort()
        let viewChange = ViewChange(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard, view: newView, replica: me,
            life: rejoin.incarnations.own,
            lowWatermark: stable.sequence,
            checkpoints: checkpoints.held(upTo: log.high),
            prepared: prepared, prePrepared: prePrepared, signer: configuration.signer)
        ownViewChange = viewChange
        promises.promise(.viewChange(viewChange), thenSay: .viewChange(viewChange), into: &ready)
    }

    mutating func receive(_ viewChange: ViewChange, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard viewChange.replica == from, viewChange.isWellFormed(window: limits.window), !rejoin.incarnations.outlived(viewChange) else {
            return ready.drops.append((from, .malformedViewChange(from)))
        }
        if let earlier = viewChanges[from.index], earlier.view >= viewChange.view { return }
        if viewChange.view < view || (viewChange.view == view && phase == .normal) { return }
        viewChanges[from.index] = viewChange
        joinViewsAhead(now: now, into: &ready)
        leaveSuspectedView(now: now, into: &ready)
        noteQuorum(now: now)
        tryNewView(now: now, into: &ready)
    }

    /// f + 1 replicas ahead contain a correct one: join the lowest of their views (PBFT §4.5.2).
    mutating func joinViewsAhead(now: Instant, into ready: inout ReplicaReady) {
        var ahead: [View] = []
        for (i, viewChange) in viewChanges.enumerated() where i != me.index {
            if let viewChange, viewChange.view > view { ahead.append(viewChange.view) }
        }
        guard ahead.count >= group.weakQuorum, standing == .full, let lowest = ahead.min() else { return }
        startViewChange(to: lowest, now: now, into: &ready)
    }

    /// The wait for NEW-VIEW starts when 2f + 1 replicas want the view: earlier there is nobody to blame.
    private mutating func noteQuorum(now: Instant) {
        guard case .changing(let since, nil) = phase else { return }
        // Who has entered the view, by a NEW-VIEW that this replica refuses, repeats its VIEW-CHANGE no more, and says where it is.
        let supporters = viewChanges.indices.count { i in
            viewChanges[i].map { $0.view >= view } ?? false || (i != me.index && peers[ReplicaIndex(UInt8(i))].status.map { $0.view >= view } ?? false)
        }
        if supporters >= group.quorum { phase = .changing(since: since, quorumSince: now.uptime) }
    }

    // MARK: NEW-VIEW

    /// As the new primary: select as soon as the messages in S allow it.
    mutating func tryNewView(now: Instant, into ready: inout ReplicaReady) {
        guard phase != .normal, isPrimary, standing == .full else { return }
        // The own VIEW-CHANGE is among them only once it is durable.
        guard let (messages, selection) = newViewSelection(now: now) else { return }
        // NEW-VIEW is this replica's pre-prepare for every number that it selects: each must go into Q with it, so each must have a
        // slot. Who lags by more than a window catches up first; otherwise condition A2 lacks its word in every later view.
        let end = SequenceNumber(selection.start.sequence.number + UInt64(selection.digests.count))
        guard selection.digests.isEmpty || end <= stable.sequence || log.contains(end) else { return }
        // A3: the bodies must be here. Those below the own stable checkpoint are executed.
        var sequence = selection.start.sequence
        var complete = true
        for digest in selection.digests {
            sequence = sequence.next
            guard sequence > stable.sequence, body(digest, at: sequence) == nil else { continue }
            complete = false
            ask(for: digest, now: now, into: &ready)
        }
        guard complete else { return }
        let message = NewView(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard, view: view, replica: me,
            viewChanges: messages, start: selection.start, selection: selection.digests, signer: configuration.signer)
        promises.promise(.newView(message), thenSay: .newView(message), into: &ready)
        install(message, now: now, into: &ready)
        isNewViewDurable = false
    }

    /// S and what it selects. Backups refuse an S with what a replica said before it forgot, and this replica may not have heard
    /// that it forgot: so those of whom nobody ever said so come first, then those of whom it was said least often, and these
    /// are used only when the others have had their time. A liar that declares another life to others each time is soon the
    /// last, and 2f + 1 do not.
    private func newViewSelection(now: Instant) -> (messages: [ViewChange], NewViewSelection)? {
        func rank(_ i: Int) -> Int { i == me.index ? -1 : rejoin.incarnations.forgettings[i] }
        // The own VIEW-CHANGE is among them only once it is durable.
        guard viewChanges[me.index]?.view == view else { return nil }
        let here = viewChanges.indices.filter { viewChanges[$0]?.view == view }.sorted { (rank($0), $0) < (rank($1), $1) }
        let missing = viewChanges.indices.filter { viewChanges[$0]?.view != view }.map(rank).min() ?? .max
        var isPatienceOver = false
        if case .changing(_, let since?) = phase { isPatienceOver = now.uptime >= since + pacemaker.timeout / 4 }
        guard here.count >= group.quorum else { return nil }
        for count in group.quorum...here.count {
            guard isPatienceOver || rank(here[count - 1]) <= max(0, missing) else { return nil }
            let messages = here.prefix(count).sorted().compactMap { viewChanges[$0] }
            if let selection = NewViewSelection(messages, group: group, window: limits.window) { return (messages, selection) }
        }
        return nil
    }

    /// A body that this replica has for a selected digest, wherever it has it.
    func body(_ digest: Digest, at sequence: SequenceNumber) -> Batch? {
        if digest.isNull { return .null }
        if log.contains(sequence), let body = log[sequence].body(digest) { return body }
        if let executed = retained[sequence], executed.digest == digest { return executed }
        return selected[digest]
    }

    mutating func receive(_ newView: NewView, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard newView.view > view || (newView.view == view && phase != .normal) else { return }
        guard newView.replica == group.primary(of: newView.view, in: configuration.shard), newView.replica != me else {
            return ready.drops.append((from, .malformedNewView(newView.view)))
        }
        var previous: ReplicaIndex?
        for viewChange in newView.viewChanges {
            guard viewChange.view == newView.view, viewChange.isWellFormed(window: limits.window),
                viewChange.replica.index < group.n,
                previous.map({ $0 < viewChange.replica }) ?? true
            else { return ready.drops.append((from, .malformedNewView(newView.view))) }
            previous = viewChange.replica
        }
        #if MUTANTS
        if Mutant.is(.selectionNotRecomputed) { return follow(newView, now: now, into: &ready) }
        if Mutant.is(.oldTimeRefused), selectsOldTime(newView, now: now) { return ready.drops.append((from, .wrongSelection(newView.view))) }
        #endif
        guard !newView.viewChanges.contains(where: rejoin.incarnations.outlived) else {
            // It rests on what a replica said before it forgot. Who entered it is alone there: what the others said leads on, and
            // they hear of the life, so that the next primary knows.
            ready.drops.append((from, .malformedNewView(newView.view)))
            refusedNewView = newView.hash
            if toldOfLivesIn.map({ $0 < newView.view }) ?? true {
                toldOfLivesIn = newView.view
                for viewChange in newView.viewChanges where rejoin.incarnations.outlived(viewChange) {
                    let word = Recollection(
                        about: viewChange.replica, nonce: 0, heard: .zero, checkpoint: stable.sequence,
                        declaration: rejoin.incarnations.declaration(of: viewChange.replica))
                    promises.send(.recollection(word), to: .others, into: &ready)
                }
            }
            for viewChange in newView.viewChanges where viewChange.replica != me {
                receive(viewChange, from: viewChange.replica, now: now, into: &ready)
            }
            return
        }
        // Backups recompute conditions A1, A2 and B, and refuse anything else.
        guard let selection = NewViewSelection(newView.viewChanges, group: group, window: limits.window),
            selection.start == newView.start, selection.digests == newView.selection
        else { return ready.drops.append((from, .wrongSelection(newView.view))) }
        follow(newView, now: now, into: &ready)
    }

    private mutating func follow(_ newView: NewView, now: Instant, into ready: inout ReplicaReady) {
        promises.remember(.newView(newView), into: &ready)
        install(newView, now: now, into: &ready)
    }

    private mutating func install(_ newView: NewView, now: Instant, into ready: inout ReplicaReady) {
        enter(newView, now: now)
        applySelection(into: &ready)
        // What was of use is in its slot now.
        selected = SelectedBodies()
        askForMissingBodies(now: now, into: &ready)
        let waiting = future
        future = Array(repeating: [], count: group.n)
        for (i, messages) in waiting.enumerated() {
            for message in messages { replay(message, from: ReplicaIndex(UInt8(i)), now: now, into: &ready) }
        }
    }

    /// Takes up the selected numbers that lie between the watermarks; said again when the watermarks move, because a
    /// replica that lags is needed for the quorum as soon as it has caught up.
    mutating func applySelection(into ready: inout ReplicaReady) {
        guard phase == .normal, let newView, newView.view == view else { return }
        var sequence = newView.start.sequence
        for digest in newView.selection {
            sequence = sequence.next
            guard log.contains(sequence), !log[sequence].isPrePrepared else { continue }
            log[sequence].digest = digest
            if let body = body(digest, at: sequence) { prePrepareSelected(sequence, body: body, into: &ready) }
        }
    }

    private mutating func replay(_ message: PBFTMessage, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        switch message {
        case .prePrepare(let prePrepare): receive(prePrepare, from: from, now: now, into: &ready)
        case .prepare(let vote): receivePrepare(vote, from: from, into: &ready)
        case .commit(let vote): receiveCommit(vote, from: from, into: &ready)
        case .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
            .recollection: break
        }
    }

    /// What a NEW-VIEW changes apart from the slots that it selects; used at restart too.
    mutating func enter(_ newView: NewView, now: Instant) {
        view = newView.view
        phase = .normal
        pacemaker.enterView(now: now)
        self.newView = newView
        isNewViewDurable = true
        ownViewChange = nil
        log.enterView()
        for i in viewChanges.indices {
            if let viewChange = viewChanges[i], viewChange.view <= view { viewChanges[i] = nil }
        }
        let end = SequenceNumber(newView.start.sequence.number + UInt64(newView.selection.count))
        nextSequence = max(end, lastExecuted, stable.sequence).next
    }

    /// Pre-prepares what NEW-VIEW selected, now that its body is here: byte for byte what it was, whatever its time (R2).
    mutating func prePrepareSelected(_ sequence: SequenceNumber, body: Batch, into ready: inout ReplicaReady) {
        precondition(log[sequence].digest == body.digest && !log[sequence].isPrePrepared)
        let isBodyInJournal = log[sequence].body(body.digest) != nil
        log[sequence].keep(body)
        log[sequence].isPrePrepared = true
        log[sequence].addToQ(body.digest, view: view)
        let record: JournalRecord =
            isBodyInJournal
            ? .prePreparedAgain(view: view, sequence: sequence, body.digest)
            : .prePrepared(view: view, sequence: sequence, body)
        if isPrimary, let newView {
            promises.promise(record, saidBy: newView, into: &ready)
            log[sequence].isProposalDurable = true
        } else {
            let vote = Vote(view: view, sequence: sequence, digest: body.digest)
            promises.promise(record, thenSay: .prepare(vote), into: &ready)
        }
        evaluate(sequence, into: &ready)
    }

    #if MUTANTS
    /// R2's bound, in the proportion of a short run, where it does not belong: on what NEW-VIEW selects.
    private func selectsOldTime(_ newView: NewView, now: Instant) -> Bool {
        newView.selection.enumerated().contains { i, digest in
            let batch = body(digest, at: SequenceNumber(newView.start.sequence.number + UInt64(i) + 1))
            return batch.map { !$0.isNull && now.wall.microseconds(since: $0.time) > limits.timeBehind / 20 } ?? false
        }
    }
    #endif

    // MARK: Timers

    /// Something is proposed or selected here and not executed. Its requests need not wait at this host: they may have come in the
    /// proposal alone, and their clients may have f + 1 answers from others. A correct primary has few proposals in flight.
    private var awaitsProposal: Bool {
        (1...2 * limits.pipelineDepth).contains { ahead in
            let sequence = SequenceNumber(lastExecuted.number + ahead)
            return log.contains(sequence) && log[sequence].digest != nil
        }
    }

    private func observe(oldestPending: Instant?, primaryReachable: Bool, now: Instant) -> Pacemaker.Observation {
        Pacemaker.Observation(
            oldestPending: oldestPending, isPrimaryReachable: primaryReachable, isPrimary: isPrimary,
            awaitsProposal: awaitsProposal, lastExecuted: lastExecuted,
            primaryWaits: peers.waits(primary, after: lastExecuted, now: now),
            isMoveAwaited: isMoveAwaited(now: now))
    }

    mutating func tickView(oldestPending: Instant?, primaryReachable: Bool, now: Instant, into ready: inout ReplicaReady) {
        // What came while this replica was silent counts now.
        joinViewsAhead(now: now, into: &ready)
        switch phase {
        case .normal:
            let seen = observe(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now)
            if pacemaker.isAtFault(seen, now: now) { suspect(now: now, into: &ready) }
        case .changing(let since, let quorumSince):
            #if MUTANTS
            if Mutant.is(.newViewNotAwaited) { return tryNewView(now: now, into: &ready) }
            #endif
            if let quorumSince, now.uptime > quorumSince + pacemaker.timeout {
                startViewChange(to: view.next, now: now, into: &ready)
            } else if quorumSince == nil {
                _ = since
                noteQuorum(now: now)
            }
            tryNewView(now: now, into: &ready)
        }
    }
}
