import HostRuntime
import Messages
import NIOPosix
import Workload

/// When survivors show that they have left a view, and execute again: monotonic nanoseconds, as seen by asking every
/// few milliseconds, so late by that and by the answer's way.
struct ViewSighting: Sendable {
    /// Some replica has entered a later view.
    var enteredAt: UInt64?
    /// Some replica has executed more in a later view than it had before it entered that view.
    var executedAt: UInt64?

    func merged(_ other: ViewSighting) -> ViewSighting {
        ViewSighting(
            enteredAt: Self.first(enteredAt, other.enteredAt), executedAt: Self.first(executedAt, other.executedAt))
    }

    private static func first(_ a: UInt64?, _ b: UInt64?) -> UInt64? { [a, b].compactMap { $0 }.min() }
}

/// Sessions of their own with some hosts, on a thread of their own: answers must not wait behind the load's receipts.
struct ViewWatch: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let connections: [HostConnection]
    private static let pause = Duration.milliseconds(3)

    static func open(_ hosts: [Int], of manifest: Manifest) async throws -> ViewWatch {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var connections: [HostConnection] = []
        do {
            for host in hosts {
                connections.append(try await HostConnection.connect(to: HostID(UInt16(host)), of: manifest, on: group))
            }
        } catch {
            await ViewWatch(group: group, connections: connections).close()
            throw error
        }
        return ViewWatch(group: group, connections: connections)
    }

    func close() async {
        for connection in connections { await connection.close() }
        try? await group.shutdownGracefully()
    }

    /// Returns when every host was seen to execute in a later view, or at `end`.
    func follow(_ shard: ShardID, leaving view: View, until end: UInt64) async -> ViewSighting {
        await withTaskGroup(of: ViewSighting.self) { tasks in
            for connection in connections {
                tasks.addTask { await Self.follow(connection, shard, leaving: view, until: end) }
            }
            return await tasks.reduce(ViewSighting()) { $0.merged($1) }
        }
    }

    private static func follow(_ connection: HostConnection, _ shard: ShardID, leaving view: View, until end: UInt64)
        async -> ViewSighting
    {
        var sighting = ViewSighting()
        var before: SequenceNumber?
        while Instant.current().uptime < end, !Task.isCancelled {
            let replicas = try? await connection.status(timeout: .seconds(1))
            if let replica = replicas?.first(where: { $0.shard == shard }) {
                let now = Instant.current().uptime
                if replica.view <= view || replica.isChangingView {
                    before = replica.lastExecuted
                } else {
                    sighting.enteredAt = sighting.enteredAt ?? now
                    if let before, replica.lastExecuted > before {
                        sighting.executedAt = now
                        return sighting
                    }
                    before = before ?? replica.lastExecuted
                }
            }
            try? await Task.sleep(for: pause)
        }
        return sighting
    }
}
