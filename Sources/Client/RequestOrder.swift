import Messages

/// The requests of a principal that are under way in order, and what the next one has to follow (`Request.follows`). A
/// value: its owner keeps it.
///
/// On each shard a request follows the newest that is under way there, whose predecessor is the one before it: so one
/// name a shard puts all of them in a row. Nobody waits for ever: numbers go up, so there is no circle, and a
/// predecessor that never comes is waited for until its deadline.
public struct RequestOrder: Sendable {
    private struct Entry: Sendable {
        let number: RequestNumber
        let deadline: Timestamp
        let shards: [ShardID]
    }

    /// Ascending by number.
    private var underWay: [Entry] = []

    /// Nothing is under way.
    public init() {}

    /// How many requests are.
    public var count: Int { underWay.count }

    /// What a request with these operations has to follow: ascending by shard, at most `Request.maxPredecessors`.
    public func predecessors(of operations: [Operation], in map: ShardMap) -> [Predecessor] {
        guard !underWay.isEmpty else { return [] }
        return Self.shards(of: operations, in: map).lazy.compactMap { shard in
            underWay.last { $0.shards.contains(shard) }.map {
                Predecessor(shard: shard, number: $0.number, deadline: $0.deadline)
            }
        }.prefix(Request.maxPredecessors).map(\.self)
    }

    /// The request is under way.
    /// - Precondition: its number is above those of all that were before.
    public mutating func begin(_ request: Request, in map: ShardMap) {
        precondition(underWay.last.map { $0.number < request.number } ?? true)
        underWay.append(
            Entry(
                number: request.number, deadline: request.deadline, shards: Self.shards(of: request.operations, in: map)
            ))
    }

    /// Its outcome is known, or it is given up. Nothing happens if it was not under way.
    public mutating func end(_ number: RequestNumber) {
        if let place = underWay.firstIndex(where: { $0.number == number }) { underWay.remove(at: place) }
    }

    /// Where the order of what a principal asks for shows: where money of his leaves, an account is read, and a
    /// procedure begins; and where an account is frozen or released. Ascending. Who is paid by two requests cannot tell which came first.
    private static func shards(of operations: [Operation], in map: ShardMap) -> [ShardID] {
        var shards: [ShardID] = []
        for operation in operations {
            let shard: ShardID
            switch operation {
            case .transfer(let transfer): shard = map.shard(of: transfer.from)
            case .read(let account), .freeze(let account, _), .release(let account): shard = map.shard(of: account)
            case .call(let invocation, _): shard = map.shard(of: invocation.target)
            case .open, .issue: continue
            }
            let place = shards.firstIndex { $0 >= shard } ?? shards.count
            if place == shards.count || shards[place] != shard { shards.insert(shard, at: place) }
        }
        return shards
    }
}
