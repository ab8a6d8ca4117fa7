// What is found after a crash.
//
// A sync makes a batch of records durable. Until it returned, each page of the batch may or may not be on the disk, so
// what follows the first bad record may hold perfectly good ones: a later page of the same batch. Every record says
// which sequence was durable when it was written ("durable before"). Hence the rule:
//
//   The log ends at the first bad record. If any later record, or segment, says that the bad record was durable, it is
//   rot (R4, R7), and opening throws. If none does, the bad record belongs to the batch that was being written when the
//   power went: nobody was told that it is durable, and it is the torn tail.
//
// What stands in the torn tail is overwritten with zeros, durably, before anything is appended. Otherwise a record of
// it could chain to a record appended later at the same place, if both runs append the same bytes.
//
// Only the last segment can have a torn tail: a segment is created when everything before it is durable. A newest one
// without a header was being created when the power went, if it has its length and no record of its own; else it is rot
// (R4).
//
// What nobody can see is damage that leaves nothing but zeros of the newest segment, and damage to the last batch that
// was synced if nothing was written after it: see `syncAndMark`.

import Messages

extension Journal {
    /// Reads everything back. Records of an unfinished compaction come after the older ones that they repeat.
    /// - Throws: `.missing` when there is no journal, `.rot` and `.missingSegment` when durable records are lost.
    public static func open(
        _ storage: Storage, options: JournalOptions = JournalOptions()
    ) throws(JournalError) -> (journal: Journal, records: [[UInt8]]) {
        let names = try storage.names()
        let incarnations = names.compactMap { SegmentName.incarnation(ofLive: $0) }.sorted(by: >)
        guard !incarnations.isEmpty else { throw .missing(path: storage.path) }
        // What a killed process left in the kernel's cache would be read now and could be lost later.
        try storage.syncDirectory()
        let (chain, last, end) = try readBack(storage, incarnations, syncs: true)
        try repair(storage, chain, last: last, end: end)
        let spares = try tidy(storage, names: names, live: chain.segments.map(\.incarnation), options)
        let journal = Journal(
            storage: storage, options: options,
            live: chain.segments.reversed().map { ($0.incarnation, $0.size) }, spares: spares,
            segment: last, end: end.offset, nextSequence: end.nextSequence, chain: end.hash)
        return (journal, chain.walks.reversed().flatMap(\.records))
    }

    /// From the newest segment down to the one that needs nothing older.
    /// - Parameters:
    ///   - incarnations: descending, not empty.
    ///   - syncs: makes durable what is read.
    static func readBack(
        _ storage: Storage, _ incarnations: [UInt64], syncs: Bool
    ) throws(JournalError) -> (chain: Backwards, last: SegmentHeader, end: SegmentWalk) {
        var chain = Backwards()
        for incarnation in incarnations where !chain.isComplete {
            let name = SegmentName.live(incarnation)
            if syncs { try storage.sync(name) }
            try chain.add(try SegmentReplay(try storage.read(name), incarnation: incarnation))
        }
        guard let last = chain.last, let end = chain.end else { throw chain.loss(path: storage.path) }
        if !chain.isComplete, let oldest = chain.segments.last { throw .missingSegment(oldest.incarnation - 1) }
        return (chain, last, end)
    }

    private static func repair(
        _ storage: Storage, _ chain: Backwards, last: SegmentHeader, end: SegmentWalk
    ) throws(JournalError) {
        for segment in chain.segments where segment.hasDamagedCopy {
            guard let header = segment.header else { continue }
            let name = SegmentName.live(segment.incarnation)
            try storage.write(header.pages, to: name, at: 0)
            try storage.sync(name)
        }
        guard end.hasRemains, let size = chain.segments.first?.size else { return }
        let name = SegmentName.live(last.incarnation)
        let zeros = [UInt8](repeating: 0, count: min(1 << 20, size - end.offset))
        for start in stride(from: end.offset, to: size, by: 1 << 20) {
            try storage.write(
                size - start < zeros.count ? Array(zeros.prefix(size - start)) : zeros, to: name, at: start)
        }
        try storage.sync(name)
    }

