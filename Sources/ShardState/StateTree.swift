import Messages

/// What a part of the state hashes to. A function of its entries alone: of few they are hashed together, of more than
/// `leafLimit` they are divided by the next four bits of their place, so that a change costs the hashing of its
/// neighbours and of the nodes above it, however much else there is.
struct Subtree: Hashable {
    /// So many entries are hashed together at most, as long as their places differ.
    static let leafLimit = 16
    static let empty = Subtree(count: 0, digest: Hasher256.hash(.stateBucket, []))

    var count: UInt64
    var digest: Digest

    /// Whether a part with so many entries has a node of its own.
    static func isDivided(_ count: UInt64, atDepth depth: Int) -> Bool {
        count > UInt64(leafLimit) && depth < StateTree.maxDepth
    }

    /// - Parameters:
    ///   - entries: all of a part, ascending by key.
    ///   - visit: is given every node, with the part that it is of, children first.
    static func build(
        _ entries: ArraySlice<StateTransferMessage.StateEntry>, depth: Int, visit: (StatePart, TreeNode) -> Void
    ) -> Subtree {
        guard entries.count > leafLimit, depth < StateTree.maxDepth, let first = entries.first else {
            return leaf(entries)
        }
        var node = TreeNode()
        var rest = entries
        while let next = rest.first {
            let nibble = StatePart.nibble(of: next.key, depth: depth)
            let part = rest.prefix { StatePart.nibble(of: $0.key, depth: depth) == nibble }
            node[nibble] = build(part, depth: depth + 1, visit: visit)
            rest = rest[part.endIndex...]
        }
        visit(StatePart(of: first.key, depth: depth), node)
        return node.subtree
    }

    private static func leaf(_ entries: ArraySlice<StateTransferMessage.StateEntry>) -> Subtree {
        if entries.isEmpty { return .empty }
        var writer = ByteWriter(reserving: entries.count * 160)
        for entry in entries {
            writer.put(blob: entry.key)
            writer.put(blob: entry.value)
        }
        return Subtree(count: UInt64(entries.count), digest: Hasher256.hash(.stateBucket, writer.bytes))
    }
}

/// A node of the tree, kept with the state under a key of its own. As bytes, because a node is mostly read, changed in
/// one place, hashed and written down.
struct TreeNode: Equatable {
    static let fanout = 16
    private static let counts = 32 * fanout
    private static let empty = TreeNode(Array(repeating: Subtree.empty, count: fanout)[...])

    /// The children's digests, which are what is hashed, then their counts (UInt64, little-endian).
    private var bytes: [UInt8]

    init() { self = Self.empty }
    /// - Parameter children: as many as there are.
    init(_ children: ArraySlice<Subtree>) {
        bytes = [UInt8](repeating: 0, count: 40 * Self.fanout)
        for (i, child) in children.enumerated() { self[i] = child }
    }
    /// - Parameter key: under which these bytes are.
    /// - Throws: `corruptEntry`
    init(decoding encoded: [UInt8], of key: [UInt8]) throws(ShardStateError) {
        self = Self.empty
        guard encoded.count >= 2 else { throw .corruptEntry(key: key, what: "a node is cut off") }
        let present = UInt16(encoded[0]) | UInt16(encoded[1]) << 8
        guard encoded.count == 2 + 40 * present.nonzeroBitCount else {
            throw .corruptEntry(key: key, what: "a node's length")
        }
        encoded.withUnsafeBytes { encoded in
            bytes.withUnsafeMutableBytes { bytes in
                var next = 2
                for i in 0..<Self.fanout where present & (1 << UInt16(i)) != 0 {
                    let count = UnsafeRawBufferPointer(rebasing: encoded[next..<next + 8])
                    let digest = UnsafeRawBufferPointer(rebasing: encoded[next + 8..<next + 40])
                    UnsafeMutableRawBufferPointer(rebasing: bytes[(Self.counts + 8 * i)...]).copyMemory(from: count)
                    UnsafeMutableRawBufferPointer(rebasing: bytes[(32 * i)...]).copyMemory(from: digest)
                    next += 40
                }
            }
        }
    }

