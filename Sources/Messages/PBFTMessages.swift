// The messages of PBFT under the names of Castro and Liskov (OSDI '99, TOCS 20(4) 2002).
// Normal-case messages carry no signature: the session between two hosts authenticates the sender.

/// PRE-PREPARE(v, n, m): the primary's proposal of a batch for a sequence number (PBFT §4.2). The body travels in it.
public struct PrePrepare: Hashable, Sendable, CanonicalCodable {
    /// In which it is proposed; only its primary may.
    public let view: View
    /// The number that the primary gives to the batch.
    public let sequence: SequenceNumber
    /// What is proposed, whole.
    public let batch: Batch

    /// The proposal as the primary makes it; backups check who sent it, its number and its time.
    public init(view: View, sequence: SequenceNumber, batch: Batch) {
        (self.view, self.sequence, self.batch) = (view, sequence, batch)
    }
    /// Bounded as `Batch` is; view and sequence may be anything.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, sequence, batch) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// View, sequence, batch.
    public func encode(into writer: inout ByteWriter) {
        writer.put(view)
        writer.put(sequence)
        writer.put(batch)
    }
}

/// What PREPARE and COMMIT say of a batch.
public struct Vote: Hashable, Sendable, CanonicalCodable {
    /// In which it was pre-prepared.
    public let view: View
    /// The number of the batch.
    public let sequence: SequenceNumber
    /// The batch's digest, or null for the null request.
    public let digest: Digest

    /// Who votes is not said: the session says from whom it came.
    public init(view: View, sequence: SequenceNumber, digest: Digest) {
        (self.view, self.sequence, self.digest) = (view, sequence, digest)
    }
    /// Any numbers are taken: the watermarks bound what is noted.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, sequence, digest) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// View, sequence, digest.
    public func encode(into writer: inout ByteWriter) {
        writer.put(view)
        writer.put(sequence)
        writer.put(digest)
    }
}

/// PREPARE(v, n, d, i) (PBFT §4.2), and whether its sender vouches for what it has checked.
public struct Prepare: Hashable, Sendable, CanonicalCodable {
    /// What is prepared.
    public let vote: Vote
    /// The batch came as a fresh proposal, and the sender has checked its share of the signatures in it
    /// (docs/decisions/0040). False for what its NEW-VIEW has selected: nobody need have looked at that. Who hears it
    /// cannot tell by itself, because a faulty primary may have signed two NEW-VIEWs.
    public let vouches: Bool

    /// A correct replica says only one of the two in a view.
    public init(_ vote: Vote, vouches: Bool) { (self.vote, self.vouches) = (vote, vouches) }
    /// As `Vote`; the last byte is 0 or 1.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (vote, vouches) = (try reader.value(), try reader.bool())
    }
    /// The vote, then whether it vouches.
    public func encode(into writer: inout ByteWriter) {
        writer.put(vote)
        writer.put(vouches)
    }

    /// In which it was pre-prepared.
    public var view: View { vote.view }
    /// The number of the batch.
    public var sequence: SequenceNumber { vote.sequence }
    /// The batch's digest.
    public var digest: Digest { vote.digest }
}

/// "My state after `sequence` has this digest." 2f + 1 of them make a checkpoint stable (PBFT §4.3, R1).
public struct Checkpoint: Hashable, Sendable, CanonicalCodable {
    /// After which batch, a multiple of the checkpoint interval; 0 for the state before any.
    public let sequence: SequenceNumber
    /// Of the whole state, records and metadata included.
    public let digest: Digest

    /// A claim about the sender's own state.
    public init(sequence: SequenceNumber, digest: Digest) { (self.sequence, self.digest) = (sequence, digest) }
    /// Any sequence and digest are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (sequence, digest) = (try reader.value(), try reader.value())
    }
    /// Sequence, digest.
    public func encode(into writer: inout ByteWriter) {
        writer.put(sequence)
        writer.put(digest)
    }
}

/// (n, d, v): an entry of P or Q (TOCS '02 §4.4).
public struct PQEntry: Hashable, Comparable, Sendable, CanonicalCodable {
    /// n.
    public let sequence: SequenceNumber
    /// d: what prepared or pre-prepared at n; null for the null request.
    public let digest: Digest
    /// v: the latest view in which it did.
    public let view: View

    /// One (n, d, v) as a replica remembers it.
    public init(sequence: SequenceNumber, digest: Digest, view: View) {
        (self.sequence, self.digest, self.view) = (sequence, digest, view)
    }
    /// Any entry is taken: what P and Q must look like is checked by the view change.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (sequence, digest, view) = (try reader.value(), try reader.value(), try reader.value())
    }
    /// Sequence, digest, view.
    public func encode(into writer: inout ByteWriter) {
        writer.put(sequence)
        writer.put(digest)
        writer.put(view)
    }
    /// By sequence, then digest, then view: the order of P and Q.
    public static func < (a: Self, b: Self) -> Bool {
        (a.sequence, a.digest, a.view) < (b.sequence, b.digest, b.view)
    }
}

