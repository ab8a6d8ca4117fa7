import Messages

/// Values that are newer than the store's, and nodes of the tree over them. Says what has changed since the state was
/// hashed last, and has its keys in order from then on.
struct OverlayLayer {
    private enum Content {
        case removed
        case entry(StateEntry)
        /// In `accounts`, at this place.
        case account(Int32)
    }

    private struct Slot {
        let key: [UInt8]
        var content: Content
        var isChanged: Bool
        /// Of the unsorted slots of one bucket, the one before; -1 for none.
        let previous: Int32
    }

    /// A slot where its key is in order: keys are compared by their first bytes, and by the others if those are equal.
    private struct Place {
        let word: UInt64
        let slot: Int32
    }

    /// Of `keyed`.
    private var index: PlaceIndex
    /// The slots of all keys but accounts', in order of arrival.
    private var keyed: [Int32] = []
    private var accounts: AccountTable
    /// In order of arrival.
    private var slots: [Slot] = []
    /// Ascending by key. What came since the last `takeChanges` is not among them.
    private var sorted: [Place] = []
    /// Not hashed: those that are placed by their identifiers, and the others.
    private var changed: (placed: [Int32], others: [Int32]) = ([], [])
    /// By bucket, the last of its slots that are not sorted; -1 for none.
    private var unsorted = Self.none
    private static let none = [Int32](repeating: -1, count: StateKey.bucketCount)
    /// By `StatePart.id`; nil where a node was removed. Looked up only, and sorted before it is gone through.
    private var nodes: [UInt64: TreeNode?] = [:]

    /// - Parameters:
    ///   - capacity: about how many keys there will be.
    ///   - accounts: how many of them of accounts.
    init(capacity: Int = 0, accounts: Int = 0) {
        self.accounts = AccountTable(capacity: accounts)
        index = PlaceIndex(capacity: capacity - accounts)
        slots.reserveCapacity(capacity)
    }

    /// Keys of the state, without the tree's nodes: when these are written depends on when the tree was hashed.
    var count: Int { slots.count }
    var accountCount: Int { accounts.held.count }

    subscript(key: [UInt8]) -> StateEntry?? { slot(of: key).map { entry(ofSlot: $0) } }
    subscript(node part: StatePart) -> TreeNode?? { nodes[part.id] }

    /// What it says of an account; nil if nothing, `.some(nil)` if the account was removed.
    subscript(account id: AccountID) -> AccountRecord?? {
        accounts.place(of: id).map { accounts[$0].isRemoved ? nil : accounts[$0].record }
    }

    private func slot(of key: [UInt8]) -> Int? {
        if StateKey.kind(of: key) == .account, let id = StateKey.decodeAccount(key), let place = accounts.place(of: id)
        {
            let slot = Int(accounts[place].slot)
            // A procedure or a broken store may have the identifier at another place.
            if slots[slot].key == key { return slot }
        }
        return keyedSlot(of: key)
    }

    private func keyedSlot(of key: [UInt8]) -> Int? {
        index.place(PlaceIndex.hash(key)) { ShardState.order(slots[Int(keyed[$0])].key, key) == 0 }.map {
            Int(keyed[$0])
        }
    }

    private func entry(ofSlot slot: Int) -> StateEntry? {
        switch slots[slot].content {
        case .removed: nil
        case .entry(let entry): entry
        case .account(let place): accounts[Int(place)].isRemoved ? nil : .account(accounts[Int(place)].record)
        }
    }

    /// Of any key but an account's that is where it belongs.
    /// - Parameter isHashed: the tree knows of the change already.
    mutating func set(_ key: [UInt8], _ entry: StateEntry?, isHashed: Bool = false) {
        let content = entry.map { Content.entry($0) } ?? .removed
        guard let slot = keyedSlot(of: key) else {
            keyed.append(Int32(slots.count))
            append(key, content, isHashed: isHashed)
            return index.insert(keyed.count - 1) { PlaceIndex.hash(slots[Int(keyed[$0])].key) }
        }
        slots[slot].content = content
        note(Int32(slot), isHashed: isHashed)
    }

    /// - Parameters:
    ///   - record: nil removes the account.
    ///   - key: where it belongs; asked for only if nothing was said of it before.
    mutating func set(
        account id: AccountID, _ record: AccountRecord?, key: @autoclosure () -> [UInt8], isHashed: Bool = false
    ) {
        guard let place = accounts.place(of: id) else {
            let slot = Int32(slots.count)
            append(key(), .account(Int32(accountCount)), isHashed: isHashed)
            return accounts.append(id, record ?? .blank, isRemoved: record == nil, slot: slot)
        }
        if let record { accounts[place].record = record }
        accounts[place].isRemoved = record == nil
        if isHashed || accounts[place].isChanged { return }
        accounts[place].isChanged = true
        note(accounts[place].slot, isHashed: isHashed)
    }

    /// Brings what it says of these accounts near.
    func touch(_ ids: [AccountID]) -> UInt64 { accounts.touch(ids) }

