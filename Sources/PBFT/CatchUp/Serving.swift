import Messages

/// What peers that lag are given, within bounds.
package struct Serving: Sendable {
    private struct Peer {
        /// The range that it was given last, and when.
        var servedFrom: SequenceNumber?
        var servedAt: UInt64 = 0
        /// Bytes of bodies that it may still be sent, as of `allowedAt`.
        var allowance = 0
        var allowedAt: UInt64 = 0
    }

    /// What answers a question for committed batches.
    package struct Answer {
        package var claims: CommittedClaims
        package var bodies: [Batch] = []
    }

    private let limits: ReplicaConfiguration.Limits
    private var peers: [Peer]

    private static let maxBytes = 2 << 20

    package init(configuration: ReplicaConfiguration) {
        limits = configuration.limits
        peers = Array(repeating: Peer(), count: configuration.group.n)
    }

    /// What bodies a peer may have: so many bytes at once, and so many a second. It asks again.
    package mutating func allows(bytes: Int, to peer: ReplicaIndex, now: Instant) -> Bool {
        let known = peers[peer.index]
        let passed = now.uptime - min(now.uptime, known.allowedAt)
        let earned = Int(min(passed / 1000, 1_000_000)) * limits.bodyBytesPerSecond / 1_000_000
        let allowance = min(known.allowedAt == 0 ? .max : known.allowance + earned, limits.bodyBytesPerSecond)
        guard allowance >= bytes else { return false }
        (peers[peer.index].allowance, peers[peer.index].allowedAt) = (allowance - bytes, now.uptime)
        return true
    }

    /// - Returns: nil if the peer had this range a moment ago: a range a time, and repetitions of the same one seldom.
    package mutating func answer(
        _ request: FetchCommitted, to peer: ReplicaIndex, from retained: RetainedBatches, now: Instant
    ) -> Answer? {
        let known = peers[peer.index]
        if known.servedFrom == request.from, now.uptime < known.servedAt + limits.fetchTimeout / 2 { return nil }
        (peers[peer.index].servedFrom, peers[peer.index].servedAt) = (request.from, now.uptime)
        // Too far back: say from where on there is something.
        guard request.from >= retained.first else {
            return Answer(claims: CommittedClaims(from: retained.first, digests: []))
        }
        return gather(request, to: peer, from: retained, now: now)
    }

    mutating func answer(
        _ request: FetchCommitted, to peer: ReplicaIndex, over retained: RetainedBatches, now: Instant,
        _ promises: Promises,
        into ready: inout ReplicaReady
    ) {
        guard let answer = answer(request, to: peer, from: retained, now: now) else { return }
        promises.send(.committed(answer.claims), to: .one(peer), into: &ready)
        for batch in answer.bodies { promises.send(.committedBody(batch), to: .one(peer), into: &ready) }
    }

    private mutating func gather(
        _ request: FetchCommitted, to peer: ReplicaIndex, from retained: RetainedBatches, now: Instant
    ) -> Answer {
        var digests: [Digest] = []
        var skipped: [SkippedPlaces] = []
        var bodies: [Batch] = []
        var bytes = 0
        var sendsBodies = request.bodies
        var sequence = request.from
        let count = min(Int(request.count), CommittedClaims.maxCount)
        // Only what is sent is decoded.
        while digests.count < count, let digest = retained.digest(at: sequence),
            let size = retained.byteCount(at: sequence), bytes < Self.maxBytes
        {
            if sendsBodies, allows(bytes: size, to: peer, now: now) {
                guard let batch = retained[sequence] else { break }
                bodies.append(batch)
                bytes += size
            } else if sendsBodies {
                // The peer waits for what is named here. Without any body its word alone goes; another peer sends the
                // bodies.
                guard bodies.isEmpty else { break }
                sendsBodies = false
            }
            digests.append(digest)
            let places = Mutant.is(.skippedNotClaimed) ? [] : retained.skipped(at: sequence)
            if !places.isEmpty { skipped.append(SkippedPlaces(sequence: sequence, places: places)) }
            sequence = sequence.next
        }
        return Answer(
            claims: CommittedClaims(from: request.from, digests: digests, skipped: skipped),
            bodies: bodies.filter { !$0.isNull })
    }
}
