import Messages

/// What executing one batch gave.
public struct ExecutedBatch: Hashable, Sendable {
    /// What a replica attests (R1).
    public let statement: AttestationStatement
    /// The history after this batch.
    public let history: Digest
    /// At most one a request.
    public let leaves: [Leaf]
    /// Uncertified: nothing was recorded for these legs (R9).
    public let refusals: [Refusal]
    /// The shard's time after this batch.
    public let time: Timestamp
    /// Items that changed nothing and were refused nothing: whoever brought them made the shard order what it knew.
    /// Requests by their digest, decides and evidence as `PendingPool` names them.
    public let vain: [Digest]

    /// Where the batch stands in the shard's order.
    public var sequence: SequenceNumber { statement.sequence }
    /// The history before this batch, which chains it to all earlier ones.
    public var previousHistory: Digest { statement.previousHistory }
}

/// Leaves and refusals of one batch as they arise.
package struct BatchResults {
    private var order: [Leaf] = []
    private var position: [Digest: Int] = [:]
    package private(set) var refusals: [Refusal] = []
    private(set) var vain: [Digest] = []

    /// Of a batch of which nothing is executed yet.
    package init() {}

    /// In the order in which their requests were first spoken of.
    package var leaves: [Leaf] { order }

    /// One leaf a request. What is said later of a leg replaces what was said of it before, but never an outcome: a
    /// request that is ordered twice in one batch may be acknowledged and forgotten in between.
    /// - Parameter entries: ascending by leg.
    mutating func emit(_ request: Digest, _ entries: [Leaf.Entry]) {
        if entries.isEmpty { return }
        guard let index = position[request] else {
            position[request] = order.count
            order.append(Leaf(request: request, entries: entries))
            return
        }
        let (before, after) = (order[index], Leaf(request: request, entries: entries))
        let kept = before.entries.filter { $0.status.isDecided || after.find($0.leg) == nil }
        let added = entries.filter { before.find($0.leg)?.isDecided != true }
        order[index] = Leaf(request: request, entries: (kept + added).sorted { $0.leg < $1.leg })
    }

    /// Of a root call: everything that is to be said of it, in place of what was said before in this batch.
    mutating func emit(_ leaf: Leaf) {
        if let index = position[leaf.request] {
            order[index] = leaf
        } else {
            position[leaf.request] = order.count
            order.append(leaf)
        }
    }

    mutating func refuse(_ refusal: Refusal) { refusals.append(refusal) }
    mutating func noteVain(_ item: Digest) { vain.append(item) }
}
