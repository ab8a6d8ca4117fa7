import Messages

/// The view change of TOCS 20(4) 2002 §4.4, without signed phases: P and Q are durable, VIEW-CHANGE and NEW-VIEW
/// signed.
extension Replica {
    // MARK: Suspicion

    mutating func receiveSuspect(_ suspected: View, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard suspected >= view else { return }
        pacemaker.note(suspicionOf: suspected, by: from, now: now)
        leaveSuspectedView(now: now, into: &ready)
    }

    mutating func suspect(now: Instant, into ready: inout ReplicaReady) {
        if Mutant.is(.suspicionNotSent) { return }
        if pacemaker.suspect(view, now: now) { promises.send(.suspect(view), to: .others, into: &ready) }
        leaveSuspectedView(now: now, into: &ready)
    }

    /// That the primary has left its view is what the others say of it; it counts for nobody's suspicion itself. A faulty
    /// one that tells a single backup would else draw it out of a view that goes on without it.
    private mutating func leaveSuspectedView(now: Instant, into ready: inout ReplicaReady) {
        guard phase == .normal, promises.isFull,
            pacemaker.isSuspected(view, hasLeft: { $0 != primary && viewChanger.hasLeft($0) }, now: now)
        else { return }
        startViewChange(to: view.next, now: now, into: &ready)
    }

    /// Looks at the primary, or waits for the next one.
    mutating func tickView(
        oldestPending: Instant?, primaryReachable: Bool, now: Instant, into ready: inout ReplicaReady
    ) {
        // What came while this replica was silent counts now.
        joinViewsAhead(now: now, into: &ready)
        guard isChangingView else {
            let seen = observe(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now)
            if pacemaker.isAtFault(seen, now: now) { suspect(now: now, into: &ready) }
            return
        }
        if Mutant.is(.newViewNotAwaited) { return tryNewView(now: now, into: &ready) }
        if viewChanger.isOverdue(timeout: pacemaker.timeout, now: now) {
            startViewChange(to: view.next, now: now, into: &ready)
        } else {
            viewChanger.noteQuorum(peers, now: now)
        }
        tryNewView(now: now, into: &ready)
    }

    private func observe(oldestPending: Instant?, primaryReachable: Bool, now: Instant) -> Pacemaker.Observation {
        Pacemaker.Observation(
            oldestPending: oldestPending, isPrimaryReachable: primaryReachable, isPrimary: isPrimary,
            awaitsProposal: ordering.log.awaitsProposal(after: lastExecuted, pipelineDepth: limits.pipelineDepth),
            lastExecuted: lastExecuted, hasPrimaryLeft: viewChanger.hasLeft(primary),
            primaryWaits: peers.waits(primary, after: lastExecuted, now: now),
            isMoveAwaited: isMoveAwaited(now: now))
    }

    // MARK: VIEW-CHANGE

    private mutating func startViewChange(to newView: View, now: Instant, into ready: inout ReplicaReady) {
        precondition(promises.isFull)
        pacemaker.leaveView(isChanging: isChangingView)
        viewChanger.leave(for: newView, now: now)
        let viewChange = viewChanger.sign(
            incarnation: rejoin.incarnations.own, checkpoints: checkpoints.held(upTo: ordering.log.high),
            stable: stable.sequence,
            prepared: ordering.log.prepared, prePrepared: ordering.log.prePrepared)
        promises.promise(.viewChange(viewChange), thenSay: .viewChange(viewChange), into: &ready)
    }

    mutating func receive(_ viewChange: ViewChange, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard viewChange.replica == from, viewChange.isWellFormed(window: limits.window),
            !rejoin.incarnations.outlived(viewChange)
        else { return ready.drop(.malformedViewChange(from), of: from) }
        guard viewChanger.take(viewChange) else { return }
        joinViewsAhead(now: now, into: &ready)
        followPrimary(viewChange, now: now, into: &ready)
        leaveSuspectedView(now: now, into: &ready)
        viewChanger.noteQuorum(peers, now: now)
        tryNewView(now: now, into: &ready)
    }

    /// As the primary of a view in which it may not propose: it started again, and leads the view on.
    mutating func resign(now: Instant, into ready: inout ReplicaReady) {
        guard phase == .normal, isPrimary, !viewChanger.mayPropose, promises.isFull else { return }
        startViewChange(to: view.next, now: now, into: &ready)
    }

    /// A view that its primary has left orders nothing any more: there is nothing to wait for.
    private mutating func followPrimary(_ viewChange: ViewChange, now: Instant, into ready: inout ReplicaReady) {
        guard phase == .normal, promises.isFull, viewChange.replica == primary, primary != me,
            viewChanger.hasLeft(primary)
        else { return }
        suspect(now: now, into: &ready)
    }

    private mutating func joinViewsAhead(now: Instant, into ready: inout ReplicaReady) {
        guard promises.isFull, let view = viewChanger.viewToJoin else { return }
        startViewChange(to: view, now: now, into: &ready)
    }

    // MARK: NEW-VIEW

