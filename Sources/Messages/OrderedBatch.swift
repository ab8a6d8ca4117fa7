/// A batch that its shard has ordered, and where. Only such a batch can be executed (`ShardExecutor.execute`), so none
/// can be of which nobody has checked the signatures: whoever vouches for the order has taken the batch as
/// `Verified<Batch>` first.
///
/// Not a `Verified<Batch>`, because this replica itself may not have checked it: after a restart, and of batches that
/// its peers have ordered without it, it takes the word of those named below. Only `PBFT`, which counts who has said
/// what, gives that word (`DocumentationTests` looks for others), and tests, which have no group.
public struct OrderedBatch: Hashable, Sendable {
    /// Where it stands in the shard's order.
    public let sequence: SequenceNumber
    /// What is executed there.
    public let batch: Batch

    /// 2f + 1 replicas have committed it here. f + 1 of them are correct, and a correct replica prepares only what it
    /// has verified, or has executed on one of the other two grounds before: the first who did had verified it.
    package init(committed batch: Batch, at sequence: SequenceNumber) { self.init(batch, sequence) }

    /// f + 1 peers say that they have committed it. The correct one of them, or whoever it had this from, took part in
    /// ordering it.
    package init(claimed batch: Batch, at sequence: SequenceNumber) { self.init(batch, sequence) }

    /// The own journal has it as committed: before the restart it was one of the two above.
    package init(journaled batch: Batch, at sequence: SequenceNumber) { self.init(batch, sequence) }

    private init(_ batch: Batch, _ sequence: SequenceNumber) { (self.sequence, self.batch) = (sequence, batch) }
}
