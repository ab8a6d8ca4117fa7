import Messages

/// A connection from a gateway or tool, numbered by the runtime; never reused while the host runs.
public struct SessionID: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// Everything that can happen to a host. The runtime and the simulator say it one at a time.
public enum HostInput: Sendable {
    /// From another host, over a session that authenticated it; what `Verified` promises of signatures holds.
    case peer(HostID, Verified<HostMessage>)
    case gateway(SessionID, Verified<GatewayMessage>)
    case gatewayClosed(SessionID)
    case peerConnected(HostID)
    case peerDisconnected(HostID)
    /// Every journal record up to this position is durable.
    case persisted(JournalPosition)
    /// The flush of this shard's state up to this sequence is durable in LMDB.
    case flushed(ShardID, SequenceNumber)
    /// Storage failed: the host stops voting (R7). Never retried.
    case storageFailed(String)
    /// Every few milliseconds, so that timers run.
    case tick
}

/// Counts the journal records that a host has appended since it started: the first has 1.
public struct JournalPosition: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
}

/// A state that is to be written down: the runtime applies it to the shard's store in one synced transaction.
public struct StateFlush: Sendable {
    public let shard: ShardID
    /// The state after this batch.
    public let sequence: SequenceNumber
    public let writes: [KeyValueWrite]
    public let metadata: [UInt8]
    /// Of the whole state, kept with it: what a start reads is held against it. Nil if it was not at hand.
    public let digest: Digest?
    /// The state came from other replicas.
    public let installs: Bool

    public init(
        shard: ShardID, sequence: SequenceNumber, writes: [KeyValueWrite], metadata: [UInt8], digest: Digest?,
        installs: Bool
    ) {
        (self.shard, self.sequence, self.writes) = (shard, sequence, writes)
        (self.metadata, self.digest, self.installs) = (metadata, digest, installs)
    }
}

/// What one or several steps ask of the runtime, in the order in which it must be done. Everything in
/// `toHosts` and `toGateways` may leave at once: what had to be durable first has been held back inside
/// `HostCore` until `persisted` said so (R3).
public struct HostReady: Sendable {
    public struct Outgoing: Sendable {
        /// Ascending; never the host itself.
        public let to: [HostID]
        public let message: HostMessage
        public init(to: [HostID], message: HostMessage) { (self.to, self.message) = (to, message) }
    }

    public struct Reply: Sendable {
        public let to: [SessionID]
        public let reply: HostReply
        public init(to: [SessionID], reply: HostReply) { (self.to, self.reply) = (to, reply) }
    }

    /// 1. Append to the journal in this order, and sync as soon as the disk is free; then say `persisted`.
    public var records: [[UInt8]] = []
    /// 2. `records` (all of them) repeat everything that is still needed: put them in a new segment, and once
    /// they are durable, drop every older segment.
    public var compacts = false
    /// 3. Send.
    public var toHosts: [Outgoing] = []
    /// 4. Send.
    public var toGateways: [Reply] = []
    /// 5. Apply in order, off this thread; then say `flushed`.
    public var flushes: [StateFlush] = []
    /// 6. Read nothing from these sessions for a while: what they brought was in vain.
    public var pauses: [SessionID] = []
    /// 7. The state of these shards is not what was written: have the next start put it aside.
    public var damaged: [ShardID] = []
    /// 8. Log. A replica that halts stays silent until an operator acts.
    public var halts: [(ShardID, String)] = []
    /// 9. Log, as warnings: what an operator should know of clocks, once a change.
    public var notices: [String] = []

    public init() {}

    public mutating func removeAll() {
        records.removeAll(keepingCapacity: true)
        compacts = false
        toHosts.removeAll(keepingCapacity: true)
        toGateways.removeAll(keepingCapacity: true)
        flushes.removeAll(keepingCapacity: true)
        pauses.removeAll(keepingCapacity: true)
        damaged.removeAll(keepingCapacity: true)
        halts.removeAll(keepingCapacity: true)
        notices.removeAll(keepingCapacity: true)
    }
}
