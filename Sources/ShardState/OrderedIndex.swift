import Messages

/// Where a cross-shard record stands in the order in which hosts push records and shards forget them.
public struct RecoveryCursor: Hashable, Comparable, Sendable {
    /// Of the signed request. Records are ordered by it first.
    public let deadline: Timestamp
    /// Who signed the request.
    public let principal: PublicKey
    /// The principal's own.
    public let number: RequestNumber
    /// The signed request's digest, which tells attempts of one number apart.
    public let request: Digest

    /// A place in the order, whether or not a record is there.
    public init(deadline: Timestamp, principal: PublicKey, number: RequestNumber, request: Digest) {
        (self.deadline, self.principal, self.number, self.request) = (deadline, principal, number, request)
    }
    /// By deadline, then principal, number and digest, so that replicas with the same records agree on the order.
    public static func < (a: Self, b: Self) -> Bool {
        (a.deadline, a.principal, a.number, a.request) < (b.deadline, b.principal, b.number, b.request)
    }
}

/// A sorted set in chunks: insertion and removal move at most one chunk and the list of chunks.
struct OrderedIndex {
    private static let maxChunk = 256
    /// Ascending, none empty.
    private var chunks: [[RecoveryCursor]] = []
    private(set) var count = 0

    var first: RecoveryCursor? { chunks.first?.first }

    /// The chunk that holds the first element that is not below `element`; the last chunk if none.
    private func chunk(for element: RecoveryCursor) -> Int {
        var (low, high) = (0, chunks.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle][chunks[middle].count - 1] < element { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func position(of element: RecoveryCursor, in chunk: [RecoveryCursor]) -> Int {
        var (low, high) = (0, chunk.count)
        while low < high {
            let middle = (low + high) / 2
            if chunk[middle] < element { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func insert(_ element: RecoveryCursor) {
        guard !chunks.isEmpty else {
            chunks = [[element]]
            count = 1
            return
        }
        let index = chunk(for: element)
        let position = Self.position(of: element, in: chunks[index])
        if position < chunks[index].count, chunks[index][position] == element { return }
        chunks[index].insert(element, at: position)
        count += 1
        if chunks[index].count > Self.maxChunk {
            let half = chunks[index].count / 2
            let upper = Array(chunks[index][half...])
            chunks[index].removeSubrange(half...)
            chunks.insert(upper, at: index + 1)
        }
    }

    mutating func remove(_ element: RecoveryCursor) {
        guard !chunks.isEmpty else { return }
        let index = chunk(for: element)
        let position = Self.position(of: element, in: chunks[index])
        guard position < chunks[index].count, chunks[index][position] == element else { return }
        chunks[index].remove(at: position)
        count -= 1
        if chunks[index].isEmpty { chunks.remove(at: index) }
    }

    /// Up to `limit` elements, ascending, that are above `cursor`, or from the first.
    func elements(after cursor: RecoveryCursor?, limit: Int) -> [RecoveryCursor] {
        var found: [RecoveryCursor] = []
        guard !chunks.isEmpty else { return found }
        var index = cursor.map { chunk(for: $0) } ?? 0
        while index < chunks.count, found.count < limit {
            for element in chunks[index] where found.count < limit {
                if let cursor, element <= cursor { continue }
                found.append(element)
            }
            index += 1
        }
        return found
    }
}
