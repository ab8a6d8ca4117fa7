import Cores
import Messages

/// What happens once everybody has his answer, the network is whole and nothing is undecided: within `RestBound` no
/// batch is ordered, no host says anything but STATUS, and no push is due. Finished work that is ordered again costs no
/// money and breaks no invariant; only this sees it.
struct RestWatch {
    /// When the run began to wait for rest; nil before.
    private(set) var began: UInt64?
    /// The last thing that a correct host or the gateway did.
    private(set) var lastActivity: UInt64 = 0
    private(set) var what = "nothing"
    /// From `began` on, for failures.
    private(set) var counts: [(kind: String, count: Int)] = []

    /// So long without any activity is rest: longer than every wait after which something would be repeated, other than
    /// pushes, which are known.
    static let silence: UInt64 = 3_500_000_000

    var isWatching: Bool { began != nil }

    mutating func begin(now: UInt64) {
        if began == nil { (began, lastActivity) = (now, now) }
    }

    /// After something was done on purpose.
    mutating func begin(again now: UInt64) { (began, lastActivity, counts) = (now, now, []) }

    mutating func note(_ kind: String, now: UInt64) {
        guard began != nil else { return }
        (lastActivity, what) = (now, kind)
        if let place = counts.firstIndex(where: { $0.kind == kind }) {
            counts[place].count += 1
        } else {
            counts.append((kind, 1))
        }
    }

    func isSilent(now: UInt64) -> Bool { began != nil && now >= lastActivity + Self.silence }

    var description: String {
        counts.sorted { ($1.count, $0.kind) < ($0.count, $1.kind) }.prefix(8).map { "\($0.count) \($0.kind)" }.joined(
            separator: ", ")
    }
}

extension Simulation {
    /// What a correct host did that it would not do at rest.
    mutating func watch(_ ready: HostReady, from i: Int) {
        guard rest.isWatching else { return }
        if !ready.records.isEmpty { rest.note("journal records", now: now) }
        for outgoing in ready.toHosts {
            if case .pbft(_, .status) = outgoing.message { continue }
            rest.note(Self.kind(of: outgoing.message), now: now)
        }
        if !ready.toGateways.isEmpty { rest.note("replies", now: now) }
    }

    private static func kind(_ words: Substring) -> String { String(words.prefix { $0.isUppercase || $0 == "-" }) }

    private static func kind(of message: HostMessage) -> String {
        // After "s0 ".
        let words = describe(message).drop { $0 != " " }.dropFirst()
        return kind(words)
    }

    /// Whether all is done for good. Throws when it takes longer than it may.
    mutating func isAtRest() throws -> Bool {
        if !rest.isWatching {
            guard try isQuiet() else { return false }
            if options.keepsLog { note("quiet") }
            rest.begin(now: now)
        }
        guard let began = rest.began else { return false }
        if rest.isSilent(now: now), try isQuiet(), unfinished.isEmpty { return true }
        if now > began + restBound {
            throw failure(
                "the cluster did not come to rest within \(restBound / 1_000_000) ms; last \(rest.what) at \(rest.lastActivity / 1_000_000) ms, since then open: \(unfinished.joined(separator: ", ")); \(rest.description)\n  \(describeState())"
            )
        }
        return false
    }

    /// What would still have to be ordered or pushed, by shard and host.
    private var unfinished: [String] {
        var found: [String] = []
        for i in correctHosts {
            for activity in hosts[i].core?.activity() ?? [] where !activity.isNothing {
                found.append(
                    "host \(i) shard \(activity.shard): \(activity.pending) to be ordered, \(activity.open) to be pushed"
                )
            }
        }
        return found
    }

    /// Of requests that live for `ClientModel.lifetime`: see `RestBound`. Views of liars, who are mute by then, are
    /// left before.
    private var restBound: UInt64 {
        let bound = HoldBound(
            options: options.host, tick: 40_000_000, ordering: UInt64(f + 1) * options.host.replica.maxTimeout)
        return bound.rest(
            untilDeadline: ClientModel.lifetimeMicroseconds * 1000, standing: clockFaults.standing * 1000,
            openRecords: 256)
    }
}
