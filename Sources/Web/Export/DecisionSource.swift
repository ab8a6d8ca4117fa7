import Messages

/// Where executed batches come from, verified.
public protocol DecisionSource: Sendable {
    /// The batches that follow, with f + 1 signatures each, as many as are at hand; none if there are no more yet.
    /// - Parameters:
    ///   - after: the last that is known; 0 for none.
    ///   - history: after that one, if it is known.
    ///   - count: how many at most.
    func batches(
        of shard: ShardID, after: SequenceNumber, history: Digest?, count: Int
    ) async throws -> [ExportedBatch]
}
