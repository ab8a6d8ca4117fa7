import Crypto
import Glibc
import Messages
import WriteAheadLog

/// What a record of an archive looks like on the disk.
///
///     0   magic, u32
///     4   bytes of the payload, u32
///     8   sequence number, u64
///     16  SHA-256 of the three and the payload, cut to 16 bytes
///     32  payload: an `ArchivedBatch`
///
/// Integers are little-endian. The magic is the format's version.
enum ArchiveRecord {
    static let headerSize = 32
    static let magic: UInt32 = 0x3141_5251
    /// No record is longer: a host could not answer with it in one frame, which has 16 MiB at most. Batch and requests
    /// have 4 MiB each, so that leaves have 8 MiB: 500 results of calls of the greatest length.
    static let maxPayload = 16 << 20 - 64 << 10

    /// Nil for one that is too long even without the requests that only explain it.
    static func encode(_ batch: ArchivedBatch) -> [UInt8]? {
        var writer = ByteWriter(reserving: headerSize + batch.batch.count + 512 + batch.leaves.count * 64)
        writer.put(magic)
        writer.put(UInt32(0))
        writer.put(batch.sequence)
        writer.put(zeros: 16)
        writer.put(batch)
        guard writer.bytes.count - headerSize <= maxPayload else {
            guard !batch.requests.isEmpty else { return nil }
            return encode(
                ArchivedBatch(statement: batch.statement, batch: batch.batch, leaves: batch.leaves, requests: []))
        }
        writer.replace(at: 4, with: UInt32(writer.bytes.count - headerSize))
        let check = check(writer.bytes[...])
        check.withUnsafeBytes { writer.replace(at: 16, withRaw: $0) }
        return writer.bytes
    }

    /// - Parameter record: header and payload.
    static func check(_ record: ArraySlice<UInt8>) -> [UInt8] {
        var hash = SHA256()
        record.withUnsafeBytes { bytes in
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[..<16]))
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[headerSize...]))
        }
        return Array(hash.finalize().prefix(16))
    }

    /// What a header says; nil if there is none.
    /// - Parameter room: bytes from the header's first to the end of the file.
    static func header(_ bytes: ArraySlice<UInt8>, room: Int) -> (length: Int, sequence: SequenceNumber)? {
        var reader = ByteReader(bytes)
        guard bytes.count >= headerSize, let found = try? reader.uint32(), found == magic,
            let length = try? reader.uint32(), let sequence: SequenceNumber = try? reader.value(),
            Int(length) <= maxPayload, headerSize + Int(length) <= room
        else { return nil }
        return (headerSize + Int(length), sequence)
    }

    /// The record that begins at `offset`; nil if there is no whole one with this number.
    static func find(_ bytes: [UInt8], at offset: Int, sequence: SequenceNumber) -> Range<Int>? {
        let rest = bytes[min(offset, bytes.count)...]
        guard let (length, number) = header(rest.prefix(headerSize), room: rest.count), number == sequence else {
            return nil
        }
        let range = offset..<offset + length
        return check(bytes[range]).elementsEqual(bytes[offset + 16..<offset + 32]) ? range : nil
    }
}

/// How an archive of one shard is kept.
public struct ArchiveOptions: Sendable {
    /// Bytes of a segment. The first ones are smaller, so that a small cluster takes little; one that holds a larger
    /// record is as large as that.
    public var segmentBytes = 8 << 20
    /// Bytes of all segments together. Before one more, the oldest goes. Nil keeps everything.
    public var limit: Int?
    /// Whether the disk has room for a segment of so many bytes. Where it has not, the oldest go.
    public var hasRoom: @Sendable (Int) -> Bool = { _ in true }

    /// Segments of 8 MiB, and all of them.
    public init() {}
}

/// The segments of one archive as its reader may use them. Made by `BatchArchive`, for any thread.
public struct ArchiveContents: Sendable {
    /// One file: consecutive batches, `first` and those that follow.
    struct Segment: Sendable, Hashable {
        let name: String
        let first: SequenceNumber
        /// Batches in it that are whole.
        var count: UInt64
        /// Where the next record goes, or nil for one that nothing more is written to.
        var end: Int
    }

    var segments: [Segment] = []

    /// Every sequence number that it should have, ascending; for tests.
    package var numbers: [UInt64] { segments.flatMap { $0.first.number..<$0.first.number + $0.count } }

    /// The first sequence number; 0 if there is none.
    public var first: SequenceNumber { segments.first { $0.count > 0 }?.first ?? SequenceNumber(0) }

    /// The last sequence number; 0 if there is none.
    public var last: SequenceNumber {
        guard let last = segments.last(where: { $0.count > 0 }) else { return SequenceNumber(0) }
        return SequenceNumber(last.first.number + last.count - 1)
    }
}

