// What travels between processes. Every enum is decoded with bounds; frames are counted and bounded by the transport.

/// A request's refusal without a certificate: not a vote, nothing is recorded, the sender may try again (R9).
public enum RefusalReason: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// Undecided transactions hold what this one needs.
    case conflict = 1
    /// A queue or a cap is full.
    case overloaded = 2
    /// The number is not below acknowledgedBelow + 1024 (R11).
    case numberTooHigh = 3
    /// `issuedAt` is ahead of the shard's time by more than the tolerance.
    case fromTheFuture = 4
    /// The shard is changing its view.
    case viewChange = 5
    /// The replica has stopped voting; its log says why.
    case halted = 6

    public var description: String {
        switch self {
        case .conflict: "conflict with an undecided transaction"
        case .overloaded: "overloaded"
        case .numberTooHigh: "the request number is too far above what was acknowledged"
        case .fromTheFuture: "issued ahead of the shard's time"
        case .viewChange: "view change"
        case .halted: "the replica has stopped voting"
        }
    }
}

public struct Refusal: Hashable, Sendable, CanonicalCodable {
    public let shard: ShardID
    public let request: Digest
    /// The legs that were refused, ascending.
    public let legs: [UInt16]
    public let reason: RefusalReason
    /// When to try again, in microseconds; a hint.
    public let retryAfterMicroseconds: UInt64

    public init(shard: ShardID, request: Digest, legs: [UInt16], reason: RefusalReason, retryAfterMicroseconds: UInt64)
    {
        (self.shard, self.request, self.legs, self.reason) = (shard, request, legs, reason)
        self.retryAfterMicroseconds = retryAfterMicroseconds
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, request) = (try reader.value(), try reader.value())
        let count = Int(try reader.uint32())
        guard count <= Request.maxOperations else { throw reader.invalid("number of legs") }
        var legs: [UInt16] = []
        for _ in 0..<count { legs.append(try reader.uint16()) }
        self.legs = legs
        guard let reason = RefusalReason(rawValue: try reader.uint8()) else { throw reader.invalid("refusal reason") }
        self.reason = reason
        retryAfterMicroseconds = try reader.uint64()
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(request)
        writer.put(UInt32(legs.count))
        for leg in legs { writer.put(leg) }
        writer.put(reason.rawValue)
        writer.put(retryAfterMicroseconds)
    }
}

/// What hosts push to each other until it is acknowledged (recovery by anyone).
public struct RecoveryPush: Hashable, Sendable, CanonicalCodable {
    /// The signed transaction, so that a shard that never saw it can record or refuse it (R10).
    public let request: SignedRequest
    public let attested: AttestedLeaf
    /// The sender has an open record and waits for the receiver's word. An answer does not ask: two shards would answer
    /// each other for ever.
    public let asks: Bool

    public init(request: SignedRequest, attested: AttestedLeaf, asks: Bool) {
        (self.request, self.attested, self.asks) = (request, attested, asks)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (request, attested, asks) = (try reader.value(), try reader.value(), try reader.bool())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(request)
        writer.put(attested)
        writer.put(asks)
    }
}

/// Host to host, over a session that pins both keys.
public enum HostMessage: Hashable, Sendable, CanonicalCodable {
    case pbft(ShardID, PBFTMessage)
    case push(ShardID, RecoveryPush)
    case stateTransfer(ShardID, StateTransferMessage)
    /// A backup hands the primary what it has waited for: a gateway may have told backups only.
    case forward(ShardID, BatchItem)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .pbft(try reader.value(), try reader.value())
        case 2: self = .push(try reader.value(), try reader.value())
        case 3: self = .stateTransfer(try reader.value(), try reader.value())
        case 4: self = .forward(try reader.value(), try reader.value())
        default: throw reader.invalid("host message kind")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .pbft(let shard, let message):
            writer.put(UInt8(1))
            writer.put(shard)
            writer.put(message)
        case .push(let shard, let push):
            writer.put(UInt8(2))
            writer.put(shard)
            writer.put(push)
        case .stateTransfer(let shard, let message):
            writer.put(UInt8(3))
            writer.put(shard)
            writer.put(message)
        case .forward(let shard, let item):
            writer.put(UInt8(4))
            writer.put(shard)
            writer.put(item)
        }
    }
}

