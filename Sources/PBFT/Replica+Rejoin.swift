import Messages

/// Whether a replica takes part. All but `full` are silent in ordering and view changes; one that rebuilds or is quarantined
/// is silent in attestations and answers to reads too (R4, docs/decisions/0015).
public enum Standing: Hashable, Sendable, CustomStringConvertible {
    case full
    /// Started, and not yet told by enough peers that it forgot nothing.
    case resuming
    /// The state is lost, the votes are not: waits for a state of at least this number from peers.
    case rebuilding(from: SequenceNumber)
    /// Votes may be lost: waits until a stable checkpoint lies beyond all that it could have voted for. Nil until enough peers
    /// have said where they stand.
    case quarantined(until: SequenceNumber?)

    public var isQuarantined: Bool { if case .quarantined = self { true } else { false } }

    public var description: String {
        switch self {
        case .full: "takes part"
        case .resuming: "resuming: asks its peers what they heard from it"
        case .rebuilding(let minimum): "rebuilding: fetches a state of \(minimum) or later"
        case .quarantined(nil): "quarantined: asks its peers where they stand"
        case .quarantined(let until?): "quarantined until \(until)"
        }
    }
}

/// The questions of a start, and the answers.
struct Resuming: Sendable {
    /// Zero before the start.
    var nonce: UInt64 = 0
    var sentAt: UInt64 = 0
    var rounds = 0
    /// What each peer was told last.
    var said: [SequenceNumber] = []
    var answers: [Recollection?] = []
    /// When each peer that refuses was told again.
    var retoldAt: [UInt64] = []
}

extension Replica {
    /// The journal is lost, or is an older one that was restored: enters quarantine before it speaks.
    public mutating func quarantine(now: Instant, into ready: inout ReplicaReady) {
        promises.fallSilent(.quarantined(until: nil))
        live(max(1, now.wall.number))
        promises.remember(.quarantine(life: ownLife, isOver: false), into: &ready)
    }

    func life(of replica: ReplicaIndex) -> UInt64 { declarations[replica.index]?.life ?? 0 }
    var ownLife: UInt64 { life(of: me) }

    mutating func live(_ life: UInt64) {
        declarations[me.index] = LifeDeclaration(
            cluster: configuration.cluster, epoch: configuration.epoch, shard: configuration.shard, replica: me, life: life,
            signer: configuration.signer)
    }

    /// Whether attestations, answers to reads and state may leave.
    public var mayAttest: Bool {
        switch standing {
        case .full, .resuming: !isHalted
        case .rebuilding, .quarantined: false
        }
    }

    /// Whether this replica may answer quorum reads: it remembers every COMMIT that it sent (R4, R6).
    public var mayRead: Bool { standing == .full && !isHalted }

    /// Where the shard must get before this replica takes part again; the primary orders empty batches to get there.
    var awaits: SequenceNumber {
        switch standing {
        case .full, .resuming, .quarantined(nil): .zero
        // Peers hand out states that are written down, which happens every few checkpoints.
        case .rebuilding(let minimum): SequenceNumber(minimum.number + 2 * limits.window)
        case .quarantined(let until?): until
        }
    }

    /// As an idle primary: whether a peer that takes no part waits for the shard to move on. What it may ask for is bounded.
    public func isAwaited(now: Instant) -> Bool { canPropose && isMoveAwaited(now: now) }

    func isMoveAwaited(now: Instant) -> Bool {
        peers.isMoveAwaited(after: lastExecuted, upTo: stable.sequence.number + 4 * limits.window, now: now)
    }

    /// Votes of a peer that forgot do not count; a replica without a state waits for one.
    mutating func isHeard(_ message: PBFTMessage, from: ReplicaIndex) -> Bool {
        switch message {
        case .prePrepare(let m): note(m.sequence, from)
        case .prepare(let m), .commit(let m): note(m.sequence, from)
        // Vouches for the state that a replica without one waits for.
        case .checkpoint: if case .rebuilding = standing { return true }
        case .suspect, .viewChange: break
        case .newView, .batch, .committed, .committedBody, .fetchBatch, .fetchCommitted: if case .rebuilding = standing { return false } else { return true }
        case .status, .resumed, .recollection: return true
        }
        if case .rebuilding = standing { return false }
        return !progress[from.index].isRefused
    }

