import Messages

/// What another process's clock must be moved by to be laid over this one's.
public struct ClockOffset: Sendable {
    /// Nanoseconds. Of clocks that another process told: whatever they say, sums of them have room.
    private let offset: Int128

    /// As far apart the monotonic clocks of one machine seem to be at most, since both clocks of a process are not read
    /// at quite one moment. Those of two machines began at different times.
    private static let tolerance: Int128 = 20_000_000

    /// Processes of one machine have one monotonic clock. Those of others are laid over it by their system times, and
    /// are as exact as these agree.
    public init(of there: Instant, from here: Instant) {
        func start(_ now: Instant) -> Int128 { Int128(now.wall.number) * 1000 - Int128(now.uptime) }
        let difference = start(there) - start(here)
        offset = abs(difference) < Self.tolerance ? 0 : difference
    }

    /// The same moment by this process's clock.
    public func aligned(_ stamp: Stamp) -> Stamp {
        let at = UInt64(clamping: Int128(stamp.at) + offset)
        return Stamp(request: stamp.request, kind: stamp.kind, shard: stamp.shard, number: stamp.number, at: at)
    }
}
