import Messages

/// An account with escrow. Always pendingDebits ≤ posted and posted + pendingCredits ≤ `Amount.limit`.
struct AccountRecord: Hashable, CanonicalCodable {
    let owner: PublicKey
    let asset: AssetID
    var posted: UInt128 = 0
    /// Reserved by yes votes for debits: spent if they commit.
    var pendingDebits: UInt128 = 0
    /// Headroom reserved by yes votes for credits: not to be spent before they commit.
    var pendingCredits: UInt128 = 0

    init(owner: PublicKey, asset: AssetID) { (self.owner, self.asset) = (owner, asset) }

    /// Where a record must stand and there is none.
    static let blank = AccountRecord(owner: PublicKey(FixedBytes32()), asset: AssetID(0))

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (owner, asset) = (try reader.value(), try reader.value())
        (posted, pendingDebits, pendingCredits) = (try reader.uint128(), try reader.uint128(), try reader.uint128())
        guard isSound else { throw reader.invalid("balance") }
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(owner)
        writer.put(asset)
        writer.put(posted)
        writer.put(pendingDebits)
        writer.put(pendingCredits)
    }

    var isSound: Bool {
        let limit = Amount.limit.number
        return posted <= limit && pendingDebits <= posted && pendingCredits <= limit - posted
    }
    var available: UInt128 { posted - pendingDebits }
    var headroom: UInt128 { Amount.limit.number - posted - pendingCredits }
}

/// What this shard has recorded of one leg. Its first decided status is its last (R9, R10).
struct LegRecord: Hashable, CanonicalCodable {
    let leg: UInt16
    var status: LegStatus
    /// How many shards take part; 1 to 64.
    let participants: UInt8
    /// Bit i: participant i, ascending by shard, is known to have decided. This shard counts like the others.
    var knownDecided: UInt64

    init(leg: UInt16, status: LegStatus, participants: Int, own: Int) {
        (self.leg, self.status, self.participants) = (leg, status, UInt8(participants))
        knownDecided = participants > 1 && status.isDecided ? 1 << UInt64(own) : 0
    }

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (leg, status, participants) = (try reader.uint16(), try reader.value(), try reader.uint8())
        guard 1...ShardLimits.maxParticipants ~= Int(participants) else { throw reader.invalid("participant count") }
        knownDecided = participants > 1 ? try reader.uint64() : 0
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(leg)
        writer.put(status)
        writer.put(participants)
        if participants > 1 { writer.put(knownDecided) }
    }

    var isCrossShard: Bool { participants > 1 }
    private var allParticipants: UInt64 { participants == 64 ? .max : (1 << UInt64(participants)) - 1 }
    /// Every participant is certified decided, or there is only this shard.
    var isSettled: Bool { isCrossShard ? knownDecided & allParticipants == allParticipants : status.isDecided }
}

/// One signed request under a (principal, number); another one with the same number is another attempt (R11).
struct AttemptRecord: Hashable, CanonicalCodable {
    let digest: Digest
    let deadline: Timestamp
    let mode: Request.Mode
    /// The signed request is kept: some leg is cross-shard, and the record is not yet forgotten as R10 allows, that
    /// is, settled and past its deadline. It stays until then, so no record with it may go.
    var hasBody = false
    /// A root call whose `CallRecord` is kept: another shard may still need the outcome (R13).
    var hasCall = false
    /// Every leg of this shard has got a word that is not taken back: none was refused for the time being. What follows
    /// this request waits for that (`Request.follows`).
    var isWhole = false
    /// Of a root call: when it was there first (R5). Once it has failed, for the one that continues it.
    var age: Timestamp?
    /// Ascending by leg; only legs of this shard that have a recorded status.
    private(set) var legs: [LegRecord] = []

