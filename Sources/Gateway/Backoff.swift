/// Capped exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", 2015): uniform between nothing
/// and the doubled base, because whoever collided once must not meet again.
public struct Backoff: Hashable, Sendable {
    /// Nanoseconds.
    public let base: UInt64
    /// Nanoseconds.
    public let cap: UInt64

    public init(base: UInt64, cap: UInt64) {
        precondition(base > 0 && base <= cap)
        (self.base, self.cap) = (base, cap)
    }

    /// The longest delay of an attempt: base · 2^attempt, at most the cap.
    public func ceiling(attempt: Int) -> UInt64 {
        let shift = max(0, attempt)
        return shift < base.leadingZeroBitCount ? min(cap, base << UInt64(shift)) : cap
    }

    /// Nanoseconds until the next attempt.
    /// - Parameter attempt: 0 for the first repetition.
    public func delay(attempt: Int, using rng: inout some RandomNumberGenerator) -> UInt64 {
        UInt64.random(in: 0...ceiling(attempt: attempt), using: &rng)
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): small, seeded, the same everywhere. Spreads retries; guards no secret.
public struct JitterGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
