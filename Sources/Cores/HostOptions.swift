import Messages
import PBFT
import ShardState

/// Every bound and every wait of a host above its replicas. Durations in nanoseconds of the monotonic clock.
public struct HostOptions: Sendable {
    /// Bounds and waits of PBFT, for each replica of the host.
    public var replica = ReplicaConfiguration.Limits()
    /// Bounds of execution; the same on every host of a cluster.
    public var shard = ShardLimits()
    /// The same on every host of a cluster.
    public var procedures = ProcedureRegistry()
    /// Requests that wait to be ordered, a shard.
    public var maxPendingRequests = 8192
    /// Whether a request's signature is checked by its primary and f backups, and not by all (docs/decisions/0040).
    /// Each host may have its own: who checks more than its share vouches for no less.
    public var sharesChecks = true
    /// Requests that wait at a backup that does not check them, a shard. One session alone has a quarter, and a few.
    public var maxUncheckedRequests = 16_384
    /// The same in bytes.
    public var maxUncheckedBytes = 32 << 20
    /// What has waited so long unchecked is checked here after all, and then watched over.
    public var checkAfter: UInt64 = 200_000_000
    /// Where requests lately took long to be executed it waits longer, twice as long as they did, and so long at most.
    public var checkAfterAtMost: UInt64 = 500_000_000
    /// Decides, and evidence that changes something, that wait to be ordered, a shard.
    public var maxPendingDecides = 16384
    /// When changes of a large state are hashed before their checkpoint. Each host may have its own.
    public var hashingAhead = HashingAhead()
    /// Items of one proposal.
    public var maxBatchItems = 1024
    /// Bytes of one proposal's items. Decides may fill all of it, and requests still get a quarter of it; one of each
    /// always goes.
    public var maxBatchBytes = 1 << 20
    /// Evidence of calls counts at least so much of a batch's bytes.
    public var evidenceBytes = 8 << 10
    /// What sources may bring in vain.
    public var vainBurst = 2048
    /// How many come back to each source in a second, to `vainBurst` at most.
    public var vainPerSecond: UInt64 = 64
    /// What one peer may ask about records of its shards that are open.
    public var questionBurst = 8192
    /// How many come back to each peer in a second, to `questionBurst` at most.
    public var questionsPerSecond: UInt64 = 2048
    /// Of a batch's items, how many may be decides, so that neither starves the other (R12).
    public var maxDecidesPerBatch = 768
    /// How long decides wait for a request to ride with before they make a batch of their own, at the next tick. Nothing
    /// that is ordered waits for them meanwhile.
    public var decidesAlone: UInt64 = 5_000_000
    /// A state is flushed each so many checkpoints, or when the overlay holds so many keys.
    public var checkpointsPerFlush: UInt64 = 4
    /// Keys written since the last flush. It is looked at when a checkpoint is taken.
    public var flushKeys = 65_536
    /// What is read of a state to see whether it is what was written: about so many entries before the host serves, and
    /// of a larger one so many more each so long while it does.
    public var entriesCheckedAtStart = 100_000
    /// Entries of one look while the host serves.
    public var entriesCheckedAtOnce = 1000
    /// From one such look to the next.
    public var checkInterval: UInt64 = 50_000_000
    /// Executed batches whose leaves are kept for those who ask late.
    public var recentBatches = 1024
    /// Requests whose gateways are remembered, a shard.
    public var maxInterests = 65_536
    /// Sessions of gateways and tools that share a shard's room for reads.
    public var maxSessions = 80
    /// Quorum reads that wait, a shard; no session takes all of them from the others.
    public var maxWaitingReads = 4096
    /// Quorum reads that a shard's replica answers: so many at once, and so many a second. Each costs a signature, on
    /// the thread that orders.
    public var readBurst: UInt64 = 256
    /// How many come back in a second, to `readBurst` at most.
    public var readsPerSecond: UInt64 = 10_000
    /// A backup hands the primary what has waited so long.
    public var forwardAfter: UInt64 = 250_000_000
    /// A record that is undecided, or that others may not know the end of, is pushed after so long, and then ever
    /// more seldom.
    public var pushAfter: UInt64 = 1_000_000_000
    /// Where decisions lately took long the first push waits longer, up to this, and never longer than half of
    /// `maxPushInterval`.
    public var pushAfterAtMost: UInt64 = 4_000_000_000
    /// The longest time from one push of a record to its next.
    public var maxPushInterval: UInt64 = 10_000_000_000
    /// From one look at open records to the next.
    public var pushScanInterval: UInt64 = 100_000_000
    /// Records of one look, and as many calls: the next look goes on after them.
    public var pushScanCount = 256
    /// What is executed is also given out to be archived (`HostReady.executed`).
    public var archives = false
    /// The journal is compacted when so many bytes were appended since the last time.
    public var compactionBytes = 64 << 20
    /// An audit reads the whole state: at most one in so long.
    public var auditInterval: UInt64 = 500_000_000
    /// An answer in a state transfer is awaited so long.
    public var stateTransferTimeout: UInt64 = 500_000_000
    /// A snapshot that is served to peers is given up after so long; who was not done goes on with a later one.
    public var snapshotLifetime: UInt64 = 300_000_000_000
    /// Empty batches for a replica that rejoins: so many at the speed of ticks, afterwards one in so long.
    public var maxEmptyBatches = 4096
    /// From one empty batch to the next when `maxEmptyBatches` have gone out. Items that were ordered meanwhile count
    /// against these.
    public var emptyBatchInterval: UInt64 = 200_000_000
    /// Buckets that one question asks for, and that one answer gives.
    public var stateTransferBuckets = StateTransferMessage.maxBuckets
    /// What one peer is sent of a state, in bytes a second; an eighth of it at once.
    public var stateBytesPerSecond = 128 << 20
    /// About so much of a bucket goes into one message, and always one entry.
    public var bucketPartBytes = 256 << 10
    /// Of a state that is fetched, what may be on its way to the store's staging area before more is asked for, in
    /// bytes. What was asked for already still comes.
    public var maxStagingBytes = 32 << 20
    /// Of a bucket whose parts have not all come. A peer that says more is not believed.
    public var maxBucketBytes = 256 << 20

    /// The bounds and waits that docs/ARCHITECTURE.md lists, without procedures.
    public init() {}
}
