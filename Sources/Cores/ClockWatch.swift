import Messages
import PBFT
import ShardState

/// What one replica has noticed of clocks (R2, docs/decisions/0027), so that it is said once a change and not with
/// every batch. Nothing depends on it.
struct ClockWatch: Sendable {
    private let shard: ShardID
    private let limits: ReplicaConfiguration.Limits
    /// The last proposal that was refused for its time; nil when none was for `quiet`.
    private var refusedProposal: UInt64?
    /// The last request that was refused for its time.
    private var refusedRequest: UInt64?
    /// The shard's time stands ahead of this host's clock by more than a proposal may.
    private var isStanding = false

    /// Nanoseconds after which the next refusal is a new one.
    private static let quiet: UInt64 = 30_000_000_000

    init(_ setting: ShardSetting) { (shard, limits) = (setting.shard, setting.options.replica) }

    /// Whether a refusal is the first for long.
    private static func isNew(_ last: inout UInt64?, now: UInt64) -> Bool {
        defer { last = now }
        return last.map { now > $0 + quiet } ?? true
    }

    /// Whether the shard's time began to stand, or moves again.
    mutating func watch(_ time: Timestamp, now: Instant, into ready: inout ShardReady) {
        let ahead = time.microseconds(since: now.wall)
        if !isStanding, ahead > limits.timeAhead {
            isStanding = true
            ready.notices.append(
                """
                time: shard \(shard)'s time is \(Self.seconds(ahead)) ahead of this host's clock: it stands still \
                until the clock has caught up, and batches go on. If other hosts say the same, their clocks \
                were ahead before; otherwise this host's clock is behind
                """)
        } else if isStanding, ahead == 0 {
            isStanding = false
            ready.notices.append("time: this host's clock has caught up with shard \(shard)'s time, which moves on")
        }
    }

    /// A proposal was not taken because of its time.
    mutating func noteRefusedProposal(
        of primary: HostID, got: Timestamp, local: Timestamp, now: Instant, into ready: inout ShardReady
    ) {
        guard Self.isNew(&refusedProposal, now: now.uptime) else { return }
        let isAhead = got > local
        let difference = isAhead ? got.microseconds(since: local) : local.microseconds(since: got)
        let allowed = isAhead ? limits.timeAhead : limits.timeBehind
        ready.notices.append(
            """
            time: shard \(shard): a proposal of host \(primary) is refused: its time is \(Self.seconds(difference)) \
            \(isAhead ? "ahead of" : "behind") this host's clock, \(Self.seconds(allowed)) is allowed. One of the two \
            clocks is wrong; quorate cluster status shows them all
            """)
    }

    /// Requests of a batch that were refused because of their times.
    mutating func noteRefusedRequests(
        _ executed: ExecutedBatch, _ batch: Batch, now: Instant, into ready: inout ShardReady
    ) {
        for refusal in executed.refusals where refusal.reason == .fromTheFuture {
            guard Self.isNew(&refusedRequest, now: now.uptime) else { return }
            let early = Self.seconds(refusal.retryAfterMicroseconds)
            return ready.notices.append(
                """
                time: shard \(shard) refuses request \(refusal.request.short): it is signed for \(early) later than \
                the shard's time. The client's clock is ahead, or these hosts' clocks are behind
                """)
        }
        for signed in late(batch, executed) {
            guard Self.isNew(&refusedRequest, now: now.uptime) else { continue }
            let late = Self.seconds(executed.time.microseconds(since: signed.request.deadline))
            return ready.notices.append(
                """
                time: shard \(shard) aborts request \(signed.digest.short): its deadline is \(late) before the shard's \
                time. It came late, the client's clock is behind, or these hosts' clocks are or were ahead
                """)
        }
    }

    /// Hardly a request is late without a wrong clock: its sender gave it some seconds at least.
    private func late(_ batch: Batch, _ executed: ExecutedBatch) -> [SignedRequest] {
        var late: [SignedRequest] = []
        for case .request(let signed) in batch.items
        where executed.time.microseconds(since: signed.request.deadline) > limits.timeAhead { late.append(signed) }
        if late.isEmpty { return [] }
        let aborted = executed.leaves.filter { $0.entries.contains { $0.status == .noRecordAbort } }
        let digests = Set(aborted.map(\.request))
        return late.filter { digests.contains($0.digest) }
    }

    /// Microseconds for a reader.
    private static func seconds(_ microseconds: UInt64) -> String {
        let tenths = microseconds / 100_000
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
