import Messages
import PBFT
import ShardState

/// What gateways ask. They are trusted with nothing; every queue that they fill is bounded.
extension HostCore {
    mutating func receive(_ message: Verified<GatewayMessage>, from session: SessionID, now: Instant, into ready: inout HostReady) {
        sessions.insert(session)
        switch message.value {
        case .submit(let shards, let request):
            for shard in shards {
                guard let i = node(shard) else { continue }
                admit(request, from: .gateway(session), at: i, now: now, into: &ready)
            }
        case .decide(let shards, let decide):
            for shard in shards {
                guard let i = node(shard) else { continue }
                admit(decide, from: .gateway(session), at: i, now: now, into: &ready)
            }
        case .evidence(let shards, let evidence):
            for shard in shards {
                guard let i = node(shard) else { continue }
                admit(evidence, from: .gateway(session), at: i, now: now, into: &ready)
            }
        case .account(let id, let account):
            var view: AccountView?
            if let i = node(manifest.shardMap.shard(of: account)), nodes[i].replica.mayAttest { view = (try? nodes[i].executor.account(account)) ?? nil }
            ready.toGateways.append(.init(to: [session], reply: .account(id: id, view)))
        case .read(let id, let subject, let nonce): read(subject, nonce, for: session, id: id, into: &ready)
        case .status(let id):
            ready.toGateways.append(.init(to: [session], reply: .status(id: id, status(now: now))))
        case .audit(let id):
            var audits: [ShardAudit] = []
            for i in nodes.indices {
                // Reads the whole state: whoever asks often gets the last answer again.
                if let (audit, at) = nodes[i].lastAudit, audit.sequence == nodes[i].executor.lastExecuted || now.uptime < at + options.auditInterval {
                    audits.append(audit)
                    continue
                }
                do {
                    let audit = try nodes[i].executor.audit(replica: nodes[i].me)
                    nodes[i].lastAudit = (audit, now.uptime)
                    audits.append(audit)
                } catch { halt(i, "audit: \(error)", into: &ready) }
            }
            ready.toGateways.append(.init(to: [session], reply: .audit(id: id, audits)))
        }
    }

    /// A request, from a gateway or handed on by a backup. Its signature is checked.
    /// - Parameter isForwarded: a backup has no certified answer to it, so it is ordered even if this replica has one.
    mutating func admit(
        _ request: SignedRequest, from source: Source, isForwarded: Bool = false, at i: Int, now: Instant, into ready: inout HostReady
    ) {
        func refuse(_ reason: RefusalReason, retryAfter: UInt64) {
            guard case .gateway(let session) = source else { return }
            let refusal = Refusal(
                shard: nodes[i].shard, request: request.digest, legs: [], reason: reason, retryAfterMicroseconds: retryAfter)
            ready.toGateways.append(.init(to: [session], reply: .refused(refusal)))
        }
        guard nodes[i].halted == nil else { return refuse(.halted, retryAfter: 1_000_000) }
        guard request.request.participants(in: manifest.shardMap).contains(nodes[i].shard) else { return }
        if case .gateway(let session) = source {
            // Waits already, and this session has brought it before: once more changes nothing, and it hears what comes of it anyway.
            if nodes[i].requests.contains(request.digest), nodes[i].interests.of(request.digest).contains(session) {
                _ = charge(source, now: now, into: &ready)
                return
            }
            nodes[i].interests.add(session, for: request.digest)
        }
        // Executed a moment ago: the answer is at hand. Legs that were refused go through the order again.
        if !isForwarded, let leaf = nodes[i].recent.leaf(for: request.digest), isComplete(leaf, request, i) {
            return answerKnown(request.digest, source, i, now: now, into: &ready)
        }
        // A gateway that has brought much in vain brings no more of it. What peers hand on is counted before.
        if case .gateway = source, ledger.isBroke(source, now: now.uptime), (try? nodes[i].executor.isAnswered(request)) ?? false {
            return answerKnown(request.digest, source, i, now: now, into: &ready)
        }
        let bytes = request.bytes.count + 72
        guard nodes[i].requests.insert(.request(request), key: request.digest, bytes: bytes, from: source, now: now) else {
            return refuse(.overloaded, retryAfter: 50_000)
        }
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }

    func isComplete(_ leaf: Leaf, _ request: SignedRequest, _ i: Int) -> Bool {
        let map = manifest.shardMap
        var own = 0
        for leg in 0..<request.request.legCount where request.request.participants(ofLeg: leg, in: map).contains(nodes[i].shard) { own += 1 }
        return leaf.entries.count == own
    }

    mutating func attest(_ request: Digest, to sessions: [SessionID], _ i: Int, into ready: inout HostReady) {
        guard nodes[i].replica.mayAttest, let sequence = nodes[i].recent.sequence(of: request),
            let attestation = nodes[i].recent.attestation(sequence, replica: nodes[i].me, signer: signer)
        else { return }
        ready.toGateways.append(.init(to: sessions, reply: .attestation(attestation)))
    }

    /// What a source brought changes nothing here. A gateway gets what this shard certified of it a moment ago, as long as it does not
    /// bring too much in vain; then its session is read no further for a while.
    private mutating func answerKnown(_ request: Digest, _ source: Source, _ i: Int, now: Instant, into ready: inout HostReady) {
        // Peers push what others have brought already, and that is as it should be.
        guard case .gateway(let session) = source else { return }
        if charge(source, now: now, into: &ready) { attest(request, to: [session], i, into: &ready) }
    }

    /// False, and a gateway is read no further for a while, if it has brought too much in vain.
    private mutating func charge(_ source: Source, now: Instant, into ready: inout HostReady) -> Bool {
        if ledger.charge(source, now: now.uptime) { return true }
        if case .gateway(let session) = source, !ready.pauses.contains(session) { ready.pauses.append(session) }
        return false
    }

