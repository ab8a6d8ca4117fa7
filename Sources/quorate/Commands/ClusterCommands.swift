import ArgumentParser
import Foundation
import HostRuntime
import Messages

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Create, start, watch and stop a cluster on this machine.",
        discussion: """
            A cluster is a folder: cluster.json (the manifest), issuer.key (may create money), one folder a host, and \
            logs/ and run/ once it has been started.

              quorate cluster init demo --shards 4 --replicas 4
              quorate cluster up demo --gateways 2
              quorate cluster status demo
              quorate cluster kill-host demo 2        # a crash; the cluster carries on
              quorate cluster up demo                 # starts what is missing; host 2 catches up
              quorate cluster down demo

            A host whose disk was lost, or whose journal is damaged, rejoins by itself when it is started. One whose files were \
            restored from a backup must be declared first: quorate cluster restore-host demo 2.

            Hosts with procedures of your own (deploy/template) are started, and started again, with their program:
            quorate cluster up demo --host-program .build/release/poll-host
            """,
        subcommands: [Init.self, Up.self, Status.self, Down.self, KillHost.self, RestartHost.self, RestoreHost.self])

    /// The folder's absolute path: command lines of processes carry it.
    static func open(_ directory: String) throws -> ClusterFolder {
        try ClusterFolder(opening: absolute(directory))
    }

    static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    struct Init: ToolCommand {
        static let configuration = CommandConfiguration(abstract: "Create a cluster's folder: manifest and keys.")
        @Argument(help: "The folder; it must not exist.") var directory: String
        @Option(help: "How many shards.") var shards = 1
        @Option(help: "Replicas of each shard, and so hosts: 3f + 1 for f faulty ones (4, 7, 10, …).") var replicas = 4
        @Option(help: "Host N listens on this port + N.") var basePort = 7100

        func execute() async throws {
            let path = ClusterCommand.absolute(directory)
            let folder = try ClusterFolder.create(at: path, shards: shards, replicas: replicas, basePort: basePort)
            Console.out("created \(directory): cluster \(folder.manifest.cluster.short), \(shards) \(shards == 1 ? "shard" : "shards") of \(replicas) replicas on \(replicas) hosts, ports \(basePort) to \(basePort + replicas - 1)")
            Console.out("start it with: quorate cluster up \(directory)")
        }
    }

    struct Up: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start what does not run, and wait until it answers.",
            discussion: """
                A host that does not start is named with its reason; the others run without it, and the exit code is \
                \(ExitReason.hostsMissing.rawValue). If no host starts, or a gateway does not, or it is interrupted, what was \
                started is ended. Gateway N listens on the gateway port + N.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Option(help: "How many gateways.") var gateways = 1
        @Option(help: "Default: the port of host 0, plus 100.") var gatewayPort: Int?
        @Option(help: "Seconds to wait for an answer.") var timeout = 60
        @Option(help: "Do not start this host. May be repeated.") var without: [Int] = []
        @OptionGroup var hostProgram: HostProgramOption

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            let processes = ClusterProcesses(folder, hostProgram: try hostProgram.path())
            let manifest = folder.manifest
            for host in without { _ = try folder.host(HostID(UInt16(clamping: host))) }
            let hosts = manifest.hosts.indices.filter { !without.contains($0) }
            guard !hosts.isEmpty else { throw ToolError(.failure, "--without leaves no host to start") }
            let startup = try await processes.start(
                hosts: hosts, gateways: gateways, gatewayPort: gatewayPort ?? manifest.hosts[0].port + 100, timeout: .seconds(timeout),
                toleratesFailures: true)
            let names = startup.started.map(\.description).joined(separator: ", ")
            Console.out(!names.isEmpty ? "started \(names)" : startup.failures.isEmpty ? "everything runs already" : "started nothing more")
            for (i, address) in processes.gateways.enumerated() { Console.out("gateway \(i) listens on \(address)") }
            guard !startup.failures.isEmpty else { return }
            for (host, error) in startup.failures { Console.error("HOST \(host) DOES NOT START: \(error.description)") }
            Console.error(Self.consequence(manifest, down: Set(startup.failures.map(\.host) + without)))
            throw ExitCode(ExitReason.hostsMissing.rawValue)
        }

        /// Whether the shards go on without some hosts.
        static func consequence(_ manifest: Manifest, down: Set<Int>) -> String {
            let stuck = manifest.shards.indices.filter { shard in
                manifest.shards[shard].count { down.contains(Int($0.number)) } > manifest.group(of: ShardID(UInt16(shard))).f
            }
            guard let first = stuck.first else { return "the cluster carries on without: no shard misses more than f replicas" }
            let f = manifest.group(of: ShardID(UInt16(first))).f
            let shards = stuck.count == 1 ? "shard \(first)" : "\(stuck.count) shards"
            return "more than f = \(f) replicas are missing, so nothing commits on \(shards) until they are back"
        }
    }

    struct Down: ToolCommand {
        static let configuration = CommandConfiguration(abstract: "Stop all processes of the cluster.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Option(help: "Seconds before a process that does not stop is killed.") var grace = 10

        func execute() async throws {
            let processes = ClusterProcesses(try ClusterCommand.open(directory))
            let ended = await processes.down(grace: .seconds(grace))
            Console.out(ended.isEmpty ? "nothing was running" : "stopped \(ended.map(\.description).joined(separator: ", "))")
        }
    }

    struct KillHost: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Kill hosts as a crash would (SIGKILL).", discussion: "quorate cluster up, or restart-host, starts them again.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: "The hosts' numbers.") var hosts: [Int]

        func execute() async throws {
            let processes = ClusterProcesses(try ClusterCommand.open(directory))
            for host in hosts {
                try await processes.kill(host: host)
                Console.out("killed host \(host)")
            }
        }
    }

    struct RestartHost: ToolCommand {
        static let configuration = CommandConfiguration(abstract: "Stop a host if it runs, and start it.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: "The host's number.") var host: Int
        @OptionGroup var hostProgram: HostProgramOption

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            _ = try folder.host(HostID(UInt16(clamping: host)))
            let processes = ClusterProcesses(folder, hostProgram: try hostProgram.path())
            if let identity = processes.run.running(.host(host)) {
                identity.signal(SIGTERM)
                if await !identity.waitForEnd(.seconds(10)) { try await processes.kill(host: host) }
            }
            _ = try await processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
            Console.out("host \(host) runs")
        }
    }
    struct RestoreHost: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Declare that a host's files are an older backup, or incomplete.",
            discussion: """
                Such a host has forgotten votes. Started without this, it is refused by the others. Declared, it puts its journal \
                aside at the next start, takes no part until the shards have moved beyond all that it could have voted for, and \
                fetches the state that it lacks. Until then it counts as one of the f faulty hosts.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: "The host's number.") var host: Int

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            let hostFolder = try folder.host(HostID(UInt16(clamping: host)))
            guard ClusterProcesses(folder).run.running(.host(host)) == nil else {
                throw ToolError(.failure, "host \(host) runs; stop it first with: quorate cluster kill-host \(directory) \(host)")
            }
            try hostFolder.declareLostRecords()
            Console.out("host \(host) rejoins in quarantine when it is started: quorate cluster restart-host \(directory) \(host)")
        }
    }
}
