import Messages

/// What one replica is told once. Durations are nanoseconds of the monotonic clock.
public struct ReplicaConfiguration: Sendable {
    public let cluster: ClusterID
    public let epoch: Epoch
    public let shard: ShardID
    public let group: ReplicaGroup
    public let me: ReplicaIndex
    public let signer: any Signer
    public var limits: Limits

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
        /// How far a fresh proposal's time may be ahead of or behind a backup's clock (R2), in microseconds. Behind,
        /// less than what a request may be ahead of the shard's time, by as much as clocks may differ: otherwise a
        /// primary with a slow clock would have requests refused as from the future, and be kept.
        public var timeAhead: UInt64 = 5_000_000
        public var timeBehind: UInt64 = 2_500_000
        /// Without progress for so long, with something pending, the primary is suspected.
        public var progressTimeout: UInt64 = 1_000_000_000
        /// The same when the session to the primary's host is down.
        public var unreachableTimeout: UInt64 = 150_000_000
        /// A request that waits so long is censored, whatever else makes progress.
        public var censorshipTimeout: UInt64 = 8_000_000_000
        /// Waits double from view to view without progress, up to this: more than the worst order plus sync.
        public var maxTimeout: UInt64 = 10_000_000_000
        /// The throughput floor: measured over so much time in which something waits; the wait when nothing queues that
        /// is excused; and what a shard is taken to be able to do before it was seen to do more, in requests a second.
        public var floorWindow: UInt64 = 1_000_000_000
        public var floorLatency: UInt64 = 100_000_000
        public var assumedThroughput: UInt64 = 100
        public var statusInterval: UInt64 = 200_000_000
        /// How long an answer to a fetch is awaited before another peer is asked.
        public var fetchTimeout: UInt64 = 200_000_000
        /// Executed batches kept in memory for peers that lag, in bytes of their encodings.
        public var retainedBytes = 64 << 20
        public var retainedBatches = 65_536
        /// Bodies that one peer may fetch, in bytes a second; as many at once.
        public var bodyBytesPerSecond = 64 << 20
        /// Messages of a later view kept for one peer until that view is installed.
        public var futureMessagesPerPeer = 64

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