    init(digest: Digest, deadline: Timestamp, mode: Request.Mode) {
        (self.digest, self.deadline, self.mode) = (digest, deadline, mode)
    }

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (digest, deadline) = (try reader.value(), try reader.value())
        guard let mode = Request.Mode(rawValue: try reader.uint8()) else { throw reader.invalid("request mode") }
        self.mode = mode
        (hasBody, hasCall, isWhole) = (try reader.bool(), try reader.bool(), try reader.bool())
        age = try reader.bool() ? try reader.value() : nil
        legs = try reader.array(limit: Request.maxOperations)
        for (a, b) in zip(legs, legs.dropFirst()) where a.leg >= b.leg { throw reader.invalid("order of legs") }
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(digest)
        writer.put(deadline)
        writer.put(mode.rawValue)
        writer.put(hasBody)
        writer.put(hasCall)
        writer.put(isWhole)
        writer.put(age != nil)
        if let age { writer.put(age) }
        writer.put(array: legs)
    }

    /// Where the leg is or would be.
    private func position(of leg: UInt16) -> Int {
        var (low, high) = (0, legs.count)
        while low < high {
            let middle = (low + high) / 2
            if legs[middle].leg < leg { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func record(ofLeg leg: UInt16) -> LegRecord? {
        let position = position(of: leg)
        return position < legs.count && legs[position].leg == leg ? legs[position] : nil
    }

    /// Adds or replaces; a decided status is never replaced by another one.
    mutating func put(_ record: LegRecord) {
        // Legs come in their order.
        if let last = legs.last, last.leg < record.leg { return legs.append(record) }
        let position = position(of: record.leg)
        guard position < legs.count, legs[position].leg == record.leg else { return legs.insert(record, at: position) }
        precondition(
            !legs[position].status.isDecided || legs[position].status == record.status, "a decided leg changes")
        legs[position] = record
    }

    /// Nothing that another shard could still need (R10), apart from the deadline.
    var isSettled: Bool {
        if Mutant.is(.forgetsEarly) { return undecided == 0 }
        return legs.allSatisfy(\.isSettled)
    }
    var undecided: Int { legs.reduce(0) { $0 + ($1.status.isDecided ? 0 : 1) } }
    var leaf: Leaf { Leaf(request: digest, entries: legs.map { Leaf.Entry(leg: $0.leg, status: $0.status) }) }
}

/// All attempts under one (principal, number).
struct RequestRecord: Hashable, CanonicalCodable {
    var attempts: [AttemptRecord] = []

    init() {}
    init(from reader: inout ByteReader) throws(DecodingFailure) { attempts = try reader.array(limit: 255) }
    func encode(into writer: inout ByteWriter) { writer.put(array: attempts) }

    func index(of digest: Digest) -> Int? { attempts.firstIndex { $0.digest == digest } }
}

/// What a shard knows of a principal; never forgotten once there.
struct PrincipalRecord: Hashable, CanonicalCodable {
    /// Requests below are refused for ever (R11).
    var acknowledgedBelow: UInt64 = 0
    /// Above every number that was ever recorded.
    var nextNumber: UInt64 = 0
    /// Legs with a yes vote and no decision (R12).
    var undecided: UInt32 = 0

    init() {}
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (acknowledgedBelow, nextNumber, undecided) = (try reader.uint64(), try reader.uint64(), try reader.uint32())
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(acknowledgedBelow)
        writer.put(nextNumber)
        writer.put(undecided)
    }
}

/// What the checkpoint digest covers beside the entries.
struct StateMetadata: Hashable, CanonicalCodable {
    /// 8: the entries are those of 7, and of what only notes that others are done no leaf is certified
    /// (docs/decisions/0052), so the same batches lead to another history.
    static let currentVersion: UInt16 = 8

    let version: UInt16
    let cluster: ClusterID
    let shard: ShardID
    let sequence: SequenceNumber
    let history: Digest
    let time: Timestamp
    /// Of the registered procedures: replicas with others would execute something else.
    let procedures: Digest

    init(
        cluster: ClusterID, shard: ShardID, sequence: SequenceNumber, history: Digest, time: Timestamp,
        procedures: Digest
    ) {
        version = Self.currentVersion
        self.procedures = procedures
        (self.cluster, self.shard, self.sequence) = (cluster, shard, sequence)
        (self.history, self.time) = (history, time)
    }
    /// The same with the version of this build.
    var inCurrentVersion: StateMetadata {
        StateMetadata(
            cluster: cluster, shard: shard, sequence: sequence, history: history, time: time, procedures: procedures)
    }

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (version, cluster, shard) = (try reader.uint16(), try reader.value(), try reader.value())
        (sequence, history, time) = (try reader.value(), try reader.value(), try reader.value())
        procedures = try reader.value()
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(version)
        writer.put(cluster)
        writer.put(shard)
        writer.put(sequence)
        writer.put(history)
        writer.put(time)
        writer.put(procedures)
    }
}
