import Messages

/// Requests that gateways submit and that another backup checks (docs/decisions/0040).
extension ShardMachine {
    /// Not verified: it may do nothing but wait, and take room of its session's.
    mutating func hold(_ request: SignedRequest, from session: SessionID, now: Instant, into ready: inout ShardReady) {
        guard concerns(request) else { return }
        let (digest, source) = (request.digest, Source.gateway(session))
        answering.open(session)
        let isKnown = proposer.isPending(request: digest) && answering.waits(session, for: digest)
        if isKnown || proposer.unchecked.holds(digest, from: session) {
            _ = accounts.charge(source, now: now, into: &ready)
            return
        }
        // Executed a moment ago. It says nothing but what was executed under this digest.
        if let leaf = answering.recent.leaf(for: digest), setting.isComplete(leaf, request) {
            return answerKnown(digest, source, now: now, into: &ready)
        }
        guard proposer.unchecked.insert(request, from: session, now: now) else {
            return refuse(request, .overloaded, retryAfter: 50_000, to: session, into: &ready)
        }
        // The runtime did not know yet that this replica leads.
        if replica.isPrimary { checkSubmissions(now: now, into: &ready) }
    }

    /// All that waits if this replica leads, if nobody does who could be reached, or if there is no room for more; else
    /// what has waited for long.
    mutating func checkSubmissions(now: Instant, into ready: inout ShardReady) {
        let isUrgent = replica.isPrimary || !isPrimaryReachable
        let due = proposer.unchecked.takeDue(isUrgent: isUrgent, atMost: Self.checksAtOnce, now: now)
        for (session, request) in due { ready.checks.append(.submission(setting.shard, session, request)) }
    }

    private static let checksAtOnce = 512

    /// - Parameter verified: nil if nobody has signed it.
    mutating func receive(
        _ verified: Verified<SignedRequest>?, _ digest: Digest, from session: SessionID, now: Instant,
        into ready: inout ShardReady
    ) {
        let arrived = proposer.unchecked.remove(digest, from: session)
        guard let request = verified?.value else {
            if answering.isOpen(session) { return refuseUnsigned(digest, from: session, now: now, into: &ready) }
            accounts.chargeClosed(now: now)
            return ready.drop(.unsigned)
        }
        // Executed meanwhile.
        guard let arrived else { return }
        guard answering.isOpen(session) else {
            _ = proposer.insert(request, from: .gateway(session), now: arrived)
            return
        }
        admit(request, from: session, arrived: arrived, now: now, into: &ready)
    }

    /// Who brought something unchecked that was executed hears of it as anybody who waits for it.
    /// - Returns: who brought it, and whether as it was executed.
    mutating func takeUnchecked(_ item: BatchItem, now: Instant) -> [(source: Source, isSame: Bool)] {
        guard proposer.unchecked.count > 0, case .request(let request) = item else { return [] }
        let gone = proposer.unchecked.executed(request, now: now).filter { answering.isOpen($0.session) }
        for (session, _) in gone { answering.add(session, for: request.digest) }
        return gone.map { (.gateway($0.session), $0.isSame) }
    }
}
