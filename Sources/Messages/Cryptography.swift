import Crypto

/// Domain tags: a signature or hash made for one purpose is worthless for another.
public enum Domain: String, Sendable, CaseIterable {
    case request = "quorate/1/request"
    case leg = "quorate/1/leg"
    case account = "quorate/1/account"
    case batch = "quorate/1/batch"
    case decide = "quorate/1/decide"
    case history = "quorate/1/history"
    case attestation = "quorate/1/attestation"
    case viewChange = "quorate/1/view-change"
    case newView = "quorate/1/new-view"
    case checkpoint = "quorate/1/checkpoint"
    case stateNode = "quorate/1/state-node"
    case stateBucket = "quorate/1/state-bucket"
    case manifest = "quorate/1/manifest"
    case read = "quorate/1/read"
    case incarnation = "quorate/1/life"
    case key = "quorate/1/key"
    case response = "quorate/1/response"
    case evidence = "quorate/1/evidence"
    case procedures = "quorate/1/procedures"
    case stateKey = "quorate/1/state-key"

    /// A hasher that has taken the tag, by domain: it is the same each time.
    fileprivate static let hashers = allCases.map { domain in
        var writer = ByteWriter(reserving: 32)
        let tag = Array(domain.rawValue.utf8)
        writer.put(UInt8(tag.count))
        writer.put(raw: tag)
        var hasher = Hasher256()
        hasher.update(writer.bytes)
        return hasher
    }

    fileprivate var index: Int {
        switch self {
        case .request: 0
        case .leg: 1
        case .account: 2
        case .batch: 3
        case .decide: 4
        case .history: 5
        case .attestation: 6
        case .viewChange: 7
        case .newView: 8
        case .checkpoint: 9
        case .stateNode: 10
        case .stateBucket: 11
        case .manifest: 12
        case .read: 13
        case .incarnation: 14
        case .key: 15
        case .response: 16
        case .evidence: 17
        case .procedures: 18
        case .stateKey: 19
        }
    }
}

/// SHA-256.
public struct Hasher256: Sendable {
    private var state = SHA256()

    /// Starts without a tag: for Merkle trees, which have prefixes of their own. Whatever else the protocol hashes
    /// names its domain.
    public init() {}

    /// Starts with a domain tag and its length, so that no two domains share a prefix.
    public init(_ domain: Domain) { self = Domain.hashers[domain.index] }

    /// Goes on with these bytes, without their count.
    public mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { state.update(bufferPointer: $0) } }
    /// The same for a part of an array.
    public mutating func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { state.update(bufferPointer: $0) }
    }
    /// The same from memory that is only borrowed.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) { state.update(bufferPointer: bytes) }
    /// Goes on with the 32 bytes of a digest or key.
    public mutating func update(_ digest: some Bytes32) { digest.value.withBytes { state.update(bufferPointer: $0) } }
    /// Goes on with one byte.
    public mutating func update(_ byte: UInt8) { withUnsafeBytes(of: byte) { state.update(bufferPointer: $0) } }
    /// Goes on with as many bytes as the type has, the lowest first.
    public mutating func update(integer value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { state.update(bufferPointer: $0) }
    }

    /// The digest of all that was taken; ends the hasher.
    public consuming func finish() -> Digest {
        let digest = state.finalize()
        // SHA-256 always gives 32 bytes.
        return Digest(digest.withUnsafeBytes { FixedBytes32($0) } ?? FixedBytes32())
    }

    /// The tagged hash of bytes in one step.
    public static func hash(_ domain: Domain, _ bytes: [UInt8]) -> Digest { hash(domain, bytes[...]) }

    /// The same for a part of an array.
    public static func hash(_ domain: Domain, _ bytes: ArraySlice<UInt8>) -> Digest {
        var hasher = Hasher256(domain)
        hasher.update(bytes)
        return hasher.finish()
    }
}

/// How signatures are checked. Production uses Ed25519; the simulator may use a cheap deterministic stand-in.
public protocol SignatureScheme: Sendable {
    /// Whether `key` has signed exactly these bytes. False too for a key or signature that is none.
    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool
}

/// Something that can sign for one key.
public protocol Signer: Sendable {
    /// The key by which others check what is signed.
    var publicKey: PublicKey { get }
    /// The signature of exactly these bytes: give what `signingInput` makes of a digest.
    func sign(_ message: [UInt8]) -> Signature
}

/// Signs by Ed25519 (RFC 8032) with a private key that this process holds in memory.
public struct Ed25519Signer: Signer {
    private let key: Curve25519.Signing.PrivateKey
    /// Derived from the seed.
    public let publicKey: PublicKey

    /// - Parameter seed: 32 bytes of secret randomness; nil for any other length.
    public init?(seed: [UInt8]) {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed),
            let publicKey = PublicKey(bytes: key.publicKey.rawRepresentation)
        else { return nil }
        (self.key, self.publicKey) = (key, publicKey)
    }

    /// The 32 secret bytes of `init(seed:)`, to be written to a key file and nowhere else.
    public var seed: [UInt8] { Array(key.rawRepresentation) }

    /// 64 bytes. Traps if the library fails, which it does only out of memory.
    public func sign(_ message: [UInt8]) -> Signature {
        // Signing fails only if the library is out of memory, and a signature is always 64 bytes.
        guard let raw = try? key.signature(for: message), let signature = Signature(bytes: raw) else {
            preconditionFailure("Ed25519 signing failed for a key that this process holds")
        }
        return signature
    }
}

/// The bytes that are signed for a digest in a domain: the tag, then the digest. Hashing first keeps what is
/// signed short however large the value is.
public func signingInput(_ domain: Domain, _ digest: Digest) -> [UInt8] {
    var writer = ByteWriter(reserving: 64)
    let tag = Array(domain.rawValue.utf8)
    writer.put(UInt8(tag.count))
    writer.put(raw: tag)
    writer.put(digest)
    return writer.bytes
}
