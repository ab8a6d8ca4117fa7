import Randomness
import Messages

/// Why a request must be sent again, or cannot be.
public enum RetryCause: Hashable, Sendable, CaseIterable {
    /// Undecided transactions hold what it needs: soon over, and the shard is well.
    case conflict
    /// What it follows was overtaken on its way, and is there in a moment (`Request.follows`).
    case outOfOrder
    /// The shard's queue or cap is full: more load makes it worse.
    case overloaded
    case viewChange
    /// No answer at all: a message or a primary was lost.
    case silence
    /// Too few of a shard's hosts are connected for any answer to be certified.
    case connectionLost
    /// Only the client can mend it: the number is too high, or the request is from the future.
    case clientFault

    /// What f + 1 replicas gave as their reason.
    public init(_ reason: RefusalReason) {
        switch reason {
        case .conflict: self = .conflict
        case .outOfOrder: self = .outOfOrder
        case .overloaded: self = .overloaded
        case .viewChange: self = .viewChange
        // The others may well answer; if not, it looks like silence.
        case .halted: self = .silence
        // For whoever checks signatures: one who has sees a liar here.
        case .unsigned: self = .silence
        case .numberTooHigh, .fromTheFuture: self = .clientFault
        }
    }
}

/// What to do about a cause. Different causes, different policies.
public enum RetryPolicy: Hashable, Sendable {
    /// Send again after the backoff, if the budget has the cost (in millitokens).
    case resubmit(Backoff, cost: UInt64)
    /// Send again to all hosts after `first` without an answer, then after twice as long, up to `cap` (nanoseconds).
    case retransmit(first: UInt64, cap: UInt64, cost: UInt64)
    /// Send nothing until the connection is back.
    case wait
    /// Tell the client.
    case reject
}

/// One policy a cause, with the gateway's defaults. Durations are nanoseconds, costs millitokens.
public struct RetryPolicies: Sendable {
    /// Within 2 ms at first, doubled up to 250 ms; costs a quarter of a retry, since the shard is well.
    public var conflict = RetryPolicy.resubmit(Backoff(base: 2_000_000, cap: 250_000_000), cost: 250)
    /// Within 4 ms at first, doubled up to 500 ms, and costs a quarter of a retry: what it follows may never come. At
    /// once, for nothing, when the gateway hears that it is there.
    public var outOfOrder = RetryPolicy.resubmit(Backoff(base: 4_000_000, cap: 500_000_000), cost: 250)
    /// Within 50 ms at first, doubled up to 2 s, or when the shard expects room if that is later.
    public var overloaded = RetryPolicy.resubmit(Backoff(base: 50_000_000, cap: 2_000_000_000), cost: 1000)
    /// Within 100 ms at first, doubled up to 1 s; costs half a retry.
    public var viewChange = RetryPolicy.resubmit(Backoff(base: 100_000_000, cap: 1_000_000_000), cost: 500)
    /// After 0.6 s without an answer, doubled up to 4 s.
    public var silence = RetryPolicy.retransmit(first: 600_000_000, cap: 4_000_000_000, cost: 1000)
    /// Nothing is sent until the connection is back.
    public var connectionLost = RetryPolicy.wait
    /// The client is told at once.
    public var clientFault = RetryPolicy.reject

    /// The defaults.
    public init() {}

    /// The policy in force for a cause.
    public func policy(for cause: RetryCause) -> RetryPolicy {
        switch cause {
        case .conflict: conflict
        case .outOfOrder: outOfOrder
        case .overloaded: overloaded
        case .viewChange: viewChange
        case .silence: silence
        case .connectionLost: connectionLost
        case .clientFault: clientFault
        }
    }
}
