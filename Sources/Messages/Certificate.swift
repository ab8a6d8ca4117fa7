/// What a replica signs after it has executed a batch: never the view, always the chain (R1).
public struct AttestationStatement: Hashable, Sendable, CanonicalCodable {
    /// The cluster of the shard: in another one the same words prove nothing.
    public let cluster: ClusterID
    /// The epoch whose keys sign it.
    public let epoch: Epoch
    /// The shard that executed the batch.
    public let shard: ShardID
    /// The number under which it did.
    public let sequence: SequenceNumber
    /// The history before this batch; null before the first.
    public let previousHistory: Digest
    /// Covers the batch's time.
    public let batch: Digest
    /// The root of the Merkle tree over the batch's leaves. Without leaves it is the hash of nothing.
    public let leavesRoot: Digest

    /// What was executed; signing it is a step of its own, taken only where somebody needs a leaf.
    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, sequence: SequenceNumber,
        previousHistory: Digest, batch: Digest, leavesRoot: Digest
    ) {
        (self.cluster, self.epoch, self.shard, self.sequence) = (cluster, epoch, shard, sequence)
        (self.previousHistory, self.batch, self.leavesRoot) = (previousHistory, batch, leavesRoot)
    }

    /// Refuses nothing but what is too short: whether cluster, epoch and shard are ours is for `Verifier` to say.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard, sequence) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
        (previousHistory, batch, leavesRoot) = (try reader.value(), try reader.value(), try reader.value())
    }

    /// In the order of declaration: cluster, epoch, shard, sequence, previous history, batch, root.
    public func encode(into writer: inout ByteWriter) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(sequence)
        writer.put(previousHistory)
        writer.put(batch)
        writer.put(leavesRoot)
    }

    /// Of all of it; signed in place of the statement, and what `Verifier` remembers of those that it has checked.
    public var digest: Digest { Hasher256.hash(.attestation, encoded()) }
    /// What a replica signs: the tag of attestations, then `digest`.
    public var signingBytes: [UInt8] { signingInput(.attestation, digest) }

    /// The history after this batch: everything that was ever executed, in order.
    public var history: Digest {
        var hasher = Hasher256(.history)
        hasher.update(previousHistory)
        hasher.update(batch)
        hasher.update(leavesRoot)
        return hasher.finish()
    }
}

/// A replica's signature.
public struct ReplicaSignature: Hashable, Sendable, CanonicalCodable {
    /// Whose signature it is, by its place in its shard's group.
    public let replica: ReplicaIndex
    /// Made with the key of that replica's host.
    public let signature: Signature

    /// Not checked: `Verifier` does that, with what was signed.
    public init(replica: ReplicaIndex, signature: Signature) { (self.replica, self.signature) = (replica, signature) }
    /// Takes any index; whether the group has such a replica is for `Verifier` to say.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (replica, signature) = (try reader.value(), try reader.value())
    }
    /// One byte for the replica, then 64 for the signature.
    public func encode(into writer: inout ByteWriter) {
        writer.put(replica)
        writer.put(signature)
    }
}

/// One replica's word for all leaves of one batch.
public struct BatchAttestation: Sendable, CanonicalCodable {
    /// What was executed; its root is that of `leaves`.
    public let statement: AttestationStatement
    /// Over the statement, and so over every leaf.
    public let signature: ReplicaSignature
    /// All leaves, so that whoever needs several cuts the paths by itself.
    public let leaves: [Leaf]

    /// What is decoded at most, in leaves of one batch.
    public static let maxLeaves = 16384

    /// That the leaves have the statement's root is for `Verifier` to say.
    public init(statement: AttestationStatement, signature: ReplicaSignature, leaves: [Leaf]) {
        (self.statement, self.signature, self.leaves) = (statement, signature, leaves)
    }
    /// Refuses more than `maxLeaves`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, signature) = (try reader.value(), try reader.value())
        leaves = try reader.array(limit: Self.maxLeaves)
    }
    /// Statement, signature, then the counted leaves.
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(signature)
        writer.put(array: leaves)
    }
}

/// One replica's word for one leaf: what hosts push to each other (recovery by anyone).
public struct AttestedLeaf: Hashable, Sendable, CanonicalCodable {
    /// Of the batch that has the leaf.
    public let statement: AttestationStatement
    /// Over the statement.
    public let signature: ReplicaSignature
    /// The one that is meant, whole.
    public let leaf: Leaf
    /// From the leaf to the statement's root.
    public let path: MerklePath

    /// That path and leaf lead to the root is checked by `isInBatch`, not here.
    public init(statement: AttestationStatement, signature: ReplicaSignature, leaf: Leaf, path: MerklePath) {
        (self.statement, self.signature, self.leaf, self.path) = (statement, signature, leaf, path)
    }
    /// Any path is taken; it is checked by `isInBatch`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, signature, leaf, path) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
    }
    /// Statement, signature, leaf, path.
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(signature)
        writer.put(leaf)
        writer.put(path)
    }
    /// Whether the path leads from the leaf to the root that is signed. Says nothing of the signature.
    public var isInBatch: Bool { path.root(from: leaf.hash) == statement.leavesRoot }
}

