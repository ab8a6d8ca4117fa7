import HostRuntime
import Messages
import NIOPosix

/// Asks all hosts what waits, which views they are in and what they have executed, over sessions of its own.
struct HostWatch: Sendable {
    struct Sight: Sendable {
        /// Requests and decides that wait to be ordered, at the replica with the most.
        var waiting = 0
        /// Of each shard, the latest that a replica has entered or is about to.
        var views: [UInt64]
        /// Of each shard, by the replica that has executed most.
        var executed: [UInt64]
        /// Nothing waits, no record is undecided or pushed, and all replicas of a shard have executed the same.
        var isAtRest = true
    }

    private let group: MultiThreadedEventLoopGroup
    private let connections: [HostConnection]
    private let shards: Int

    static func open(_ manifest: Manifest) async throws -> HostWatch {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var connections: [HostConnection] = []
        do {
            for host in manifest.hosts.indices {
                connections.append(try await HostConnection.connect(to: HostID(UInt16(host)), of: manifest, on: group))
            }
        } catch {
            await HostWatch(group: group, connections: connections, shards: manifest.shardCount).close()
            throw error
        }
        return HostWatch(group: group, connections: connections, shards: manifest.shardCount)
    }

    func close() async {
        for connection in connections { await connection.close() }
        try? await group.shutdownGracefully()
    }

    /// Nil if a host does not answer.
    func look(timeout: Duration = .seconds(10)) async -> Sight? {
        await withTaskGroup(of: [ReplicaStatus]?.self) { tasks in
            for connection in connections { tasks.addTask { try? await connection.status(timeout: timeout) } }
            var sight = Sight(views: Array(repeating: 0, count: shards), executed: Array(repeating: 0, count: shards))
            var least = [UInt64](repeating: .max, count: shards)
            for await replicas in tasks {
                guard let replicas else { return nil }
                for replica in replicas where Int(replica.shard.number) < shards {
                    let shard = Int(replica.shard.number)
                    sight.waiting = max(sight.waiting, Int(replica.pendingRequests))
                    sight.views[shard] = max(sight.views[shard], replica.view.number)
                    sight.executed[shard] = max(sight.executed[shard], replica.lastExecuted.number)
                    least[shard] = min(least[shard], replica.lastExecuted.number)
                    if replica.pendingRequests > 0 || replica.undecided > 0 || replica.open > 0 {
                        sight.isAtRest = false
                    }
                }
            }
            if least != sight.executed { sight.isAtRest = false }
            return sight
        }
    }

    /// - Returns: in seconds, how long it took until the cluster was at rest; nil if it did not come within the limit.
    func rest(limit: Duration = .seconds(60)) async throws -> Double? {
        let start = ContinuousClock.now
        while ContinuousClock.now < start + limit {
            if let sight = await look(), sight.isAtRest { return (ContinuousClock.now - start) / .seconds(1) }
            try await Task.sleep(for: .milliseconds(100))
        }
        return nil
    }
}