    private mutating func note(_ sequence: SequenceNumber, _ from: ReplicaIndex) {
        guard !progress[from.index].isRefused, sequence <= log.high else { return }
        progress[from.index].heard = max(progress[from.index].heard, sequence)
    }

    // MARK: The replica that starts

    mutating func start(now: Instant, into ready: inout ReplicaReady) {
        resuming = Resuming(
            nonce: max(1, now.wall.number), said: Array(repeating: .zero, count: group.n), answers: Array(repeating: nil, count: group.n),
            retoldAt: Array(repeating: 0, count: group.n))
        if standing == .full { resume(now: now, into: &ready) }
        sayResumed(now: now, into: &ready)
    }

    /// So often all are asked, before they have said anything.
    private static let blindRounds = 16

    /// The highest sequence number that this replica voted for and remembers.
    var remembersUpTo: SequenceNumber {
        if case .rebuilding = standing { return highestVote(in: remembered) }
        var highest = stable.sequence
        for sequence in log.sequences where !log[sequence].prePrepared.isEmpty || log[sequence].prepared != nil { highest = sequence }
        return highest
    }

    private func highestVote(in records: [JournalRecord]) -> SequenceNumber {
        var highest = SequenceNumber.zero
        for record in records {
            switch record {
            case .prePrepared(_, let sequence, _), .prePreparedAgain(_, let sequence, _), .prepared(_, let sequence, _),
                .committed(let sequence, _), .committedBody(let sequence, _): highest = max(highest, sequence)
            case .stable(let checkpoint): highest = max(highest, checkpoint.sequence)
            case .viewChange, .newView, .quarantine, .peerLife: break
            }
        }
        return highest
    }

    /// Asks again whoever has not answered and is heard of: who is silent hears nothing either.
    mutating func sayResumed(now: Instant, into ready: inout ReplicaReady) {
        guard resuming.nonce != 0, now.uptime >= resuming.sentAt + (standing == .full ? 5 * limits.statusInterval : limits.statusInterval / 8)
        else { return }
        let others = (0..<group.n).filter { $0 != me.index }
        guard others.contains(where: { resuming.answers[$0] == nil }) || standing.isQuarantined else { return }
        resuming.sentAt = now.uptime
        resuming.rounds += 1
        let remembers = standing.isQuarantined ? .zero : remembersUpTo
        for i in others where resuming.answers[i] == nil || standing == .quarantined(until: nil) {
            guard resuming.rounds <= Self.blindRounds || peers.isHeard(ReplicaIndex(UInt8(i)), within: 4, now: now) else { continue }
            resuming.said[i] = remembers
            let message = Resumption(
                nonce: resuming.nonce, remembers: remembers, isQuarantined: standing.isQuarantined, declaration: declarations[me.index])
            promises.send(.resumed(message), to: .one(ReplicaIndex(UInt8(i))), into: &ready)
        }
    }

    mutating func receive(_ recollection: Recollection, from: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard recollection.about == me else {
            if let declaration = recollection.declaration, isDue(from, now: now) { adopt(declaration, into: &ready) }
            return
        }
        if !standing.isQuarantined, recollection.life > ownLife {
            // Its own signature: the journal is one from before a quarantine.
            return halt(
                "a peer shows that this replica forgot its votes at \(recollection.life), and its journal knows nothing of it: it is an older "
                    + "backup. Declare it lost, and it rejoins by itself: quorate cluster restore-host", into: &ready)
        }
        if recollection.refuses, standing == .full, recollection.heard <= remembersUpTo,
            resuming.nonce != 0, now.uptime >= resuming.retoldAt[from.index] + limits.statusInterval / 8
        {
            // The peer counts votes of this very life, which it heard before the question, or a late copy of an older question: tell
            // it again. Seldom, because it answers; and a refusal for a later life nothing that is said here can mend.
            resuming.retoldAt[from.index] = now.uptime
            resuming.said[from.index] = remembersUpTo
            // A clock that went back makes this start look earlier than the one that the peer refused: to this peer it is a later one.
            let isClockBack = recollection.nonce > resuming.nonce && recollection.nonce < .max
            let again = Resumption(
                nonce: isClockBack ? recollection.nonce + 1 : resuming.nonce, remembers: remembersUpTo, isQuarantined: false, declaration: declarations[me.index])
            promises.send(.resumed(again), to: .one(from), into: &ready)
            return
        }
        guard recollection.nonce == resuming.nonce, resuming.nonce != 0 else { return ready.drops.append((from, .notAsked)) }
        if case .quarantined = standing {
            resuming.answers[from.index] = recollection
            liveLater(into: &ready)
            estimate()
            return
        }
        resuming.answers[from.index] = recollection
        if case .rebuilding = standing { return }
        let more = resuming.answers.compactMap { $0 }.filter { $0.heard > remembersUpTo }
        if more.count >= group.weakQuorum, let least = more.map(\.heard).min() {
            return halt(
                "peers heard votes of this replica up to \(least), its journal remembers them up to \(remembersUpTo): records are lost, as by "
                    + "an older backup. Declare it lost, and it rejoins by itself: quorate cluster restore-host", into: &ready)
        }
        if standing == .resuming, resuming.answers.count(where: { $0 != nil }) >= group.n - 1 - group.f {
            takePart(now: now, into: &ready)
        }
    }

