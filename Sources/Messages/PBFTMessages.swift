// The messages of PBFT under the names of Castro and Liskov (OSDI '99, TOCS 20(4) 2002).
// Normal-case messages carry no signature: the session between two hosts authenticates the sender.

public struct PrePrepare: Hashable, Sendable, CanonicalCodable {
    public let view: View
    public let sequence: SequenceNumber
    public let batch: Batch

    public init(view: View, sequence: SequenceNumber, batch: Batch) {
        (self.view, self.sequence, self.batch) = (view, sequence, batch)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, sequence, batch) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(view)
        writer.put(sequence)
        writer.put(batch)
    }
}

/// What PREPARE and COMMIT say.
public struct Vote: Hashable, Sendable, CanonicalCodable {
    public let view: View
    public let sequence: SequenceNumber
    public let digest: Digest

    public init(view: View, sequence: SequenceNumber, digest: Digest) {
        (self.view, self.sequence, self.digest) = (view, sequence, digest)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, sequence, digest) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(view)
        writer.put(sequence)
        writer.put(digest)
    }
}

/// "My state after `sequence` has this digest." 2f + 1 of them make a checkpoint stable (PBFT §4.3, R1).
public struct Checkpoint: Hashable, Sendable, CanonicalCodable {
    public let sequence: SequenceNumber
    public let digest: Digest

    public init(sequence: SequenceNumber, digest: Digest) { (self.sequence, self.digest) = (sequence, digest) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (sequence, digest) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(sequence)
        writer.put(digest)
    }
}

/// (n, d, v): an entry of P or Q (TOCS '02 §4.4).
public struct PQEntry: Hashable, Comparable, Sendable, CanonicalCodable {
    public let sequence: SequenceNumber
    public let digest: Digest
    public let view: View

    public init(sequence: SequenceNumber, digest: Digest, view: View) {
        (self.sequence, self.digest, self.view) = (sequence, digest, view)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (sequence, digest, view) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(sequence)
        writer.put(digest)
        writer.put(view)
    }
    public static func < (a: Self, b: Self) -> Bool {
        (a.sequence, a.digest, a.view) < (b.sequence, b.digest, b.view)
    }
}

/// VIEW-CHANGE(v, h, C, P, Q, i), signed.
public struct ViewChange: Hashable, Sendable, CanonicalCodable {
    /// Bounds of what is decoded; a correct sender has at most a window of sequence numbers.
    public static let maxEntries = 4096

