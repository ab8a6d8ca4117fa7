import Messages

/// How long escrow and locks can stay held when every gateway is dead: the published bound (docs/ARCHITECTURE.md, "How
/// long a lock can stay"). Counted from the moment from which correct hosts reach each other and each participant
/// orders what it is given: after lost sessions are back, and after view changes. Nanoseconds.
public struct HoldBound: Sendable {
    /// Those of the hosts, all alike: the bound is made of their waits.
    public let options: HostOptions
    /// Between two ticks of a host.
    public let tick: UInt64
    /// From an item's arrival at a shard's hosts to its execution. A primary that is slower than this default is
    /// suspected.
    public let ordering: UInt64

    /// - Parameter ordering: nil for `progressTimeout`.
    public init(options: HostOptions = .init(), tick: UInt64 = 10_000_000, ordering: UInt64? = nil) {
        (self.options, self.tick) = (options, tick)
        self.ordering = ordering ?? options.replica.progressTimeout
    }

    /// S: hosts look at all open records of a shard once in so long.
    public func scan(openRecords: Int) -> UInt64 {
        let passes = max(1, (openRecords + options.pushScanCount - 1) / options.pushScanCount)
        return UInt64(passes) * (options.pushScanInterval + tick)
    }

    /// W: until every correct host of a shard has pushed its leaf, and been answered with what the other shard
    /// certifies. A leaf that is not at hand any more is ordered again first; an answer is not repeated at once.
    public func pushed(openRecords: Int) -> UInt64 {
        options.maxPushInterval + options.pushAfter / 2 + options.pushAfter / 4 + 2 * scan(openRecords: openRecords)
            + ordering
    }

    /// Every participant of a one-shot transaction has voted: each decides on the others' pushes.
    public func voted(openRecords: Int) -> UInt64 { pushed(openRecords: openRecords) + ordering }

    /// Any one-shot transaction. At worst a participant refuses for conflicts until the deadline, and certifies when
    /// its own time, which a lying primary may hold back by `timeBehind`, has passed it that it will never vote (R10).
    /// - Parameters:
    ///   - untilDeadline: from the moment that all is well again, clocks too, to the deadline as the shard's time goes.
    ///   - standing: how far the participants' times stand ahead of the clocks at that moment. So long they stand
    ///     still, and a deadline is no nearer (R2, docs/decisions/0027).
    public func oneShot(untilDeadline: UInt64, standing: UInt64 = 0, openRecords: Int) -> UInt64 {
        standing + untilDeadline + clock + pushed(openRecords: openRecords) + 2 * ordering
    }

    /// Any call, while home has a quorum. At worst home notices at its next push that the deadline has passed, and
    /// aborts; then its callees hear of it.
    public func call(untilDeadline: UInt64, standing: UInt64 = 0, openRecords: Int) -> UInt64 {
        let noticed = options.maxPushInterval + scan(openRecords: openRecords) + ordering
        return standing + untilDeadline + clock + noticed + pushed(openRecords: openRecords) + ordering
    }

    /// From the end of the load until the cluster is at rest: no batch is ordered and no push is due. The last lock
    /// goes; then home asks the shards that were called and know nothing of it any more, each orders the answer once,
    /// and home notes it.
    public func rest(untilDeadline: UInt64, standing: UInt64 = 0, openRecords: Int) -> UInt64 {
        call(untilDeadline: untilDeadline, standing: standing, openRecords: openRecords)
            + pushed(openRecords: openRecords) + 2 * ordering
    }

    private var clock: UInt64 { options.replica.timeBehind * 1000 }
}
