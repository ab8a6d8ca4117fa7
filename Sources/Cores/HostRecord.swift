import Messages
import PBFT

/// A record of a host's journal: what a replica writes, with the shard that it is of. Encoded where it is written.
public struct HostRecord: Hashable, Sendable, CanonicalCodable {
    /// Whose record it is.
    public let shard: ShardID
    /// What binds that replica, or what it needs to start again.
    public let record: JournalRecord

    /// - Parameter shard: one that the host has a replica of.
    public init(shard: ShardID, record: JournalRecord) { (self.shard, self.record) = (shard, record) }

    /// - Throws: `DecodingFailure` as `JournalRecord` does. Whether there is such a shard is not looked at.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (shard, record) = (try reader.value(), try reader.value())
    }

    /// The shard, then the record.
    public func encode(into writer: inout ByteWriter) {
        writer.put(shard)
        writer.put(record)
    }

    /// Bytes of its encoding, without encoding what is long or frequent.
    public var encodedSize: Int {
        switch record {
        case .prePrepared(_, _, let batch): Self.prePreparedSize + batch.bytes.count
        case .committedBody(_, let batch, let skipped):
            Self.committedBodySize + batch.bytes.count + Self.size(of: skipped)
        case .prePreparedAgain, .prepared: Self.preparedSize
        case .committed(_, _, let skipped): Self.committedSize + Self.size(of: skipped)
        case .viewChange, .newView, .stable, .quarantine, .peerIncarnation: encoded().count
        }
    }

    private static let prePreparedSize = size(.prePrepared(view: View(0), sequence: SequenceNumber(0), .null))
    private static let committedBodySize = size(.committedBody(sequence: SequenceNumber(0), .null))
    private static let preparedSize = size(.prepared(view: View(0), sequence: SequenceNumber(0), .null))
    private static let committedSize = size(.committed(sequence: SequenceNumber(0), .null))

    private static func size(of skipped: [UInt32]) -> Int { skipped.isEmpty ? 0 : 4 + 4 * skipped.count }

    private static func size(_ record: JournalRecord) -> Int {
        HostRecord(shard: ShardID(0), record: record).encoded().count
    }
}