    /// As the new primary: select as soon as the messages in S allow it.
    mutating func tryNewView(now: Instant, into ready: inout ReplicaReady) {
        guard isChangingView, isPrimary, promises.isFull,
            let (messages, selection) = viewChanger.select(
                forgettings: rejoin.incarnations.forgettings, timeout: pacemaker.timeout, now: now)
        else { return }
        // NEW-VIEW is this replica's pre-prepare for every number that it selects: each must go into Q with it, so each
        // must have a slot. Who lags by more than a window catches up first; otherwise condition A2 lacks its word in
        // every later view.
        guard selection.digests.isEmpty || selection.end <= stable.sequence || ordering.log.contains(selection.end),
            hasBodies(of: selection, now: now, into: &ready)
        else { return }
        let newView = viewChanger.sign(messages, selection)
        promises.promise(.newView(newView), thenSay: .newView(newView), into: &ready)
        install(newView, now: now, into: &ready)
    }

    /// A3: the bodies must be here. Those below the own stable checkpoint are executed.
    private mutating func hasBodies(of selection: NewViewSelection, now: Instant, into ready: inout ReplicaReady)
        -> Bool
    {
        let missing = selection.numbered.filter {
            $0.sequence > stable.sequence && body($0.digest, at: $0.sequence) == nil
        }
        for (_, digest) in missing { ask(for: digest, now: now, into: &ready) }
        return missing.isEmpty
    }

    mutating func receive(
        _ verified: Verified<NewView>, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady
    ) {
        let newView = verified.value
        guard viewChanger.isAhead(newView.view) else { return }
        guard viewChanger.isWellFormed(newView) else { return ready.drop(.malformedNewView(newView.view), of: from) }
        if Mutant.is(.selectionNotRecomputed) { return follow(newView, now: now, into: &ready) }
        if Mutant.is(.oldTimeRefused), selectsOldTime(newView, now: now) {
            return ready.drop(.wrongSelection(newView.view), of: from)
        }
        if newView.viewChanges.contains(where: rejoin.incarnations.outlived) {
            ready.drop(.malformedNewView(newView.view), of: from)
            return refuse(newView, now: now, into: &ready)
        }
        guard viewChanger.isRight(newView) else { return ready.drop(.wrongSelection(newView.view), of: from) }
        follow(newView, now: now, into: &ready)
    }

    /// It rests on what a replica said before it forgot. Who entered it is alone there: what the others said leads on,
    /// and they hear of the incarnation, so that the next primary knows.
    private mutating func refuse(_ newView: NewView, now: Instant, into ready: inout ReplicaReady) {
        if viewChanger.refuse(newView) {
            rejoin.tell(whoForgot: newView, stable: stable.sequence, promises, into: &ready)
        }
        for viewChange in newView.viewChanges where viewChange.replica != me {
            receive(viewChange, from: viewChange.replica, now: now, into: &ready)
        }
    }

    private mutating func follow(_ newView: NewView, now: Instant, into ready: inout ReplicaReady) {
        promises.remember(.newView(newView), into: &ready)
        install(newView, now: now, into: &ready)
    }

    private mutating func install(_ newView: NewView, now: Instant, into ready: inout ReplicaReady) {
        enter(newView, now: now)
        takeUpSelection(into: &ready)
        // What was of use is in its slot now.
        selected = SelectedBodies()
        askForMissingBodies(now: now, into: &ready)
        for (from, message) in viewChanger.takeFuture() { receive(message, from: from, now: now, into: &ready) }
    }

    /// What a NEW-VIEW changes apart from the slots that it selects; used at restart too.
    mutating func enter(_ newView: NewView, now: Instant) {
        viewChanger.enter(newView)
        pacemaker.enterView(now: now)
        ordering.enter(newView, executed: lastExecuted)
    }

    // MARK: Bodies of what NEW-VIEW selects

    /// A body that this replica has for a selected digest, wherever it has it.
    func body(_ digest: Digest, at sequence: SequenceNumber) -> Batch? {
        ordering.log.body(digest, at: sequence) ?? selected.body(digest, at: sequence, or: retained)
    }

    /// - Returns: the digests whose bodies are not here.
    @discardableResult
    mutating func takeUpSelection(into ready: inout ReplicaReady) -> [Digest] {
        guard let view = viewChanger.installed else { return [] }
        return ordering.takeUpSelection(in: view, selected, or: retained, promises, into: &ready)
    }

    mutating func askForMissingBodies(now: Instant, into ready: inout ReplicaReady) {
        for digest in takeUpSelection(into: &ready) { ask(for: digest, now: now, into: &ready) }
    }

    private mutating func ask(for digest: Digest, now: Instant, into ready: inout ReplicaReady) {
        guard selected.ask(for: digest, patience: limits.fetchTimeout, now: now) else { return }
        promises.send(.fetchBatch(digest), to: .others, into: &ready)
    }

    mutating func receive(_ batch: Verified<Batch>, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard selected.take(batch) else { return ready.drop(.notAsked, of: from) }
        if let view = viewChanger.installed { ordering.takeUpSelected(batch.value, in: view, promises, into: &ready) }
        tryNewView(now: now, into: &ready)
    }

    /// R2's bound, in the proportion of a short run, where it does not belong: on what NEW-VIEW selects.
    private func selectsOldTime(_ newView: NewView, now: Instant) -> Bool {
        newView.numbered.contains { sequence, digest in
            let batch = body(digest, at: sequence)
            return batch.map { !$0.isNull && now.wall.microseconds(since: $0.time) > limits.timeBehind / 20 } ?? false
        }
    }
}
