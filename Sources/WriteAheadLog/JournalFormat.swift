import Crypto
import Messages

// How a segment looks on the disk; docs of the rules that this serves stand in Journal+Replay.swift.
//
//     0      segment header, 64 bytes
//     4096   the same header again: rot of one page does not hide what the segment is
//     8192   records: 64 bytes of header, the payload, zeros up to a multiple of 8
//
// All integers are little-endian.

/// A SHA-256 cut to 16 bytes: 128 bits keep accidents and guesses apart, and nobody who can write the file is kept out.
struct ChainHash: Equatable, Sendable {
    static let size = 16
    private let high, low: UInt64

    /// The first 16 of `bytes`, which has at least that many.
    init(_ bytes: UnsafeRawBufferPointer) {
        (high, low) = (
            bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
            bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        )
    }

    init(using rng: inout some RandomNumberGenerator) { (high, low) = (rng.next(), rng.next()) }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { withUnsafeBytes(of: (high, low), body) }

    static func hash(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, _ third: UnsafeRawBufferPointer)
        -> ChainHash
    {
        var hash = SHA256()
        hash.update(bufferPointer: first)
        hash.update(bufferPointer: second)
        hash.update(bufferPointer: third)
        return hash.finalize().withUnsafeBytes { ChainHash($0) }
    }
}

extension [UInt8] {
    mutating func put(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
    mutating func put(_ hash: ChainHash) { hash.withBytes { append(contentsOf: $0) } }
}

extension UnsafeRawBufferPointer {
    func integer<T: FixedWidthInteger>(at offset: Int) -> T {
        T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
    func slice(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[offset..<offset + count])
    }
}

/// What a segment says about itself. It is durable before the first record is written behind it, and it is written only
/// when everything before the segment is durable.
struct SegmentHeader: Equatable, Sendable {
    enum Kind: UInt32, Sendable {
        /// The journal's first.
        case genesis = 1
        case continuation = 2
        /// Starts a chain that can be read without what is older, once the compaction is finished.
        case compaction = 3
    }

    /// Version 1 did not say how long the segment is.
    static let version: UInt32 = 2
    static let size = 64
    private static let pageSize = 4096
    static let copies = [0, 4096]
    static let recordsStart = 8192
    /// Of segments and of records: from 1, and so that nothing that is added to one overflows.
    private static let numbers = 1...(UInt64(1) << 62)
    private static let magic: UInt64 = 0x314C_4E52_4A54_5251

    let kind: Kind
    /// One more than the segment's before: never used twice, so that a recycled file's old records are told from new
    /// ones.
    let incarnation: UInt64
    let firstSequence: UInt64
    /// Of the record before the first, in an older segment; drawn at random for the genesis. It keys the checks of the
    /// segment's record headers, so that no client can put a record inside its payload.
    let previousHash: ChainHash
    /// Bytes of the whole segment, a multiple of 4,096. They are there before the name is, so a shorter file was cut
    /// off, and with it perhaps all that would contradict its end. Nil in version 1, and of a segment of 64 GiB or
    /// more.
    let length: Int?

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.size)
        bytes.put(Self.magic)
        bytes.put(length == nil ? 1 : Self.version)
        bytes.put(kind.rawValue | UInt32((length ?? 0) / Self.pageSize) << 8)
        bytes.put(incarnation)
        bytes.put(firstSequence)
        bytes.put(previousHash)
        bytes.put(Self.check(bytes.prefix(48)))
        return bytes
    }

    /// Both copies and what lies between: everything before the first record.
    var pages: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.recordsStart)
        for copy in Self.copies { bytes.replaceSubrange(copy..<copy + Self.size, with: encoded) }
        return bytes
    }

    /// What the first record's hash is chained to.
    var chainStart: ChainHash { Self.check(encoded[...]) }

    init(kind: Kind, incarnation: UInt64, firstSequence: UInt64, previousHash: ChainHash, length: Int?) {
        (self.kind, self.incarnation, self.firstSequence, self.previousHash) = (
            kind, incarnation, firstSequence, previousHash
        )
        self.length = length.flatMap { $0 / Self.pageSize < 1 << 24 ? $0 : nil }
    }

    private static func check(_ bytes: ArraySlice<UInt8>) -> ChainHash {
        bytes.withUnsafeBytes { ChainHash.hash($0, .init(start: nil, count: 0), .init(start: nil, count: 0)) }
    }

    /// Nil unless there is a whole header for this incarnation.
    static func read(_ bytes: [UInt8], at offset: Int, incarnation: UInt64) throws(JournalError) -> SegmentHeader? {
        guard bytes.count >= recordsStart else { return nil }
        let (magic, version, kind): (UInt64, UInt32, UInt32) = bytes.withUnsafeBytes {
            ($0.integer(at: offset), $0.integer(at: offset + 8), $0.integer(at: offset + 12))
        }
        let (found, sequence): (UInt64, UInt64) = bytes.withUnsafeBytes {
            ($0.integer(at: offset + 16), $0.integer(at: offset + 24))
        }
        let (previous, written) = bytes.withUnsafeBytes {
            (ChainHash($0.slice(offset + 32, 16)), ChainHash($0.slice(offset + 48, 16)))
        }
        guard magic == Self.magic, found == incarnation, written == check(bytes[offset..<offset + 48]) else {
            return nil
        }
        let length = version == 1 ? nil : Int(kind >> 8) * pageSize
        guard version == 1 || version == Self.version, let kind = Kind(rawValue: version == 1 ? kind : kind & 0xff)
        else {
            throw .unknownVersion(segment: incarnation, version: version)
        }
        // No journal comes that far, and whoever reads on counts on from them.
        guard numbers.contains(incarnation), numbers.contains(sequence) else {
            throw .rot(segment: incarnation, offset: offset)
        }
        return SegmentHeader(
            kind: kind, incarnation: incarnation, firstSequence: sequence, previousHash: previous, length: length)
    }
}