/// What an archive had to leave out or drop, so that its host need not stop for it.
public struct ArchiveLosses: Equatable, Sendable {
    /// Batches that are longer than any record may be.
    public var tooLarge: [SequenceNumber] = []
    /// Batches for which there was no room.
    public var withoutRoom: [SequenceNumber] = []
    /// What the system said of that; nil if it was not asked.
    public var refusal: JournalError?
    /// Bytes of old segments that went because the disk is full.
    public var droppedBytes = 0

    /// None.
    public init() {}
    /// Whether nothing was left out or dropped.
    public var isEmpty: Bool { self == ArchiveLosses() }
}

/// The executed batches of one shard, in files of a folder, in their order; it has gaps where this host fetched a
/// state in place of executing. Not for two threads at once.
///
/// Nothing here is needed to vote or to execute. A tail that a power loss has torn is written again by whoever executes
/// its batches again: a batch that is there already is not written twice. So `sync` must have returned before a state
/// that holds the batches is durable.
public final class BatchArchive<Storage: JournalStorage> {
    private let storage: Storage
    private let options: ArchiveOptions
    /// What is there, damaged ends left out.
    public private(set) var contents = ArchiveContents()
    /// Bytes of all files.
    private var sizes: [String: Int] = [:]
    /// What all files of it take, room that is not written yet among it.
    public var bytes: Int { sizes.values.reduce(0, +) }
    /// The last segment is written to; it has this name.
    private var open: (name: String, size: Int)?
    private var isSynced = true
    private var areNamesSynced = true
    private var losses = ArchiveLosses()

    /// Drops what is over the limit, and reads the last segment, to know where it ends.
    /// - Throws: what the storage throws.
    public init(_ storage: Storage, options: ArchiveOptions = .init()) throws(JournalError) {
        (self.storage, self.options) = (storage, options)
        let names = try storage.names().filter { Self.first(of: $0) != nil }.sorted()
        for name in names {
            guard let first = Self.first(of: name) else { continue }
            sizes[name] = try storage.size(of: name)
            // It ends where the next one begins, unless the host has skipped something between, or it is damaged:
            // whoever reads it sees.
            contents.segments.append(.init(name: name, first: first, count: 0, end: 0))
        }
        for i in contents.segments.indices.dropLast() {
            let next = contents.segments[i + 1].first.number
            contents.segments[i].count = next - contents.segments[i].first.number
        }
        try drop { total in options.limit.map { total > $0 } ?? false }
        while let last = contents.segments.last {
            let (count, end, isClean) = try Self.scan(try storage.read(last.name), first: last.first)
            if count > 0 {
                contents.segments[contents.segments.count - 1].count = count
                contents.segments[contents.segments.count - 1].end = end
                // Behind a torn or damaged record another one goes into a segment of its own.
                if isClean { open = (last.name, sizes[last.name] ?? 0) }
                break
            }
            // Made, and then the power went; or its first record is damaged, and what follows is of no use here.
            try remove(last.name)
            contents.segments.removeLast()
        }
    }

    private static var firstSegment: Int { 256 << 10 }

    /// Names sort as the numbers do.
    static func name(_ first: SequenceNumber) -> String {
        let digits = String(first.number)
        return String(repeating: "0", count: 20 - digits.count) + digits + ".batches"
    }

    static func first(of name: String) -> SequenceNumber? {
        // So far no shard comes: nothing that is computed with it is too large.
        guard name.hasSuffix(".batches"), name.utf8.count == 28, let number = UInt64(name.prefix(20)),
            number > 0, number < SequenceNumber.archivable
        else { return nil }
        return SequenceNumber(number)
    }

    private static func scan(
        _ bytes: [UInt8], first: SequenceNumber
    ) throws(JournalError) -> (count: UInt64, end: Int, isClean: Bool) {
        var (count, end) = (UInt64(0), 0)
        while let range = ArchiveRecord.find(bytes, at: end, sequence: SequenceNumber(first.number + count)) {
            (count, end) = (count + 1, range.upperBound)
        }
        return (count, end, bytes[end...].allSatisfy { $0 == 0 })
    }

    /// Those that are there already are left out. They are readable at once, and durable after `sync`. Where there is no
    /// room, the oldest segments go; where that is not enough, what is given is left out.
    /// - Parameter batches: of this shard, ascending.
    /// - Returns: what is not there for it.
    /// - Throws: what the storage throws, unless it is for want of room; then nothing more is to be written.
    @discardableResult public func append(_ batches: [ArchivedBatch]) throws(JournalError) -> ArchiveLosses {
        losses = ArchiveLosses()
        var waiting: (bytes: [UInt8], numbers: [SequenceNumber]) = ([], [])
        for batch in batches {
            let last = waiting.numbers.last ?? contents.last
            guard batch.sequence > last else { continue }
            guard let record = ArchiveRecord.encode(batch) else {
                losses.tooLarge.append(batch.sequence)
                continue
            }
            let end = (contents.segments.last?.end ?? 0) + waiting.bytes.count
            let follows = batch.sequence.number == last.number + 1 && !contents.segments.isEmpty
            if !follows || open == nil || end + record.count > (open?.size ?? 0) {
                try write(&waiting)
                guard try begin(batch.sequence, atLeast: record.count) else {
                    losses.withoutRoom.append(batch.sequence)
                    continue
                }
            }
            waiting.bytes += record
            waiting.numbers.append(batch.sequence)
        }
        try write(&waiting)
        return losses
    }