    private mutating func takePart(now: Instant, into ready: inout ReplicaReady) {
        promises.takePart()
        resume(now: now, into: &ready)
    }

    /// A clock that went back would make the new life look like an old one: what this replica declared before, by its own
    /// signature, is outlived.
    private mutating func liveLater(into ready: inout ReplicaReady) {
        guard let known = resuming.answers.compactMap({ $0?.life }).max(), known > ownLife, known < .max else { return }
        live(known + 1)
        promises.remember(.quarantine(life: ownLife, isOver: false), into: &ready)
        resuming.answers = Array(repeating: nil, count: group.n)
    }

    /// An upper bound of what this replica may have voted for. Its low watermark h was certified by 2f + 1, among them at least
    /// f + 1 correct others; of 3f - m others that answered, f + 1 - m of those, and at most f - 1 - m lie. It voted up to h + L,
    /// and a VIEW-CHANGE of it speaks of numbers up to L above its checkpoints, which reach h + L (TOCS '02 §5.3, estimation).
    private mutating func estimate() {
        let answers = resuming.answers.compactMap { $0 }.filter { $0.life == ownLife }.map(\.checkpoint).sorted(by: >)
        guard answers.count >= group.quorum else { return }
        #if MUTANTS
        if Mutant.is(.quarantineTooShort) { return promises.fallSilent(.quarantined(until: .zero)) }
        #endif
        let rank = answers.count - 2 * group.f
        let (target, overflow) = answers[rank].number.addingReportingOverflow(2 * limits.window)
        guard !overflow else { return }
        if case .quarantined(let until?) = standing, until.number <= target { return }
        promises.fallSilent(.quarantined(until: SequenceNumber(target)))
    }

    /// Ends the silence when its time has come.
    mutating func endQuarantine(now: Instant, into ready: inout ReplicaReady) {
        guard case .quarantined(let until?) = standing, stable.sequence >= until, phase == .normal else { return }
        promises.remember(.quarantine(life: ownLife, isOver: true), into: &ready)
        takePart(now: now, into: &ready)
    }

    // MARK: Its peers

    /// What waits for the disk goes to all, and so does the answer to a quarantined replica: from it the others know of its life.
    mutating func answer(_ resumption: Resumption, to peer: ReplicaIndex, now: Instant, into ready: inout ReplicaReady) {
        guard resumption.declaration.map({ $0.replica == peer }) ?? !resumption.isQuarantined else {
            return ready.drops.append((peer, .notAsked))
        }
        // Each may cost a record, a sync and a word to everybody.
        guard isDue(peer, now: now) else { return }
        if resumption.isQuarantined, resumption.life >= life(of: peer) {
            (progress[peer.index].heard, progress[peer.index].isRefused) = (.zero, false)
        } else if resumption.nonce > progress[peer.index].acceptedStart {
            // Copies of an earlier start's question come late, and say nothing about this one.
            progress[peer.index].isRefused = resumption.remembers < progress[peer.index].heard || resumption.life < life(of: peer)
            if progress[peer.index].isRefused {
                progress[peer.index].refusedStart = resumption.nonce
                progress[peer.index].isRefusedForLife = resumption.life < life(of: peer)
            } else {
                progress[peer.index].acceptedStart = resumption.nonce
            }
        }
        var checkpoint = checkpoints.newest.sequence
        for case .stable(let kept) in remembered { checkpoint = max(checkpoint, kept.sequence) }
        if let declaration = resumption.declaration { adopt(declaration, into: &ready) }
        let answer = Recollection(
            about: peer, nonce: resumption.nonce, heard: progress[peer.index].heard, checkpoint: checkpoint,
            declaration: declarations[peer.index], refuses: progress[peer.index].isRefused)
        // The life has to be remembered before anything rests on it.
        if resumption.isQuarantined {
            promises.sayOnceDurable(.recollection(answer), into: &ready)
        } else {
            promises.send(.recollection(answer), to: .one(peer), into: &ready)
        }
    }

