import Messages

/// What a replica writes to the journal before the messages that depend on it may leave (R3).
public enum JournalRecord: Hashable, Sendable, CanonicalCodable {
    /// Pre-prepared in `view`, with the body: an entry of Q.
    case prePrepared(view: View, sequence: SequenceNumber, Batch)
    /// Pre-prepared again in a later view; the body stands earlier in the journal.
    case prePreparedAgain(view: View, sequence: SequenceNumber, Digest)
    /// Prepared in `view`: the entry of P.
    case prepared(view: View, sequence: SequenceNumber, Digest)
    /// Committed locally and executed; the body stands earlier in the journal.
    /// - Parameter skipped: places that were not executed, because nobody had signed what stood there.
    case committed(sequence: SequenceNumber, Digest, skipped: [UInt32] = [])
    /// The same of what is known from f + 1 peers' claims; with the body.
    case committedBody(sequence: SequenceNumber, Batch, skipped: [UInt32] = [])
    case viewChange(ViewChange)
    case newView(NewView)
    case stable(Checkpoint)
    /// From here on the replica may have forgotten votes (R4), or again takes part.
    case quarantine(incarnation: UInt64, isOver: Bool)
    /// A peer forgot votes: its VIEW-CHANGEs of an earlier incarnation do not count.
    case peerIncarnation(IncarnationDeclaration)

    /// - Throws: `DecodingFailure` if the first byte is no kind of record, or what follows is not one value in its only
    ///   encoding.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .prePrepared(view: try reader.value(), sequence: try reader.value(), try reader.value())
        case 2: self = .prePreparedAgain(view: try reader.value(), sequence: try reader.value(), try reader.value())
        case 3: self = .prepared(view: try reader.value(), sequence: try reader.value(), try reader.value())
        case 4: self = .committed(sequence: try reader.value(), try reader.value())
        case 5: self = .committedBody(sequence: try reader.value(), try reader.value())
        case 6: self = .viewChange(try reader.value())
        case 7: self = .newView(try reader.value())
        case 8: self = .stable(try reader.value())
        case 9: self = .quarantine(incarnation: try reader.uint64(), isOver: try reader.bool())
        case 10: self = .peerIncarnation(try reader.value())
        case 11: self = .committed(sequence: try reader.value(), try reader.value(), skipped: try reader.skipped())
        case 12: self = .committedBody(sequence: try reader.value(), try reader.value(), skipped: try reader.skipped())
        default: throw reader.invalid("journal record kind")
        }
    }

    /// One byte for the kind, then the fields in their order. A batch of which something was left out, which is rare,
    /// has a kind of its own.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .prePrepared(let view, let sequence, let batch):
            writer.put(UInt8(1))
            writer.put(view)
            writer.put(sequence)
            writer.put(batch)
        case .prePreparedAgain(let view, let sequence, let digest):
            writer.put(UInt8(2))
            writer.put(view)
            writer.put(sequence)
            writer.put(digest)
        case .prepared(let view, let sequence, let digest):
            writer.put(UInt8(3))
            writer.put(view)
            writer.put(sequence)
            writer.put(digest)
        case .committed(let sequence, let digest, let skipped):
            writer.put(UInt8(skipped.isEmpty ? 4 : 11))
            writer.put(sequence)
            writer.put(digest)
            if !skipped.isEmpty { writer.put(places: skipped) }
        case .committedBody(let sequence, let batch, let skipped):
            writer.put(UInt8(skipped.isEmpty ? 5 : 12))
            writer.put(sequence)
            writer.put(batch)
            if !skipped.isEmpty { writer.put(places: skipped) }
        case .viewChange(let viewChange):
            writer.put(UInt8(6))
            writer.put(viewChange)
        case .newView(let newView):
            writer.put(UInt8(7))
            writer.put(newView)
        case .stable(let checkpoint):
            writer.put(UInt8(8))
            writer.put(checkpoint)
        case .quarantine(let incarnation, let isOver):
            writer.put(UInt8(9))
            writer.put(incarnation)
            writer.put(isOver)
        case .peerIncarnation(let declaration):
            writer.put(UInt8(10))
            writer.put(declaration)
        }
    }
}

extension ByteReader {
    /// At least one: otherwise the record is of the other kind.
    fileprivate mutating func skipped() throws(DecodingFailure) -> [UInt32] {
        let places = try places()
        guard !places.isEmpty else { throw invalid("skipped places") }
        return places
    }
}
