import Messages

/// What is kept in memory beside the entries. All of it is a function of the entries alone, so that it is the same after a
/// restart or a state transfer as on a replica that never stopped.
struct StateIndexes {
    /// Attempts with a body that are not settled: hosts push them (R10).
    private(set) var open = OrderedIndex()
    /// Attempts with a body that are settled: forgotten, as far as acknowledged, once past their deadline.
    private(set) var due = OrderedIndex()
    /// Legs with a yes vote and no decision.
    private(set) var undecided = 0
    /// Root calls of which another shard may have to be told, those that can be forgotten past their deadline, and those of which
    /// something ends with it (R13).
    private(set) var openCalls = OrderedIndex()
    private(set) var dueCalls = OrderedIndex()
    private(set) var expiringCalls = OrderedIndex()
    private(set) var locks = LockTable()
    /// Undecided calls of other home shards.
    private var callsOfPrincipal: [PublicKey: Int] = [:]
    private(set) var undecidedCalls = 0
    var tree: BucketTree

    /// Reads everything once, in order. Most of a small state's buckets are empty, and cost nothing.
    init(scanning overlay: borrowing Overlay, shard: ShardID, map: ShardMap) throws(ShardStateError) {
        tree = .empty
        var digests: [Digest] = []
        var requests: [([UInt8], [UInt8])] = []
        var calls: [([UInt8], [UInt8])] = []
        var bucket: Int?
        var writer = ByteWriter(reserving: 0)
        try overlay.forEach(inBuckets: 0..<StateKey.bucketCount) { key, value in
            guard let own = StateKey.bucket(of: key), let kind = StateKey.kind(of: key) else {
                throw ShardStateError.corruptEntry(key: key, what: "not a key of this bucket")
            }
            if own != bucket {
                if bucket != nil { digests.append(StateDigest.bucketDigest(of: writer)) }
                bucket = own
                tree.markDirty(own)
                writer = ByteWriter(reserving: 0)
            }
            StateDigest.put(key, value, into: &writer)
            if kind == .request { requests.append((key, value)) }
            if kind == .call { calls.append((key, value)) }
        }
        if bucket != nil { digests.append(StateDigest.bucketDigest(of: writer)) }
        tree.clean(digests)
        for (key, value) in requests {
            guard let (principal, number) = StateKey.decodeRequest(key) else { throw .corruptEntry(key: key, what: "request key") }
            let record: RequestRecord = try decodeEntry(value, of: key)
            for attempt in record.attempts { add(attempt, principal, number) }
        }
        for (key, value) in calls {
            let record: CallRecord = try decodeEntry(value, of: key)
            guard let invocation = record.root.request.rootCall else { throw .corruptEntry(key: key, what: "no root call") }
            add(record, isHome: map.shard(of: invocation.target) == shard)
        }
    }

    func calls(of principal: PublicKey) -> Int { callsOfPrincipal[principal] ?? 0 }

    mutating func add(_ record: CallRecord, isHome: Bool) {
        if isHome ? record.isSettled : record.ending != nil { dueCalls.insert(record.cursor) } else { openCalls.insert(record.cursor) }
        if record.expires(isHome: isHome) { expiringCalls.insert(record.cursor) }
        locks.add(record)
        guard !isHome, record.ending == nil else { return }
        undecidedCalls += 1
        callsOfPrincipal[record.root.request.principal, default: 0] += 1
    }

    mutating func remove(_ record: CallRecord, isHome: Bool) {
        if isHome ? record.isSettled : record.ending != nil { dueCalls.remove(record.cursor) } else { openCalls.remove(record.cursor) }
        if record.expires(isHome: isHome) { expiringCalls.remove(record.cursor) }
        locks.remove(record)
        guard !isHome, record.ending == nil else { return }
        undecidedCalls -= 1
        let principal = record.root.request.principal
        let left = calls(of: principal) - 1
        callsOfPrincipal[principal] = left > 0 ? left : nil
    }

    mutating func add(_ attempt: AttemptRecord, _ principal: PublicKey, _ number: RequestNumber) {
        undecided += attempt.undecided
        guard attempt.hasBody else { return }
        let cursor = attempt.cursor(principal, number)
        if attempt.isSettled { due.insert(cursor) } else { open.insert(cursor) }
    }

    mutating func remove(_ attempt: AttemptRecord, _ principal: PublicKey, _ number: RequestNumber) {
        undecided -= attempt.undecided
        guard attempt.hasBody else { return }
        let cursor = attempt.cursor(principal, number)
        if attempt.isSettled { due.remove(cursor) } else { open.remove(cursor) }
    }
}

extension AttemptRecord {
    func cursor(_ principal: PublicKey, _ number: RequestNumber) -> RecoveryCursor {
        RecoveryCursor(deadline: deadline, principal: principal, number: number, request: digest)
    }
}

func decodeEntry<T: CanonicalDecodable>(_ value: [UInt8], of key: [UInt8]) throws(ShardStateError) -> T {
    do { return try T(decoding: value) } catch { throw .corruptEntry(key: key, what: error.description) }
}
