import Messages
import PBFT
import ShardState
import TwoPhaseCommit

/// One replica with its state and what waits for it: everything that a host has of one shard.
struct ShardNode {
    let shard: ShardID
    let me: ReplicaIndex
    /// By replica.
    let hosts: [HostID]
    /// The other replicas' hosts, ascending.
    let others: [HostID]
    var replica: Replica
    var executor: ShardExecutor
    var requests: PendingPool
    var decides: PendingPool
    var interests: Interests
    var recent: RecentBatches
    var recovery: ShardRecovery
    /// Certificates that came before the request that they decide, by request.
    var early = EarlyDecides()
    var reads: WaitingReads
    var clocks = ClockWatch()
    /// Proposed for replicas that rejoin, less what was ordered since.
    var emptyBatches = 0
    var emptyBatchAt: UInt64 = 0
    var fetching: StateFetching
    var serving: StateServing
    /// The bucket digests of the state on its way to disk, and of the state on disk, if they are at hand.
    var flushing: (sequence: SequenceNumber, buckets: [Digest])?
    var onDisk: (sequence: SequenceNumber, buckets: [Digest])?
    /// Taken above the state on disk, to vouch for the states of peers that have written down later ones; ascending.
    var taken: [Checkpoint] = []
    /// The frozen state that is flushed as soon as its checkpoint is stable.
    var frozen: FrozenState?
    /// The view in which the pools' "proposed" marks were made.
    var proposedIn: View
    /// Nothing is forwarded before this uptime.
    var forwardsFrom: UInt64 = 0
    var halted: String?
    /// The last audit and when it was made.
    var lastAudit: (ShardAudit, UInt64)?
    var ready = ReplicaReady()

    init(
        shard: ShardID, me: ReplicaIndex, hosts: [HostID], replica: Replica, executor: ShardExecutor, manifest: Manifest,
        options: HostOptions
    ) {
        (self.shard, self.me, self.hosts, self.replica, self.executor) = (shard, me, hosts, replica, executor)
        others = hosts.filter { $0 != hosts[me.index] }.sorted()
        requests = PendingPool(capacity: options.maxPendingRequests)
        decides = PendingPool(capacity: options.maxPendingDecides)
        interests = Interests(capacity: options.maxInterests)
        reads = WaitingReads(options: options)
        recent = RecentBatches(capacity: options.recentBatches)
        recovery = ShardRecovery(shard: shard, manifest: manifest)
        fetching = StateFetching(group: manifest.group(of: shard), options: options)
        serving = StateServing(group: manifest.group(of: shard), options: options)
        proposedIn = replica.view
    }

    mutating func quarantine(now: Instant) { replica.quarantine(now: now, into: &ready) }

    mutating func step(_ input: ReplicaInput, now: Instant) { replica.step(input, now: now, into: &ready) }

    /// - Parameter now: nil leaves out what needs a clock.
    func status(now: Instant?) -> ReplicaStatus {
        ReplicaStatus(
            shard: shard, replica: me, view: replica.view, isChangingView: replica.isChangingView, isPrimary: replica.isPrimary,
            lastExecuted: replica.lastExecuted, stable: replica.stable.sequence, flushed: replica.flushed,
            pendingRequests: UInt32(clamping: requests.count + decides.count),
            undecided: UInt32(clamping: executor.undecidedCount), open: UInt32(clamping: executor.openCount),
            oldestUndecided: now.map { recovery.held.oldest(now: $0.uptime) / 1000 } ?? 0, halted: halted ?? "",
            standing: replica.standing == .full ? "" : replica.standing.description, time: executor.time, clock: now?.wall ?? .zero)
    }
}
