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
    /// Nothing is recorded here yet of a request that this one follows (`Request.follows`).
    case outOfOrder = 7
    /// The signature is not its principal's. One replica's word before the order.
    case unsigned = 8

    /// In words, as clients are told and logs have it.
    public var description: String {
        switch self {
        case .conflict: "conflict with an undecided transaction"
        case .overloaded: "overloaded"
        case .numberTooHigh: "the request number is too far above what was acknowledged"
        case .fromTheFuture: "issued ahead of the shard's time"
        case .viewChange: "view change"
        case .halted: "the replica has stopped voting"
        case .outOfOrder: "what the request follows is not there yet"
        case .unsigned: "the signature is not the principal's"
        }
    }
}

/// What one replica says instead of a vote. A gateway believes it when f + 1 say the same.
public struct Refusal: Hashable, Sendable, CanonicalCodable {
    /// The shard whose replica refuses.
    public let shard: ShardID
    /// The digest of what it refuses.
    public let request: Digest
    /// The legs that were refused, ascending.
    public let legs: [UInt16]
    /// Why; it says whether trying again makes sense (`RetryCause`).
    public let reason: RefusalReason
    /// When to try again, in microseconds; a hint.
    public let retryAfterMicroseconds: UInt64

    /// Unsigned: the session says which host it is from.
    public init(shard: ShardID, request: Digest, legs: [UInt16], reason: RefusalReason, retryAfterMicroseconds: UInt64)
    {
        (self.shard, self.request, self.legs, self.reason) = (shard, request, legs, reason)
        self.retryAfterMicroseconds = retryAfterMicroseconds
    }
    /// Refuses more than `Request.maxOperations` legs, and an unknown reason. The order of the legs is not checked.
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
    /// Shard, request, counted legs of two bytes, reason as one byte, microseconds.
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
    /// What the sender's shard has certified of it, by the sender's own signature.
    public let attested: AttestedLeaf
    /// The sender has an open record and waits for the receiver's word. An answer does not ask: two shards would answer
    /// each other for ever.
    public let asks: Bool

    /// Checks nothing: that the leaf is about the request, `Verifier` does.
    public init(request: SignedRequest, attested: AttestedLeaf, asks: Bool) {
        (self.request, self.attested, self.asks) = (request, attested, asks)
    }
    /// Bounded as its parts are.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (request, attested, asks) = (try reader.value(), try reader.value(), try reader.bool())
    }
    /// The request, the leaf with its proof, then one byte for whether it asks.
    public func encode(into writer: inout ByteWriter) {
        writer.put(request)
        writer.put(attested)
        writer.put(asks)
    }
}

/// Host to host, over a session that pins both keys.
public enum HostMessage: Hashable, Sendable, CanonicalCodable {
    /// About the ordering of this shard.
    case pbft(ShardID, PBFTMessage)
    /// To the replica of this shard, about a record of another one.
    case push(ShardID, RecoveryPush)
    /// About the state of this shard.
    case stateTransfer(ShardID, StateTransferMessage)
    /// A backup hands the primary what it has waited for: a gateway may have told backups only.
    case forward(ShardID, BatchItem)

