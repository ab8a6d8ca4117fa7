import Messages

/// What a step asks for, in the order in which it must be done. Only `Promises` writes the first three.
public struct ReplicaReady: Sendable {
    /// Who gets a message: all other members of the group, or one of them.
    public enum Destination: Hashable, Sendable {
        case others
        case one(ReplicaIndex)
    }
    /// A message that may leave at once.
    public struct Outgoing: Sendable {
        /// Never this replica itself.
        public let to: Destination
        /// What binds nobody, or is durable and was said before.
        public let message: PBFTMessage
        /// - Parameter to: one member other than the sender, or all others.
        public init(to: Destination, message: PBFTMessage) { (self.to, self.message) = (to, message) }
    }

    /// 1. Append to the journal.
    public fileprivate(set) var records: [JournalRecord] = []
    /// 2. Send to all others once every record up to the end of this step is durable, and then say `.durable`.
    public fileprivate(set) var held: [PBFTMessage] = []
    /// 3. Send at once, beside the sync: all that these say is durable already, or binds nobody. PRE-PREPARE is among
    ///    them, because it is no vote.
    public fileprivate(set) var sends: [Outgoing] = []
    /// 4. Check signatures off this thread, and then say `.checked`.
    public internal(set) var checks: [SignatureCheck] = []
    /// 5. Count.
    public internal(set) var drops: [(ReplicaIndex, DropReason)] = []
    /// 6. The replica stops for good: its state differs from what a quorum certified, or it forgot votes and did not
    ///    know. Nothing below is carried out of a step that halts.
    public internal(set) var halt: String?
    /// It stops because of the first: whatever it has of the state is no good.
    public internal(set) var hasDiverged = false
    /// 7. Execute in this order; what must be certified is certified after it.
    public internal(set) var executes: [OrderedBatch] = []
    /// 8. Peers no longer have the batches after what is executed here: fetch a state of at least this number.
    public internal(set) var needsState: SequenceNumber?

    /// With nothing to do.
    public init() {}

    mutating func drop(_ reason: DropReason?, of from: ReplicaIndex) {
        if let reason { drops.append((from, reason)) }
    }

    /// It asks for nothing.
    public var isEmpty: Bool {
        records.isEmpty && held.isEmpty && sends.isEmpty && checks.isEmpty && drops.isEmpty && halt == nil
            && executes.isEmpty && needsState == nil
    }

    /// Empties it for the next step, and keeps its memory.
    public mutating func removeAll() {
        records.removeAll(keepingCapacity: true)
        held.removeAll(keepingCapacity: true)
        sends.removeAll(keepingCapacity: true)
        checks.removeAll(keepingCapacity: true)
        drops.removeAll(keepingCapacity: true)
        (halt, hasDiverged) = (nil, false)
        executes.removeAll(keepingCapacity: true)
        needsState = nil
    }
}

