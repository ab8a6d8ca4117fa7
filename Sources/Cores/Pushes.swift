import Messages
import ShardState
import TwoPhaseCommit

/// Recovery by anyone: hosts push what they recorded until every participant is known to be done, so that no lock
/// depends on a gateway (R10, R12).
package struct Pushes: Sendable {
    private struct Push: Sendable {
        var dueAt: UInt64
        var interval: UInt64
        var scan: UInt64
        /// Or there was nothing at hand to push.
        var wasDue = false
        /// What is recorded was looked at, and has changed by what was executed here only.
        var isRead = true
    }

    /// Where the scans over the open records stand.
    private struct Scan: Sendable {
        var cursor: RecoveryCursor?
        var callCursor: RecoveryCursor?
        /// Each has come to its end since the last time that pushes were forgotten.
        var haveWrapped = (records: false, calls: false)
        var at: UInt64 = 0
        /// Counts the scans over all; a push that two of them did not touch is over.
        var number: UInt64 = 0
    }

    private let setting: ShardSetting
    /// Certificates from other shards' pushes.
    private var collected: Recovery
    /// Records that are open here, with when they are pushed next.
    private var pushes: [Digest: Push] = [:]
    private var scan = Scan()
    /// Requests that other shards asked about: they get the leaf when there is one.
    private var asked = AskedRequests()
    private var held = HeldRecords()
    /// From the vote to the decision.
    private var decisions = ResponseTime()

    package init(_ setting: ShardSetting) {
        self.setting = setting
        collected = Recovery(shard: setting.shard, manifest: setting.manifest)
    }

    private var options: HostOptions { setting.options }

    // MARK: What is recorded here

    /// What this replica executed, or found recorded, of a request.
    /// - Parameter learns: a gateway had brought what decides it. How long recovery takes says nothing of what is under
    ///   way; learned from, each gateway that dies would make the next one's records wait longer.
    package mutating func note(_ leaf: Leaf, learns: Bool = false, now: Instant) {
        // A shard that was called says nothing of the outcome before home has.
        let isUndecided = leaf.entries.isEmpty || leaf.entries.contains { !$0.status.isDecided }
        let after = held.note(leaf.request, isUndecided: isUndecided, now: now.uptime, scan: scan.number)
        guard let after, !leaf.entries.isEmpty else { return }
        if learns { decisions.note(min(after, options.maxPushInterval)) }
        // It moves on. What is left, that the others are done, takes about as long once more.
        guard var push = pushes[leaf.request], !push.wasDue else { return }
        push.dueAt = now.uptime + patience
        pushes[leaf.request] = push
    }

    /// From when a record is first seen to its first push, and once more from its decision: what decisions lately took,
    /// some times over, so that what is under way is not pushed. Together no longer than from one push to the next.
    package var patience: UInt64 {
        let most = min(max(options.pushAfter, options.pushAfterAtMost), options.maxPushInterval / 2)
        return decisions.patience(atLeast: options.pushAfter, atMost: most)
    }

    /// Another state is here: what is recorded of what waits may have changed without being executed here.
    package mutating func lookAgain() {
        for digest in pushes.keys { pushes[digest]?.isRead = false }
    }

    /// For how long the oldest undecided record has been; nanoseconds.
    package func oldestUndecided(now: Instant) -> UInt64 { held.oldest(now: now.uptime) }

    /// The oldest undecided records, oldest first.
    package func undecided(limit: Int, now: Instant) -> [UndecidedRecord] {
        held.oldest(limit).map { request, held in
            UndecidedRecord(
                shard: setting.shard, request: request, age: (now.uptime - min(now.uptime, held.uptime)) / 1000,
                waitsFor: held.waitsFor)
        }
    }

    /// Looks at a part of the open records and pushes those whose time has come.
    /// - Returns: those that have to be ordered again, which certifies what is recorded in a new batch.
    package mutating func push(
        _ executor: borrowing ShardExecutor, _ answering: inout Answering, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) -> [SignedRequest] {
        guard now.uptime >= scan.at + options.pushScanInterval else { return [] }
        scan.at = now.uptime
        let limit = options.pushScanCount
        let places = executor.openRecords(after: scan.cursor, limit: limit)
        var open: [UnforgottenRecord] = []
        let calls: [UnforgottenRecord]
        do {
            for place in places where !isEarly(place.request, now: now) { open.append(try executor.unforgotten(place)) }
            calls = try executor.unfinishedCalls(after: scan.callCursor, limit: limit)
        } catch { throw ShardFailure("reading open records", error) }
        scan.cursor = places.count < limit ? nil : places.last
        scan.callCursor = calls.count < limit ? nil : calls.last?.cursor
        var unattested: [SignedRequest] = []
        for record in open + calls {
            note(record.leaf, now: now)
            held.note(record.request.digest, waitsFor: record.waitingFor)
            if !pushIfDue(record, time: executor.time, &answering, now: now, into: &ready) {
                unattested.append(record.request)
            }
        }
        forgetWhatIsOver()
        return unattested
    }

    /// Most of what is open is new and under way: it is only noted that it is still there.
    private mutating func isEarly(_ request: Digest, now: Instant) -> Bool {
        guard let push = pushes[request], push.isRead, now.uptime < push.dueAt else { return false }
        pushes[request]?.scan = scan.number
        held.touch(request, scan: scan.number)
        return true
    }

    /// - Returns: false if it is due and this replica has nothing attested to say of it.
    private mutating func pushIfDue(
        _ record: UnforgottenRecord, time: Timestamp, _ answering: inout Answering, now: Instant,
        into ready: inout ShardReady
    ) -> Bool {
        let digest = record.request.digest
        guard var push = pushes[digest] else {
            pushes[digest] = Push(dueAt: now.uptime + patience, interval: patience, scan: scan.number)
            return true
        }
        (push.scan, push.isRead) = (scan.number, true)
        defer { pushes[digest] = push }
        guard now.uptime >= push.dueAt else { return true }
        push.wasDue = true
        let isPushed = self.push(record, time: time, &answering, now: now, into: &ready)
        push.interval = isPushed ? min(push.interval * 2, options.maxPushInterval) : options.pushAfter / 4
        push.dueAt = now.uptime + push.interval
        return isPushed
    }

    private mutating func push(
        _ record: UnforgottenRecord, time: Timestamp, _ answering: inout Answering, now: Instant,
        into ready: inout ShardReady
    ) -> Bool {
        let root = record.request
        // Past a call's deadline something has to be ordered for the shard's time to pass it.
        let isCall = root.request.rootCall != nil
        let isLate = isCall && now.wall > root.request.deadline && time <= root.request.deadline
        guard !isLate, let attested = answering.attestedLeaf(root.digest, setting),
            Self.says(attested.leaf, record, isCall: isCall)
        else { return false }
        let push = RecoveryPush(request: root, attested: attested, asks: true)
        for shard in record.waitingFor where setting.manifest.hasShard(shard) {
            // None pushes to itself: who receives a push counts its own replica's word too.
            ready.send(.push(shard, push), to: setting.manifest.hosts(of: shard).filter { $0 != setting.host }.sorted())
        }
        return true
    }

    /// The leaf says what is recorded now. It may hold more: legs that were answered without a record, calls that never
    /// will run.
    private static func says(_ leaf: Leaf, _ record: UnforgottenRecord, isCall: Bool) -> Bool {
        let (said, known) = (leaf.calls, record.leaf.calls)
        return record.leaf.entries.allSatisfy { leaf.status(ofLeg: $0.leg) == $0.status }
            && (!isCall || (said.issued == known.issued && said.responses == known.responses))
    }

    /// When a scan is complete: the pushes of records that are no longer open.
    private mutating func forgetWhatIsOver() {
        if scan.cursor == nil { scan.haveWrapped.records = true }
        if scan.callCursor == nil { scan.haveWrapped.calls = true }
        guard scan.haveWrapped == (true, true) else { return }
        scan.haveWrapped = (false, false)
        let complete = scan.number
        scan.number += 1
        guard complete > 0 else { return }
        pushes = pushes.filter { $0.value.scan + 1 >= complete }
        held.forget(before: complete - 1)
    }

    // MARK: What others say

    /// Whether a push for `shard` can concern it, and is its sender's own word.
    package static func isProper(_ push: RecoveryPush, from peer: HostID, to shard: ShardID, _ manifest: Manifest)
        -> Bool
    {
        let sender = push.attested.statement.shard
        // Everybody pushes what he has attested himself: so who asks can be counted.
        guard sender != shard, manifest.replica(of: sender, on: peer) == push.attested.signature.replica else {
            return false
        }
        // Both shards take part. Who calls whom is for certificates to say.
        if push.request.request.rootCall != nil { return true }
        let participants = push.request.request.participants(in: manifest.shardMap)
        return participants.contains(sender) && participants.contains(shard)
    }

    /// The own host's word counts as any other: with one host mute and one without the leaf, it is needed.
    package mutating func receive(own word: Verified<RecoveryPush>) {
        if word.value.request.request.rootCall != nil {
            _ = collected.certificate(of: word)
        } else {
            _ = collected.add(word)
        }
    }

    /// Of a root call: what f + 1 replicas of another shard have certified of it.
    mutating func certificate(of push: Verified<RecoveryPush>) -> Certificate? { collected.certificate(of: push) }

    /// Of any other request: what decides it here, or would together with a yes vote.
    package mutating func decide(by push: Verified<RecoveryPush>) -> TransactionDecide? { collected.add(push) }

    // MARK: What others ask

    /// Whoever goes on asking asks again within this.
    private var questionLifetime: UInt64 { options.maxPushInterval + options.pushAfter }

    /// Answers who waits, with what this shard has certified already. Only if there is nothing, or not all, it is
    /// certified again. That costs a batch, so f + 1 of the shard's hosts have to ask: one of them is correct, and has
    /// an open record.
    /// - Returns: whether it is to be certified again now.
    package mutating func answer(
        _ push: RecoveryPush, from peer: HostID, mayAttest: Bool, _ answering: inout Answering, now: Instant,
        into ready: inout ShardReady
    ) -> Bool {
        let (digest, sender) = (push.request.digest, push.attested.statement.shard)
        asked.note(
            push.request, by: sender, push.attested.signature.replica, from: peer, now: now.uptime,
            lifetime: questionLifetime)
        if let attested = answering.attestedLeaf(digest, setting) {
            if mayAttest { tell(attested, isFresh: false, into: &ready) }
            // Of several legs, some were refused here: nothing is recorded of them and nobody else may bring them
            // again.
            if push.request.request.rootCall != nil || setting.isComplete(attested.leaf, push.request) { return false }
        }
        let weakQuorum = setting.manifest.group(of: sender).weakQuorum
        let needed = Mutant.is(.oneQuestionSuffices) ? 1 : weakQuorum
        return asked.count(digest, of: sender) >= needed
            && asked.mayOrder(digest, now: now.uptime, interval: options.pushAfter / 2)
    }

    package mutating func noteOrdered(_ request: Digest, now: Instant) { asked.noteOrdered(request, now: now.uptime) }

    /// Pushes fresh leaves to the hosts that asked about their requests.
    package mutating func pushBack(_ leaves: [Leaf], _ answering: inout Answering, into ready: inout ShardReady) {
        for leaf in leaves where asked.isWanted(leaf.request) {
            guard let attested = answering.attestedLeaf(leaf.request, setting) else { continue }
            tell(attested, isFresh: true, into: &ready)
        }
    }

    private mutating func tell(_ attested: AttestedLeaf, isFresh: Bool, into ready: inout ShardReady) {
        guard let (request, replicas) = asked.answer(attested.leaf, isFresh: isFresh) else { return }
        let answer = RecoveryPush(request: request, attested: attested, asks: false)
        for (shard, bits) in replicas where setting.manifest.hasShard(shard) {
            let hosts = setting.manifest.hosts(of: shard)
            let asking = hosts.indices.filter { bits & (UInt64(1) << UInt64($0)) != 0 }.map { hosts[$0] }
            let to = asking.filter { $0 != setting.host }.sorted()
            if !to.isEmpty { ready.send(.push(shard, answer), to: to) }
        }
    }

    /// Whether what is certified of a request has to be certified again, as long as it is not at hand: for an open
    /// record of this replica, or for f + 1 that ask. It waits until it is ordered, or the primary that does not order
    /// it is suspected.
    package func isNeeded(_ request: SignedRequest, _ answering: Answering, time: Timestamp, now: Instant) -> Bool {
        let digest = request.digest
        let isOpen = pushes[digest] != nil
        let leaf = answering.leaf(for: digest)
        if request.request.rootCall != nil {
            // Past a call's deadline the shard's time has to pass it.
            if isOpen, now.wall > request.request.deadline, time <= request.request.deadline { return true }
            if leaf != nil { return false }
        } else if let leaf, setting.isComplete(leaf, request) {
            return false
        }
        if isOpen { return true }
        let asking = asked.counts(digest, now: now.uptime, lifetime: questionLifetime)
        return asking.contains { $0.count >= setting.manifest.group(of: $0.shard).weakQuorum }
    }
}

