import Messages

/// The state as it is read and written: what was written since the last freeze, over what is being flushed, over the
/// store as of its last refresh.
struct Overlay {
    private var store: any KeyValueStore
    private var current = OverlayLayer()
    /// What is being flushed, and as of when; empty if nothing is.
    private var frozen = OverlayLayer()
    private var flushing: SequenceNumber?

    init(store: any KeyValueStore) { self.store = store }

    /// Keys written since the last freeze.
    var count: Int { current.count }
    var isFlushing: Bool { flushing != nil }

    func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable { try reading { try store.snapshot() } }
    func storedMetadata() throws(ShardStateError) -> [UInt8]? { try reading { try store.metadata() } }
    func storedSeal() throws(ShardStateError) -> [UInt8]? { try reading { try store.seal() } }

    /// What a layer says of a key; nil if none does, `.some(nil)` if it was removed.
    private func newest(_ key: [UInt8]) -> StateEntry?? { current[key] ?? frozen[key] }

    func record<Record>(_ key: EntryKey<Record>) throws(ShardStateError) -> Record? {
        if let entry = newest(key.bytes) {
            guard let entry else { return nil }
            guard let record = Record(entry) else {
                throw .corruptEntry(key: key.bytes, what: "an entry of another kind")
            }
            return record
        }
        guard let bytes = try reading({ try store.value(forKey: key.bytes) }) else { return nil }
        return try decodeEntry(bytes, of: key.bytes) as Record
    }

    /// - Parameter key: where the account belongs; asked for only if no layer says anything of it.
    func account(
        _ id: AccountID, key: @autoclosure () -> EntryKey<AccountRecord>
    ) throws(ShardStateError) -> AccountRecord? {
        if let newest = current[account: id] ?? frozen[account: id] { return newest }
        let key = key().bytes
        guard let bytes = try reading({ try store.value(forKey: key) }) else { return nil }
        return try decodeEntry(bytes, of: key) as AccountRecord
    }

    /// Brings what the layers say of these accounts near.
    func touch(_ ids: [AccountID]) -> UInt64 { current.touch(ids) &+ frozen.touch(ids) }

    func bytes(_ key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        if let entry = newest(key) { return entry?.encoded() }
        return try reading { try store.value(forKey: key) }
    }

    /// Of any key but an account's that is where it belongs.
    /// - Parameter entry: nil removes the key.
    mutating func set(_ key: [UInt8], _ entry: StateEntry?) { current.set(key, entry) }

    /// - Parameters:
    ///   - record: nil removes the account.
    ///   - key: where the account belongs.
    mutating func set(account id: AccountID, _ record: AccountRecord?, key: @autoclosure () -> [UInt8]) {
        current.set(account: id, record, key: key())
    }

    /// Keys that were set and are not hashed: all, and those that are placed by their identifiers.
    var changes: (placed: Int, all: Int) { current.changes }

    /// The places of what was set since the last call, ascending.
    /// - Parameter placed: only of keys that are placed by their identifiers.
    mutating func takeChanges(placed: Bool = false) -> [UInt64] { current.takeChanges(placed: placed) }

    /// Every entry of these buckets, ascending: a key begins with its bucket.
    func forEach(inBuckets buckets: Range<Int>, _ body: ([UInt8], [UInt8]) throws -> Void) throws(ShardStateError) {
        var newer = current.keys(inBuckets: buckets)
        newer += frozen.keys(inBuckets: buckets).lazy.filter { current[$0] == nil }
        try forEach(
            newer, from: StateKey.lowerBound(buckets.lowerBound), to: StateKey.lowerBound(buckets.upperBound), body)
    }

    /// Every entry of a part of the state, ascending.
    /// - Parameter part: of one bucket.
    /// - Precondition: nothing was set since the last `takeChanges`.
    func entries(of part: StatePart) throws(ShardStateError) -> [StateTransferMessage.StateEntry] {
        var newer = current.indexes(of: part).map(current.key(at:))
        newer += frozen.indexes(of: part).map(frozen.key(at:)).filter { current[$0] == nil }
        var entries: [StateTransferMessage.StateEntry] = []
        try forEach(newer, from: part.lowerBound, to: part.upperBound) { key, value in
            guard key.count > StateKey.prefixLength else {
                throw ShardStateError.corruptEntry(key: key, what: "not a key of the state")
            }
            entries.append(.init(key: key, value: value))
        }
        return entries
    }

    /// - Parameter newer: the keys of the range that the layers have, each once, in any order.
    private func forEach(
        _ newer: [[UInt8]], from lower: [UInt8], to upper: [UInt8], _ body: ([UInt8], [UInt8]) throws -> Void
    ) throws(ShardStateError) {
        let newer = newer.sorted(by: precedes)
        func newest(_ key: [UInt8]) -> [UInt8]? { (self.newest(key) ?? nil)?.encoded() }

        try reading {
            var next = 0
            try store.forEach(from: lower, to: upper) { key, value in
                while next < newer.count, precedes(newer[next], key) {
                    if let value = newest(newer[next]) { try body(newer[next], value) }
                    next += 1
                }
                if next < newer.count, newer[next] == key {
                    if let value = newest(key) { try body(key, value) }
                    next += 1
                } else {
                    try body(key, value)
                }
                return true
            }
            while next < newer.count {
                if let value = newest(newer[next]) { try body(newer[next], value) }
                next += 1
            }
        }
    }

