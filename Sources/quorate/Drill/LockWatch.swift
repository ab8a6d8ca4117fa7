import HostRuntime
import Messages
import NIOPosix
import Synchronization
import Workload

/// Asks all hosts again and again for how long their oldest undecided records have held what they hold. Monotonic
/// nanoseconds.
final class LockWatch: Sendable {
    private struct Sample: Sendable {
        let askedAt: UInt64
        let answeredAt: UInt64
        /// Of all shards on the host: 0 if nothing is undecided.
        let oldest: UInt64
    }

    private let group: MultiThreadedEventLoopGroup
    private let connections: [HostConnection]
    private let samples = Mutex<[Sample]>([])
    private static let pause = Duration.milliseconds(25)

    private init(group: MultiThreadedEventLoopGroup, connections: [HostConnection]) {
        (self.group, self.connections) = (group, connections)
    }

    /// Sessions of its own, on a thread of its own: answers must not wait behind the load's receipts.
    static func open(_ hosts: Range<Int>, of manifest: Manifest) async throws -> LockWatch {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var connections: [HostConnection] = []
        do {
            for host in hosts {
                connections.append(try await HostConnection.connect(to: HostID(UInt16(host)), of: manifest, on: group))
            }
        } catch {
            await LockWatch(group: group, connections: connections).close()
            throw error
        }
        return LockWatch(group: group, connections: connections)
    }

    func close() async {
        for connection in connections { await connection.close() }
        try? await group.shutdownGracefully()
    }

    /// Until it is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            for connection in connections { tasks.addTask { await self.follow(connection) } }
        }
    }

    private func follow(_ connection: HostConnection) async {
        while !Task.isCancelled {
            let askedAt = Instant.current().uptime
            if let replicas = try? await connection.status(timeout: .seconds(2)) {
                let oldest = replicas.map(\.oldestUndecided).max() ?? 0
                let sample = Sample(askedAt: askedAt, answeredAt: Instant.current().uptime, oldest: oldest * 1000)
                samples.withLock { $0.append(sample) }
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// Whether any host has answered: silence is not to look like an absence of locks.
    func hasSeen(from start: UInt64, to end: UInt64) -> Bool {
        samples.withLock { $0.contains { $0.answeredAt >= start && $0.askedAt <= end } }
    }

    /// The longest that any record was seen undecided.
    func longest(from start: UInt64, to end: UInt64) -> UInt64 {
        samples.withLock { $0.filter { $0.answeredAt >= start && $0.askedAt <= end }.map(\.oldest).max() ?? 0 }
    }

    /// The last time at which a record was undecided that may have been so at `moment` already; nil if there was none.
    func lastHeld(since moment: UInt64) -> UInt64? {
        samples.withLock { samples in
            samples.filter {
                $0.askedAt >= moment && $0.oldest > 0 && $0.askedAt - min($0.askedAt, $0.oldest) <= moment
            }
            .map(\.answeredAt).max()
        }
    }
}
