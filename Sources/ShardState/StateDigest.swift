import Messages

/// How the state is hashed: entries in buckets, buckets in a tree, the tree's root with the metadata. State transfer
/// fetches the buckets that differ and checks each against the certified digest. A bucket with many entries is a tree
/// itself (`StateTree`).
public enum StateDigest {
    /// Every key is in exactly one.
    public static var bucketCount: Int { StateKey.bucketCount }

    /// The bucket that a key belongs to; nil if the key is not one of this module's.
    public static func bucket(of key: [UInt8], in map: ShardMap) -> Int? { StateKey.bucket(of: key, in: map) }

    /// - Parameter entries: what somebody says a whole bucket is.
    /// - Returns: null, which is no bucket's digest, unless they are keys of this bucket, strictly ascending: entries
    ///   in another order would not all be hashed.
    public static func bucketDigest(_ entries: [StateTransferMessage.StateEntry], of bucket: Int) -> Digest {
        guard areOrdered(entries, in: bucket) else { return .null }
        return Subtree.build(entries[...], depth: StateTree.bucketDepth) { _, _ in }.digest
    }

    /// What a store has of a bucket with these entries: they, and the nodes of the tree that they are.
    /// - Parameter entries: what somebody says a whole bucket is.
    /// - Returns: nil unless they are the bucket with this digest.
    public static func bucket(
        _ bucket: Int, of entries: [StateTransferMessage.StateEntry], digest: Digest
    ) -> WholeBucket? {
        guard areOrdered(entries, in: bucket) else { return nil }
        var nodes: [KeyValueWrite] = []
        var subtree = Subtree.build(entries[...], depth: StateTree.bucketDepth) {
            nodes.append(KeyValueWrite(key: $0.nodeKey, value: $1.encoded()))
        }
        if Mutant.is(.bucketDigestUnchecked) { subtree.digest = digest }
        guard subtree.digest == digest else { return nil }
        let writes = entries.map { KeyValueWrite(key: $0.key, value: $0.value) }
        let part = StagedPart(
            ranges: ranges(ofBucket: bucket), entries: writes + nodes.sorted { precedes($0.key, $1.key) })
        return WholeBucket(summary: .init(bucket: bucket, count: subtree.count, digest: subtree.digest), part: part)
    }

    /// Where a store has the entries of a bucket, and the nodes of its tree.
    public static func ranges(ofBucket bucket: Int) -> [KeyRange] {
        let entries = KeyRange(lower: StateKey.lowerBound(bucket), upper: StateKey.lowerBound(bucket + 1))
        return [entries]
            + (StateTree.bucketDepth..<StateTree.maxDepth).map { StatePart.nodeRange(ofBucket: bucket, depth: $0) }
    }

    /// The digest of a bucket without entries, the same for every bucket.
    public static var emptyBucketDigest: Digest { Subtree.empty.digest }

    /// The digest that 2f + 1 replicas vote for at a checkpoint; nil unless there is a digest for every bucket.
    public static func checkpoint(metadata: [UInt8], bucketDigests: [Digest]) -> Digest? {
        guard bucketDigests.count == bucketCount else { return nil }
        // Starting from empty saves most of the tree of a small state.
        var tree = BucketTree.empty
        for (bucket, digest) in bucketDigests.enumerated() where digest != Subtree.empty.digest {
            tree.set(bucket, digest)
        }
        return checkpoint(metadata: metadata, root: tree.root)
    }

    /// The sequence number after which a state with this metadata was; nil if they are not a state's metadata.
    public static func sequence(ofMetadata metadata: [UInt8]) -> SequenceNumber? {
        (try? StateMetadata(decoding: metadata))?.sequence
    }

    /// All entries of a bucket, ascending, as a snapshot has them.
    /// - Throws: what the reader throws.
    public static func entries(ofBucket bucket: Int, in reader: some KeyValueReader) throws -> [StateTransferMessage
        .StateEntry]
    {
        var entries: [StateTransferMessage.StateEntry] = []
        try reader.forEach(from: StateKey.lowerBound(bucket), to: StateKey.lowerBound(bucket + 1)) { key, value in
            entries.append(StateTransferMessage.StateEntry(key: key, value: value))
            return true
        }
        return entries
    }

