import Messages

/// Values that are newer than the store's: nil where a key was removed.
struct OverlayLayer {
    /// The keys of one bucket, in order of arrival. Many are divided by the next eight bits of their places: procedures
    /// may keep a million keys together in one bucket, and a part of it must be found without looking at all of them.
    private struct Keys {
        static let undivided = 64
        private var divisions: [[[UInt8]]]

        init(_ key: [UInt8]) { divisions = [[key]] }

        mutating func append(_ key: [UInt8]) {
            guard divisions.count == 1 else { return divisions[Self.division(key)].append(key) }
            divisions[0].append(key)
            guard divisions[0].count > Self.undivided else { return }
            let keys = divisions[0]
            divisions = Array(repeating: [], count: 256)
            for key in keys { divisions[Self.division(key)].append(key) }
        }

        private static func division(_ key: [UInt8]) -> Int { key.count > 2 ? Int(key[2]) : 0 }

        var all: [[UInt8]] { divisions.count == 1 ? divisions[0] : divisions.flatMap { $0 } }

        func of(_ part: StatePart) -> [[UInt8]] {
            guard divisions.count > 1 else { return divisions[0].filter(part.contains) }
            let (first, last) = (Int(part.lowerBound[2]), Int(part.last[2]))
            return divisions[first...last].flatMap { $0.filter(part.contains) }
        }
    }

    private(set) var values: [[UInt8]: StateEntry?] = [:]
    /// By bucket, those that have any: a dictionary must never be iterated here.
    private var lists: [(bucket: Int, keys: Keys)] = []
    /// By bucket: where in `lists` it is, counted from one; 0 if it has no keys. The tree's nodes have the last place.
    private var place = [UInt16](repeating: 0, count: StateKey.bucketCount + 1)
    static let nodes = StateKey.bucketCount
    /// Keys of the state, without the tree's nodes: when these are written depends on when the tree was hashed.
    private(set) var count = 0

    mutating func set(_ key: [UInt8], _ value: StateEntry?, bucket: Int) {
        guard values.updateValue(value, forKey: key) == nil else { return }
        if bucket != Self.nodes { count += 1 }
        if place[bucket] == 0 {
            lists.append((bucket, Keys(key)))
            place[bucket] = UInt16(lists.count)
        } else {
            lists[Int(place[bucket]) - 1].keys.append(key)
        }
    }

    /// Everything that a newer layer says.
    mutating func set(_ newer: OverlayLayer) {
        for list in newer.lists {
            for key in list.keys.all { set(key, newer.values[key] ?? nil, bucket: list.bucket) }
        }
    }

    /// In no order.
    func keys(inBuckets buckets: Range<Int>) -> [[UInt8]] {
        guard buckets.count == 1 else { return lists.flatMap { buckets.contains($0.bucket) ? $0.keys.all : [] } }
        let place = Int(place[buckets.lowerBound])
        return place == 0 ? [] : lists[place - 1].keys.all
    }

    /// In no order.
    func keys(in part: StatePart) -> [[UInt8]] {
        let place = Int(place[part.bucket])
        return place == 0 ? [] : lists[place - 1].keys.of(part)
    }

    /// Ascending by key.
    func writes() -> [KeyValueWrite] {
        var writes: [KeyValueWrite] = []
        writes.reserveCapacity(values.count)
        for list in lists.sorted(by: { $0.bucket < $1.bucket }) {
            for key in list.keys.all.sorted(by: precedes) {
                writes.append(KeyValueWrite(key: key, value: (values[key] ?? nil)?.encoded()))
            }
        }
        return writes
    }
}

/// In the order of the store: as unsigned bytes. Keys are compared all the time; eight bytes at once is quicker than
/// one by one.
func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
            let shared = min(a.count, b.count)
            var at = 0
            while at + 8 <= shared {
                let (x, y) = (
                    a.loadUnaligned(fromByteOffset: at, as: UInt64.self),
                    b.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                )
                if x != y { return UInt64(bigEndian: x) < UInt64(bigEndian: y) }
                at += 8
            }
            while at < shared {
                if a[at] != b[at] { return a[at] < b[at] }
                at += 1
            }
            return a.count < b.count
        }
    }
}

