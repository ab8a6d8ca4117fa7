import Messages

/// Whether the primary makes progress: timers, suspicions, and the floor of throughput. Uptimes in nanoseconds.
package struct Pacemaker: Sendable {
    private struct Suspicion {
        let view: View
        let at: UInt64
    }

    /// What the replica knows when it looks at its primary.
    package struct Observation {
        /// Since when the oldest request or certificate that waits to be ordered has waited.
        var oldestPending: Instant?
        var isPrimaryReachable: Bool
        var isPrimary: Bool
        /// Something is proposed or selected here and not executed.
        var awaitsProposal: Bool
        var lastExecuted: SequenceNumber
        /// The primary wants a later view.
        var hasPrimaryLeft: Bool
        /// The primary takes no part, and waits itself for the shard to move.
        var primaryWaits: Bool
        /// A peer that takes no part waits for the shard to move.
        var isMoveAwaited: Bool

        package init(
            oldestPending: Instant?, isPrimaryReachable: Bool = true, isPrimary: Bool = false,
            awaitsProposal: Bool = false,
            lastExecuted: SequenceNumber = .zero, hasPrimaryLeft: Bool = false, primaryWaits: Bool = false,
            isMoveAwaited: Bool = false
        ) {
            (self.oldestPending, self.isPrimaryReachable, self.isPrimary) = (
                oldestPending, isPrimaryReachable, isPrimary
            )
            (self.awaitsProposal, self.lastExecuted) = (awaitsProposal, lastExecuted)
            self.hasPrimaryLeft = hasPrimaryLeft
            (self.primaryWaits, self.isMoveAwaited) = (primaryWaits, isMoveAwaited)
        }
    }

    private let configuration: ReplicaConfiguration
    /// The last progress, or when something began to wait.
    package private(set) var progressAt: UInt64
    private var viewInstalledAt: UInt64
    /// Consecutive views without progress: waits double with it.
    private var fruitlessViews = 0
    /// What it was when an idle view was left; views that nobody installs after it double only the waits until one is.
    private var fruitlessBefore: Int?
    private var wasPending = false
    /// When something began to wait, with always something since.
    private var pendingSince: UInt64 = 0
    /// Since when the session to the primary's host is down.
    private var unreachableSince: UInt64?
    /// Since when a peer waits for the shard to move, and where the shard stood then.
    private var moveAwaited: (executed: SequenceNumber, since: UInt64)?
    /// The last proposal of the primary that was not taken because of its time, and when.
    private var timeRefused: (sequence: SequenceNumber, at: UInt64)?
    /// The view whose primary has proposed what nobody signed.
    private var forgedIn: View?
    private var suspicions: [Suspicion?]
    private var lastSuspectAt: UInt64 = 0
    private var floor = ThroughputFloor()

    package init(configuration: ReplicaConfiguration, now: Instant) {
        self.configuration = configuration
        (progressAt, viewInstalledAt) = (now.uptime, now.uptime)
        suspicions = Array(repeating: nil, count: configuration.group.n)
    }

    private var limits: ReplicaConfiguration.Limits { configuration.limits }
    private var me: Int { configuration.me.index }

    // MARK: Waits

    /// The wait for progress, doubled for each view that made none, up to the cap.
    package var timeout: UInt64 { min(doubled(limits.progressTimeout), limits.maxTimeout) }

    private func doubled(_ wait: UInt64) -> UInt64 { wait << UInt64(min(fruitlessViews, 16)) }

    /// - Parameter isFruit: it is above what the installed view inherited.
    package mutating func progressed(ordered requests: Int, isFruit: Bool, now: Instant) {
        floor.ordered(requests)
        resetTimer(now: now)
        if isFruit, now.uptime >= viewInstalledAt { fruitlessViews = 0 }
    }

    private mutating func resetTimer(now: Instant) {
        if Mutant.is(.timerNeverReset) { return }
        progressAt = now.uptime
    }

    mutating func installedState(now: Instant) { progressAt = now.uptime }

    /// No excuse for its primary is good any more, until the next view.
    mutating func proveFault(in view: View) { forgedIn = view }

    mutating func refusedTime(of sequence: SequenceNumber, now: Instant) { timeRefused = (sequence, now.uptime) }

    /// A view in which nothing waited to be ordered was not fruitless: who only pretends that he waits for the shard to
    /// move makes no wait longer, except until the next primary has installed its view.
    package mutating func leaveView(isChanging: Bool) {
        if !isChanging, !wasPending { fruitlessBefore = fruitlessViews }
        if wasPending || isChanging { fruitlessViews = min(fruitlessViews + 1, 16) }
    }

    mutating func enterView(now: Instant) {
        if let fruitlessBefore { fruitlessViews = fruitlessBefore }
        fruitlessBefore = nil
        floor.enterView(n: configuration.group.n)
        for i in suspicions.indices { suspicions[i] = nil }
        (progressAt, viewInstalledAt, lastSuspectAt, timeRefused) = (now.uptime, now.uptime, 0, nil)
        (forgedIn, unreachableSince) = (nil, nil)
    }

    /// The replica takes part from now on.
    mutating func start(now: Instant) {
        floor = ThroughputFloor()
        (progressAt, viewInstalledAt) = (now.uptime, now.uptime)
    }

    /// - Parameter pending: requests that wait to be ordered now.
    mutating func sample(pending: Int, now: Instant) { floor.sample(pending: pending, now: now.uptime, limits: limits) }

    // MARK: Suspicion

    package mutating func note(suspicionOf view: View, by replica: ReplicaIndex, now: Instant) {
        suspicions[replica.index] = Suspicion(view: view, at: now.uptime)
    }

    /// It says that it does not suspect this view's primary any more: suspicions of several at different times are none
    /// that they share.
    mutating func note(trustIn view: View, by replica: ReplicaIndex) {
        if suspicions[replica.index]?.view == view { suspicions[replica.index] = nil }
    }

    /// - Returns: whether SUSPECT is to be said: once, STATUS goes on saying it.
    package mutating func suspect(_ view: View, now: Instant) -> Bool {
        let isNew = !suspects(view)
        suspicions[me] = Suspicion(view: view, at: now.uptime)
        guard isNew, now.uptime >= lastSuspectAt + limits.statusInterval || lastSuspectAt == 0 else { return false }
        lastSuspectAt = now.uptime
        return true
    }

    /// Whether this replica suspects the primary of this view.
    package func suspects(_ view: View) -> Bool { suspicions[me]?.view == view }

    /// f + 1 suspicions contain a correct replica's and pull everybody along; a lone one leaves nothing. Who has left
    /// this view says SUSPECT of it no more, and suspects it for as long as it is gone: with one of 3f + 1 away,
    /// everybody else is needed.
    package func isSuspected(_ view: View, hasLeft: (ReplicaIndex) -> Bool, now: Instant) -> Bool {
        let window = 2 * timeout
        let suspecting = suspicions.indices.count { i in
            if let suspicion = suspicions[i], suspicion.view >= view, now.uptime <= suspicion.at + window {
                return true
            }
            return hasLeft(ReplicaIndex(UInt8(i)))
        }
        return suspecting >= configuration.group.weakQuorum
    }

    // MARK: The primary of the installed view

    /// - Returns: whether the primary is to be suspected. If not, what this replica said of it before is over.
    package mutating func isAtFault(_ seen: Observation, now: Instant) -> Bool {
        let isPending = seen.oldestPending != nil || seen.awaitsProposal || refusesTime(seen.lastExecuted, now)
        if !isPending { wasPending = false }
        unreachableSince = seen.isPrimaryReachable || seen.isPrimary ? nil : unreachableSince ?? now.uptime
        if forgedIn != nil, !seen.isPrimary { return true }
        if seen.hasPrimaryLeft, !seen.isPrimary { return true }
        // Only a primary that takes part moves an idle shard on, and this one waits itself for the shard to move.
        if !seen.isPrimary, seen.primaryWaits, now.uptime > viewInstalledAt + timeout { return true }
        if !seen.isPrimary, isMoveOverdue(seen, now: now) { return true }
        if isPending, isSlow(seen, now: now) { return true }
        suspicions[me] = nil
        return false
    }

    /// The primary goes on proposing what is too far from this replica's clock. It may be a proposal from before an
    /// outage, of which nobody else has heard, and which the primary does not make anew: another one has to.
    private func refusesTime(_ lastExecuted: SequenceNumber, _ now: Instant) -> Bool {
        timeRefused.map { $0.sequence > lastExecuted && now.uptime < $0.at + 8 * limits.statusInterval } ?? false
    }

    /// As a backup of a shard that stands still: whether a peer has waited for so long for it to move that the primary
    /// is at fault. A correct primary hears of it with the peer's next STATUS, and orders empty batches. A peer that
    /// lies, and always tells everybody but the primary, costs an idle shard a view change in so long.
    private mutating func isMoveOverdue(_ seen: Observation, now: Instant) -> Bool {
        guard seen.isMoveAwaited else {
            moveAwaited = nil
            return false
        }
        guard let awaited = moveAwaited, awaited.executed == seen.lastExecuted else {
            moveAwaited = (seen.lastExecuted, now.uptime)
            return false
        }
        return now.uptime > max(awaited.since, viewInstalledAt) + max(limits.censorshipTimeout, timeout)
    }

    /// What the primary proposed before it was gone is still ordered without it: that is no sign of life of its. Where
    /// others go on with it, and only the way to it is lost, progress does not end after a moment.
    private func isUnreachable(now: Instant) -> Bool {
        guard let unreachableSince else { return false }
        let wait = min(timeout, doubled(limits.unreachableTimeout))
        let silentSince = min(progressAt, max(unreachableSince, pendingSince, viewInstalledAt))
        return now.uptime > silentSince + wait && now.uptime > progressAt + wait / 3
    }

    /// Reset on progress; but one request that waits for ever is censored, and a primary under the floor is slow.
    private mutating func isSlow(_ seen: Observation, now: Instant) -> Bool {
        if !wasPending {
            (wasPending, pendingSince) = (true, now.uptime)
            progressAt = max(progressAt, now.uptime)
        }
        if isUnreachable(now: now) || now.uptime > progressAt + timeout { return true }
        guard let oldest = seen.oldestPending else { return false }
        let isCensored = now.uptime > max(oldest.uptime, viewInstalledAt) + max(limits.censorshipTimeout, timeout)
        return isCensored || (floor.isViolated && !seen.isPrimary)
    }
}
