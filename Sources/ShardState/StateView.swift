import Messages

/// A shard's state as it is read and written: the entries in their own types, the indexes over them, and the tree that
/// hashes them. Whatever is written goes through here, so no index and no hash can be forgotten.
struct StateView {
    let shard: ShardID
    let map: ShardMap
    private var overlay: Overlay
    /// Read by nobody, and says nothing. Without it nothing would be touched.
    private var touched: UInt64 = 0
    private(set) var indexes: StateIndexes
    private var tree: StateTree
    /// Whose record is in no index while it runs: a transaction must not meet its own locks.
    private var lifted: Digest?
    /// How many buckets were read since the start.
    private var checked = 0

    /// Reads what is above the buckets, and what hosts may have to push: not the state.
    init(
        shard: ShardID, map: ShardMap, overlay: consuming Overlay, ahead: HashingAhead
    ) throws(ShardStateError) {
        (self.shard, self.map) = (shard, map)
        tree = try StateTree(loading: overlay, ahead: ahead)
        indexes = try StateIndexes(scanning: overlay, shard: shard, map: map)
        self.overlay = overlay
    }

    /// Keys written since the last freeze.
    var count: Int { overlay.count }
    var isFlushing: Bool { overlay.isFlushing }

    // MARK: Reading

    func record<Record>(_ key: EntryKey<Record>) throws(ShardStateError) -> Record? { try overlay.record(key) }

    /// What is under a key that a procedure names.
    func bytes(_ key: [UInt8]) throws(ShardStateError) -> [UInt8]? { try overlay.bytes(key) }

    func account(_ id: AccountID) throws(ShardStateError) -> AccountRecord? {
        try overlay.account(id, key: StateKey.account(id, in: map))
    }

    /// Brings what is known of these accounts near: asked for one after the other, each is waited for.
    mutating func touch(_ ids: [AccountID]) { touched &+= overlay.touch(ids) }

    func request(_ principal: PublicKey, _ number: RequestNumber) throws(ShardStateError) -> RequestRecord {
        try record(StateKey.request(principal, number)) ?? RequestRecord()
    }

    /// To be changed and put back.
    func filed(_ principal: PublicKey, _ number: RequestNumber) throws(ShardStateError) -> FiledRequest {
        let key = StateKey.request(principal, number)
        return FiledRequest(principal, number, key, try record(key) ?? RequestRecord())
    }

    /// The same; the store is not asked for what the principal's record says is not there.
    func filed(_ request: Request, _ principal: PrincipalRecord) throws(ShardStateError) -> FiledRequest {
        // The largest number has none above it.
        guard request.number.number >= principal.nextNumber, request.number.number < .max else {
            return try filed(request.principal, request.number)
        }
        return FiledRequest(
            request.principal, request.number, StateKey.request(request.principal, request.number), RequestRecord())
    }

    func principal(_ principal: PublicKey) throws(ShardStateError) -> PrincipalRecord {
        try record(StateKey.principal(principal)) ?? PrincipalRecord()
    }

    func body(_ digest: Digest) throws(ShardStateError) -> SignedRequest {
        let key = StateKey.body(digest)
        guard let body = try record(key) else { throw .corruptEntry(key: key.bytes, what: "missing") }
        return body
    }

    func issued(_ asset: AssetID) throws(ShardStateError) -> UInt128 { try record(StateKey.issued(asset))?.number ?? 0 }

    func call(_ root: Digest) throws(ShardStateError) -> CallRecord? { try record(StateKey.call(root)) }

    func isHome(_ root: SignedRequest) -> Bool {
        root.request.rootCall.map { map.shard(of: $0.target) == shard } ?? false
    }

    /// Every entry, ascending by key.
    func forEach(_ body: ([UInt8], [UInt8]) throws -> Void) throws(ShardStateError) {
        try overlay.forEach(inBuckets: 0..<StateKey.bucketCount, body)
    }

    // MARK: Writing