    private func write(_ waiting: inout (bytes: [UInt8], numbers: [SequenceNumber])) throws(JournalError) {
        guard let first = waiting.numbers.first, let open else { return }
        defer { waiting = ([], []) }
        let bytes = waiting.bytes
        // Its room was allocated; some file systems take more even so.
        let isWritten = try withRoom(for: bytes.count) { () throws(JournalError) in
            // With an old segment the place in the list moves, and the end stays.
            let end = contents.segments.last?.end ?? 0
            try storage.write(bytes, to: open.name, at: end)
        }
        guard isWritten else {
            losses.withoutRoom += waiting.numbers
            // Nothing is written over what is half written.
            try sync()
            storage.release(open.name)
            self.open = nil
            if contents.segments.last?.first == first {
                contents.segments.removeLast()
                try remove(open.name)
            }
            return
        }
        isSynced = false
        contents.segments[contents.segments.count - 1].end += bytes.count
        contents.segments[contents.segments.count - 1].count += UInt64(waiting.numbers.count)
    }

    /// The one before is durable first, so that what a power loss tears is always in the last one.
    /// - Returns: false if there is no room for it.
    private func begin(_ first: SequenceNumber, atLeast bytes: Int) throws(JournalError) -> Bool {
        try sync()
        if let open { storage.release(open.name) }
        open = nil
        let name = Self.name(first)
        // Of a start that found nothing whole in it, or of a write that had no room.
        if sizes[name] != nil { try remove(name) }
        contents.segments.removeAll { $0.name == name }
        let usual = min(options.segmentBytes, Self.firstSegment << min(contents.segments.count, 10))
        let size = max(usual, (bytes + 4095) / 4096 * 4096)
        try drop { total in options.limit.map { total + size > $0 } ?? false }
        let before = sizes.count
        let hasRoom = options.hasRoom
        try drop(counting: true) { _ in !hasRoom(size) }
        // As much as went may be taken again.
        guard hasRoom(size) || sizes.count < before else { return false }
        let isMade = try withRoom(for: size) { () throws(JournalError) in
            do throws(JournalError) { try storage.create(name, size: size) } catch {
                // There may be a part of it.
                try? storage.remove(name)
                throw error
            }
        }
        guard isMade else { return false }
        areNamesSynced = false
        sizes[name] = size
        open = (name, size)
        contents.segments.append(.init(name: name, first: first, count: 0, end: 0))
        try drop { total in options.limit.map { total > $0 } ?? false }
        return true
    }

    /// Does it, and once more when as many bytes of old segments are gone, if there was no room.
    /// - Returns: false if there is no room even then. No sync has failed, so nothing that was durable is in doubt (R7).
    private func withRoom(
        for bytes: Int, _ work: () throws(JournalError) -> Void
    ) throws(JournalError) -> Bool {
        do throws(JournalError) {
            try work()
            return true
        } catch {
            guard error.isForRoom else { throw error }
            losses.refusal = error
        }
        let before = sizes.values.reduce(0, +)
        try drop(counting: true) { total in before - total < bytes }
        guard sizes.values.reduce(0, +) < before else { return false }
        do throws(JournalError) {
            try work()
            return true
        } catch {
            guard error.isForRoom else { throw error }
            return false
        }
    }

    /// Drops the oldest segments, but never the last one, while there is a reason.
    /// - Parameter isNeeded: is given the bytes of all that are there.
    private func drop(counting: Bool = false, while isNeeded: (Int) -> Bool) throws(JournalError) {
        while contents.segments.count > 1, isNeeded(sizes.values.reduce(0, +)) {
            let name = contents.segments[0].name
            if counting { losses.droppedBytes += sizes[name] ?? 0 }
            try remove(name)
            contents.segments.removeFirst()
        }
    }

    private func remove(_ name: String) throws(JournalError) {
        try storage.remove(name)
        sizes[name] = nil
        areNamesSynced = false
    }

    /// Returns when everything that was appended is durable.
    /// - Throws: what the storage throws; it is not to be tried again (R7).
    public func sync() throws(JournalError) {
        if !areNamesSynced {
            try storage.syncDirectory()
            areNamesSynced = true
        }
        if !isSynced, let open {
            try storage.sync(open.name)
            isSynced = true
        }
    }
}

extension JournalError {
    /// There was no room for it on the disk, in a quota, or under a limit of the process.
    fileprivate var isForRoom: Bool {
        guard case .storage(let operation, _, let code) = self, operation != .sync, operation != .syncDirectory else {
            return false
        }
        return [ENOSPC, EDQUOT, EFBIG].contains(code)
    }
}