/// VIEW-CHANGE(v, h, C, P, Q, i), signed.
public struct ViewChange: Hashable, Sendable, CanonicalCodable {
    /// Bounds of what is decoded; a correct sender has at most a window of sequence numbers.
    public static let maxEntries = 4096

    /// Signed too, so that it counts in no other cluster.
    public let cluster: ClusterID
    /// The epoch whose keys sign it.
    public let epoch: Epoch
    /// The shard that changes its view.
    public let shard: ShardID
    /// The view that the sender wants to enter.
    public let view: View
    /// i: the sender.
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
    /// Of all the rest, by the key of the sender's host.
    public let signature: Signature

    /// Signs what it is given; that P, Q and C are in order is for the caller to see.
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

    /// Refuses more than `maxEntries` in C, P or Q; their order is checked where the message is used.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (view, replica, incarnation) = (try reader.value(), try reader.value(), try reader.uint64())
        lowWatermark = try reader.value()
        checkpoints = try reader.array(limit: Self.maxEntries)
        prepared = try reader.array(limit: Self.maxEntries)
        prePrepared = try reader.array(limit: Self.maxEntries)
        signature = try reader.value()
    }

    /// In the order of declaration, signature last.
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

    /// What the sender signs: the tag of view changes, then the digest of all but the signature.
    public var signingBytes: [UInt8] {
        signingInput(
            .viewChange,
            Self.digest(
                cluster, epoch, shard, view, replica, incarnation, lowWatermark, checkpoints, prepared, prePrepared))
    }
}

/// NEW-VIEW(v, S, selection), signed. S travels whole: it is small, signed, and then nobody has to fetch it.
public struct NewView: Hashable, Sendable, CanonicalCodable {
    /// Signed too, so that it counts in no other cluster.
    public let cluster: ClusterID
    /// The epoch whose keys sign it.
    public let epoch: Epoch
    /// The shard that enters the view.
    public let shard: ShardID
    /// v: the view that begins.
    public let view: View
    /// The sender, who must be v's primary.
    public let replica: ReplicaIndex
    /// S: 2f + 1 or more, ascending by replica.
    public let viewChanges: [ViewChange]
    /// The checkpoint from which the view starts.
    public let start: Checkpoint
    /// The digests selected for start.sequence + 1, + 2, …; `Digest.null` for the null request.
    public let selection: [Digest]
    /// Of all the rest, S included, by the key of the sender's host.
    public let signature: Signature

    /// Signs what it is given; the selection is the caller's to compute (`NewViewSelection`).
    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, view: View, replica: ReplicaIndex, viewChanges: [ViewChange],
        start: Checkpoint, selection: [Digest], signer: any Signer
    ) {
        (self.cluster, self.epoch, self.shard, self.view, self.replica) = (cluster, epoch, shard, view, replica)
        (self.viewChanges, self.start, self.selection) = (viewChanges, start, selection)
        let digest = Self.digest(cluster, epoch, shard, view, replica, viewChanges, start, selection)
        signature = signer.sign(signingInput(.newView, digest))
    }

    /// Refuses more than 64 VIEW-CHANGEs, and more than `ViewChange.maxEntries` digests.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (view, replica) = (try reader.value(), try reader.value())
        viewChanges = try reader.array(limit: 64)
        start = try reader.value()
        selection = try reader.array(limit: ViewChange.maxEntries)
        signature = try reader.value()
    }

    /// In the order of declaration, signature last.
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

    /// What the sender signs: the tag of new views, then `hash`.
    public var signingBytes: [UInt8] {
        signingInput(.newView, Self.digest(cluster, epoch, shard, view, replica, viewChanges, start, selection))
    }
}

/// What a replica has, told now and then so that peers repair what was lost.
public struct Status: Hashable, Sendable, CanonicalCodable {
    /// The view that the sender is in, or wants to enter.
    public let view: View
    /// The sender has asked for `view` and has not entered it.
    public let isChangingView: Bool
    /// What the sender has executed last: who has more can help it.
    public let lastExecuted: SequenceNumber
    /// The sender's stable checkpoint, its low watermark.
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
    /// Up to where the sender says that it remembers its votes; zero while it is quarantined.
    public let remembers: SequenceNumber
    /// In one group.
    static let maxReplicas = 64

