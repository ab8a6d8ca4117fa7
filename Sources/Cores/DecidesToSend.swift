import Messages

/// Decides that a gateway has to send, by the shards that they are for: those for the same shards travel together, so
/// that what their certificates share is sent once.
struct DecidesToSend: Sendable {
    /// Of one message, in bytes: much less than what a host reads as a frame.
    private static let maxBytes = 256 << 10

    /// In the order in which each was first needed. Never for many choices of shards in one step, but for requests over
    /// many shards.
    private var messages: [(shards: [ShardID], decides: [TransactionDecide], bytes: Int, certificates: Int)] = []

    var isEmpty: Bool { messages.isEmpty }

    /// - Parameter shards: ascending.
    mutating func add(_ decide: TransactionDecide, to shards: [ShardID]) {
        let bytes = decide.maxSize
        // The last one for these shards is the one with room; a request that is decided twice in a step goes twice.
        let place = messages.lastIndex { $0.shards == shards }
        if let place, messages[place].bytes + bytes <= Self.maxBytes,
            messages[place].decides.count < TransactionDecide.maxTogether,
            messages[place].certificates + decide.certificates.count <= TransactionDecide.maxCertificatesTogether,
            !messages[place].decides.contains(where: { $0.request == decide.request })
        {
            messages[place].decides.append(decide)
            messages[place].bytes += bytes
            messages[place].certificates += decide.certificates.count
        } else {
            messages.append((shards, [decide], bytes, decide.certificates.count))
        }
    }

    /// Ascending by request, and none is left.
    mutating func take() -> [(shards: [ShardID], decides: [TransactionDecide])] {
        defer { messages.removeAll(keepingCapacity: true) }
        return messages.map { ($0.shards, $0.decides.sorted { $0.request < $1.request }) }
    }
}