/// Gateway (or any other client of a host) to host. The sender is trusted with nothing.
public enum GatewayMessage: Hashable, Sendable, CanonicalCodable {
    /// To the replicas of these shards that the host runs; ascending.
    case submit([ShardID], SignedRequest)
    case decide([ShardID], TransactionDecide)
    case evidence([ShardID], CallEvidence)
    /// A weak read: one replica's present state, nothing certified.
    case account(id: UInt64, AccountID)
    case status(id: UInt64)
    /// Sums over the whole state of every replica on this host. Expensive; for checks and tests.
    case audit(id: UInt64)
    /// One answer to a quorum read (R6).
    case read(id: UInt64, ReadSubject, nonce: Digest)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .submit(try Self.shards(from: &reader), try reader.value())
        case 2: self = .decide(try Self.shards(from: &reader), try reader.value())
        case 3: self = .account(id: try reader.uint64(), try reader.value())
        case 4: self = .status(id: try reader.uint64())
        case 5: self = .audit(id: try reader.uint64())
        case 6: self = .read(id: try reader.uint64(), try reader.value(), nonce: try reader.value())
        case 7: self = .evidence(try Self.shards(from: &reader), try reader.value())
        default: throw reader.invalid("gateway message kind")
        }
    }

    /// Each shard once: an answer is owed for each.
    private static func shards(from reader: inout ByteReader) throws(DecodingFailure) -> [ShardID] {
        let shards: [ShardID] = try reader.array(limit: 4096)
        for (a, b) in zip(shards, shards.dropFirst()) where a >= b { throw reader.invalid("order of shards") }
        return shards
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .submit(let shards, let request):
            writer.put(UInt8(1))
            writer.put(array: shards)
            writer.put(request)
        case .decide(let shards, let decide):
            writer.put(UInt8(2))
            writer.put(array: shards)
            writer.put(decide)
        case .account(let id, let account):
            writer.put(UInt8(3))
            writer.put(id)
            writer.put(account)
        case .status(let id):
            writer.put(UInt8(4))
            writer.put(id)
        case .audit(let id):
            writer.put(UInt8(5))
            writer.put(id)
        case .read(let id, let subject, let nonce):
            writer.put(UInt8(6))
            writer.put(id)
            writer.put(subject)
            writer.put(nonce)
        case .evidence(let shards, let evidence):
            writer.put(UInt8(7))
            writer.put(array: shards)
            writer.put(evidence)
        }
    }
}

/// Host to gateway.
public enum HostReply: Sendable, CanonicalCodable {
    case attestation(BatchAttestation)
    case refused(Refusal)
    case account(id: UInt64, AccountView?)
    case status(id: UInt64, [ReplicaStatus])
    case audit(id: UInt64, [ShardAudit])
    /// Nil while undecided transactions hold something of the account.
    case read(id: UInt64, ReadAnswer?)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .attestation(try reader.value())
        case 2: self = .refused(try reader.value())
        case 3: self = .account(id: try reader.uint64(), try reader.bool() ? try reader.value() : nil)
        case 4: self = .status(id: try reader.uint64(), try reader.array(limit: 4096))
        case 5: self = .audit(id: try reader.uint64(), try reader.array(limit: 4096))
        case 6: self = .read(id: try reader.uint64(), try reader.bool() ? try reader.value() : nil)
        default: throw reader.invalid("host reply kind")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .attestation(let attestation):
            writer.put(UInt8(1))
            writer.put(attestation)
        case .refused(let refusal):
            writer.put(UInt8(2))
            writer.put(refusal)
        case .account(let id, let view):
            writer.put(UInt8(3))
            writer.put(id)
            writer.put(view != nil)
            if let view { writer.put(view) }
        case .status(let id, let replicas):
            writer.put(UInt8(4))
            writer.put(id)
            writer.put(array: replicas)
        case .audit(let id, let audits):
            writer.put(UInt8(5))
            writer.put(id)
            writer.put(array: audits)
        case .read(let id, let answer):
            writer.put(UInt8(6))
            writer.put(id)
            writer.put(answer != nil)
            if let answer { writer.put(answer) }
        }
    }
}

/// Client to gateway. `id` is the client's own and comes back with the answer.
public enum ClientMessage: Hashable, Sendable, CanonicalCodable {
    case submit(id: UInt64, SignedRequest)
    case account(id: UInt64, AccountID)
    /// Gateway's counters, see `GatewayStatus`.
    case status(id: UInt64)
    /// A quorum read; the nonce is the client's own.
    case read(id: UInt64, ReadSubject, nonce: Digest)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .submit(id: try reader.uint64(), try reader.value())
        case 2: self = .account(id: try reader.uint64(), try reader.value())
        case 3: self = .status(id: try reader.uint64())
        case 4: self = .read(id: try reader.uint64(), try reader.value(), nonce: try reader.value())
        default: throw reader.invalid("client message kind")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .submit(let id, let request):
            writer.put(UInt8(1))
            writer.put(id)
            writer.put(request)
        case .account(let id, let account):
            writer.put(UInt8(2))
            writer.put(id)
            writer.put(account)
        case .status(let id):
            writer.put(UInt8(3))
            writer.put(id)
        case .read(let id, let subject, let nonce):
            writer.put(UInt8(4))
            writer.put(id)
            writer.put(subject)
            writer.put(nonce)
        }
    }
}