    /// Whether a peer's word of lives is listened to now: a faulty one would otherwise fill the journal with them.
    private mutating func isDue(_ peer: ReplicaIndex, now: Instant) -> Bool {
        if let at = progress[peer.index].resumedAt, now.uptime < at + limits.statusInterval / 16 { return false }
        progress[peer.index].resumedAt = now.uptime
        return true
    }

    /// What a peer said before it forgot would undo what it says now.
    mutating func adopt(_ declaration: LifeDeclaration, into ready: inout ReplicaReady) {
        let peer = declaration.replica
        guard peer.index < group.n, peer != me, declaration.life > life(of: peer) else { return }
        declarations[peer.index] = declaration
        forgettings[peer.index] += 1
        promises.remember(.peerLife(declaration), into: &ready)
        // A journal without its state is read again, and compacted, from what it remembered.
        if case .rebuilding = standing {
            remembered.removeAll { if case .peerLife(let earlier) = $0 { earlier.replica == peer } else { false } }
            remembered.append(.peerLife(declaration))
        }
        if let viewChange = viewChanges[peer.index], viewChange.life < declaration.life { viewChanges[peer.index] = nil }
    }

    /// A late copy of the question of a peer's present start may have come after votes of it. A replica that is quarantined cannot
    /// complain, and the peer, which was answered, asks no more: its STATUS says what its question would.
    mutating func reconsider(_ peer: ReplicaIndex, _ status: Status) {
        let known = progress[peer.index]
        guard known.isRefused, !known.isRefusedForLife, status.start >= known.refusedStart, status.remembers >= known.heard else { return }
        (progress[peer.index].isRefused, progress[peer.index].acceptedStart) = (false, status.start)
    }

    /// A refused peer may never have been told: it is, whenever it says where it stands.
    mutating func complain(to peer: ReplicaIndex, into ready: inout ReplicaReady) {
        guard progress[peer.index].isRefused else { return }
        let complaint = Recollection(
            about: peer, nonce: progress[peer.index].refusedStart, heard: progress[peer.index].heard, checkpoint: stable.sequence,
            declaration: declarations[peer.index], refuses: true)
        promises.send(.recollection(complaint), to: .one(peer), into: &ready)
    }

    // MARK: A journal without its state

    /// The journal is whole and the state is not: the votes are remembered, and everything waits for a state on which the
    /// journal's batches follow.
    mutating func wait(
        forStateOf records: [JournalRecord], stable: Checkpoint, committed: [SequenceNumber: Digest], bodies: [SequenceNumber: [Batch]]
    ) {
        var minimum = stable.sequence
        while minimum > .zero, let digest = committed[minimum], digest.isNull || bodies[minimum]?.contains(where: { $0.digest == digest }) == true {
            minimum = SequenceNumber(minimum.number - 1)
        }
        promises.fallSilent(.rebuilding(from: minimum))
        remembered = records
    }

    mutating func rebuild(on checkpoint: Checkpoint, isStable: Bool, now: Instant, into ready: inout ReplicaReady) {
        let records = remembered + (isStable ? [.stable(checkpoint)] : [])
        var resuming = resuming
        resuming.answers = Array(repeating: nil, count: group.n)
        self = Replica(configuration: configuration, base: checkpoint, records: records, now: now, into: &ready)
        self.resuming = resuming
        lastStatusAt = now.uptime
    }
}
