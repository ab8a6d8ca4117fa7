import Messages

/// What a part of the state hashes to. A function of its entries alone: of few they are hashed together, of more than
/// `leafLimit` they are divided by the next four bits of their place, so that a change costs the hashing of its
/// neighbours and of the nodes above it, however much else there is.
struct Subtree: Hashable, CanonicalCodable {
    /// So many entries are hashed together at most, as long as their places differ.
    static let leafLimit = 16
    static let empty = Subtree(count: 0, digest: Hasher256.hash(.stateBucket, []))

    var count: UInt64
    var digest: Digest

    init(count: UInt64, digest: Digest) { (self.count, self.digest) = (count, digest) }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (count, digest) = (try reader.uint64(), try reader.value())
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(count)
        writer.put(digest)
    }

    /// Whether it has a node of its own.
    func isDivided(atDepth depth: Int) -> Bool { count > UInt64(Self.leafLimit) && depth < StateTree.maxDepth }

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
            node.children[nibble] = build(part, depth: depth + 1, visit: visit)
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

/// A node of the tree, kept with the state under a key of its own.
struct TreeNode: Hashable, CanonicalCodable {
    static let fanout = 16

    var children = [Subtree](repeating: .empty, count: fanout)

    init() {}
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        let present = try reader.uint16()
        for i in 0..<Self.fanout where present & (1 << UInt16(i)) != 0 { children[i] = try reader.value() }
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(children.indices.reduce(UInt16(0)) { $0 | (children[$1].count > 0 ? 1 << UInt16($1) : 0) })
        for child in children where child.count > 0 { writer.put(child) }
    }

    var count: UInt64 { children.reduce(0) { $0 &+ $1.count } }
    var subtree: Subtree { Subtree(count: count, digest: Self.digest(children.map(\.digest)[...])) }

    static func digest(_ children: ArraySlice<Digest>) -> Digest {
        let bytes = [UInt8](unsafeUninitializedCapacity: children.count * 32) { buffer, count in
            for child in children {
                let place = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                child.value.withBytes { place.copyMemory(from: $0) }
                count += 32
            }
        }
        return Hasher256.hash(.stateNode, bytes)
    }

    /// The nodes right above the buckets, each with its first bucket.
    static func forEachParent(in reader: some KeyValueReader, _ body: (Int, TreeNode) -> Void) throws {
        let depth = StateTree.bucketDepth - 1
        try reader.forEach(from: StatePart.firstKey(ofDepth: depth), to: StatePart.firstKey(ofDepth: depth + 1)) {
            key, value in
            guard key.count == StatePart.keyLength else {
                throw ShardStateError.corruptEntry(key: key, what: "a node's key")
            }
            let bucket = Int(key[2]) << 8 | Int(key[3])
            guard bucket < StateKey.bucketCount, key == StatePart(bucket: bucket, depth: depth).nodeKey else {
                throw ShardStateError.corruptEntry(key: key, what: "a node's key")
            }
            body(bucket, try decodeEntry(value, of: key))
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

    func contains(_ key: [UInt8]) -> Bool { Self.place(of: key) & ~(Self.size(depth) - 1) == first }

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

    var bucket: Int { Int(first >> 32) }
    var lowerBound: [UInt8] { Self.bytes(first) }
    var upperBound: [UInt8] { Self.bytes(first + Self.size(depth)) }
    /// The bytes of the last place that is in it.
    var last: [UInt8] { Self.bytes(first + Self.size(depth) - 1) }

    /// Under which its node is kept: behind all entries.
    var nodeKey: [UInt8] { [Self.area, UInt8(depth)] + lowerBound }
    static func firstKey(ofDepth depth: Int) -> [UInt8] { [area, UInt8(depth)] }

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
    /// When so many parts wait to be hashed this is not put off to the next checkpoint, which would be a pause that
    /// grows with the state. More than there are buckets: what is hashed once a checkpoint, however often it changes,
    /// costs least.
    private static let maxWaiting = 5000

    private var top = BucketTree.empty
    private var buckets = [Subtree](repeating: .empty, count: StateKey.bucketCount)
    /// What changed and was not hashed since; sorted before it is used.
    private var changed: Set<[UInt8]> = []
    /// The parts that are to be hashed for it, about; counted only.
    private var waiting: Set<StatePart> = []
    /// Whose nodes right above the buckets are to be written; by the first bucket, looked up only.
    private var parents: Set<Int> = []

    /// Of what the store holds.
    init(loading overlay: borrowing Overlay) throws(ShardStateError) {
        var found = buckets
        try overlay.forEachParent { bucket, node in
            found.replaceSubrange(bucket..<bucket + TreeNode.fanout, with: node.children)
        }
        for (bucket, subtree) in found.enumerated() where subtree.count > 0 {
            buckets[bucket] = subtree
            top.set(bucket, subtree.digest)
        }
    }

    subscript(bucket: Int) -> Subtree { buckets[bucket] }
    /// - Precondition: everything is hashed.
    var digests: [Digest] { top.buckets }
    /// - Precondition: everything is hashed.
    var root: Digest { mutating get { top.root } }

    mutating func note(_ key: [UInt8], bucket: Int) {
        guard changed.insert(key).inserted else { return }
        var (depth, count) = (Self.bucketDepth, buckets[bucket].count)
        while count > UInt64(Subtree.leafLimit), depth < Self.maxDepth {
            (depth, count) = (depth + 1, count / UInt64(TreeNode.fanout))
        }
        waiting.insert(StatePart(of: key, depth: depth))
    }

    /// Whether enough waits to be hashed now.
    var isDue: Bool { waiting.count >= Self.maxWaiting }

    /// Hashes everything that changed, and writes the nodes that changed with it.
    mutating func clean(_ overlay: inout Overlay) throws(ShardStateError) {
        try hash(&overlay)
        for bucket in parents.sorted() { writeParent(bucket, &overlay) }
        parents.removeAll(keepingCapacity: true)
    }

    /// All but the nodes right above the buckets.
    mutating func hash(_ overlay: inout Overlay) throws(ShardStateError) {
        let keys = changed.sorted(by: precedes)
        changed.removeAll(keepingCapacity: true)
        waiting.removeAll(keepingCapacity: true)
        var rest = keys[...]
        while let first = rest.first {
            let bucket = StateKey.bucket(first)
            let here = rest.prefix { StateKey.bucket($0) == bucket }
            rest = rest[here.endIndex...]
            let subtree = try Self.update(StatePart(bucket: bucket), here, buckets[bucket], &overlay)
            guard subtree != buckets[bucket] else { continue }
            buckets[bucket] = subtree
            top.set(bucket, subtree.digest)
            parents.insert(bucket / TreeNode.fanout * TreeNode.fanout)
        }
    }

    private func writeParent(_ bucket: Int, _ overlay: inout Overlay) {
        var node = TreeNode()
        node.children = Array(buckets[bucket..<bucket + TreeNode.fanout])
        let key = StatePart(bucket: bucket, depth: Self.bucketDepth - 1).nodeKey
        overlay.setNode(key, node.count == 0 ? nil : node)
    }

    /// - Parameters:
    ///   - keys: that changed in the part, ascending; not empty.
    ///   - old: what the part was.
    private static func update(
        _ part: StatePart, _ keys: ArraySlice<[UInt8]>, _ old: Subtree, _ overlay: inout Overlay
    ) throws(ShardStateError) -> Subtree {
        guard old.isDivided(atDepth: part.depth) else { return try build(part, &overlay) }
        guard var node = try overlay.node(part) else { throw .corruptEntry(key: part.nodeKey, what: "missing") }
        var rest = keys
        while let first = rest.first {
            let nibble = StatePart.nibble(of: first, depth: part.depth)
            let below = rest.prefix { StatePart.nibble(of: $0, depth: part.depth) == nibble }
            node.children[nibble] = try update(
                StatePart(of: first, depth: part.depth + 1), below, node.children[nibble], &overlay)
            rest = rest[below.endIndex...]
        }
        let subtree = node.subtree
        guard subtree.isDivided(atDepth: part.depth) else {
            overlay.setNode(part.nodeKey, nil)
            return try build(part, &overlay)
        }
        overlay.setNode(part.nodeKey, node)
        return subtree
    }

    /// From the entries. There are few: those that were hashed together, and those that came.
    private static func build(_ part: StatePart, _ overlay: inout Overlay) throws(ShardStateError) -> Subtree {
        let entries = try overlay.entries(of: part)
        return Subtree.build(entries[...], depth: part.depth) { overlay.setNode($0.nodeKey, $1) }
    }

    /// A bucket is now these entries and no others, whatever was thought of it before.
    mutating func replace(bucket: Int, by entries: [StateTransferMessage.StateEntry], _ overlay: inout Overlay) {
        let subtree = Subtree.build(entries[...], depth: Self.bucketDepth) { overlay.setNode($0.nodeKey, $1) }
        buckets[bucket] = subtree
        top.set(bucket, subtree.digest)
        parents.insert(bucket / TreeNode.fanout * TreeNode.fanout)
    }

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
