import Messages
import PBFT

/// Everything that can happen to one replica of a host. The host says it one at a time.
package enum ShardInput: Sendable {
    /// Before everything else.
    /// - Parameter certainTime: the latest time of any shard whose time this one may follow (R2).
    case started(certainTime: Timestamp)
    /// Every few milliseconds.
    /// - Parameter connected: by host.
    case tick(connected: [Bool], certainTime: Timestamp)

    // From other hosts.
    case message(from: HostID, Verified<PBFTMessage>)
    /// It has proposed in this view what nobody signed.
    case forged(by: HostID, View, SequenceNumber)
    case stateTransfer(from: HostID, StateTransferMessage)
    /// What waits at a backup.
    case forwarded(from: HostID, BatchItem)
    /// What another shard certified: `Pushes.isProper` has looked at it.
    case push(from: HostID, Verified<RecoveryPush>)

    // From other shards of this host.
    /// That shard has got a push from a peer of this replica, which never says it to its own host.
    case sayOwn(to: ShardID, Verified<RecoveryPush>)
    /// What the replica of another shard on this host says of the request of a push that comes next.
    case word(Verified<RecoveryPush>)

    // From gateways.
    case request(from: SessionID, SignedRequest)
    /// Nobody here has checked it.
    case unchecked(from: SessionID, SignedRequest)
    /// Its principal has not signed it.
    case unsigned(from: SessionID, Digest)
    /// All before anything is proposed: one batch has them.
    case decides(from: SessionID, [TransactionDecide])
    case evidence(from: SessionID, CallEvidence)
    case account(from: SessionID, id: UInt64, AccountID)
    case read(from: SessionID, id: UInt64, ReadSubject, nonce: Digest)
    case sessionClosed(SessionID)

    // From the verifiers.
    /// A `HostCheck.batch` was carried out.
    case checked(CheckedSignatures)
    /// A `HostCheck.submission` was: nil if nobody has signed it.
    case submissionChecked(from: SessionID, Digest, Verified<SignedRequest>?)

    // From the disk.
    /// A message of `ShardReady.held` has left.
    case durable(PBFTMessage)
    /// The flush of the state up to this sequence is durable.
    case flushed(SequenceNumber)
    /// A bucket with this digest is in the store's staging area.
    case staged(bucket: Int, Digest)
    /// The host stops voting (R7).
    case storageFailed(String)
    /// The state on disk is not what was written.
    case stateDamaged(String)
}

/// What a step of one replica asks of its host, in the order in which it must be done.
package struct ShardReady {
    package struct Held {
        package let message: PBFTMessage
        /// How many of this step's records it waits for, and for all before them.
        package let after: Int
    }

    /// 1. Append to the journal.
    package var records: [JournalRecord] = []
    /// 2. Send to the other replicas once these records are durable, and then say `durable` (R3).
    package var held: [Held] = []
    /// 3. Send.
    package var toHosts: [HostReady.Outgoing] = []
    /// 4. Send.
    package var toGateways: [HostReady.Reply] = []
    /// 5. Say `word`, before anything that comes after this step.
    package var words: [(to: ShardID, word: Verified<RecoveryPush>)] = []
    /// 6. Check, and say what comes of it.
    package var checks: [HostCheck] = []
    /// 7. Stage in order; then say `staged`.
    package var stages: [BucketStaging] = []
    /// 8. Write down in order; then say `flushed`.
    package var flushes: [StateFlush] = []
    /// 9. Read nothing from these sessions for a while.
    package var pauses: [SessionID] = []
    /// 10. The state on disk is not what was written.
    package var isDamaged = false
    /// 11. The replica has halted, and asks for nothing any more.
    package var halt: String?
    /// 12. Log.
    package var notices: [String] = []
    /// 13. Count.
    package var drops: [MessageDrop] = []
    /// 14. Count: it has left its view for a later one.
    package var viewChanges = 0
    /// 15. Count: it has begun to fetch a state.
    package var stateFetches = 0
    /// 16. Archive, in order and before the flushes: what was executed. Only with `HostOptions.archives`.
    package var executed: [ArchivedBatch] = []
    /// The shard's time after the step.
    package var time = Timestamp.zero

    package init() {}

    /// It asks for nothing.
    package var isEmpty: Bool {
        records.isEmpty && held.isEmpty && toHosts.isEmpty && toGateways.isEmpty && words.isEmpty && checks.isEmpty
            && stages.isEmpty && flushes.isEmpty && pauses.isEmpty && !isDamaged && halt == nil && notices.isEmpty
            && drops.isEmpty && viewChanges == 0 && stateFetches == 0 && executed.isEmpty
    }

    package mutating func removeAll() {
        records.removeAll(keepingCapacity: true)
        held.removeAll(keepingCapacity: true)
        toHosts.removeAll(keepingCapacity: true)
        toGateways.removeAll(keepingCapacity: true)
        words.removeAll(keepingCapacity: true)
        checks.removeAll(keepingCapacity: true)
        stages.removeAll(keepingCapacity: true)
        flushes.removeAll(keepingCapacity: true)
        pauses.removeAll(keepingCapacity: true)
        (isDamaged, halt) = (false, nil)
        notices.removeAll(keepingCapacity: true)
        drops.removeAll(keepingCapacity: true)
        executed.removeAll(keepingCapacity: true)
        (viewChanges, stateFetches) = (0, 0)
    }

    mutating func drop(_ reason: MessageDrop) { drops.append(reason) }

    mutating func send(_ message: HostMessage, to hosts: [HostID]) {
        toHosts.append(.init(to: hosts, message: message))
    }

    mutating func reply(_ reply: HostReply, to sessions: [SessionID]) {
        toGateways.append(.init(to: sessions, reply: reply))
    }
}
