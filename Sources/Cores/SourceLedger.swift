import Messages

/// What each source has brought that led to nothing: certificates that decide nothing here, requests that were ordered
/// before, questions about what is over. Each takes a token; what changes something gives some back. Who has none left
/// is not answered, and a gateway's session is read no further for a while: checking its signatures is what costs most.
///
/// An honest gateway brings something in vain now and then, when another has been quicker; a source that repeats old
/// certificates does nothing else. A new session has a few tokens; more are earned, or drawn on what all new sessions
/// share, or a new connection would be a new purse.
struct SourceLedger: Sendable {
    struct Limits: Sendable {
        /// Tokens that a source may have, and that those share who have earned none.
        var burst = 2048
        /// That come back in a second.
        var perSecond: UInt64 = 64
        /// For each item that changed something.
        var reward = 4
        /// Of a session that is new.
        var allowance: Int { min(64, burst) }

        init() {}
    }

    private struct Purse: Sendable {
        var tokens: Int
        /// When tokens came back last.
        var at: UInt64

        mutating func take(_ limits: Limits, now: UInt64) -> Bool {
            fill(limits, now: now)
            guard tokens > 0 else { return false }
            tokens -= 1
            return true
        }

        mutating func fill(_ limits: Limits, now: UInt64) {
            // Quiet for a hundred days is quiet for long enough to be full.
            let passed = (now - min(now, at)) / 1000
            guard passed < 1_000_000 * (1 + UInt64(limits.burst) / limits.perSecond) else {
                return (tokens, at) = (limits.burst, now)
            }
            let back = passed * limits.perSecond / 1_000_000
            guard back > 0 else { return }
            tokens = min(limits.burst, tokens + Int(back))
            at += back * 1_000_000_000 / limits.perSecond
        }
    }

    private let limits: Limits
    private var strangers: Purse
    /// Looked up by key only, never iterated. Bounded by the sessions that are open, and the peers.
    private var purses: [Source: Purse] = [:]

    init(burst: Int, perSecond: UInt64, now: UInt64) {
        var limits = Limits()
        (limits.burst, limits.perSecond) = (burst, perSecond)
        precondition(limits.perSecond > 0)
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
        if Mutant.is(.nothingIsCharged) { return true }
        var purse = purses[source] ?? Purse(tokens: limits.allowance, at: now)
        defer { purses[source] = purse }
        if purse.take(limits, now: now) { return true }
        if case .gateway = source { return strangers.take(limits, now: now) }
        return false
    }

    /// For what somebody brought who is gone: those who have earned nothing pay for it together.
    mutating func chargeStrangers(now: UInt64) {
        if !Mutant.is(.nothingIsCharged) { _ = strangers.take(limits, now: now) }
    }

    /// Whether the next thing in vain is one too many.
    mutating func isBroke(_ source: Source, now: UInt64) -> Bool {
        guard var purse = purses[source] else { return false }
        purse.fill(limits, now: now)
        purses[source] = purse
        if case .gateway = source { strangers.fill(limits, now: now) }
        return purse.tokens == 0 && strangers.tokens == 0
    }

    mutating func reward(_ source: Source, now: UInt64) {
        guard source != .own else { return }
        var purse = purses[source] ?? Purse(tokens: limits.allowance, at: now)
        purse.tokens = min(limits.burst, purse.tokens + limits.reward)
        purses[source] = purse
    }

    mutating func forget(_ source: Source) { purses[source] = nil }
}

/// What sources have brought in vain, and what peers have asked. One for all shards of a host, which is why it is a
/// class: what a source may cost is bounded for the host, whatever the number of its shards. It is all that they share.
package final class SourceAccounts {
    private var vain: SourceLedger
    private var questions: SourceLedger

    package init(options: HostOptions, now: Instant) {
        vain = SourceLedger(burst: options.vainBurst, perSecond: options.vainPerSecond, now: now.uptime)
        questions = SourceLedger(burst: options.questionBurst, perSecond: options.questionsPerSecond, now: now.uptime)
    }

    /// False, and a gateway is read no further for a while, if it has brought too much in vain.
    func charge(_ source: Source, now: Instant, into ready: inout ShardReady) -> Bool {
        if vain.charge(source, now: now.uptime) { return true }
        if case .gateway(let session) = source, !ready.pauses.contains(session) { ready.pauses.append(session) }
        return false
    }

    /// For what a session brought in vain that is closed: a connection that ends in time would cost nothing otherwise.
    func chargeClosed(now: Instant) { vain.chargeStrangers(now: now.uptime) }

    /// False if a peer has asked too much.
    func chargeQuestion(of peer: HostID, now: Instant) -> Bool {
        questions.charge(.peer(peer), now: now.uptime)
    }

    /// Whether the next thing in vain is one too many.
    func isBroke(_ source: Source, now: Instant) -> Bool { vain.isBroke(source, now: now.uptime) }

    func reward(_ source: Source, now: Instant) { vain.reward(source, now: now.uptime) }

    func close(_ session: SessionID) { vain.forget(.gateway(session)) }
}
