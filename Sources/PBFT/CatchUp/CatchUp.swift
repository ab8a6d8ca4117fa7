import Messages

/// Catching up on committed batches: who lags executes what f + 1 peers claim to have committed (docs/decisions/0007).
package struct CatchUp: Sendable {
    /// The question that is open, and what came of it.
    private struct Fetch {
        /// Digests that peers claim to have executed, whose bodies are awaited.
        var awaited: Set<Digest> = []
        /// Nobody checked their signatures: only what f + 1 claim may be taken from here.
        var bodies = Bodies()
        /// The range that was asked for last, and who sends its bodies.
        var from = SequenceNumber.zero
        var upTo = SequenceNumber.zero
        var sender: ReplicaIndex?
        var askedAt: UInt64 = 0
        var isActive = false
        /// Whose turn it is to send bodies.
        var turn = 0
        /// Questions in a row about the same number, and that number.
        var fruitless = 0
        var askedFrom = SequenceNumber.zero
    }

    private struct Peer {
        var claims: CommittedClaims?
        /// The question that the claims answer.
        var answered: UInt64?
        /// Below this the peer has no batches any more.
        var retainsFrom: SequenceNumber?
    }

    private let configuration: ReplicaConfiguration
    private var fetch = Fetch()
    private var peers: [Peer]
    /// Counts the ranges that were asked for.
    private var question: UInt64 = 0

    private static let rangeCount: UInt32 = 256
    /// A range from each of 64 replicas.
    private static let maxAwaited = 64 * 256

    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        peers = Array(repeating: Peer(), count: configuration.group.n)
    }

    package var isActive: Bool { fetch.isActive }
    private var group: ReplicaGroup { configuration.group }
    private var patience: UInt64 { configuration.limits.fetchTimeout }

    // MARK: Questions

    /// Whether a question is due: this replica lags, and it is far behind or nothing moves.
    /// - Parameter target: a correct peer has executed so far.
    package mutating func isDue(target: SequenceNumber, executed: SequenceNumber, progressAt: UInt64, now: Instant)
        -> Bool
    {
        guard target > executed else {
            // No longer behind: what was fetched is of no more use.
            if fetch.isActive { fetch = Fetch() }
            return false
        }
        let isFar = target.number > executed.number + configuration.limits.window / 2
        let isIdle = now.uptime > progressAt + patience
        // While what was asked for is executed, nothing is asked again; a sender whose bodies are of no use has no more
        // time.
        let heardAt = max(fetch.askedAt, min(progressAt, fetch.askedAt + 4 * patience))
        return (isIdle || isFar) && now.uptime > heardAt + patience
    }

    /// Counts the question that is due, and tells whether a state is needed: the batches that follow are gone at the
    /// peers. One may be the only other that could have made f + 1 claims: after everybody was asked twice, its word is
    /// enough.
    package mutating func isStateNeeded(after executed: SequenceNumber) -> Bool {
        let gone = peers.count { $0.retainsFrom.map { $0 > executed.next } ?? false }
        fetch.fruitless = fetch.askedFrom == executed.next ? fetch.fruitless + 1 : 0
        fetch.askedFrom = executed.next
        return gone >= group.weakQuorum || (gone > 0 && fetch.fruitless >= 2 * group.n)
    }

    /// While it `isActive`: all that was asked for is executed, and there is more.
    package func isRangeDone(target: SequenceNumber, executed: SequenceNumber) -> Bool {
        executed >= fetch.upTo && target > executed
    }

    /// Everybody says what is committed; one sends the bodies, another one each time.
    package mutating func ask(after executed: SequenceNumber, now: Instant) -> [(peer: ReplicaIndex, FetchCommitted)] {
        if !fetch.isActive {
            // What a peer claimed the last time it may have claimed as a liar that is mended since.
            for i in peers.indices { peers[i].claims = nil }
        }
        let me = configuration.me
        fetch.turn += 1
        (fetch.isActive, fetch.askedAt) = (true, now.uptime)
        fetch.awaited.removeAll()
        question += 1
        (fetch.from, fetch.upTo) = (executed.next, SequenceNumber(executed.number + UInt64(Self.rangeCount)))
        let sender = ReplicaIndex(UInt8((me.index + 1 + fetch.turn % (group.n - 1)) % group.n))
        fetch.sender = sender
        return group.replicas.filter { $0 != me }.map {
            ($0, FetchCommitted(from: fetch.from, count: Self.rangeCount, bodies: $0 == sender))
        }
    }

    /// A state from peers takes the place of what was asked for.
    mutating func installedState() {
        fetch = Fetch()
        for i in peers.indices { peers[i].retainsFrom = nil }
    }

    /// Asks for what follows if that is due.
    mutating func tick(
        target: SequenceNumber, executed: SequenceNumber, progressAt: UInt64, now: Instant, _ promises: Promises,
        into ready: inout ReplicaReady
    ) {
        guard isDue(target: target, executed: executed, progressAt: progressAt, now: now) else { return }
        if isStateNeeded(after: executed) { ready.needsState = executed.next }
        askNext(after: executed, now: now, promises, into: &ready)
    }

    mutating func askNext(
        after executed: SequenceNumber, now: Instant, _ promises: Promises, into ready: inout ReplicaReady
    ) {
        for (peer, request) in ask(after: executed, now: now) {
            promises.send(.fetchCommitted(request), to: .one(peer), into: &ready)
        }
    }

    // MARK: Answers

    /// - Returns: false if this does not answer the question.
    package mutating func receive(_ claims: CommittedClaims, from: ReplicaIndex, executed: SequenceNumber) -> Bool {
        guard fetch.isActive else { return false }
        if claims.digests.isEmpty {
            if claims.from > executed.next { peers[from.index].retainsFrom = claims.from }
            return true
        }
        // One answer a question: a liar must not fill what is remembered with digests of its own invention. A late
        // answer to an earlier question must not take the place of this one's.
        guard claims.from == fetch.from, peers[from.index].answered != question,
            claims.digests.count <= Int(Self.rangeCount)
        else { return false }
        peers[from.index] = Peer(claims: claims, answered: question)
        expectBodies(of: claims, executed: executed)
        // It sends no more bodies than it names: the next question need not wait for what will not come.
        if from == fetch.sender {
            fetch.upTo = min(fetch.upTo, SequenceNumber(claims.from.number + UInt64(claims.digests.count) - 1))
        }
        return true
    }

    private mutating func expectBodies(of claims: CommittedClaims, executed: SequenceNumber) {
        let isAhead = executed.number >= claims.from.number
        let done = isAhead ? Int(min(executed.number - claims.from.number + 1, 1 << 32)) : 0
        for digest in claims.digests.dropFirst(done)
        where fetch.awaited.count < Self.maxAwaited && fetch.bodies[digest] == nil {
            fetch.awaited.insert(digest)
        }
    }

    /// - Returns: false if nobody named it.
    package mutating func receive(body batch: Batch) -> Bool {
        guard fetch.awaited.remove(batch.digest) != nil else { return false }
        fetch.bodies.insert(batch)
        return true
    }

    mutating func executed(_ digest: Digest) { fetch.bodies.remove(digest) }

    /// The digest and what was left out of it, both as one peer says.
    package struct Claim: Hashable, Sendable {
        package let digest: Digest
        package let skipped: [UInt32]
    }

    /// What f + 1 peers claim to have executed: a correct one of them did.
    package func certain(at sequence: SequenceNumber) -> Claim? {
        guard fetch.isActive else { return nil }
        var counts: [(claim: Claim, count: Int)] = []
        for case let claim? in peers.map({ $0.claims?.claim(at: sequence) }) {
            if let i = counts.firstIndex(where: { $0.claim == claim }) {
                counts[i].count += 1
            } else {
                counts.append((claim, 1))
            }
        }
        if Mutant.is(.laggardTrustsOneClaim), let claimed = counts.first?.claim { return claimed }
        return counts.first { $0.count >= group.weakQuorum }?.claim
    }

    /// The digest of it alone.
    package func certainDigest(at sequence: SequenceNumber) -> Digest? { certain(at: sequence)?.digest }

    /// A body that came for a digest: of use only where f + 1 claim it.
    func body(_ digest: Digest) -> Batch? { fetch.bodies[digest] }
}

extension CommittedClaims {
    fileprivate func claim(at sequence: SequenceNumber) -> CatchUp.Claim? {
        guard sequence >= from else { return nil }
        let offset = sequence.number - from.number
        guard offset < UInt64(digests.count) else { return nil }
        let places = skipped.isEmpty ? [] : skipped.first { $0.sequence == sequence }?.places ?? []
        return CatchUp.Claim(digest: digests[Int(offset)], skipped: places)
    }
}
