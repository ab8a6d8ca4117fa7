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
                admit(request, from: session, at: i, now: now, into: &ready)
            }
        case .decide(let shards, let decide):
            for shard in shards {
                guard let i = node(shard) else { continue }
                admit(decide, from: session, at: i, now: now, into: &ready)
            }
        case .evidence(let shards, let evidence):
            for shard in shards {
                guard let i = node(shard) else { continue }
                admit(evidence, from: session, at: i, now: now, into: &ready)
            }
        case .account(let id, let account):
            var view: AccountView?
            if let i = node(manifest.shardMap.shard(of: account)), nodes[i].replica.mayAttest { view = (try? nodes[i].executor.account(account)) ?? nil }
            ready.toGateways.append(.init(to: [session], reply: .account(id: id, view)))
        case .read(let id, let account, let nonce): read(account, nonce, for: session, id: id, into: &ready)
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
        _ request: SignedRequest, from session: SessionID?, isForwarded: Bool = false, at i: Int, now: Instant, into ready: inout HostReady
    ) {
        func refuse(_ reason: RefusalReason, retryAfter: UInt64) {
            guard let session else { return }
            let refusal = Refusal(
                shard: nodes[i].shard, request: request.digest, legs: [], reason: reason, retryAfterMicroseconds: retryAfter)
            ready.toGateways.append(.init(to: [session], reply: .refused(refusal)))
        }
        guard nodes[i].halted == nil else { return refuse(.halted, retryAfter: 1_000_000) }
        guard request.request.participants(in: manifest.shardMap).contains(nodes[i].shard) else { return }
        if let session { nodes[i].interests.add(session, for: request.digest) }
        // Executed a moment ago: the answer is at hand. Legs that were refused go through the order again.
        if !isForwarded, let leaf = nodes[i].recent.leaf(for: request.digest), isComplete(leaf, request, i) {
            if let session { attest(request.digest, to: [session], i, into: &ready) }
            return
        }
        guard nodes[i].requests.insert(.request(request), key: request.digest, bytes: request.bytes.count + 72, now: now) else {
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

    /// Certificates that may decide. Bypasses every cap on requests (R12); what would change nothing is not ordered.
    mutating func admit(_ decide: TransactionDecide, from session: SessionID?, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        let effect: DecideEffect
        do { effect = try nodes[i].executor.effect(of: decide) } catch {
            return halt(i, "reading the record of a request: \(error)", into: &ready)
        }
        if let session { nodes[i].interests.add(session, for: decide.request) }
        switch effect {
        case .nothing:
            if let session { attest(decide.request, to: [session], i, into: &ready) }
        case .noRecord where !nodes[i].requests.contains(decide.request):
            // Nothing here waits for it; if a vote is on its way, pushes repeat what decides it.
            return
        case .noRecord, .notes, .decides:
            // Without a record here the batch with the vote is only late; ordered in vain it does nothing.
            let bytes = decide.encoded().count + 1
            _ = nodes[i].decides.insert(.decide(decide), key: decide.digest, bytes: bytes, now: now)
            settle(i, now: now, into: &ready)
            release(now: now, into: &ready)
        }
    }
}

/// Root calls.
extension HostCore {
    /// What other shards have certified of a root call. Passes what is new, as decides do (R12).
    mutating func admit(_ evidence: CallEvidence, from session: SessionID?, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        let isUseful: Bool
        do { isUseful = try (session == nil || !evidence.certificates.isEmpty) && nodes[i].executor.isUseful(evidence, wall: now.wall) } catch {
            return halt(i, "reading the record of a call: \(error)", into: &ready)
        }
        if let session { nodes[i].interests.add(session, for: evidence.root.digest) }
        guard isUseful else {
            if let session { attest(evidence.root.digest, to: [session], i, into: &ready) }
            return
        }
        // The leaf that follows may be much larger than what brings it about.
        let bytes = max(evidence.encoded().count + 1, options.evidenceBytes)
        guard bytes <= options.maxBatchBytes / 2 else { return droppedMessages += 1 }
        _ = nodes[i].decides.insert(.evidence(evidence), key: evidence.contentDigest, bytes: bytes, now: now)
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }
}