/// Why a gateway gives up on a request without a certified outcome. The client decides whether to try again, with
/// the same request number (R11 keeps it from happening twice).
public enum GatewayRejection: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    /// The lane of a shard is full, or the principal's quota.
    case queueFull = 1
    /// Wrong cluster or epoch, bad signature, malformed.
    case invalid = 2
    /// No answer and no budget left to try again before the deadline.
    case retriesExhausted = 3
    case deadlinePassed = 4
    /// Refused by the shard for a reason that only the client can mend (`numberTooHigh`, `fromTheFuture`).
    case refused = 5
    case shuttingDown = 6
    /// A shard that the request concerns has certified nothing for long. It was not sent to any shard.
    case shardUnavailable = 7

    public var description: String {
        switch self {
        case .queueFull: "the gateway's queue is full"
        case .invalid: "the request is not valid for this cluster"
        case .retriesExhausted: "no answer within the retry budget"
        case .deadlinePassed: "the deadline passed before the outcome was known"
        case .refused: "the shard refused the request"
        case .shuttingDown: "the gateway is shutting down"
        case .shardUnavailable: "a shard has certified nothing for long"
        }
    }
}

/// A gateway's own counters since it started.
public struct GatewayStatus: Hashable, Sendable, CanonicalCodable {
    public var queued: UInt64
    public var inFlight: UInt64
    public var admitted: UInt64
    public var rejected: UInt64
    public var completed: UInt64
    /// Sent again after silence.
    public var retransmissions: UInt64
    /// Sent again after `conflict`.
    public var conflicts: UInt64

    public init() {
        (queued, inFlight, admitted, rejected, completed, retransmissions, conflicts) = (0, 0, 0, 0, 0, 0, 0)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (queued, inFlight, admitted) = (try reader.uint64(), try reader.uint64(), try reader.uint64())
        (rejected, completed) = (try reader.uint64(), try reader.uint64())
        (retransmissions, conflicts) = (try reader.uint64(), try reader.uint64())
    }
    public func encode(into writer: inout ByteWriter) {
        for value in [queued, inFlight, admitted, rejected, completed, retransmissions, conflicts] { writer.put(value) }
    }
}

/// Gateway to client.
public enum GatewayReply: Hashable, Sendable, CanonicalCodable {
    /// The certificates that decide every leg of the request.
    /// - retries: how often the gateway sent it again, and after how many conflicts.
    case receipt(id: UInt64, Receipt, retries: UInt32, conflicts: UInt32)
    case rejected(id: UInt64, GatewayRejection, retryAfterMicroseconds: UInt64)
    /// A weak read, by f + 1 agreeing replicas when `agreeing` says so; nil if the account does not exist.
    case account(id: UInt64, AccountView?, agreeing: UInt32)
    case status(id: UInt64, GatewayStatus)
    /// Equal answers of different replicas, as many as there are: 2f + 1 prove the account, fewer nothing.
    case read(id: UInt64, [ReadAnswer])

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1:
            self = .receipt(
                id: try reader.uint64(), try reader.value(), retries: try reader.uint32(),
                conflicts: try reader.uint32())
        case 2:
            let id = try reader.uint64()
            guard let reason = GatewayRejection(rawValue: try reader.uint8()) else { throw reader.invalid("rejection") }
            self = .rejected(id: id, reason, retryAfterMicroseconds: try reader.uint64())
        case 3:
            let id = try reader.uint64()
            let view: AccountView? = try reader.bool() ? try reader.value() : nil
            self = .account(id: id, view, agreeing: try reader.uint32())
        case 4: self = .status(id: try reader.uint64(), try reader.value())
        case 5: self = .read(id: try reader.uint64(), try reader.array(limit: 64))
        default: throw reader.invalid("gateway reply kind")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .receipt(let id, let receipt, let retries, let conflicts):
            writer.put(UInt8(1))
            writer.put(id)
            writer.put(receipt)
            writer.put(retries)
            writer.put(conflicts)
        case .rejected(let id, let reason, let retryAfter):
            writer.put(UInt8(2))
            writer.put(id)
            writer.put(reason.rawValue)
            writer.put(retryAfter)
        case .account(let id, let view, let agreeing):
            writer.put(UInt8(3))
            writer.put(id)
            writer.put(view != nil)
            if let view { writer.put(view) }
            writer.put(agreeing)
        case .status(let id, let status):
            writer.put(UInt8(4))
            writer.put(id)
            writer.put(status)
        case .read(let id, let answers):
            writer.put(UInt8(5))
            writer.put(id)
            writer.put(array: answers)
        }
    }
}
