/// The ways of several leaves of one tree to its root, and what they share once: only the hashes that no leaf of them
/// gives. How many there are, and which, follows from the places of the leaves, so there is one proof for each choice of
/// leaves, and nothing in it is counted.
enum MerkleProof {
    /// A node on the way of some leaf.
    private struct Node {
        let position: UInt32
        /// One of the leaves below it, and how many of its siblings stand below.
        let leaf: Int
        let used: Int
    }

    /// The hashes that are missing: level by level from the leaves up, in a level from the left.
    /// - Parameter paths: at least one, all of one tree, ascending by index, each leaf once, each of the shape that
    ///   `MerklePath.root` wants.
    static func missing(_ paths: [MerklePath]) -> [Digest] {
        guard var width = paths.first?.count else { return [] }
        var nodes = paths.enumerated().map { Node(position: $1.index, leaf: $0, used: 0) }
        var missing: [Digest] = []
        while width > 1 {
            var above: [Node] = []
            var i = 0
            while i < nodes.count {
                let node = nodes[i]
                let hasSibling = node.position ^ 1 < width
                if hasSibling {
                    if isPair(node.position, nodes.dropFirst(i + 1).first?.position) {
                        i += 1
                    } else {
                        missing.append(paths[node.leaf].siblings[node.used])
                    }
                }
                above.append(
                    Node(position: node.position >> 1, leaf: node.leaf, used: node.used + (hasSibling ? 1 : 0)))
                i += 1
            }
            (nodes, width) = (above, width / 2 + width % 2)
        }
        return missing
    }

    private static func isPair(_ left: UInt32, _ right: UInt32?) -> Bool { left & 1 == 0 && right == left + 1 }

    /// Reads the hashes that are missing, and gives the root and the leaves' paths, in the order of the leaves. Each
    /// node is hashed once.
    /// - Parameter leaves: at least one, ascending by index, each once, all below `count`.
    static func read(
        _ leaves: [(index: UInt32, hash: Digest)], of count: UInt32, from reader: inout ByteReader
    ) throws(DecodingFailure) -> (root: Digest, paths: [MerklePath]) {
        var nodes = leaves.map { (position: $0.index, hash: $0.hash) }
        /// By leaf: which of the nodes it has reached.
        var reached = Array(leaves.indices)
        var siblings: [[Digest]] = Array(repeating: [], count: leaves.count)
        var width = count
        while width > 1 {
            var above: [(position: UInt32, hash: Digest)] = []
            /// By node: its sibling, and the place of the node above it.
            var steps: [(sibling: Digest?, above: Int)] = []
            var i = 0
            while i < nodes.count {
                let node = nodes[i]
                var hash = node.hash
                if node.position ^ 1 >= width {
                    steps.append((nil, above.count))
                } else if isPair(node.position, nodes.dropFirst(i + 1).first?.position) {
                    let right = nodes[i + 1]
                    steps.append((right.hash, above.count))
                    steps.append((hash, above.count))
                    hash = MerkleTree.node(hash, right.hash)
                    i += 1
                } else {
                    let sibling: Digest = try reader.value()
                    steps.append((sibling, above.count))
                    hash =
                        node.position & 1 == 0 ? MerkleTree.node(hash, sibling) : MerkleTree.node(sibling, hash)
                }
                above.append((node.position >> 1, hash))
                i += 1
            }
            for leaf in leaves.indices {
                let step = steps[reached[leaf]]
                if let sibling = step.sibling { siblings[leaf].append(sibling) }
                reached[leaf] = step.above
            }
            (nodes, width) = (above, width / 2 + width % 2)
        }
        guard let root = nodes.first?.hash else { throw reader.invalid("proof of no leaf") }
        let paths = zip(leaves, siblings).map { MerklePath(index: $0.index, count: count, siblings: $1) }
        return (root, paths)
    }
}