    public let cluster: ClusterID
    public let epoch: Epoch
    public let shard: ShardID
    /// The view that the sender wants to enter.
    public let view: View
    public let replica: ReplicaIndex
    /// When the sender last forgot votes, by its own account (R4); zero for never. What it said before that does not
    /// count.
    public let incarnation: UInt64
    /// h: the sender's stable checkpoint, `checkpoints[0]`.
    public let lowWatermark: SequenceNumber
    /// C: the checkpoints that the sender holds, ascending, the stable one first.
    public let checkpoints: [Checkpoint]
    /// P: what prepared here, ascending, at most one entry a sequence number.
    public let prepared: [PQEntry]
    /// Q: what pre-prepared here, ascending, one entry for each (sequence, digest).
    public let prePrepared: [PQEntry]
    public let signature: Signature

    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, view: View, replica: ReplicaIndex, incarnation: UInt64 = 0,
        lowWatermark: SequenceNumber, checkpoints: [Checkpoint], prepared: [PQEntry], prePrepared: [PQEntry],
        signer: any Signer
    ) {
        (self.cluster, self.epoch, self.shard, self.view, self.replica) = (cluster, epoch, shard, view, replica)
        (self.incarnation, self.lowWatermark, self.checkpoints) = (incarnation, lowWatermark, checkpoints)
        (self.prepared, self.prePrepared) = (prepared, prePrepared)
        let digest = Self.digest(
            cluster, epoch, shard, view, replica, incarnation, lowWatermark, checkpoints, prepared, prePrepared)
        signature = signer.sign(signingInput(.viewChange, digest))
    }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (view, replica, incarnation) = (try reader.value(), try reader.value(), try reader.uint64())
        lowWatermark = try reader.value()
        checkpoints = try reader.array(limit: Self.maxEntries)
        prepared = try reader.array(limit: Self.maxEntries)
        prePrepared = try reader.array(limit: Self.maxEntries)
        signature = try reader.value()
    }

    public func encode(into writer: inout ByteWriter) {
        Self.encodeBody(
            &writer, cluster, epoch, shard, view, replica, incarnation, lowWatermark, checkpoints, prepared, prePrepared
        )
        writer.put(signature)
    }

    private static func encodeBody(
        _ writer: inout ByteWriter, _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ view: View,
        _ replica: ReplicaIndex,
        _ incarnation: UInt64, _ low: SequenceNumber, _ checkpoints: [Checkpoint], _ prepared: [PQEntry],
        _ prePrepared: [PQEntry]
    ) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(view)
        writer.put(replica)
        writer.put(incarnation)
        writer.put(low)
        writer.put(array: checkpoints)
        writer.put(array: prepared)
        writer.put(array: prePrepared)
    }

    private static func digest(
        _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ view: View, _ replica: ReplicaIndex,
        _ incarnation: UInt64, _ low: SequenceNumber, _ checkpoints: [Checkpoint], _ prepared: [PQEntry],
        _ prePrepared: [PQEntry]
    ) -> Digest {
        var writer = ByteWriter(reserving: 1024)
        encodeBody(&writer, cluster, epoch, shard, view, replica, incarnation, low, checkpoints, prepared, prePrepared)
        return Hasher256.hash(.viewChange, writer.bytes)
    }

    public var signingBytes: [UInt8] {
        signingInput(
            .viewChange,
            Self.digest(
                cluster, epoch, shard, view, replica, incarnation, lowWatermark, checkpoints, prepared, prePrepared))
    }
}

/// NEW-VIEW(v, S, selection), signed. S travels whole: it is small, signed, and then nobody has to fetch it.
public struct NewView: Hashable, Sendable, CanonicalCodable {
    public let cluster: ClusterID
    public let epoch: Epoch
    public let shard: ShardID
    public let view: View
    public let replica: ReplicaIndex
    /// S: 2f + 1 or more, ascending by replica.
    public let viewChanges: [ViewChange]
    /// The checkpoint from which the view starts.
    public let start: Checkpoint
    /// The digests selected for start.sequence + 1, + 2, …; `Digest.null` for the null request.
    public let selection: [Digest]
    public let signature: Signature

    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, view: View, replica: ReplicaIndex, viewChanges: [ViewChange],
        start: Checkpoint, selection: [Digest], signer: any Signer
    ) {
        (self.cluster, self.epoch, self.shard, self.view, self.replica) = (cluster, epoch, shard, view, replica)
        (self.viewChanges, self.start, self.selection) = (viewChanges, start, selection)
        let digest = Self.digest(cluster, epoch, shard, view, replica, viewChanges, start, selection)
        signature = signer.sign(signingInput(.newView, digest))
    }

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (view, replica) = (try reader.value(), try reader.value())
        viewChanges = try reader.array(limit: 64)
        start = try reader.value()
        selection = try reader.array(limit: ViewChange.maxEntries)
        signature = try reader.value()
    }

    public func encode(into writer: inout ByteWriter) {
        Self.encodeBody(&writer, cluster, epoch, shard, view, replica, viewChanges, start, selection)
        writer.put(signature)
    }

    private static func encodeBody(
        _ writer: inout ByteWriter, _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ view: View,
        _ replica: ReplicaIndex,
        _ viewChanges: [ViewChange], _ start: Checkpoint, _ selection: [Digest]
    ) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(view)
        writer.put(replica)
        writer.put(array: viewChanges)
        writer.put(start)
        writer.put(array: selection)
    }

    private static func digest(
        _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ view: View, _ replica: ReplicaIndex,
        _ viewChanges: [ViewChange], _ start: Checkpoint, _ selection: [Digest]
    ) -> Digest {
        var writer = ByteWriter(reserving: 4096)
        encodeBody(&writer, cluster, epoch, shard, view, replica, viewChanges, start, selection)
        return Hasher256.hash(.newView, writer.bytes)
    }

    /// Of all of it but the signature.
    public var hash: Digest { Self.digest(cluster, epoch, shard, view, replica, viewChanges, start, selection) }

    public var signingBytes: [UInt8] {
        signingInput(.newView, Self.digest(cluster, epoch, shard, view, replica, viewChanges, start, selection))
    }
}

