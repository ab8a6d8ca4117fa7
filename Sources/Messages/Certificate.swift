/// What a replica signs after it has executed a batch: never the view, always the chain (R1).
public struct AttestationStatement: Hashable, Sendable, CanonicalCodable {
    public let cluster: ClusterID
    public let epoch: Epoch
    public let shard: ShardID
    public let sequence: SequenceNumber
    public let previousHistory: Digest
    /// Covers the batch's time.
    public let batch: Digest
    public let leavesRoot: Digest

    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, sequence: SequenceNumber,
        previousHistory: Digest, batch: Digest, leavesRoot: Digest
    ) {
        (self.cluster, self.epoch, self.shard, self.sequence) = (cluster, epoch, shard, sequence)
        (self.previousHistory, self.batch, self.leavesRoot) = (previousHistory, batch, leavesRoot)
    }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard, sequence) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
        (previousHistory, batch, leavesRoot) = (try reader.value(), try reader.value(), try reader.value())
    }

    public func encode(into writer: inout ByteWriter) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(sequence)
        writer.put(previousHistory)
        writer.put(batch)
        writer.put(leavesRoot)
    }

    public var digest: Digest { Hasher256.hash(.attestation, encoded()) }
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
    public let replica: ReplicaIndex
    public let signature: Signature

    public init(replica: ReplicaIndex, signature: Signature) { (self.replica, self.signature) = (replica, signature) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (replica, signature) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(replica)
        writer.put(signature)
    }
}

/// One replica's word for all leaves of one batch.
public struct BatchAttestation: Sendable, CanonicalCodable {
    public let statement: AttestationStatement
    public let signature: ReplicaSignature
    /// All leaves, so that whoever needs several cuts the paths by itself.
    public let leaves: [Leaf]

    public static let maxLeaves = 16384

    public init(statement: AttestationStatement, signature: ReplicaSignature, leaves: [Leaf]) {
        (self.statement, self.signature, self.leaves) = (statement, signature, leaves)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, signature) = (try reader.value(), try reader.value())
        leaves = try reader.array(limit: Self.maxLeaves)
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(signature)
        writer.put(array: leaves)
    }
}

/// One replica's word for one leaf: what hosts push to each other (recovery by anyone).
public struct AttestedLeaf: Hashable, Sendable, CanonicalCodable {
    public let statement: AttestationStatement
    public let signature: ReplicaSignature
    public let leaf: Leaf
    public let path: MerklePath

    public init(statement: AttestationStatement, signature: ReplicaSignature, leaf: Leaf, path: MerklePath) {
        (self.statement, self.signature, self.leaf, self.path) = (statement, signature, leaf, path)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, signature, leaf, path) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(signature)
        writer.put(leaf)
        writer.put(path)
    }
    public var isInBatch: Bool { path.root(from: leaf.hash) == statement.leavesRoot }
}

/// A leaf, its Merkle path and f + 1 attestations: at least one is by a correct replica, which signs only what it
/// executed in order after local commit. Anyone can check it with the manifest.
public struct Certificate: Hashable, Sendable, CanonicalCodable {
    public let statement: AttestationStatement
    public let leaf: Leaf
    public let path: MerklePath
    /// Ascending by replica, each once.
    public let signatures: [ReplicaSignature]

    public init(statement: AttestationStatement, leaf: Leaf, path: MerklePath, signatures: [ReplicaSignature]) {
        (self.statement, self.leaf, self.path, self.signatures) = (statement, leaf, path, signatures)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, leaf, path) = (try reader.value(), try reader.value(), try reader.value())
        signatures = try reader.array(limit: 64)
        for (a, b) in zip(signatures, signatures.dropFirst()) where a.replica >= b.replica {
            throw reader.invalid("order of signatures")
        }
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(leaf)
        writer.put(path)
        writer.put(array: signatures)
    }
    public var shard: ShardID { statement.shard }
}

/// The certificates that prove a transaction's outcome: of its only shard, or of the votes that decide it.
public struct Receipt: Hashable, Sendable, CanonicalCodable {
    public let request: SignedRequest
    /// Ascending by shard.
    public let certificates: [Certificate]

    public init(request: SignedRequest, certificates: [Certificate]) {
        (self.request, self.certificates) = (request, certificates)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        request = try reader.value()
        certificates = try reader.array(limit: 1024)
    }
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
