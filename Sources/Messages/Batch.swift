/// Certified statuses of one request from its participants. Lets a participant decide the legs that they decide, and
/// note which participants are done (R10). Carries nothing of its own: whoever sends it is untrusted.
public struct TransactionDecide: Hashable, Sendable, CanonicalCodable {
    /// Whose request it is. Certificates name only the digest, so principal and number are the sender's word: a shard
    /// that has no such request under them decides nothing.
    public let principal: PublicKey
    /// The principal's number of the request.
    public let number: RequestNumber
    /// The digest of the signed request. `Verifier` refuses certificates of any other.
    public let request: Digest
    /// Of participants; from one shard there may be several, of different batches.
    public let certificates: [Certificate]

    /// Of all that tells one from another where the certificates are genuine: under it the item waits to be ordered.
    public let digest: Digest

    /// What is decoded at most. It bounds the participants of a leg too: all their votes must fit
    /// (`ShardLimits.maxParticipants`).
    public static let maxCertificates = 64
    /// How many travel in one message at most.
    public static let maxTogether = 256
    /// Certificates of several that travel in one message: so long a verifier may be held up by it.
    public static let maxCertificatesTogether = 1024

    /// Checks nothing: that there are certificates, and of this request, is for `Verifier` to say.
    public init(principal: PublicKey, number: RequestNumber, request: Digest, certificates: [Certificate]) {
        (self.principal, self.number, self.request, self.certificates) = (principal, number, request, certificates)
        digest = Self.digest(principal, number, request, certificates)
    }
    /// Refuses more than `maxCertificates`; whether they prove anything is not looked at.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        self.init(
            principal: try reader.value(), number: try reader.value(), request: try reader.value(),
            certificates: try reader.array(limit: Self.maxCertificates))
    }
    /// Principal, number, request, then the counted certificates, each whole. Where several travel together they have
    /// another form (`CertificateTable`).
    public func encode(into writer: inout ByteWriter) {
        writer.put(principal)
        writer.put(number)
        writer.put(request)
        writer.put(array: certificates)
    }
    /// A batch has one leaf of a request, so the batch names it, however the way to its root is told. Whose signatures are
    /// with it says nothing: f + 1 of whichever replicas prove it.
    private static func digest(
        _ principal: PublicKey, _ number: RequestNumber, _ request: Digest, _ certificates: [Certificate]
    ) -> Digest {
        var hasher = Hasher256(.decide)
        hasher.update(principal)
        hasher.update(integer: number.number)
        hasher.update(request)
        for certificate in certificates {
            hasher.update(integer: certificate.shard.number)
            hasher.update(integer: certificate.statement.sequence.number)
            hasher.update(certificate.statement.leavesRoot)
        }
        return hasher.finish()
    }

    /// Without what this shard has certified: of its own it knows more than it ever certified, and nothing of that is
    /// looked at when the decide is executed.
    public func withoutCertificates(of shard: ShardID) -> TransactionDecide {
        guard certificates.contains(where: { $0.shard == shard }) else { return self }
        return TransactionDecide(
            principal: principal, number: number, request: request,
            certificates: certificates.filter { $0.shard != shard })
    }

    /// Whether whatever `other` does to a record this does too: it is about the same request, under the same number, and
    /// for each certificate of `other` has one of the same shard that says the same of every leg, or how a leg ended that
    /// the shard had voted yes for. The certificates of both must have been verified.
    ///
    /// Of many certificates it says no: to compare all with all would take long, and coordinators send few.
    public func covers(_ other: TransactionDecide) -> Bool {
        guard request == other.request, principal == other.principal, number == other.number else { return false }
        guard max(certificates.count, other.certificates.count) <= Self.maxCompared else {
            return digest == other.digest
        }
        return other.certificates.allSatisfy { weaker in
            certificates.contains { $0.shard == weaker.shard && $0.leaf.covers(weaker.leaf) }
        }
    }

    private static let maxCompared = 4

    /// Bytes that it adds to a batch or a message at most: if it shares nothing with others.
    public var maxSize: Int {
        certificates.reduce(96) {
            $0 + 224 + $1.leaf.encoded().count + $1.signatures.count * 65 + $1.path.siblings.count * 32
        }
    }
}

/// What a shard orders.
public enum BatchItem: Hashable, Sendable, CanonicalCodable {
    /// A request: executed at once where this shard is its only participant, otherwise a `TransactionPrepare`.
    case request(SignedRequest)
    case decide(TransactionDecide)
    case evidence(CallEvidence)

    /// A kind byte, 1 to 3 in the order of the cases; any other is invalid.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .request(try reader.value())
        case 2: self = .decide(try reader.value())
        case 3: self = .evidence(try reader.value())
        default: throw reader.invalid("batch item kind")
        }
    }
    /// The kind byte, then what it says.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .request(let request):
            writer.put(UInt8(1))
            writer.put(request)
        case .decide(let decide):
            writer.put(UInt8(2))
            writer.put(decide)
        case .evidence(let evidence):
            writer.put(UInt8(3))
            writer.put(evidence)
        }
    }
}