    /// Certificates that may decide. Bypasses every cap on requests (R12); what would change nothing is not ordered.
    mutating func admit(_ decide: TransactionDecide, from source: Source, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        if case .gateway(let session) = source { nodes[i].interests.add(session, for: decide.request) }
        guard insert(decide, from: source, i, now: now, into: &ready) else { return }
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }

    /// - Returns: whether it waits to be ordered.
    private mutating func insert(
        _ decide: TransactionDecide, from source: Source, _ i: Int, now: Instant, into ready: inout HostReady
    ) -> Bool {
        let effect: DecideEffect
        do { effect = try nodes[i].executor.effect(of: decide) } catch {
            halt(i, "reading the record of a request: \(error)", into: &ready)
            return false
        }
        switch effect {
        case .nothing:
            answerKnown(decide.request, source, i, now: now, into: &ready)
            return false
        case .noRecord where !nodes[i].requests.contains(decide.request):
            // Nothing here waits for it; if a vote is on its way, pushes repeat what decides it.
            if case .gateway = source { _ = charge(source, now: now, into: &ready) }
            return false
        case .noRecord where !nodes[i].executor.isPressed:
            // The vote comes first: until it is executed this decides nothing, and would only take room from what does.
            nodes[i].early.keep(decide, from: source)
            return false
        case .noRecord, .notes, .decides:
            let bytes = decide.encoded().count + 1
            return nodes[i].decides.insert(
                .decide(decide), key: decide.digest, bytes: bytes, from: source, group: decide.request, now: now)
        }
    }

    /// After the request that they decide was executed.
    mutating func admitEarly(_ leaves: [Leaf], _ i: Int, now: Instant, into ready: inout HostReady) {
        guard !nodes[i].early.isEmpty else { return }
        for leaf in leaves {
            guard let (decide, source) = nodes[i].early.take(leaf.request) else { continue }
            _ = insert(decide, from: source, i, now: now, into: &ready)
        }
    }

    /// Who made the shard order what it knew already pays for it; who brought something that changed something gets something back.
    mutating func settleAccounts(isVain: Bool, _ source: Source?, now: Instant, into ready: inout HostReady) {
        guard let source else { return }
        if case .gateway(let session) = source, !sessions.contains(session) { return }
        if isVain { _ = charge(source, now: now, into: &ready) } else { ledger.reward(source, now: now.uptime) }
    }
}

/// Root calls.
extension HostCore {
    /// What other shards have certified of a root call. Passes what is new, as decides do (R12). What is over is answered from what is
    /// certified already; certifying it once more is for who asks as `answer` demands, or for a backup that was asked so.
    mutating func admit(_ evidence: CallEvidence, from source: Source, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        if case .gateway(let session) = source { nodes[i].interests.add(session, for: evidence.root.digest) }
        let effect: EvidenceEffect
        do { effect = try nodes[i].executor.effect(of: evidence, wall: now.wall) } catch {
            return halt(i, "reading the record of a call: \(error)", into: &ready)
        }
        #if MUTANTS
        let isWanted = effect == .changes || (effect == .question && Mutant.is(.ordersQuestions))
        #else
        let isWanted = effect == .changes
        #endif
        guard isWanted else { return answerKnown(evidence.root.digest, source, i, now: now, into: &ready) }
        guard let bytes = batchBytes(of: evidence) else { return droppedMessages += 1 }
        _ = nodes[i].decides.insert(.evidence(evidence), key: evidence.contentDigest, bytes: bytes, from: source, now: now)
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }

    /// Into the ordinary share of batches: nothing here is decided by it.
    mutating func insert(question evidence: CallEvidence, from source: Source, _ i: Int, now: Instant) -> Bool {
        guard let bytes = batchBytes(of: evidence) else {
            droppedMessages += 1
            return false
        }
        return nodes[i].requests.insert(.evidence(evidence), key: evidence.contentDigest, bytes: bytes, from: source, now: now)
    }

    /// The leaf that follows may be much larger than what brings it about. Nil if it can never be ordered.
    private func batchBytes(of evidence: CallEvidence) -> Int? {
        let bytes = max(evidence.encoded().count + 1, options.evidenceBytes)
        return bytes <= options.maxBatchBytes / 2 ? bytes : nil
    }

    /// What a backup hands on. It has the primary order questions too, but no more in vain than any other source.
    mutating func receive(forwarded item: BatchItem, from peer: HostID, at i: Int, now: Instant, into ready: inout HostReady) {
        switch item {
        case .request(let request):
            let isKnown = (try? nodes[i].executor.isAnswered(request)) ?? false
            guard !isKnown || questions.charge(.peer(peer), now: now.uptime) else { return droppedMessages += 1 }
            admit(request, from: .peer(peer), isForwarded: true, at: i, now: now, into: &ready)
        case .decide(let decide): admit(decide, from: .peer(peer), at: i, now: now, into: &ready)
        case .evidence(let evidence):
            // The primary may have the answer at hand; it is ordered all the same, because the backup has not: only leaves of one batch
            // at f + 1 hosts make a certificate.
            let isQuestion = (try? nodes[i].executor.effect(of: evidence, wall: now.wall)) == .question
            guard isQuestion else { return admit(evidence, from: .peer(peer), at: i, now: now, into: &ready) }
            guard questions.charge(.peer(peer), now: now.uptime), insert(question: evidence, from: .peer(peer), i, now: now) else {
                return droppedMessages += 1
            }
            settle(i, now: now, into: &ready)
            release(now: now, into: &ready)
        }
    }
}