/// A leaf, its Merkle path and f + 1 attestations: at least one is by a correct replica, which signs only what it
/// executed in order after local commit. Anyone can check it with the manifest.
public struct Certificate: Hashable, Sendable, CanonicalCodable {
    /// What f + 1 replicas have signed alike.
    public let statement: AttestationStatement
    /// What it is about, whole: all legs of the request that this shard certified in this batch.
    public let leaf: Leaf
    /// From the leaf to the statement's root.
    public let path: MerklePath
    /// Ascending by replica, each once.
    public let signatures: [ReplicaSignature]
    /// This process has hashed the way from the leaf to the root already. No part of the value: whoever has it from
    /// elsewhere hashes it himself.
    private let isKnownInBatch: Bool

    /// Any number of signatures, in any order: `Verifier` says whether it is a certificate.
    public init(statement: AttestationStatement, leaf: Leaf, path: MerklePath, signatures: [ReplicaSignature]) {
        (self.statement, self.leaf, self.path, self.signatures) = (statement, leaf, path, signatures)
        isKnownInBatch = false
    }
    /// Of a leaf of a batch all of whose leaves are here. Any number of signatures, as above.
    /// - Parameters:
    ///   - leaf: the one at `index` of the tree.
    ///   - tree: over the batch's leaves.
    public init(
        statement: AttestationStatement, leaf: Leaf, at index: Int, of tree: MerkleTree,
        signatures: [ReplicaSignature]
    ) {
        (self.statement, self.leaf, self.signatures) = (statement, leaf, signatures)
        path = tree.path(at: index)
        isKnownInBatch = tree.root == statement.leavesRoot && tree.isLeaf(leaf, at: index)
    }
    /// - Parameter path: hashed by `MerkleProof`, which has found the statement's root.
    init(statement: AttestationStatement, leaf: Leaf, proven path: MerklePath, signatures: [ReplicaSignature]) {
        (self.statement, self.leaf, self.path, self.signatures) = (statement, leaf, path, signatures)
        isKnownInBatch = true
    }
    /// Refuses more than 64 signatures, the largest group, and any that are not ascending by replica.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, leaf, path) = (try reader.value(), try reader.value(), try reader.value())
        signatures = try reader.signatures()
        isKnownInBatch = false
    }
    /// Statement, leaf, path, then the counted signatures.
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(leaf)
        writer.put(path)
        writer.put(array: signatures)
    }
    /// The shard whose word it is.
    public var shard: ShardID { statement.shard }
    /// Whether the path leads from the leaf to the root that is signed. Says nothing of the signatures.
    public var isInBatch: Bool { isKnownInBatch || path.root(from: leaf.hash) == statement.leavesRoot }

    /// By all that is encoded.
    public static func == (a: Self, b: Self) -> Bool {
        a.statement == b.statement && a.leaf == b.leaf && a.path == b.path && a.signatures == b.signatures
    }
    /// By what tells one from another: path and signatures follow from it, if they are genuine.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(statement)
        hasher.combine(leaf)
    }
}

extension ByteReader {
    /// Of a certificate: at most 64, the largest group, ascending by replica.
    mutating func signatures() throws(DecodingFailure) -> [ReplicaSignature] {
        let signatures: [ReplicaSignature] = try array(limit: 64)
        for (a, b) in zip(signatures, signatures.dropFirst()) where a.replica >= b.replica {
            throw invalid("order of signatures")
        }
        return signatures
    }
}

/// The certificates that prove a transaction's outcome: of its only shard, or of the votes that decide it.
public struct Receipt: Hashable, Sendable, CanonicalCodable {
    /// As the principal signed it: what the legs are is read from it, not from the certificates.
    public let request: SignedRequest
    /// Ascending by shard.
    public let certificates: [Certificate]

    /// Checks nothing: `Verifier` checks the signatures, `decision(ofLeg:in:)` what they decide.
    public init(request: SignedRequest, certificates: [Certificate]) {
        (self.request, self.certificates) = (request, certificates)
    }
    /// Refuses more than 1,024 certificates. Their order is not checked.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        request = try reader.value()
        certificates = try reader.array(limit: 1024)
    }
    /// The signed request, then the counted certificates.
    public func encode(into writer: inout ByteWriter) {
        writer.put(request)
        writer.put(array: certificates)
    }

    /// The decision of a leg as far as these certificates go; checks no signature. A shard's `acknowledged` counts for
    /// nothing here: a shard that still holds the vote may abort by it, but whoever comes later may have been preceded
    /// by a commit that has been forgotten since (R11).
    public func decision(ofLeg leg: Int, in map: ShardMap) -> Decision? {
        Decision(statuses(ofLeg: leg, in: map).map { $0 == .acknowledged ? nil : $0 })
    }

    /// The leg is not decided by these certificates, and one of its shards will never say more about it: another one
    /// still might.
    public func isBeyondProof(leg: Int, in map: ShardMap) -> Bool {
        decision(ofLeg: leg, in: map) == nil && statuses(ofLeg: leg, in: map).contains(.acknowledged)
    }

    /// One slot a participant.
    private func statuses(ofLeg leg: Int, in map: ShardMap) -> [LegStatus?] {
        request.request.participants(ofLeg: leg, in: map).map { shard in
            certificates.lazy.filter { $0.shard == shard && $0.leaf.request == request.digest }
                .compactMap { $0.leaf.status(ofLeg: UInt16(leg)) }.first
        }
    }
}
