import Messages

/// One member of one shard's PBFT group (Castro and Liskov, OSDI '99; view change of TOCS 20(4) 2002). Does no I/O.
/// Each part has its own state and decides by itself; the replica routes between them.
public struct Replica: Sendable {
    /// Whether the replica orders in its view or is on the way to another (PBFT §4.4).
    public enum Phase: Hashable, Sendable {
        case normal
        /// VIEW-CHANGE for `view` is sent; nothing of earlier views is accepted.
        case changing(since: UInt64, quorumSince: UInt64?)
    }

    /// As given at the start.
    public let configuration: ReplicaConfiguration
    /// It has stopped for good: no further step has any effect.
    public internal(set) var isHalted = false
    /// While a state from peers is being written down, nothing is executed.
    public var isExecutionPaused = false

    var promises = Promises()
    var ordering: Ordering
    var gate: ExecutionGate
    var retained: RetainedBatches
    var checkpoints: Checkpoints
    var viewChanger: ViewChanger
    var selected = SelectedBodies()
    var pacemaker: Pacemaker
    var peers: Peers
    var catchUp: CatchUp
    var serving: Serving
    var rejoin: Rejoin

    /// - Parameters:
    ///   - base: the stable checkpoint that the store holds; sequence 0 at the beginning.
    public init(configuration: ReplicaConfiguration, base: Checkpoint, now: Instant) {
        self.configuration = configuration
        ordering = Ordering(configuration: configuration, low: base.sequence)
        gate = ExecutionGate(configuration: configuration)
        retained = RetainedBatches(after: base.sequence)
        checkpoints = Checkpoints(configuration: configuration, base: base)
        viewChanger = ViewChanger(configuration: configuration)
        pacemaker = Pacemaker(configuration: configuration, now: now)
        peers = Peers(configuration: configuration)
        catchUp = CatchUp(configuration: configuration)
        serving = Serving(configuration: configuration)
        rejoin = Rejoin(configuration: configuration)
    }

    /// Takes what has happened, and adds to `ready` what it asks for. Time comes only with `now`, and timers run only
    /// on `tick`.
    /// - Precondition: a message comes from another member, whom the session has authenticated.
    public mutating func step(_ input: ReplicaInput, now: Instant, into ready: inout ReplicaReady) {
        guard !isHalted else { return }
        switch input {
        case .message(let from, let message):
            precondition(from.index < group.n && from != me, "the runtime authenticates senders")
            if isHeard(message.value, from: from) { receive(message, from: from, now: now, into: &ready) }
        case .forged(let from, let view, let sequence):
            receiveForgery(from: from, in: view, at: sequence, now: now, into: &ready)
        case .checked(let checked): take(checked, now: now, into: &ready)
        case .durable(let message): countOwn(message, now: now, into: &ready)
        case .propose(let batch): propose(batch, into: &ready)
        case .checkpointTaken(let checkpoint): take(checkpoint, into: &ready)
        case .flushed(let sequence): flush(upTo: sequence)
        case .stateInstalled(let checkpoint, let isStable):
            install(checkpoint, isStable: isStable, now: now, into: &ready)
        case .started: start(now: now, into: &ready)
        case .tick(let oldestPending, let primaryReachable, let pending):
            if phase == .normal { pacemaker.sample(pending: pending, now: now) }
            tick(oldestPending: oldestPending, primaryReachable: primaryReachable, now: now, into: &ready)
        }
        // Own votes and freshly arrived ones may have completed a checkpoint or a batch.
        advanceExecution(now: now, into: &ready)
        endQuarantine(now: now, into: &ready)
    }

    mutating func isHeard(_ message: PBFTMessage, from: ReplicaIndex) -> Bool {
        rejoin.isHeard(message, from: from, as: standing, high: ordering.log.high)
    }

    mutating func receive(
        _ message: Verified<PBFTMessage>, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady
    ) {
        switch message.value {
        case .prePrepare, .prepare, .commit: order(message, from: from, now: now, into: &ready)
        case .checkpoint(let checkpoint): receive(checkpoint, from: from, into: &ready)
        case .suspect(let view): receiveSuspect(view, from: from, now: now, into: &ready)
        case .viewChange(let viewChange): receive(viewChange, from: from, now: now, into: &ready)
        case .newView: if let newView = message.newView { receive(newView, from: from, now: now, into: &ready) }
        case .status(let status): receive(status, from: from, now: now, into: &ready)
        case .fetchBatch(let digest): answerFetch(of: digest, to: from, now: now, into: &ready)
        case .batch: if let batch = message.batch { receive(batch, from: from, now: now, into: &ready) }
        case .fetchCommitted(let fetch):
            serving.answer(fetch, to: from, over: retained, now: now, promises, into: &ready)
        case .committed(let claims):
            ready.drop(catchUp.receive(claims, from: from, executed: lastExecuted) ? nil : .notAsked, of: from)
        case .committedBody(let batch): ready.drop(catchUp.receive(body: batch) ? nil : .notAsked, of: from)
        case .resumed(let resumption): answer(resumption, message.declaration, to: from, now: now, into: &ready)
        case .recollection(let word): receive(word, message.declaration, from: from, now: now, into: &ready)
        }
    }

