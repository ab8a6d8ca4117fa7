import Messages
import ShardState

/// A connection from a gateway or tool, or at a gateway from a client, numbered by the runtime; never reused while the
/// process runs.
public struct SessionID: NumberNewtype {
    /// Counted by the runtime from 1.
    public let number: UInt64
    /// - Parameter number: one that this runtime has not given to another connection.
    public init(_ number: UInt64) { self.number = number }
}

/// Everything that can happen to a host. The runtime and the simulator say it one at a time.
public enum HostInput: Sendable {
    /// From another host, over a session that authenticated it; what `Verified` promises of signatures holds.
    case peer(HostID, Verified<HostMessage>)
    case gateway(SessionID, Verified<GatewayMessage>)
    /// A request that a gateway submits to these shards, whose signature nobody here has checked (`CheckingRule`).
    case unchecked(SessionID, [ShardID], SignedRequest)
    /// A request that a gateway submits to these shards, and its principal has not signed.
    case unsigned(SessionID, [ShardID], Digest)
    /// Another host has proposed in this shard and view, under this number, what nobody signed.
    case forged(by: HostID, ShardID, View, SequenceNumber)
    /// A `HostCheck` of a batch was carried out.
    case checked(ShardID, CheckedSignatures)
    /// A `HostCheck` of a submission was carried out: the request with this digest, or nil if nobody has signed it.
    case submissionChecked(ShardID, SessionID, Digest, Verified<SignedRequest>?)
    case gatewayClosed(SessionID)
    case peerConnected(HostID)
    case peerDisconnected(HostID)
    /// Every journal record up to this position is durable.
    case persisted(JournalPosition)
    /// The flush of this shard's state up to this sequence is durable in LMDB.
    case flushed(ShardID, SequenceNumber)
    /// This shard's bucket with this digest is in the store's staging area.
    case staged(ShardID, bucket: Int, Digest)
    /// Storage failed: the host stops voting (R7). Never retried.
    case storageFailed(String)
    /// What this shard's store was opened with is not what was written: that replica halts, and the next start fetches
    /// another state.
    case stateDamaged(ShardID, String)
    /// Every few milliseconds, so that timers run.
    case tick
}

/// Counts the journal records that a host has appended since it started: the first has 1.
public struct JournalPosition: NumberNewtype {
    /// How many records were appended up to and with this one.
    public let number: UInt64
    /// - Parameter number: 0 for the place before the first record.
    public init(_ number: UInt64) { self.number = number }
}

/// A state that is to be written down: the runtime applies it to the shard's store in one synced transaction.
public struct StateFlush: Sendable {
    /// The shard whose store it goes to.
    public let shard: ShardID
    /// The state after this batch.
    public let sequence: SequenceNumber
    /// What changed since the state in the store.
    public let writes: StateWrites
    /// To be kept in the same transaction: sequence number, history and time among it, encoded.
    public let metadata: [UInt8]
    /// Of the whole state, kept with it: what a start reads is held against it. Nil if it was not at hand.
    public let digest: Digest?
    /// Where what was staged goes first, in the same transaction (`KeyValueWriter.apply`); nil for a state that was
    /// reached here.
    public let moves: [KeyRange]?

    /// A flush as `HostReady` lists it; applying it is the runtime's.
    public init(
        shard: ShardID, sequence: SequenceNumber, writes: StateWrites, moves: [KeyRange]?, metadata: [UInt8],
        digest: Digest?
    ) {
        (self.shard, self.sequence, self.writes) = (shard, sequence, writes)
        (self.moves, self.metadata, self.digest) = (moves, metadata, digest)
    }

    /// The state came from other replicas.
    public var installs: Bool { moves != nil }

    /// Has the shard's store hold it; returns when that is durable.
    /// - Throws: what the writer throws; then nothing was applied.
    public func apply(to writer: some KeyValueWriter) throws {
        try writer.apply(writes, moving: moves, metadata: metadata, seal: digest?.encoded(), clearing: false)
    }
}

/// A bucket of a state that is on its way here: the runtime puts it into the staging area of the shard's store.
public struct BucketStaging: Sendable {
    /// The shard whose store it goes to.
    public let shard: ShardID
    /// Of `StateDigest.bucketCount`, counted from zero.
    public let bucket: Int
    /// What its entries hash to.
    public let digest: Digest
    /// What is staged.
    public let part: StagedPart

    /// As `HostReady` lists it; staging it is the runtime's.
    public init(shard: ShardID, bucket: Int, digest: Digest, part: StagedPart) {
        (self.shard, self.bucket, self.digest, self.part) = (shard, bucket, digest, part)
    }

    /// What is to be said once it is staged.
    public var staged: HostInput { .staged(shard, bucket: bucket, digest) }
}

