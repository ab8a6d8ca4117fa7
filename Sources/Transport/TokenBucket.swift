/// A rate with a burst, for one of many who are bounded: a token for each thing that is let through, and so many new ones
/// a second. A value without a clock.
package struct TokenBucket: Sendable {
    /// A billionth of one is as good as none.
    private var tokens: Double
    /// Uptime in nanoseconds.
    private var filledAt: UInt64
    package let rate: Double
    package let burst: Double

    /// A full one.
    /// - Parameters:
    ///   - rate: tokens a second, above 0.
    ///   - burst: the most tokens that it holds, 1 or more.
    ///   - now: uptime in nanoseconds.
    package init(rate: Double, burst: Double, now: UInt64) {
        (tokens, filledAt, self.rate, self.burst) = (burst, now, rate, burst)
    }

    private mutating func fill(now: UInt64) {
        let seconds = Double(now > filledAt ? now - filledAt : 0) / 1e9
        tokens = min(burst, tokens + seconds * rate)
        filledAt = max(filledAt, now)
    }

    /// As if nobody had ever taken anything.
    package mutating func isFull(now: UInt64) -> Bool {
        fill(now: now)
        return tokens >= burst
    }

    /// - Returns: false if there is none.
    package mutating func take(now: UInt64) -> Bool {
        fill(now: now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    /// What was taken was not to be counted.
    package mutating func giveBack() { tokens = min(burst, tokens + 1) }

    /// Milliseconds until there is one, rounded up.
    package mutating func wait(now: UInt64) -> UInt64 {
        fill(now: now)
        return tokens >= 1 ? 0 : UInt64(((1 - tokens) / rate * 1000 - 1e-6).rounded(.up))
    }
}
