import Messages

/// A signature that a gateway's core wants to know about. The runtime has it checked, off the core's thread.
public struct GatewayCheck: Sendable {
    enum Purpose: Sendable {
        /// Before it is admitted.
        case submission(id: UInt64)
        /// It is with the hosts already, and there is a reason to doubt it, or to send it again.
        case held
    }

    let purpose: Purpose
    let session: SessionID
    /// What is to be checked.
    public let request: SignedRequest

    /// Bytes, roughly.
    public var weight: Int { request.bytes.count + 256 }
    /// Whose turn it takes of what waits to be checked: its session's, or 0, which is no session, for what is held.
    /// Otherwise whoever has brought a forgery could have its check wait behind more of them.
    public var source: UInt64 { if case .held = purpose { 0 } else { session.number } }
}

/// When a gateway looks at a signature (docs/decisions/0042): of a session that is new, of whatever would take a place
/// from others, where a host doubts it, and before anything is sent a second time. Otherwise the hosts' look is enough.
extension GatewayCore {
    /// Whether requests of this session go to the hosts unchecked at all. Calls do not: what carries them from shard to
    /// shard has their signature in it.
    func trusts(_ session: SessionID, with request: Request) -> Bool {
        forgeries.allows && request.rootCall == nil && trust[session]?.mayGoUnchecked(options) ?? false
    }

    /// Whether it would take nothing from others: no place that is scarce, and no attempt at a shard that is silent.
    func takesNothing(_ request: Request, from shards: [ShardID]) -> Bool {
        admission.startsAtOnce(principal: request.principal, shards: shards)
            && shards.allSatisfy { breakers[Int($0.number)].isClosed }
    }

    /// It comes again when it is checked.
    mutating func check(
        _ request: SignedRequest, for waiter: GatewayEntry.Waiter, into ready: inout GatewayReady
    ) {
        trust[waiter.session, default: SessionTrust()].asked()
        let purpose = GatewayCheck.Purpose.submission(id: waiter.id)
        ready.checks.append(GatewayCheck(purpose: purpose, session: waiter.session, request: request))
    }

    /// What is with the hosts already. Once at a time.
    mutating func check(_ digest: Digest, into ready: inout GatewayReady) {
        guard let entry = entries[digest], !entry.isChecked, !entry.isBeingChecked else { return }
        entries[digest]?.isBeingChecked = true
        ready.checks.append(GatewayCheck(purpose: .held, session: entry.holder, request: entry.request))
    }

    /// - Parameter verified: nil if nobody has signed it.
    mutating func take(
        _ verified: Verified<SignedRequest>?, of check: GatewayCheck, now: Instant, into ready: inout GatewayReady
    ) {
        if verified == nil { trust[check.session]?.noteForged() }
        switch check.purpose {
        case .submission(let id):
            // Nobody waits for it any more.
            guard trust[check.session] != nil else { return }
            trust[check.session]?.answered()
            let waiter = GatewayEntry.Waiter(session: check.session, id: id)
            guard let verified else { return reject(waiter, .invalid, into: &ready) }
            submit(verified.value, isChecked: true, for: waiter, now: now, into: &ready)
        case .held:
            if verified == nil { forgeries.noteForged() }
            take(verified, ofHeld: check.request, now: now, into: &ready)
        }
    }

    private mutating func take(
        _ verified: Verified<SignedRequest>?, ofHeld request: SignedRequest, now: Instant,
        into ready: inout GatewayReady
    ) {
        let digest = request.digest
        // It may have ended, or somebody has brought it with another signature.
        guard let entry = entries[digest], entry.isBeingChecked, entry.request == request else { return }
        entries[digest]?.isBeingChecked = false
        guard !entry.coordinator.isAnswered else { return }
        guard verified != nil else { return fail(digest, .invalid, now: now, into: &ready) }
        prove(digest, now: now)
        if entry.isDueWhenChecked { wake(digest, now: now, into: &ready) }
    }

    /// There was no room for it among what waits to be checked.
    mutating func drop(_ check: GatewayCheck, into ready: inout GatewayReady) {
        switch check.purpose {
        case .submission(let id):
            trust[check.session]?.answered()
            let waiter = GatewayEntry.Waiter(session: check.session, id: id)
            reject(waiter, .queueFull, retryAfter: options.heldRetryAfter / 1000, into: &ready)
        // Its timer asks again.
        case .held: entries[check.request.digest]?.isBeingChecked = false
        }
    }

    /// Nothing is sent twice that nobody has looked at.
    /// - Returns: false if it is to be looked at first. It is woken then, and otherwise soon.
    mutating func isFit(_ entry: GatewayEntry, now: Instant, into ready: inout GatewayReady) -> Bool {
        if entry.isChecked || Mutant.is(.sendsAgainUnchecked) { return true }
        let digest = entry.request.digest
        entries[digest]?.isDueWhenChecked = true
        check(digest, into: &ready)
        arm(digest, due: now.uptime + options.heldRetryAfter)
        return false
    }

    /// The request of this entry is genuine.
    private mutating func prove(_ digest: Digest, now: Instant) {
        guard let entry = entries[digest], !entry.isChecked else { return }
        entries[digest]?.isChecked = true
        trust[entry.holder]?.ended()
        if entry.stage != .queued { noteSent(to: entry.coordinator.missing, now: now) }
    }

    /// The entry waits for nothing any more. What shards have certified was signed.
    mutating func endProof(of entry: GatewayEntry) {
        if !entry.isChecked { trust[entry.holder]?.ended() }
        guard entry.coordinator.isAnswered else { return }
        trust[entry.holder]?.noteGenuine()
        forgeries.noteAnswered()
    }

    /// Somebody brings, checked, what another has brought unchecked with a signature that may be none: the hosts get
    /// the one that is right.
    mutating func adopt(_ request: SignedRequest, now: Instant, into ready: inout GatewayReady) {
        let digest = request.digest
        guard let entry = entries[digest], !entry.isChecked else { return }
        prove(digest, now: now)
        guard entry.request.signature != request.signature else { return }
        // Whoever has brought the other one answers for it.
        if !entry.isBeingChecked {
            ready.checks.append(GatewayCheck(purpose: .held, session: entry.holder, request: entry.request))
        }
        entries[digest]?.coordinator.adopt(request)
        entries[digest]?.isBeingChecked = false
        guard let adopted = entries[digest], adopted.stage == .inFlight else { return }
        _ = sendAgain(adopted, cost: 0, now: now, into: &ready)
    }
}
