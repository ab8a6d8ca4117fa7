import Gateway

/// Every bound and every wait of a gateway's core. All gateways may have others: no shard depends on them.
public struct GatewayOptions: Sendable {
    /// Places in the queue and in flight, by shard and by principal.
    public var limits = AdmissionLimits()
    /// What is done about a refusal or silence, by its cause.
    public var retries = RetryPolicies()
    /// When a shard counts as silent, and how often it is tried then.
    public var breaker = CircuitBreaker.Limits()
    /// Sessions of clients that share what follows.
    public var maxSessions = 1024
    /// Bytes of the requests that wait or are in flight, over all sessions; none takes all of it from the others.
    public var maxHeldBytes = 128 << 20
    /// When one that does not fit should come back, in nanoseconds.
    public var heldRetryAfter: UInt64 = 100_000_000
    /// Answered requests that are remembered, so that a repetition is answered at once; and their bytes, roughly.
    public var maxFinished = 4096
    /// The bytes of the requests and answers among `maxFinished`; the oldest go first.
    public var maxFinishedBytes = 64 << 20
    /// Answered requests whose participants have not all certified that they are decided; and the requests' bytes.
    public var maxSettling = 8192
    /// The bytes of the requests among `maxSettling`; the oldest are given up first.
    public var maxSettlingBytes = 64 << 20
    /// Decides are sent again this often; afterwards the hosts' own recovery finishes.
    public var decideResends = 4
    /// After so many requests that were genuine, the signature of what a session brings is left to the hosts
    /// (docs/decisions/0042).
    public var trustAfter = 32
    /// The same of a session that has brought what nobody signed.
    public var trustAfterForgery = 1024
    /// Sessions that may wait for one request.
    public var maxWaiters = 64
    /// Reads, weak ones too, that wait or are with the hosts; no session takes all of them from the others.
    public var maxQueries = 8192
    /// Of these, how many of one shard are with the hosts. The others wait here, where sessions take turns.
    public var maxAsked = 32
    /// A read that has waited so long is refused, in nanoseconds.
    public var questionPatience: UInt64 = 2_000_000_000
    /// A request is given up this long after its deadline, in nanoseconds: by then the shards could have certified an
    /// abort.
    public var grace: UInt64 = 10_000_000_000
    /// A request is given up after this long whatever its deadline, in nanoseconds.
    public var patience: UInt64 = 120_000_000_000
    /// How long after its deadline a request may still be submitted, in microseconds by the gateway's clock, which may
    /// be the one that is wrong: if it can no longer take effect, its certified outcome can be asked for. For ever:
    /// whoever was interrupted may come back whenever he likes.
    public var acceptedLateness: UInt64 = .max
    /// A request is sent again this long after its deadline, in nanoseconds, so that shards without a record certify
    /// that there will be none (R10). Their time lags a little behind the clock.
    public var afterDeadline: UInt64 = 150_000_000
    /// An account query is answered after this long with what is there, in nanoseconds.
    public var queryTimeout: UInt64 = 300_000_000

    /// The bounds that docs/ARCHITECTURE.md lists.
    public init() {}

    /// Requests that wait or are in flight at most.
    public func maxHeld(shards: Int) -> Int { shards * (limits.window + limits.queue) }
}