    /// Removes what a crash left behind: a segment that was never born, segments older than a finished compaction,
    /// spares of another size. Returns the spares that can be used.
    private static func tidy(
        _ storage: Storage, names: [String], live: [UInt64], _ options: JournalOptions
    ) throws(JournalError) -> [String] {
        var spares: [String] = []
        var removed = false
        for name in names.sorted() {
            // A spare that was cut off, or grew, is none.
            if let size = SegmentName.size(ofSpare: name), size == options.segmentSize,
                spares.count < options.spareSegments,
                try storage.size(of: name) == size
            {
                // What a killed process made has no durable length, and is to get a segment's name.
                try storage.sync(name)
                spares.append(name)
                continue
            }
            let isGarbage =
                SegmentName.incarnation(ofLive: name).map { !live.contains($0) }
                ?? (SegmentName.size(ofSpare: name) != nil)
            if isGarbage {
                try storage.remove(name)
                removed = true
            }
        }
        if removed { try storage.syncDirectory() }
        return spares
    }
}

/// Segments from the newest to the oldest that is needed, each checked against the one after it.
struct Backwards {
    private(set) var segments: [SegmentReplay] = []
    private(set) var walks: [SegmentWalk] = []
    private(set) var isComplete = false
    /// The newest, without a header. Whether it was never born shows the one before it.
    private(set) var unborn: SegmentReplay?
    private var finished: [UInt64] = []

    var last: SegmentHeader? { segments.first?.header }
    var end: SegmentWalk? { walks.first }

    /// What it means that no segment has a header.
    func loss(path: String) -> JournalError {
        guard let unborn, !(unborn.incarnation == 1 && unborn.isUnborn(after: nil)) else { return .missing(path: path) }
        return .rot(segment: unborn.incarnation, offset: 0)
    }

    mutating func add(_ segment: SegmentReplay) throws(JournalError) {
        guard let header = segment.header else {
            // Its header was never durable, so nothing was written behind it; only the newest can be like that.
            guard segments.isEmpty, unborn == nil else { throw .rot(segment: segment.incarnation, offset: 0) }
            unborn = segment
            return
        }
        guard !segment.isCutOff else { throw .rot(segment: segment.incarnation, offset: segment.size) }
        let walk: SegmentWalk
        if let next = segments.last?.header {
            guard next.incarnation == segment.incarnation + 1 else { throw .missingSegment(next.incarnation - 1) }
            walk = segment.walk(header, until: next.firstSequence)
            guard walk.nextSequence == next.firstSequence, walk.hash == next.previousHash else {
                throw .rot(segment: segment.incarnation, offset: walk.offset)
            }
        } else {
            walk = segment.walk(header, until: nil)
            let isRot = walk.isContradicted && !Mutant.is(.rotTakenForTornTail)
            // A segment that was being created says, as a whole one does, that everything before it is durable.
            guard !isRot, !(unborn != nil && walk.hasRemains) else {
                throw .rot(segment: segment.incarnation, offset: walk.offset)
            }
            if let unborn {
                guard unborn.incarnation == segment.incarnation + 1 else {
                    throw .missingSegment(unborn.incarnation - 1)
                }
                guard unborn.isUnborn(after: walk.hash) else { throw .rot(segment: unborn.incarnation, offset: 0) }
            }
        }
        finished += walk.finishedCompactions
        segments.append(segment)
        walks.append(walk)
        switch header.kind {
        case .genesis: isComplete = true
        case .compaction: isComplete = finished.contains(segment.incarnation)
        case .continuation: break
        }
    }
}

/// The records of one segment up to its end or first bad record.
struct SegmentWalk {
    var records: [[UInt8]] = []
    /// Of each of `records`.
    var places: [(sequence: UInt64, offset: Int)] = []
    var finishedCompactions: [UInt64] = []
    /// Where the next record belongs.
    var offset = SegmentHeader.recordsStart
    var nextSequence: UInt64
    var hash: ChainHash
    /// A record behind the end is of this incarnation: the tail is torn, or the record at the end is rotten.
    var hasRemains = false
    /// ... and one of them says that the record at the end was durable.
    var isContradicted = false
}

