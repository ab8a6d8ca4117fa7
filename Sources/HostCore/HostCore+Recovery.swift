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
    /// Requests that other shards asked about by pushing: their hosts get the leaf when there is one.
    var asked: [Digest: Asked] = [:]
    var askedOrder = Fifo()
    var held = HeldRecords()

    struct Push: Sendable {
        var dueAt: UInt64
        var interval: UInt64
        var scan: UInt64
    }

    struct Asked: Sendable {
        let request: SignedRequest
        /// Who asked since the last answer.
        var shards: [ShardID]
        var answeredAt: UInt64
    }

    static let maxAsked = 4096

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

    mutating func noteAsked(_ request: SignedRequest, by shard: ShardID) {
        if asked[request.digest] == nil {
            askedOrder.append(request.digest)
            while asked.count >= Self.maxAsked, let oldest = askedOrder.first {
                askedOrder.removeFirst()
                asked[oldest] = nil
            }
        }
        var entry = asked[request.digest] ?? Asked(request: request, shards: [], answeredAt: 0)
        if !entry.shards.contains(shard) { entry.shards.append(shard) }
        asked[request.digest] = entry
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
        let digest = record.request.digest
        if record.request.request.rootCall != nil { return push(call: record, i, now: now, into: &ready) }
        // The leaf may hold more: legs that were answered without a record.
        guard let leaf = nodes[i].recent.leaf(for: digest),
            record.leaf.entries.allSatisfy({ leaf.status(ofLeg: $0.leg) == $0.status }),
            let attested = nodes[i].recent.attestedLeaf(for: digest, replica: nodes[i].me, signer: signer)
        else {
            _ = nodes[i].requests.insert(.request(record.request), key: digest, bytes: record.request.bytes.count + 72, now: now)
            settle(i, now: now, into: &ready)
            release(now: now, into: &ready)
            return false
        }
        send(RecoveryPush(request: record.request, attested: attested), to: record.waitingFor, into: &ready)
        return true
    }

    /// As `push`. Past the deadline something has to be ordered for the shard's time to pass it.
    private mutating func push(call record: UnforgottenRecord, _ i: Int, now: Instant, into ready: inout HostReady) -> Bool {
        let root = record.request
        let isLate = now.wall > root.request.deadline && nodes[i].executor.time <= root.request.deadline
        guard !isLate, let leaf = nodes[i].recent.leaf(for: root.digest), leaf.calls == record.leaf.calls,
            record.leaf.entries.allSatisfy({ leaf.status(ofLeg: $0.leg) == $0.status }),
            let attested = nodes[i].recent.attestedLeaf(for: root.digest, replica: nodes[i].me, signer: signer)
        else {
            admit(CallEvidence(root: root, certificates: []), from: nil, at: i, now: now, into: &ready)
            return false
        }
        send(RecoveryPush(request: root, attested: attested), to: record.waitingFor, into: &ready)
        return true
    }

    /// What another shard says of a root call. Answered with what this shard says of it.
    private mutating func receive(
        call push: RecoveryPush, _ message: Verified<HostMessage>, at i: Int, now: Instant, into ready: inout HostReady
    ) {
        let sender = push.attested.statement.shard
        guard sender != nodes[i].shard else { return droppedMessages += 1 }
        let root = push.request
        guard let certificate = nodes[i].recovery.collected.certificate(of: message.map { _ in push }) else { return }
        nodes[i].recovery.noteAsked(root, by: sender)
        admit(CallEvidence(root: root, certificates: [certificate]), from: nil, at: i, now: now, into: &ready)
        if let leaf = nodes[i].recent.leaf(for: root.digest) {
            let answeredAt = nodes[i].recovery.asked[root.digest]?.answeredAt ?? 0
            guard answeredAt == 0 || now.uptime >= answeredAt + options.pushAfter / 2 else { return }
            pushBack(leaf, i, now: now, into: &ready)
        } else {
            // What is recorded here is certified again.
            admit(CallEvidence(root: root, certificates: []), from: nil, at: i, now: now, into: &ready)
        }
    }

    private func send(_ push: RecoveryPush, to shards: [ShardID], into ready: inout HostReady) {
        for shard in shards where manifest.hasShard(shard) {
            // Enough other hosts hold a replica of the pushing shard, so none needs to push to itself.
            let to = manifest.hosts(of: shard).filter { $0 != host }.sorted()
            ready.toHosts.append(.init(to: to, message: .push(shard, push)))
        }
    }

    mutating func receive(push: RecoveryPush, _ message: Verified<HostMessage>, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        if push.request.request.rootCall != nil { return receive(call: push, message, at: i, now: now, into: &ready) }
        let participants = push.request.request.participants(in: manifest.shardMap)
        let sender = push.attested.statement.shard
        guard sender != nodes[i].shard, participants.contains(sender), participants.contains(nodes[i].shard) else {
            return droppedMessages += 1
        }
        let digest = push.request.digest
        nodes[i].recovery.noteAsked(push.request, by: sender)
        if let decide = nodes[i].recovery.collected.add(message.map { _ in push }) {
            // Certified votes of others back a vote that is refused without them (R12): the primary proposes both in one batch.
            if nodes[i].executor.isPressed, (try? nodes[i].executor.effect(of: decide)) == .noRecord {
                _ = nodes[i].requests.insert(.request(push.request), key: digest, bytes: push.request.bytes.count + 72, now: now)
            }
            admit(decide, from: nil, at: i, now: now, into: &ready)
        }
        // Answer with what this shard certified; if there is nothing at hand, order the request: that records a vote, or
        // certifies what is recorded, or that there never will be a record (R10).
        if let leaf = nodes[i].recent.leaf(for: digest) {
            // An answer is a push too and is answered in turn: seldom, or two shards would keep each other busy.
            let answeredAt = nodes[i].recovery.asked[digest]?.answeredAt ?? 0
            guard answeredAt == 0 || now.uptime >= answeredAt + options.pushAfter / 2 else { return }
            pushBack(leaf, i, now: now, into: &ready)
            // Of several legs, some were refused here: nothing is recorded of them and nobody else may bring them again.
            if !isComplete(leaf, push.request, i) { admit(push.request, from: nil, at: i, now: now, into: &ready) }
        } else if !nodes[i].requests.contains(digest) {
            admit(push.request, from: nil, at: i, now: now, into: &ready)
        }
    }

    /// Pushes a fresh leaf to the shards that asked about its request.
    mutating func pushBack(_ leaf: Leaf, _ i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].replica.mayAttest, let asked = nodes[i].recovery.asked[leaf.request], !asked.shards.isEmpty,
            let attested = nodes[i].recent.attestedLeaf(for: leaf.request, replica: nodes[i].me, signer: signer)
        else { return }
        nodes[i].recovery.asked[leaf.request] = .init(request: asked.request, shards: [], answeredAt: now.uptime)
        send(RecoveryPush(request: asked.request, attested: attested), to: asked.shards, into: &ready)
    }
}
