/// What is known of one shard's time from outside: what its replicas say of it and of their hosts' clocks.
public struct ShardClock: Hashable, Sendable {
    /// The shard whose time it is.
    public let shard: ShardID
    /// The shard's time as far as it has executed (R2). Idle, it lags behind the clocks; it never goes back.
    public let time: Timestamp
    /// What most of its hosts' clocks say.
    public let clock: Timestamp

    /// As it was heard, or proven (`ShardTimes`).
    public init(shard: ShardID, time: Timestamp, clock: Timestamp) {
        (self.shard, self.time, self.clock) = (shard, time, clock)
    }

    /// The time of its next batch, about.
    public var present: Timestamp { max(time, clock) }
    /// How far its time stands ahead of its hosts' clocks, in microseconds: so long it stands still.
    public var standing: UInt64 { time.microseconds(since: clock) }
}

/// When a request is issued, and its deadline: such that every shard that takes part accepts both, whatever the
/// client's own clock says (R8, docs/decisions/0027).
public struct RequestTimes: Hashable, Sendable {
    /// What to sign as `Request.issuedAt`.
    public let issuedAt: Timestamp
    /// What to sign as `Request.deadline`.
    public let deadline: Timestamp

    /// Clocks that differ by less are right, in microseconds: well within what shards allow.
    public static let tolerance: UInt64 = 1_000_000
    /// The longest lifetime that shards accept, in microseconds (`ShardLimits`).
    public static let longestLifetime: UInt64 = 120_000_000

    /// - Parameters:
    ///   - own: the client's clock.
    ///   - clocks: of the shards that take part; none if nothing is known of them.
    ///   - lifetime: microseconds.
    public init(own: Timestamp, clocks: [ShardClock], lifetime: UInt64) {
        let present = clocks.map(\.present)
        guard let earliest = present.min(), let latest = present.max(),
            latest.microseconds(since: own) > Self.tolerance || own.microseconds(since: earliest) > Self.tolerance
        else {
            (issuedAt, deadline) = (own, own.adding(microseconds: lifetime))
            return
        }
        // No shard's time has passed the deadline.
        deadline = latest.adding(microseconds: lifetime)
        // From no shard's future, and no earlier than a request may live. The own clock is right if it can be: should
        // the hosts' clocks be wrong and be mended before this is ordered, it is not from the future then. Where two
        // shards are further apart than a request may live, the one that is behind follows the other with the batch
        // that this comes in.
        let oldest = Timestamp(deadline.number - min(deadline.number, max(lifetime, Self.longestLifetime)))
        issuedAt = max(oldest, min(own, earliest))
    }
}
