import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput

extension ClusterCommand {
    struct Status: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask every host and gateway how it is.",
            discussion: "The exit code is 0 if all hosts answer and vote, and \(ExitReason.noAnswer.rawValue) otherwise.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            let status = await ClusterStatus.collect(ClusterProcesses(folder))
            if json { try Console.json(status) } else { Console.out(status.text()) }
            guard status.healthy else { throw ExitCode(ExitReason.noAnswer.rawValue) }
        }
    }
}

/// What `cluster status` found.
struct ClusterStatus: Encodable, Sendable {
    struct Replica: Encodable, Sendable {
        var shard: Int
        var replica: Int
        var view: UInt64
        var changing_view: Bool
        var primary: Bool
        var executed: UInt64
        var stable: UInt64
        var flushed: UInt64
        var waiting: Int
        var undecided: Int
        /// Records that are pushed to other shards until they say that they are done.
        var open: Int
        /// For how long the replica has seen the oldest of them undecided.
        var oldest_undecided_ms: Int
        var halted: String
        /// Empty while it takes part in ordering.
        var standing: String
    }
    struct Host: Encodable, Sendable {
        var host: Int
        var address: String
        var pid: Int32?
        var answers: Bool
        var replicas: [Replica]
    }
    struct Gateway: Encodable, Sendable {
        var gateway: Int
        var address: String
        var pid: Int32?
        var queued: UInt64
        var in_flight: UInt64
        var completed: UInt64
        var rejected: UInt64
        var retransmissions: UInt64
        var conflicts: UInt64
    }
    var schema = 1
    var cluster: String
    var shards: Int
    var hosts: [Host]
    var gateways: [Gateway]
    var healthy: Bool

    static func collect(_ processes: ClusterProcesses) async -> ClusterStatus {
        let manifest = processes.folder.manifest
        var hosts: [Host] = []
        for (number, host) in manifest.hosts.enumerated() {
            let replicas = try? await processes.status(ofHost: number)
            hosts.append(Host(
                host: number, address: "\(host.address):\(host.port)", pid: processes.run.running(.host(number))?.pid, answers: replicas != nil,
                replicas: (replicas ?? []).map {
                    Replica(
                        shard: Int($0.shard.number), replica: $0.replica.index, view: $0.view.number, changing_view: $0.isChangingView,
                        primary: $0.isPrimary, executed: $0.lastExecuted.number, stable: $0.stable.number, flushed: $0.flushed.number,
                        waiting: Int($0.pendingRequests), undecided: Int($0.undecided), open: Int($0.open),
                        oldest_undecided_ms: Int($0.oldestUndecided / 1000), halted: $0.halted,
                        standing: $0.standing)
                }))
        }
        var gateways: [Gateway] = []
        for role in processes.run.recorded() {
            guard case .gateway(let number) = role, let port = processes.run.port(ofGateway: number),
                let connection = try? await GatewayConnection.connect(GatewayAddress(host: "127.0.0.1", port: port))
            else { continue }
            if let status = try? await connection.status(timeout: .seconds(5)) {
                gateways.append(Gateway(
                    gateway: number, address: "127.0.0.1:\(port)", pid: processes.run.running(role)?.pid, queued: status.queued,
                    in_flight: status.inFlight, completed: status.completed, rejected: status.rejected,
                    retransmissions: status.retransmissions, conflicts: status.conflicts))
            }
            await connection.close()
        }
        let healthy = hosts.allSatisfy { $0.answers && $0.replicas.allSatisfy { $0.halted.isEmpty && $0.standing.isEmpty } }
        return ClusterStatus(
            cluster: manifest.cluster.hex, shards: manifest.shardCount, hosts: hosts, gateways: gateways, healthy: healthy)
    }

    func text() -> String {
        var lines = ["cluster \(cluster.prefix(8)): \(shards) \(shards == 1 ? "shard" : "shards") on \(hosts.count) hosts"]
        for host in hosts {
            let process = host.pid.map { "process \($0)" } ?? "no process"
            lines.append("host \(host.host)  \(host.address)  \(process)  \(host.answers ? "answers" : "DOES NOT ANSWER")")
            for replica in host.replicas {
                var line = "  shard \(replica.shard)  view \(replica.view)\(replica.primary ? " (primary)" : "")  executed \(replica.executed)  stable \(replica.stable)  on disk \(replica.flushed)"
                if replica.changing_view { line += "  changing its view" }
                if replica.waiting > 0 { line += "  \(replica.waiting) waiting" }
                if replica.undecided > 0 { line += "  \(replica.undecided) undecided (oldest \(replica.oldest_undecided_ms) ms)" }
                // The host's words.
                if !replica.standing.isEmpty { line += "  \(Printable.line(replica.standing))" }
                if !replica.halted.isEmpty { line += "  HALTED: \(Printable.line(replica.halted))" }
                lines.append(line)
            }
        }
        if gateways.isEmpty { lines.append("no gateway answers") }
        for gateway in gateways {
            lines.append("gateway \(gateway.gateway)  \(gateway.address)  queued \(gateway.queued)  in flight \(gateway.in_flight)  completed \(gateway.completed)  rejected \(gateway.rejected)  resent \(gateway.retransmissions) (conflicts \(gateway.conflicts))")
        }
        return lines.joined(separator: "\n")
    }
}
