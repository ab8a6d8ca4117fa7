/// A Merkle tree over the leaves of one executed batch (RFC 9162 §2.1: leaves and nodes hashed under different
/// prefixes, the left subtree the largest power of two below the count).
public struct MerkleTree: Sendable {
    /// levels[0] are the leaf hashes; an odd last node moves up unchanged.
    private let levels: [[Digest]]

    /// Over hashes that `leaf` has made, in their order.
    public init(leafHashes: [Digest]) {
        var levels = [leafHashes]
        while levels[levels.count - 1].count > 1 {
            let below = levels[levels.count - 1]
            var above: [Digest] = []
            above.reserveCapacity((below.count + 1) / 2)
            for i in stride(from: 0, to: below.count, by: 2) {
                above.append(i + 1 < below.count ? Self.node(below[i], below[i + 1]) : below[i])
            }
            levels.append(above)
        }
        self.levels = levels
    }

    /// Over a batch's leaves, in their order. Hashes all of them.
    public init(leaves: [Leaf]) { self.init(leafHashes: leaves.map(\.hash)) }

    /// The root of no leaves is the hash of nothing under the leaf prefix.
    public var root: Digest { levels[levels.count - 1].first ?? Self.leaf([]) }

    /// The siblings from leaf `index` up to the root.
    public func path(at index: Int) -> MerklePath {
        precondition(index >= 0 && index < levels[0].count)
        var siblings: [Digest] = []
        var position = index
        for level in levels.dropLast() {
            if position ^ 1 < level.count { siblings.append(level[position ^ 1]) }
            position >>= 1
        }
        return MerklePath(index: UInt32(index), count: UInt32(levels[0].count), siblings: siblings)
    }

    /// Whether this leaf stands there.
    func isLeaf(_ leaf: Leaf, at index: Int) -> Bool {
        levels[0].indices.contains(index) && levels[0][index] == leaf.hash
    }

    /// The hash of a leaf's encoding: SHA-256 over a zero byte and the bytes, as inner nodes are over a one.
    public static func leaf(_ bytes: [UInt8]) -> Digest {
        var hasher = Hasher256()
        hasher.update(UInt8(0))
        hasher.update(bytes)
        return hasher.finish()
    }

    static func node(_ left: Digest, _ right: Digest) -> Digest {
        var hasher = Hasher256()
        hasher.update(UInt8(1))
        hasher.update(left)
        hasher.update(right)
        return hasher.finish()
    }
}

/// Proof that a leaf stands at `index` of `count` leaves under a root.
public struct MerklePath: Hashable, Sendable, CanonicalCodable {
    /// The leaf's place, from 0.
    public let index: UInt32
    /// Of all leaves: says with `index` how many siblings there must be, and on which side each stands.
    public let count: UInt32
    /// The hashes that are missing on the way to the root, from the leaf upwards.
    public let siblings: [Digest]

    /// Its shape is checked where it is used (`root`).
    public init(index: UInt32, count: UInt32, siblings: [Digest]) {
        (self.index, self.count, self.siblings) = (index, count, siblings)
    }

    /// Refuses more than 32 siblings; more no path over `UInt32` leaves has.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        index = try reader.uint32()
        count = try reader.uint32()
        siblings = try reader.array(limit: 32)
    }

    /// Index, count, then the counted siblings.
    public func encode(into writer: inout ByteWriter) {
        writer.put(index)
        writer.put(count)
        writer.put(array: siblings)
    }

    /// The root that this path gives for a leaf hash; nil if the path does not have the shape of its index and count.
    public func root(from leafHash: Digest) -> Digest? {
        guard index < count else { return nil }
        var hash = leafHash
        var position = index
        var width = count
        var next = siblings.makeIterator()
        while width > 1 {
            if position ^ 1 < width {
                guard let sibling = next.next() else { return nil }
                hash = position & 1 == 0 ? MerkleTree.node(hash, sibling) : MerkleTree.node(sibling, hash)
            }
            position >>= 1
            width = width / 2 + width % 2
        }
        return next.next() == nil ? hash : nil
    }
}