    /// A kind byte, 1 to 4, in the order of the cases, then shard and message.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .pbft(try reader.value(), try reader.value())
        case 2: self = .push(try reader.value(), try reader.value())
        case 3: self = .stateTransfer(try reader.value(), try reader.value())
        case 4: self = .forward(try reader.value(), try reader.value())
        default: throw reader.invalid("host message kind")
        }
    }
    /// The kind byte, shard, message.
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
    /// Certificates for the replicas of these shards, ascending, that the host runs. Ascending by request, one of each.
    case decides([ShardID], [TransactionDecide])
    /// What others have certified of a root call, for the replicas of these shards, ascending.
    case evidence([ShardID], CallEvidence)
    /// A weak read: one replica's present state, nothing certified.
    case account(id: UInt64, AccountID)
    /// Asks how each of the host's replicas is.
    case status(id: UInt64)
    /// Sums over the whole state of every replica on this host. Expensive; for checks and tests.
    case audit(id: UInt64)
    /// One answer to a quorum read (R6).
    case read(id: UInt64, ReadSubject, nonce: Digest)
    /// Asks for stamps of traced requests.
    case stamps(id: UInt64, StampQuery)
    /// Asks for executed batches, with the host's signatures.
    case archive(id: UInt64, ArchiveQuery)
    /// Asks how batches travelled, and what is undecided.
    case observe(id: UInt64, ObservationQuery)

    /// A kind byte, 1 to 10. Refuses more than 4,096 shards, and any that do not ascend: an answer is owed for each.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .submit(try Self.shards(from: &reader), try reader.value())
        case 2: self = .decides(try Self.shards(from: &reader), try Self.decides(from: &reader))
        case 3: self = .account(id: try reader.uint64(), try reader.value())
        case 4: self = .status(id: try reader.uint64())
        case 5: self = .audit(id: try reader.uint64())
        case 6: self = .read(id: try reader.uint64(), try reader.value(), nonce: try reader.value())
        case 7: self = .evidence(try Self.shards(from: &reader), try reader.value())
        case 8: self = .stamps(id: try reader.uint64(), try reader.value())
        case 9: self = .archive(id: try reader.uint64(), try reader.value())
        case 10: self = .observe(id: try reader.uint64(), try reader.value())
        default: throw reader.invalid("gateway message kind")
        }
    }

    /// Each shard once: an answer is owed for each.
    private static func shards(from reader: inout ByteReader) throws(DecodingFailure) -> [ShardID] {
        let shards: [ShardID] = try reader.array(limit: 4096)
        for (a, b) in zip(shards, shards.dropFirst()) where a >= b { throw reader.invalid("order of shards") }
        return shards
    }

    /// At least one and `TransactionDecide.maxTogether` at most, each request once, and behind them the certificates of
    /// all.
    private static func decides(from reader: inout ByteReader) throws(DecodingFailure) -> [TransactionDecide] {
        let count = Int(try reader.uint32())
        guard count > 0, count <= TransactionDecide.maxTogether else { throw reader.invalid("number of decides") }
        var placed: [PlacedDecide] = []
        var left = TransactionDecide.maxCertificatesTogether
        for _ in 0..<count {
            let decide = try PlacedDecide(from: &reader)
            left -= decide.count
            // One alone may have more than several together.
            guard left >= 0 || count == 1 else { throw reader.invalid("number of certificates") }
            placed.append(decide)
        }
        let decides = try PlacedDecide.resolve(placed, from: &reader)
        for (a, b) in zip(decides, decides.dropFirst()) where a.request >= b.request {
            throw reader.invalid("order of decides")
        }
        return decides
    }

    /// The kind byte, which is not the order of the cases, then shards or the sender's `id`, then the rest.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .submit(let shards, let request):
            writer.put(UInt8(1))
            writer.put(array: shards)
            writer.put(request)
        case .decides(let shards, let decides):
            writer.put(UInt8(2))
            writer.put(array: shards)
            writer.put(UInt32(decides.count))
            var table = CertificateTable()
            for decide in decides { table.put(decide, into: &writer) }
            table.encode(into: &writer)
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
        case .stamps(let id, let query):
            writer.put(UInt8(8))
            writer.put(id)
            writer.put(query)
        case .archive(let id, let query):
            writer.put(UInt8(9))
            writer.put(id)
            writer.put(query)
        case .observe(let id, let query):
            writer.put(UInt8(10))
            writer.put(id)
            writer.put(query)
        }
    }
}

