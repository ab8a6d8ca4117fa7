import Messages

/// What the HTTP API takes, and for how long it waits. docs/HTTP.md and `/openapi.json` name every bound.
public struct APIOptions: Sendable {
    /// Of a signed request as canonical bytes: the count, the request and its signature.
    public var maxBinaryBody = SignedRequest.maxBytes + 4 + 64
    /// Of a signed request as JSON, in bytes. An operation takes more room so.
    public var maxJSONBody = 1 << 20
    /// Names and values of all header fields together, in bytes.
    public var maxHeaderBytes = 16 * 1024
    /// Of a path with its query, in bytes.
    public var maxPathBytes = 2048
    /// How long a body may take to arrive.
    public var bodyTimeout = Duration.seconds(10)
    /// How long a submission is waited for at most before the answer is 202.
    public var maxWait = Duration.seconds(30)
    /// How long a quorum read may take.
    public var readTimeout = Duration.seconds(10)
    /// Requests of one address in a second on the long run. All clients behind one proxy are one address.
    public var requestsPerSecond = 500
    /// What an address that was quiet may ask at once beyond that.
    public var burst = 1000
    /// Requests that are being answered at once, of one address.
    public var maxConcurrentPerAddress = 128
    /// The same of all.
    public var maxConcurrent = 512
    /// Addresses that are remembered for their rates.
    public var maxAddresses = 4096
    /// Submissions without an outcome, whether or not anybody waits for it.
    public var maxPending = 2048
    /// The bytes of these requests. The gateway has a bound of its own behind it.
    public var maxPendingBytes = 64 << 20
    /// Submissions that are remembered after their outcome, for `GET /api/v1/transactions/{txid}`.
    public var maxRemembered = 4096
    /// What these hold, roughly, in bytes.
    public var maxRememberedBytes = 32 << 20

    /// Where executed batches come from; nil if this gateway gives none.
    public var decisions: (any DecisionSource)?
    /// Batches in one answer of `GET /api/v1/decisions`; fewer where they are large.
    public var decisionsPerPage = 128
    /// Such answers that are being written at once.
    public var maxPages = 4
    /// The same to one address of another machine.
    public var maxPagesPerAddress = 2
    /// Streams of decisions that are open at once.
    public var maxStreams = 16
    /// The same to one address of another machine.
    public var maxStreamsPerAddress = 4
    /// After so long a stream ends, and the client comes back.
    public var streamTime = Duration.seconds(600)
    /// How long a stream waits until it looks again, where there was nothing new.
    public var streamPause = Duration.milliseconds(250)

    /// The bounds that docs/HTTP.md lists.
    public init() {}
}