    /// Without the later ones: of a replica that takes part, suspects nobody, and holds no VIEW-CHANGE.
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
    /// Refuses more views than a group may have replicas, 64.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (view, isChangingView) = (try reader.value(), try reader.bool())
        (lastExecuted, stable, awaits) = (try reader.value(), try reader.value(), try reader.value())
        (viewChanges, refuses) = (try reader.array(limit: Self.maxReplicas), try reader.value())
        (proposedUpTo, suspects) = (try reader.value(), try reader.bool())
        (start, remembers) = (try reader.uint64(), try reader.value())
    }
    /// In the order of declaration.
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

/// "I have executed these digests at from, from + 1, …, but for what is skipped." f + 1 equal claims contain a correct
/// replica's.
public struct CommittedClaims: Hashable, Sendable, CanonicalCodable {
    /// In one message, however much is asked for.
    public static let maxCount = 1024

    /// The sequence number of the first digest.
    public let from: SequenceNumber
    /// One for each number from there on, null where the null request was executed.
    public let digests: [Digest]
    /// What of them was not executed, ascending by number; mostly nothing.
    public let skipped: [SkippedPlaces]

    /// What the sender has executed; no more than `maxCount`, or nobody can decode it.
    public init(from: SequenceNumber, digests: [Digest], skipped: [SkippedPlaces] = []) {
        (self.from, self.digests, self.skipped) = (from, digests, skipped)
    }
    /// Refuses more than `maxCount` digests, and skipped places of other batches.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (from, digests) = (try reader.value(), try reader.array(limit: Self.maxCount))
        skipped = try reader.array(limit: digests.count)
        for (a, b) in zip(skipped, skipped.dropFirst()) where a.sequence >= b.sequence {
            throw reader.invalid("order of skipped places")
        }
        guard skipped.allSatisfy({ $0.sequence >= from && $0.sequence.number - from.number < UInt64(digests.count) })
        else { throw reader.invalid("skipped places of another batch") }
    }
    /// First sequence number, then the counted digests, then the counted places.
    public func encode(into writer: inout ByteWriter) {
        writer.put(from)
        writer.put(array: digests)
        writer.put(array: skipped)
    }
}

/// Asks for what was committed from `from` on.
public struct FetchCommitted: Hashable, Sendable, CanonicalCodable {
    /// The first sequence number that is wanted.
    public let from: SequenceNumber
    /// The most that is wanted.
    public let count: UInt32
    /// Whether the bodies are wanted too, or only the claims.
    public let bodies: Bool

    /// A peer answers with no more than `CommittedClaims.maxCount`, whatever the count.
    public init(from: SequenceNumber, count: UInt32, bodies: Bool) {
        (self.from, self.count, self.bodies) = (from, count, bodies)
    }
    /// Any numbers are taken: what the answer may cost is bounded by whoever answers.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (from, count, bodies) = (try reader.value(), try reader.uint32(), try reader.bool())
    }
    /// Sequence, count, then one byte for the bodies.
    public func encode(into writer: inout ByteWriter) {
        writer.put(from)
        writer.put(count)
        writer.put(bodies)
    }
}

/// A message between two replicas of one shard.
public enum PBFTMessage: Hashable, Sendable, CanonicalCodable {
    /// From the primary to all backups, when its own record of the proposal is durable.
    case prePrepare(PrePrepare)
    /// From a backup to all: it has taken the primary's proposal, and its record of that is durable.
    case prepare(Prepare)
    /// From everyone to all: the batch prepared at the sender, and its record of that is durable.
    case commit(Vote)
    /// From everyone to all, once in a checkpoint interval.
    case checkpoint(Checkpoint)
    /// "I would leave this view." f + 1 of them make everybody leave; one alone nobody.
    case suspect(View)
    /// To all: the sender has left its view.
    case viewChange(ViewChange)
    /// From the new view's primary to all.
    case newView(NewView)
    /// To all, now and then.
    case status(Status)
    /// Asks for a batch by digest.
    case fetchBatch(Digest)
    /// Answers `fetchBatch`: a body proves nothing but its own digest.
    case batch(Batch)
    /// Asks for what was executed.
    case fetchCommitted(FetchCommitted)
    /// Answers `fetchCommitted`: the digests.
    case committed(CommittedClaims)
    /// Answers `fetchCommitted(bodies: true)`, after the claims. Nobody checks its signatures: it is of use only where
    /// f + 1 replicas claim to have executed its digest, and then one of them checked all that the digest covers.
    case committedBody(Batch)
    /// From a replica that has started, to its peers.
    case resumed(Resumption)
    /// Answers `resumed`; also said when an incarnation must be known to all.
    case recollection(Recollection)

    /// A kind byte, 1 to 15, and the message with its own bounds; any other kind is invalid.
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

    /// The kind byte, then the message. Kind 15 is `committedBody`; the others count in the order of the cases.
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