    /// This replica's own word counts only once it is durable: counted earlier, a crash could take back a vote on which
    /// an attestation already rests.
    private mutating func countOwn(_ message: PBFTMessage, now: Instant, into ready: inout ReplicaReady) {
        switch message {
        case .prePrepare(let prePrepare):
            if viewChanger.installed?.number == prePrepare.view { ordering.hasLeft(prePrepare) }
        case .prepare(let prepare):
            viewChanger.hasDurableVote()
            guard let view = viewChanger.installed, view.number == prepare.view else { return }
            ready.drop(ordering.receive(prepare, from: me, in: view, promises, into: &ready), of: me)
        case .commit(let vote):
            if viewChanger.installed?.number == vote.view {
                ready.drop(ordering.receive(commit: vote, from: me), of: me)
            }
        case .checkpoint(let checkpoint): receive(checkpoint, from: me, into: &ready)
        case .viewChange(let viewChange): receive(viewChange, from: me, now: now, into: &ready)
        case .newView(let newView):
            viewChanger.isDurable(newView)
            if let view = viewChanger.installed, view.number == newView.view {
                ordering.isDurable(newView, in: view, promises, into: &ready)
            }
        case .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
            .recollection:
            break
        }
    }

    /// The replica stops for good.
    mutating func halt(_ reason: String, into ready: inout ReplicaReady) {
        isHalted = true
        ready.halt = reason
    }
}

/// What others ask of it.
extension Replica {
    var me: ReplicaIndex { configuration.me }
    var group: ReplicaGroup { configuration.group }
    var limits: ReplicaConfiguration.Limits { configuration.limits }

    /// The view that is installed, or while changing, the one that this replica wants to enter.
    public var view: View { viewChanger.view }
    /// Uptimes in it are nanoseconds.
    public var phase: Phase { viewChanger.phase }
    /// It has given up a view and has no valid NEW-VIEW yet.
    public var isChangingView: Bool { viewChanger.isChanging }
    /// Who leads `view`: the member (view + shard) mod n, so that the shards of a host begin with different ones.
    public var primary: ReplicaIndex { viewChanger.primary(of: view) }
    /// Whether `view` is this replica's to lead. While it changes it does not lead yet.
    public var isPrimary: Bool { primary == me }
    /// The last batch that was handed to `executes`, or that a state from store or peers has in it.
    public var lastExecuted: SequenceNumber { retained.last }
    /// The stable checkpoint; its sequence number is the low watermark h.
    public var stable: Checkpoint { checkpoints.stable }
    /// The state up to here is durable in the store.
    public var flushed: SequenceNumber { checkpoints.flushed }
    /// Whether this replica takes part (R4).
    public var standing: Standing { promises.standing }

    /// The latest time that a shard of this host has executed, of those on exactly this shard's hosts. `HostCore` says
    /// it. A quorum has found it right once, so a fresh proposal may have it, however far behind this host's clock is
    /// now (R2).
    public var certainTime: Timestamp {
        get { ordering.certainTime }
        set { ordering.certainTime = newValue }
    }

    /// Who orders, as far as can be told: while this replica wants another view than the others, the primary of the
    /// view in which f + 1 of them are.
    public var orderingPrimary: ReplicaIndex {
        isChangingView ? viewChanger.primary(of: peers.installedView ?? view) : primary
    }

    /// Whether `propose` may be said now: it has led this view since it started, and the pipeline has room.
    public var canPropose: Bool {
        !isHalted && promises.isFull && viewChanger.mayPropose && ordering.hasRoom(after: lastExecuted)
    }

    /// What it says to its peers now and then, so that they can repeat what it lacks.
    public func status() -> Status {
        let held = viewChanger.viewChanges
        return Status(
            view: view, isChangingView: isChangingView, lastExecuted: lastExecuted, stable: stable.sequence,
            awaits: standing.awaits(window: limits.window),
            viewChanges: held.contains { $0 != nil } ? held.map { $0?.view ?? View(0) } : [],
            refuses: viewChanger.refused,
            proposedUpTo: ordering.log.proposed(after: lastExecuted),
            suspects: promises.isFull && pacemaker.suspects(view), start: rejoin.resuming.nonce,
            remembers: standing.isQuarantined ? .zero : remembersUpTo)
    }

    /// The last sequence number for which this replica may have sent COMMIT (R6). What a stable checkpoint covers is no
    /// longer in the log, and perhaps not yet executed.
    public var committedUpTo: SequenceNumber {
        max(lastExecuted, stable.sequence, ordering.log.lastPrepared ?? .zero)
    }

    /// The digest that was executed at a sequence number, while it is remembered.
    public func executedDigest(at sequence: SequenceNumber) -> Digest? { retained.digest(at: sequence) }
}
