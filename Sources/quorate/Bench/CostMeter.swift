import Foundation
import Messages
import Synchronization
import Workload

/// Looks twice at what the processes of a run have used and counted: after the warm-up, and when the load is over. One
/// that could not be asked at both moments over one connection is left out of what is calculated.
final class CostMeter: Sendable {
    private let processes: ClusterProcesses
    private let connections: ClusterConnections
    private let first = Mutex<CostSample?>(nil)
    private static let timeout = Duration.seconds(2)

    init(_ processes: ClusterProcesses, _ connections: ClusterConnections) {
        (self.processes, self.connections) = (processes, connections)
    }

    /// Takes the first look when the warm-up is over; not at all if it is cancelled before.
    /// - Parameter committed: since the load began.
    func begin(after warmup: Double, committed: @Sendable () -> Int) async {
        try? await Task.sleep(for: .microseconds(Int64(warmup * 1e6)))
        guard !Task.isCancelled else { return }
        let sample = await look(committed: committed())
        first.withLock { $0 = sample }
    }

    /// Takes the second look.
    /// - Returns: nil if there was no first one.
    func end(committed: Int) async -> RunResult.Costs? {
        guard let first = first.withLock({ $0 }) else { return nil }
        return RunResult.Costs(from: first, to: await look(committed: committed))
    }

    /// The system first, so that all processes are looked at within milliseconds of the count of commits.
    private func look(committed: Int) async -> CostSample {
        let at = Instant.current().uptime
        var found: [(role: RunFolder.Role, process: CostSample.Process)] = processes.run.recorded().compactMap { role in
            guard let identity = processes.run.running(role) else { return nil }
            let (kind, number): (CostSample.Role, Int) =
                switch role {
                case .host(let number): (.host, number)
                case .gateway(let number): (.gateway, number)
                }
            return (role, Self.process(kind, number, identity))
        }
        let own = ProcessIdentity(running: getpid()).map { Self.process(.load, 0, $0) }
        let metrics = await connections.ask { try await $1.metrics(timeout: Self.timeout) }
        for i in found.indices { found[i].process.metrics = metrics[found[i].role] }
        return CostSample(at: at, committed: committed, processes: found.map(\.process) + [own].compactMap { $0 })
    }

    private static func process(
        _ role: CostSample.Role, _ number: Int, _ identity: ProcessIdentity
    ) -> CostSample.Process {
        CostSample.Process(
            role: role, number: number, identity: [UInt64(identity.pid), identity.start],
            usage: CostSample.Usage(of: identity), metrics: nil)
    }
}
