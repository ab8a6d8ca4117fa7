import Gateway
import Messages
import Randomness
import TwoPhaseCommit

/// What happens when an answer does not come, or is no answer.
extension GatewayCore {
    // MARK: Refusals

    mutating func note(_ refusal: Refusal, from host: HostID, now: Instant, into ready: inout GatewayReady) {
        let digest = refusal.request
        guard let replica = manifest.replica(of: refusal.shard, on: host), var entry = entries[digest],
            entry.stage == .inFlight, entry.coordinator.isMissing(refusal.shard)
        else { return }
        // One host's word is enough to look, and no number of them to believe it.
        if refusal.reason == .unsigned { return check(digest, into: &ready) }
        let place = entry.refusals.firstIndex { $0.shard == refusal.shard } ?? entry.refusals.count
        if place == entry.refusals.count { entry.refusals.append(RefusalTally(shard: refusal.shard)) }
        entry.refusals[place].add(refusal, by: replica)
        let verdict = entry.refusals[place].verdict(weakQuorum: manifest.group(of: refusal.shard).weakQuorum)
        guard let (cause, retryAfter) = verdict else {
            entries[digest] = entry
            return
        }
        if entry.refusals[place].wasOrdered(weakQuorum: manifest.group(of: refusal.shard).weakQuorum) {
            noteHeard(from: refusal.shard)
        }
        switch options.retries.policy(for: cause) {
        case .reject: return fail(digest, .refused, retryAfter: retryAfter, now: now, into: &ready)
        // The silence timer runs already.
        case .wait, .retransmit:
            entries[digest] = entry
        case .resubmit(let backoff, let cost):
            ready.counts.append(.retried(cause))
            if cause == .conflict {
                entry.conflicts &+= 1
                counters.conflicts += 1
            }
            var delay = backoff.delay(attempt: entry.refusedAttempts, using: &jitter)
            // A full shard says when it expects room; for a conflict full jitter alone is best.
            if cause == .overloaded { delay = max(delay, min(retryAfter, backoff.cap / 1000) * 1000) }
            if cause == .outOfOrder {
                followers.add(entry.request, on: refusal.shard)
                // What it waits for may need a place itself, or wait for another shard.
                admission.cancel(digest, now: now)
            }
            entry.refusedAttempts += 1
            entry.stage = .backingOff(backoff, cost: cost)
            entry.refusals = []
            entries[digest] = entry
            arm(digest, due: min(now.uptime + delay, entry.giveUpAt))
        }
    }

    // MARK: Silence

    /// Waits for answers from now on.
    mutating func listen(_ digest: Digest, now: Instant) {
        guard var entry = entries[digest] else { return }
        guard case .retransmit(let first, let cap, _) = options.retries.silence else { return }
        entry.stage = .inFlight
        entry.refusals = []
        entry.silence =
            entry.silence == 0
            ? patience(answerTimes, with: entry.shards, atLeast: first, atMost: cap) : min(cap, entry.silence * 2)
        var due = now.uptime + entry.silence
        let late = entry.deadlineAt + options.afterDeadline
        // Once more just after the deadline: shards without a record then certify the abort (R10).
        if now.uptime < late, due >= late {
            due = late
            entry.silence = 0
        }
        entries[digest] = entry
        arm(digest, due: min(due, max(entry.giveUpAt, now.uptime + 1)))
    }

    /// What is repeated while it is under way makes all of it slower: under load a shard is given as long as it needs.
    func patience(
        _ times: [ResponseTime], with shards: [ShardID], atLeast first: UInt64, atMost cap: UInt64
    ) -> UInt64 {
        shards.reduce(first) { max($0, times[Int($1.number)].patience(atLeast: first, atMost: max(first, cap))) }
    }

    /// The entry's timer is due.
    mutating func wake(_ digest: Digest, now: Instant, into ready: inout GatewayReady) {
        guard let entry = entries[digest] else { return }
        switch entry.stage {
        case .queued:
            guard now.uptime <= entry.startBy else { return fail(digest, .deadlinePassed, now: now, into: &ready) }
            arm(digest, due: now.uptime + 1_000_000_000)
        case .settling(let resends):
            guard resends < options.decideResends else { return drop(digest) }
            sendOutstanding(entry, into: &ready)
            entries[digest]?.stage = .settling(resends: resends + 1)
            entries[digest]?.silence = entry.silence * 2
            arm(digest, due: now.uptime + entry.silence * 2)
        case .inFlight:
            guard now.uptime < entry.giveUpAt else { return giveUp(entry, now: now, into: &ready) }
            guard case .retransmit(_, _, let cost) = options.retries.silence, isFit(entry, now: now, into: &ready)
            else { return }
            if sendAgain(entry, cost: cost, now: now, into: &ready) {
                counters.retransmissions += 1
                ready.counts.append(.retried(.silence))
            }
            listen(digest, now: now)
        case .backingOff(let backoff, let cost):
            guard now.uptime < entry.giveUpAt else { return giveUp(entry, now: now, into: &ready) }
            // Before what it follows, which waits here as well, it would come in vain; past its deadline it ends.
            guard now.uptime > entry.deadlineAt || !followers.isBehindAnother(digest) else {
                return postpone(entry, backoff, now: now)
            }
            end(entry, backoff, cost: cost, now: now, into: &ready)
        }
    }

