import Messages

/// What is kept in memory beside the entries. All of it is a function of the entries alone, so that it is the same
/// after a restart or a state transfer as on a replica that never stopped.
struct StateIndexes {
    /// Attempts with a body that are not settled: hosts push them (R10).
    private(set) var open = OrderedIndex()
    /// Attempts with a body that are settled: forgotten, as far as acknowledged, once past their deadline.
    private(set) var due = OrderedIndex()
    /// Legs with a yes vote and no decision.
    private(set) var undecided = 0
    /// Root calls of which another shard may have to be told, those that can be forgotten past their deadline, and
    /// those of which something ends with it (R13).
    private(set) var openCalls = OrderedIndex()
    private(set) var dueCalls = OrderedIndex()
    private(set) var expiringCalls = OrderedIndex()
    private(set) var locks = LockTable()
    /// Undecided calls of other home shards.
    private var callsOfPrincipal: [PublicKey: Int] = [:]
    private(set) var undecidedCalls = 0

    /// Reads what hosts may have to push, and the records that it belongs to. The rest of the state is in none of the
    /// indexes.
    init(scanning overlay: borrowing Overlay, shard: ShardID, map: ShardMap) throws(ShardStateError) {
        var bodies: [SignedRequest] = []
        var calls: [CallRecord] = []
        try overlay.forEach(inBuckets: StateKey.openBuckets) { key, value in
            switch StateKey.kind(of: key) {
            case .body:
                let body: SignedRequest = try decodeEntry(value, of: key)
                guard StateKey.body(body.digest).bytes == key else {
                    throw ShardStateError.corruptEntry(key: key, what: "another request")
                }
                bodies.append(body)
            case .call: calls.append(try decodeEntry(value, of: key))
            case .account, .issued, .principal, .request, .value, nil:
                throw ShardStateError.corruptEntry(key: key, what: "not a key of this bucket")
            }
        }
        func attempt(_ signed: SignedRequest) throws(ShardStateError) -> AttemptRecord {
            let key = StateKey.request(signed.request.principal, signed.request.number)
            guard let record = try overlay.record(key) else { throw .corruptEntry(key: key.bytes, what: "missing") }
            guard let index = record.index(of: signed.digest) else {
                throw .corruptEntry(key: key.bytes, what: "attempt missing")
            }
            return record.attempts[index]
        }
        for body in bodies { add(try attempt(body), body.request.principal, body.request.number) }
        for call in calls {
            guard let invocation = call.root.request.rootCall else {
                throw .corruptEntry(key: StateKey.call(call.root.digest).bytes, what: "no root call")
            }
            let isHome = map.shard(of: invocation.target) == shard
            add(call, isHome: isHome)
            // It runs, or has an outcome: it is an attempt, and has no body.
            if isHome { add(try attempt(call.root), call.root.request.principal, call.root.request.number) }
        }
    }

    func calls(of principal: PublicKey) -> Int { callsOfPrincipal[principal] ?? 0 }

    mutating func add(_ record: CallRecord, isHome: Bool) {
        if isHome ? record.isSettled : record.ending != nil {
            dueCalls.insert(record.cursor)
        } else {
            openCalls.insert(record.cursor)
        }
        if record.expires(isHome: isHome) { expiringCalls.insert(record.cursor) }
        locks.add(record)
        guard !isHome, record.ending == nil else { return }
        undecidedCalls += 1
        callsOfPrincipal[record.root.request.principal, default: 0] += 1
    }

    mutating func remove(_ record: CallRecord, isHome: Bool) {
        if isHome ? record.isSettled : record.ending != nil {
            dueCalls.remove(record.cursor)
        } else {
            openCalls.remove(record.cursor)
        }
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
