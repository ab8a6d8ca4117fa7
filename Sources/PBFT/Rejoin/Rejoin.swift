import Messages

/// Starting again, and others that do (R4): whose votes count, and what is remembered while the state is missing.
struct Rejoin: Sendable {
    private let configuration: ReplicaConfiguration
    var incarnations: Incarnations
    var resuming: Resuming
    var witness: Witness
    /// What the journal remembers while the state is missing.
    private(set) var remembered: [JournalRecord] = []

    init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        incarnations = Incarnations(configuration: configuration)
        resuming = Resuming(configuration: configuration)
        witness = Witness(configuration: configuration)
    }

    /// Votes of a peer that forgot do not count; a replica without a state waits for one.
    /// - Parameter high: votes above this watermark are not noted: nobody votes there yet.
    mutating func isHeard(_ message: PBFTMessage, from: ReplicaIndex, as standing: Standing, high: SequenceNumber)
        -> Bool
    {
        switch message {
        // No vote: a primary that starts again may have lost its record, and has forgotten nothing that counts.
        case .prePrepare(let m): if Mutant.is(.proposalsAreRemembered) { note(m.sequence, from, high) }
        case .prepare(let m): note(m.sequence, from, high)
        case .commit(let m): note(m.sequence, from, high)
        // Vouches for the state that a replica without one waits for.
        case .checkpoint: if standing.isRebuilding { return true }
        case .suspect, .viewChange: break
        case .newView, .batch, .committed, .committedBody, .fetchBatch, .fetchCommitted: return !standing.isRebuilding
        case .status, .resumed, .recollection: return true
        }
        return !standing.isRebuilding && !witness.refuses(from)
    }

    private mutating func note(_ sequence: SequenceNumber, _ from: ReplicaIndex, _ high: SequenceNumber) {
        if sequence <= high { witness.note(voteAt: sequence, of: from) }
    }

    /// - Returns: false if it is no news of a peer.
    mutating func adopt(_ verified: Verified<IncarnationDeclaration>, isRebuilding: Bool) -> Bool {
        guard incarnations.adopt(verified) else { return false }
        let declaration = verified.value
        // A journal without its state is read again, and compacted, from what it remembered.
        if isRebuilding {
            remembered.removeAll {
                if case .peerIncarnation(let earlier) = $0 { earlier.replica == declaration.replica } else { false }
            }
            remembered.append(.peerIncarnation(declaration))
        }
        return true
    }

    // MARK: What is asked and answered

    private func oneself(_ standing: Standing, remembers: SequenceNumber) -> Resuming.Oneself {
        let me = configuration.me
        return Resuming.Oneself(
            standing: standing, incarnation: incarnations.own, declaration: incarnations.declaration(of: me),
            remembers: remembers)
    }

    /// As a replica that starts: asks the peers.
    /// - Parameter remembers: the highest sequence number that this replica voted for and remembers.
    mutating func ask(
        remembers: SequenceNumber, _ peers: Peers, now: Instant, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        let questions = resuming.ask(
            as: oneself(promises.standing, remembers: remembers), isHeard: { peers.isHeard($0, within: 4, now: now) },
            now: now)
        for (peer, question) in questions { promises.send(.resumed(question), to: .one(peer), into: &ready) }
    }

    mutating func hear(
        _ word: Recollection, from: ReplicaIndex, as standing: Standing, remembers: SequenceNumber, now: Instant
    ) -> Resuming.Verdict {
        resuming.hear(word, from: from, as: oneself(standing, remembers: remembers), now: now)
    }

    /// As a peer. What waits for the disk goes to all, and so does the answer to a quarantined replica: from it the
    /// others know of its incarnation, which has to be remembered before anything rests on it.
    func answer(
        _ resumption: Resumption, of peer: ReplicaIndex, checkpoint: SequenceNumber, _ promises: Promises,
        into ready: inout ReplicaReady
    ) {
        let answer = witness.answer(
            resumption, of: peer, checkpoint: max(checkpoint, rememberedCheckpoint),
            declaration: incarnations.declaration(of: peer))
        if resumption.isQuarantined {
            promises.sayOnceDurable(.recollection(answer), into: &ready)
        } else {
            promises.send(.recollection(answer), to: .one(peer), into: &ready)
        }
    }

    func complain(to peer: ReplicaIndex, stable: SequenceNumber, _ promises: Promises, into ready: inout ReplicaReady) {
        let complaint = witness.complaint(
            about: peer, checkpoint: stable, declaration: incarnations.declaration(of: peer))
        if let complaint { promises.send(.recollection(complaint), to: .one(peer), into: &ready) }
    }

    /// Tells everybody who forgot what a NEW-VIEW rests on.
    func tell(whoForgot newView: NewView, stable: SequenceNumber, _ promises: Promises, into ready: inout ReplicaReady)
    {
        for viewChange in newView.viewChanges where incarnations.outlived(viewChange) {
            let word = Recollection(
                about: viewChange.replica, nonce: 0, heard: .zero, checkpoint: stable,
                declaration: incarnations.declaration(of: viewChange.replica))
            promises.send(.recollection(word), to: .others, into: &ready)
        }
    }

    // MARK: A journal without its state

    mutating func remember(_ records: [JournalRecord]) { remembered = records }

    /// Zero if nothing is remembered, or nothing of it is stable.
    var rememberedCheckpoint: SequenceNumber {
        var highest = SequenceNumber.zero
        for case .stable(let checkpoint) in remembered { highest = max(highest, checkpoint.sequence) }
        return highest
    }

    var highestRemembered: SequenceNumber { remembered.lazy.compactMap(\.votedFor).max() ?? .zero }
}

extension JournalRecord {
    /// The sequence number that this speaks of.
    fileprivate var votedFor: SequenceNumber? {
        switch self {
        case .prePrepared(_, let sequence, _), .prePreparedAgain(_, let sequence, _), .prepared(_, let sequence, _),
            .committed(let sequence, _, _), .committedBody(let sequence, _, _):
            sequence
        case .stable(let checkpoint): checkpoint.sequence
        case .viewChange, .newView, .quarantine, .peerIncarnation: nil
        }
    }
}
