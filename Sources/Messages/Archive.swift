/// An executed batch as hosts keep it for exports: all that is needed to check what its shard has attested of it, and
/// to read what became of which request.
public struct ArchivedBatch: Hashable, Sendable, CanonicalCodable {
    /// What f + 1 replicas sign of it.
    public let statement: AttestationStatement
    /// The batch's canonical bytes, of which the statement has the hash; empty for the null request.
    public let batch: ArraySlice<UInt8>
    /// All of them, in the order of the statement's tree.
    public let leaves: [Leaf]
    /// Requests that leaves speak of and the batch itself does not hold: of those, a batch holds only what decides
    /// them.
    public let requests: [SignedRequest]

    /// What is decoded at most, in requests; a batch decides no more.
    public static let maxRequests = Batch.maxItems
    /// Bytes that `requests` may have together; what is over it is left out, and the export says so.
    public static let maxRequestBytes = 4 << 20

    /// Checks nothing: `isWhole` does.
    public init(
        statement: AttestationStatement, batch: ArraySlice<UInt8>, leaves: [Leaf], requests: [SignedRequest]
    ) {
        (self.statement, self.batch, self.leaves, self.requests) = (statement, batch, leaves, requests)
    }

    /// Bounded as its parts are.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        statement = try reader.value()
        batch = try reader.sharedBlob(limit: Batch.maxBytes)
        leaves = try reader.array(limit: BatchAttestation.maxLeaves)
        requests = try reader.array(limit: Self.maxRequests)
    }
    /// Statement, counted bytes of the batch, counted leaves, counted requests.
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(blob: batch)
        writer.put(array: leaves)
        writer.put(array: requests)
    }

    /// The shard that executed it.
    public var shard: ShardID { statement.shard }
    /// Where it stands in that shard's order.
    public var sequence: SequenceNumber { statement.sequence }

    /// Whether batch and leaves are those that the statement names, and no request is there that no leaf speaks of.
    /// Says nothing of signatures.
    public var isWhole: Bool {
        let digest = batch.isEmpty ? Digest.null : Hasher256.hash(.batch, batch)
        guard digest == statement.batch, MerkleTree(leaves: leaves).root == statement.leavesRoot else { return false }
        if requests.isEmpty { return true }
        let spokenOf = Set(leaves.map(\.request))
        return requests.allSatisfy { spokenOf.contains($0.digest) }
    }

    /// Bytes of memory, roughly.
    public var roughSize: Int {
        var size = 512 + batch.count + requests.reduce(0) { $0 + 256 + $1.bytes.count }
        for leaf in leaves {
            size += 128
            for entry in leaf.entries {
                size += 48
                if case .returned(let result, _) = entry.status { size += result.count }
            }
            if !leaf.calls.isEmpty { size += 256 + 2 * leaf.calls.encoded().count }
        }
        return size
    }

    /// Of the batch, as its primary proposed it; nil for the null request, which has none.
    public var time: Timestamp? {
        var reader = ByteReader(batch)
        return try? reader.value()
    }

    /// The signed requests that its leaves speak of, by digest. Of several under one digest the first whose principal
    /// has signed it: a batch may also hold such as nobody signed.
    /// - Throws: if the batch's bytes are no batch.
    public func signedRequests(_ scheme: some SignatureScheme) throws(DecodingFailure) -> [Digest: SignedRequest] {
        let spokenOf = Set(leaves.map(\.request))
        var found: [Digest: SignedRequest] = [:]
        func note(_ request: SignedRequest) {
            guard spokenOf.contains(request.digest), found[request.digest] == nil,
                request.isSignatureValid(scheme)
            else { return }
            found[request.digest] = request
        }
        for request in requests { note(request) }
        for item in try Batch(bytes: batch).items {
            switch item {
            case .request(let request): note(request)
            case .evidence(let evidence): note(evidence.root)
            case .decide: continue
            }
        }
        return found
    }
}

/// A batch with the signatures of f + 1 replicas, as an export has it.
public struct ExportedBatch: Hashable, Sendable {
    /// What was executed.
    public let batch: ArchivedBatch
    /// Over its statement; ascending by replica.
    public let signatures: [ReplicaSignature]

    /// Checks nothing: `Verifier` does.
    public init(batch: ArchivedBatch, signatures: [ReplicaSignature]) {
        (self.batch, self.signatures) = (batch, signatures)
    }
}

extension SequenceNumber {
    /// So far no shard comes: numbers of batches that anybody names are below it, and what is computed with them is not
    /// too large.
    public static let archivable: UInt64 = 1 << 62
}

/// Asks a host for what it has archived of a shard.
public struct ArchiveQuery: Hashable, Sendable, CanonicalCodable {
    /// Whose batches.
    public let shard: ShardID
    /// From this sequence number on.
    public let from: SequenceNumber
    /// How many at most; an answer may have fewer (`ArchiveAnswer.maxBytes`).
    public let count: UInt32
    /// With all that was executed, and not only the host's signatures.
    public let wantsBatches: Bool

