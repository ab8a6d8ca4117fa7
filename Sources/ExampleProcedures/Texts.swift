import Messages

/// Operations on texts under keys, in one transaction: the workload of `quorate bench --workload kv`, with one
/// operation in each.
public typealias TextTransaction = KeyedTransaction<TextOperation>

/// Reads the text under a key, replaces it or appends to it.
public struct TextOperation: KeyedOperation {
    /// What is done with the text that is there.
    public enum Kind: Hashable, Sendable {
        /// Nothing.
        case get
        /// Another takes its place.
        case put(String)
        /// More is put behind it.
        case append(String)
    }

    /// The text's key; its shard follows from it.
    public let key: String
    /// After it has been read.
    public let kind: Kind

    /// The root; the texts of each shard are another procedure, `kv.shard`.
    public static let procedure = "kv"
    /// What is not there is empty.
    public static let nothing = ""
    /// Unless it only reads.
    public var isChange: Bool { kind != .get }
    /// Never fails; a text that grows too long is the shard's to refuse.
    public func after(_ held: String) -> String {
        switch kind {
        case .get: held
        case .put(let text): text
        case .append(let text): held + text
        }
    }

    /// Any key: the shard refuses one that is too long.
    public init(key: String, _ kind: Kind) { (self.key, self.kind) = (key, kind) }
    /// - Throws: also for a kind above 2.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        key = try reader.value()
        switch try reader.uint8() {
        case 0: kind = .get
        case 1: kind = .put(try reader.value())
        case 2: kind = .append(try reader.value())
        default: throw reader.invalid("kind of operation")
        }
    }
    /// Counted key, a byte for the kind (0 get, 1 put, 2 append), then the text but for get.
    public func encode(into writer: inout ByteWriter) {
        writer.put(key)
        switch kind {
        case .get: writer.put(integer: UInt8(0))
        case .put(let text):
            writer.put(integer: UInt8(1))
            writer.put(text)
        case .append(let text):
            writer.put(integer: UInt8(2))
            writer.put(text)
        }
    }
}
