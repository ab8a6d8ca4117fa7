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
    /// Whose turn it takes of what waits to be checked.
    public let session: SessionID
    /// What is to be checked.
    public let request: SignedRequest

    /// Bytes, roughly.
    public var weight: Int { request.bytes.count + 256 }
}

/// When a gateway looks at a signature (docs/decisions/0042): of a session that is new, of whatever would take a place
/// from others, where a host doubts it, and before anything is sent a second time. Otherwise the hosts' look is enough.
extension GatewayCore {
    /// - Returns: whether the request goes to the hosts unchecked. If not, it was not and is not looked at yet.
    func maySendUnchecked(_ request: Request, from session: SessionID, to shards: [ShardID]) -> Bool {
        guard trust[session]?.mayGoUnchecked(options) ?? false else { return false }
        // Whoever signs for somebody else takes that one's places: no more than half of them unseen.
        return admission.startsAtOnce(principal: request.principal, shards: shards)
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
        if verified == nil { trust[check.session]?.noteForged() } else { trust[check.session]?.noteGenuine() }
        switch check.purpose {
        case .submission(let id):
            // Nobody waits for it any more.
            guard trust[check.session] != nil else { return }
            trust[check.session]?.answered()
            let waiter = GatewayEntry.Waiter(session: check.session, id: id)
            guard let verified else { return reject(waiter, .invalid, into: &ready) }
            submit(verified.value, isChecked: true, for: waiter, now: now, into: &ready)
        case .held: take(verified, ofHeld: check.request, now: now, into: &ready)
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
        guard verified != nil else {
            if !entry.coordinator.isAnswered { fail(digest, .invalid, now: now, into: &ready) }
            return
        }
        prove(digest)
        guard let cost = entry.costWhenChecked, entry.stage == .inFlight else { return }
        entries[digest]?.costWhenChecked = nil
        if let known = entries[digest], sendAgain(known, cost: cost, now: now, into: &ready) {
            counters.retransmissions += 1
        }
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

    /// The request of this entry is genuine.
    mutating func prove(_ digest: Digest) {
        guard let entry = entries[digest], !entry.isChecked else { return }
        entries[digest]?.isChecked = true
        trust[entry.holder]?.ended()
    }

    /// The entry waits for nothing any more. What shards have certified was signed.
    mutating func endProof(of entry: GatewayEntry) {
        guard !entry.isChecked else { return }
        trust[entry.holder]?.ended()
        if entry.coordinator.isAnswered { trust[entry.holder]?.noteGenuine() }
    }

    /// Somebody brings, checked, what another has brought unchecked with a signature that may be none.
    mutating func adopt(_ request: SignedRequest) {
        let digest = request.digest
        guard let entry = entries[digest], !entry.isChecked else { return }
        prove(digest)
        guard entry.request.signature != request.signature else { return }
        entries[digest]?.coordinator.adopt(request)
        entries[digest]?.isBeingChecked = false
    }
}