    // MARK: The tree's leaves

    /// The hash of a part with few entries, straight from the memory in which they are.
    /// - Parameter isNew: nothing of it is in the store but what a layer says is gone.
    /// - Returns: nil if there are more than are hashed together.
    /// - Precondition: nothing was set since the last `takeChanges`.
    func leaf(_ part: StatePart, isNew: Bool) throws(ShardStateError) -> Subtree? {
        var newer = (current: current.indexes(of: part), frozen: frozen.indexes(of: part))
        var leaf = LeafWriter(isDeepest: part.depth >= StateTree.maxDepth)
        if !isNew {
            // Each newer one may remove one of the store's.
            let most = leaf.isDeepest ? .max : Subtree.leafLimit + newer.current.count + newer.frozen.count
            let stored = try stored(part, atMost: most)
            try reading {
                try stored.forEach { key, value in
                    guard key.count > StateKey.prefixLength else {
                        throw ShardStateError.corruptEntry(key: Array(key), what: "not a key of the state")
                    }
                    if !put(&newer, upTo: key, into: &leaf) { leaf.put(key, value) }
                    return leaf.fits
                }
            }
        }
        _ = put(&newer, upTo: nil, into: &leaf)
        return leaf.fits ? leaf.subtree : nil
    }

    /// The store's entries of a part, or one more than so many. Copied under the store's guard, and nothing else is done
    /// there: if the process dies there, the next start takes the state for damaged.
    private func stored(_ part: StatePart, atMost most: Int) throws(ShardStateError) -> StoredEntries {
        var stored = StoredEntries()
        try reading {
            try store.forEachBorrowed(from: part.lowerBound, to: part.upperBound) { key, value in
                stored.append(key, value)
                return stored.count <= most
            }
        }
        return stored
    }

    /// What the layers say of the keys up to this one.
    /// - Parameter rest: what is left of each layer.
    /// - Returns: whether they said something of this very key.
    private func put(
        _ rest: inout (current: Range<Int>, frozen: Range<Int>), upTo key: UnsafeRawBufferPointer?,
        into leaf: inout LeafWriter
    ) -> Bool {
        while true {
            if let new = rest.current.first {
                let order = rest.frozen.first.map { current.order(at: new, of: $0, in: frozen) } ?? -1
                if order == 0 { rest.frozen = rest.frozen.dropFirst() }
                if order <= 0 {
                    let order = key.map { current.order(at: new, $0) } ?? -1
                    if order > 0 { return false }
                    rest.current = rest.current.dropFirst()
                    current.put(at: new, into: &leaf)
                    if order == 0 { return true }
                    continue
                }
            }
            guard let old = rest.frozen.first else { return false }
            let order = key.map { frozen.order(at: old, $0) } ?? -1
            if order > 0 { return false }
            rest.frozen = rest.frozen.dropFirst()
            frozen.put(at: old, into: &leaf)
            if order == 0 { return true }
        }
    }

    // MARK: The tree's nodes

    func node(_ part: StatePart) throws(ShardStateError) -> TreeNode? {
        if let node = current[node: part] ?? frozen[node: part] { return node }
        let key = part.nodeKey
        guard let bytes = try reading({ try store.value(forKey: key) }) else { return nil }
        return try TreeNode(decoding: bytes, of: key)
    }

    mutating func setNode(_ part: StatePart, _ node: TreeNode?) { current.setNode(part, node) }

    /// The nodes right above the buckets, as the store has them.
    func forEachParent(_ body: (Int, TreeNode) -> Void) throws(ShardStateError) {
        try reading { try TreeNode.forEachParent(in: store, body) }
    }

    /// Sets apart everything written so far; nil if a flush is under way.
    /// - Precondition: nothing was set since the last `takeChanges`.
    mutating func freeze(at sequence: SequenceNumber) -> StateWrites? {
        guard flushing == nil else { return nil }
        (frozen, flushing) = (current, sequence)
        // The next one will be about as large.
        current = OverlayLayer(capacity: min(frozen.count, 1 << 16), accounts: min(frozen.accountCount, 1 << 15))
        return frozen.writes()
    }

    /// Everything written so far but in these buckets, ascending by key.
    /// - Precondition: no flush is under way.
    func writes(outside buckets: Set<Int>) -> StateWrites {
        precondition(!isFlushing)
        return current.writes(outside: buckets)
    }

    /// Nothing happens while a flush is under way: its end moves reads on.
    mutating func renewReads() throws(ShardStateError) {
        guard !isFlushing else { return }
        try reading { try store.refresh() }
    }

    func refreshedStore() throws(ShardStateError) -> any KeyValueStore {
        var store = store
        try reading { try store.refresh() }
        return store
    }

    /// Takes back a freeze whose layer was not given to the store.
    mutating func thaw() {
        guard flushing != nil else { return }
        var merged = frozen
        merged.set(current)
        (current, frozen, flushing) = (merged, OverlayLayer(), nil)
    }

    /// The store holds the frozen layer of `sequence`. Word of another flush is ignored.
    mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) {
        guard flushing == sequence else { return }
        try reading { try store.refresh() }
        (frozen, flushing) = (OverlayLayer(), nil)
    }
}