    /// Two bytes with a bit for each child that has entries, then those children: count, then digest. Numbers are
    /// little-endian.
    func encoded() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 2 + 40 * Self.fanout) { buffer, written in
            bytes.withUnsafeBytes { bytes in
                var place = UnsafeMutableRawBufferPointer(buffer)
                func put(_ part: Range<Int>) {
                    place.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[part]))
                    place = UnsafeMutableRawBufferPointer(rebasing: place[part.count...])
                }
                var present: UInt16 = 0
                for i in 0..<Self.fanout where count(of: i) > 0 { present |= 1 << UInt16(i) }
                place.storeBytes(of: present.littleEndian, as: UInt16.self)
                place = UnsafeMutableRawBufferPointer(rebasing: place[2...])
                for i in 0..<Self.fanout where present & (1 << UInt16(i)) != 0 {
                    put(Self.counts + 8 * i..<Self.counts + 8 * i + 8)
                    put(32 * i..<32 * i + 32)
                }
                written = buffer.count - place.count
            }
        }
    }

    func count(of child: Int) -> UInt64 {
        bytes.withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: Self.counts + 8 * child, as: UInt64.self).littleEndian
        }
    }

    subscript(child: Int) -> Subtree {
        get {
            let digest = bytes.withUnsafeBytes { bytes in
                FixedBytes32(UnsafeRawBufferPointer(rebasing: bytes[32 * child..<32 * child + 32]))
            }
            // There are 32 bytes.
            return Subtree(count: count(of: child), digest: Digest(digest ?? FixedBytes32()))
        }
        set {
            bytes.withUnsafeMutableBytes { bytes in
                bytes.storeBytes(
                    of: newValue.count.littleEndian, toByteOffset: Self.counts + 8 * child, as: UInt64.self)
            }
            set(newValue.digest, of: child)
        }
    }

    mutating func set(_ digest: Digest, of child: Int) {
        bytes.withUnsafeMutableBytes { bytes in
            let place = UnsafeMutableRawBufferPointer(rebasing: bytes[(32 * child)...])
            digest.value.withBytes { place.copyMemory(from: $0) }
        }
    }

    var count: UInt64 { (0..<Self.fanout).reduce(0) { $0 &+ count(of: $1) } }
    var digest: Digest {
        var hasher = Hasher256(.stateNode)
        bytes.withUnsafeBytes { hasher.update(UnsafeRawBufferPointer(rebasing: $0[..<Self.counts])) }
        return hasher.finish()
    }
    var subtree: Subtree { Subtree(count: count, digest: digest) }

    /// The nodes right above the buckets, each with its first bucket.
    static func forEachParent(in reader: some KeyValueReader, _ body: (Int, TreeNode) -> Void) throws {
        let depth = StateTree.bucketDepth - 1
        try reader.forEach(from: StatePart.firstKey(ofDepth: depth), to: StatePart.firstKey(ofDepth: depth + 1)) {
            key, value in
            guard key.count == StatePart.keyLength else {
                throw ShardStateError.corruptEntry(key: key, what: "a node's key")
            }
            let bucket = StatePart.place(ofNode: key).bucket
            guard bucket < StateKey.bucketCount, key == StatePart(bucket: bucket, depth: depth).nodeKey else {
                throw ShardStateError.corruptEntry(key: key, what: "a node's key")
            }
            body(bucket, try TreeNode(decoding: value, of: key))
            return true
        }
    }
}

/// All entries whose keys begin with the same bits.
struct StatePart: Hashable {
    static let keyLength = 8
    private static let area: UInt8 = 0x80
    /// Bytes of bucket and place.
    private static let placeLength = 6

    /// Of four bits each; a bucket is three deep.
    let depth: Int
    /// Bucket and place of the first key that can be in it.
    private let first: UInt64

    private init(depth: Int, first: UInt64) { (self.depth, self.first) = (depth, first) }

    /// Of anything: a key that is too short for a place, which only a liar or a broken disk has, is taken for one that
    /// ends with zeros.
    init(of key: [UInt8], depth: Int) { self.init(depth: depth, first: Self.place(of: key) & ~(Self.size(depth) - 1)) }

