import Messages

/// What each source has brought that led to nothing: certificates that decide nothing here, requests that were ordered before,
/// questions about what is over. Each takes a token; what changes something gives some back. Who has none left is not answered, and a
/// gateway's session is read no further for a while: checking its signatures is what costs most.
///
/// An honest gateway brings something in vain now and then, when another has been quicker; a source that repeats old certificates
/// does nothing else. Tokens of one's own are earned: until then all sessions draw on the same few, or a new connection would be a new
/// purse.
struct SourceLedger: Sendable {
    struct Limits: Sendable {
        /// Tokens that a source may have, and that those share who have earned none.
        var burst = 2048
        /// That come back in a second.
        var perSecond: UInt64 = 64
        /// For each item that changed something.
        var reward = 4

        init() {}
    }

    private struct Purse: Sendable {
        var tokens: Int
        /// When tokens came back last.
        var at: UInt64

        mutating func take(_ limits: Limits, now: UInt64) -> Bool {
            let back = (now - min(now, at)) * limits.perSecond / 1_000_000_000
            if back > 0 {
                tokens = Int(min(UInt64(limits.burst), UInt64(tokens) + back))
                at = now
            }
            guard tokens > 0 else { return false }
            tokens -= 1
            return true
        }
    }

    private let limits: Limits
    private var strangers: Purse
    /// Looked up by key only, never iterated. Bounded by the sessions that are open, and the peers.
    private var purses: [Source: Purse] = [:]
    private(set) var charged: UInt64 = 0

    init(limits: Limits, now: UInt64) {
        self.limits = limits
        strangers = Purse(tokens: limits.burst, at: now)
    }

    /// False if it had no token left.
    mutating func charge(_ source: Source, now: UInt64) -> Bool {
        switch source {
        case .own: return true
        // There are few, and each is known.
        case .peer: if purses[source] == nil { purses[source] = Purse(tokens: limits.burst, at: now) }
        case .gateway: break
        }
        charged &+= 1
        #if MUTANTS
        if Mutant.is(.nothingIsCharged) { return true }
        #endif
        guard var purse = purses[source] else { return strangers.take(limits, now: now) }
        let isSolvent = purse.take(limits, now: now)
        purses[source] = purse
        return isSolvent
    }

    mutating func reward(_ source: Source, now: UInt64) {
        guard source != .own else { return }
        var purse = purses[source] ?? Purse(tokens: 0, at: now)
        purse.tokens = min(limits.burst, purse.tokens + limits.reward)
        purses[source] = purse
    }

    mutating func forget(_ source: Source) { purses[source] = nil }
}
