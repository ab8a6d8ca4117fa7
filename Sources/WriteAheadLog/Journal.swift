import Messages

/// How a journal is laid out. Changing it between two runs is fine.
public struct JournalOptions: Sendable {
    /// The longest segment, in bytes: what is longer on the disk was never written by a journal.
    public static let maximumSegmentSize = 256 << 20
    static let minimumSegmentSize = 16 << 10

    /// Bytes of a segment; one that must hold a larger record grows for it. A multiple of 4,096, at least 16 KiB, at
    /// most `maximumSegmentSize`.
    public var segmentSize: Int
    /// How many segments that a compaction freed are kept to be written over, which needs no metadata to be synced.
    public var spareSegments: Int

    /// 16 MiB a segment, and two spare ones.
    /// - Precondition: a segment size as above, and no negative number of spares.
    public init(segmentSize: Int = 16 << 20, spareSegments: Int = 2) {
        precondition(
            (Self.minimumSegmentSize...Self.maximumSegmentSize).contains(segmentSize)
                && segmentSize.isMultiple(of: 4096), "segment size \(segmentSize)")
        precondition(spareSegments >= 0, "spare segments \(spareSegments)")
        (self.segmentSize, self.spareSegments) = (segmentSize, spareSegments)
    }
}

/// The host's append-only log. One `sync` makes everything appended before it durable, with one write and one
/// fdatasync.
///
/// Records lie in segments, numbered by incarnation, and are chained by hashes. What is found at `open` is every record
/// that a completed `sync` covered, in order, and perhaps some that were appended later, without a gap; anything less
/// throws. There is one value per journal: a copy must not be used beside the original.
///
/// Any error of the storage poisons the journal: what is on the disk is unknown from there on, so every later call
/// throws (R7).
public struct Journal<Storage: JournalStorage> {
    /// The largest record, in bytes.
    public static var maximumRecordLength: Int { 16 << 20 }

    let storage: Storage
    let options: JournalOptions
    /// Oldest first; the last is being written.
    var live: [(incarnation: UInt64, size: Int)]
    var spares: [String]
    var segment: SegmentHeader
    /// Framed and not written yet; goes to `offset` of the last segment.
    private var buffer = ByteWriter(reserving: 0)
    private var offset: Int
    private var nextSequence: UInt64
    /// The last sequence that a completed sync covered.
    private var durableSequence: UInt64
    private var chain: ChainHash
    /// The segment that began the unfinished compaction.
    private var compaction: UInt64?
    private var failure: JournalError?

    /// Whether anything was appended that no completed `sync` covers.
    public var hasUnsyncedRecords: Bool { durableSequence + 1 < nextSequence }

    init(
        storage: Storage, options: JournalOptions, live: [(incarnation: UInt64, size: Int)], spares: [String],
        segment: SegmentHeader, end: Int, nextSequence: UInt64, chain: ChainHash
    ) {
        (self.storage, self.options, self.live, self.spares, self.segment) = (storage, options, live, spares, segment)
        (offset, self.nextSequence, self.chain) = (end, nextSequence, chain)
        durableSequence = nextSequence - 1
    }

    /// Makes an empty journal, durably, and opens it.
    /// - Parameter rng: gives the journal a secret that its clients must not guess; a real one needs
    ///   `SystemRandomNumberGenerator`.
    /// - Throws: `.notEmpty` if the folder holds anything but the remains of an earlier `create` that was cut short.
    public static func create(
        _ storage: Storage, options: JournalOptions = JournalOptions(), using rng: inout some RandomNumberGenerator
    ) throws(JournalError) -> Journal {
        for name in try storage.names() {
            guard try isRemainsOfCreation(storage, name) else {
                throw .notEmpty(path: storage.path, found: name)
            }
            try storage.remove(name)
        }
        let header = SegmentHeader(
            kind: .genesis, incarnation: 1, firstSequence: 1, previousHash: ChainHash(using: &rng),
            length: options.segmentSize)
        var spares: [String] = []
        let size = try makeSegment(header, size: options.segmentSize, storage, options, &spares)
        return Journal(
            storage: storage, options: options, live: [(1, size)], spares: [], segment: header,
            end: SegmentHeader.recordsStart, nextSequence: 1, chain: header.chainStart)
    }

