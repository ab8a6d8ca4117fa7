import Messages

/// What is known of one traced request: the stamps of all processes that it passed.
public struct RequestTrace: Sendable, Equatable {
    /// Who took a stamp.
    public enum Source: Hashable, Comparable, Sendable, CustomStringConvertible {
        case client
        case gateway(Int)
        case host(Int)

        /// As people call it: `host 2`.
        public var description: String {
            switch self {
            case .client: "client"
            case .gateway(let number): "gateway \(number)"
            case .host(let number): "host \(number)"
            }
        }
    }

    /// A stamp and who took it.
    public struct Entry: Hashable, Sendable {
        /// Who took it.
        public let source: Source
        /// Its time is that of one clock for all entries.
        public let stamp: Stamp

        /// - Parameter stamp: with a time that can be compared with that of the others.
        public init(_ source: Source, _ stamp: Stamp) { (self.source, self.stamp) = (source, stamp) }
    }

    /// The digest of the signed request.
    public let request: Digest
    /// Ascending by time.
    public let entries: [Entry]

    /// Stamps of other requests are left out.
    public init(of request: Digest, _ entries: some Sequence<Entry>) {
        self.request = request
        self.entries = entries.filter { $0.stamp.request == request }.sorted {
            ($0.stamp.at, $0.stamp.kind.rawValue, $0.source) < ($1.stamp.at, $1.stamp.kind.rawValue, $1.source)
        }
    }

    /// Shards that it was sent to or executed on, ascending.
    public var shards: [ShardID] { Set(entries.compactMap(\.stamp.shard)).sorted() }
    /// Those that have stamped it, the client first.
    public var sources: [Source] { Set(entries.map(\.source)).sorted() }

    /// The first moment of a kind, of those that are as wanted where something is given.
    public func first(
        _ kind: StampKind, shard: ShardID? = nil, at source: Source? = nil, number: UInt64? = nil
    ) -> UInt64? {
        entries.first { entry in
            entry.stamp.kind == kind && (shard == nil || entry.stamp.shard == shard)
                && (source == nil || entry.source == source) && (number == nil || entry.stamp.number == number)
        }?.stamp.at
    }

    /// The moment at which so many processes had stamped it; nil if fewer have.
    func reached(_ count: Int, _ kind: StampKind, shard: ShardID, number: UInt64? = nil) -> UInt64? {
        var seen: Set<Source> = []
        for entry in entries where entry.stamp.kind == kind && entry.stamp.shard == shard {
            guard number == nil || entry.stamp.number == number, seen.insert(entry.source).inserted else { continue }
            if seen.count == count { return entry.stamp.at }
        }
        return nil
    }

    /// The batch of a shard that its certificate came from: the last one with it that was executed before. A request
    /// that was refused at first, and tried again, is in several.
    func batch(of shard: ShardID) -> UInt64? {
        let executed = entries.filter { $0.stamp.kind == .executed && $0.stamp.shard == shard }
        let end = first(.certified) ?? .max
        return (executed.last { $0.stamp.at <= end } ?? executed.first)?.stamp.number
    }

    /// Who proposed that batch: who wrote its PRE-PREPARE first.
    package func primary(of shard: ShardID) -> Source? {
        guard let batch = batch(of: shard) else { return nil }
        return entries.first {
            $0.stamp.kind == .prePrepared && $0.stamp.shard == shard && $0.stamp.number == batch
        }?.source
    }
}
