import Messages
import ShardState

/// What gateways and peers bring to be ordered. They are trusted with nothing; every queue that they fill is bounded.
extension ShardMachine {
    // MARK: Requests

    /// A request from a gateway. Its signature is checked.
    /// - Parameter arrived: when it came, if it waited for the check.
    mutating func admit(
        _ request: SignedRequest, from session: SessionID, arrived: Instant? = nil, now: Instant,
        into ready: inout ShardReady
    ) {
        guard concerns(request) else { return }
        let (digest, source) = (request.digest, Source.gateway(session))
        // Waits already, and this session has brought it before: once more changes nothing, and it hears what comes of
        // it anyway.
        if proposer.isPending(request: digest), answering.waits(session, for: digest) {
            _ = accounts.charge(source, now: now, into: &ready)
            return
        }
        answering.add(session, for: digest)
        // Executed a moment ago: the answer is at hand. Legs that were refused go through the order again.
        if let leaf = answering.recent.leaf(for: digest), setting.isComplete(leaf, request) {
            return answerKnown(digest, source, now: now, into: &ready)
        }
        // A gateway that has brought much in vain brings no more of it. What peers hand on is counted before.
        if accounts.isBroke(source, now: now), (try? execution.executor.isAnswered(request)) ?? false {
            return answerKnown(digest, source, now: now, into: &ready)
        }
        guard proposer.insert(request, from: source, now: arrived ?? now) else {
            return refuse(request, .overloaded, retryAfter: 50_000, to: session, into: &ready)
        }
    }

    func concerns(_ request: SignedRequest) -> Bool {
        request.request.participants(in: setting.manifest.shardMap).contains(setting.shard)
    }

    func refuse(
        _ request: SignedRequest, _ reason: RefusalReason, retryAfter: UInt64, to session: SessionID,
        into ready: inout ShardReady
    ) {
        refuse(request.digest, reason, retryAfter: retryAfter, to: session, into: &ready)
    }

    /// A session that has brought too much in vain is not answered.
    mutating func refuseUnsigned(
        _ request: Digest, from session: SessionID, now: Instant, into ready: inout ShardReady
    ) {
        ready.drop(.unsigned)
        guard accounts.charge(.gateway(session), now: now, into: &ready) else { return }
        refuse(request, .unsigned, retryAfter: 0, to: session, into: &ready)
    }

    private func refuse(
        _ request: Digest, _ reason: RefusalReason, retryAfter: UInt64, to session: SessionID,
        into ready: inout ShardReady
    ) {
        let refusal = Refusal(
            shard: setting.shard, request: request, legs: [], reason: reason, retryAfterMicroseconds: retryAfter)
        ready.reply(.refused(refusal), to: [session])
    }

    /// What a source brought changes nothing here. A gateway gets what this shard certified of it a moment ago, as long
    /// as it does not bring too much in vain; then its session is read no further for a while.
    mutating func answerKnown(_ request: Digest, _ source: Source, now: Instant, into ready: inout ShardReady) {
        // Peers push what others have brought already, and that is as it should be.
        guard case .gateway(let session) = source, accounts.charge(source, now: now, into: &ready), replica.mayAttest
        else { return }
        answering.attest(request, to: session, setting, into: &ready)
    }

    // MARK: Certificates

    /// Certificates that may decide. Bypasses every cap on requests (R12); what would change nothing is not ordered.
    /// - Parameters:
    ///   - brought: to several shards at once, so some may be this shard's own: they are not ordered here.
    ///   - listener: hears what comes of it. What is over is answered at once, and takes no place from what others wait
    ///     for.
    mutating func admit(
        _ brought: TransactionDecide, from source: Source, listener: SessionID? = nil, now: Instant,
        into ready: inout ShardReady
    ) throws(ShardFailure) {
        let decide = brought.withoutCertificates(of: setting.shard)
        // Nothing could check it in a batch.
        guard !decide.certificates.isEmpty else { return answerKnown(decide.request, source, now: now, into: &ready) }
        let effect = try effect(of: decide)
        // What only notes that others are done is not certified: who wants to hear of what was decided asks again then.
        if let listener, effect == .decides || effect == .noRecord { answering.add(listener, for: decide.request) }
        switch effect {
        case .nothing: answerKnown(decide.request, source, now: now, into: &ready)
        case .noRecord where !proposer.isWaiting(request: decide.request):
            // Nothing here waits for it; if a vote is on its way, pushes repeat what decides it.
            if case .gateway = source { _ = accounts.charge(source, now: now, into: &ready) }
        case .noRecord where !execution.executor.isPressed:
            // The vote comes first: until it is executed this decides nothing, and would only take room from what does.
            proposer.keepEarly(decide, from: source)
        case .noRecord, .notes, .decides:
            let isEarly = effect == .noRecord
            if let reason = proposer.insert(decide, from: source, isEarly: isEarly, now: now) { ready.drop(reason) }
        }
    }

    private func effect(of decide: TransactionDecide) throws(ShardFailure) -> DecideEffect {
        do { return try execution.executor.effect(of: decide) } catch {
            throw ShardFailure("reading the record of a request", error)
        }
    }

