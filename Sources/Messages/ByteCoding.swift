/// Canonical encoding: little-endian fixed-width integers, `UInt32` element counts, no padding, no options.
/// One value has exactly one encoding, and decoding rejects everything else, so that a hash of the bytes is
/// a hash of the value.
public struct ByteWriter: Sendable {
    /// What was written so far.
    public private(set) var bytes: [UInt8]

    /// Starts empty.
    /// - Parameter capacity: bytes for which room is made at once; what is written may be longer.
    public init(reserving capacity: Int = 128) {
        self.init(bytes: [])
        reserve(capacity)
    }

    /// Goes on behind bytes that are there already.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Forgets what was written, to write something else into the same memory.
    public mutating func removeAll(keepingCapacity: Bool = true) { bytes.removeAll(keepingCapacity: keepingCapacity) }

    /// Writes over bytes that were written before, for a number that is known only later.
    /// - Parameter offset: of its first byte; all of its bytes are there already.
    public mutating func replace(at offset: Int, with value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { replace(at: offset, withRaw: $0) }
    }

    /// The same for bytes as they are.
    public mutating func replace(at offset: Int, withRaw value: UnsafeRawBufferPointer) {
        precondition(offset >= 0 && offset + value.count <= bytes.count)
        bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: value) }
    }

    /// Forgets what was written behind the first `count` bytes.
    public mutating func truncate(to count: Int) { bytes.removeLast(max(0, bytes.count - count)) }

    /// Makes room for so many bytes in all.
    public mutating func reserve(_ capacity: Int) { bytes.reserveCapacity(capacity) }

    /// One byte.
    public mutating func put(_ value: UInt8) { bytes.append(value) }
    /// One byte: 1 for true, 0 for false.
    public mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// As many bytes as the type has, the lowest first; negative numbers in two's complement.
    public mutating func put<T: FixedWidthInteger>(integer value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Two bytes, the lowest first.
    public mutating func put(_ value: UInt16) { put(integer: value) }
    /// Four bytes, the lowest first.
    public mutating func put(_ value: UInt32) { put(integer: value) }
    /// Eight bytes, the lowest first.
    public mutating func put(_ value: UInt64) { put(integer: value) }
    /// Sixteen bytes, the lowest first.
    public mutating func put(_ value: UInt128) { put(integer: value) }

    /// Appends bytes as they are, without a count.
    public mutating func put(raw value: [UInt8]) { bytes.append(contentsOf: value) }
    /// The same from memory that is only borrowed.
    public mutating func put(raw value: UnsafeRawBufferPointer) { bytes.append(contentsOf: value) }

    /// So many bytes of zero.
    public mutating func put(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// Appends a count (bytes) and the bytes.
    public mutating func put(blob value: [UInt8]) { put(blob: value[...]) }
    /// The same for a part of an array.
    public mutating func put(blob value: ArraySlice<UInt8>) {
        put(UInt32(value.count))
        bytes.append(contentsOf: value)
    }

    /// As the value encodes itself, without a tag or a length of its own.
    public mutating func put<T: CanonicalEncodable>(_ value: T) { value.encode(into: &self) }

    /// A `UInt32` count, then the elements in order.
    public mutating func put<T: CanonicalEncodable>(array values: [T]) {
        put(UInt32(values.count))
        for value in values { value.encode(into: &self) }
    }
}

/// Why bytes are not the canonical encoding of a value. Carries the offset at which decoding stopped.
public enum DecodingFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The input ends within a value.
    case truncated(offset: Int, needed: Int, available: Int)
    /// The value is complete, and bytes are left.
    case trailing(count: Int)
    /// A count is above what may stand there, whatever follows.
    case tooLong(offset: Int, count: Int, limit: Int)
    /// The bytes are there and stand for nothing: an unknown kind, a wrong order, text that is not UTF-8. The offset is
    /// at or behind them.
    case invalid(offset: Int, what: String)

    /// What is wrong and at which byte, as it is logged and counted.
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
    /// The whole input, what was read included.
    public let bytes: ArraySlice<UInt8>
    /// Of the next byte that is read: 0 ... bytes.count, whatever part of an array the input is.
    public private(set) var offset: Int
    /// What need not be decoded again; nil where nothing is remembered.
    let memory: RequestMemory?

    /// Copies nothing. An offset outside the input is moved to its nearest end.
    public init(_ bytes: [UInt8], offset: Int = 0) { self.init(bytes[...], offset: offset) }

    /// Copies nothing. An offset outside the input is moved to its nearest end.
    /// - Parameter memory: where requests that are read may be found.
    public init(_ bytes: ArraySlice<UInt8>, offset: Int = 0, memory: RequestMemory? = nil) {
        (self.bytes, self.memory) = (bytes, memory)
        self.offset = min(max(0, offset), bytes.count)
    }

    /// Bytes that are not read yet.
    public var remaining: Int { bytes.count - offset }

    private mutating func take(_ count: Int) throws(DecodingFailure) -> Int {
        guard count >= 0, remaining >= count else {
            throw .truncated(offset: offset, needed: count, available: remaining)
        }
        defer { offset += count }
        return offset
    }

    /// As many bytes as the type has, the lowest first.
    /// - Throws: `truncated`, and then nothing was read.
    public mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(DecodingFailure) -> T {
        let start = try take(MemoryLayout<T>.size)
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: T.self)) }
    }

    /// One byte.
    public mutating func uint8() throws(DecodingFailure) -> UInt8 { try integer() }
    /// Two bytes, the lowest first.
    public mutating func uint16() throws(DecodingFailure) -> UInt16 { try integer() }
    /// Four bytes, the lowest first.
    public mutating func uint32() throws(DecodingFailure) -> UInt32 { try integer() }
    /// Eight bytes, the lowest first.
    public mutating func uint64() throws(DecodingFailure) -> UInt64 { try integer() }
    /// Sixteen bytes, the lowest first.
    public mutating func uint128() throws(DecodingFailure) -> UInt128 { try integer() }

    /// One byte, 0 or 1; any other is invalid, so that no boolean has two encodings.
    public mutating func bool() throws(DecodingFailure) -> Bool {
        let start = offset
        switch try uint8() {
        case 0: return false
        case 1: return true
        default: throw .invalid(offset: start, what: "boolean")
        }
    }

    /// The next `count` bytes, copied.
    /// - Throws: `truncated` if there are fewer, or `count` is negative.
    public mutating func raw(_ count: Int) throws(DecodingFailure) -> [UInt8] { Array(try slice(count)) }

    /// The next `count` bytes where they are: who keeps them keeps the whole input.
    private mutating func slice(_ count: Int) throws(DecodingFailure) -> ArraySlice<UInt8> {
        let start = try take(count) + bytes.startIndex
        return bytes[start..<start + count]
    }

    /// - Parameter limit: the largest number of bytes that is accepted.
    public mutating func blob(limit: Int) throws(DecodingFailure) -> [UInt8] { Array(try slice(blob: limit)) }

    /// The same without a copy where the blob is most of the input, and otherwise one: whoever keeps it keeps no more
    /// than twice its memory.
    /// - Parameter limit: the largest number of bytes that is accepted.
    public mutating func sharedBlob(limit: Int) throws(DecodingFailure) -> ArraySlice<UInt8> {
        let blob = try slice(blob: limit)
        return bytes.count <= 2 * blob.count + 256 ? blob : Array(blob)[...]
    }

    private mutating func slice(blob limit: Int) throws(DecodingFailure) -> ArraySlice<UInt8> {
        let start = offset
        let count = Int(try uint32())
        guard count <= limit else { throw .tooLong(offset: start, count: count, limit: limit) }
        return try slice(count)
    }

    /// The request that comes next, if just these bytes are remembered; otherwise nothing is read.
    mutating func rememberedRequest() -> SignedRequest? {
        guard let memory else { return nil }
        var ahead = self
        guard let blob = try? ahead.slice(blob: SignedRequest.maxBytes),
            let signature = try? ahead.value(Signature.self),
            let request = blob.withUnsafeBytes({ memory.request($0, signature) })
        else { return nil }
        offset = ahead.offset
        return request
    }

    /// As the type reads itself.
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

    /// An error at the present offset, for a value's own checks.
    /// - Parameter what: what cannot be accepted, as in "invalid batch item kind at byte 7".
    public func invalid(_ what: String) -> DecodingFailure { .invalid(offset: offset, what: what) }

    /// Throws unless every byte was read.
    public func finish() throws(DecodingFailure) {
        guard remaining == 0 else { throw .trailing(count: remaining) }
    }
}