    /// Appends in memory; nothing is durable before the next `sync`, but an append that fills a segment syncs it.
    /// - Throws: `.recordTooLarge`, which harms nothing; any other error poisons.
    public mutating func append(_ payload: [UInt8]) throws(JournalError) { try append(Payload(bytes: payload)) }

    /// The same for a record that is encoded where it is written from.
    public mutating func append(_ record: some CanonicalEncodable) throws(JournalError) {
        if let failure { throw .poisoned(by: failure) }
        let (start, length) = encode(record)
        guard length <= Self.maximumRecordLength else {
            buffer.truncate(to: start)
            throw .recordTooLarge(length: length, limit: Self.maximumRecordLength)
        }
        try perform { (journal) throws(JournalError) in try journal.add(.payload, at: start, length) }
    }

    /// Everything appended is durable when this returns.
    public mutating func sync() throws(JournalError) {
        try perform { (journal) throws(JournalError) in try journal.flush() }
    }

    /// `sync`, then the same for a mark that says so. Without it, damage to the last batch that was synced looks like a
    /// batch that never was. Worth a call before a shutdown, and when there is nothing to do.
    public mutating func syncAndMark() throws(JournalError) {
        try perform { (journal) throws(JournalError) in
            try journal.flush()
            try journal.add(.mark, Payload(bytes: []))
            try journal.flush()
        }
    }

    /// What is appended from here on repeats everything that is still needed, and goes to a new segment. Until
    /// `finishCompaction` nothing older is given up; a second call begins anew.
    public mutating func beginCompaction() throws(JournalError) {
        try perform { (journal) throws(JournalError) in
            try journal.startSegment(.compaction, fitting: 0)
            journal.compaction = journal.segment.incarnation
        }
    }

    /// Everything needed has been appended since `beginCompaction`: makes that durable, says so durably, then gives up
    /// the older segments.
    public mutating func finishCompaction() throws(JournalError) {
        guard compaction != nil else { throw .noCompaction }
        try perform { (journal) throws(JournalError) in
            guard let start = journal.compaction else { return }
            var payload: [UInt8] = []
            payload.put(start)
            try journal.add(.compactionFinished, Payload(bytes: payload))
            // The chain makes the marker worthless unless all records before it are there.
            try journal.flush()
            journal.compaction = nil
            try journal.giveUp(before: start)
        }
    }

    // MARK: - Parts

    private mutating func perform(_ body: (inout Journal) throws(JournalError) -> Void) throws(JournalError) {
        if let failure { throw .poisoned(by: failure) }
        do throws(JournalError) { try body(&self) } catch {
            failure = error
            throw error
        }
    }

    /// A record that is bytes already.
    private struct Payload: CanonicalEncodable {
        let bytes: [UInt8]
        func encode(into writer: inout ByteWriter) { writer.put(raw: bytes) }
    }

    private mutating func add(_ kind: RecordHeader.Kind, _ payload: Payload) throws(JournalError) {
        let (start, length) = encode(payload)
        try add(kind, at: start, length)
    }

    /// With room for its header before it, and padded.
    /// - Returns: where that begins in the buffer, and how many bytes the payload has.
    private mutating func encode(_ payload: some CanonicalEncodable) -> (start: Int, length: Int) {
        let start = buffer.bytes.count
        buffer.put(zeros: RecordHeader.size)
        buffer.put(payload)
        let length = buffer.bytes.count - start - RecordHeader.size
        buffer.put(zeros: RecordHeader.frameSize(length) - RecordHeader.size - length)
        return (start, length)
    }

