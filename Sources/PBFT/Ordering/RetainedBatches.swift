import DequeModule
import Messages

/// The last executed batches, kept for peers that lag and for the journal's compaction.
package struct RetainedBatches: Sendable {
    private var batches: Deque<Batch> = []
    package private(set) var first: SequenceNumber
    private(set) var bytes = 0
    /// What of them was not executed; of most nothing.
    private var skipped: [SequenceNumber: [UInt32]] = [:]

    package init(after sequence: SequenceNumber) { first = sequence.next }

    package var count: Int { batches.count }
    /// The sequence number of the newest; first - 1 when empty.
    package var last: SequenceNumber { SequenceNumber(first.number + UInt64(count) - 1) }

    package subscript(sequence: SequenceNumber) -> Batch? {
        guard sequence >= first, sequence <= last else { return nil }
        return batches[Int(sequence.number - first.number)]
    }

    /// Places of the batch at a sequence number that were not executed.
    func skipped(at sequence: SequenceNumber) -> [UInt32] { skipped[sequence] ?? [] }

    /// - Parameter places: what of it was not executed.
    package mutating func append(_ batch: Batch, skipping places: [UInt32] = []) {
        batches.append(batch)
        if !places.isEmpty { skipped[last] = places }
        bytes += batch.memory + 64
    }

    func after(_ sequence: SequenceNumber) -> some Sequence<(SequenceNumber, Batch)> {
        let start = max(sequence.next, first)
        return batches.dropFirst(Int(start.number - first.number)).lazy.enumerated().map {
            (SequenceNumber(start.number + UInt64($0)), $1)
        }
    }

    /// The newest of this digest among so many up to a sequence number.
    func body(of digest: Digest, upTo sequence: SequenceNumber, within window: UInt64) -> Batch? {
        var next = sequence
        while next >= first, next.number + window > sequence.number {
            if let batch = self[next], batch.digest == digest { return batch }
            guard next.number > 0 else { return nil }
            next = SequenceNumber(next.number - 1)
        }
        return nil
    }

    /// - Parameter sequence: what lies above is kept, whatever its size.
    mutating func trim(upTo sequence: SequenceNumber, _ limits: ReplicaConfiguration.Limits) {
        while count > 0, first <= sequence, bytes > limits.retainedBytes || count > limits.retainedBatches {
            dropFirst()
        }
    }

    private mutating func dropFirst() {
        bytes -= batches.removeFirst().memory + 64
        skipped[first] = nil
        first = first.next
    }
}