/// The state as it is read and written: what was written since the last freeze, over what is being flushed, over the
/// store as of its last refresh.
struct Overlay {
    private struct Frozen {
        let sequence: SequenceNumber
        let layer: OverlayLayer
    }

    private var store: any KeyValueStore
    private var current = OverlayLayer()
    private var frozen: Frozen?

    init(store: any KeyValueStore) { self.store = store }

    /// Keys written since the last freeze.
    var count: Int { current.count }
    var isFlushing: Bool { frozen != nil }

    func snapshot() throws(ShardStateError) -> any KeyValueReader & Sendable { try reading { try store.snapshot() } }
    func storedMetadata() throws(ShardStateError) -> [UInt8]? { try reading { try store.metadata() } }
    func storedSeal() throws(ShardStateError) -> [UInt8]? { try reading { try store.seal() } }

    /// What a layer says of a key; nil if none does, `.some(nil)` if it was removed.
    private func newest(_ key: [UInt8]) -> StateEntry?? { current.values[key] ?? frozen?.layer.values[key] }

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

    func bytes(_ key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        if let entry = newest(key) { return entry?.encoded() }
        return try reading { try store.value(forKey: key) }
    }

    /// - Parameter entry: nil removes the key.
    mutating func set(_ key: [UInt8], _ entry: StateEntry?, bucket: Int) { current.set(key, entry, bucket: bucket) }

    /// Every entry of these buckets, ascending: a key begins with its bucket.
    func forEach(inBuckets buckets: Range<Int>, _ body: ([UInt8], [UInt8]) throws -> Void) throws(ShardStateError) {
        var newer = current.keys(inBuckets: buckets)
        if let frozen { newer += frozen.layer.keys(inBuckets: buckets).lazy.filter { current.values[$0] == nil } }
        try forEach(
            newer, from: StateKey.lowerBound(buckets.lowerBound), to: StateKey.lowerBound(buckets.upperBound), body)
    }

    /// Every entry of a part of the state, ascending.
    /// - Parameter part: of one bucket.
    func entries(of part: StatePart) throws(ShardStateError) -> [StateTransferMessage.StateEntry] {
        var newer = current.keys(in: part)
        if let frozen { newer += frozen.layer.keys(in: part).lazy.filter { current.values[$0] == nil } }
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

    // MARK: The tree's nodes

    func node(_ part: StatePart) throws(ShardStateError) -> TreeNode? { try record(EntryKey<TreeNode>(part.nodeKey)) }

    mutating func setNode(_ key: [UInt8], _ node: TreeNode?) {
        current.set(key, node.map { .node($0) }, bucket: OverlayLayer.nodes)
    }

    /// The nodes right above the buckets, as the store has them.
    func forEachParent(_ body: (Int, TreeNode) -> Void) throws(ShardStateError) {
        try reading { try TreeNode.forEachParent(in: store, body) }
    }

    /// Sets apart everything written so far; nil if a flush is under way.
    mutating func freeze(at sequence: SequenceNumber) -> [KeyValueWrite]? {
        guard frozen == nil else { return nil }
        let layer = current
        current = OverlayLayer()
        frozen = Frozen(sequence: sequence, layer: layer)
        return layer.writes()
    }

    /// Takes back a freeze whose layer was not given to the store.
    mutating func thaw() {
        guard let frozen else { return }
        var merged = frozen.layer
        merged.set(current)
        current = merged
        self.frozen = nil
    }

    /// The store holds the frozen layer of `sequence`. Word of a flush that an installed state has overtaken is
    /// ignored.
    mutating func flushed(_ sequence: SequenceNumber) throws(ShardStateError) {
        guard let frozen, frozen.sequence == sequence else { return }
        do { try store.refresh() } catch { throw .store(String(describing: error)) }
        self.frozen = nil
    }
}