    /// As late as the policy allows, spread again.
    private mutating func postpone(_ entry: GatewayEntry, _ backoff: Backoff, now: Instant) {
        let delay = backoff.cap / 2 + backoff.delay(attempt: 63, using: &jitter) / 2
        arm(entry.request.digest, due: min(now.uptime + delay, entry.giveUpAt))
    }

    /// The backoff is over: sends again, if the budget and the connections allow it.
    private mutating func end(
        _ entry: GatewayEntry, _ backoff: Backoff, cost: UInt64, now: Instant, into ready: inout GatewayReady
    ) {
        let digest = entry.request.digest
        guard isFit(entry, now: now, into: &ready) else { return }
        guard sendAgain(entry, cost: cost, now: now, into: &ready) else { return postpone(entry, backoff, now: now) }
        entries[digest]?.silence = 0
        entries[digest]?.since = now.uptime
        listen(digest, now: now)
    }

    /// A shard has a word on a request: those that were refused there because they follow it, and each other, are sent
    /// again at once and in their order, so that one batch can take them.
    mutating func sendFollowers(
        of request: Request, on shard: ShardID, now: Instant, into ready: inout GatewayReady
    ) {
        guard !followers.isEmpty else { return }
        // Whoever is under way has those behind it sent when its turn comes.
        let chain = followers.chain(behind: request, on: shard) {
            if case .backingOff? = entries[$0]?.stage { true } else { false }
        }
        for digest in chain {
            guard var entry = entries[digest], case .backingOff(let backoff, _) = entry.stage,
                now.uptime < entry.giveUpAt
            else { continue }
            entry.refusedAttempts = 0
            entries[digest] = entry
            // The shard has just moved on: it costs nothing.
            end(entry, backoff, cost: 0, now: now, into: &ready)
        }
    }

    private static let freeLateRetries = 4

    /// Sends the request again to the shards that have not answered, and decided legs' certificates to those that wait
    /// for them. False if the budget or the connections do not allow it.
    mutating func sendAgain(_ entry: GatewayEntry, cost: UInt64, now: Instant, into ready: inout GatewayReady)
        -> Bool
    {
        let digest = entry.request.digest
        let shards = entry.coordinator.missing.filter { routing.isReachable($0) && delay(to: [$0], now: now) == 0 }
        // Connection lost, or nothing certified for long: nothing that is sent now would be answered. Look again soon.
        guard !shards.isEmpty else {
            entries[digest]?.silence = 0
            return false
        }
        // After the deadline the first repetitions end the request: not for the budget to stop. Where they do not, it
        // counts again.
        let isLate = now.uptime > entry.deadlineAt
        guard isLate && entry.lateRetries < Self.freeLateRetries || budget.take(millitokens: cost, now: now) else {
            entries[digest]?.wasDenied = true
            return false
        }
        entries[digest]?.wasDenied = false
        entries[digest]?.retries &+= 1
        if isLate { entries[digest]?.lateRetries += 1 }
        pass(shards, now: now)
        noteSent(to: shards, now: now)
        send(entry.request, to: shards, into: &ready)
        sendOutstanding(entry, into: &ready)
        return true
    }

    private mutating func sendOutstanding(_ entry: GatewayEntry, into ready: inout GatewayReady) {
        for action in entry.coordinator.outstandingDecides {
            switch action {
            case .sendDecide(let shards, let decide): send(decide, to: shards)
            case .sendEvidence(let shards, let evidence): send(evidence, to: shards, into: &ready)
            case .answer, .finished: break
            }
        }
    }

    private mutating func giveUp(_ entry: GatewayEntry, now: Instant, into ready: inout GatewayReady) {
        let isBeforeDeadline = now.uptime <= entry.deadlineAt
        fail(
            entry.request.digest, entry.wasDenied || isBeforeDeadline ? .retriesExhausted : .deadlinePassed,
            now: now, into: &ready)
    }
}