    private static func place(of key: [UInt8]) -> UInt64 {
        guard key.count < placeLength else {
            let bucket = UInt64(key[0]) << 40 | UInt64(key[1]) << 32
            return bucket | UInt64(key[2]) << 24 | UInt64(key[3]) << 16 | UInt64(key[4]) << 8 | UInt64(key[5])
        }
        return (0..<placeLength).reduce(UInt64(0)) { $0 << 8 | ($1 < key.count ? UInt64(key[$1]) : 0) }
    }

    init(bucket: Int, depth: Int = StateTree.bucketDepth) {
        let first = UInt64(bucket) << 32
        self.init(depth: depth, first: first & ~(Self.size(depth) - 1))
    }

    /// How many places; the places of the state have 44 bits.
    private static func size(_ depth: Int) -> UInt64 { 1 << UInt64(4 * (StateTree.maxDepth - depth)) }

    static func nibble(of key: [UInt8], depth: Int) -> Int {
        let index = (depth + 1) / 2
        guard index < key.count else { return 0 }
        let byte = key[index]
        return Int(depth.isMultiple(of: 2) ? byte & 0xf : byte >> 4)
    }

    /// - Parameter word: the first eight bytes of a key.
    init(of word: UInt64, depth: Int) { self.init(depth: depth, first: word >> 16 & ~(Self.size(depth) - 1)) }

    /// The part of which it is a child, and which child.
    /// - Precondition: it is not the whole state.
    var above: StatePart { StatePart(depth: depth - 1, first: first & ~(Self.size(depth - 1) - 1)) }
    var child: Int { Int(first >> UInt64(4 * (StateTree.maxDepth - depth)) & 0xf) }

    /// The first eight bytes of every key that is in it.
    var words: Range<UInt64> { first << 16..<(first + Self.size(depth)) << 16 }

    /// In the order of the nodes' keys.
    var id: UInt64 { UInt64(depth) << 48 | first }
    init(id: UInt64) { self.init(depth: Int(id >> 48), first: id & (1 << 48 - 1)) }

    var bucket: Int { Int(first >> 32) }
    var lowerBound: [UInt8] { Self.bytes(first) }
    var upperBound: [UInt8] { Self.bytes(first + Self.size(depth)) }
    /// Under which its node is kept: behind all entries.
    var nodeKey: [UInt8] { [Self.area, UInt8(depth)] + lowerBound }
    static func firstKey(ofDepth depth: Int) -> [UInt8] { [area, UInt8(depth)] }
    /// Where the nodes of a bucket are that are so deep.
    static func nodeRange(ofBucket bucket: Int, depth: Int) -> KeyRange {
        let part = StatePart(bucket: bucket)
        return KeyRange(
            lower: firstKey(ofDepth: depth) + part.lowerBound, upper: firstKey(ofDepth: depth) + part.upperBound)
    }
    /// Of a node: its depth, and the first bucket that it is over or in.
    static func place(ofNode key: [UInt8]) -> (depth: Int, bucket: Int) {
        (Int(key[1]), Int(key[2]) << 8 | Int(key[3]))
    }

    private static func bytes(_ place: UInt64) -> [UInt8] {
        (0..<placeLength).map { UInt8(truncatingIfNeeded: place >> UInt64(8 * (placeLength - 1 - $0))) }
    }
}

/// The state's hash tree (Merkle, CRYPTO '87), as deep as there are entries. Nodes of buckets and below are kept in the
/// store with the entries, and are read when something below them changes; those above are few and are kept here.
///
/// What a checkpoint costs is what changed since the last one: the keys, their at most `Subtree.leafLimit` neighbours
/// and the nodes above them.
struct StateTree {
    /// Three of four bits each make a bucket.
    static let bucketDepth = 3
    /// All bits of a place.
    static let maxDepth = 11

    private let ahead: HashingAhead
    private var top = BucketTree.empty
    private var buckets = [Subtree](repeating: .empty, count: StateKey.bucketCount)
    /// Entries that are placed by their identifiers, and all.
    private var count: (placed: UInt64, all: UInt64) = (0, 0)
    /// The nodes whose children have changed since they were hashed; some twice. Whoever is above one has a count that
    /// is right, and no digest.
    private var stale: [StatePart] = []
    /// Whose nodes right above the buckets are to be written; by the first bucket, looked up only.
    private var parents: Set<Int> = []

