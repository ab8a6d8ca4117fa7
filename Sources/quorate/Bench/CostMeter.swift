import Client
import Foundation
import HostRuntime
import Messages
import NIOPosix
import Synchronization
import Workload

/// Looks twice at what the processes of a run have used and counted: after the warm-up, and when the load is over. One
/// that could not be asked at both moments over one connection is left out of what is calculated.
final class CostMeter: Sendable {
    private enum Asked: Sendable {
        case host(HostConnection)
        case gateway(GatewayConnection)
    }

    private let processes: ClusterProcesses
    /// Sessions of its own on a thread of its own, made before the load: a question costs little while it runs.
    private let group: MultiThreadedEventLoopGroup
    private let asked: [RunFolder.Role: Asked]
    private let first = Mutex<CostSample?>(nil)
    private static let timeout = Duration.seconds(2)

    private init(_ processes: ClusterProcesses, group: MultiThreadedEventLoopGroup, asked: [RunFolder.Role: Asked]) {
        (self.processes, self.group, self.asked) = (processes, group, asked)
    }

    /// Connects to all that runs; what does not answer is not sampled.
    static func open(_ processes: ClusterProcesses) async -> CostMeter {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var asked: [RunFolder.Role: Asked] = [:]
        for role in processes.run.recorded() {
            switch role {
            case .host(let number):
                let manifest = processes.folder.manifest
                let host = HostID(UInt16(clamping: number))
                let connection = try? await HostConnection.connect(to: host, of: manifest, on: group)
                if let connection { asked[role] = .host(connection) }
            case .gateway(let number):
                guard let port = processes.run.port(ofGateway: number) else { continue }
                let address = GatewayAddress(host: "127.0.0.1", port: port)
                let connection = try? await GatewayConnection.connect(address, on: group)
                if let connection { asked[role] = .gateway(connection) }
            }
        }
        return CostMeter(processes, group: group, asked: asked)
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

    func close() async {
        for asked in asked.values {
            switch asked {
            case .host(let connection): await connection.close()
            case .gateway(let connection): await connection.close()
            }
        }
        try? await group.shutdownGracefully()
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
        let metrics = await withTaskGroup(of: (RunFolder.Role, [MetricSample]?).self) { group in
            for (role, asked) in asked { group.addTask { (role, await Self.metrics(of: asked)) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for i in found.indices { found[i].process.metrics = metrics[found[i].role] ?? nil }
        return CostSample(at: at, committed: committed, processes: found.map(\.process) + [own].compactMap { $0 })
    }

    private static func process(
        _ role: CostSample.Role, _ number: Int, _ identity: ProcessIdentity
    ) -> CostSample.Process {
        CostSample.Process(
            role: role, number: number, identity: [UInt64(identity.pid), identity.start],
            usage: CostSample.Usage(of: identity), metrics: nil)
    }

    private static func metrics(of asked: Asked) async -> [MetricSample]? {
        switch asked {
        case .host(let connection): try? await connection.report(timeout: timeout).metrics
        case .gateway(let connection): try? await connection.status(timeout: timeout).metrics
        }
    }
}
