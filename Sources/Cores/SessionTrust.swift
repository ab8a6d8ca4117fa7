import Messages

/// Whether a client's session has brought what is genuine so far, so that the signature of what it brings next is left
/// to the hosts, who check it anyway (docs/decisions/0042).
///
/// A new session has every request checked. What it brings unchecked is never more than what shards have answered that
/// it brought before, each request once, and after one forgery it begins again, further back. So a session costs the
/// hosts no more checks in vain than it has earned by as many requests that were none.
struct SessionTrust: Sendable {
    private var genuine = 0
    /// Sent to the hosts unchecked, and not known to be genuine yet.
    private var unproven = 0
    /// Checks that were asked for of what it has brought. While there are any all else is checked too, so that nothing
    /// overtakes what was said before.
    private(set) var pending = 0
    private var hasForged = false

    /// What it has brought since counts no further.
    private static let most = 4096

    func mayGoUnchecked(_ options: GatewayOptions) -> Bool {
        let needed = hasForged ? options.trustAfterForgery : options.trustAfter
        return pending == 0 && genuine >= needed && unproven < genuine
    }

    mutating func asked() { pending += 1 }
    mutating func answered() { pending -= 1 }
    mutating func noteGenuine() { genuine = min(genuine + 1, Self.most) }
    mutating func noteForged() { (genuine, hasForged) = (0, true) }
    mutating func sentUnchecked() { unproven += 1 }
    mutating func ended() { unproven -= 1 }
}

/// How much a gateway's clients together may bring unchecked, because all come to the hosts on its one session, which
/// they charge for what is in vain. What is answered fills it; each forgery that was sent takes as much as many answers
/// bring. While it is low everything is checked.
struct ForgeryBudget: Sendable {
    private var tokens = ForgeryBudget.full
    private static let full = 2048
    private static let price = 32

    var allows: Bool { tokens >= Self.price }
    mutating func noteAnswered() { tokens = min(Self.full, tokens + 1) }
    /// Below zero too: what was under way when the budget ran out is paid for all the same.
    mutating func noteForged() { tokens -= Self.price }
}
