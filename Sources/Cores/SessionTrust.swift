import Messages

/// Whether a client's session has brought what is genuine so far, so that the signature of what it brings next is left
/// to the hosts, who check it anyway (docs/decisions/0042).
///
/// A new session has every request checked. What it brings unchecked is never more than what it has brought before
/// that was genuine, and after one forgery it begins again, further back. So a session costs the hosts no more checks
/// in vain than it has earned by as many requests that were none.
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
