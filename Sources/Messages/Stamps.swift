// Where the time goes: moments in the life of a few requests, as the processes that they pass saw them. Kept beside the
// protocol, by runtimes that have been told to (docs/BENCH.md); nothing is decided by them.

/// Which requests are traced: a share of them, chosen by their digests alone, so that all processes choose the same
/// ones without a word.
public struct TraceSampling: Hashable, Sendable, CanonicalCodable {
    /// What the first four bytes of a digest stay below.
    private let bound: UInt64

    /// Nothing is traced.
    public static let off = TraceSampling(rate: 0)

    /// - Parameter rate: from 0, nothing, to 1, everything.
    public init(rate: Double) { bound = UInt64((min(max(rate, 0), 1) * 0x1_0000_0000).rounded(.up)) }

    /// Refuses more than all.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        bound = try reader.uint64()
        guard bound <= 0x1_0000_0000 else { throw reader.invalid("share of traced requests") }
    }
    /// The share in 1 / 2^32.
    public func encode(into writer: inout ByteWriter) { writer.put(bound) }

    /// Whether anything is traced.
    public var isOn: Bool { bound > 0 }
    /// The share of requests, from 0 to 1.
    public var rate: Double { Double(bound) / 0x1_0000_0000 }

    /// Whether the request with this digest is traced.
    public func takes(_ request: Digest) -> Bool { request.value.w0 >> 32 < bound }
}

/// What happened to a request at a moment.
public enum StampKind: UInt8, Sendable, CaseIterable {
    // At the client.
    /// Its signer began, by the client's system time, which is part of what is signed.
    case issued = 1
    /// It was signed, and given to the connection.
    case signed = 2
    /// The gateway's answer had arrived.
    case answered = 3
    /// Its certificates were verified, and what waited for it was begun.
    case receiptVerified = 4

    // At a gateway.
    /// It had arrived from a client.
    case gatewayReceived = 10
    /// Its signature was verified.
    case gatewayVerified = 11
    /// It left for the hosts of a shard: admission and queue are behind it.
    case forwarded = 12
    /// A host's attestation for a batch with a leaf of it was verified; f + 1 of a shard make a certificate.
    case attestationVerified = 13
    /// Its certificates left for the client.
    case certified = 14
    /// What decides it left for the hosts of a shard.
    case decideForwarded = 15

    // At a host's replica of a shard.
    /// It had arrived from a gateway.
    case received = 20
    /// Its signature was verified as it came, as it is at f + 1 replicas at least: others may leave that to them.
    case verified = 21
    /// The protocol's thread took it up, and it waits to be proposed.
    case admitted = 22
    /// The PRE-PREPARE with it was written for the journal.
    case prePrepared = 23
    /// That record was durable: PREPARE left. The primary's PRE-PREPARE left when the record was written.
    case prePrepareDurable = 24
    /// PREPAREs of a quorum were there: the entry of P was written for the journal.
    case prepared = 25
    /// That record was durable: COMMIT left.
    case preparedDurable = 26
    /// COMMITs of a quorum were there, and it was next.
    case committed = 27
    /// It was executed, and its batch attested if a gateway waited for that.
    case executed = 28
    /// A batch with its decide was written for the journal.
    case decidePrePrepared = 30
    /// Its decide was executed: what it held is free.
    case decided = 31
}

/// A moment in the life of a request, as one process saw it.
public struct Stamp: Hashable, Sendable, CanonicalCodable {
    /// The digest of the signed request.
    public let request: Digest
    /// What happened.
    public let kind: StampKind
    /// On which shard, or for which; nil where that does not matter.
    public let shard: ShardID?
    /// Of the batch, where the kind is about one; of the host that attested, where it is about that; otherwise 0.
    public let number: UInt64
    /// Nanoseconds of the monotonic clock of the process's machine.
    public let at: UInt64

    /// What `shard` is encoded as where it is nil; no shard has this number.
    private static let noShard = ShardID(.max)

    /// One process's word.
    public init(request: Digest, kind: StampKind, shard: ShardID? = nil, number: UInt64 = 0, at: UInt64) {
        (self.request, self.kind, self.shard, self.number, self.at) = (request, kind, shard, number, at)
    }
    /// Refuses an unknown kind.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        request = try reader.value()
        guard let kind = StampKind(rawValue: try reader.uint8()) else { throw reader.invalid("kind of stamp") }
        self.kind = kind
        let shard: ShardID = try reader.value()
        self.shard = shard == Self.noShard ? nil : shard
        (number, at) = (try reader.uint64(), try reader.uint64())
    }
    /// Digest, one byte for the kind, shard, number, time.
    public func encode(into writer: inout ByteWriter) {
        writer.put(request)
        writer.put(kind.rawValue)
        writer.put(shard ?? Self.noShard)
        writer.put(number)
        writer.put(at)
    }
}

/// What a tool asks of the stamps that a host or gateway keeps.
public enum StampQuery: Hashable, Sendable, CanonicalCodable {
    /// Those of one request.
    case of(Digest)
    /// All, from a place in their order on: 0, and then what the last answer had as `next`.
    case since(UInt64)

    /// A kind byte, 1 or 2.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .of(try reader.value())
        case 2: self = .since(try reader.uint64())
        default: throw reader.invalid("kind of question about stamps")
        }
    }
    /// The kind byte, then the digest or the place.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .of(let request):
            writer.put(UInt8(1))
            writer.put(request)
        case .since(let place):
            writer.put(UInt8(2))
            writer.put(place)
        }
    }
}

/// What a host or gateway answers to a `StampQuery`. Nobody checks it.
public struct StampAnswer: Hashable, Sendable, CanonicalCodable {
    /// In one answer: some 50 KB.
    public static let maxStamps = 1024

    /// Of its clocks when it answered: with both, stamps of several machines can be laid over each other.
    public let now: Instant
    /// Which requests it traces.
    public let sampling: TraceSampling
    /// Where to go on.
    public let next: UInt64
    /// In the order in which they were taken.
    public let stamps: [Stamp]

    /// It keeps no stamps.
    public static let off = StampAnswer(now: Instant(uptime: 0, wall: .zero), sampling: .off, next: 0, stamps: [])

    /// - Parameter stamps: `maxStamps` at most, or who decodes it refuses it.
    public init(now: Instant, sampling: TraceSampling, next: UInt64, stamps: [Stamp]) {
        (self.now, self.sampling, self.next, self.stamps) = (now, sampling, next, stamps)
    }
    /// Refuses more than `maxStamps`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        now = Instant(uptime: try reader.uint64(), wall: try reader.value())
        (sampling, next) = (try reader.value(), try reader.uint64())
        stamps = try reader.array(limit: Self.maxStamps)
    }
    /// Both clocks, share, place, then the counted stamps.
    public func encode(into writer: inout ByteWriter) {
        writer.put(now.uptime)
        writer.put(now.wall)
        writer.put(sampling)
        writer.put(next)
        writer.put(array: stamps)
    }
}
