import Messages

/// The last executed batches with their leaves: what this replica can attest without ordering anything.
struct RecentBatches: Sendable {
    struct Recent: Sendable {
        let statement: AttestationStatement
        let leaves: [Leaf]
        var signature: ReplicaSignature?
    }

    private struct Place {
        let sequence: SequenceNumber
        let index: Int
    }

    private var ring: [Recent?]
    /// The newest leaf of a request.
    private var newest: [Digest: Place] = [:]
    /// Of batches that leaves were pushed of, the newest last: when much has to be pushed, much of it is of the same
    /// batches.
    private var trees: [(sequence: SequenceNumber, tree: MerkleTree)] = []
    private static let keptTrees = 64

    init(capacity: Int) { ring = Array(repeating: nil, count: capacity) }

    private func slot(_ sequence: SequenceNumber) -> Int { Int(sequence.number % UInt64(ring.count)) }

    mutating func append(_ statement: AttestationStatement, _ leaves: [Leaf]) {
        let slot = slot(statement.sequence)
        if let old = ring[slot] {
            for leaf in old.leaves where newest[leaf.request]?.sequence == old.statement.sequence {
                newest[leaf.request] = nil
            }
        }
        ring[slot] = Recent(statement: statement, leaves: leaves, signature: nil)
        for (index, leaf) in leaves.enumerated() {
            newest[leaf.request] = Place(sequence: statement.sequence, index: index)
        }
    }

    mutating func removeAll() {
        ring = Array(repeating: nil, count: ring.count)
        (newest, trees) = ([:], [])
    }

    func leaf(for request: Digest) -> Leaf? { newest[request].flatMap { ring[slot($0.sequence)]?.leaves[$0.index] } }

    func sequence(of request: Digest) -> SequenceNumber? { newest[request]?.sequence }

    /// Signs at the first need: most batches concern nobody twice.
    mutating func attestation(_ sequence: SequenceNumber, replica: ReplicaIndex, signer: any Signer)
        -> BatchAttestation?
    {
        let slot = slot(sequence)
        guard let recent = ring[slot], recent.statement.sequence == sequence else { return nil }
        let signature =
            recent.signature
            ?? ReplicaSignature(replica: replica, signature: signer.sign(recent.statement.signingBytes))
        ring[slot]?.signature = signature
        return BatchAttestation(statement: recent.statement, signature: signature, leaves: recent.leaves)
    }

    mutating func attestedLeaf(for request: Digest, replica: ReplicaIndex, signer: any Signer) -> AttestedLeaf? {
        guard let place = newest[request],
            let attestation = attestation(place.sequence, replica: replica, signer: signer)
        else { return nil }
        return AttestedLeaf(
            statement: attestation.statement, signature: attestation.signature, leaf: attestation.leaves[place.index],
            path: tree(of: attestation).path(at: place.index))
    }

    /// A push needs one path; the tree over a batch of hundreds costs as much as hundreds of pushes.
    private mutating func tree(of attestation: BatchAttestation) -> MerkleTree {
        let sequence = attestation.statement.sequence
        if let known = trees.last(where: { $0.sequence == sequence }) { return known.tree }
        let tree = MerkleTree(leaves: attestation.leaves)
        if trees.count == Self.keptTrees { trees.removeFirst() }
        trees.append((sequence, tree))
        return tree
    }
}