/// Host to gateway.
public enum HostReply: Sendable, CanonicalCodable {
    /// The host's signature for a batch in which there is something for the gateway, with all leaves.
    case attestation(BatchAttestation)
    /// Nothing was recorded.
    case refused(Refusal)
    /// Nil if there is no such account on this host. `id` is the question's, here and below.
    case account(id: UInt64, AccountView?)
    /// One for each replica of the host, and what its process counts: the runtime adds that.
    case status(id: UInt64, [ReplicaStatus], metrics: [MetricSample] = [])
    /// One for each replica of the host that can read its state.
    case audit(id: UInt64, [ShardAudit])
    /// Nil while undecided transactions hold something of the account.
    case read(id: UInt64, ReadAnswer?)
    /// What its process has stamped: the runtime says that in place of the core, where requests are traced.
    case stamps(id: UInt64, StampAnswer)
    /// What the host has archived: the runtime says that in place of the core, which keeps no archive.
    case archive(id: UInt64, ArchiveAnswer)
    /// What the core knows to be undecided; the runtime adds how batches travelled.
    case observation(id: UInt64, HostObservation)

    /// A kind byte, 1 to 9, in the order of the cases. Refuses more than 4,096 replicas, and more samples than
    /// `MetricSample.maximum`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .attestation(try reader.value())
        case 2: self = .refused(try reader.value())
        case 3: self = .account(id: try reader.uint64(), try reader.accountView())
        case 4:
            self = .status(
                id: try reader.uint64(), try reader.array(limit: 4096),
                metrics: try reader.array(limit: MetricSample.maximum))
        case 5: self = .audit(id: try reader.uint64(), try reader.array(limit: 4096))
        case 6: self = .read(id: try reader.uint64(), try reader.bool() ? try reader.value() : nil)
        case 7: self = .stamps(id: try reader.uint64(), try reader.value())
        case 8: self = .archive(id: try reader.uint64(), try reader.value())
        case 9: self = .observation(id: try reader.uint64(), try reader.value())
        default: throw reader.invalid("host reply kind")
        }
    }
    /// The kind byte, then what it says; where something may be missing, a byte before it.
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
            writer.put(account: view)
        case .status(let id, let replicas, let metrics):
            writer.put(UInt8(4))
            writer.put(id)
            writer.put(array: replicas)
            writer.put(array: metrics)
        case .audit(let id, let audits):
            writer.put(UInt8(5))
            writer.put(id)
            writer.put(array: audits)
        case .read(let id, let answer):
            writer.put(UInt8(6))
            writer.put(id)
            writer.put(answer != nil)
            if let answer { writer.put(answer) }
        case .stamps(let id, let answer):
            writer.put(UInt8(7))
            writer.put(id)
            writer.put(answer)
        case .archive(let id, let answer):
            writer.put(UInt8(8))
            writer.put(id)
            writer.put(answer)
        case .observation(let id, let answer):
            writer.put(UInt8(9))
            writer.put(id)
            writer.put(answer)
        }
    }
}

/// Client to gateway. `id` is the client's own and comes back with the answer.
public enum ClientMessage: Hashable, Sendable, CanonicalCodable {
    /// A request, to be ordered by every shard that takes part.
    case submit(id: UInt64, SignedRequest)
    /// Asks for a weak read.
    case account(id: UInt64, AccountID)
    /// Gateway's counters, see `GatewayStatus`.
    case status(id: UInt64)
    /// A quorum read; the nonce is the client's own.
    case read(id: UInt64, ReadSubject, nonce: Digest)
    /// Asks for the gateway's stamps of traced requests.
    case stamps(id: UInt64, StampQuery)

