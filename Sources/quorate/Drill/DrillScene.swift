import Foundation
import HostRuntime
import Messages
import Synchronization
import Workload

/// What a drill did, and when.
final class DrillEvents: Sendable {
    private let all = Mutex<[(at: UInt64, what: String)]>([])

    /// - Parameter moment: monotonic nanoseconds.
    func note(_ what: String, at moment: UInt64) { all.withLock { $0.append((moment, what)) } }

    /// In seconds from `start`, in order.
    func since(_ start: UInt64) -> [RunResult.Event] {
        all.withLock { $0 }.sorted { $0.at < $1.at }.map {
            RunResult.Event(atSeconds: Double($0.at - min(start, $0.at)) / 1e9, what: $0.what)
        }
    }
}

/// A cluster under load, as a drill's script sees it.
struct DrillScene: Sendable {
    let processes: ClusterProcesses
    let log: CommitLog
    /// Filled where there are several gateways.
    let traffic: Traffic
    /// What has been found so far: it is shown if the drill does not come to its end.
    let keep: @Sendable (any DrillFindings) -> Void
    let events: DrillEvents

    /// For the report's time line.
    func note(_ what: String, at moment: UInt64 = now) { events.note(what, at: moment) }

    var manifest: Manifest { processes.folder.manifest }
    var hosts: Range<Int> { manifest.hosts.indices }
    static var now: UInt64 { Instant.current().uptime }

    static func sleep(until moment: UInt64) async throws {
        let now = now
        if moment > now { try await Task.sleep(for: .nanoseconds(Int64(moment - now))) }
    }

    /// Nil for a host that does not answer.
    func status(_ host: Int) async -> [ReplicaStatus]? {
        try? await processes.status(ofHost: host, timeout: .seconds(2))
    }

    private func leader(of shard: ShardID, in view: View) -> Int {
        let replica = manifest.group(of: shard).primary(of: view, in: shard)
        return Int(manifest.hosts(of: shard)[replica.index].number)
    }

    /// The host that leads a shard, once it says so itself in the latest view that anyone has entered.
    func primary(of shard: ShardID, limit: Duration = .seconds(30)) async throws -> (host: Int, view: View) {
        try await processes.primary(of: shard, limit: limit)
    }

    /// The latest view of each shard that a replica shows which is not leaving it.
    func views(except host: Int? = nil) async -> [View] {
        var views = [View](repeating: View(0), count: manifest.shardCount)
        for other in hosts where other != host {
            for status in await status(other) ?? [] where !status.isChangingView {
                views[Int(status.shard.number)] = max(views[Int(status.shard.number)], status.view)
            }
        }
        return views
    }

    /// The hosts that lead no shard, in the views given.
    func backups(_ views: [View]) -> [Int] {
        let leaders = Set(views.indices.map { leader(of: ShardID(UInt16($0)), in: views[$0]) })
        return hosts.filter { !leaders.contains($0) }
    }

    /// Waits until the host's replicas vote, and have executed what the others had executed when they were asked just
    /// before, in their view.
    /// - Returns: when that was; nil if it did not come within the limit.
    func caughtUp(_ host: Int, limit: Duration, pause: Duration = .milliseconds(20)) async throws -> UInt64? {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if await isCaughtUp(host) { return Self.now }
            try await Task.sleep(for: pause)
        }
        return nil
    }

    private func isCaughtUp(_ host: Int) async -> Bool {
        var goal: [ShardID: (sequence: SequenceNumber, view: View)] = [:]
        for other in hosts where other != host {
            for status in await status(other) ?? [] {
                let known = goal[status.shard] ?? (status.lastExecuted, View(0))
                let view = status.isChangingView ? known.view : max(known.view, status.view)
                goal[status.shard] = (max(known.sequence, status.lastExecuted), view)
            }
        }
        guard !goal.isEmpty, let own = await status(host) else { return false }
        return own.allSatisfy { status in
            guard let goal = goal[status.shard] else { return false }
            return status.votes && !status.isChangingView && status.view >= goal.view
                && status.lastExecuted >= goal.sequence
        }
    }
}

extension ReplicaStatus {
    /// Whether the replica takes part in ordering, by its own word.
    var votes: Bool { halted.isEmpty && standing.isEmpty }
}