/// The only way to bind the replica, and for PBFT to say anything at all. (State transfer says again which checkpoints
/// were taken here and are stable, which binds to nothing new.) Nobody else can write what a step asks to be journaled,
/// held or sent, so these two rules are kept in this file alone:
///
/// - R3: what binds leaves only when its record is durable, and the record comes first. A fresh proposal binds nobody: it
///   is the primary's PREPARE that counts (docs/decisions/0051).
/// - R4: who may have forgotten votes, or does not yet know that he did not, is silent. That is decided here, before
///   anything is said, by `Standing.allows`.
///
/// A silent replica takes up what is ordered all the same: it writes the record, and says nothing. Its own vote never
/// counts, because only what is held comes back as `.durable`. When it takes part again it says what its records bind
/// it to (`Replica.resume`).
package struct Promises: Sendable {
    package private(set) var standing = Standing.full

    package init() {}

    package mutating func takePart() { standing = .full }

    package mutating func fallSilent(_ silence: Standing) {
        precondition(silence != .full)
        standing = silence
    }

    /// Whether the replica may bind itself.
    package var isFull: Bool { standing == .full }

    /// Binds the replica: `message` leaves when `record` is durable.
    /// - Returns: false if the replica is silent: the record is written, and nobody is promised anything.
    @discardableResult
    package func promise(_ record: JournalRecord, thenSay message: PBFTMessage, into ready: inout ReplicaReady) -> Bool
    {
        precondition(record.binds(to: message), "the record of one promise, the message of another")
        write(record, into: &ready)
        return sayOnceDurable(message, into: &ready)
    }

    /// Binds the primary to what its NEW-VIEW says, which is held as long as this record is not durable: that is its
    /// PREPARE for every number that it selects.
    package func promise(_ record: JournalRecord, saidBy newView: NewView, into ready: inout ReplicaReady) {
        precondition(record.isSelected(by: newView), "not what the NEW-VIEW selects")
        write(record, into: &ready)
    }

    /// Proposes, and binds the primary to that as a backup is bound: by a PREPARE, which leaves when the record is
    /// durable.
    /// - Parameter isEarly: PRE-PREPARE need not wait for its record, because the journal knows that this replica leads
    ///   the view: after a restart it proposes nothing in it (`ViewChanger.mayPropose`).
    package func propose(
        _ proposal: PrePrepare, thenSay vote: Prepare, isEarly: Bool, into ready: inout ReplicaReady
    ) {
        precondition(isFull, "who is silent leads nothing")
        if isEarly {
            send(.prePrepare(proposal), to: .others, into: &ready)
        } else {
            sayOnceDurable(.prePrepare(proposal), into: &ready)
        }
        promise(
            .prePrepared(view: proposal.view, sequence: proposal.sequence, proposal.batch), thenSay: .prepare(vote),
            into: &ready)
    }

    /// Says what records of earlier steps bind the replica to, once those of this step are durable too: after a restart
    /// what was said before it, byte for byte, and CHECKPOINT, which rests on the records of every batch up to it.
    @discardableResult
    package func sayOnceDurable(_ message: PBFTMessage, into ready: inout ReplicaReady) -> Bool {
        guard standing.allows(message) else { return false }
        ready.held.append(message)
        return true
    }

    /// Writes what the replica must know after a restart, and which binds it to nothing.
    package func remember(_ memory: Memory, into ready: inout ReplicaReady) { ready.records.append(memory.record) }

    /// Sends at once what binds nobody, what is durable and was said before, or what a quorum has certified already.
    package func send(_ message: PBFTMessage, to destination: ReplicaReady.Destination, into ready: inout ReplicaReady)
    {
        guard standing.allows(message) else { return }
        ready.sends.append(.init(to: destination, message: message))
    }

    private func write(_ record: JournalRecord, into ready: inout ReplicaReady) {
        if Mutant.is(.preparedNotJournaled), case .prepared = record { return }
        if Mutant.is(.viewChangeNotJournaled), case .viewChange = record { return }
        ready.records.append(record)
    }

    /// The records that bind nobody.
    package enum Memory {
        case committed(sequence: SequenceNumber, Digest, skipped: [UInt32] = [])
        case committedBody(sequence: SequenceNumber, Batch, skipped: [UInt32] = [])
        case stable(Checkpoint)
        case quarantine(incarnation: UInt64, isOver: Bool)
        case peerIncarnation(IncarnationDeclaration)
        /// Of another primary.
        case newView(NewView)

        fileprivate var record: JournalRecord {
            switch self {
            case .committed(let sequence, let digest, let skipped):
                .committed(sequence: sequence, digest, skipped: Mutant.is(.skippedNotJournaled) ? [] : skipped)
            case .committedBody(let sequence, let batch, let skipped):
                .committedBody(sequence: sequence, batch, skipped: Mutant.is(.skippedNotJournaled) ? [] : skipped)
            case .stable(let checkpoint): .stable(checkpoint)
            case .quarantine(let incarnation, let isOver): .quarantine(incarnation: incarnation, isOver: isOver)
            case .peerIncarnation(let declaration): .peerIncarnation(declaration)
            case .newView(let newView): .newView(newView)
            }
        }
    }
}

extension Standing {
    /// Whether a replica of this standing may say this (R4). The silent ones ask, and say where they are; of what a
    /// replica that starts was told by others it may tell, and one in quarantine, which may have forgotten that too,
    /// may not.
    func allows(_ message: PBFTMessage) -> Bool {
        switch message {
        case .status, .fetchBatch, .fetchCommitted, .resumed: true
        case .recollection: !isQuarantined
        case .prePrepare, .prepare, .commit, .checkpoint, .suspect, .viewChange, .newView, .batch, .committed,
            .committedBody:
            self == .full
        }
    }
}

extension JournalRecord {
    /// Whether the message says what this record makes durable (R3).
    fileprivate func binds(to message: PBFTMessage) -> Bool {
        switch (self, message) {
        case (.prePrepared(let view, let sequence, let batch), .prepare(let said)):
            said.vote == Vote(view: view, sequence: sequence, digest: batch.digest)
        case (.prePreparedAgain(let view, let sequence, let digest), .prepare(let said)):
            // What is pre-prepared again was selected: nobody vouches for it.
            said == Prepare(Vote(view: view, sequence: sequence, digest: digest), vouches: false)
        case (.prepared(let view, let sequence, let digest), .commit(let vote)):
            vote == Vote(view: view, sequence: sequence, digest: digest)
        case (.viewChange(let record), .viewChange(let said)): record == said
        case (.newView(let record), .newView(let said)): record == said
        default: false
        }
    }

    fileprivate func isSelected(by newView: NewView) -> Bool {
        switch self {
        case .prePrepared(let view, let sequence, let batch): newView.selects(batch.digest, at: sequence, in: view)
        case .prePreparedAgain(let view, let sequence, let digest): newView.selects(digest, at: sequence, in: view)
        default: false
        }
    }
}

extension NewView {
    fileprivate func selects(_ digest: Digest, at sequence: SequenceNumber, in view: View) -> Bool {
        guard view == self.view, sequence > start.sequence else { return false }
        let i = sequence.number - start.sequence.number - 1
        return i < UInt64(selection.count) && selection[Int(i)] == digest
    }
}