/// What one or several steps ask of the runtime, in the order in which it must be done. Everything in
/// `toHosts` and `toGateways` may leave at once: what had to be durable first has been held back inside
/// `HostCore` until `persisted` said so (R3).
public struct HostReady: Sendable {
    /// A message that is encoded once, whatever the number of hosts that get it.
    public struct Outgoing: Sendable {
        /// Ascending; never the host itself.
        public let to: [HostID]
        /// What they get. It may leave at once: what it depends on is durable.
        public let message: HostMessage
        /// - Parameter to: ascending, without the host itself.
        public init(to: [HostID], message: HostMessage) { (self.to, self.message) = (to, message) }
    }

    /// A reply that is encoded once, whatever the number of sessions that get it.
    public struct Reply: Sendable {
        /// Sessions of gateways or tools. One that has ended meanwhile gets nothing.
        public let to: [SessionID]
        /// What they get. It may leave at once: what it depends on is durable.
        public let reply: HostReply
        /// - Parameter to: sessions that wait for this reply.
        public init(to: [SessionID], reply: HostReply) { (self.to, self.reply) = (to, reply) }
    }

    /// 1. Append to the journal in this order, and sync; then say `persisted`.
    public var records: [HostRecord] = []
    /// Something waits for records that are not durable, these or earlier ones: sync as soon as the disk is free.
    /// Otherwise nobody waits (a commit is noted, a checkpoint is stable), and they may wait a while for a sync that
    /// covers more.
    public var awaitsSync = false
    /// 2. `records` (all of them) repeat everything that is still needed: put them in a new segment, and once
    /// they are durable, drop every older segment.
    public var compacts = false
    /// 3. Send.
    public var toHosts: [Outgoing] = []
    /// 4. Send.
    public var toGateways: [Reply] = []
    /// 5. Check, off this thread; then say what `HostCheck.carryOut` gives.
    public var checks: [HostCheck] = []
    /// 6. Stage in order, off this thread; then say `staged` for each.
    public var stages: [BucketStaging] = []
    /// 7. Archive in order, off this thread: what was executed, also again after a start. It must be durable before
    /// any flush that follows is: what is flushed is never executed again. Only with `HostOptions.archives`.
    public var executed: [ArchivedBatch] = []
    /// 8. Apply in order, off this thread; then say `flushed`.
    public var flushes: [StateFlush] = []
    /// 9. Read nothing from these sessions for a while: what they brought was in vain.
    public var pauses: [SessionID] = []
    /// 10. Go by it when reading what gateways submit: who leads these shards now, or is to, since a view has changed.
    public var primaries: [(ShardID, ReplicaIndex)] = []
    /// 11. The state of these shards is not what was written: have the next start put it aside.
    public var damaged: [ShardID] = []
    /// 12. Log. A replica that halts stays silent until an operator acts.
    public var halts: [(ShardID, String)] = []
    /// 13. Log, as warnings: what an operator should know of clocks, once a change.
    public var notices: [String] = []
    /// 14. Count.
    public var counts: [HostCount] = []
    /// Attestations in `toGateways`, and who gets them.
    private var attested: Set<Attested> = []

    private struct Attested: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
        let session: SessionID
    }

    /// Asks for nothing.
    public init() {}

    /// Asks for nothing.
    public var isEmpty: Bool {
        records.isEmpty && !awaitsSync && !compacts && toHosts.isEmpty && toGateways.isEmpty && checks.isEmpty
            && stages.isEmpty && flushes.isEmpty && pauses.isEmpty && primaries.isEmpty && damaged.isEmpty
            && halts.isEmpty && executed.isEmpty
            && notices.isEmpty && counts.isEmpty
    }

    /// Empties it for the next steps, and keeps its memory. Only what was done may be forgotten.
    public mutating func removeAll() {
        // The journal's thread has them still: whatever capacity they had would be allocated anew, after a compaction
        // for each record that follows.
        records = []
        (awaitsSync, compacts) = (false, false)
        toHosts.removeAll(keepingCapacity: true)
        toGateways.removeAll(keepingCapacity: true)
        checks.removeAll(keepingCapacity: true)
        stages.removeAll(keepingCapacity: true)
        // Batches are large; the archive's thread has them.
        executed = []
        flushes.removeAll(keepingCapacity: true)
        pauses.removeAll(keepingCapacity: true)
        primaries.removeAll(keepingCapacity: true)
        damaged.removeAll(keepingCapacity: true)
        halts.removeAll(keepingCapacity: true)
        notices.removeAll(keepingCapacity: true)
        counts.removeAll(keepingCapacity: true)
        attested.removeAll(keepingCapacity: true)
    }

    /// What is asked again while nothing has left yet is answered once: an attestation has all leaves of its batch, and
    /// who brings late what is executed already brings hundreds of one batch.
    package mutating func reply(_ replies: [Reply]) {
        for reply in replies {
            guard case .attestation(let attestation) = reply.reply else {
                toGateways.append(reply)
                continue
            }
            let statement = attestation.statement
            let new = reply.to.filter {
                attested.insert(
                    Attested(shard: statement.shard, sequence: statement.sequence, session: $0)
                ).inserted
            }
            if !new.isEmpty { toGateways.append(Reply(to: new, reply: reply.reply)) }
        }
    }
}
