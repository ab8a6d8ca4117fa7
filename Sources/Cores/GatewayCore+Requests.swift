import Gateway
import Messages
import TwoPhaseCommit

/// A request's way: checks, queue, hosts, certificates, answer, decides.
extension GatewayCore {
    /// - Parameter isChecked: whether its principal has signed it. If nobody knows, it may have to be checked first.
    mutating func submit(
        _ request: SignedRequest, isChecked: Bool, for waiter: GatewayEntry.Waiter, now: Instant,
        into ready: inout GatewayReady
    ) {
        let digest = request.digest
        let answer = finished[digest]
        // Whoever asks with the signature that is known here shares its fate, genuine or not.
        if !isChecked, let known = answer?.receipt.request ?? entries[digest]?.request, known != request {
            return check(request, for: waiter, into: &ready)
        }
        if var answer {
            if isChecked { answer.receipt = Receipt(request: request, certificates: answer.receipt.certificates) }
            ready.toClients.append((waiter.session, Self.reply(answer, id: waiter.id)))
            return
        }
        if let entry = waiting(digest) {
            if isChecked { adopt(request, now: now, into: &ready) }
            return join(digest, waiter, waiting: entry.waiters, into: &ready)
        }
        if let problem = problem(with: request, now: now) {
            return reject(waiter, problem, into: &ready)
        }
        guard isChecked || trusts(waiter.session, with: request.request) else {
            return check(request, for: waiter, into: &ready)
        }
        let coordinator = Coordinator(request, map: map)
        let isLate = request.request.deadline < now.wall
        let closedFor = delay(to: coordinator.participants, now: now)
        // What is past its deadline asks only for what became of it, and one shard's word may do.
        guard closedFor == 0 || isLate else {
            return reject(waiter, .shardUnavailable, retryAfter: closedFor / 1000, into: &ready)
        }
        guard isChecked || takesNothing(request.request, from: coordinator.participants) else {
            return check(request, for: waiter, into: &ready)
        }
        // Answered so long ago that its answer is forgotten: ask the shards again.
        if entries[digest] != nil { drop(digest) }
        guard held.take(request.bytes.count, for: waiter.session) else {
            return reject(waiter, .queueFull, retryAfter: options.heldRetryAfter / 1000, into: &ready)
        }
        // From here on only the monotonic clock counts.
        let deadlineAt = Self.saturating(
            now.uptime, plusMicroseconds: request.request.deadline.microseconds(since: now.wall))
        let startBy = isLate ? now.uptime + options.grace : deadlineAt
        switch admission.submit(
            digest, principal: request.request.principal, shards: coordinator.participants, startBy: startBy, now: now)
        {
        case .rejected(let retryAfter):
            held.giveBack(request.bytes.count, from: waiter.session)
            return reject(waiter, .queueFull, retryAfter: retryAfter / 1000, into: &ready)
        case .admitted: counters.admitted += 1
        }
        if closedFor == 0 { pass(coordinator.participants, now: now) }
        entries[digest] = GatewayEntry(
            shards: coordinator.participants, coordinator: coordinator, waiters: [waiter], holder: waiter.session,
            isChecked: isChecked, startBy: startBy, deadlineAt: deadlineAt,
            giveUpAt: min(deadlineAt + options.grace, now.uptime + options.patience))
        if !isChecked { trust[waiter.session]?.sentUnchecked() }
        expectAnswer(waiter)
        startAdmitted(now: now, into: &ready)
        if entries[digest]?.stage == .queued { arm(digest, due: now.uptime + 1_000_000_000) }
    }

    /// Nil if there is none, or it has its answer.
    private func waiting(_ digest: Digest) -> GatewayEntry? {
        guard let entry = entries[digest], !entry.coordinator.isAnswered else { return nil }
        return entry
    }

    private mutating func join(
        _ digest: Digest, _ waiter: GatewayEntry.Waiter, waiting: [GatewayEntry.Waiter], into ready: inout GatewayReady
    ) {
        if waiting.contains(waiter) { return }
        guard waiting.count < options.maxWaiters else {
            return reject(waiter, .queueFull, retryAfter: 100_000, into: &ready)
        }
        entries[digest]?.waiters.append(waiter)
        expectAnswer(waiter)
    }

    /// What no shard needs to be asked about.
    private func problem(with signed: SignedRequest, now: Instant) -> GatewayRejection? {
        let request = signed.request
        guard request.cluster == manifest.cluster, request.epoch == manifest.epoch, !request.operations.isEmpty,
            request.operations.count <= Request.maxOperations, signed.bytes.count <= SignedRequest.maxBytes,
            request.deadline > request.issuedAt, Coordinator.canCoordinate(request, map: map)
        else { return .invalid }
        return now.wall.microseconds(since: request.deadline) > options.acceptedLateness ? .deadlinePassed : nil
    }

    static func saturating(_ uptime: UInt64, plusMicroseconds microseconds: UInt64) -> UInt64 {
        // Deadlines come from clients: a century is for ever.
        uptime + min(microseconds, 3_155_760_000_000_000) * 1000
    }

    static func reply(_ answer: FinishedRequests.Answer, id: UInt64) -> GatewayReply {
        .receipt(id: id, answer.receipt, retries: answer.retries, conflicts: answer.conflicts)
    }