/// A value with exactly one encoding, so that a hash of the bytes is a hash of the value.
public protocol CanonicalEncodable {
    /// Appends the value's one encoding, and nothing that depends on what was written before.
    func encode(into writer: inout ByteWriter)
}

/// A value that can be read from bytes that anybody may have sent.
public protocol CanonicalDecodable {
    /// Reads one value and leaves what follows. Every collection must be bounded by the type itself.
    /// - Throws: `DecodingFailure`, also for bytes that no `encode(into:)` writes: another encoding of a value would
    ///   have another hash.
    init(from reader: inout ByteReader) throws(DecodingFailure)
}

/// What is both written and read: everything that is hashed, signed, sent or kept.
public typealias CanonicalCodable = CanonicalEncodable & CanonicalDecodable

extension CanonicalEncodable {
    /// The encoding alone, as it is hashed, signed and compared.
    public func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        encode(into: &writer)
        return writer.bytes
    }
}

extension CanonicalDecodable {
    /// The whole of `bytes` is one value; anything left over is an error.
    /// - Parameter memory: where requests in it may be found.
    public init(decoding bytes: [UInt8], memory: RequestMemory? = nil) throws(DecodingFailure) {
        var reader = ByteReader(bytes[...], memory: memory)
        try self.init(from: &reader)
        try reader.finish()
    }
}