    /// The digests of every bucket of a snapshot, as they were written down with it.
    /// - Throws: what the reader throws; `ShardStateError.corruptEntry`.
    public static func bucketDigests(of reader: some KeyValueReader) throws -> [Digest] {
        var digests = [Digest](repeating: Subtree.empty.digest, count: bucketCount)
        try TreeNode.forEachParent(in: reader) { bucket, node in
            for child in 0..<TreeNode.fanout { digests[bucket + child] = node[child].digest }
        }
        return digests
    }

    private static func areOrdered(_ entries: [StateTransferMessage.StateEntry], in bucket: Int) -> Bool {
        for (i, entry) in entries.enumerated() {
            guard entry.key.count > StateKey.prefixLength, StateKey.bucket(entry.key) == bucket else { return false }
            guard i == 0 || precedes(entries[i - 1].key, entry.key) else { return false }
        }
        return true
    }

    static func checkpoint(metadata: [UInt8], root: Digest) -> Digest {
        var hasher = Hasher256(.checkpoint)
        hasher.update(root)
        hasher.update(metadata)
        return hasher.finish()
    }
}

/// What the tree says of one bucket.
public struct BucketSummary: Hashable, Sendable {
    /// Counted from zero.
    public let bucket: Int
    /// Of its entries.
    public let count: UInt64
    /// Of the bucket.
    public let digest: Digest

    /// Claims nothing: whoever has hashed the entries knows it.
    public init(bucket: Int, count: UInt64, digest: Digest) {
        (self.bucket, self.count, self.digest) = (bucket, count, digest)
    }
}

/// All of a bucket, as a store has it.
public struct WholeBucket: Hashable, Sendable {
    /// As the entries hash.
    public let summary: BucketSummary
    /// The entries and the nodes of the tree that they are.
    public let part: StagedPart
    /// Of keys and values.
    public let bytes: Int

    init(summary: BucketSummary, part: StagedPart) {
        (self.summary, self.part) = (summary, part)
        bytes = part.entries.reduce(0) { $0 + $1.key.count + ($1.value?.count ?? 0) }
    }
}

/// The tree over the buckets' digests. Hashed again from the buckets that changed when its root is asked for.
struct BucketTree {
    /// levels[0] are the buckets; the last has one node.
    private var levels: [[Digest]]
    private var isDirty = [Bool](repeating: false, count: StateKey.bucketCount)
    private var dirty: [Int] = []

    static let empty = BucketTree([Digest](repeating: Subtree.empty.digest, count: StateKey.bucketCount))

    private init(_ buckets: [Digest]) {
        levels = [buckets]
        while let below = levels.last, below.count > 1 {
            levels.append(
                stride(from: 0, to: below.count, by: TreeNode.fanout).map { first in
                    node(below, first)
                })
        }
    }

    var buckets: [Digest] { levels[0] }

    mutating func set(_ bucket: Int, _ digest: Digest) {
        levels[0][bucket] = digest
        if isDirty[bucket] { return }
        isDirty[bucket] = true
        dirty.append(bucket)
    }

    var root: Digest {
        mutating get {
            for bucket in dirty { isDirty[bucket] = false }
            var changed = dirty.sorted()
            dirty.removeAll(keepingCapacity: true)
            for level in levels.indices.dropFirst() {
                var parents: [Int] = []
                for child in changed where parents.last != child / TreeNode.fanout {
                    parents.append(child / TreeNode.fanout)
                }
                for parent in parents {
                    let first = parent * TreeNode.fanout
                    levels[level][parent] = node(levels[level - 1], first)
                }
                changed = parents
            }
            return levels[levels.count - 1][0]
        }
    }
}

/// The digest of a node over those from `first` on.
private func node(_ digests: [Digest], _ first: Int) -> Digest {
    var hasher = Hasher256(.stateNode)
    for digest in digests[first..<first + TreeNode.fanout] { hasher.update(digest) }
    return hasher.finish()
}
