import Client
import HostRuntime
import Messages
import NIOPosix

/// Sessions with the hosts and gateways of a cluster that run, on a thread of their own: made before a load, a question
/// costs little while it runs. One that has ended is not made again.
final class ClusterConnections: Sendable {
    /// To one process.
    enum Connection: Sendable {
        case host(HostConnection)
        case gateway(GatewayConnection)

        /// What the process counts.
        func metrics(timeout: Duration) async throws -> [MetricSample] {
            switch self {
            case .host(let connection): try await connection.report(timeout: timeout).metrics
            case .gateway(let connection): try await connection.status(timeout: timeout).metrics
            }
        }

        /// Stamps that it keeps of traced requests.
        func stamps(_ query: StampQuery, timeout: Duration) async throws -> StampAnswer {
            switch self {
            case .host(let connection): try await connection.stamps(query, timeout: timeout)
            case .gateway(let connection): try await connection.stamps(query, timeout: timeout)
            }
        }
    }

    let all: [RunFolder.Role: Connection]
    private let group: MultiThreadedEventLoopGroup

    private init(group: MultiThreadedEventLoopGroup, _ all: [RunFolder.Role: Connection]) {
        (self.group, self.all) = (group, all)
    }

    /// Connects to all that runs and can be reached.
    static func open(_ processes: ClusterProcesses, timeout: Duration = .seconds(2)) async -> ClusterConnections {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var all: [RunFolder.Role: Connection] = [:]
        for role in processes.run.recorded() {
            switch role {
            case .host(let number):
                var options = TransportOptions()
                options.connectTimeout = .nanoseconds(Int64(timeout / .nanoseconds(1)))
                options.handshakeTimeout = options.connectTimeout
                let connection = try? await HostConnection.connect(
                    to: HostID(UInt16(clamping: number)), of: processes.folder.manifest, options: options, on: group)
                if let connection { all[role] = .host(connection) }
            case .gateway(let number):
                guard let port = processes.run.port(ofGateway: number) else { continue }
                let address = processes.localGateway(at: port)
                let connection = try? await GatewayConnection.connect(address, timeout: timeout, on: group)
                if let connection { all[role] = .gateway(connection) }
            }
        }
        return ClusterConnections(group: group, all)
    }

    func close() async {
        for connection in all.values {
            switch connection {
            case .host(let connection): await connection.close()
            case .gateway(let connection): await connection.close()
            }
        }
        try? await group.shutdownGracefully()
    }

    /// Asks all at once.
    /// - Returns: what came of it, of those that answered.
    func ask<Value: Sendable>(
        _ question: @escaping @Sendable (RunFolder.Role, Connection) async throws -> Value
    ) async -> [RunFolder.Role: Value] {
        await withTaskGroup(of: (RunFolder.Role, Value?).self) { tasks in
            for (role, connection) in all {
                tasks.addTask { (role, try? await question(role, connection)) }
            }
            return await tasks.reduce(into: [:]) { if let value = $1.1 { $0[$1.0] = value } }
        }
    }
}
