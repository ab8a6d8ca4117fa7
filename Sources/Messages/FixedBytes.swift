/// 32 bytes as four words: compared and hashed in nanoseconds, which byte arrays are not.
public struct FixedBytes32: Hashable, Comparable, Sendable, CanonicalCodable {
    // Big-endian words, so that comparing words compares the bytes in order.
    let w0, w1, w2, w3: UInt64

    /// 32 zero bytes.
    public init() { (w0, w1, w2, w3) = (0, 0, 0, 0) }

    init(_ w0: UInt64, _ w1: UInt64, _ w2: UInt64, _ w3: UInt64) {
        (self.w0, self.w1, self.w2, self.w3) = (w0, w1, w2, w3)
    }

    /// Nil unless there are exactly 32 bytes.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.init(
            UInt64(bigEndian: words.0), UInt64(bigEndian: words.1), UInt64(bigEndian: words.2),
            UInt64(bigEndian: words.3))
    }

    /// The next 32 bytes as they are, without a count.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        self.init(
            UInt64(bigEndian: try reader.rawWord()), UInt64(bigEndian: try reader.rawWord()),
            UInt64(bigEndian: try reader.rawWord()), UInt64(bigEndian: try reader.rawWord()))
    }

    /// The 32 bytes as they are.
    public func encode(into writer: inout ByteWriter) { withBytes { writer.put(raw: $0) } }

    /// Borrows the 32 bytes, in order, for as long as `body` runs.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let words = (w0.bigEndian, w1.bigEndian, w2.bigEndian, w3.bigEndian)
        return try withUnsafeBytes(of: words, body)
    }

    /// A copy, 32 long.
    public var bytes: [UInt8] { withBytes { Array($0) } }

    /// As the bytes compare from the first to the last, unsigned.
    public static func < (a: Self, b: Self) -> Bool {
        (a.w0, a.w1, a.w2, a.w3) < (b.w0, b.w1, b.w2, b.w3)
    }
}

extension ByteReader {
    /// Eight bytes in memory order.
    fileprivate mutating func rawWord() throws(DecodingFailure) -> UInt64 {
        UInt64(littleEndian: try uint64()).littleEndian
    }
}

/// A newtype over 32 bytes.
public protocol Bytes32: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
    /// The bytes that the type wraps.
    var value: FixedBytes32 { get }
    /// Any 32 bytes are taken: the type says what they are for, not that they are any good.
    init(_ value: FixedBytes32)
}

extension Bytes32 {
    /// Nil unless there are exactly 32 bytes.
    public init?(bytes: some Collection<UInt8>) {
        guard let value = FixedBytes32(bytes) else { return nil }
        self.init(value)
    }
    /// Nil unless the text is exactly 64 hexadecimal digits.
    public init?(hex: String) {
        guard let bytes = Hex.decode(hex) else { return nil }
        self.init(bytes: bytes)
    }
    /// 32 bytes as they are.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        self.init(try reader.value(FixedBytes32.self))
    }
    /// 32 bytes as they are, without a count.
    public func encode(into writer: inout ByteWriter) { value.encode(into: &writer) }
    /// By the bytes: the same order on every replica, and no other meaning.
    public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    /// A copy, 32 long.
    public var bytes: [UInt8] { value.bytes }
    /// 64 hexadecimal digits in lower case.
    public var hex: String { Hex.encode(value.bytes) }
    /// The first eight hexadecimal digits: enough for a log line.
    public var short: String { String(hex.prefix(8)) }
    /// As `hex`, all 64 digits.
    public var description: String { hex }
}

/// A SHA-256 digest.
public struct Digest: Bytes32 {
    /// The digest's bytes.
    public let value: FixedBytes32
    /// Takes bytes that are a digest already; what makes one is `Hasher256`.
    public init(_ value: FixedBytes32) { self.value = value }
    /// The digest that stands for the null request (PBFT §4.4): no batch hashes to it.
    public static let null = Digest(FixedBytes32())
    /// Whether it stands for the null request, or for "none".
    public var isNull: Bool { self == .null }
}

/// An Ed25519 public key, as 32 raw bytes.
public struct PublicKey: Bytes32 {
    /// The raw bytes, as RFC 8032 encodes the point.
    public let value: FixedBytes32
    /// Whether the bytes are a key shows only when a signature is checked.
    public init(_ value: FixedBytes32) { self.value = value }
}

/// Drawn at random when a cluster is created; every signature is bound to it.
public struct ClusterID: Bytes32 {
    /// The random bytes.
    public let value: FixedBytes32
    /// Any bytes name a cluster; `cluster.json` says which is meant.
    public init(_ value: FixedBytes32) { self.value = value }
}

/// An Ed25519 signature, as 64 raw bytes.
public struct Signature: Hashable, Sendable, CanonicalCodable, CustomStringConvertible {
    let high, low: FixedBytes32

    /// 64 zero bytes, where a signature must stand and there is none: no signer makes them.
    public init() { (high, low) = (FixedBytes32(), FixedBytes32()) }

    /// Nil unless there are exactly 64 bytes. Whether they sign anything is not looked at.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 64,
            let high = FixedBytes32(bytes.prefix(32)), let low = FixedBytes32(bytes.dropFirst(32))
        else { return nil }
        (self.high, self.low) = (high, low)
    }

    /// The next 64 bytes.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (high, low) = (try reader.value(), try reader.value())
    }
    /// 64 bytes as they are, without a count.
    public func encode(into writer: inout ByteWriter) {
        high.encode(into: &writer)
        low.encode(into: &writer)
    }
    /// Borrows the 64 bytes, in order, for as long as `body` runs.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let words = (
            high.w0.bigEndian, high.w1.bigEndian, high.w2.bigEndian, high.w3.bigEndian,
            low.w0.bigEndian, low.w1.bigEndian, low.w2.bigEndian, low.w3.bigEndian
        )
        return try withUnsafeBytes(of: words, body)
    }

    /// A copy, 64 long.
    public var bytes: [UInt8] { high.bytes + low.bytes }
    /// 128 hexadecimal digits.
    public var description: String { Hex.encode(bytes) }
}

/// Bytes as hexadecimal text, as keys and digests stand in files and are shown to people.
public enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Two digits a byte, in lower case.
    public static func encode(_ bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
            for (i, byte) in bytes.enumerated() {
                buffer[2 * i] = digits[Int(byte >> 4)]
                buffer[2 * i + 1] = digits[Int(byte & 15)]
            }
            return bytes.count * 2
        }
    }

    /// Nil for an odd number of digits or anything that is not a hexadecimal digit.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count.isMultiple(of: 2) else { return nil }
        func nibble(_ c: UInt8) -> UInt8? {
            switch c {
            case 48...57: c - 48
            case 97...102: c - 87
            case 65...70: c - 55
            default: nil
            }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 2)
        for i in stride(from: 0, to: characters.count, by: 2) {
            guard let high = nibble(characters[i]), let low = nibble(characters[i + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}