    private mutating func append(_ key: [UInt8], _ content: Content, isHashed: Bool) {
        let (slot, bucket) = (Int32(slots.count), StateKey.bucket(key))
        slots.append(Slot(key: key, content: content, isChanged: false, previous: unsorted[bucket]))
        unsorted[bucket] = slot
        note(slot, isHashed: isHashed)
    }

    /// The slot has changed.
    private mutating func note(_ slot: Int32, isHashed: Bool) {
        if isHashed || slots[Int(slot)].isChanged { return }
        slots[Int(slot)].isChanged = true
        if StateKey.placedBuckets.contains(StateKey.bucket(slots[Int(slot)].key)) {
            changed.placed.append(slot)
        } else {
            changed.others.append(slot)
        }
    }

    mutating func setNode(_ part: StatePart, _ node: TreeNode?) { nodes[part.id] = .some(node) }

    /// Everything that a newer layer says.
    mutating func set(_ newer: OverlayLayer) {
        for slot in newer.slots {
            switch slot.content {
            case .removed: set(slot.key, nil, isHashed: !slot.isChanged)
            case .entry(let entry): set(slot.key, entry, isHashed: !slot.isChanged)
            case .account(let place):
                let held = newer.accounts[Int(place)]
                set(
                    account: held.id, held.isRemoved ? nil : held.record, key: slot.key, isHashed: !slot.isChanged)
            }
        }
        nodes.merge(newer.nodes) { $1 }
    }

    /// Keys that changed since they were taken last.
    var changes: (placed: Int, all: Int) { (changed.placed.count, changed.placed.count + changed.others.count) }

    /// The places of what has changed since the last call, ascending.
    /// - Parameter placed: only of keys that are placed by their identifiers.
    mutating func takeChanges(placed: Bool) -> [UInt64] {
        sort()
        var words = take(changed.placed)
        changed.placed.removeAll(keepingCapacity: true)
        if placed { return words }
        // Their buckets are behind the others.
        words += take(changed.others)
        changed.others.removeAll(keepingCapacity: true)
        return words
    }

    private mutating func take(_ changed: [Int32]) -> [UInt64] {
        for slot in changed {
            slots[Int(slot)].isChanged = false
            if case .account(let place) = slots[Int(slot)].content { accounts[Int(place)].isChanged = false }
        }
        return changed.map { word(of: slots[Int($0)].key) }.sorted()
    }

    private func precedes(_ a: Place, _ b: Place) -> Bool {
        if a.word != b.word { return a.word < b.word }
        return ShardState.order(slots[Int(a.slot)].key, slots[Int(b.slot)].key) < 0
    }

    private mutating func sort() {
        guard sorted.count < slots.count else { return }
        var new = (sorted.count..<slots.count).map { Place(word: word(of: slots[$0].key), slot: Int32($0)) }
        new.sort(by: precedes)
        for place in new { unsorted[StateKey.bucket(slots[Int(place.slot)].key)] = -1 }
        sorted = merged(sorted, new, by: precedes)
    }

    // MARK: In order

    /// An entry by its place in the order.
    func key(at index: Int) -> [UInt8] { slots[Int(sorted[index].slot)].key }
    private func entry(at index: Int) -> StateEntry? { entry(ofSlot: Int(sorted[index].slot)) }

    func order(at index: Int, _ key: UnsafeRawBufferPointer) -> Int {
        slots[Int(sorted[index].slot)].key.withUnsafeBytes { ShardState.order($0, key) }
    }

    func order(at index: Int, of other: Int, in older: OverlayLayer) -> Int {
        let (a, b) = (sorted[index], older.sorted[other])
        if a.word != b.word { return a.word < b.word ? -1 : 1 }
        return ShardState.order(slots[Int(a.slot)].key, older.slots[Int(b.slot)].key)
    }

    /// Nothing if it was removed.
    func put(at index: Int, into leaf: inout LeafWriter) {
        let slot = Int(sorted[index].slot)
        switch slots[slot].content {
        case .removed: return
        case .entry(let entry): leaf.put(slots[slot].key, entry)
        case .account(let place):
            if !accounts[Int(place)].isRemoved { leaf.put(slots[slot].key, accounts[Int(place)].record) }
        }
    }

    /// Where the entries of a part are in the order.
    /// - Precondition: nothing was set since the last `takeChanges`.
    func indexes(of part: StatePart) -> Range<Int> {
        precondition(sorted.count == slots.count)
        return indexes(of: part.words)
    }

    private func indexes(of words: Range<UInt64>) -> Range<Int> {
        let first = lowerBound(words.lowerBound, from: 0)
        return first..<lowerBound(words.upperBound, from: first)
    }

