// How batches travel between hosts: moments in the life of each batch, as the hosts saw them. Kept beside the protocol,
// by runtimes; nothing is decided by them (docs/BENCH.md, Propagation delay).

/// What happened to a batch at a host.
public enum BatchMomentKind: UInt8, Sendable, CaseIterable {
    /// The primary handed its PRE-PREPARE over to its sessions.
    case proposed = 1
    /// A PRE-PREPARE was read off a session.
    case received = 2
    /// It was executed.
    case executed = 3
    /// A backup handed its PREPARE over to its sessions.
    case prepareSent = 4
    /// A PREPARE was read off a session.
    case prepareRead = 5

    /// Every batch has these; the others are kept of one batch in `BatchMoment.sampledEach` only.
    public var isOfEveryBatch: Bool {
        switch self {
        case .proposed, .received, .executed: true
        case .prepareSent, .prepareRead: false
        }
    }
}

/// A moment in the life of a batch, as one host saw it.
public struct BatchMoment: Hashable, Sendable, CanonicalCodable {
    /// One batch in so many is sampled, by its number, so that all hosts choose the same ones without a word.
    public static let sampledEach: UInt64 = 8

    /// Which shard ordered it.
    public let shard: ShardID
    /// In which it was proposed; 0 where it was executed, which may be in a later one.
    public let view: View
    /// Its place in the shard's order.
    public let sequence: SequenceNumber
    /// What happened.
    public let kind: BatchMomentKind
    /// Who sent it, where something was read; otherwise the host itself.
    public let from: HostID
    /// Nanoseconds of the monotonic clock of the host's machine.
    public let at: UInt64

    /// One host's word.
    public init(
        shard: ShardID, view: View, sequence: SequenceNumber, kind: BatchMomentKind, from: HostID, at: UInt64
    ) {
        (self.shard, self.view, self.sequence) = (shard, view, sequence)
        (self.kind, self.from, self.at) = (kind, from, at)
    }
    /// Refuses an unknown kind; shards and hosts may be any.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, view, sequence) = (try reader.value(), try reader.value(), try reader.value())
        guard let kind = BatchMomentKind(rawValue: try reader.uint8()) else { throw reader.invalid("kind of moment") }
        self.kind = kind
        (from, at) = (try reader.value(), try reader.uint64())
    }
    /// In the order of declaration; one byte for the kind.
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(view)
        writer.put(sequence)
        writer.put(kind.rawValue)
        writer.put(from)
        writer.put(at)
    }

    /// Whether it is of a batch of which everything is kept.
    public var isSampled: Bool { Self.isSampled(sequence) }

    /// Whether everything is kept of the batch with this number.
    public static func isSampled(_ sequence: SequenceNumber) -> Bool { sequence.number.isMultiple(of: sampledEach) }

    /// The same moment by another clock.
    public func moved(to at: UInt64) -> BatchMoment {
        BatchMoment(shard: shard, view: view, sequence: sequence, kind: kind, from: from, at: at)
    }
}

/// What a tool or gateway asks of a host that it observes.
public struct ObservationQuery: Hashable, Sendable, CanonicalCodable {
    /// Moments from this place in their order on: `.max` for none but the place itself, and then what the last answer
    /// had as `next`.
    public let since: UInt64
    /// Only of batches that are sampled: a part of the volume, and all of each.
    public let isSampled: Bool
    /// Undecided records too: the host has to look for the oldest ones.
    public let wantsRecords: Bool

    /// - Parameter since: 0 for all that are kept.
    public init(since: UInt64, isSampled: Bool, wantsRecords: Bool = false) {
        (self.since, self.isSampled, self.wantsRecords) = (since, isSampled, wantsRecords)
    }
    /// Any place is taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (since, isSampled, wantsRecords) = (try reader.uint64(), try reader.bool(), try reader.bool())
    }
    /// In the order of declaration.
    public func encode(into writer: inout ByteWriter) {
        writer.put(since)
        writer.put(isSampled)
        writer.put(wantsRecords)
    }
}

/// A record that a replica keeps and that is not decided: it holds escrow or locks.
public struct UndecidedRecord: Hashable, Sendable, CanonicalCodable {
    /// Of one shard, in one answer: the oldest ones.
    public static let maxOfShard = 16
    /// Shards that are named of one record.
    public static let maxWaits = 64

    /// Whose replica has recorded it; it has voted.
    public let shard: ShardID
    /// The digest of the signed request.
    public let request: Digest
    /// For how long this replica has seen it undecided, in microseconds.
    public let age: UInt64
    /// Other participants that this replica does not know to be decided, ascending; empty if it has not looked yet.
    public let waitsFor: [ShardID]

    /// - Parameter waitsFor: what is above `maxWaits` is left out.
    public init(shard: ShardID, request: Digest, age: UInt64, waitsFor: [ShardID]) {
        (self.shard, self.request, self.age) = (shard, request, age)
        self.waitsFor = Array(waitsFor.prefix(Self.maxWaits))
    }
    /// Refuses more than `maxWaits` shards.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, request, age) = (try reader.value(), try reader.value(), try reader.uint64())
        waitsFor = try reader.array(limit: Self.maxWaits)
    }
    /// In the order of declaration; shards are counted.
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(request)
        writer.put(age)
        writer.put(array: waitsFor)
    }
}

/// What a host answers to an `ObservationQuery`. Nobody checks it.
public struct HostObservation: Hashable, Sendable, CanonicalCodable {
    /// In one answer: some 60 KB.
    public static let maxMoments = 2048
    /// In one answer, over all shards: the oldest ones.
    public static let maxUndecided = 256

    /// Its clocks when it answered; the clock of the moments is the uptime.
    public let now: Instant
    /// Where to go on.
    public let next: UInt64
    /// In the order in which they were noted.
    public let moments: [BatchMoment]
    /// Oldest first; none unless they were asked for.
    public let undecided: [UndecidedRecord]

    /// - Parameter moments: `maxMoments` at most, or who decodes it refuses it; so with `undecided`.
    public init(now: Instant, next: UInt64 = 0, moments: [BatchMoment] = [], undecided: [UndecidedRecord]) {
        (self.now, self.next, self.moments, self.undecided) = (now, next, moments, undecided)
    }
    /// Refuses more than `maxMoments` and `maxUndecided`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        now = Instant(uptime: try reader.uint64(), wall: try reader.value())
        next = try reader.uint64()
        moments = try reader.array(limit: Self.maxMoments)
        undecided = try reader.array(limit: Self.maxUndecided)
    }
    /// Both clocks, place, counted moments, counted records.
    public func encode(into writer: inout ByteWriter) {
        writer.put(now.uptime)
        writer.put(now.wall)
        writer.put(next)
        writer.put(array: moments)
        writer.put(array: undecided)
    }
}
