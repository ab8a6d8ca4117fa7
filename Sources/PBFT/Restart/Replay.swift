import Messages

/// What a journal proves, over the state that the store holds (R3).
package struct Replay {
    private let base: Checkpoint
    /// Where the log begins: a state that was fetched may lie above what is stable here.
    private let low: Checkpoint
    /// The highest that the journal knows to be stable.
    package private(set) var stable: Checkpoint
    package private(set) var isQuarantined = false
    private(set) var incarnation: UInt64 = 0
    private(set) var peerIncarnations: [IncarnationDeclaration] = []
    private var bodies: [SequenceNumber: [Batch]] = [:]
    private var committed: [SequenceNumber: (digest: Digest, skipped: [UInt32])] = [:]

    package init(_ records: [JournalRecord], over base: Checkpoint) {
        self.base = base
        low = Self.lowWatermark(of: base, records)
        stable = low
        for record in records { read(record) }
    }

    /// The stable checkpoint that the journal knows, if the store's state lies above it; otherwise the store's.
    private static func lowWatermark(of base: Checkpoint, _ records: [JournalRecord]) -> Checkpoint {
        var stable: Checkpoint?
        for case .stable(let checkpoint) in records where checkpoint.sequence >= stable?.sequence ?? .zero {
            stable = checkpoint
        }
        // A journal without any knows of nothing below the state.
        guard let stable, stable.sequence < base.sequence else { return base }
        return stable
    }

    private mutating func read(_ record: JournalRecord) {
        switch record {
        case .prePrepared(_, let sequence, let batch): if sequence > low.sequence { keep(batch, at: sequence) }
        case .committedBody(let sequence, let batch, let skipped):
            guard sequence > base.sequence else { return }
            keep(batch, at: sequence)
            committed[sequence] = (batch.digest, skipped)
        case .committed(let sequence, let digest, let skipped):
            if sequence > base.sequence { committed[sequence] = (digest, skipped) }
        case .stable(let checkpoint): if checkpoint.sequence > stable.sequence { stable = checkpoint }
        case .quarantine(let incarnation, let isOver):
            (isQuarantined, self.incarnation) = (!isOver, max(self.incarnation, incarnation))
        case .peerIncarnation(let declaration): peerIncarnations.append(declaration)
        case .prePreparedAgain, .prepared, .viewChange, .newView: break
        }
    }

    private mutating func keep(_ batch: Batch, at sequence: SequenceNumber) {
        if !(bodies[sequence] ?? []).contains(batch) { bodies[sequence, default: []].append(batch) }
    }

    func body(_ digest: Digest, at sequence: SequenceNumber) -> Batch? {
        digest.isNull ? .null : bodies[sequence]?.first { $0.digest == digest }
    }

    /// What was committed above the store's state, in order.
    package var executed: [OrderedBatch] {
        var executed: [OrderedBatch] = []
        var next = base.sequence.next
        while let (digest, skipped) = committed[next], let batch = body(digest, at: next) {
            executed.append(OrderedBatch(journaled: batch, skipping: skipped, at: next))
            next = next.next
        }
        return executed
    }

    /// A state of this number or a later one is needed: the journal's batches follow on it.
    package var neededState: SequenceNumber {
        var minimum = stable.sequence
        while minimum > .zero, let digest = committed[minimum]?.digest, body(digest, at: minimum) != nil {
            minimum = SequenceNumber(minimum.number - 1)
        }
        return minimum
    }

    /// How the replica starts, when all that the journal can execute is executed. `stable` is written after the
    /// `committed` that it covers, so on the state that it belongs to a journal without rot always reaches it.
    /// - Parameter isNew: there is neither a journal nor a state.
    package func standing(executed: SequenceNumber, isNew: Bool) -> Standing {
        if isQuarantined { return .quarantined(until: nil) }
        if stable.sequence > executed { return .rebuilding(from: neededState) }
        return isNew ? .full : .resuming
    }
}