/// A proposal: the primary's time and the items, with the exact bytes, which survive view changes unchanged.
public struct Batch: Hashable, Sendable, CanonicalCodable {
    /// What is decoded at most, in items; a correct primary proposes fewer (`HostOptions`).
    public static let maxItems = 4096
    /// What is read off a wire at most, in bytes of the encoding; a correct primary proposes fewer (`HostOptions`).
    public static let maxBytes = 4 * 1024 * 1024

    /// The primary's clock when it proposed. Executing the batch sets the shard's time to it, unless that is later
    /// (R2).
    public let time: Timestamp
    /// In the order in which they are executed, but that decides and evidence go before requests, whatever their place.
    public let items: [BatchItem]
    /// Canonical encoding: time, the counted items, and behind them, if there is a decide among them, the certificates of
    /// all (`CertificateTable`). Of a batch that came in a frame or a record, a part of that.
    public let bytes: ArraySlice<UInt8>
    /// Bytes that it takes in memory, roughly: certificates share in `bytes` what each has for itself here.
    public let memory: Int
    /// Hash of `bytes`; `Digest.null` for the null request, which carries no time and no items (R2).
    public let digest: Digest

    /// Encodes and hashes at once. Bounds are not checked: whoever proposes keeps to them.
    public init(time: Timestamp, items: [BatchItem]) {
        var writer = ByteWriter(reserving: 16 + items.count * 320)
        var table: CertificateTable?
        writer.put(time)
        writer.put(UInt32(items.count))
        for item in items {
            guard case .decide(let decide) = item else {
                writer.put(item)
                continue
            }
            writer.put(Self.placedDecide)
            if table == nil { table = CertificateTable() }
            table?.put(decide, into: &writer)
        }
        table?.encode(into: &writer)
        (self.time, self.items, bytes) = (time, items, writer.bytes[...])
        memory = Self.memory(of: items, encoded: writer.bytes.count)
        digest = Hasher256.hash(.batch, bytes)
    }

    private init() { (time, items, bytes, memory, digest) = (.zero, [], [], 0, .null) }

    private static func memory(of items: [BatchItem], encoded bytes: Int) -> Int {
        items.reduce(bytes) { if case .decide(let decide) = $1 { $0 + decide.maxSize } else { $0 } }
    }

    /// What a view change puts where nothing prepared: executed without time, items or leaves (PBFT §4.4).
    public static let null = Batch()
    /// Whether it is the null request: only that one has the null digest.
    public var isNull: Bool { digest.isNull }

    /// - Parameters:
    ///   - bytes: empty for the null request. They are kept, and not copied.
    ///   - requests: where those of the batch may be found.
    public init(bytes: ArraySlice<UInt8>, requests: RequestMemory? = nil) throws(DecodingFailure) {
        if bytes.isEmpty {
            self = .null
            return
        }
        var reader = ByteReader(bytes, memory: requests)
        time = try reader.value()
        items = try Self.items(from: &reader)
        try reader.finish()
        self.bytes = bytes
        memory = Self.memory(of: items, encoded: bytes.count)
        digest = Hasher256.hash(.batch, bytes)
    }

    /// In the place of an item's kind: a decide whose certificates stand behind the items.
    private static let placedDecide: UInt8 = 4

    private static func items(from reader: inout ByteReader) throws(DecodingFailure) -> [BatchItem] {
        let count = Int(try reader.uint32())
        guard count <= maxItems else { throw reader.invalid("number of items") }
        /// Nil for a decide.
        var items: [BatchItem?] = []
        var placed: [PlacedDecide] = []
        items.reserveCapacity(min(count, reader.remaining))
        for _ in 0..<count {
            switch try reader.uint8() {
            case 1: items.append(.request(try reader.value()))
            case 3: items.append(.evidence(try reader.value()))
            case placedDecide:
                placed.append(try PlacedDecide(from: &reader))
                items.append(nil)
            default: throw reader.invalid("batch item kind")
            }
        }
        guard !placed.isEmpty else { return items.compactMap { $0 } }
        var decides = try PlacedDecide.resolve(placed, from: &reader).makeIterator()
        return items.compactMap { $0 ?? decides.next().map { .decide($0) } }
    }

    /// A counted blob of at most `maxBytes`, read as in `init(bytes:)`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        try self.init(bytes: try reader.sharedBlob(limit: Self.maxBytes), requests: reader.memory)
    }
    /// The bytes as they came, counted, so that a relayed batch keeps its digest.
    public func encode(into writer: inout ByteWriter) { writer.put(blob: bytes) }

    /// By digest.
    public static func == (a: Self, b: Self) -> Bool { a.digest == b.digest }
    /// By digest, as `==` compares.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
