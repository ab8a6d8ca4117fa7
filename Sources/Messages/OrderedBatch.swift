/// A batch that its shard has ordered, where, and which of its items count. Only such a batch can be executed
/// (`ShardExecutor.execute`), so nothing can be whose signature nobody has checked: whoever vouches for it has counted
/// who checked what (docs/decisions/0040).
///
/// Not a `Verified<Batch>`, because this replica itself may not have checked it: it takes the word of those named
/// below. Only `PBFT`, which counts who has said what, gives that word (`DocumentationTests` looks for others), and
/// tests, which have no group.
public struct OrderedBatch: Hashable, Sendable {
    /// Where it stands in the shard's order.
    public let sequence: SequenceNumber
    /// What was ordered there, with what does not count.
    public let batch: Batch
    /// Places of the requests that nobody signed, ascending: they are ordered, and have no effect and no leaf. The same
    /// on every correct replica, because a signature is genuine or not, whoever looks at it.
    public let skipped: [UInt32]

    /// 2f + 1 replicas have committed it here. Each of its requests is one that this replica has checked itself, or
    /// that f + 1 replicas say they have checked, of which one is correct; and those that it found wrong are skipped.
    /// Its certificates every correct replica has checked that prepared it.
    package init(committed batch: Batch, skipping skipped: [UInt32] = [], at sequence: SequenceNumber) {
        self.init(batch, skipped, sequence)
    }

    /// f + 1 peers say that they have executed it, without these places. The correct one of them had it on one of the
    /// two other grounds, or from who had.
    package init(claimed batch: Batch, skipping skipped: [UInt32] = [], at sequence: SequenceNumber) {
        self.init(batch, skipped, sequence)
    }

    /// The own journal has it as executed: before the restart it was one of the two above.
    package init(journaled batch: Batch, skipping skipped: [UInt32] = [], at sequence: SequenceNumber) {
        self.init(batch, skipped, sequence)
    }

    private init(_ batch: Batch, _ skipped: [UInt32], _ sequence: SequenceNumber) {
        (self.sequence, self.batch, self.skipped) = (sequence, batch, skipped)
    }

    /// What is executed, in order.
    public var items: [BatchItem] {
        guard !skipped.isEmpty else { return batch.items }
        let skipped = Set(skipped)
        return batch.items.enumerated().filter { !skipped.contains(UInt32($0.offset)) }.map(\.element)
    }
}
