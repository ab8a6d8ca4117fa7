import Messages

/// Keeps requests away from a shard that certifies nothing (Nygard, "Release It!", 2007: closed, open, half-open).
///
/// Without it a shard without quorum would fill its lane with requests that wait for their deadlines, take the places
/// of requests over several shards in the lanes of healthy ones, and use up the retry budget that those share.
///
/// A shard owes an answer from the first thing that was sent to it since it was last heard. Only what a quorum must
/// have ordered counts as hearing from it: a single replica's word would let one liar hold the breaker closed.
public struct CircuitBreaker: Hashable, Sendable {
    /// When a breaker opens, and how often it lets something through then.
    public struct Limits: Hashable, Sendable {
        /// How long a shard may owe an answer, in nanoseconds: longer than a view change with a faulty successor takes.
        public var openAfter: UInt64
        /// While it is open one probe goes to the shard in so long, in nanoseconds.
        public var probeInterval: UInt64

        /// - Precondition: both are above 0.
        public init(openAfter: UInt64 = 10_000_000_000, probeInterval: UInt64 = 2_000_000_000) {
            precondition(openAfter > 0 && probeInterval > 0)
            (self.openAfter, self.probeInterval) = (openAfter, probeInterval)
        }
    }

    private enum State: Hashable, Sendable {
        /// Everything passes.
        case closed(owesSince: UInt64?)
        /// Nothing passes before this uptime, and then one probe.
        case open(probeAt: UInt64)
        /// A probe is on its way. If nothing is heard by this uptime, there is another one.
        case halfOpen(nextProbeAt: UInt64)
    }

    private let limits: Limits
    private var state = State.closed(owesSince: nil)

    /// Closed, and the shard owes nothing.
    public init(limits: Limits = .init()) { self.limits = limits }

    /// Whether everything passes.
    public var isClosed: Bool { if case .closed = state { true } else { false } }

    /// Something that the shard has to answer is being sent.
    public mutating func noteSent(now: Instant) {
        if case .closed(owesSince: nil) = state { state = .closed(owesSince: now.uptime) }
    }

    /// Something was certified, or f + 1 replicas said what follows from having ordered a request.
    public mutating func noteHeard() { state = .closed(owesSince: nil) }

    /// Hosts of the shard are connected again: the next request may try.
    public mutating func noteReconnected(now: Instant) {
        if !isClosed { state = .open(probeAt: now.uptime) }
    }

    /// - Returns: true if it opens now.
    public mutating func tick(now: Instant) -> Bool {
        guard case .closed(let since?) = state, now.uptime >= since, now.uptime - since >= limits.openAfter else {
            return false
        }
        state = .open(probeAt: now.uptime + limits.probeInterval)
        return true
    }

    /// Nanoseconds until something may pass; 0 if it may now.
    public func delay(now: Instant) -> UInt64 {
        switch state {
        case .closed: 0
        case .open(let probeAt), .halfOpen(let probeAt): probeAt > now.uptime ? probeAt - now.uptime : 0
        }
    }

    /// What passes an open breaker is its probe: until the next one nothing else passes.
    /// - Precondition: `delay` is 0.
    public mutating func pass(now: Instant) {
        precondition(delay(now: now) == 0)
        if !isClosed { state = .halfOpen(nextProbeAt: now.uptime + limits.probeInterval) }
    }
}
