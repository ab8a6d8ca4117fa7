/// Certified statuses of one request from its participants. Lets a participant decide the legs that they decide, and
/// note which participants are done (R10). Carries nothing of its own: whoever sends it is untrusted.
public struct TransactionDecide: Hashable, Sendable, CanonicalCodable {
    public let principal: PublicKey
    public let number: RequestNumber
    public let request: Digest
    public let certificates: [Certificate]

    public static let maxCertificates = 64

    public init(principal: PublicKey, number: RequestNumber, request: Digest, certificates: [Certificate]) {
        (self.principal, self.number, self.request, self.certificates) = (principal, number, request, certificates)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (principal, number, request) = (try reader.value(), try reader.value(), try reader.value())
        certificates = try reader.array(limit: Self.maxCertificates)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(principal)
        writer.put(number)
        writer.put(request)
        writer.put(array: certificates)
    }
    public var digest: Digest { Hasher256.hash(.decide, encoded()) }
}

/// What a shard orders.
public enum BatchItem: Hashable, Sendable, CanonicalCodable {
    /// A request: executed at once where this shard is its only participant, otherwise a `TransactionPrepare`.
    case request(SignedRequest)
    case decide(TransactionDecide)
    case evidence(CallEvidence)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .request(try reader.value())
        case 2: self = .decide(try reader.value())
        case 3: self = .evidence(try reader.value())
        default: throw reader.invalid("batch item kind")
        }
    }
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
    public static let maxItems = 4096
    public static let maxBytes = 4 * 1024 * 1024

    public let time: Timestamp
    public let items: [BatchItem]
    /// Canonical encoding of time and items.
    public let bytes: [UInt8]
    /// Hash of `bytes`; `Digest.null` for the null request, which carries no time and no items (R2).
    public let digest: Digest

    public init(time: Timestamp, items: [BatchItem]) {
        var writer = ByteWriter(reserving: 16 + items.count * 320)
        writer.put(time)
        writer.put(array: items)
        (self.time, self.items, bytes) = (time, items, writer.bytes)
        digest = Hasher256.hash(.batch, bytes)
    }

    private init() { (time, items, bytes, digest) = (.zero, [], [], .null) }

    public static let null = Batch()
    public var isNull: Bool { digest.isNull }

    /// - Parameter bytes: empty for the null request.
    public init(bytes: [UInt8]) throws(DecodingFailure) {
        if bytes.isEmpty {
            self = .null
            return
        }
        var reader = ByteReader(bytes)
        time = try reader.value()
        items = try reader.array(limit: Self.maxItems)
        try reader.finish()
        self.bytes = bytes
        digest = Hasher256.hash(.batch, bytes)
    }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        try self.init(bytes: try reader.blob(limit: Self.maxBytes))
    }
    public func encode(into writer: inout ByteWriter) { writer.put(blob: bytes) }

    public static func == (a: Self, b: Self) -> Bool { a.digest == b.digest }
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
