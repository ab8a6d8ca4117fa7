// What a replica and its peers say to each other when it starts (R4).

/// "I may have forgotten what I voted for; what I said before this incarnation does not count." Signed, so that who
/// heard it can show it to who did not, and nobody can say it of another.
public struct IncarnationDeclaration: Hashable, Sendable, CanonicalCodable {
    /// Signed too, so that it counts in no other cluster.
    public let cluster: ClusterID
    /// The epoch whose keys sign it.
    public let epoch: Epoch
    /// In which group the votes were forgotten: a host's other replicas declare for themselves.
    public let shard: ShardID
    /// Who forgot.
    public let replica: ReplicaIndex
    /// The time of the forgetting by the replica's own clock, or later; never zero.
    public let incarnation: UInt64
    /// Of all the rest, by the key of the replica's host.
    public let signature: Signature

    /// Signs what it is given.
    /// - Parameter incarnation: not zero, or nobody can decode it.
    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, replica: ReplicaIndex, incarnation: UInt64, signer: any Signer
    ) {
        (self.cluster, self.epoch, self.shard, self.replica, self.incarnation) = (
            cluster, epoch, shard, replica, incarnation
        )
        signature = signer.sign(signingInput(.incarnation, Self.digest(cluster, epoch, shard, replica, incarnation)))
    }
    /// Refuses incarnation zero, which means that nothing was ever forgotten.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (replica, incarnation, signature) = (try reader.value(), try reader.uint64(), try reader.value())
        guard incarnation > 0 else { throw reader.invalid("incarnation") }
    }
    /// In the order of declaration, signature last.
    public func encode(into writer: inout ByteWriter) {
        Self.encodeBody(&writer, cluster, epoch, shard, replica, incarnation)
        writer.put(signature)
    }
    private static func encodeBody(
        _ writer: inout ByteWriter, _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ replica: ReplicaIndex,
        _ incarnation: UInt64
    ) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(replica)
        writer.put(incarnation)
    }
    private static func digest(
        _ cluster: ClusterID, _ epoch: Epoch, _ shard: ShardID, _ replica: ReplicaIndex, _ incarnation: UInt64
    ) -> Digest {
        var writer = ByteWriter(reserving: 64)
        encodeBody(&writer, cluster, epoch, shard, replica, incarnation)
        return Hasher256.hash(.incarnation, writer.bytes)
    }
    /// What the replica signs: the tag of incarnations, then the digest of all but the signature.
    public var signingBytes: [UInt8] {
        signingInput(.incarnation, Self.digest(cluster, epoch, shard, replica, incarnation))
    }
}

/// "I have started; this is what I remember." Peers that heard more refuse its votes.
public struct Resumption: Hashable, Sendable, CanonicalCodable {
    /// Tells this start from every other.
    public let nonce: UInt64
    /// The highest sequence number at which the sender remembers having voted, or its stable checkpoint.
    public let remembers: SequenceNumber
    /// The sender knows that it may have forgotten votes, and casts none.
    public let isQuarantined: Bool
    /// The last time that the sender forgot; nil for never.
    public let declaration: IncarnationDeclaration?

    /// What the sender remembers; the declaration is already signed.
    public init(
        nonce: UInt64, remembers: SequenceNumber, isQuarantined: Bool, declaration: IncarnationDeclaration? = nil
    ) {
        (self.nonce, self.remembers, self.isQuarantined, self.declaration) = (
            nonce, remembers, isQuarantined, declaration
        )
    }
    /// Any numbers are taken. The declaration is checked by `Verifier`.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (nonce, remembers) = (try reader.uint64(), try reader.value())
        (isQuarantined, declaration) = (try reader.bool(), try reader.bool() ? try reader.value() : nil)
    }
    /// Nonce, sequence number, quarantine, then a byte that says whether a declaration follows.
    public func encode(into writer: inout ByteWriter) {
        writer.put(nonce)
        writer.put(remembers)
        writer.put(isQuarantined)
        writer.put(declaration != nil)
        if let declaration { writer.put(declaration) }
    }

    /// `ViewChange.incarnation` of what the sender says from now on.
    public var incarnation: UInt64 { declaration?.incarnation ?? 0 }
}

/// The answer: what the peer heard from the replica, and where it stands itself.
public struct Recollection: Hashable, Sendable, CanonicalCodable {
    /// Of whom this speaks. Everybody hears it, because everybody must know of the incarnation; to others it is no
    /// answer.
    public let about: ReplicaIndex
    /// Of the question; zero if there was none.
    public let nonce: UInt64
    /// The highest sequence number at which the peer has heard a vote of the replica since the peer's own start.
    public let heard: SequenceNumber
    /// The newest checkpoint that the peer holds.
    public let checkpoint: SequenceNumber
    /// The peer refuses, for ever, VIEW-CHANGEs of the replica of an earlier incarnation.
    public let declaration: IncarnationDeclaration?
    /// The peer does not count the replica's votes, because it heard more than the replica said to remember.
    public let refuses: Bool

    /// Nothing is signed but the declaration.
    public init(
        about: ReplicaIndex, nonce: UInt64, heard: SequenceNumber, checkpoint: SequenceNumber,
        declaration: IncarnationDeclaration? = nil,
        refuses: Bool = false
    ) {
        (self.about, self.nonce, self.heard, self.checkpoint) = (about, nonce, heard, checkpoint)
        (self.declaration, self.refuses) = (declaration, refuses)
    }
    /// Any numbers are taken. The declaration is checked by `Verifier`, also that it is about the same replica.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (about, nonce, heard) = (try reader.value(), try reader.uint64(), try reader.value())
        (checkpoint, declaration, refuses) = (
            try reader.value(), try reader.bool() ? try reader.value() : nil, try reader.bool()
        )
    }
    /// In the order of declaration; a byte before `declaration` says whether there is one.
    public func encode(into writer: inout ByteWriter) {
        writer.put(about)
        writer.put(nonce)
        writer.put(heard)
        writer.put(checkpoint)
        writer.put(declaration != nil)
        if let declaration { writer.put(declaration) }
        writer.put(refuses)
    }

    /// The earliest incarnation of which the peer takes VIEW-CHANGEs; zero if it knows of no forgetting.
    public var incarnation: UInt64 { declaration?.incarnation ?? 0 }
}
