/// Capped exponential backoff with full jitter: a delay is drawn evenly between zero and a ceiling that doubles, so
/// that clients that failed together do not come back together.
public struct Backoff: Hashable, Sendable {
    public var base: Duration
    public var cap: Duration

    public init(base: Duration = .milliseconds(10), cap: Duration = .seconds(1)) { (self.base, self.cap) = (base, cap) }

    /// - Parameter attempt: 0 for the delay after the first failure.
    public func delay(attempt: Int, using random: inout some RandomNumberGenerator) -> Duration {
        let doubled = base * (1 << min(max(0, attempt), 30))
        let ceiling = min(cap, doubled)
        return ceiling * Double.random(in: 0...1, using: &random)
    }
}