/// Since when this replica has seen records undecided, which hold escrow or locks until they are decided. Only shown to
/// whoever asks: nothing depends on it.
struct HeldRecords: Sendable {
    struct Held: Sendable {
        let uptime: UInt64
        /// The last that met it.
        var scan: UInt64
        /// As the last look at what is recorded has it.
        var waitsFor: [ShardID] = []
    }

    private var since: [Digest: Held] = [:]

    /// - Parameter scan: of the open records, the present one.
    /// - Returns: if it was undecided and is no more, for how long it was.
    @discardableResult
    mutating func note(_ request: Digest, isUndecided: Bool, now: UInt64, scan: UInt64) -> UInt64? {
        guard isUndecided else { return since.removeValue(forKey: request).map { now - min(now, $0.uptime) } }
        if since[request] == nil {
            since[request] = Held(uptime: now, scan: scan)
        } else {
            since[request]?.scan = scan
        }
        return nil
    }

    /// Nothing is kept of one that is decided.
    mutating func note(_ request: Digest, waitsFor shards: [ShardID]) { since[request]?.waitsFor = shards }

    /// The oldest, oldest first.
    func oldest(_ limit: Int) -> [(request: Digest, held: Held)] {
        var found: [(request: Digest, held: Held)] = []
        for (request, held) in since {
            // The order in which they are kept does not depend on the dictionary's. Most are younger than all of these.
            let place = (held.uptime, request)
            if found.count >= limit, let last = found.last, (last.held.uptime, last.request) <= place { continue }
            let index = found.firstIndex { ($0.held.uptime, $0.request) > place } ?? found.count
            found.insert((request, held), at: index)
            if found.count > limit { found.removeLast() }
        }
        return found
    }

    /// It is still open.
    mutating func touch(_ request: Digest, scan: UInt64) { since[request]?.scan = scan }

    /// Drops what no scan has met since: it went by state transfer, without a leaf.
    mutating func forget(before scan: UInt64) { since = since.filter { $0.value.scan >= scan } }

    /// Nanoseconds; 0 if nothing is undecided.
    func oldest(now: UInt64) -> UInt64 { since.values.map { now - min(now, $0.uptime) }.max() ?? 0 }
}