    mutating func put(_ record: AccountRecord, _ id: AccountID) { set(id, record) }
    mutating func put(_ record: PrincipalRecord, _ principal: PublicKey) { set(StateKey.principal(principal), record) }
    mutating func put(issued amount: Amount, of asset: AssetID) { set(StateKey.issued(asset), amount) }
    mutating func put(body: SignedRequest) { set(StateKey.body(body.digest), body) }
    mutating func remove(body digest: Digest) { set(StateKey.body(digest), nil) }

    mutating func put(_ record: RequestRecord, _ principal: PublicKey, _ number: RequestNumber) throws(ShardStateError)
    {
        var filed = try filed(principal, number)
        filed.record = record
        put(filed)
    }

    /// A record without attempts goes.
    mutating func put(_ filed: FiledRequest) {
        let (principal, number) = (filed.principal, filed.number)
        for attempt in filed.old.attempts where !filed.record.attempts.contains(attempt) {
            indexes.remove(attempt, principal, number)
        }
        for attempt in filed.record.attempts where !filed.old.attempts.contains(attempt) {
            indexes.add(attempt, principal, number)
        }
        set(filed.key, filed.record.attempts.isEmpty ? nil : filed.record)
    }

    /// Takes a call's record out of the indexes, with its locks, until it is put back.
    mutating func lift(_ record: CallRecord) {
        precondition(lifted == nil, "two calls run at once")
        lifted = record.root.digest
        indexes.remove(record, isHome: isHome(record.root))
    }

    mutating func put(_ record: CallRecord) throws(ShardStateError) {
        let (key, isHome) = (StateKey.call(record.root.digest), isHome(record.root))
        if lifted == record.root.digest {
            lifted = nil
        } else if let old = try self.record(key) {
            indexes.remove(old, isHome: isHome)
        }
        indexes.add(record, isHome: isHome)
        set(key, record)
    }

    mutating func remove(_ record: CallRecord) {
        indexes.remove(record, isHome: isHome(record.root))
        set(StateKey.call(record.root.digest), nil)
    }

    /// What a procedure has under a key of any kind.
    /// - Parameter bytes: nil removes the key.
    mutating func put(bytes: [UInt8]?, _ key: [UInt8]) throws(ShardStateError) {
        guard let bytes else { return try remove(key) }
        switch try StateEntry(decoding: bytes, of: key) {
        case .call(let record):
            guard StateKey.call(record.root.digest).bytes == key else {
                throw .corruptEntry(key: key, what: "another call")
            }
            try put(record)
        case .request(let record):
            guard let (principal, number) = StateKey.decodeRequest(key) else {
                throw .corruptEntry(key: key, what: "request key")
            }
            try put(record, principal, number)
        case let entry: set(key, entry)
        }
    }

    private mutating func remove(_ key: [UInt8]) throws(ShardStateError) {
        if let (principal, number) = StateKey.decodeRequest(key), StateKey.kind(of: key) == .request {
            try put(RequestRecord(), principal, number)
        } else if StateKey.kind(of: key) == .call, let record = try record(EntryKey<CallRecord>(key)) {
            remove(record)
        } else {
            set(key, nil)
        }
    }

    private mutating func set<Record>(_ key: EntryKey<Record>, _ record: Record?) { set(key.bytes, record?.entry) }

    private mutating func set(_ id: AccountID, _ record: AccountRecord?) {
        let map = map
        overlay.set(account: id, record, key: StateKey.account(id, in: map).bytes)
    }

    private mutating func set(_ key: [UInt8], _ entry: StateEntry?) {
        // One account has one place in the overlay, whoever writes it.
        if StateKey.kind(of: key) == .account, let id = StateKey.decodeAccount(key),
            StateKey.account(id, in: map).bytes == key
        {
            return set(id, entry.flatMap { AccountRecord($0) })
        }
        overlay.set(key, entry)
    }

    // MARK: Hashing and writing down

    /// What changed is hashed at checkpoints, unless it is much.
    mutating func hashIfDue() throws(ShardStateError) { try tree.hashIfDue(&overlay) }

    /// Of everything that is there now.
    mutating func root() throws(ShardStateError) -> Digest {
        try tree.clean(&overlay)
        return tree.root
    }

