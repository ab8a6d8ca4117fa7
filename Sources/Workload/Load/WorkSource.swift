import Messages

/// What one signature covers: operations of one principal, each a transaction of its own, or all of them one.
public struct Work: Sendable {
    /// The source's own name for it.
    public let id: Int
    /// Index into the signers.
    public let principal: Int
    /// In the order of the request's legs.
    public let operations: [Operation]
    /// All operations are one transaction, of one leg. A lone transfer or call is so in any case.
    public let isAtomic: Bool
    /// It comes after what its principal has under way (`Request.follows`). Calls never do: their locks are their order.
    public let isOrdered: Bool

    /// - Parameter principal: index into the signers of whoever runs the load.
    public init(id: Int, principal: Int, operations: [Operation], isAtomic: Bool = false, isOrdered: Bool = true) {
        (self.id, self.principal, self.operations) = (id, principal, operations)
        self.isAtomic = isAtomic
        if case .call? = operations.first { self.isOrdered = false } else { self.isOrdered = isOrdered }
    }

    /// Each has an outcome of its own.
    public var legCount: Int { isAtomic ? 1 : operations.count }

    /// What a leg does.
    func operations(ofLeg leg: Int) -> [Operation] { isAtomic ? operations : [operations[leg]] }
}

/// How one operation ended for the client.
public enum LegOutcome: Hashable, Sendable {
    /// Proven by verified certificates.
    case committed
    /// Proven by verified certificates.
    case aborted(AbortReason)
    /// No certified answer within the time that the client was willing to wait.
    case unknown(String)
}

/// Where a load gets its work from.
public protocol WorkSource: Sendable {
    /// The next work that may start now; nil if none may (yet).
    mutating func next(now: Instant) -> Work?
    /// True when `next` will never give work again.
    func isExhausted(now: Instant) -> Bool
    /// True when `next` will never give work again, whatever becomes of that which it gave: an open loop has nothing
    /// more to offer. Without a word of the source's own that is `isExhausted`.
    func hasGivenAll(now: Instant) -> Bool
    /// One operation of a work has its outcome.
    /// - Parameter microseconds: from the first submit, in an open loop from the intended one, to the verified receipt,
    ///   retries included.
    mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant)
    /// A call has its certified answer, which its outcome goes with: `completed` comes next.
    mutating func answered(_ work: Work, _ answer: CallAnswer)
    /// Operations that have their outcome, and how many there will be where that is known.
    var progress: WorkProgress { get }
    /// All operations of a work have their outcomes.
    mutating func finished(_ work: Work, now: Instant)
}

extension WorkSource {
    /// As `isExhausted`.
    public func hasGivenAll(now: Instant) -> Bool { isExhausted(now: now) }
    /// Not looked at by who calls nothing.
    public mutating func answered(_ work: Work, _ answer: CallAnswer) {}
}

/// A source whose works are known before the load begins, so that they can be signed then.
public protocol ForeseenSource: WorkSource {
    /// Works in an order in which `next` gives those of each principal; nil behind the last, or if it cannot be known.
    /// - Parameter place: from 0.
    func foreseen(_ place: Int) -> Work?
}

/// A source that measures what it is told.
public protocol MeasuredSource: WorkSource {
    /// Nil before the first work was asked for.
    var measurements: Measurements? { get }
}

/// How far a load is, for a progress bar.
public struct WorkProgress: Sendable, Equatable {
    /// Operations that have their outcome.
    public var done: Int
    /// Nil where the load goes on for a time.
    public var total: Int?
    /// - Parameter total: nil where it is not known.
    public init(done: Int, total: Int?) { (self.done, self.total) = (done, total) }
}

/// A way to a gateway. Calls back exactly once, on any thread.
public protocol RequestChannel: Sendable {
    func submit(_ request: SignedRequest, _ completion: @escaping @Sendable (Result<GatewayReply, any Error>) -> Void)
}
