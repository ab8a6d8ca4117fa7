import Messages

/// What one replica is told once. Durations are nanoseconds of the monotonic clock.
public struct ReplicaConfiguration: Sendable {
    /// Signed into VIEW-CHANGE, NEW-VIEW and declarations, so that no other cluster's pass for this one's.
    public let cluster: ClusterID
    /// Signed with `cluster`: what was said in an earlier epoch does not count.
    public let epoch: Epoch
    /// Signed with `cluster`: a host runs replicas of several shards with one key.
    public let shard: ShardID
    /// How many members there are, and what a quorum of them is.
    public let group: ReplicaGroup
    /// Which member this one is, below `group.n`.
    public let me: ReplicaIndex
    /// The host's key, for VIEW-CHANGE, NEW-VIEW and declarations of incarnations; the session authenticates the rest.
    public let signer: any Signer
    /// Window and checkpoint interval must be the same on all members.
    public var limits: Limits

    /// - Precondition: `me` is in the group, and the window is a multiple of the checkpoint interval, at least twice as
    ///   long.
    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, group: ReplicaGroup, me: ReplicaIndex, signer: any Signer,
        limits: Limits
    ) {
        precondition(me.index < group.n)
        precondition(limits.window % limits.checkpointInterval == 0 && limits.window >= 2 * limits.checkpointInterval)
        (self.cluster, self.epoch, self.shard, self.group, self.me) = (cluster, epoch, shard, group, me)
        (self.signer, self.limits) = (signer, limits)
    }

    /// Every bound and every wait of a replica.
    public struct Limits: Sendable {
        /// K: a checkpoint each so many sequence numbers (PBFT §4.3).
        public var checkpointInterval: UInt64 = 128
        /// L: sequence numbers in (h, h + L] are accepted (PBFT §4.2).
        public var window: UInt64 = 512
        /// Batches that the primary has proposed and not executed.
        public var pipelineDepth: UInt64 = 2
        /// How far a fresh proposal's time may be ahead of a backup's clock (R2), in microseconds.
        public var timeAhead: UInt64 = 5_000_000
        /// How far it may be behind, in microseconds: less than what a request may be ahead of the shard's time, by as
        /// much as clocks may differ. Otherwise a primary with a slow clock would have requests refused as from the
        /// future, and be kept.
        public var timeBehind: UInt64 = 2_500_000
        /// Without progress for so long, with something pending, the primary is suspected.
        public var progressTimeout: UInt64 = 1_000_000_000
        /// The same when the session to the primary's host is down.
        public var unreachableTimeout: UInt64 = 150_000_000
        /// A request that waits so long is censored, whatever else makes progress.
        public var censorshipTimeout: UInt64 = 8_000_000_000
        /// Waits double from view to view without progress, up to this: more than the worst order plus sync.
        public var maxTimeout: UInt64 = 10_000_000_000
        /// The throughput floor (Aardvark, NSDI '09, §4.3) is measured over so much time in which something waits.
        public var floorWindow: UInt64 = 1_000_000_000
        /// The wait when nothing queues that the floor excuses.
        public var floorLatency: UInt64 = 100_000_000
        /// What a shard is taken to be able to do before it was seen to do more, in requests a second.
        public var assumedThroughput: UInt64 = 100
        /// From one STATUS to the next.
        public var statusInterval: UInt64 = 200_000_000
        /// How long an answer to a fetch is awaited before another peer is asked.
        public var fetchTimeout: UInt64 = 200_000_000
        /// Executed batches kept in memory for peers that lag, in bytes of their encodings.
        public var retainedBytes = 64 << 20
        /// The same, in batches. What is not flushed yet is kept whatever its size.
        public var retainedBatches = 65_536
        /// Bodies that one peer may fetch, in bytes a second; as many at once.
        public var bodyBytesPerSecond = 16 << 20
        /// How long a committed batch waits for backups to say that they have checked their share of it before this
        /// replica does so itself.
        public var stepInAfter: UInt64 = 50_000_000
        /// How long the answer to such a check is awaited before it is asked for again.
        public var checkTimeout: UInt64 = 1_000_000_000
        /// Messages of a later view kept for one peer until that view is installed.
        public var futureMessagesPerPeer = 64

        /// The bounds and waits that docs/ARCHITECTURE.md lists.
        public init() {}
    }
}

/// Why a peer's message was not used: a value to count, never an error of ours.
public enum DropReason: Hashable, Sendable {
    case wrongView(got: View, current: View)
    case outsideWatermarks(got: SequenceNumber, low: SequenceNumber, high: SequenceNumber)
    case notFromPrimary(ReplicaIndex)
    case conflictingPrePrepare(SequenceNumber)
    case conflictingVote(SequenceNumber, ReplicaIndex)
    case timeOutOfBounds(got: Timestamp, local: Timestamp)
    case malformedViewChange(ReplicaIndex)
    case malformedNewView(View)
    case wrongSelection(View)
    case notAsked
    case changingView
}
