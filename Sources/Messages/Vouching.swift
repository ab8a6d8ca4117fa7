/// Who checks the signature of a request (docs/decisions/0040). Whether it is genuine is a fact about its bytes, so
/// nobody has to agree on it: f + 1 replicas that have checked it are enough for all others, because one of them is
/// correct.
extension ReplicaGroup {
    /// Whether a backup checks this request: f of them do, chosen by the request's digest, and the primary checks all
    /// that it proposes.
    /// - Parameter primary: of the view in which the request is proposed. It is none of its own backups.
    public func isDesignated(_ backup: ReplicaIndex, for request: Digest, under primary: ReplicaIndex) -> Bool {
        guard backup != primary, backup.index < n, primary.index < n else { return false }
        let backups = n - 1
        let place = (backup.index - primary.index + n) % n - 1
        return (place - firstDesignated(for: request) + backups) % backups < f
    }

    /// Backups stand in a ring that begins after the primary; the digest says which is the first of the f that check a
    /// request: its place in the ring, below n - 1.
    public func firstDesignated(for request: Digest) -> Int { Int(request.value.w1 % UInt64(n - 1)) }

    /// Those f, from a place in the ring on.
    public func designated(from first: Int, under primary: ReplicaIndex) -> [ReplicaIndex] {
        (0..<f).map { ReplicaIndex(UInt8((primary.index + 1 + (first + $0) % (n - 1)) % n)) }
    }
}

/// Which signatures of what holds a batch were checked.
public enum CheckedShare: Hashable, Sendable {
    /// All of them.
    case all
    /// All of certificates, and of requests those that this backup is designated to.
    case of(ReplicaIndex)
    /// All of certificates, and of requests none.
    case certificates
}

/// Requests of a batch whose signatures a replica wants to know about before it executes them.
public struct SignatureCheck: Sendable {
    /// What they stand in.
    public let batch: Batch
    /// Their places among its items, ascending.
    public let places: [UInt32]

    /// - Parameter places: of requests among the batch's items, ascending.
    public init(batch: Batch, places: [UInt32]) { (self.batch, self.places) = (batch, places) }
}

/// What came of it: which of them their principals have not signed, for this cluster and epoch. Only `Verifier` makes
/// one.
public struct CheckedSignatures: Hashable, Sendable {
    /// The digest of the batch.
    public let batch: Digest
    /// What was looked at, ascending.
    public let places: [UInt32]
    /// Those of them that are not genuine, ascending.
    public let wrong: [UInt32]

    fileprivate init(batch: Digest, places: [UInt32], wrong: [UInt32]) {
        (self.batch, self.places, self.wrong) = (batch, places, wrong)
    }
}

extension Verifier {
    /// Looks at these requests; what was looked at before is remembered.
    public mutating func check(_ wanted: SignatureCheck) -> CheckedSignatures {
        let wrong = wanted.places.filter { place in
            guard case .request(let request) = wanted.batch.items[Int(place)] else { return false }
            return (try? verify(request)) == nil
        }
        return CheckedSignatures(batch: wanted.batch.digest, places: wanted.places, wrong: wrong)
    }

    /// A proposal or a fetched body as a replica reads it that orders by it. Every certificate in it, and all that is
    /// signed in evidence; of requests those of the share. The others are left to whoever executes the batch.
    /// - Throws: for the first item that is not what it says.
    mutating func check(_ batch: Batch, _ share: CheckedShare, under primary: ReplicaIndex, in group: ReplicaGroup)
        throws(Refused)
    {
        for item in batch.items {
            switch item {
            case .request(let request):
                switch share {
                case .all: _ = try verify(request)
                case .of(let backup):
                    guard group.isDesignated(backup, for: request.digest, under: primary) else { continue }
                    _ = try verify(request)
                case .certificates: continue
                }
            case .decide(let decide): _ = try verify(decide)
            case .evidence(let evidence): _ = try verify(evidence)
            }
        }
    }
}

/// Places of a batch that its executors left out, because nobody had signed what stood there.
public struct SkippedPlaces: Hashable, Sendable, CanonicalCodable {
    /// Where the batch stands in the shard's order.
    public let sequence: SequenceNumber
    /// Ascending, and at least one.
    public let places: [UInt32]

    /// - Parameter places: among the batch's items, ascending, not empty.
    public init(sequence: SequenceNumber, places: [UInt32]) { (self.sequence, self.places) = (sequence, places) }

    /// Refuses no places, more than a batch has, and any order but ascending.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        sequence = try reader.value()
        places = try reader.places()
        guard !places.isEmpty else { throw reader.invalid("places that are left out") }
    }

    /// The sequence number, then the counted places.
    public func encode(into writer: inout ByteWriter) {
        writer.put(sequence)
        writer.put(places: places)
    }
}

extension ByteWriter {
    /// Counted, each as four bytes.
    public mutating func put(places: [UInt32]) {
        put(UInt32(places.count))
        for place in places { put(place) }
    }
}

extension ByteReader {
    /// Places among a batch's items, ascending.
    public mutating func places() throws(DecodingFailure) -> [UInt32] {
        let count = Int(try uint32())
        guard count <= Batch.maxItems else { throw invalid("number of places") }
        var places: [UInt32] = []
        for _ in 0..<count {
            let place = try uint32()
            guard place < UInt32(Batch.maxItems), places.last.map({ $0 < place }) ?? true else {
                throw invalid("place in a batch")
            }
            places.append(place)
        }
        return places
    }
}
