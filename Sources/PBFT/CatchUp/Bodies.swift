import Messages

/// Batches by digest, bounded in bytes: what does not fit takes the place of all others, which are asked for again.
struct Bodies: Sendable {
    private var byDigest: [Digest: Batch] = [:]
    private var bytes = 0
    static let maxBytes = 64 << 20

    subscript(digest: Digest) -> Batch? { byDigest[digest] }

    mutating func insert(_ batch: Batch) {
        guard byDigest[batch.digest] == nil else { return }
        if bytes + batch.memory > Self.maxBytes { self = Bodies() }
        byDigest[batch.digest] = batch
        bytes += batch.memory
    }

    mutating func remove(_ digest: Digest) {
        if let batch = byDigest.removeValue(forKey: digest) { bytes -= batch.memory }
    }
}

/// Bodies that are asked for by digest, because a NEW-VIEW selects them. What comes is verified. Apart from `CatchUp`:
/// what comes there is not, and must neither stand for one of these, nor use up the question for it, nor take its
/// place.
package struct SelectedBodies: Sendable {
    /// When each was asked for.
    private var asked: [Digest: UInt64] = [:]
    private var bodies = Bodies()

    private static let maxAsked = 16_384

    package init() {}

    /// Fetched, or executed at its number meanwhile.
    func body(_ digest: Digest, at sequence: SequenceNumber, or retained: RetainedBatches) -> Batch? {
        if retained.digest(at: sequence) == digest, let executed = retained[sequence] { return executed }
        return bodies[digest]
    }

    /// - Parameter patience: how long an answer is awaited.
    /// - Returns: whether to ask for it now.
    package mutating func ask(for digest: Digest, patience: UInt64, now: Instant) -> Bool {
        if let at = asked[digest], now.uptime < at + patience { return false }
        if asked.count >= Self.maxAsked {
            asked = asked.filter { now.uptime < $0.value + patience }
            guard asked.count < Self.maxAsked else { return false }
        }
        asked[digest] = now.uptime
        return true
    }

    /// - Returns: false if nobody asked for it.
    package mutating func take(_ batch: Verified<Batch>) -> Bool {
        guard asked.removeValue(forKey: batch.value.digest) != nil else { return false }
        bodies.insert(batch.value)
        return true
    }
}
