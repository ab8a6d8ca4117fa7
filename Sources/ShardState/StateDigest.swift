import Messages

/// How the state is hashed: entries in buckets, buckets in a tree, the tree's root with the metadata. State transfer
/// fetches the buckets that differ and checks each against the certified digest.
public enum StateDigest {
    /// Every key is in exactly one.
    public static var bucketCount: Int { StateKey.bucketCount }
    static let fanout = 16

    /// The bucket that a key belongs to; nil if the key is not one of this module's.
    public static func bucket(of key: [UInt8]) -> Int? { StateKey.bucket(of: key) }

    /// - Parameter entries: the whole bucket, ascending by key.
    public static func bucketDigest(_ entries: [StateTransferMessage.StateEntry]) -> Digest {
        var writer = ByteWriter(reserving: entries.count * 160)
        for entry in entries { put(entry.key, entry.value, into: &writer) }
        return bucketDigest(of: writer)
    }

    /// The digest that 2f + 1 replicas vote for at a checkpoint; nil unless there is a digest for every bucket.
    public static func checkpoint(metadata: [UInt8], bucketDigests: [Digest]) -> Digest? {
        guard bucketDigests.count == bucketCount else { return nil }
        // Starting from empty saves most of the tree of a small state.
        var tree = BucketTree.empty
        for (bucket, digest) in bucketDigests.enumerated() where digest != emptyBucketDigest { tree.markDirty(bucket) }
        tree.clean(tree.dirty.map { bucketDigests[$0] })
        return checkpoint(metadata: metadata, root: tree.root)
    }

    /// The sequence number after which a state with this metadata was; nil if they are not a state's metadata.
    public static func sequence(ofMetadata metadata: [UInt8]) -> SequenceNumber? {
        (try? StateMetadata(decoding: metadata))?.sequence
    }

    /// All entries of a bucket, ascending, as a snapshot has them.
    /// - Throws: what the reader throws.
    public static func entries(ofBucket bucket: Int, in reader: some KeyValueReader) throws -> [StateTransferMessage.StateEntry] {
        var entries: [StateTransferMessage.StateEntry] = []
        try reader.forEach(from: StateKey.lowerBound(bucket), to: StateKey.lowerBound(bucket + 1)) { key, value in
            entries.append(StateTransferMessage.StateEntry(key: key, value: value))
            return true
        }
        return entries
    }

    /// The digests of every bucket of a snapshot. Reads all of it.
    /// - Throws: what the reader throws.
    public static func bucketDigests(of reader: some KeyValueReader) throws -> [Digest] {
        var digests = [Digest](repeating: emptyBucketDigest, count: bucketCount)
        var bucket = 0
        var writer = ByteWriter(reserving: 4096)
        try reader.forEach(from: StateKey.lowerBound(0), to: StateKey.lowerBound(bucketCount)) { key, value in
            let own = Int(key[0]) << 8 | (key.count > 1 ? Int(key[1]) : 0)
            if own != bucket {
                if !writer.bytes.isEmpty { digests[bucket] = bucketDigest(of: writer) }
                bucket = own
                writer = ByteWriter(reserving: 4096)
            }
            put(key, value, into: &writer)
            return true
        }
        if !writer.bytes.isEmpty { digests[bucket] = bucketDigest(of: writer) }
        return digests
    }

    static func checkpoint(metadata: [UInt8], root: Digest) -> Digest {
        var hasher = Hasher256(.checkpoint)
        hasher.update(root)
        hasher.update(metadata)
        return hasher.finish()
    }

    static func put(_ key: [UInt8], _ value: [UInt8], into writer: inout ByteWriter) {
        writer.put(blob: key)
        writer.put(blob: value)
    }

    static func bucketDigest(of entries: ByteWriter) -> Digest { Hasher256.hash(.stateBucket, entries.bytes) }
    static let emptyBucketDigest = bucketDigest(of: ByteWriter(reserving: 0))
}

/// The tree over the buckets' digests, and which buckets have changed since they were hashed.
struct BucketTree {
    /// levels[0] are the buckets; the last has one node.
    private var levels: [[Digest]]
    private var isDirty = [Bool](repeating: false, count: StateKey.bucketCount)
    private(set) var dirty: [Int] = []

    static let empty = BucketTree([Digest](repeating: StateDigest.emptyBucketDigest, count: StateKey.bucketCount))

    init(_ buckets: [Digest]) {
        levels = [buckets]
        while let below = levels.last, below.count > 1 {
            levels.append(
                stride(from: 0, to: below.count, by: StateDigest.fanout).map { Self.node(below[$0..<$0 + StateDigest.fanout]) })
        }
    }

    var buckets: [Digest] { levels[0] }
    /// - Precondition: nothing is dirty.
    var root: Digest {
        precondition(dirty.isEmpty)
        return levels[levels.count - 1][0]
    }

    mutating func markDirty(_ bucket: Int) {
        if isDirty[bucket] { return }
        isDirty[bucket] = true
        dirty.append(bucket)
    }

    /// - Parameter digests: of `dirty`, in its order.
    mutating func clean(_ digests: [Digest]) {
        precondition(digests.count == dirty.count)
        for (bucket, digest) in zip(dirty, digests) {
            levels[0][bucket] = digest
            isDirty[bucket] = false
        }
        var changed = dirty.sorted()
        dirty.removeAll(keepingCapacity: true)
        for level in levels.indices.dropFirst() {
            var parents: [Int] = []
            for child in changed where parents.last != child / StateDigest.fanout { parents.append(child / StateDigest.fanout) }
            for parent in parents {
                let first = parent * StateDigest.fanout
                levels[level][parent] = Self.node(levels[level - 1][first..<first + StateDigest.fanout])
            }
            changed = parents
        }
    }

    private static func node(_ children: ArraySlice<Digest>) -> Digest {
        let bytes = [UInt8](unsafeUninitializedCapacity: children.count * 32) { buffer, count in
            for child in children {
                let place = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                child.value.withBytes { place.copyMemory(from: $0) }
                count += 32
            }
        }
        return Hasher256.hash(.stateNode, bytes)
    }
}
