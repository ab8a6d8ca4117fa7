import Messages
import PBFT
import ShardState
import TwoPhaseCommit

/// Recovery by anyone: hosts push what they recorded until every participant is known to be done, so that no lock
/// depends on a gateway (R10, R12).
struct ShardRecovery: Sendable {
    let shard: ShardID
    /// Certificates from other shards' pushes.
    var collected: Recovery
    /// Records that are open here, with when they are pushed next.
    var pushes: [Digest: Push] = [:]
    var cursor: RecoveryCursor?
    var callCursor: RecoveryCursor?
    /// Each scan has come to its end since the last time that pushes were forgotten.
    var haveWrapped = (records: false, calls: false)
    var scannedAt: UInt64 = 0
    /// Counts the scans over all open records; a push that two of them did not touch is over.
    var scan: UInt64 = 0
    /// Requests that other shards asked about: they get the leaf when there is one.
    var asked = AskedRequests()
    /// Attested leaves that were pushed or answered with, for when their batch is no longer among the recent ones.
    var kept = KeptLeaves()
    var held = HeldRecords()

    struct Push: Sendable {
        var dueAt: UInt64
        var interval: UInt64
        var scan: UInt64
    }

    init(shard: ShardID, manifest: Manifest) {
        self.shard = shard
        collected = Recovery(shard: shard, manifest: manifest)
    }

    /// What this replica executed, or found recorded, of a request.
    mutating func note(_ leaf: Leaf, now: Instant) {
        // A shard that was called says nothing of the outcome before home has.
        let isUndecided = leaf.entries.isEmpty || leaf.entries.contains { !$0.status.isDecided }
        held.note(leaf.request, isUndecided: isUndecided, now: now.uptime, scan: scan)
    }
}

/// Since when this replica has seen records undecided, which hold escrow or locks until they are decided. Only shown to
/// whoever asks: nothing depends on it.
struct HeldRecords: Sendable {
    private var since: [Digest: (uptime: UInt64, scan: UInt64)] = [:]

    /// - Parameter scan: of the open records, the present one.
    mutating func note(_ request: Digest, isUndecided: Bool, now: UInt64, scan: UInt64) {
        since[request] = isUndecided ? (since[request]?.uptime ?? now, scan) : nil
    }

    /// Drops what no scan has met since: it went by state transfer, without a leaf.
    mutating func forget(before scan: UInt64) { since = since.filter { $0.value.scan >= scan } }

    /// Nanoseconds; 0 if nothing is undecided.
    func oldest(now: UInt64) -> UInt64 { since.values.map { now - min(now, $0.uptime) }.max() ?? 0 }
}

