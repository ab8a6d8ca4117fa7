import DequeModule
import Messages

/// Which sessions want the leaves of which request; the oldest are forgotten beyond the bound.
struct Interests: Sendable {
    private var sessions: [Digest: [SessionID]] = [:]
    private var order: Deque<Digest> = []
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    mutating func add(_ session: SessionID, for request: Digest) {
        if sessions[request] == nil {
            while let oldest = order.first, sessions[oldest] == nil || sessions.count >= capacity {
                order.removeFirst()
                sessions[oldest] = nil
            }
            if order.count >= 2 * capacity { compact() }
            order.append(request)
        }
        var wanting = sessions[request] ?? []
        if !wanting.contains(session), wanting.count < 16 { wanting.append(session) }
        sessions[request] = wanting
    }

    /// Drops from the order what is gone behind a request that stays.
    private mutating func compact() {
        order.removeAll { sessions[$0] == nil }
    }

    func of(_ request: Digest) -> [SessionID] { sessions[request] ?? [] }
    mutating func remove(_ request: Digest) { sessions[request] = nil }
}
