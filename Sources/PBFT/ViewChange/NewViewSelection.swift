import Messages

/// What a new view starts from: a pure function of the VIEW-CHANGE messages in S. The new primary computes it and
/// every backup recomputes it (TOCS 20(4) 2002, §4.4).
public struct NewViewSelection: Hashable, Sendable {
    /// The checkpoint with the highest number that 2f + 1 messages reach and f + 1 hold.
    public let start: Checkpoint
    /// For start.sequence + 1, + 2, …
    public let digests: [Digest]

    init(start: Checkpoint, digests: [Digest]) { (self.start, self.digests) = (start, digests) }

    /// The last sequence number that is selected.
    var end: SequenceNumber { SequenceNumber(start.sequence.number + UInt64(digests.count)) }

    /// What is selected for each sequence number, ascending.
    var numbered: some Sequence<(sequence: SequenceNumber, digest: Digest)> {
        digests.lazy.enumerated().map { (SequenceNumber(start.sequence.number + UInt64($0) + 1), $1) }
    }

    /// Nil when neither condition A nor B holds yet for some sequence number: more VIEW-CHANGE messages are needed.
    /// - Parameter viewChanges: correct in form (`isWellFormed`), one a replica, all for one view.
    ///   - window: L. Nothing above start + L can have committed: it would have prepared at f + 1 correct replicas
    ///     whose h lies above the start, one of them in S. Without the bound a liar's P would make the selection as
    ///     long as it likes.
    public init?(_ viewChanges: [ViewChange], group: ReplicaGroup, window: UInt64) {
        guard viewChanges.count >= group.quorum, let start = Self.start(viewChanges, group: group) else { return nil }
        let (limit, overflow) = start.sequence.number.addingReportingOverflow(window)
        guard !overflow else { return nil }
        let claimed = viewChanges.lazy.compactMap { $0.prepared.last?.sequence }.max() ?? start.sequence
        let highest = min(claimed, SequenceNumber(limit))
        var digests: [Digest] = []
        var sequence = start.sequence.next
        while sequence <= highest {
            guard let digest = Self.select(sequence, viewChanges, group: group, window: window) else { return nil }
            digests.append(digest)
            sequence = sequence.next
        }
        (self.start, self.digests) = (start, digests)
    }

    /// The checkpoint with the highest n such that 2f + 1 messages have h ≤ n and f + 1 hold it.
    private static func start(_ viewChanges: [ViewChange], group: ReplicaGroup) -> Checkpoint? {
        var best: Checkpoint?
        for candidate in viewChanges.lazy.flatMap(\.checkpoints) {
            if let best, (candidate.sequence, candidate.digest) <= (best.sequence, best.digest) { continue }
            let reach = viewChanges.count { $0.lowWatermark <= candidate.sequence }
            let holders = viewChanges.count { $0.checkpoints.contains(candidate) }
            if reach >= group.quorum && holders >= group.weakQuorum { best = candidate }
        }
        return best
    }

    private static func select(_ n: SequenceNumber, _ viewChanges: [ViewChange], group: ReplicaGroup, window: UInt64)
        -> Digest?
    {
        var candidates: [PQEntry] = []
        for viewChange in viewChanges {
            if let entry = viewChange.preparedEntry(n), !candidates.contains(entry) { candidates.append(entry) }
        }
        // The latest view first; the order makes the choice the same everywhere.
        candidates.sort { ($0.view, $0.digest) > ($1.view, $1.digest) }
        for candidate in candidates {
            // A1: a quorum did not prepare anything else at n in this view or later.
            let a1 = viewChanges.count { other in
                guard other.speaks(of: n, window: window) else { return false }
                guard let entry = other.preparedEntry(n) else { return true }
                return entry.view < candidate.view || (entry.view == candidate.view && entry.digest == candidate.digest)
            }
            // A2: a correct replica pre-prepared it in this view or later, so it is no liar's invention.
            let a2 = viewChanges.count { other in
                other.prePrepared.contains {
                    $0.sequence == n && $0.digest == candidate.digest && $0.view >= candidate.view
                }
            }
            if Mutant.is(.singlePrePrepareSelects), a1 >= group.quorum, a2 >= 1 { return candidate.digest }
            if a1 >= group.quorum && a2 >= group.weakQuorum { return candidate.digest }
        }
        // B: a quorum prepared nothing at n.
        let b = viewChanges.count { $0.speaks(of: n, window: window) && $0.preparedEntry(n) == nil }
        return b >= group.quorum ? .null : nil
    }
}

extension ViewChange {
    /// Whether "nothing prepared at n" follows from n's absence. Above the watermarks of every checkpoint that the
    /// sender had, it could not have prepared anything, and what it prepares there after forgetting this message (R4)
    /// must not be undone by it.
    func speaks(of n: SequenceNumber, window: UInt64) -> Bool {
        lowWatermark < n
            && n.number - (checkpoints.last?.sequence ?? lowWatermark).number.clamped(to: n.number) <= window
    }

    func preparedEntry(_ n: SequenceNumber) -> PQEntry? {
        // Ascending by sequence number, at most one each.
        var low = 0
        var high = prepared.count
        while low < high {
            let middle = (low + high) / 2
            if prepared[middle].sequence < n { low = middle + 1 } else { high = middle }
        }
        return low < prepared.count && prepared[low].sequence == n ? prepared[low] : nil
    }

    /// Correct in form: entries of earlier views only, within (h, h + L], ordered, each once; h is the first of C.
    package func isWellFormed(window: UInt64) -> Bool {
        let (high, overflow) = lowWatermark.number.addingReportingOverflow(window)
        guard !overflow, checkpoints.first?.sequence == lowWatermark else { return false }
        for (a, b) in zip(checkpoints, checkpoints.dropFirst()) where a.sequence >= b.sequence { return false }
        guard let last = checkpoints.last, last.sequence.number <= high else { return false }
        for (a, b) in zip(prepared, prepared.dropFirst()) where a.sequence >= b.sequence { return false }
        for (a, b) in zip(prePrepared, prePrepared.dropFirst()) where (a.sequence, a.digest) >= (b.sequence, b.digest) {
            return false
        }
        return (prepared + prePrepared).allSatisfy {
            $0.sequence > lowWatermark && $0.sequence.number <= high && $0.view < view
        }
    }
}

extension UInt64 {
    fileprivate func clamped(to limit: UInt64) -> UInt64 { Swift.min(self, limit) }
}