    mutating func arm(_ digest: Digest, due: UInt64) {
        entries[digest]?.timer = timers.set(.request(digest), due: due)
    }

    // MARK: Start

    mutating func startAdmitted(now: Instant, into ready: inout GatewayReady) {
        while let departure = admission.next() {
            switch departure {
            case .start(let digest):
                guard let entry = entries[digest] else {
                    admission.cancel(digest, now: now)
                    continue
                }
                entries[digest]?.stage = .inFlight
                entries[digest]?.since = now.uptime
                evidence.want(digest)
                budget.noteFresh()
                // Nobody owes an answer to what nobody may have signed.
                if entry.isChecked { noteSent(to: entry.shards, now: now) }
                send(entry.request, to: entry.shards, into: &ready)
                listen(digest, now: now)
            case .expired(let digest): fail(digest, .deadlinePassed, now: now, into: &ready)
            }
        }
    }

    // MARK: Certificates

    mutating func note(_ certificate: Certificate, now: Instant, into ready: inout GatewayReady) {
        let digest = certificate.leaf.request
        noteHeard(from: certificate.shard)
        // Taken out, so that the coordinator is changed in place.
        guard var entry = entries.removeValue(forKey: digest) else { return }
        followers.remove(digest, on: certificate.shard)
        defer { sendFollowers(of: entry.request.request, on: certificate.shard, now: now, into: &ready) }
        let wasAnswered = entry.coordinator.isAnswered
        if !wasAnswered, entry.coordinator.isMissing(certificate.shard), let since = entry.since {
            answerTimes[Int(certificate.shard.number)].note(now.uptime - min(now.uptime, since))
        }
        var isFinished = false
        for action in entry.coordinator.add(certificate) {
            switch action {
            case .answer(let receipt): answer(receipt, &entry, now: now, into: &ready)
            case .sendDecide(let shards, let decide): send(decide, to: shards)
            case .sendEvidence(let shards, let evidence): send(evidence, to: shards, into: &ready)
            case .finished: isFinished = true
            }
        }
        if isFinished {
            if wasAnswered { noteSettled(entry, now: now) }
            release(entry)
            return evidence.forget(digest)
        }
        entries[digest] = entry
        if !wasAnswered, entry.coordinator.isAnswered { settle(digest, now: now) }
    }

    private mutating func noteSettled(_ entry: GatewayEntry, now: Instant) {
        guard let since = entry.since else { return }
        for shard in entry.shards { settlingTimes[Int(shard.number)].note(now.uptime - min(now.uptime, since)) }
    }

    private mutating func answer(
        _ receipt: Receipt, _ entry: inout GatewayEntry, now: Instant, into ready: inout GatewayReady
    ) {
        let digest = receipt.request.digest
        let answer = FinishedRequests.Answer(receipt: receipt, retries: entry.retries, conflicts: entry.conflicts)
        for waiter in entry.waiters { deliver(Self.reply(answer, id: waiter.id), to: waiter.session, into: &ready) }
        finished.add(answer)
        followers.remove(digest)
        counters.completed += 1
        admission.finish(digest, now: now)
        entry.waiters = []
    }

    /// An answered request stays until its participants are certified decided. Whoever stays longest goes first; the
    /// hosts' own recovery ends what is dropped.
    private mutating func settle(_ digest: Digest, now: Instant) {
        guard case .retransmit(let first, let cap, _) = options.retries.silence, let entry = entries[digest] else {
            return drop(digest)
        }
        release(entry)
        settling.add(digest, bytes: entry.request.bytes.count)
        entries[digest]?.stage = .settling(resends: 0)
        entries[digest]?.isChecked = true
        let silence = patience(settlingTimes, with: entry.shards, atLeast: first, atMost: cap)
        entries[digest]?.silence = silence
        entries[digest]?.since = now.uptime
        arm(digest, due: now.uptime + silence)
        while let oldest = settling.excess(options) {
            if case .settling = entries[oldest]?.stage { drop(oldest) }
        }
    }

    /// Forgets an entry that holds no place in the queue.
    mutating func drop(_ digest: Digest) {
        if let entry = entries.removeValue(forKey: digest) { release(entry) }
        followers.remove(digest)
        evidence.forget(digest)
    }

    /// The entry is gone, or settles from now on: what it held of the bounds in bytes is free.
    private mutating func release(_ entry: GatewayEntry) {
        let bytes = entry.request.bytes.count
        if case .settling = entry.stage { return settling.release(bytes) }
        held.giveBack(bytes, from: entry.holder)
        endProof(of: entry)
    }

    /// Ends a request without an outcome.
    mutating func fail(
        _ digest: Digest, _ reason: GatewayRejection, retryAfter microseconds: UInt64 = 0, now: Instant,
        into ready: inout GatewayReady
    ) {
        guard let entry = entries[digest] else { return }
        admission.cancel(digest, now: now)
        drop(digest)
        countRejection(reason, into: &ready)
        for waiter in entry.waiters {
            deliver(
                .rejected(id: waiter.id, reason, retryAfterMicroseconds: microseconds), to: waiter.session, into: &ready
            )
        }
    }
}
