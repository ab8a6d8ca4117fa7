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

    /// What a correct host did that it would not do at rest.
    mutating func watch(_ ready: HostReady, now: UInt64) {
        guard isWatching else { return }
        if !ready.records.isEmpty { note("journal records", now: now) }
        for outgoing in ready.toHosts {
            if case .pbft(_, .status) = outgoing.message { continue }
            note(Self.kind(of: outgoing.message), now: now)
        }
        if !ready.toGateways.isEmpty { note("replies", now: now) }
    }

    private static func kind(of message: HostMessage) -> String {
        // After "s0 ".
        let words = message.brief.drop { $0 != " " }.dropFirst()
        return String(words.prefix { $0.isUppercase || $0 == "-" })
    }
}

extension Simulation {
    /// Whether all is done for good. Throws when it takes longer than it may.
    mutating func isAtRest() throws -> Bool {
        if !world.rest.isWatching {
            guard hosts.isQuiet() else { return false }
            if world.options.keepsLog { world.note("quiet") }
            world.rest.begin(now: world.now)
        }
        guard let began = world.rest.began else { return false }
        if world.rest.isSilent(now: world.now), hosts.isQuiet(), hosts.unfinished.isEmpty { return true }
        if world.now > began + restBound {
            throw world.failure(
                "the cluster did not come to rest within \(restBound / 1_000_000) ms; last \(world.rest.what) at \(world.rest.lastActivity / 1_000_000) ms, since then open: \(hosts.unfinished.joined(separator: ", ")); \(world.rest.description)\n  \(describeState())"
            )
        }
        return false
    }

    /// Of requests that live for `ClientModel.lifetime`: see `RestBound`. Views of liars, who are mute by then, are
    /// left before.
    private var restBound: UInt64 {
        let host = world.options.host
        let bound = HoldBound(
            options: host, tick: 40_000_000, ordering: UInt64(world.f + 1) * host.replica.maxTimeout)
        return bound.rest(
            untilDeadline: ClientModel.lifetimeMicroseconds * 1000, standing: clockFaults.standing * 1000,
            openRecords: 256)
    }
}
