/// Capped exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", 2015): uniform between
/// nothing and the doubled base, because whoever collided once must not meet again.
public struct Backoff: Hashable, Sendable {
    /// Nanoseconds.
    public let base: UInt64
    /// Nanoseconds.
    public let cap: UInt64

    /// - Parameters:
    ///   - base: nanoseconds, the longest first delay, above 0.
    ///   - cap: nanoseconds, the longest delay of all.
    public init(base: UInt64, cap: UInt64) {
        precondition(base > 0 && base <= cap)
        (self.base, self.cap) = (base, cap)
    }

    /// - Parameters:
    ///   - base: the longest first delay, at least a nanosecond.
    ///   - cap: the longest delay of all.
    public init(base: Duration = .milliseconds(10), cap: Duration = .seconds(1)) {
        let base = Self.nanoseconds(base)
        self.init(base: max(1, base), cap: max(1, base, Self.nanoseconds(cap)))
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let bounded = min(max(duration, .zero), .seconds(3600 * 24 * 365))
        let (seconds, attoseconds) = bounded.components
        return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
    }

    /// The longest delay of an attempt in nanoseconds: base · 2^attempt, at most the cap.
    public func ceiling(attempt: Int) -> UInt64 {
        let shift = max(0, attempt)
        return shift < base.leadingZeroBitCount ? min(cap, base << UInt64(shift)) : cap
    }

    /// Nanoseconds until the next attempt.
    /// - Parameter attempt: 0 for the first repetition.
    public func delay(attempt: Int, using rng: inout some RandomNumberGenerator) -> UInt64 {
        UInt64.random(in: 0...ceiling(attempt: attempt), using: &rng)
    }

    /// Nanoseconds until the next attempt, half the ceiling or more ("equal jitter" of the same article): for one who is
    /// alone with the other side, which must not be tried again at once.
    /// - Parameter attempt: 0 for the first repetition.
    public func spacedDelay(attempt: Int, using rng: inout some RandomNumberGenerator) -> UInt64 {
        let ceiling = ceiling(attempt: attempt)
        return UInt64.random(in: ceiling / 2...ceiling, using: &rng)
    }

    /// How long to sleep until the next attempt.
    /// - Parameter attempt: 0 for the first repetition.
    public func pause(attempt: Int, using rng: inout some RandomNumberGenerator) -> Duration {
        .nanoseconds(Int64(clamping: delay(attempt: attempt, using: &rng)))
    }
}
