import Messages

/// What each source has brought that led to nothing: certificates that decide nothing here, requests that were ordered before,
/// questions about what is over. Each takes a token; what changes something gives some back. Who has none left is not answered, and a
/// gateway's session is read no further for a while: checking its signatures is what costs most.
///
/// An honest gateway brings something in vain now and then, when another has been quicker; a source that repeats old certificates
/// does nothing else.
struct SourceLedger: Sendable {
    struct Limits: Sendable {
        /// Tokens of a source that was quiet.
        var burst = 2048
        /// That come back in a second.
        var perSecond: UInt64 = 64
        /// For each item that changed something.
        var reward = 4

        init() {}
    }

    private struct Account: Sendable {
        var tokens: Int
        /// When tokens came back last.
        var at: UInt64
    }

    private let limits: Limits
    /// Looked up by key only, never iterated. Bounded by the sessions that are open.
    private var accounts: [Source: Account] = [:]
    private(set) var charged: UInt64 = 0

    init(limits: Limits) { self.limits = limits }

    /// False if it had no token left.
    mutating func charge(_ source: Source, now: UInt64) -> Bool {
        guard source != .own else { return true }
        #if MUTANTS
        if Mutant.is(.nothingIsCharged) { return true }
        #endif
        charged &+= 1
        var account = accounts[source] ?? Account(tokens: limits.burst, at: now)
        let back = (now - min(now, account.at)) * limits.perSecond / 1_000_000_000
        if back > 0 {
            account.tokens = Int(min(UInt64(limits.burst), UInt64(account.tokens) + back))
            account.at = now
        }
        let isSolvent = account.tokens > 0
        if isSolvent { account.tokens -= 1 }
        accounts[source] = account
        return isSolvent
    }

    mutating func reward(_ source: Source) {
        guard var account = accounts[source] else { return }
        account.tokens = min(limits.burst, account.tokens + limits.reward)
        accounts[source] = account
    }

    mutating func forget(_ source: Source) { accounts[source] = nil }
}
