import Messages

/// How a replica that may have lost records comes to take part, and what it does for others that may have (R4).
extension Replica {
    /// The journal is lost, or is an older one that was restored: enters quarantine before it speaks.
    public mutating func quarantine(now: Instant, into ready: inout ReplicaReady) {
        promises.fallSilent(.quarantined(until: nil))
        viewChanger.forgetLead()
        begin(max(1, now.wall.number), into: &ready)
    }

    private mutating func begin(_ incarnation: UInt64, into ready: inout ReplicaReady) {
        rejoin.incarnations.begin(incarnation)
        promises.remember(.quarantine(incarnation: incarnation, isOver: false), into: &ready)
    }

    /// Whether attestations, answers to reads and state may leave.
    public var mayAttest: Bool { standing.mayAttest && !isHalted }

    /// Whether this replica may answer quorum reads: it remembers every COMMIT that it sent (R4, R6).
    public var mayRead: Bool { standing == .full && !isHalted }

    /// As an idle primary: whether a peer that takes no part waits for the shard to move on.
    public func isAwaited(now: Instant) -> Bool { canPropose && isMoveAwaited(now: now) }

    func isMoveAwaited(now: Instant) -> Bool {
        peers.isMoveAwaited(after: lastExecuted, upTo: stable.sequence.number + 4 * limits.window, now: now)
    }

    // MARK: The replica that starts

    mutating func start(now: Instant, into ready: inout ReplicaReady) {
        rejoin.resuming.start(now: now)
        if standing == .full { resume(now: now, into: &ready) }
        sayResumed(now: now, into: &ready)
    }

    mutating func sayResumed(now: Instant, into ready: inout ReplicaReady) {
        guard rejoin.resuming.isDue(standing, now: now) else { return }
        rejoin.ask(remembers: remembersUpTo, peers, now: now, promises, into: &ready)
    }

    /// The highest sequence number that this replica voted for and remembers.
    var remembersUpTo: SequenceNumber {
        standing.isRebuilding ? rejoin.highestRemembered : ordering.log.lastVoted ?? stable.sequence
    }

    /// - Parameter declaration: the one in it.
    mutating func receive(
        _ recollection: Recollection, _ declaration: Verified<IncarnationDeclaration>?, from: ReplicaIndex,
        now: Instant,
        into ready: inout ReplicaReady
    ) {
        guard recollection.about == me else {
            if let declaration, rejoin.witness.isDue(from, now: now) {
                adopt(declaration, into: &ready)
            }
            return
        }
        switch rejoin.hear(recollection, from: from, as: standing, remembers: remembersUpTo, now: now) {
        case .notAsked: ready.drop(.notAsked, of: from)
        case .waits: break
        case .forgot(let reason): halt(reason, into: &ready)
        case .retell(let question): promises.send(.resumed(question), to: .one(from), into: &ready)
        case .outlive(let incarnation): begin(incarnation, into: &ready)
        case .quarantined(let until): promises.fallSilent(.quarantined(until: until))
        case .forgotNothing: takePart(now: now, into: &ready)
        }
    }

    private mutating func takePart(now: Instant, into ready: inout ReplicaReady) {
        promises.takePart()
        resume(now: now, into: &ready)
    }

    /// Ends the silence when its time has come.
    mutating func endQuarantine(now: Instant, into ready: inout ReplicaReady) {
        guard case .quarantined(let until?) = standing, stable.sequence >= until, phase == .normal else { return }
        promises.remember(.quarantine(incarnation: rejoin.incarnations.own, isOver: true), into: &ready)
        takePart(now: now, into: &ready)
    }

    // MARK: Its peers

    /// - Parameter declaration: the one in it.
    mutating func answer(
        _ resumption: Resumption, _ declaration: Verified<IncarnationDeclaration>?, to peer: ReplicaIndex, now: Instant,
        into ready: inout ReplicaReady
    ) {
        guard resumption.declaration.map({ $0.replica == peer }) ?? !resumption.isQuarantined else {
            return ready.drop(.notAsked, of: peer)
        }
        // Each may cost a record, a sync and a word to everybody.
        guard rejoin.witness.isDue(peer, now: now) else { return }
        rejoin.witness.judge(resumption, of: peer, incarnation: rejoin.incarnations.of(peer))
        if let declaration { adopt(declaration, into: &ready) }
        rejoin.answer(resumption, of: peer, checkpoint: checkpoints.newest.sequence, promises, into: &ready)
    }

    /// What a peer said before it forgot would undo what it says now.
    private mutating func adopt(_ verified: Verified<IncarnationDeclaration>, into ready: inout ReplicaReady) {
        guard rejoin.adopt(verified, isRebuilding: standing.isRebuilding) else { return }
        let declaration = verified.value
        promises.remember(.peerIncarnation(declaration), into: &ready)
        viewChanger.forget(of: declaration.replica, before: declaration.incarnation)
    }

    // MARK: A journal without its state

    mutating func rebuild(on checkpoint: Checkpoint, isStable: Bool, now: Instant, into ready: inout ReplicaReady) {
        let records = rejoin.remembered + (isStable ? [.stable(checkpoint)] : [])
        var resuming = rejoin.resuming
        resuming.forgetAnswers()
        self = Replica(configuration: configuration, base: checkpoint, records: records, now: now, into: &ready)
        // The journal may know another one of that number, from the state that is gone.
        if isStable { promises.remember(.stable(checkpoint), into: &ready) }
        rejoin.resuming = resuming
        _ = peers.isStatusDue(now: now)
    }
}
