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
        for (i, entry) in entries.enumerated() {
            guard entry.key.count > StateKey.prefixLength, StateKey.bucket(entry.key) == bucket else { return .null }
            guard i == 0 || precedes(entries[i - 1].key, entry.key) else { return .null }
        }
        return Subtree.build(entries[...], depth: StateTree.bucketDepth) { _, _ in }.digest
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

    static func checkpoint(metadata: [UInt8], root: Digest) -> Digest {
        var hasher = Hasher256(.checkpoint)
        hasher.update(root)
        hasher.update(metadata)
        return hasher.finish()
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
