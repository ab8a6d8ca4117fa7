import Messages

/// Which view this replica is in or wants to enter, and what leads from one to the next (TOCS 20(4) 2002 §4.4).
package struct ViewChanger: Sendable {
    private let configuration: ReplicaConfiguration
    /// The view that is installed, or while changing, the one that this replica wants to enter.
    package private(set) var view = View(0)
    package private(set) var phase = Replica.Phase.normal
    /// By replica, the latest of a view that is not installed.
    package private(set) var viewChanges: [ViewChange?]
    package private(set) var own: ViewChange?
    /// The NEW-VIEW of the installed view, for those that missed it.
    package private(set) var newView: NewView?
    /// Whether this primary's own NEW-VIEW may be repeated to others. True for views installed from another's.
    private(set) var isNewViewDurable = true
    /// The view that this replica has begun to lead since it started. It proposes in no other: in a view that it led
    /// before a PRE-PREPARE may have left whose record was lost, and another one must not stand beside it
    /// (docs/decisions/0051). A replica that has never said anything leads view 0.
    private var leads: View? = View(0)
    /// A vote of this replica is in its journal: who starts with that knows that it is not new.
    private var hasVoted = false
    /// The last NEW-VIEW that rests on what a replica said before it forgot: nobody need repeat it.
    private(set) var refused = Digest.null
    /// In this view others were told why a NEW-VIEW was refused.
    private var toldOfIncarnationsIn: View?
    /// Messages of a later view, by sender.
    private var future: [[Verified<PBFTMessage>]]

    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        viewChanges = Array(repeating: nil, count: configuration.group.n)
        future = Array(repeating: [], count: configuration.group.n)
    }

    private var group: ReplicaGroup { configuration.group }
    private var me: ReplicaIndex { configuration.me }
    private var limits: ReplicaConfiguration.Limits { configuration.limits }

    package var isChanging: Bool { phase != .normal }
    func primary(of view: View) -> ReplicaIndex { group.primary(of: view, in: configuration.shard) }
    package var isPrimary: Bool { primary(of: view) == me }

    /// Nil while the view is changing.
    package var installed: InstalledView? {
        guard phase == .normal else { return nil }
        return InstalledView(
            number: view, primary: primary(of: view), newView: newView.flatMap { $0.view == view ? $0 : nil })
    }

    /// Whether something of this view leads on from where this replica is.
    package func isAhead(_ other: View) -> Bool { other > view || (other == view && isChanging) }

    // MARK: Leading

    /// Whether the installed view is this replica's, and was not before it started.
    package var mayPropose: Bool {
        phase == .normal && isPrimary && (leads == view || Mutant.is(.leadsAgain))
    }

    /// Whether a restart would know that this replica has led the installed view: its NEW-VIEW is in the journal, or, of
    /// view 0, which has none, its first vote.
    package var isLeadDurable: Bool { view > View(0) ? isNewViewDurable : hasVoted }

    /// What this replica leads now it may have led before, as far as it remembers.
    mutating func forgetLead() { leads = nil }

    mutating func hasDurableVote() { hasVoted = true }

    // MARK: VIEW-CHANGE

    package mutating func leave(for newView: View, now: Instant) {
        precondition(isAhead(newView))
        view = newView
        phase = .changing(since: now.uptime, quorumSince: nil)
    }

    /// The VIEW-CHANGE for the view that this replica wants to enter.
    package mutating func sign(
        incarnation: UInt64, checkpoints: [Checkpoint], stable: SequenceNumber, prepared: [PQEntry],
        prePrepared: [PQEntry]
    ) -> ViewChange {
        let viewChange = ViewChange(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard, view: view,
            replica: me,
            incarnation: incarnation, lowWatermark: stable, checkpoints: checkpoints, prepared: prepared,
            prePrepared: prePrepared,
            signer: configuration.signer)
        own = viewChange
        return viewChange
    }

    /// - Parameter viewChange: of its sender, correct in form.
    /// - Returns: false if it leads nowhere, or is not the sender's latest.
    package mutating func take(_ viewChange: ViewChange) -> Bool {
        let i = viewChange.replica.index
        if let earlier = viewChanges[i], earlier.view >= viewChange.view { return false }
        guard isAhead(viewChange.view) else { return false }
        viewChanges[i] = viewChange
        return true
    }

    /// The replica forgot, and what it said before does not count.
    package mutating func forget(of replica: ReplicaIndex, before incarnation: UInt64) {
        if let viewChange = viewChanges[replica.index], viewChange.incarnation < incarnation {
            viewChanges[replica.index] = nil
        }
    }

    func hasLeft(_ replica: ReplicaIndex) -> Bool { viewChanges[replica.index].map { $0.view > view } ?? false }

    /// f + 1 replicas ahead contain a correct one: join the lowest of their views (PBFT §4.5.2).
    package var viewToJoin: View? {
        var (count, lowest): (Int, View?) = (0, nil)
        for replica in group.replicas where replica != me {
            guard let ahead = viewChanges[replica.index]?.view, ahead > view else { continue }
            count += 1
            lowest = lowest.map { min($0, ahead) } ?? ahead
        }
        return count >= group.weakQuorum ? lowest : nil
    }

    /// The own VIEW-CHANGE, if it has left, for those that may lack it.
    func repeated(to status: Status) -> ViewChange? {
        guard isChanging, status.view <= view, !status.holds(viewChangeOf: me, for: view) else { return nil }
        return viewChanges[me.index] == own ? own : nil
    }

    /// The wait for NEW-VIEW starts when 2f + 1 replicas want the view: earlier there is nobody to blame. Who has
    /// entered the view, by a NEW-VIEW that this replica refuses, repeats its VIEW-CHANGE no more, and says where it
    /// is.
    package mutating func noteQuorum(_ peers: Peers, now: Instant) {
        guard case .changing(let since, nil) = phase else { return }
        let supporters = group.replicas.count { replica in
            let said = replica == me ? nil : peers[replica].status?.view
            return [viewChanges[replica.index]?.view, said].contains { $0.map { $0 >= view } ?? false }
        }
        if supporters >= group.quorum { phase = .changing(since: since, quorumSince: now.uptime) }
    }

    /// No NEW-VIEW came in time.
    package func isOverdue(timeout: UInt64, now: Instant) -> Bool { hasWaited(timeout + 1, now: now) }

    private func hasWaited(_ time: UInt64, now: Instant) -> Bool {
        guard case .changing(_, let since?) = phase else { return false }
        return now.uptime >= since + time
    }

    // MARK: NEW-VIEW

    /// As the new primary: S and what it selects. Backups refuse an S with what a replica said before it forgot, and
    /// this replica may not have heard that it forgot: so those of whom nobody ever said so come first, then those of
    /// whom it was said least often, and these are used only when the others have had their time. A liar that declares
    /// another incarnation to others each time is soon the last, and 2f + 1 do not.
    package func select(
        forgettings: [Int], timeout: UInt64, now: Instant
    ) -> (viewChanges: [ViewChange], selection: NewViewSelection)? {
        func rank(_ i: Int) -> Int { i == me.index ? -1 : forgettings[i] }
        // The own VIEW-CHANGE is among them only once it is durable.
        guard viewChanges[me.index]?.view == view else { return nil }
        let here = viewChanges.indices.filter { viewChanges[$0]?.view == view }.sorted {
            (rank($0), $0) < (rank($1), $1)
        }
        let missing = viewChanges.indices.filter { viewChanges[$0]?.view != view }.map(rank).min() ?? .max
        let isPatienceOver = hasWaited(timeout / 4, now: now)
        guard here.count >= group.quorum else { return nil }
        for count in group.quorum...here.count {
            guard isPatienceOver || rank(here[count - 1]) <= max(0, missing) else { return nil }
            let messages = here.prefix(count).sorted().compactMap { viewChanges[$0] }
            if let selection = NewViewSelection(messages, group: group, window: limits.window) {
                return (messages, selection)
            }
        }
        return nil
    }

    /// From here on this replica leads the view.
    mutating func sign(_ viewChanges: [ViewChange], _ selection: NewViewSelection) -> NewView {
        leads = view
        return NewView(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard, view: view,
            replica: me,
            viewChanges: viewChanges, start: selection.start, selection: selection.digests, signer: configuration.signer
        )
    }

    /// From the primary of its view, and S correct in form: ascending by replica, for this view.
    package func isWellFormed(_ newView: NewView) -> Bool {
        guard newView.replica == primary(of: newView.view), newView.replica != me else { return false }
        let isAscending = zip(newView.viewChanges, newView.viewChanges.dropFirst()).allSatisfy {
            $0.replica < $1.replica
        }
        return isAscending
            && newView.viewChanges.allSatisfy {
                $0.view == newView.view && $0.isWellFormed(window: limits.window) && $0.replica.index < group.n
            }
    }

    /// Backups recompute conditions A1, A2 and B, and refuse anything else.
    package func isRight(_ newView: NewView) -> Bool {
        guard let selection = NewViewSelection(newView.viewChanges, group: group, window: limits.window) else {
            return false
        }
        return selection.start == newView.start && selection.digests == newView.selection
    }

    /// - Returns: whether the others are to be told why: once a view.
    package mutating func refuse(_ newView: NewView) -> Bool {
        refused = newView.hash
        guard toldOfIncarnationsIn.map({ $0 < newView.view }) ?? true else { return false }
        toldOfIncarnationsIn = newView.view
        return true
    }

    package mutating func enter(_ newView: NewView) {
        (view, phase, own, self.newView) = (newView.view, .normal, nil, newView)
        isNewViewDurable = newView.replica != me
        for i in viewChanges.indices {
            if let viewChange = viewChanges[i], viewChange.view <= view { viewChanges[i] = nil }
        }
    }

    mutating func isDurable(_ newView: NewView) { if newView.view == view { isNewViewDurable = true } }

    /// The NEW-VIEW of the installed view, if it may leave and is of use to the sender of this.
    func repeated(newViewTo status: Status) -> NewView? {
        guard isNewViewDurable, let newView, status.refuses != newView.hash else { return nil }
        return newView
    }

    // MARK: Messages of a later view

    /// - Returns: false if there is no room for it.
    package mutating func postpone(_ message: Verified<PBFTMessage>, from: ReplicaIndex) -> Bool {
        guard future[from.index].count < limits.futureMessagesPerPeer, hasRoom(for: message.value, from) else {
            return false
        }
        future[from.index].append(message)
        return true
    }

    /// Votes are small; of proposals, which are not, only as many wait as a correct primary has in flight.
    private func hasRoom(for message: PBFTMessage, _ from: ReplicaIndex) -> Bool {
        guard case .prePrepare = message else { return true }
        let waiting = future[from.index].count { if case .prePrepare = $0.value { true } else { false } }
        return waiting < Int(limits.pipelineDepth) * 2
    }

    package mutating func takeFuture() -> [(from: ReplicaIndex, Verified<PBFTMessage>)] {
        let waiting = future
        future = Array(repeating: [], count: group.n)
        return group.replicas.flatMap { from in waiting[from.index].map { (from, $0) } }
    }

    // MARK: Restart

    /// Of no effect if a later record has overtaken it.
    mutating func restore(_ viewChange: ViewChange, now: Instant) {
        guard isAhead(viewChange.view) else { return }
        leave(for: viewChange.view, now: now)
        own = viewChange
    }
}