/// What a replica has, told now and then so that peers repair what was lost.
public struct Status: Hashable, Sendable, CanonicalCodable {
    /// The view that the sender is in, or wants to enter.
    public let view: View
    public let isChangingView: Bool
    public let lastExecuted: SequenceNumber
    public let stable: SequenceNumber
    /// The sender takes no part before the shard gets there (R4); zero while it takes part.
    public let awaits: SequenceNumber
    /// By replica, the view of the VIEW-CHANGE that the sender holds of it, zero for none: nobody repeats what is
    /// there.
    public let viewChanges: [View]
    /// The last NEW-VIEW that the sender does not take, by its hash; null for none.
    public let refuses: Digest
    /// Up to here the sender knows what is proposed in its view: votes on what it does not know are of no use to it.
    public let proposedUpTo: SequenceNumber
    /// It suspects the primary of its view.
    public let suspects: Bool
    /// The sender's present start, and up to where it remembers its votes: as in RESUMED.
    public let start: UInt64
    public let remembers: SequenceNumber
    /// In one group.
    static let maxReplicas = 64

    public init(
        view: View, isChangingView: Bool, lastExecuted: SequenceNumber, stable: SequenceNumber,
        awaits: SequenceNumber = .zero,
        viewChanges: [View] = [], refuses: Digest = .null, proposedUpTo: SequenceNumber = .zero, suspects: Bool = false,
        start: UInt64 = 0, remembers: SequenceNumber = .zero
    ) {
        (self.view, self.isChangingView, self.lastExecuted, self.stable) = (view, isChangingView, lastExecuted, stable)
        (self.awaits, self.viewChanges, self.refuses) = (awaits, viewChanges, refuses)
        (self.proposedUpTo, self.suspects, self.start, self.remembers) = (proposedUpTo, suspects, start, remembers)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, isChangingView) = (try reader.value(), try reader.bool())
        (lastExecuted, stable, awaits) = (try reader.value(), try reader.value(), try reader.value())
        (viewChanges, refuses) = (try reader.array(limit: Self.maxReplicas), try reader.value())
        (proposedUpTo, suspects) = (try reader.value(), try reader.bool())
        (start, remembers) = (try reader.uint64(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(view)
        writer.put(isChangingView)
        writer.put(lastExecuted)
        writer.put(stable)
        writer.put(awaits)
        writer.put(array: viewChanges)
        writer.put(refuses)
        writer.put(proposedUpTo)
        writer.put(suspects)
        writer.put(start)
        writer.put(remembers)
    }

    /// Whether the sender holds the VIEW-CHANGE of this replica for this view.
    public func holds(viewChangeOf replica: ReplicaIndex, for view: View) -> Bool {
        replica.index < viewChanges.count && viewChanges[replica.index] == view
    }
}

/// "I have committed these digests at from, from + 1, …" f + 1 equal claims contain a correct replica's.
public struct CommittedClaims: Hashable, Sendable, CanonicalCodable {
    public static let maxCount = 1024

    public let from: SequenceNumber
    public let digests: [Digest]

