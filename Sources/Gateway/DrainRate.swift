import Messages

/// How fast a lane empties, from completions: an exponentially weighted mean of the time between two.
struct DrainRate: Sendable {
    /// Completions are counted over at least this long before they change the estimate.
    static let window: UInt64 = 50_000_000
    /// The answer before anything was measured: nanoseconds a request.
    static let initial: UInt64 = 1_000_000

    private(set) var nanosecondsEach = Self.initial
    private var since: UInt64?
    private var completions: UInt64 = 0

    mutating func noteCompletion(now: Instant) {
        guard let since else {
            self.since = now.uptime
            return
        }
        completions += 1
        let elapsed = now.uptime > since ? now.uptime - since : 0
        guard elapsed >= Self.window else { return }
        nanosecondsEach = (nanosecondsEach + max(1, elapsed / completions)) / 2
        (self.since, completions) = (now.uptime, 0)
    }

    /// How long `count` requests need, in nanoseconds, between one millisecond and five seconds.
    func time(toDrain count: Int) -> UInt64 {
        let (time, overflow) = nanosecondsEach.multipliedReportingOverflow(by: UInt64(max(0, count)))
        return overflow ? 5_000_000_000 : min(max(time, 1_000_000), 5_000_000_000)
    }
}