    /// What may be asked for at once.
    public static let maxCount: UInt32 = 512

    /// - Parameter count: 0 to ask only how far the archive reaches.
    public init(shard: ShardID, from: SequenceNumber, count: UInt32, wantsBatches: Bool) {
        (self.shard, self.from, self.count, self.wantsBatches) = (shard, from, count, wantsBatches)
    }
    /// Refuses a count above `maxCount`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, from, count) = (try reader.value(), try reader.value(), try reader.uint32())
        guard count <= Self.maxCount else { throw reader.invalid("number of batches") }
        wantsBatches = try reader.bool()
    }
    /// Shard, sequence, four bytes for the count, one for whether batches are wanted.
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(from)
        writer.put(count)
        writer.put(wantsBatches)
    }
}

/// What a host says of its archive of a shard.
public struct ArchiveAnswer: Hashable, Sendable, CanonicalCodable {
    /// Why there is nothing in it.
    public enum Standing: UInt8, Sendable, CaseIterable {
        /// It is a whole answer.
        case ready = 1
        /// The host keeps no archive.
        case off = 2
        /// It has too much to answer; ask again.
        case busy = 3
        /// It attests nothing now, because its replica has halted or may have forgotten votes (R4).
        case silent = 4
    }

    /// What a host has attested: always the signature, and where it was asked for, what was executed.
    public struct Entry: Hashable, Sendable, CanonicalCodable {
        /// What is signed.
        public let statement: AttestationStatement
        /// By the host's replica.
        public let signature: ReplicaSignature
        /// Nil where only signatures were asked for.
        public let batch: ArchivedBatch?

        /// - Parameter batch: of the same statement.
        public init(statement: AttestationStatement, signature: ReplicaSignature, batch: ArchivedBatch?) {
            (self.statement, self.signature, self.batch) = (statement, signature, batch)
        }
        /// Refuses a batch of another statement.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (statement, signature) = (try reader.value(), try reader.value())
            batch = try reader.bool() ? try reader.value() : nil
            if let batch, batch.statement != statement { throw reader.invalid("batch of another statement") }
        }
        /// Statement, signature, one byte for whether the batch follows, the batch.
        public func encode(into writer: inout ByteWriter) {
            writer.put(statement)
            writer.put(signature)
            writer.put(batch != nil)
            if let batch { writer.put(batch) }
        }
    }

    /// Whether it could be answered.
    public let standing: Standing
    /// The last sequence number in the archive; 0 if there is none.
    public let last: SequenceNumber
    /// The first sequence number, from what was asked for on, that the archive has; 0 if there is none.
    public let next: SequenceNumber
    /// Consecutive, from `next` on.
    public let entries: [Entry]

    /// An answer ends when it has as many bytes, but has one batch at least.
    public static let maxBytes = 1 << 20

    /// - Parameter entries: consecutive, from `next` on.
    public init(standing: Standing, last: SequenceNumber, next: SequenceNumber, entries: [Entry]) {
        (self.standing, self.last, self.next, self.entries) = (standing, last, next, entries)
    }
    /// Without anything in it.
    public init(_ standing: Standing) {
        self.init(standing: standing, last: SequenceNumber(0), next: SequenceNumber(0), entries: [])
    }
    /// Refuses more entries than may be asked for.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let standing = Standing(rawValue: try reader.uint8()) else { throw reader.invalid("archive standing") }
        self.standing = standing
        (last, next) = (try reader.value(), try reader.value())
        entries = try reader.array(limit: Int(ArchiveQuery.maxCount))
    }
    /// One byte for the standing, last, next, counted entries.
    public func encode(into writer: inout ByteWriter) {
        writer.put(standing.rawValue)
        writer.put(last)
        writer.put(next)
        writer.put(array: entries)
    }
}

extension Verifier {
    /// One replica's signature of a statement.
    /// - Throws: what is wrong with it.
    public mutating func verify(
        _ signature: ReplicaSignature, of statement: AttestationStatement
    ) throws(Refused) {
        try check(signature, of: statement, digest: statement.digest)
    }

    /// That batch and leaves are those of the statement, and that f + 1 different replicas of its shard have signed it.
    /// - Throws: `badProof`, `tooFewSignatures`, or what is wrong with any one signature.
    public mutating func verify(_ certified: ExportedBatch) throws(Refused) {
        let (statement, signatures) = (certified.batch.statement, certified.signatures)
        guard manifest.hasShard(statement.shard) else { throw .unknownShard }
        let needed = manifest.group(of: statement.shard).weakQuorum
        guard signatures.count >= needed else { throw .tooFewSignatures(got: signatures.count, needed: needed) }
        for (a, b) in zip(signatures, signatures.dropFirst()) where a.replica >= b.replica { throw .badProof }
        guard certified.batch.isWhole else { throw .badProof }
        let digest = statement.digest
        for signature in signatures { try check(signature, of: statement, digest: digest) }
    }
}
