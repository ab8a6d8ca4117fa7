import Messages

/// A token bucket that ties retries to fresh requests: when everything fails, the load is at most 1 + `perMille` / 1000
/// of what clients send, plus a floor, so that retries cannot storm (Beyer et al., "Site Reliability Engineering", ch.
/// 21). A retry of ordinary cost takes 1,000 millitokens.
public struct RetryBudget: Sendable {
    /// What each fresh request adds.
    public let perMille: UInt64
    /// Retries a second that are always allowed, so that a quiet gateway can retry at all.
    public let floorPerSecond: UInt64
    /// The bucket's size, in millitokens.
    public let capacity: UInt64
    private var millitokens: UInt64
    private var filledAt: UInt64?

    /// Begins with what the floor gives in a second.
    /// - Parameters:
    ///   - perMille: thousandths of a retry that each fresh request earns.
    ///   - floorPerSecond: retries, below 2^20.
    ///   - capacityInRetries: the most that is saved up, above 0 and below 2^32.
    public init(perMille: UInt64 = 200, floorPerSecond: UInt64 = 20, capacityInRetries: UInt64 = 1000) {
        precondition(capacityInRetries > 0 && capacityInRetries < 1 << 32 && floorPerSecond < 1 << 20)
        (self.perMille, self.floorPerSecond, capacity) = (perMille, floorPerSecond, capacityInRetries * 1000)
        // Starts with the floor of one second.
        millitokens = min(capacity, floorPerSecond * 1000)
    }

    /// A client's request was sent for the first time.
    public mutating func noteFresh() { millitokens = min(capacity, millitokens + perMille) }

    /// True, and the cost taken, if there is enough.
    public mutating func take(millitokens cost: UInt64, now: Instant) -> Bool {
        refill(now)
        guard millitokens >= cost else { return false }
        millitokens -= cost
        return true
    }

    private mutating func refill(_ now: Instant) {
        guard let filledAt else {
            self.filledAt = now.uptime
            return
        }
        // A minute fills any bucket that is worth having, and keeps the product small.
        let elapsed = min(now.uptime > filledAt ? now.uptime - filledAt : 0, 60_000_000_000)
        let earned = elapsed * floorPerSecond / 1_000_000
        guard earned > 0 else { return }
        millitokens = min(capacity, millitokens + earned)
        self.filledAt = now.uptime
    }
}
