// What a replica and its peers say to each other when it starts (R4).

/// "I have started; this is what I remember." Peers that heard more refuse its votes.
public struct Resumption: Hashable, Sendable, CanonicalCodable {
    /// Tells this start from every other.
    public let nonce: UInt64
    /// The highest sequence number at which the sender remembers having voted, or its stable checkpoint.
    public let remembers: SequenceNumber
    /// The sender knows that it may have forgotten votes, and casts none.
    public let isQuarantined: Bool
    /// `ViewChange.life` of what the sender says from now on.
    public let life: UInt64

    public init(nonce: UInt64, remembers: SequenceNumber, isQuarantined: Bool, life: UInt64 = 0) {
        (self.nonce, self.remembers, self.isQuarantined, self.life) = (nonce, remembers, isQuarantined, life)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (nonce, remembers) = (try reader.uint64(), try reader.value())
        (isQuarantined, life) = (try reader.bool(), try reader.uint64())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(nonce)
        writer.put(remembers)
        writer.put(isQuarantined)
        writer.put(life)
    }
}

/// The answer: what the peer heard from the replica, and where it stands itself.
public struct Recollection: Hashable, Sendable, CanonicalCodable {
    public let nonce: UInt64
    /// The highest sequence number at which the peer has heard a vote of the replica since the peer's own start.
    public let heard: SequenceNumber
    /// The newest checkpoint that the peer holds.
    public let checkpoint: SequenceNumber
    /// The peer refuses, for ever, VIEW-CHANGEs of the replica with a lower one.
    public let life: UInt64
    /// The peer does not count the replica's votes, because it heard more than the replica said to remember.
    public let refuses: Bool

    public init(nonce: UInt64, heard: SequenceNumber, checkpoint: SequenceNumber, life: UInt64 = 0, refuses: Bool = false) {
        (self.nonce, self.heard, self.checkpoint, self.life, self.refuses) = (nonce, heard, checkpoint, life, refuses)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (nonce, heard) = (try reader.uint64(), try reader.value())
        (checkpoint, life, refuses) = (try reader.value(), try reader.uint64(), try reader.bool())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(nonce)
        writer.put(heard)
        writer.put(checkpoint)
        writer.put(life)
        writer.put(refuses)
    }
}
