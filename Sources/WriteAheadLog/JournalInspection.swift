/// What the files of a journal hold, read as `Journal.open` reads them and left as they are: nothing is repaired, synced or
/// removed.
public struct JournalInspection: Sendable {
    /// A file of the journal.
    public struct Segment: Hashable, Sendable {
        /// How it came to be.
        public enum Kind: String, Sendable {
            /// The journal's first.
            case genesis
            case continuation
            /// Repeats what was still needed of older ones.
            case compaction
        }

        /// Counted up over the journal's life.
        public let number: UInt64
        /// By its header.
        public let kind: Kind
        /// Of its first record, counted over the journal's life.
        public let firstSequence: UInt64
        /// Bytes of the file.
        public let size: Int
        /// Where its last record ends.
        public let end: Int
        /// With a payload.
        public let records: Int
        /// Records of the journal's own: claims that all before is durable, or that a compaction is finished.
        public let marks: Int
        /// One of the two copies of its header is not what was written; the other one is.
        public let hasDamagedCopy: Bool
    }

    /// Where a record stands, and what it holds.
    public struct Record: Sendable {
        /// The number of the segment that holds it.
        public let segment: UInt64
        /// Of its header, in bytes from the beginning of the segment.
        public let offset: Int
        /// Counted over the journal's life, the journal's own records included.
        public let sequence: UInt64
        /// As it was appended.
        public let payload: [UInt8]
    }

    /// Oldest first, without those that a finished compaction has made needless.
    public let segments: [Segment]
    /// In order; each is whole, and chained to the one before.
    public let records: [Record]
    /// Behind the end of the last segment stands what a write that was cut short has left. Nobody was told that it is
    /// durable.
    public let hasTornTail: Bool
    /// A newest segment that was being created when the power went.
    public let unborn: UInt64?
    /// Segments that are not needed any more, and files to be written over.
    public let spareFiles: Int

    /// Where the next record belongs.
    public var end: (segment: UInt64, offset: Int) { segments.last.map { ($0.number, $0.end) } ?? (0, 0) }
}

extension Journal {
    /// Reads a journal that nobody writes to.
    /// - Throws: what `open` throws for the same files.
    public static func inspect(_ storage: Storage) throws(JournalError) -> JournalInspection {
        let names = try storage.names()
        let incarnations = names.compactMap { SegmentName.incarnation(ofLive: $0) }.sorted(by: >)
        guard !incarnations.isEmpty else { throw .missing(path: storage.path) }
        let (chain, _, end) = try readBack(storage, incarnations, syncs: false)
        var segments: [JournalInspection.Segment] = []
        var records: [JournalInspection.Record] = []
        for (segment, walk) in zip(chain.segments, chain.walks).reversed() {
            guard let header = segment.header else { continue }
            segments.append(
                .init(
                    number: segment.incarnation, kind: .init(header.kind), firstSequence: header.firstSequence,
                    size: segment.size, end: walk.offset, records: walk.records.count,
                    marks: Int(walk.nextSequence - header.firstSequence) - walk.records.count,
                    hasDamagedCopy: segment.hasDamagedCopy))
            for (payload, place) in zip(walk.records, walk.places) {
                records.append(
                    .init(
                        segment: segment.incarnation, offset: place.offset, sequence: place.sequence, payload: payload))
            }
        }
        let needed = segments.count + (chain.unborn == nil ? 0 : 1)
        return JournalInspection(
            segments: segments, records: records, hasTornTail: end.hasRemains, unborn: chain.unborn?.incarnation,
            spareFiles: names.count { SegmentName.size(ofSpare: $0) != nil } + incarnations.count - needed)
    }
}

extension JournalInspection.Segment.Kind {
    fileprivate init(_ kind: SegmentHeader.Kind) {
        switch kind {
        case .genesis: self = .genesis
        case .continuation: self = .continuation
        case .compaction: self = .compaction
        }
    }
}
