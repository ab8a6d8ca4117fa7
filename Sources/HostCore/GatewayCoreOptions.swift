import Gateway

public struct GatewayOptions: Sendable {
    public var limits = AdmissionLimits()
    public var retries = RetryPolicies()
    public var breaker = CircuitBreaker.Limits()
    /// Answered requests that are remembered, so that a repetition is answered at once.
    public var maxFinished = 4096
    /// Answered requests whose participants have not all certified that they are decided.
    public var maxSettling = 8192
    /// Decides are sent again this often; afterwards the hosts' own recovery finishes.
    public var decideResends = 4
    /// Sessions that may wait for one request.
    public var maxWaiters = 64
    public var maxQueries = 4096
    /// A request is given up this long after its deadline, in nanoseconds: by then the shards could have certified an abort.
    public var grace: UInt64 = 10_000_000_000
    /// A request is given up after this long whatever its deadline, in nanoseconds.
    public var patience: UInt64 = 120_000_000_000
    /// How long after its deadline a request may still be submitted, in microseconds: it can no longer take effect, and
    /// its certified outcome can be asked for.
    public var acceptedLateness: UInt64 = 60_000_000
    /// A request is sent again this long after its deadline, in nanoseconds, so that shards without a record certify that
    /// there will be none (R10). Their time lags a little behind the clock.
    public var afterDeadline: UInt64 = 150_000_000
    /// An account query is answered after this long with what is there, in nanoseconds.
    public var queryTimeout: UInt64 = 300_000_000

    public init() {}

    /// Requests that wait or are in flight at most.
    public func maxHeld(shards: Int) -> Int { shards * (limits.window + limits.queue) }
}