    public init(from: SequenceNumber, digests: [Digest]) { (self.from, self.digests) = (from, digests) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (from, digests) = (try reader.value(), try reader.array(limit: Self.maxCount))
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(from)
        writer.put(array: digests)
    }
}

/// Asks for what was committed from `from` on.
public struct FetchCommitted: Hashable, Sendable, CanonicalCodable {
    public let from: SequenceNumber
    /// The most that is wanted.
    public let count: UInt32
    /// Whether the bodies are wanted too, or only the claims.
    public let bodies: Bool

    public init(from: SequenceNumber, count: UInt32, bodies: Bool) {
        (self.from, self.count, self.bodies) = (from, count, bodies)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (from, count, bodies) = (try reader.value(), try reader.uint32(), try reader.bool())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(from)
        writer.put(count)
        writer.put(bodies)
    }
}

/// A message between two replicas of one shard.
public enum PBFTMessage: Hashable, Sendable, CanonicalCodable {
    case prePrepare(PrePrepare)
    case prepare(Vote)
    case commit(Vote)
    case checkpoint(Checkpoint)
    /// "I would leave this view." f + 1 of them make everybody leave; one alone nobody.
    case suspect(View)
    case viewChange(ViewChange)
    case newView(NewView)
    case status(Status)
    /// Asks for a batch by digest.
    case fetchBatch(Digest)
    /// Answers `fetchBatch`: a body proves nothing but its own digest.
    case batch(Batch)
    case fetchCommitted(FetchCommitted)
    case committed(CommittedClaims)
    /// Answers `fetchCommitted(bodies: true)`, after the claims. Nobody checks its signatures: it is of use only where
    /// f + 1 replicas claim to have executed its digest, and then one of them checked all that the digest covers.
    case committedBody(Batch)
    case resumed(Resumption)
    case recollection(Recollection)

    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .prePrepare(try reader.value())
        case 2: self = .prepare(try reader.value())
        case 3: self = .commit(try reader.value())
        case 4: self = .checkpoint(try reader.value())
        case 5: self = .suspect(try reader.value())
        case 6: self = .viewChange(try reader.value())
        case 7: self = .newView(try reader.value())
        case 8: self = .status(try reader.value())
        case 9: self = .fetchBatch(try reader.value())
        case 10: self = .batch(try reader.value())
        case 11: self = .fetchCommitted(try reader.value())
        case 12: self = .committed(try reader.value())
        case 13: self = .resumed(try reader.value())
        case 14: self = .recollection(try reader.value())
        case 15: self = .committedBody(try reader.value())
        default: throw reader.invalid("PBFT message kind")
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .prePrepare(let m):
            writer.put(UInt8(1))
            writer.put(m)
        case .prepare(let m):
            writer.put(UInt8(2))
            writer.put(m)
        case .commit(let m):
            writer.put(UInt8(3))
            writer.put(m)
        case .checkpoint(let m):
            writer.put(UInt8(4))
            writer.put(m)
        case .suspect(let m):
            writer.put(UInt8(5))
            writer.put(m)
        case .viewChange(let m):
            writer.put(UInt8(6))
            writer.put(m)
        case .newView(let m):
            writer.put(UInt8(7))
            writer.put(m)
        case .status(let m):
            writer.put(UInt8(8))
            writer.put(m)
        case .fetchBatch(let m):
            writer.put(UInt8(9))
            writer.put(m)
        case .batch(let m):
            writer.put(UInt8(10))
            writer.put(m)
        case .fetchCommitted(let m):
            writer.put(UInt8(11))
            writer.put(m)
        case .committed(let m):
            writer.put(UInt8(12))
            writer.put(m)
        case .resumed(let m):
            writer.put(UInt8(13))
            writer.put(m)
        case .recollection(let m):
            writer.put(UInt8(14))
            writer.put(m)
        case .committedBody(let m):
            writer.put(UInt8(15))
            writer.put(m)
        }
    }
}
