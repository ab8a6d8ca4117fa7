/// Canonical encoding: little-endian fixed-width integers, `UInt32` element counts, no padding, no options.
/// One value has exactly one encoding, and decoding rejects everything else, so that a hash of the bytes is
/// a hash of the value.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(reserving capacity: Int = 128) {
        self.init(bytes: [])
        reserve(capacity)
    }

    public init(bytes: [UInt8]) { self.bytes = bytes }

    public mutating func reserve(_ capacity: Int) { bytes.reserveCapacity(capacity) }

    public mutating func put(_ value: UInt8) { bytes.append(value) }
    public mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    public mutating func put<T: FixedWidthInteger>(integer value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func put(_ value: UInt16) { put(integer: value) }
    public mutating func put(_ value: UInt32) { put(integer: value) }
    public mutating func put(_ value: UInt64) { put(integer: value) }
    public mutating func put(_ value: UInt128) { put(integer: value) }

    /// Appends bytes as they are, without a count.
    public mutating func put(raw value: [UInt8]) { bytes.append(contentsOf: value) }
    public mutating func put(raw value: UnsafeRawBufferPointer) { bytes.append(contentsOf: value) }

    /// Appends a count (bytes) and the bytes.
    public mutating func put(blob value: [UInt8]) {
        put(UInt32(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func put<T: CanonicalEncodable>(_ value: T) { value.encode(into: &self) }

    public mutating func put<T: CanonicalEncodable>(array values: [T]) {
        put(UInt32(values.count))
        for value in values { value.encode(into: &self) }
    }
}

/// Why bytes are not the canonical encoding of a value. Carries the offset at which decoding stopped.
public enum DecodingFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case truncated(offset: Int, needed: Int, available: Int)
    case trailing(count: Int)
    case tooLong(offset: Int, count: Int, limit: Int)
    case invalid(offset: Int, what: String)

    public var description: String {
        switch self {
        case .truncated(let offset, let needed, let available):
            "truncated at byte \(offset): \(needed) bytes needed, \(available) left"
        case .trailing(let count): "\(count) bytes after the end of the value"
        case .tooLong(let offset, let count, let limit): "count \(count) at byte \(offset) exceeds the limit \(limit)"
        case .invalid(let offset, let what): "invalid \(what) at byte \(offset)"
        }
    }
}

/// Reads canonical bytes. Every read is bounded by what is there; no count makes it allocate more than the
/// input could hold; it never traps on any input.
public struct ByteReader: Sendable {
    public let bytes: [UInt8]
    public private(set) var offset: Int

    public init(_ bytes: [UInt8], offset: Int = 0) {
        self.bytes = bytes
        self.offset = min(max(0, offset), bytes.count)
    }

    public var remaining: Int { bytes.count - offset }

    private mutating func take(_ count: Int) throws(DecodingFailure) -> Int {
        guard count >= 0, remaining >= count else {
            throw .truncated(offset: offset, needed: count, available: remaining)
        }
        defer { offset += count }
        return offset
    }

    public mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(DecodingFailure) -> T {
        let start = try take(MemoryLayout<T>.size)
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: T.self)) }
    }

    public mutating func uint8() throws(DecodingFailure) -> UInt8 { try integer() }
    public mutating func uint16() throws(DecodingFailure) -> UInt16 { try integer() }
    public mutating func uint32() throws(DecodingFailure) -> UInt32 { try integer() }
    public mutating func uint64() throws(DecodingFailure) -> UInt64 { try integer() }
    public mutating func uint128() throws(DecodingFailure) -> UInt128 { try integer() }

    public mutating func bool() throws(DecodingFailure) -> Bool {
        let start = offset
        switch try uint8() {
        case 0: return false
        case 1: return true
        default: throw .invalid(offset: start, what: "boolean")
        }
    }

    public mutating func raw(_ count: Int) throws(DecodingFailure) -> [UInt8] {
        let start = try take(count)
        return Array(bytes[start..<start + count])
    }

    /// - Parameter limit: the largest number of bytes that is accepted.
    public mutating func blob(limit: Int) throws(DecodingFailure) -> [UInt8] {
        let start = offset
        let count = Int(try uint32())
        guard count <= limit else { throw .tooLong(offset: start, count: count, limit: limit) }
        return try raw(count)
    }

    public mutating func value<T: CanonicalDecodable>(_: T.Type = T.self) throws(DecodingFailure) -> T {
        try T(from: &self)
    }

    /// - Parameter limit: the largest number of elements that is accepted.
    public mutating func array<T: CanonicalDecodable>(of _: T.Type = T.self, limit: Int) throws(DecodingFailure) -> [T]
    {
        let start = offset
        let count = Int(try uint32())
        guard count <= limit else { throw .tooLong(offset: start, count: count, limit: limit) }
        var values: [T] = []
        values.reserveCapacity(min(count, remaining))
        for _ in 0..<count { values.append(try T(from: &self)) }
        return values
    }

    public func invalid(_ what: String) -> DecodingFailure { .invalid(offset: offset, what: what) }

    /// Throws unless every byte was read.
    public func finish() throws(DecodingFailure) {
        guard remaining == 0 else { throw .trailing(count: remaining) }
    }
}

public protocol CanonicalEncodable {
    func encode(into writer: inout ByteWriter)
}

public protocol CanonicalDecodable {
    init(from reader: inout ByteReader) throws(DecodingFailure)
}

public typealias CanonicalCodable = CanonicalEncodable & CanonicalDecodable

extension CanonicalEncodable {
    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        encode(into: &writer)
        return writer.bytes
    }
}

extension CanonicalDecodable {
    /// The whole of `bytes` is one value; anything left over is an error.
    public init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        var reader = ByteReader(bytes)
        try self.init(from: &reader)
        try reader.finish()
    }
}