    /// Of what the store holds.
    init(loading overlay: borrowing Overlay, ahead: HashingAhead) throws(ShardStateError) {
        self.ahead = ahead
        var found = buckets
        try overlay.forEachParent { bucket, node in
            for child in 0..<TreeNode.fanout { found[bucket + child] = node[child] }
        }
        for (bucket, subtree) in found.enumerated() where subtree.count > 0 {
            set(bucket, subtree)
        }
        parents = []
    }

    subscript(bucket: Int) -> Subtree { buckets[bucket] }
    /// - Precondition: everything is hashed.
    var digests: [Digest] { top.buckets }
    /// - Precondition: everything is hashed.
    var root: Digest { mutating get { top.root } }

    /// Hashes what should not wait for the checkpoint.
    mutating func hashIfDue(_ overlay: inout Overlay) throws(ShardStateError) {
        let changes = overlay.changes
        if changes.all >= ahead.changes, isLarge(count.all, StateKey.bucketCount) {
            try hashLeaves(of: overlay.takeChanges(), &overlay)
        } else if changes.placed >= ahead.placedChanges, isLarge(count.placed, StateKey.placedBuckets.count) {
            try hashLeaves(of: overlay.takeChanges(placed: true), &overlay)
        }
        if stale.count >= ahead.nodes { try hashNodes(&overlay) }
    }

    private func isLarge(_ entries: UInt64, _ buckets: Int) -> Bool {
        entries > UInt64(buckets * ahead.entriesPerBucket)
    }

    /// Hashes everything that changed, and writes the nodes that changed with it.
    mutating func clean(_ overlay: inout Overlay) throws(ShardStateError) {
        try hashLeaves(of: overlay.takeChanges(), &overlay)
        try hashNodes(&overlay)
        for bucket in parents.sorted() { writeParent(bucket, &overlay) }
        parents.removeAll(keepingCapacity: true)
    }

    /// - Parameter changes: the places of keys that changed, ascending.
    private mutating func hashLeaves(of changes: [UInt64], _ overlay: inout Overlay) throws(ShardStateError) {
        var rest = changes[...]
        while let first = rest.first {
            let part = StatePart(of: first, depth: Self.bucketDepth)
            let here = rest.prefix { $0 < part.words.upperBound }
            rest = rest[here.endIndex...]
            let subtree = try update(part, here, buckets[part.bucket].count, &overlay)
            if subtree != buckets[part.bucket] { set(part.bucket, subtree) }
        }
    }

    /// From the deepest on: each may be a child of another.
    private mutating func hashNodes(_ overlay: inout Overlay) throws(ShardStateError) {
        stale.sort { $0.id > $1.id }
        var last: StatePart?
        for part in stale where part != last {
            last = part
            // It is a leaf again, and hashed.
            guard let digest = try overlay.node(part)?.digest else { continue }
            if part.depth > Self.bucketDepth {
                let above = part.above
                guard var node = try overlay.node(above) else {
                    throw .corruptEntry(key: above.nodeKey, what: "missing")
                }
                node.set(digest, of: part.child)
                overlay.setNode(above, node)
            } else {
                set(part.bucket, Subtree(count: buckets[part.bucket].count, digest: digest))
            }
        }
        stale.removeAll(keepingCapacity: true)
    }

    private mutating func set(_ bucket: Int, _ subtree: Subtree) {
        let old = buckets[bucket].count
        count.all = count.all &- old &+ subtree.count
        if StateKey.placedBuckets.contains(bucket) { count.placed = count.placed &- old &+ subtree.count }
        buckets[bucket] = subtree
        top.set(bucket, subtree.digest)
        parents.insert(Self.firstSibling(of: bucket))
    }

    private func writeParent(_ bucket: Int, _ overlay: inout Overlay) {
        let (key, node) = parent(bucket)
        overlay.setNode(key, node)
    }

    /// The node right above buckets; nil if they are empty.
    /// - Parameter bucket: the first of them.
    private func parent(_ bucket: Int) -> (part: StatePart, node: TreeNode?) {
        let node = TreeNode(buckets[bucket..<bucket + TreeNode.fanout])
        return (StatePart(bucket: bucket, depth: Self.bucketDepth - 1), node.count == 0 ? nil : node)
    }