    mutating func bucketDigests() throws(ShardStateError) -> [Digest] {
        try tree.clean(&overlay)
        return tree.digests
    }

    /// Sets apart everything written so far; nil if a flush is under way.
    mutating func freeze(at sequence: SequenceNumber) throws(ShardStateError) -> StateWrites? {
        // The nodes of the tree are written down with what is below them.
        try tree.clean(&overlay)
        return overlay.freeze(at: sequence)
    }

    mutating func thaw() { overlay.thaw() }
    mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) { try overlay.flushed(sequence) }
    func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable { try overlay.snapshot() }
    func storedSeal() throws(ShardStateError) -> [UInt8]? { try overlay.storedSeal() }

    mutating func renewReads() throws(ShardStateError) { try overlay.renewReads() }

    /// The store as of its last write.
    func refreshedStore() throws(ShardStateError) -> any KeyValueStore { try overlay.refreshedStore() }

    /// What makes the store hold another state, once all of these buckets that it has staged are moved to their place.
    /// What is here of them may be damaged, so nothing is made of it.
    /// - Precondition: no flush is under way.
    /// - Returns: the root of the other state, and what is to be written beside the buckets.
    mutating func replacement(
        by staged: [BucketSummary]
    ) throws(ShardStateError) -> (root: Digest, writes: StateWrites) {
        try tree.clean(&overlay)
        let (root, parents) = tree.replacing(staged)
        return (root, overlay.writes(outside: Set(staged.map(\.bucket))).followed(by: parents))
    }

    // MARK: Checking

    /// Reads about so many entries on from where the last call stopped, and holds them against the tree.
    /// - Returns: whether there is more.
    /// - Throws: what is wrong.
    mutating func check(entries: Int) throws(ShardStateError) -> Bool {
        guard checked < StateKey.bucketCount else { return false }
        try tree.clean(&overlay)
        var left = entries
        while checked < StateKey.bucketCount, left > 0 {
            let first = Self.bucket(checked: checked)
            let last = checked < Self.checkedFirst.count ? Self.checkedFirst.upperBound : Self.checkedFirst.lowerBound
            var end = first
            while end < last, left > 0 {
                left -= Int(min(tree[end].count, UInt64(left)))
                end += 1
            }
            if let fault = try tree.fault(inBuckets: first..<end, overlay) { throw fault }
            checked += end - first
        }
        return checked < StateKey.bucketCount
    }

    /// What the start reads to know what is to be pushed is read first.
    private static var checkedFirst: Range<Int> { StateKey.openBuckets }
    private static func bucket(checked: Int) -> Int {
        checked < checkedFirst.count ? checkedFirst.lowerBound + checked : checked - checkedFirst.count
    }

    /// How many buckets have entries, how many there are, and the most entries that one has.
    var bucketCounts: (used: Int, all: Int, largest: UInt64) {
        let counts = (0..<StateKey.bucketCount).map { tree[$0].count }
        return (counts.count { $0 > 0 }, counts.count, counts.max() ?? 0)
    }

    /// What is wrong with the tree; for tests.
    mutating func fault() throws(ShardStateError) -> ShardStateError? {
        try tree.clean(&overlay)
        return try tree.fault(inBuckets: 0..<StateKey.bucketCount, overlay)
    }

    /// The indexes as the entries would have them.
    func rebuiltIndexes() throws(ShardStateError) -> StateIndexes {
        try StateIndexes(scanning: overlay, shard: shard, map: map)
    }
}

/// What is recorded under a request number, with its key, which is a hash and is made once.
struct FiledRequest {
    let principal: PublicKey
    let number: RequestNumber
    fileprivate let key: EntryKey<RequestRecord>
    fileprivate let old: RequestRecord
    var record: RequestRecord

    fileprivate init(
        _ principal: PublicKey, _ number: RequestNumber, _ key: EntryKey<RequestRecord>, _ record: RequestRecord
    ) {
        (self.principal, self.number, self.key) = (principal, number, key)
        (old, self.record) = (record, record)
    }
}
