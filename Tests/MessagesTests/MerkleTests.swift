import Messages
import Testing

/// The tree over a batch's leaves (RFC 9162 §2.1).
@Suite struct MerkleTests {
    private func leaves(_ count: Int) -> [Digest] { (0..<count).map { MerkleTree.leaf([UInt8($0)]) } }

    /// RFC 9162 §2.1.1, as it is written there: the left subtree is the largest power of two below the count.
    private func root(_ hashes: ArraySlice<Digest>) -> Digest {
        guard hashes.count > 1 else { return hashes.first ?? MerkleTree.leaf([]) }
        var split = 1
        while split * 2 < hashes.count { split *= 2 }
        let middle = hashes.startIndex + split
        var hasher = Hasher256()
        hasher.update(UInt8(1))
        hasher.update(root(hashes[..<middle]))
        hasher.update(root(hashes[middle...]))
        return hasher.finish()
    }

    @Test(arguments: 0...33)
    func theRootIsTheStandards(count: Int) {
        let hashes = leaves(count)
        #expect(MerkleTree(leafHashes: hashes).root == root(hashes[...]))
    }

    @Test(arguments: 1...33)
    func everyPathProvesItsLeafAndNothingElse(count: Int) throws {
        let hashes = leaves(count)
        let tree = MerkleTree(leafHashes: hashes)
        for index in 0..<count {
            let path = tree.path(at: index)
            #expect(path.root(from: hashes[index]) == tree.root)
            #expect(try MerklePath(decoding: path.encoded()) == path)
            for other in 0..<count where other != index {
                #expect(path.root(from: hashes[other]) != tree.root)
                // The same siblings at another place.
                let moved = MerklePath(index: UInt32(other), count: UInt32(count), siblings: path.siblings)
                #expect(moved.root(from: hashes[index]) != tree.root)
            }
            for i in path.siblings.indices {
                var siblings = path.siblings
                siblings[i] = MerkleTree.leaf([0xEE])
                #expect(
                    MerklePath(index: path.index, count: path.count, siblings: siblings).root(from: hashes[index])
                        != tree.root)
                siblings = path.siblings
                siblings.remove(at: i)
                #expect(
                    MerklePath(index: path.index, count: path.count, siblings: siblings).root(from: hashes[index])
                        == nil)
            }
            let longer = MerklePath(index: path.index, count: path.count, siblings: path.siblings + [hashes[0]])
            #expect(longer.root(from: hashes[index]) == nil)
        }
    }

    /// The count is not part of what is signed; a path that claims another one proves the same leaf or nothing.
    @Test func anotherCountProvesNoOtherLeaf() {
        for count in 1...33 {
            let hashes = leaves(count)
            let tree = MerkleTree(leafHashes: hashes)
            for index in 0..<count {
                for claimed in 0...66 {
                    let path = MerklePath(
                        index: UInt32(index), count: UInt32(claimed), siblings: tree.path(at: index).siblings)
                    if index >= claimed { #expect(path.root(from: hashes[index]) == nil) }
                    for other in 0..<count where other != index { #expect(path.root(from: hashes[other]) != tree.root) }
                }
            }
        }
    }

    @Test func pathsOfImpossibleShapesProveNothing() {
        let leaf = leaves(1)[0]
        #expect(MerklePath(index: 0, count: 0, siblings: []).root(from: leaf) == nil)
        #expect(MerklePath(index: .max, count: .max, siblings: []).root(from: leaf) == nil)
        #expect(MerklePath(index: .max - 1, count: .max, siblings: []).root(from: leaf) == nil)
        #expect(MerklePath(index: 0, count: .max, siblings: []).root(from: leaf) == nil)
        #expect(MerklePath(index: 0, count: 1, siblings: []).root(from: leaf) == leaf)
    }

    @Test func aNodeIsNeverALeaf() {
        // Different prefixes: the two children of a node, taken as a leaf, hash to something else.
        let hashes = leaves(2)
        #expect(MerkleTree.leaf(hashes[0].bytes + hashes[1].bytes) != MerkleTree(leafHashes: hashes).root)
    }
}