/// What stands before a record's payload:
///
///     0  magic  4  payload length  8  sequence  16  incarnation  24  durable before  32  kind  36  zero
///     40 hash, 16 bytes: over the previous record's hash, bytes 0 ..< 40 and the payload
///     56 check, 8 bytes: over the segment's key and bytes 0 ..< 56
struct RecordHeader {
    enum Kind: UInt32 {
        case payload = 0
        /// Nothing but a claim that everything before is durable.
        case mark = 1
        /// The compaction that began with the segment in the payload is whole and durable.
        case compactionFinished = 2
    }

    static let size = 64
    static let magic: UInt32 = 0x3143_5251

    let kind: UInt32
    let length: Int
    let sequence: UInt64
    /// Every record up to this sequence was durable when this one was written.
    let durableBefore: UInt64
    let hash: ChainHash

    static func frameSize(_ length: Int) -> Int { size + (length + 7) & ~7 }

    /// Writes the header of the record that begins at `start` in `buffer`, in the room that was left for it before the
    /// payload. What follows the payload there is padding.
    /// - Returns: the record's hash.
    static func write(
        _ kind: Kind, payload: Int, sequence: UInt64, durableBefore: UInt64, segment: SegmentHeader,
        after previous: ChainHash, to buffer: inout ByteWriter, at start: Int
    ) -> ChainHash {
        buffer.replace(at: start, with: magic)
        buffer.replace(at: start + 4, with: UInt32(payload))
        buffer.replace(at: start + 8, with: sequence)
        buffer.replace(at: start + 16, with: segment.incarnation)
        buffer.replace(at: start + 24, with: durableBefore)
        buffer.replace(at: start + 32, with: kind.rawValue)
        let hash = buffer.bytes.withUnsafeBytes {
            Self.hash($0.slice(start, 40), $0.slice(start + size, payload), after: previous)
        }
        hash.withBytes { buffer.replace(at: start + 40, withRaw: $0) }
        let check: UInt64 = buffer.bytes.withUnsafeBytes { Self.check($0.slice(start, 56), key: segment.previousHash) }
        buffer.replace(at: start + 56, with: check)
        return hash
    }

    /// Nil unless there is a record's header that this segment's writer wrote. The payload is not looked at.
    static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int, segment: SegmentHeader) -> RecordHeader? {
        guard isWritten(bytes, at: offset, incarnation: segment.incarnation, key: segment.previousHash) else {
            return nil
        }
        let length: UInt32 = bytes.integer(at: offset + 4)
        return RecordHeader(
            kind: bytes.integer(at: offset + 32), length: Int(length), sequence: bytes.integer(at: offset + 8),
            durableBefore: bytes.integer(at: offset + 24), hash: ChainHash(bytes.slice(offset + 40, 16)))
    }

    /// Whether there is a record's header that the writer of the segment with this incarnation and `previousHash`
    /// wrote.
    static func isWritten(_ bytes: UnsafeRawBufferPointer, at offset: Int, incarnation: UInt64, key: ChainHash) -> Bool
    {
        looksWritten(bytes, at: offset, incarnation: incarnation)
            && bytes.integer(at: offset + 56) == check(bytes.slice(offset, 56), key: key)
    }

    /// Whether the first fields are those of a record of this incarnation. No proof: a client can put the like into a
    /// payload.
    static func looksWritten(_ bytes: UnsafeRawBufferPointer, at offset: Int, incarnation: UInt64) -> Bool {
        offset + size <= bytes.count && bytes.integer(at: offset) == magic
            && bytes.integer(at: offset + 16) == incarnation
    }

    static func hash(_ fields: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, after previous: ChainHash)
        -> ChainHash
    {
        previous.withBytes { ChainHash.hash($0, fields, payload) }
    }

    private static func check(_ fields: UnsafeRawBufferPointer, key: ChainHash) -> UInt64 {
        let whole = key.withBytes { ChainHash.hash($0, fields, .init(start: nil, count: 0)) }
        return whole.withBytes { $0.integer(at: 0) }
    }
}

/// Files' names. Hexadecimal of fixed width, so that they sort as their numbers do.
enum SegmentName {
    static func live(_ incarnation: UInt64) -> String { "journal-" + hex(incarnation) }

    static func spare(_ incarnation: UInt64, size: Int) -> String {
        "recycle-" + hex(UInt64(size)) + "-" + hex(incarnation)
    }

    static func incarnation(ofLive name: String) -> UInt64? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "journal", parts[1].count == 16 else { return nil }
        return UInt64(parts[1], radix: 16)
    }

    static func size(ofSpare name: String) -> Int? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "recycle", parts[1].count == 16 else { return nil }
        return Int(parts[1], radix: 16)
    }

    /// Of the segment that the file was last, or, if it was none yet, is made for.
    static func incarnation(ofSpare name: String) -> UInt64? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "recycle", parts[2].count == 16 else { return nil }
        return UInt64(parts[2], radix: 16)
    }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