/// A view in which batches are ordered.
package struct InstalledView: Sendable {
    package let number: View
    package let primary: ReplicaIndex
    /// None began view 0.
    package let newView: NewView?

    package init(number: View, primary: ReplicaIndex, newView: NewView?) {
        (self.number, self.primary, self.newView) = (number, primary, newView)
    }

    /// The last sequence number that the view inherited: progress is what is ordered above it.
    package var inheritedEnd: SequenceNumber { newView?.end ?? .zero }

    /// Whether what stands there was proposed in this view, and not selected by its NEW-VIEW. As this replica has it: a
    /// faulty primary may have given another NEW-VIEW to others.
    package func isFresh(_ sequence: SequenceNumber) -> Bool { sequence > inheritedEnd }

    /// What a backup says of what it has pre-prepared here. It has looked at its share of a fresh proposal, or would
    /// not have pre-prepared it. The NEW-VIEW is in the journal before anything of its view, so the same is said after
    /// a restart.
    package func prepare(_ sequence: SequenceNumber, _ digest: Digest, isRepeated: Bool = false) -> Prepare {
        Prepare(
            Vote(view: number, sequence: sequence, digest: digest),
            vouches: isFresh(sequence) || (isRepeated && Mutant.is(.repeatedPrepareVouches)))
    }
}

extension NewView {
    /// What it says that it selects.
    private var claimed: NewViewSelection { NewViewSelection(start: start, digests: selection) }
    var end: SequenceNumber { claimed.end }
    var numbered: some Sequence<(sequence: SequenceNumber, digest: Digest)> { claimed.numbered }
}
