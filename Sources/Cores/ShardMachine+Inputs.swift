import Messages
import PBFT
import ShardState

/// What each input does first. What follows from it is the loop's.
extension ShardMachine {
    mutating func handle(_ input: ShardInput, now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        switch input {
        case .started(let certainTime):
            replica.certainTime = certainTime
            replica.step(.started, now: now, into: &work)
        case .tick(let connected, let certainTime): tick(connected, certainTime, now: now)
        case .message(let host, let message):
            guard let sender = setting.peer(on: host) else { return ready.drop(.notAPeer) }
            replica.step(.message(from: sender, message), now: now, into: &work)
        case .forged(let host, let view, let sequence):
            guard let sender = setting.peer(on: host) else { return ready.drop(.notAPeer) }
            replica.step(.forged(from: sender, view, sequence), now: now, into: &work)
        case .stateTransfer(let host, let message):
            guard let sender = setting.peer(on: host) else { return ready.drop(.notAPeer) }
            try transfer(.message(from: sender, message), now: now, into: &ready)
        case .forwarded(let host, let item): try receive(item, forwardedBy: host, now: now, into: &ready)
        case .push(let host, let push): try receive(push, from: host, now: now, into: &ready)
        case .sayOwn(let shard, let push): sayOwn(to: shard, push, into: &ready)
        case .word(let word): pushes.receive(own: word)
        case .request(let session, let request): admit(request, from: session, now: now, into: &ready)
        case .unchecked(let session, let request): hold(request, from: session, now: now, into: &ready)
        case .unsigned(let session, let request): refuseUnsigned(request, from: session, now: now, into: &ready)
        case .checked(let checked): replica.step(.checked(checked), now: now, into: &work)
        case .submissionChecked(let session, let digest, let verified):
            receive(verified, digest, from: session, now: now, into: &ready)
        case .decides(let session, let decides):
            for decide in decides {
                try admit(decide, from: .gateway(session), listener: session, now: now, into: &ready)
            }
        case .evidence(let session, let evidence):
            answering.add(session, for: evidence.root.digest)
            try admit(evidence, from: .gateway(session), now: now, into: &ready)
        case .account(let session, let id, let account): show(account, id: id, to: session, into: &ready)
        case .read(let session, let id, let subject, let nonce):
            try read(subject, nonce, for: session, id: id, now: now, into: &ready)
        case .sessionClosed(let session): close(session)
        case .durable(let message): replica.step(.durable(message), now: now, into: &work)
        case .flushed(let sequence): try flushed(sequence, now: now, into: &ready)
        case .staged(let bucket, let digest):
            try transfer(.staged(bucket: bucket, digest), now: now, into: &ready)
        case .storageFailed(let reason): throw ShardFailure(reason: "storage failed: \(reason)")
        case .stateDamaged(let reason):
            throw ShardFailure(reason: "the state on disk is not what was written: \(reason)", isDamage: true)
        }
    }

    /// One that has halted still says so, and what it last had.
    mutating func answerHalted(_ input: ShardInput, into ready: inout ShardReady) {
        switch input {
        case .request(let session, let request), .unchecked(let session, let request):
            refuse(request, .halted, retryAfter: 1_000_000, to: session, into: &ready)
        case .account(let session, let id, let account): show(account, id: id, to: session, into: &ready)
        case .sessionClosed(let session): close(session)
        case .started, .tick, .message, .stateTransfer, .forwarded, .push, .sayOwn, .word, .decides, .evidence, .read,
            .durable, .flushed, .staged, .storageFailed, .stateDamaged, .forged, .checked, .submissionChecked,
            .unsigned:
            return
        }
    }

    mutating func handle(_ errand: Errand, now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        switch errand {
        case .order(let request, let evidence, let source):
            order(request, evidence, from: source, now: now, into: &ready)
        case .answer(let push, let evidence, let peer): try answer(push, evidence, from: peer, now: now, into: &ready)
        case .answerReads: try answerReads(now: now, into: &ready)
        case .checkSubmissions: checkSubmissions(now: now, into: &ready)
        case .forward: try forwardToPrimary(now: now, into: &ready)
        case .push: try pushUnforgotten(now: now, into: &ready)
        case .transferState: try transfer(.tick, now: now, into: &ready)
        case .proposeEmpty: proposeEmptyIfAwaited(now: now)
        case .watchClock: clocks.watch(execution.executor.time, now: now, into: &ready)
        case .fillReads: if reads.fill(now: now) { try answerReads(now: now, into: &ready) }
        case .checkState:
            // While a fetched state is written down this one is on its way out.
            if !replica.isExecutionPaused { try execution.check(now: now.uptime, options: setting.options) }
        }
    }

    // MARK: Time

    private mutating func tick(_ connected: [Bool], _ certainTime: Timestamp, now: Instant) {
        replica.certainTime = certainTime
        let primary = setting.hosts[replica.primary.index]
        let isReachable = primary == setting.host || connected[Int(primary.number)]
        isPrimaryReachable = isReachable
        // Neither the timers nor the throughput floor go by what nobody has checked: junk would make a fair primary look
        // slow. What waits for long is checked, and then counts from when it came; so the floor is lower only for
        // primaries that are about as quick as that.
        replica.step(
            .tick(oldestPending: proposer.oldest, primaryReachable: isReachable, pending: proposer.count), now: now,
            into: &work)
        next([.checkSubmissions, .forward, .push, .transferState, .proposeEmpty, .watchClock, .fillReads, .checkState])
    }

    /// Hands the primary what has waited for long, and drops what will never be ordered.
    private mutating func forwardToPrimary(now: Instant, into ready: inout ShardReady) throws(ShardFailure) {
        // Without the state it cannot be known what was executed: ordered again, it would be one more batch to run
        // after.
        guard !replica.isPrimary || replica.isChangingView, transfer.isIdle else { return }
        let items = proposer.takeForForwarding(now: now)
        guard !items.isEmpty else { return }
        let primary = setting.hosts[replica.orderingPrimary.index]
        let rule = Forwarding(setting: setting, now: now)
        for (item, times) in items {
            let isWanted: Bool
            do {
                isWanted = try rule.wants(
                    item, forwarded: times, execution.executor, proposer, answering, pushes)
            } catch {
                throw ShardFailure("reading what is recorded of what waits", error)
            }
            if !isWanted {
                proposer.remove(item.key)
            } else if primary != setting.host {
                ready.send(.forward(setting.shard, item), to: [primary])
            }
        }
    }

    // MARK: What is asked of the state

    /// A weak read.
    private func show(_ account: AccountID, id: UInt64, to session: SessionID, into ready: inout ShardReady) {
        let view = replica.mayAttest ? view(of: account) : nil
        ready.reply(.account(id: id, view), to: [session])
    }

    private mutating func read(
        _ subject: ReadSubject, _ nonce: Digest, for session: SessionID, id: UInt64, now: Instant,
        into ready: inout ShardReady
    ) throws(ShardFailure) {
        // Who may have forgotten a COMMIT is silent (R4).
        guard replica.mayRead else { return }
        var after = replica.committedUpTo
        if Mutant.is(.readsWithoutWaiting) { after = .zero }
        let read = WaitingRead(session: session, id: id, subject: subject, nonce: nonce, after: after)
        guard reads.add(read, into: &ready) else { return }
        try answerReads(now: now, into: &ready)
    }

    private mutating func close(_ session: SessionID) {
        answering.close(session)
        accounts.close(session)
        proposer.unchecked.close(session)
        reads.forget(session)
    }
}
