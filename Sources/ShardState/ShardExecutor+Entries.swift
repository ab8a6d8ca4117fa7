import Messages

/// Typed access to the entries.
extension ShardExecutor {
    func entry<T: CanonicalDecodable>(_ key: [UInt8], as _: T.Type = T.self) throws(ShardStateError) -> T? {
        guard let value = try overlay.value(forKey: key) else { return nil }
        return try decodeEntry(value, of: key) as T
    }

    mutating func set(_ key: [UInt8], _ value: [UInt8]?) {
        let bucket = StateKey.bucket(key)
        overlay.set(key, value, bucket: bucket)
        // What an installed state brings belongs to its last batch.
        tree.note(key, in: max(executing, lastExecuted))
    }

    func accountRecord(_ id: AccountID) throws(ShardStateError) -> AccountRecord? { try entry(StateKey.account(id, in: map)) }

    mutating func set(_ slots: [Escrow.Slot]) throws(ShardStateError) {
        for slot in slots {
            let key = StateKey.account(slot.id, in: map)
            guard slot.record.isSound else { throw .corruptEntry(key: key, what: "balance") }
            set(key, slot.record.encoded())
        }
    }

    func requestRecord(_ principal: PublicKey, _ number: RequestNumber) throws(ShardStateError) -> RequestRecord {
        try entry(StateKey.request(principal, number)) ?? RequestRecord()
    }

    mutating func set(_ record: RequestRecord, _ principal: PublicKey, _ number: RequestNumber) {
        set(StateKey.request(principal, number), record.attempts.isEmpty ? nil : record.encoded())
    }

    func principalRecord(_ principal: PublicKey) throws(ShardStateError) -> PrincipalRecord {
        try entry(StateKey.principal(principal)) ?? PrincipalRecord()
    }

    func body(_ digest: Digest) throws(ShardStateError) -> SignedRequest {
        let key = StateKey.body(digest)
        guard let body: SignedRequest = try entry(key) else { throw .corruptEntry(key: key, what: "missing") }
        return body
    }

    func issued(_ asset: AssetID) throws(ShardStateError) -> UInt128 { try entry(StateKey.issued(asset), as: Amount.self)?.number ?? 0 }
}