extension HostCore {
    /// Looks at a part of the open records and pushes those whose time has come.
    mutating func pushUnforgotten(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].replica.mayAttest, now.uptime >= nodes[i].recovery.scannedAt + options.pushScanInterval else { return }
        nodes[i].recovery.scannedAt = now.uptime
        let open: [UnforgottenRecord]
        let calls: [UnforgottenRecord]
        do {
            open = try nodes[i].executor.unforgotten(after: nodes[i].recovery.cursor, limit: options.pushScanCount)
            calls = try nodes[i].executor.unfinishedCalls(after: nodes[i].recovery.callCursor, limit: options.pushScanCount)
        } catch { return halt(i, "reading open records: \(error)", into: &ready) }
        nodes[i].recovery.cursor = open.count < options.pushScanCount ? nil : open.last?.cursor
        nodes[i].recovery.callCursor = calls.count < options.pushScanCount ? nil : calls.last?.cursor
        let scan = nodes[i].recovery.scan
        for record in open + calls {
            let digest = record.request.digest
            nodes[i].recovery.note(record.leaf, now: now)
            guard var push = nodes[i].recovery.pushes[digest] else {
                nodes[i].recovery.pushes[digest] = .init(dueAt: now.uptime + options.pushAfter, interval: options.pushAfter, scan: scan)
                continue
            }
            push.scan = scan
            if now.uptime >= push.dueAt {
                let isPushed = self.push(record, i, now: now, into: &ready)
                push.interval = isPushed ? min(push.interval * 2, options.maxPushInterval) : options.pushAfter / 4
                push.dueAt = now.uptime + push.interval
            }
            nodes[i].recovery.pushes[digest] = push
        }
        if nodes[i].recovery.cursor == nil { nodes[i].recovery.haveWrapped.records = true }
        if nodes[i].recovery.callCursor == nil { nodes[i].recovery.haveWrapped.calls = true }
        if nodes[i].recovery.haveWrapped == (true, true) {
            nodes[i].recovery.haveWrapped = (false, false)
            // A scan is complete: forget the pushes of records that are no longer open.
            nodes[i].recovery.scan += 1
            if scan > 0 {
                nodes[i].recovery.pushes = nodes[i].recovery.pushes.filter { $0.value.scan + 1 >= scan }
                nodes[i].recovery.held.forget(before: scan - 1)
            }
        }
    }

    /// False when this replica has no attested leaf at hand: the request is ordered again, which certifies what is
    /// recorded in a new batch.
    private mutating func push(_ record: UnforgottenRecord, _ i: Int, now: Instant, into ready: inout HostReady) -> Bool {
        let root = record.request
        // Past a call's deadline something has to be ordered for the shard's time to pass it.
        let isCall = root.request.rootCall != nil
        let isLate = isCall && now.wall > root.request.deadline && nodes[i].executor.time <= root.request.deadline
        guard !isLate, let attested = attestedLeaf(root.digest, i), Self.says(attested.leaf, record, isCall: isCall) else {
            order(root, CallEvidence(root: root, certificates: []), from: .own, i, now: now, into: &ready)
            return false
        }
        send(RecoveryPush(request: root, attested: attested, asks: true), to: record.waitingFor, into: &ready)
        return true
    }

    /// The leaf says what is recorded now. It may hold more: legs that were answered without a record, calls that never will run.
    private static func says(_ leaf: Leaf, _ record: UnforgottenRecord, isCall: Bool) -> Bool {
        let (said, known) = (leaf.calls, record.leaf.calls)
        return record.leaf.entries.allSatisfy { leaf.status(ofLeg: $0.leg) == $0.status }
            && (!isCall || (said.issued == known.issued && said.responses == known.responses))
    }

    /// The newest leaf of a request that this replica executed, attested by it; nil if there is none at hand.
    private mutating func attestedLeaf(_ request: Digest, _ i: Int) -> AttestedLeaf? {
        // A path in a tree over a large batch costs more than to remember it.
        if let kept = nodes[i].recovery.kept[request], nodes[i].recent.sequence(of: request) ?? kept.statement.sequence == kept.statement.sequence {
            return kept
        }
        if let attested = nodes[i].recent.attestedLeaf(for: request, replica: nodes[i].me, signer: signer) {
            nodes[i].recovery.kept.keep(attested)
            return attested
        }
        return nil
    }

    /// What this shard has to say of a request is certified in a new batch. Not in the share of what decides something (R12).
    private mutating func order(
        _ request: SignedRequest, _ evidence: CallEvidence, from source: Source, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        let isInserted: Bool
        if request.request.rootCall != nil {
            isInserted = insert(question: evidence, from: source, i, now: now)
        } else {
            isInserted = nodes[i].requests.insert(
                .request(request), key: request.digest, bytes: request.bytes.count + 72, from: source, now: now)
        }
        guard isInserted else { return }
        nodes[i].recovery.asked.noteOrdered(request.digest, now: now.uptime)
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }

    /// Whoever goes on asking asks again within this.
    private var questionLifetime: UInt64 { options.maxPushInterval + options.pushAfter }

    /// Whether what is certified of a request has to be certified again, as long as it is not at hand: for an open record of this
    /// replica, or for f + 1 that ask. It waits until it is ordered, or the primary that does not order it is suspected.
    func isNeeded(_ request: SignedRequest, _ i: Int, now: Instant) -> Bool {
        let digest = request.digest
        let isOpen = nodes[i].recovery.pushes[digest] != nil
        if request.request.rootCall != nil {
            // Past a call's deadline the shard's time has to pass it.
            if isOpen, now.wall > request.request.deadline, nodes[i].executor.time <= request.request.deadline { return true }
            if nodes[i].recent.leaf(for: digest) != nil || nodes[i].recovery.kept[digest] != nil { return false }
        } else if let leaf = nodes[i].recent.leaf(for: digest) ?? nodes[i].recovery.kept[digest]?.leaf, isComplete(leaf, request, i) {
            return false
        }
        if isOpen { return true }
        let asking = nodes[i].recovery.asked.counts(digest, now: now.uptime, lifetime: questionLifetime)
        return asking.contains { $0.count >= manifest.group(of: $0.shard).weakQuorum }
    }

    private func send(_ push: RecoveryPush, to shards: [ShardID], into ready: inout HostReady) {
        for shard in shards where manifest.hasShard(shard) {
            // None pushes to itself: who receives a push counts its own replica's word too.
            let to = manifest.hosts(of: shard).filter { $0 != host }.sorted()
            ready.toHosts.append(.init(to: to, message: .push(shard, push)))
        }
    }

    mutating func receive(
        push: RecoveryPush, _ message: Verified<HostMessage>, from peer: HostID, at i: Int, now: Instant, into ready: inout HostReady
    ) {
        guard nodes[i].halted == nil else { return }
        let sender = push.attested.statement.shard
        // Everybody pushes what he has attested himself: so who asks can be counted.
        guard sender != nodes[i].shard, manifest.replica(of: sender, on: peer) == push.attested.signature.replica,
            concerns(push.request.request, sender, nodes[i].shard)
        else { return droppedMessages += 1 }
        // Nobody pushes to himself. With one host mute and one without the leaf, the replica of that shard on this host is needed too.
        if let j = node(sender), nodes[j].halted == nil, nodes[j].replica.mayAttest, let own = attestedLeaf(push.request.digest, j) {
            let word = message.map { _ in RecoveryPush(request: push.request, attested: own, asks: false) }
            if push.request.request.rootCall != nil {
                _ = nodes[i].recovery.collected.certificate(of: word)
            } else {
                _ = nodes[i].recovery.collected.add(word)
            }
        }
        var evidence = CallEvidence(root: push.request, certificates: [])
        if push.request.request.rootCall != nil {
            if let certificate = nodes[i].recovery.collected.certificate(of: message.map { _ in push }) {
                evidence = CallEvidence(root: push.request, certificates: [certificate])
                admit(evidence, from: .peer(peer), at: i, now: now, into: &ready)
            }
        } else if let decide = nodes[i].recovery.collected.add(message.map { _ in push }) {
            // Certified votes of others back a vote that is refused without them (R12): the primary proposes both in one batch.
            if nodes[i].executor.isPressed, (try? nodes[i].executor.effect(of: decide)) == .noRecord {
                let bytes = push.request.bytes.count + 72
                _ = nodes[i].requests.insert(.request(push.request), key: push.request.digest, bytes: bytes, from: .peer(peer), now: now)
            }
            admit(decide, from: .peer(peer), at: i, now: now, into: &ready)
        }
        #if MUTANTS
        if Mutant.is(.answersAreQuestions) { return answer(push, evidence, from: peer, i, now: now, into: &ready) }
        #endif
        if push.asks { answer(push, evidence, from: peer, i, now: now, into: &ready) }
    }

    /// Both shards take part. Who calls whom is for certificates to say.
    private func concerns(_ request: Request, _ sender: ShardID, _ own: ShardID) -> Bool {
        if request.rootCall != nil { return true }
        let participants = request.participants(in: manifest.shardMap)
        return participants.contains(sender) && participants.contains(own)
    }

    /// Answers who waits: with what this shard has certified already; and only if there is nothing, or not all, by certifying it. That
    /// costs a batch, so f + 1 of the shard's hosts have to ask: one of them is correct, and has an open record.
    private mutating func answer(
        _ push: RecoveryPush, _ evidence: CallEvidence, from peer: HostID, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        let (digest, sender) = (push.request.digest, push.attested.statement.shard)
        guard questions.charge(.peer(peer), now: now.uptime) else { return droppedMessages += 1 }
        nodes[i].recovery.asked.note(
            push.request, by: sender, push.attested.signature.replica, from: peer, now: now.uptime,
            lifetime: questionLifetime)
        if let attested = attestedLeaf(digest, i) {
            tell(attested, isFresh: false, i, into: &ready)
            // Of several legs, some were refused here: nothing is recorded of them and nobody else may bring them again.
            if push.request.request.rootCall != nil || isComplete(attested.leaf, push.request, i) { return }
        }
        let asking = nodes[i].recovery.asked.count(digest, of: sender)
        #if MUTANTS
        let isAsked = asking >= (Mutant.is(.oneQuestionSuffices) ? 1 : manifest.group(of: sender).weakQuorum)
        #else
        let isAsked = asking >= manifest.group(of: sender).weakQuorum
        #endif
        guard isAsked, nodes[i].recovery.asked.mayOrder(digest, now: now.uptime, interval: options.pushAfter / 2) else { return }
        var question = evidence
        if push.request.request.rootCall != nil {
            do {
                guard let found = try nodes[i].executor.question(by: evidence, wall: now.wall) else { return }
                question = found
            } catch { return halt(i, "reading the record of a call: \(error)", into: &ready) }
        }
        order(push.request, question, from: .peer(peer), i, now: now, into: &ready)
    }

    /// Pushes a fresh leaf to the hosts that asked about its request.
    mutating func pushBack(_ leaf: Leaf, _ i: Int, into ready: inout HostReady) {
        guard nodes[i].recovery.asked.isWanted(leaf.request), let attested = attestedLeaf(leaf.request, i) else { return }
        tell(attested, isFresh: true, i, into: &ready)
    }

    private mutating func tell(_ attested: AttestedLeaf, isFresh: Bool, _ i: Int, into ready: inout HostReady) {
        guard nodes[i].replica.mayAttest,
            let (request, replicas) = nodes[i].recovery.asked.answer(attested.leaf, isFresh: isFresh)
        else { return }
        let answer = RecoveryPush(request: request, attested: attested, asks: false)
        for (shard, bits) in replicas where manifest.hasShard(shard) {
            let hosts = manifest.hosts(of: shard)
            let to = hosts.indices.filter { bits & (UInt64(1) << UInt64($0)) != 0 && hosts[$0] != host }.map { hosts[$0] }
            if !to.isEmpty { ready.toHosts.append(.init(to: to.sorted(), message: .push(shard, answer))) }
        }
    }
}
