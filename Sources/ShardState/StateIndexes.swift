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
    var tree: BucketTree

    /// Reads everything once, in order. Most of a small state's buckets are empty, and cost nothing.
    init(scanning overlay: borrowing Overlay) throws(ShardStateError) {
        tree = .empty
        var digests: [Digest] = []
        var requests: [([UInt8], [UInt8])] = []
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
        }
        if bucket != nil { digests.append(StateDigest.bucketDigest(of: writer)) }
        tree.clean(digests)
        for (key, value) in requests {
            guard let (principal, number) = StateKey.decodeRequest(key) else { throw .corruptEntry(key: key, what: "request key") }
            let record: RequestRecord = try decodeEntry(value, of: key)
            for attempt in record.attempts { add(attempt, principal, number) }
        }
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
