/// A key and its new value; nil removes it.
public struct KeyValueWrite: Hashable, Sendable {
    /// 1 to 511 bytes.
    public let key: [UInt8]
    /// Nil removes the key, whether or not it is there.
    public let value: [UInt8]?

    /// Checks nothing: a store refuses what it cannot hold when it is applied.
    public init(key: [UInt8], value: [UInt8]?) { (self.key, self.value) = (key, value) }
}

/// The keys from `lower` until before `upper`.
public struct KeyRange: Hashable, Sendable {
    /// The first key that can be in it: 1 to 511 bytes.
    public let lower: [UInt8]
    /// The first key behind it.
    public let upper: [UInt8]

    /// Empty unless `lower` comes before `upper`.
    public init(lower: [UInt8], upper: [UInt8]) { (self.lower, self.upper) = (lower, upper) }
}

/// All that a state which is on its way here has in some ranges of keys.
public struct StagedPart: Hashable, Sendable {
    /// No key is in two of them.
    public let ranges: [KeyRange]
    /// Ascending by key, each in one of the ranges, none without a value.
    public let entries: [KeyValueWrite]

    /// Checks nothing: a store refuses what it cannot hold.
    public init(ranges: [KeyRange], entries: [KeyValueWrite]) { (self.ranges, self.entries) = (ranges, entries) }
}

/// What a store throws, if it can tell damage from a failure that another try may not meet.
public protocol StoreFailure: Error {
    /// The files are not what was written.
    var isDamage: Bool { get }
}

/// An ordered map of bytes at one moment. Keys: 1 to 511 bytes, ordered as unsigned bytes.
public protocol KeyValueReader {
    /// Nil when absent.
    func value(forKey key: [UInt8]) throws -> [UInt8]?

    /// Calls `body` for every entry with lower ≤ key < upper, ascending; stops when it returns false.
    /// - Parameter upper: nil for "to the end".
    func forEach(from lower: [UInt8], to upper: [UInt8]?, _ body: (_ key: [UInt8], _ value: [UInt8]) throws -> Bool)
        throws

    /// The same, of memory that is only lent while `body` runs, and that it must not keep. It must not read the store
    /// meanwhile either.
    func forEachBorrowed(
        from lower: [UInt8], to upper: [UInt8]?,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Bool
    ) throws

    /// What the last applied write put beside the entries; nil if nothing was ever applied.
    func metadata() throws -> [UInt8]?

    /// What the last applied write said of what is there after it; nil if it said nothing.
    func seal() throws -> [UInt8]?
}

extension KeyValueReader {
    /// Lends copies.
    public func forEachBorrowed(
        from lower: [UInt8], to upper: [UInt8]?,
        _ body: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        try forEach(from: lower, to: upper) { key, value in
            try key.withUnsafeBytes { key in try value.withUnsafeBytes { try body(key, $0) } }
        }
    }
}

/// Where a replica's state is kept. What is read is what the last `refresh` saw.
public protocol KeyValueStore: KeyValueReader {
    associatedtype Snapshot: KeyValueReader & Sendable

    /// Entries and metadata as they are now; later writes do not change it.
    func snapshot() throws -> Snapshot

    /// Moves reads on to the last applied write.
    mutating func refresh() throws
}

/// Applies writes. On LMDB one thread does this while another reads.
public protocol KeyValueWriter {
    /// Applies all writes and the metadata, or none, and returns when they are durable.
    /// - Parameters:
    ///   - moves: first puts what is staged in these ranges in the place of all entries that are in them, and empties
    ///     the staging area. A range of which nothing is staged becomes empty. With nil, what is staged stays.
    ///   - seal: the state's digest, or whatever tells later that what is read is what was written.
    ///   - clearing: first of all removes every entry.
    func apply(
        _ writes: some Sequence<KeyValueWrite>, moving moves: [KeyRange]?, metadata: [UInt8], seal: [UInt8]?,
        clearing: Bool
    ) throws

    /// Puts parts of another state aside, each in the place of all that is staged in its ranges: all of them or none.
    /// No reader sees them. They are gone when the store is opened again.
    func stage(_ parts: [StagedPart]) throws
}

extension KeyValueWriter {
    /// Of nothing that is staged.
    public func apply(
        _ writes: some Sequence<KeyValueWrite>, metadata: [UInt8], seal: [UInt8]?, clearing: Bool
    ) throws {
        try apply(writes, moving: nil, metadata: metadata, seal: seal, clearing: clearing)
    }

    /// Without a seal.
    public func apply(_ writes: some Sequence<KeyValueWrite>, metadata: [UInt8], clearing: Bool) throws {
        try apply(writes, metadata: metadata, seal: nil, clearing: clearing)
    }
}