    private mutating func add(_ kind: RecordHeader.Kind, at start: Int, _ length: Int) throws(JournalError) {
        let start = try fit(from: start)
        chain = RecordHeader.write(
            kind, payload: length, sequence: nextSequence, durableBefore: durableSequence, segment: segment,
            after: chain, to: &buffer, at: start)
        nextSequence += 1
    }

    /// What begins at `start` goes to a segment of its own if this one has no room for it.
    /// - Returns: where it begins now.
    private mutating func fit(from start: Int) throws(JournalError) -> Int {
        guard offset + buffer.bytes.count > live[live.count - 1].size else { return start }
        let frame = Array(buffer.bytes[start...])
        buffer.truncate(to: start)
        try startSegment(.continuation, fitting: frame.count)
        buffer.put(raw: frame)
        return 0
    }

    private mutating func flush() throws(JournalError) {
        guard hasUnsyncedRecords else { return }
        let name = SegmentName.live(segment.incarnation)
        try storage.write(buffer.bytes, to: name, at: offset)
        try storage.sync(name)
        offset += buffer.bytes.count
        buffer.removeAll(keepingCapacity: buffer.bytes.count <= 1 << 20)
        durableSequence = nextSequence - 1
    }

    /// The old segment is durable before the new one exists: a segment's existence is a claim.
    private mutating func startSegment(_ kind: SegmentHeader.Kind, fitting frame: Int) throws(JournalError) {
        try flush()
        let needed = max(options.segmentSize, SegmentHeader.recordsStart + (frame + 4095) & ~4095)
        let header = SegmentHeader(
            kind: kind, incarnation: segment.incarnation + 1, firstSequence: nextSequence, previousHash: chain,
            length: needed)
        let size = try Self.makeSegment(header, size: needed, storage, options, &spares)
        live.append((header.incarnation, size))
        (segment, offset, chain) = (header, SegmentHeader.recordsStart, header.chainStart)
    }

    /// The length is durable before the file gets its name, so a segment that is shorter was cut off. The name is
    /// durable before the header is written: else the header could turn up in a file that is still a spare, and be
    /// believed when that file gets this name again.
    private static func makeSegment(
        _ header: SegmentHeader, size: Int, _ storage: Storage, _ options: JournalOptions, _ spares: inout [String]
    ) throws(JournalError) -> Int {
        let name = SegmentName.live(header.incarnation)
        if size == options.segmentSize, let spare = spares.popLast() {
            try storage.rename(spare, to: name)
        } else {
            let spare = SegmentName.spare(header.incarnation, size: size)
            try storage.create(spare, size: size)
            try storage.sync(spare)
            try storage.rename(spare, to: name)
        }
        try storage.syncDirectory()
        try storage.write(header.pages, to: name, at: 0)
        try storage.sync(name)
        return size
    }

    private mutating func giveUp(before incarnation: UInt64) throws(JournalError) {
        for old in live where old.incarnation < incarnation {
            let name = SegmentName.live(old.incarnation)
            if old.size == options.segmentSize && spares.count < options.spareSegments {
                let spare = SegmentName.spare(old.incarnation, size: old.size)
                try storage.rename(name, to: spare)
                spares.append(spare)
            } else {
                try storage.remove(name)
            }
        }
        live.removeAll { $0.incarnation < incarnation }
        try storage.syncDirectory()
    }

    private static func isRemainsOfCreation(_ storage: Storage, _ name: String) throws(JournalError) -> Bool {
        if SegmentName.incarnation(ofLive: name) == 1 {
            return try SegmentReplay(try storage.read(name), incarnation: 1).isUnborn(after: nil)
        }
        guard SegmentName.size(ofSpare: name) != nil, SegmentName.incarnation(ofSpare: name) == 1 else { return false }
        // A segment that was given up is a spare as well, with a header.
        let bytes = try storage.read(name)
        return bytes.allSatisfy { $0 == 0 }
    }
}

extension Journal: Sendable where Storage: Sendable {}