/// One segment's bytes.
struct SegmentReplay {
    let incarnation: UInt64
    let header: SegmentHeader?
    let hasDamagedCopy: Bool
    /// It is shorter than it was made.
    let isCutOff: Bool
    private let bytes: [UInt8]

    var size: Int { bytes.count }

    init(_ bytes: [UInt8], incarnation: UInt64) throws(JournalError) {
        self.incarnation = incarnation
        var headers: [SegmentHeader] = []
        for copy in SegmentHeader.copies {
            if let header = try SegmentHeader.read(bytes, at: copy, incarnation: incarnation) { headers.append(header) }
        }
        header = headers.first
        hasDamagedCopy = headers.count < SegmentHeader.copies.count
        let length = header?.length ?? bytes.count
        isCutOff = bytes.count < length
        // What was put behind its end is nobody's.
        self.bytes = bytes.count > length ? Array(bytes.prefix(length)) : bytes
    }

    /// Neither copy of the header is there, and no record was ever written behind it.
    /// - Parameter key: the hash of the last record before this segment, which tells its records from what else the
    ///   file holds. Nil for the journal's first segment, whose file was new.
    func isUnborn(after key: ChainHash?) -> Bool {
        // A file that has its name has the length of a segment.
        guard header == nil, bytes.count >= JournalOptions.minimumSegmentSize, bytes.count.isMultiple(of: 4096) else {
            return false
        }
        return bytes.withUnsafeBytes { bytes in
            !stride(from: SegmentHeader.recordsStart, through: bytes.count - RecordHeader.size, by: 8).contains {
                offset in
                guard let key else { return RecordHeader.looksWritten(bytes, at: offset, incarnation: incarnation) }
                return RecordHeader.isWritten(bytes, at: offset, incarnation: incarnation, key: key)
            }
        }
    }

    /// - Parameter until: the next segment's first sequence; nil for the last segment, where what is behind the end is
    ///   looked at.
    func walk(_ header: SegmentHeader, until: UInt64?) -> SegmentWalk {
        var walk = SegmentWalk(nextSequence: header.firstSequence, hash: header.chainStart)
        bytes.withUnsafeBytes { bytes in
            while walk.nextSequence != until, let record = record(at: walk.offset, in: bytes, header, after: walk) {
                let payload = bytes.slice(walk.offset + RecordHeader.size, record.length)
                switch RecordHeader.Kind(rawValue: record.kind) {
                case .payload:
                    walk.records.append(Array(payload))
                    walk.places.append((record.sequence, walk.offset))
                case .compactionFinished where payload.count == 8:
                    walk.finishedCompactions.append(payload.integer(at: 0))
                case .compactionFinished, .mark, nil: break
                }
                walk.offset += RecordHeader.frameSize(record.length)
                walk.nextSequence += 1
                walk.hash = record.hash
            }
            if until == nil { lookBehind(&walk, header, in: bytes) }
        }
        return walk
    }

    /// The record that continues the chain, if it is whole.
    private func record(
        at offset: Int, in bytes: UnsafeRawBufferPointer, _ segment: SegmentHeader, after walk: SegmentWalk
    ) -> RecordHeader? {
        guard let record = RecordHeader.read(bytes, at: offset, segment: segment), record.sequence == walk.nextSequence,
            record.length <= bytes.count - offset - RecordHeader.size,
            RecordHeader.hash(
                bytes.slice(offset, 40), bytes.slice(offset + RecordHeader.size, record.length), after: walk.hash)
                == record.hash
        else { return nil }
        return record
    }

    private func lookBehind(_ walk: inout SegmentWalk, _ segment: SegmentHeader, in bytes: UnsafeRawBufferPointer) {
        for offset in stride(from: walk.offset, through: bytes.count - RecordHeader.size, by: 8) {
            guard let record = RecordHeader.read(bytes, at: offset, segment: segment) else { continue }
            walk.hasRemains = true
            if record.durableBefore >= walk.nextSequence {
                walk.isContradicted = true
                return
            }
        }
    }
}
