import Messages
import PBFT
import ShardState

/// What one replica has noticed of clocks, so that it is said once a change and not with every batch. Nothing depends on it.
struct ClockWatch: Sendable {
    /// The last proposal that was refused for its time; nil when none was for `quiet`.
    var refusedProposal: UInt64?
    /// The last request that was refused for its time.
    var refusedRequest: UInt64?
    /// The shard's time stands ahead of this host's clock by more than a proposal may.
    var isStanding = false

    /// Nanoseconds after which the next refusal is a new one.
    static let quiet: UInt64 = 30_000_000_000

    /// Whether a refusal is the first for long.
    static func isNew(_ last: inout UInt64?, now: UInt64) -> Bool {
        defer { last = now }
        return last.map { now > $0 + quiet } ?? true
    }
}

/// Clocks (R2, docs/decisions/0027).
extension HostCore {
    /// What this primary proposes is its clock. The shard's time is the latest of all proposals, so while it stands ahead of the clocks
    /// it stands still, and nothing has to be said of it. But where another shard of these hosts stands ahead, further than a clock may,
    /// this one follows: no transaction could have a deadline on both otherwise.
    func proposalTime(_ i: Int, now: Instant) -> Timestamp {
        #if MUTANTS
        if Mutant.is(.timeMustAdvance) { return max(now.wall, nodes[i].executor.time) }
        if Mutant.is(.neverFollows) { return now.wall }
        #endif
        let certain = nodes[i].replica.certainTime
        let isLeftBehind = certain > now.wall.adding(microseconds: options.replica.timeAhead) && certain > nodes[i].executor.time
        return isLeftBehind ? certain : now.wall
    }

    /// By node, the nodes whose shards are on the same hosts, and no others: while at most f of its own hosts are faulty, no more are of
    /// theirs. More than f, one of them on another host, could make any time of their shard final by a view change.
    public static func kin(of shards: [ShardID], in manifest: Manifest) -> [[Int]] {
        let hosts = shards.map { Set(manifest.hosts(of: $0)) }
        return hosts.map { own in shards.indices.filter { hosts[$0] == own } }
    }

    /// Tells each replica the latest time that its host knows to be certain.
    mutating func shareTimes() {
        for i in nodes.indices {
            var latest = nodes[i].executor.time
            for j in kin[i] where nodes[j].executor.time > latest { latest = nodes[j].executor.time }
            nodes[i].replica.certainTime = latest
        }
    }

    // MARK: What the log says of it

    /// Whether the shard's time began to stand, or moves again.
    mutating func watchClock(_ i: Int, now: Instant, into ready: inout HostReady) {
        let (time, shard) = (nodes[i].executor.time, nodes[i].shard)
        let ahead = time.microseconds(since: now.wall)
        if !nodes[i].clocks.isStanding, ahead > options.replica.timeAhead {
            nodes[i].clocks.isStanding = true
            ready.notices.append(
                "time: shard \(shard)'s time is \(Self.seconds(ahead)) ahead of this host's clock: it stands still until the clock has caught up, and batches go on. If other hosts say the same, their clocks were ahead before; otherwise this host's clock is behind")
        } else if nodes[i].clocks.isStanding, ahead == 0 {
            nodes[i].clocks.isStanding = false
            ready.notices.append("time: this host's clock has caught up with shard \(shard)'s time, which moves on")
        }
    }

    /// A proposal was not taken because of its time.
    mutating func noteRefusedProposal(_ i: Int, of primary: ReplicaIndex, got: Timestamp, local: Timestamp, now: Instant, into ready: inout HostReady) {
        guard ClockWatch.isNew(&nodes[i].clocks.refusedProposal, now: now.uptime) else { return }
        let (limits, isAhead) = (options.replica, got > local)
        let (difference, allowed) =
            isAhead ? (got.microseconds(since: local), limits.timeAhead) : (local.microseconds(since: got), limits.timeBehind)
        ready.notices.append(
            "time: shard \(nodes[i].shard): a proposal of host \(nodes[i].hosts[primary.index]) is refused: its time is \(Self.seconds(difference)) \(isAhead ? "ahead of" : "behind") this host's clock, \(Self.seconds(allowed)) is allowed. One of the two clocks is wrong; quorate cluster status shows them all")
    }

    /// Requests of a batch that were refused because of their times.
    mutating func noteRefusedRequests(_ executed: ExecutedBatch, _ batch: Batch, _ i: Int, now: Instant, into ready: inout HostReady) {
        for refusal in executed.refusals where refusal.reason == .fromTheFuture {
            guard ClockWatch.isNew(&nodes[i].clocks.refusedRequest, now: now.uptime) else { return }
            return ready.notices.append(
                "time: shard \(nodes[i].shard) refuses request \(refusal.request.short): it is signed for \(Self.seconds(refusal.retryAfterMicroseconds)) later than the shard's time. The client's clock is ahead, or these hosts' clocks are behind")
        }
        // Hardly a request is late without a wrong clock: its sender gave it some seconds at least.
        for case .request(let signed) in batch.items {
            let request = signed.request
            let late = executed.time.microseconds(since: request.deadline)
            guard late > options.replica.timeAhead, executed.leaves.contains(where: { leaf in
                leaf.request == signed.digest && leaf.entries.contains { $0.status == .noRecordAbort }
            }), ClockWatch.isNew(&nodes[i].clocks.refusedRequest, now: now.uptime) else { continue }
            return ready.notices.append(
                "time: shard \(nodes[i].shard) aborts request \(signed.digest.short): its deadline is \(Self.seconds(late)) before the shard's time. It came late, the client's clock is behind, or these hosts' clocks are or were ahead")
        }
    }

    /// Microseconds for a reader.
    static func seconds(_ microseconds: UInt64) -> String {
        let tenths = microseconds / 100_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