    private func lowerBound(_ word: UInt64, from first: Int) -> Int {
        var (low, high) = (first, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle].word < word { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// In no order.
    func keys(inBuckets buckets: Range<Int>) -> [[UInt8]] {
        var keys = indexes(of: UInt64(buckets.lowerBound) << 48..<UInt64(buckets.upperBound) << 48).map(key(at:))
        guard sorted.count < slots.count else { return keys }
        for bucket in buckets {
            var slot = unsorted[bucket]
            while slot >= 0 {
                keys.append(slots[Int(slot)].key)
                slot = slots[Int(slot)].previous
            }
        }
        return keys
    }

    /// Of an entry by its place in the order.
    func write(at index: Int) -> KeyValueWrite {
        KeyValueWrite(key: key(at: index), value: entry(at: index)?.encoded())
    }

    /// The nodes that were written or removed, in the order of their keys, which are behind all entries'.
    var nodeIDs: [UInt64] { nodes.keys.sorted() }
    func write(ofNode id: UInt64) -> KeyValueWrite {
        KeyValueWrite(key: StatePart(id: id).nodeKey, value: (nodes[id] ?? nil)?.encoded())
    }

    /// - Precondition: nothing was set since the last `takeChanges`.
    func writes(outside buckets: Set<Int> = []) -> StateWrites {
        precondition(sorted.count == slots.count)
        return StateWrites(of: self, outside: buckets)
    }
}

/// Entries as the store has them, one behind the other.
struct StoredEntries {
    private var bytes: [UInt8] = []
    /// Where each key and its value end.
    private var ends: [(key: Int, value: Int)] = []

    init() {
        bytes.reserveCapacity(4096)
        ends.reserveCapacity(2 * Subtree.leafLimit)
    }

    var count: Int { ends.count }

    mutating func append(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: key)
        let end = bytes.count
        bytes.append(contentsOf: value)
        ends.append((end, bytes.count))
    }

    /// In order; stops when `body` returns false.
    func forEach(
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) rethrows {
        try bytes.withUnsafeBytes { bytes in
            var start = 0
            for end in ends {
                let key = UnsafeRawBufferPointer(rebasing: bytes[start..<end.key])
                guard try body(key, UnsafeRawBufferPointer(rebasing: bytes[end.key..<end.value])) else { return }
                start = end.value
            }
        }
    }
}

/// Entries of one part as they are hashed together.
struct LeafWriter {
    let isDeepest: Bool
    private var writer = ByteWriter(reserving: 2048)
    private var count = 0

    /// - Parameter isDeepest: they are hashed together however many they are.
    init(isDeepest: Bool) { self.isDeepest = isDeepest }

    var fits: Bool { count <= Subtree.leafLimit || isDeepest }
    var subtree: Subtree {
        count == 0 ? .empty : Subtree(count: UInt64(count), digest: Hasher256.hash(.stateBucket, writer.bytes))
    }

    /// - Parameter key: behind all that were put before.
    mutating func put(_ key: [UInt8], _ value: some CanonicalEncodable) {
        writer.put(blob: key)
        let start = writer.bytes.count
        writer.put(UInt32(0))
        writer.put(value)
        writer.replace(at: start, with: UInt32(writer.bytes.count - start - 4))
        count += 1
    }

    /// The same of memory that is only borrowed.
    mutating func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        for blob in [key, value] {
            writer.put(UInt32(blob.count))
            writer.put(raw: blob)
        }
        count += 1
    }
}

/// Two ascending arrays as one.
private func merged<Element>(_ a: [Element], _ b: [Element], by precedes: (Element, Element) -> Bool) -> [Element] {
    var all: [Element] = []
    all.reserveCapacity(a.count + b.count)
    var (i, j) = (0, 0)
    while i < a.count, j < b.count {
        if precedes(b[j], a[i]) {
            all.append(b[j])
            j += 1
        } else {
            all.append(a[i])
            i += 1
        }
    }
    all += a[i...]
    all += b[j...]
    return all
}

/// The first eight bytes of a key, which compare as the bytes do; zeros stand for what is missing.
func word(of key: [UInt8]) -> UInt64 {
    key.withUnsafeBytes { bytes in
        if bytes.count >= 8 { return UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)) }
        return (0..<8).reduce(0) { $0 << 8 | ($1 < bytes.count ? UInt64(bytes[$1]) : 0) }
    }
}

/// In the order of the store: as unsigned bytes.
func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { order(a, b) < 0 }

/// Negative, zero or positive as `a` is before, at or behind `b`.
func order(_ a: [UInt8], _ b: [UInt8]) -> Int { a.withUnsafeBytes { a in b.withUnsafeBytes { order(a, $0) } } }

/// Keys are compared all the time; eight bytes at once is quicker than one by one.
func order(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let shared = min(a.count, b.count)
    var at = 0
    while at + 8 <= shared {
        let x = UInt64(bigEndian: a.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        let y = UInt64(bigEndian: b.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        if x != y { return x < y ? -1 : 1 }
        at += 8
    }
    while at < shared {
        if a[at] != b[at] { return a[at] < b[at] ? -1 : 1 }
        at += 1
    }
    return a.count - b.count
}
