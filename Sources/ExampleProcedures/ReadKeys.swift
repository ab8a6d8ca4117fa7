import Messages
import ShardState

/// Reads keys of one shard as they are, in order with everything else that happens there: for whoever checks what a
/// workload has left.
public struct ReadKeys: Procedure {
    /// A frame has 128 locks at most, and a result 16 KiB.
    public static let maxKeys = 100

    /// What stands under a key.
    public struct Value: Hashable, Sendable, CanonicalCodable {
        /// Nil if there is nothing.
        public let bytes: [UInt8]?
        /// Any bytes are taken.
        public init(_ bytes: [UInt8]?) { self.bytes = bytes }
        /// At most as long as a value may be.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            bytes = try reader.bool() ? try reader.blob(limit: Invocation.maxValueBytes) : nil
        }
        /// A byte that says whether there is one, and the counted bytes.
        public func encode(into writer: inout ByteWriter) {
            writer.put(bytes != nil)
            if let bytes { writer.put(blob: bytes) }
        }
    }

    /// Called on a key of the shard.
    public static let name = "read-keys"
    /// Ascending, whatever the order in which they are asked for.
    public static let locksInOrder = true
    /// The values, in the order of the keys.
    /// - Throws: when a key is another shard's, or there are more than a frame may lock.
    public static func run(_ keys: [String], _ context: ProcedureContext) throws -> [Value] {
        for key in LockOrder.keys(keys) { _ = try context.bytes(of: key) }
        return try keys.map { Value(try context.bytes(of: Array($0.utf8))) }
    }
}
