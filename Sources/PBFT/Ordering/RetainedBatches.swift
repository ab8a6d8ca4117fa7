import DequeModule
import Messages

/// The last executed batches, kept for peers that lag and for the journal's compaction.
package struct RetainedBatches: Sendable {
    /// Of what is flushed only the bytes are kept: decoded, requests take four times as much, and few are asked for.
    private enum Kept: Sendable {
        case whole(Batch)
        case packed(ArraySlice<UInt8>, Digest, memory: Int)

        var digest: Digest {
            switch self {
            case .whole(let batch): batch.digest
            case .packed(_, let digest, _): digest
            }
        }

        var memory: Int {
            switch self {
            case .whole(let batch): batch.memory
            case .packed(_, _, let memory): memory
            }
        }

        /// Of the encoding.
        var byteCount: Int {
            switch self {
            case .whole(let batch): batch.bytes.count
            case .packed(let bytes, _, _): bytes.count
            }
        }

        /// Not nil: what is packed was decoded before. Decoding takes some ten nanoseconds a byte.
        var batch: Batch? {
            switch self {
            case .whole(let batch): batch
            case .packed(let bytes, _, _): try? Batch(bytes: bytes)
            }
        }
    }

    private var batches: Deque<Kept> = []
    /// What is below is packed.
    private var packedBelow: SequenceNumber
    package private(set) var first: SequenceNumber
    package private(set) var bytes = 0
    /// What of them was not executed; of most nothing.
    private var skipped: [SequenceNumber: [UInt32]] = [:]

    package init(after sequence: SequenceNumber) { (first, packedBelow) = (sequence.next, sequence.next) }

    package var count: Int { batches.count }
    /// The sequence number of the newest; first - 1 when empty.
    package var last: SequenceNumber { SequenceNumber(first.number + UInt64(count) - 1) }

    private func kept(at sequence: SequenceNumber) -> Kept? {
        guard sequence >= first, sequence <= last else { return nil }
        return batches[Int(sequence.number - first.number)]
    }

    /// Decoded, if it is not whole: for who is to have it, within what he may have.
    package subscript(sequence: SequenceNumber) -> Batch? { kept(at: sequence)?.batch }
    /// What a look costs nothing for.
    package func digest(at sequence: SequenceNumber) -> Digest? { kept(at: sequence)?.digest }
    /// Bytes of the encoding.
    package func byteCount(at sequence: SequenceNumber) -> Int? { kept(at: sequence)?.byteCount }

    /// Places of the batch at a sequence number that were not executed.
    package func skipped(at sequence: SequenceNumber) -> [UInt32] { skipped[sequence] ?? [] }

    /// - Parameter places: what of it was not executed.
    package mutating func append(_ batch: Batch, skipping places: [UInt32] = []) {
        batches.append(.whole(batch))
        if !places.isEmpty { skipped[last] = places }
        bytes += batch.memory + 64
    }

    package func after(_ sequence: SequenceNumber) -> some Sequence<(SequenceNumber, Batch)> {
        let start = max(sequence.next, first)
        return batches.dropFirst(Int(start.number - first.number)).lazy.enumerated().compactMap { offset, kept in
            kept.batch.map { (SequenceNumber(start.number + UInt64(offset)), $0) }
        }
    }

    /// Where the newest of this digest is, among so many up to a sequence number.
    package func sequence(of digest: Digest, upTo sequence: SequenceNumber, within window: UInt64) -> SequenceNumber? {
        var next = min(sequence, last)
        while next >= first, next.number + window > sequence.number {
            if kept(at: next)?.digest == digest { return next }
            guard next.number > 0 else { return nil }
            next = SequenceNumber(next.number - 1)
        }
        return nil
    }

    /// - Parameter sequence: what lies above is kept as it is, whatever its size.
    package mutating func trim(upTo sequence: SequenceNumber, _ limits: ReplicaConfiguration.Limits) {
        while count > 0, first <= sequence, bytes > limits.retainedBytes || count > limits.retainedBatches {
            dropFirst()
        }
        pack(upTo: sequence)
    }

    private mutating func pack(upTo sequence: SequenceNumber) {
        packedBelow = max(packedBelow, first)
        while packedBelow <= sequence, packedBelow <= last {
            let place = Int(packedBelow.number - first.number)
            if case .whole(let batch) = batches[place] {
                batches[place] = .packed(batch.bytes, batch.digest, memory: batch.memory)
            }
            packedBelow = packedBelow.next
        }
    }

    private mutating func dropFirst() {
        bytes -= batches.removeFirst().memory + 64
        skipped[first] = nil
        first = first.next
    }
}