    /// - Parameters:
    ///   - changes: the places of keys that changed in the part, ascending; not empty.
    ///   - old: how many entries the part had.
    /// - Returns: what it is, without the digest if it has a node, which is hashed later.
    private mutating func update(
        _ part: StatePart, _ changes: ArraySlice<UInt64>, _ old: UInt64, _ overlay: inout Overlay
    ) throws(ShardStateError) -> Subtree {
        guard Subtree.isDivided(old, atDepth: part.depth) else { return try Self.build(part, old, &overlay) }
        guard var node = try overlay.node(part) else { throw .corruptEntry(key: part.nodeKey, what: "missing") }
        var rest = changes
        while let first = rest.first {
            let below = StatePart(of: first, depth: part.depth + 1)
            let here = rest.prefix { $0 < below.words.upperBound }
            rest = rest[here.endIndex...]
            node[below.child] = try update(below, here, node.count(of: below.child), &overlay)
        }
        let count = node.count
        guard Subtree.isDivided(count, atDepth: part.depth) else {
            overlay.setNode(part, nil)
            return try Self.build(part, count, &overlay)
        }
        overlay.setNode(part, node)
        stale.append(part)
        return Subtree(count: count, digest: .null)
    }

    /// From the entries. There are few: those that were hashed together, and those that came.
    /// - Parameter old: how many it had. If none, all entries are newer than the store's.
    private static func build(
        _ part: StatePart, _ old: UInt64, _ overlay: inout Overlay
    ) throws(ShardStateError) -> Subtree {
        if let leaf = try overlay.leaf(part, isNew: old == 0) { return leaf }
        let entries = try overlay.entries(of: part)
        return Subtree.build(entries[...], depth: part.depth) { overlay.setNode($0, $1) }
    }

    /// What it would be with other buckets in the place of its own. Only what is above the buckets, and only to be
    /// written down: the nodes below them come with the buckets.
    /// - Precondition: everything is hashed.
    func replacing(_ summaries: [BucketSummary]) -> (root: Digest, parents: [KeyValueWrite]) {
        var tree = self
        for summary in summaries {
            tree.set(summary.bucket, Subtree(count: summary.count, digest: summary.digest))
        }
        let parents = Set(summaries.map { Self.firstSibling(of: $0.bucket) }).sorted().map { bucket in
            let (part, node) = tree.parent(bucket)
            return KeyValueWrite(key: part.nodeKey, value: node?.encoded())
        }
        return (tree.root, parents)
    }

    /// The first bucket below the node right above a bucket.
    static func firstSibling(of bucket: Int) -> Int { bucket / TreeNode.fanout * TreeNode.fanout }

    // MARK: Checking

    /// Whether the entries of buckets, and the nodes over them, are what the buckets' digests say.
    /// - Precondition: nothing in them has changed since the last cleaning.
    /// - Returns: what is wrong.
    func fault(inBuckets buckets: Range<Int>, _ overlay: borrowing Overlay) throws(ShardStateError) -> ShardStateError?
    {
        var entries: [StateTransferMessage.StateEntry] = []
        try overlay.forEach(inBuckets: buckets) { entries.append(.init(key: $0, value: $1)) }
        if let strange = entries.first(where: { $0.key.count <= StateKey.prefixLength }) {
            return .corruptEntry(key: strange.key, what: "not a key of the state")
        }
        var rest = entries[...]
        for bucket in buckets {
            let own = rest.prefix { StateKey.bucket($0.key) == bucket }
            rest = rest[own.endIndex...]
            if let fault = try fault(inBucket: bucket, own, overlay) { return fault }
        }
        return nil
    }

    private func fault(
        inBucket bucket: Int, _ entries: ArraySlice<StateTransferMessage.StateEntry>, _ overlay: borrowing Overlay
    ) throws(ShardStateError) -> ShardStateError? {
        var nodes: [(part: StatePart, node: TreeNode)] = []
        let subtree = Subtree.build(entries, depth: Self.bucketDepth) { nodes.append(($0, $1)) }
        guard subtree == buckets[bucket] else {
            return .corruptEntry(key: StateKey.lowerBound(bucket), what: "the bucket is not what its digest says")
        }
        for (part, node) in nodes where try overlay.node(part) != node {
            return .corruptEntry(key: part.nodeKey, what: "the node is not what the entries below it say")
        }
        return nil
    }
}