    /// What other shards have certified of a root call. Passes what is new, as decides do (R12). What is over is
    /// answered from what is certified already; certifying it once more is for who asks as `answer` demands, or for a
    /// backup that was asked so.
    mutating func admit(
        _ evidence: CallEvidence, from source: Source, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        let effect: EvidenceEffect
        do { effect = try execution.executor.effect(of: evidence, wall: now.wall) } catch {
            throw ShardFailure("reading the record of a call", error)
        }
        let isWanted = effect == .changes || (effect == .question && Mutant.is(.ordersQuestions))
        guard isWanted else { return answerKnown(evidence.root.digest, source, now: now, into: &ready) }
        if let reason = proposer.insert(evidence, from: source, now: now) { ready.drop(reason) }
    }

    /// - Returns: whether it waits to be ordered.
    private mutating func insert(
        question: CallEvidence, from source: Source, now: Instant, into ready: inout ShardReady
    ) -> Bool {
        guard let reason = proposer.insert(question: question, from: source, now: now) else { return true }
        ready.drop(reason)
        return false
    }

    /// - Returns: whether it waits to be ordered.
    private mutating func insert(
        _ request: SignedRequest, from source: Source, now: Instant, into ready: inout ShardReady
    ) -> Bool {
        if proposer.insert(request, from: source, now: now) { return true }
        ready.drop(.poolFull)
        return false
    }

    // MARK: From backups

    /// What a backup hands on. It has the primary order questions too, but no more in vain than any other source.
    mutating func receive(
        _ item: BatchItem, forwardedBy host: HostID, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        // For the primary only: a sender that is in another view would have this replica wait for what it cannot
        // propose.
        guard setting.hosts.contains(host) else { return ready.drop(.notAPeer) }
        guard replica.isPrimary else { return ready.drop(.notPrimary) }
        switch item {
        case .request(let request):
            let isKnown = (try? execution.executor.isAnswered(request)) ?? false
            guard !isKnown || accounts.chargeQuestion(of: host, now: now) else { return ready.drop(.inVain) }
            // A backup has no certified answer to it, so it is ordered even if this replica has one.
            if concerns(request) { _ = insert(request, from: .peer(host), now: now, into: &ready) }
        case .decide(let decide): try admit(decide, from: .peer(host), now: now, into: &ready)
        case .evidence(let evidence):
            // The primary may have the answer at hand; it is ordered all the same, because the backup has not: only
            // leaves of one batch at f + 1 hosts make a certificate.
            let isQuestion = (try? execution.executor.effect(of: evidence, wall: now.wall)) == .question
            guard isQuestion else { return try admit(evidence, from: .peer(host), now: now, into: &ready) }
            guard accounts.chargeQuestion(of: host, now: now) else { return ready.drop(.inVain) }
            _ = insert(question: evidence, from: .peer(host), now: now, into: &ready)
        }
    }

    // MARK: From other shards

    mutating func receive(
        _ push: Verified<RecoveryPush>, from host: HostID, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        let request = push.value.request
        var evidence = CallEvidence(root: request, certificates: [])
        if request.request.rootCall != nil {
            if let certificate = pushes.certificate(of: push) {
                evidence = CallEvidence(root: request, certificates: [certificate])
                try admit(evidence, from: .peer(host), now: now, into: &ready)
            }
        } else if let decide = pushes.decide(by: push) {
            // Certified votes of others back a vote that is refused without them (R12): the primary proposes both in
            // one batch.
            if execution.executor.isPressed, (try? execution.executor.effect(of: decide)) == .noRecord {
                _ = insert(request, from: .peer(host), now: now, into: &ready)
            }
            try admit(decide, from: .peer(host), now: now, into: &ready)
        }
        let asks = push.value.asks || Mutant.is(.answersAreQuestions)
        if asks { next([.answer(push.value, evidence, to: host)]) }
    }

    mutating func sayOwn(to shard: ShardID, _ push: Verified<RecoveryPush>, into ready: inout ShardReady) {
        guard replica.mayAttest, let own = answering.attestedLeaf(push.value.request.digest, setting) else { return }
        let word = push.attested(here: own)
        ready.words.append((to: shard, word: word))
    }

    mutating func answer(
        _ push: RecoveryPush, _ evidence: CallEvidence, from peer: HostID, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        guard accounts.chargeQuestion(of: peer, now: now) else { return ready.drop(.inVain) }
        let isOrdered = pushes.answer(
            push, from: peer, mayAttest: replica.mayAttest, &answering, now: now, into: &ready)
        guard isOrdered else { return }
        var question = evidence
        if push.request.request.rootCall != nil {
            do {
                guard let found = try execution.executor.question(by: evidence, wall: now.wall) else { return }
                question = found
            } catch { throw ShardFailure("reading the record of a call", error) }
        }
        order(push.request, question, from: .peer(peer), now: now, into: &ready)
    }

    /// Looks at a part of the open records.
    mutating func pushUnforgotten(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        guard replica.mayAttest else { return }
        let unattested = try pushes.push(execution.executor, &answering, now: now, into: &ready)
        next(unattested.map { .order($0, CallEvidence(root: $0, certificates: []), from: .own) })
    }

    /// Not in the share of what decides something (R12).
    mutating func order(
        _ request: SignedRequest, _ evidence: CallEvidence, from source: Source, now: Instant,
        into ready: inout ShardReady
    ) {
        let isInserted =
            request.request.rootCall != nil
            ? insert(question: evidence, from: source, now: now, into: &ready)
            : insert(request, from: source, now: now, into: &ready)
        if isInserted { pushes.noteOrdered(request.digest, now: now) }
    }
}
