import Messages

/// Where each peer last said that it is.
package struct Peers: Sendable {
    package struct Peer: Sendable {
        package fileprivate(set) var status: Status?
        /// `lastExecuted` did not move since the status before.
        package fileprivate(set) var isStuck = false
        fileprivate var at: UInt64 = 0
    }

    private let configuration: ReplicaConfiguration
    private var peers: [Peer]
    /// When this replica last said where it is itself.
    private var saidAt: UInt64 = 0

    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        peers = Array(repeating: Peer(), count: configuration.group.n)
    }

    package subscript(replica: ReplicaIndex) -> Peer { peers[replica.index] }

    private var group: ReplicaGroup { configuration.group }

    /// - Returns: false if it comes too soon: a repair is much larger than a status, and a faulty peer gets few.
    package mutating func note(_ status: Status, from: ReplicaIndex, now: Instant) -> Bool {
        let known = peers[from.index]
        guard now.uptime >= known.at + configuration.limits.statusInterval / 4 else { return false }
        let isStuck = known.status?.lastExecuted == status.lastExecuted
        peers[from.index] = Peer(status: status, isStuck: isStuck, at: now.uptime)
        return true
    }

    mutating func isStatusDue(now: Instant) -> Bool {
        guard now.uptime >= saidAt + configuration.limits.statusInterval else { return false }
        saidAt = now.uptime
        return true
    }

    /// Whether a status came within so many intervals.
    func isHeard(_ replica: ReplicaIndex, within intervals: UInt64, now: Instant) -> Bool {
        now.uptime < peers[replica.index].at + intervals * configuration.limits.statusInterval
    }

    /// f + 1 peers executed as far as this, so a correct one did.
    package var certainlyExecuted: SequenceNumber {
        let executed = peers.compactMap { $0.status?.lastExecuted }.sorted(by: >)
        return executed.count >= group.weakQuorum ? executed[group.f] : .zero
    }

    /// f + 1 peers have installed this view or a later one.
    var installedView: View? {
        let views = peers.compactMap { $0.status.flatMap { $0.isChangingView ? nil : $0.view } }.sorted(by: >)
        return views.count >= group.weakQuorum ? views[group.f] : nil
    }

    /// Whether the peer takes no part until the shard is further than it has executed here.
    func waits(_ replica: ReplicaIndex, after executed: SequenceNumber, now: Instant) -> Bool {
        guard let status = peers[replica.index].status, isHeard(replica, within: 10, now: now) else { return false }
        return status.awaits > executed
    }

    /// Whether any does. What it may ask for is bounded.
    package func isMoveAwaited(after executed: SequenceNumber, upTo furthest: UInt64, now: Instant) -> Bool {
        group.replicas.contains {
            waits($0, after: executed, now: now) && (peers[$0.index].status?.awaits.number ?? 0) <= furthest
        }
    }
}

extension ReplicaGroup {
    var replicas: some Sequence<ReplicaIndex> { (0..<n).lazy.map { ReplicaIndex(UInt8($0)) } }
}
