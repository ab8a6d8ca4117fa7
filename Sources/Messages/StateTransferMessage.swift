/// State transfer: the digests of a checkpoint's buckets, and the entries of those that differ, each checked against
/// its digest (docs/decisions/0016).
public enum StateTransferMessage: Hashable, Sendable, CanonicalCodable {
    /// Of one question.
    public static let maxBuckets = 64

    /// Asks for the digests of the newest checkpoint held on disk, if it is at `minimum` or later.
    case fetchCheckpoint(minimum: SequenceNumber)
    /// `metadata` and `buckets` together hash to the checkpoint's digest.
    case checkpoint(sequence: SequenceNumber, metadata: [UInt8], buckets: [Digest])
    /// Asks for the entries of buckets of that checkpoint.
    case fetchBuckets(sequence: SequenceNumber, buckets: [UInt16])
    /// Part of a bucket's entries, in order: parts are counted from zero.
    case bucket(sequence: SequenceNumber, bucket: UInt16, part: UInt16, isLast: Bool, entries: [StateEntry])
    /// The checkpoint at `sequence` is no longer held.
    case gone(sequence: SequenceNumber)

    /// A key of the state with what stands under it.
    public struct StateEntry: Hashable, Sendable, CanonicalCodable {
        /// At most 511 bytes, as a store takes them.
        public let key: [UInt8]
        /// At most 1 MiB.
        public let value: [UInt8]
        /// What the sender's store has. That it belongs to the bucket shows when the bucket is hashed.
        public init(key: [UInt8], value: [UInt8]) { (self.key, self.value) = (key, value) }
        /// Refuses a key above 511 bytes and a value above 1 MiB.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (key, value) = (try reader.blob(limit: 511), try reader.blob(limit: 1 << 20))
        }
        /// Key, then value, each counted.
        public func encode(into writer: inout ByteWriter) {
            writer.put(blob: key)
            writer.put(blob: value)
        }
    }

    /// A kind byte, 1 to 5, in the order of the cases. Refuses metadata above 1 MiB, more than 65,536 digests, more
    /// than `maxBuckets` in a question and more than 2^20 entries in a part.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .fetchCheckpoint(minimum: try reader.value())
        case 2:
            self = .checkpoint(
                sequence: try reader.value(), metadata: try reader.blob(limit: 1 << 20),
                buckets: try reader.array(limit: 65536))
        case 3:
            let sequence: SequenceNumber = try reader.value()
            let count = Int(try reader.uint32())
            guard count <= Self.maxBuckets else { throw reader.invalid("number of buckets") }
            var buckets: [UInt16] = []
            for _ in 0..<count { buckets.append(try reader.uint16()) }
            self = .fetchBuckets(sequence: sequence, buckets: buckets)
        case 4:
            self = .bucket(
                sequence: try reader.value(), bucket: try reader.uint16(), part: try reader.uint16(),
                isLast: try reader.bool(),
                entries: try reader.array(limit: 1 << 20))
        case 5: self = .gone(sequence: try reader.value())
        default: throw reader.invalid("state transfer message kind")
        }
    }

    /// The kind byte, then what it says; lists are counted.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .fetchCheckpoint(let minimum):
            writer.put(UInt8(1))
            writer.put(minimum)
        case .checkpoint(let sequence, let metadata, let buckets):
            writer.put(UInt8(2))
            writer.put(sequence)
            writer.put(blob: metadata)
            writer.put(array: buckets)
        case .fetchBuckets(let sequence, let buckets):
            writer.put(UInt8(3))
            writer.put(sequence)
            writer.put(UInt32(buckets.count))
            for bucket in buckets { writer.put(bucket) }
        case .bucket(let sequence, let bucket, let part, let isLast, let entries):
            writer.put(UInt8(4))
            writer.put(sequence)
            writer.put(bucket)
            writer.put(part)
            writer.put(isLast)
            writer.put(array: entries)
        case .gone(let sequence):
            writer.put(UInt8(5))
            writer.put(sequence)
        }
    }
}