    /// A kind byte, 1 to 5, in the order of the cases.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .submit(id: try reader.uint64(), try reader.value())
        case 2: self = .account(id: try reader.uint64(), try reader.value())
        case 3: self = .status(id: try reader.uint64())
        case 4: self = .read(id: try reader.uint64(), try reader.value(), nonce: try reader.value())
        case 5: self = .stamps(id: try reader.uint64(), try reader.value())
        default: throw reader.invalid("client message kind")
        }
    }
    /// The kind byte, the client's `id`, then the rest.
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
        case .stamps(let id, let query):
            writer.put(UInt8(5))
            writer.put(id)
            writer.put(query)
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
    /// The deadline passed while it waited, or before an outcome was heard. It may have one all the same.
    case deadlinePassed = 4
    /// Refused by the shard for a reason that only the client can mend (`numberTooHigh`, `fromTheFuture`).
    case refused = 5
    /// The gateway is being stopped, and takes nothing new: another one should be asked.
    case shuttingDown = 6
    /// A shard that the request concerns has certified nothing for long. It was not sent to any shard.
    case shardUnavailable = 7

    /// In words, as the client shows it.
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
    /// Requests that wait for a place, now.
    public var queued: UInt64
    /// Requests that have started and hold their places in flight, now.
    public var inFlight: UInt64
    /// Requests that were taken into the queue.
    public var admitted: UInt64
    /// Requests and reads that were refused, or ended without an outcome.
    public var rejected: UInt64
    /// Requests that were answered with a receipt.
    public var completed: UInt64
    /// Sent again after silence.
    public var retransmissions: UInt64
    /// Sent again after `conflict`.
    public var conflicts: UInt64
    /// What the gateway's process counts: the runtime adds that.
    public var metrics: [MetricSample] = []

    /// Zeros: nothing has happened.
    public init() {
        (queued, inFlight, admitted, rejected, completed, retransmissions, conflicts) = (0, 0, 0, 0, 0, 0, 0)
    }
    /// Refuses more samples than `MetricSample.maximum`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (queued, inFlight, admitted) = (try reader.uint64(), try reader.uint64(), try reader.uint64())
        (rejected, completed) = (try reader.uint64(), try reader.uint64())
        (retransmissions, conflicts) = (try reader.uint64(), try reader.uint64())
        metrics = try reader.array(limit: MetricSample.maximum)
    }
    /// Eight bytes each, in the order of declaration, then the counted samples.
    public func encode(into writer: inout ByteWriter) {
        for value in [queued, inFlight, admitted, rejected, completed, retransmissions, conflicts] { writer.put(value) }
        writer.put(array: metrics)
    }
}

/// Gateway to client.
public enum GatewayReply: Hashable, Sendable, CanonicalCodable {
    /// The certificates that decide every leg of the request.
    /// - retries: how often the gateway sent it again, and after how many conflicts.
    case receipt(id: UInt64, Receipt, retries: UInt32, conflicts: UInt32)
    /// No outcome, why, and when to come back: a hint, zero for none.
    case rejected(id: UInt64, GatewayRejection, retryAfterMicroseconds: UInt64)
    /// A weak read, by f + 1 agreeing replicas when `agreeing` says so; nil if the account does not exist.
    case account(id: UInt64, AccountView?, agreeing: UInt32)
    /// The gateway's counters.
    case status(id: UInt64, GatewayStatus)
    /// Equal answers of different replicas, as many as there are: 2f + 1 prove the account, fewer nothing.
    case read(id: UInt64, [ReadAnswer])
    /// What the gateway's process has stamped.
    case stamps(id: UInt64, StampAnswer)

    /// A kind byte, 1 to 6, in the order of the cases. Refuses an unknown reason, and more than 64 answers to a read.
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
            let view = try reader.accountView()
            self = .account(id: id, view, agreeing: try reader.uint32())
        case 4: self = .status(id: try reader.uint64(), try reader.value())
        case 5: self = .read(id: try reader.uint64(), try reader.array(limit: 64))
        case 6: self = .stamps(id: try reader.uint64(), try reader.value())
        default: throw reader.invalid("gateway reply kind")
        }
    }
    /// The kind byte, the client's `id`, then the rest.
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
            writer.put(account: view)
            writer.put(agreeing)
        case .status(let id, let status):
            writer.put(UInt8(4))
            writer.put(id)
            writer.put(status)
        case .read(let id, let answers):
            writer.put(UInt8(5))
            writer.put(id)
            writer.put(array: answers)
        case .stamps(let id, let answer):
            writer.put(UInt8(6))
            writer.put(id)
            writer.put(answer)
        }
    }
}
