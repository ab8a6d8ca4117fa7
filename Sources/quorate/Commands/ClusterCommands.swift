import ArgumentParser
import Foundation
import HostRuntime
import Messages
import StrictInput

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Create, start, watch and stop a cluster on this machine.",
        discussion: """
            A cluster is a folder: cluster.json (the manifest), issuer.key (may create money), authority.crt (by which clients \
            know gateways in TLS) with authority.key, one folder a host, and logs/ and run/ once it has been started.

              quorate cluster init demo --shards 4 --replicas 4
              quorate cluster up demo --gateways 2
              quorate cluster status demo
              quorate cluster logs demo --follow
              quorate cluster kill-host demo 2        # a crash; the cluster carries on
              quorate cluster up demo                 # starts what is missing; host 2 catches up
              quorate cluster down demo

            A host whose disk was lost, or whose journal is damaged, rejoins by itself when it is started. One whose files were \
            restored from a backup must be declared first: quorate cluster restore-host demo 2.

            Hosts with procedures of your own (deploy/template) are started, and started again, with their program:
            quorate cluster up demo --host-program .build/release/poll-host
            """,
        subcommands: [
            Init.self, Up.self, Status.self, Logs.self, Down.self, KillHost.self, RestartHost.self, RestoreHost.self,
            Certificates.self,
        ])

    /// The folder's absolute path: command lines of processes carry it.
    static func open(_ directory: String) throws -> ClusterFolder {
        try ClusterFolder(opening: absolute(directory))
    }

    static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    struct Init: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create a cluster's folder: manifest and keys.",
            discussion: """
                Without --base-port: 7100, or, where something listens on a port that the cluster would need, the next ports that \
                are free.

                With --hosts the cluster is for many machines, one host on each. Of the folder, hosts/N goes to the machine of host \
                N: it has that host's key and no other secret. gateways/N goes to the machine of gateway N: it has the key by which \
                clients know that gateway. public goes to clients, and has no secret. What is left, with issuer.key and \
                authority.key, stays with whoever may create money and certificates:

                  quorate cluster init bank --shards 4 \
                      --hosts a.example:7100,b.example:7100,c.example:7100,[2001:db8::4]:7100 --gateways g.example:7200
                  quorate host run hosts/0               # on a.example, in what was copied there
                  quorate gateway run gateways/0         # on g.example, likewise
                """)
        @Argument(help: "The folder; it must not exist.") var directory: String
        @Option(help: Limits.shards.help("How many shards."), transform: Limits.shards.parse) var shards = 1
        @Option(
            help: Limits.replicas.help("Replicas of each shard, and so hosts: 3f + 1 for f faulty ones (4, 7, 10, …)."),
            transform: Limits.replicas.parse) var replicas = 4
        @Option(
            help: Limits.port.help(
                "Host N listens on this port + N; gateways, if nothing else is said, from 100 above it on."),
            transform: Limits.port.parse) var basePort: Int?
        @Option(
            help: .init(
                "Where the hosts are reached, by number: a cluster for many machines.",
                valueName: "address:port,…"),
            transform: Addresses.parse) var hosts: [HostAddress] = []
        @Option(
            help: .init("Where clients find gateways, with --hosts.", valueName: "address:port,…"),
            transform: Addresses.parse) var gateways: [HostAddress] = []
        @Option(
            help:
                "Whether clients and gateways speak TLS 1.3, and HTTPS: an authority of the cluster's own and certificates for the gateways are made."
        ) var clientTLS = ClientTLS.on
        @Flag(help: "Print one JSON object.") var json = false

        static let usualPort = 7100
        /// From the ports of host 0 to those of gateways.
        static let gatewayDistance = 100

        struct Created: Encodable, Sendable {
            var schema = 1
            var folder: String
            var cluster: String
            var shards: Int
            var replicas: Int
            var hosts: Int
            /// Nil where every host has its own address.
            var base_port: Int?
            /// Of a cluster for many machines.
            var addresses: [String]?
            /// Whether clients and gateways speak TLS.
            var client_tls: Bool
        }

        func validate() throws {
            guard hosts.isEmpty else {
                guard basePort == nil else {
                    throw ValidationError("--base-port is for one machine; --hosts says every port.")
                }
                return try Limits.checkHosts(hosts.count)
            }
            guard gateways.isEmpty else {
                throw ValidationError("--gateways goes with --hosts; on one machine, say it to quorate cluster up.")
            }
            try Limits.checkReplicas(replicas)
            guard let basePort, basePort + replicas - 1 > 65535 else { return }
            throw ValidationError(
                "--base-port must be from 1 to \(65536 - replicas), so that \(replicas) hosts have ports; got \(basePort)."
            )
        }

        func execute() async throws {
            let path = ClusterCommand.absolute(directory)
            guard hosts.isEmpty else { return try createForManyMachines(path) }
            let port = try basePort ?? FreePorts.forCluster(hosts: replicas)
            let folder = try ClusterFolder.create(
                at: path, shards: shards, replicas: replicas, basePort: port, clientTLS: clientTLS.isOn)
            guard !json else {
                return try Console.json(
                    Created(
                        folder: path, cluster: folder.manifest.cluster.hex, shards: shards, replicas: replicas,
                        hosts: replicas, base_port: port, client_tls: clientTLS.isOn))
            }
            Console.out(
                "created \(directory): cluster \(folder.manifest.cluster.short), \(shards) \(shards == 1 ? "shard" : "shards") of \(replicas) replicas on \(replicas) hosts, ports \(port) to \(port + replicas - 1)"
            )
            if basePort == nil, port != Self.usualPort {
                Console.out("the usual ports, from \(Self.usualPort) on, are taken")
            }
            Console.out("start it with: quorate cluster up \(directory)")
        }

        private func createForManyMachines(_ path: String) throws {
            let folder = try ClusterFolder.create(
                at: path, shards: shards, hosts: hosts, gateways: gateways, clientTLS: clientTLS.isOn)
            guard !json else {
                return try Console.json(
                    Created(
                        folder: path, cluster: folder.manifest.cluster.hex, shards: shards, replicas: hosts.count,
                        hosts: hosts.count, addresses: hosts.map(\.description), client_tls: clientTLS.isOn))
            }
            Console.out(
                "created \(directory): cluster \(folder.manifest.cluster.short), \(shards) \(shards == 1 ? "shard" : "shards") of \(hosts.count) replicas on \(hosts.count) machines"
            )
            for (number, host) in hosts.enumerated() {
                Console.out(
                    "host \(number)  \(host)  copy \(directory)/hosts/\(number) there, and: quorate host run FOLDER")
            }
            guard clientTLS.isOn else {
                Console.out(
                    "gateways and clients need \(directory)/public, which has no secret: quorate gateway run FOLDER")
                return Console.out(
                    "issuer.key may create money, compliance.key freeze accounts: keep them off the hosts")
            }
            for (number, gateway) in gateways.enumerated() {
                Console.out(
                    "gateway \(number)  \(gateway)  copy \(directory)/gateways/\(number) there, and: quorate gateway run FOLDER"
                )
            }
            if gateways.isEmpty {
                Console.out(
                    "no gateway is listed; for each, make its folder: quorate cluster certificates \(directory) --gateway N --names NAME"
                )
            }
            Console.out("clients need \(directory)/public, which has no secret")
            Console.out(
                "issuer.key may create money, compliance.key freeze accounts, authority.key make gateways: keep them off the machines"
            )
        }
    }

    /// `a.example:7100,[::1]:7100`
    enum Addresses {
        /// - Throws: `ValidationError`.
        static func parse(_ text: String) throws -> [HostAddress] {
            let words = text.split(separator: ",", omittingEmptySubsequences: false)
            let addresses = try words.map { word in
                guard let address = HostAddress(String(word)) else {
                    throw ValidationError(
                        "\(Printable.quoted(word.utf8)) is no address; give ADDRESS:PORT or [IPv6]:PORT, as a.example:7100."
                    )
                }
                return address
            }
            let normal = addresses.map(\.normal)
            for (i, address) in addresses.enumerated() {
                guard !address.isWildcard else {
                    throw ValidationError(
                        "\(address) is where something may listen, and where nobody can be found; give the address or name by which others reach it. Where it listens is said when it is started: --listen."
                    )
                }
                guard !normal[..<i].contains(normal[i]) else {
                    throw ValidationError("\(address) is given twice; each needs an address and port of its own.")
                }
            }
            return addresses
        }
    }

    struct Up: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Start what does not run, and wait until it answers.",
            discussion: """
                A host that does not start is named with its reason; the others run without it, and the exit code is \
                \(ExitReason.hostsMissing.rawValue), as it is when a host runs but is halted. If no host starts, or a gateway does \
                not, or it is interrupted, what was started is ended. Gateway N listens on the gateway port + N.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Option(help: Limits.gateways.help("How many gateways."), transform: Limits.gateways.parse) var gateways = 1
        @Option(
            help: Whole(0...65535).help(
                "Where gateway 0 listens; 0 for any free ports. Default: the port of host 0, plus 100."),
            transform: Whole(0...65535).parse) var gatewayPort: Int?
        @Option(help: Limits.wait.help("Seconds to wait for an answer."), transform: Limits.wait.parse) var timeout = 60
        @Option(help: Limits.host.help("Do not start this host. May be repeated."), transform: Limits.host.parse)
        var without: [Int] = []
        @Option(
            help: Limits.traceRate.help(
                "The share of requests of which what is started keeps the stamps that quorate trace shows."),
            transform: Limits.traceRate.parse) var traceRate = 0.0
        @Flag(
            inversion: .prefixedNo,
            help: "Have each process say over HTTP how it is, on a free port of loopback.") var http = true
        @OptionGroup var hostProgram: HostProgramOption
        @OptionGroup var network: NetworkOption
        @Flag(help: "Print one JSON object.") var json = false

        struct Started: Encodable, Sendable {
            struct Missing: Encodable, Sendable {
                var host: Int
                var code: String
                var why: String
            }
            var schema = 1
            var started: [String]
            var gateways: [String]
            /// Hosts that do not start, or are halted.
            var missing: [Missing]
            var verdicts: [ClusterStatus.Verdict]
        }

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            let processes = ClusterProcesses(
                folder, hostProgram: try hostProgram.path(), traceRate: traceRate, hasWeb: http,
                network: try network.emulation(hosts: folder.manifest.hosts.count, gateways: gateways))
            try processes.requireOneMachine()
            let manifest = folder.manifest
            for host in without { try Limits.checkHost(host, of: manifest.hosts.count) }
            let hosts = manifest.hosts.indices.filter { !without.contains($0) }
            guard !hosts.isEmpty else { throw ValidationError("--without leaves no host to start.") }
            let firstPort = gatewayPort ?? manifest.hosts[0].port + Init.gatewayDistance
            guard firstPort == 0 || firstPort + gateways - 1 <= 65535 else {
                throw ValidationError(
                    "\(gateways) gateways from port \(firstPort) on go beyond 65535; give another --gateway-port, or 0 for any."
                )
            }
            let lock = try await ClusterLock.hold(processes.run, for: "cluster up")
            defer { withExtendedLifetime(lock) {} }
            let startup = try await processes.start(
                hosts: hosts, gateways: gateways, gatewayPort: firstPort, timeout: .seconds(timeout),
                toleratesFailures: true)
            // From here on they live for themselves.
            Interrupts.disownAll()
            let status = await ClusterStatus.collect(processes)
            let halted = status.hosts.compactMap { host in
                host.replicas.first { !$0.halted.isEmpty }.map {
                    Started.Missing(host: host.host, code: "halted", why: $0.halted)
                }
            }
            let failed = startup.failures.map {
                Started.Missing(host: $0.host, code: $0.error.reason.name, why: $0.error.description)
            }
            if json {
                try Console.json(
                    Started(
                        started: startup.started.map(\.description), gateways: processes.gateways.map(\.description),
                        missing: failed + halted,
                        verdicts: status.verdicts))
            } else {
                let names = startup.started.map(\.description).joined(separator: ", ")
                let isAllWell = failed.isEmpty && halted.isEmpty
                Console.out(
                    !names.isEmpty ? "started \(names)" : isAllWell ? "everything runs already" : "started nothing more"
                )
                for (i, address) in processes.gateways.enumerated() {
                    let page = processes.page(of: .gateway(i)).map { ", \($0)" } ?? ""
                    Console.out("gateway \(i) listens on \(address)\(page)")
                }
            }
            for host in status.hosts {
                guard let replica = host.replicas.first(where: { !$0.standing.isEmpty && $0.halted.isEmpty }) else {
                    continue
                }
                Console.error("host \(host.host) does not vote yet: \(Printable.line(replica.standing))")
            }
            guard !failed.isEmpty || !halted.isEmpty else { return }
            for host in failed { Console.error("HOST \(host.host) DOES NOT START: \(host.why)") }
            for host in halted {
                Console.error(
                    "HOST \(host.host) IS HALTED: \(Printable.line(host.why)). It runs, and takes no part; when that is mended: quorate cluster restart-host \(directory) \(host.host)"
                )
            }
            Console.error(Self.consequence(manifest, down: Set((failed + halted).map(\.host) + without)))
            throw ExitCode(ExitReason.hostsMissing.rawValue)
        }

        /// Whether the shards go on without some hosts.
        static func consequence(_ manifest: Manifest, down: Set<Int>) -> String {
            let stuck = manifest.shards.indices.filter { shard in
                manifest.shards[shard].count { down.contains(Int($0.number)) }
                    > manifest.group(of: ShardID(UInt16(shard))).f
            }
            guard let first = stuck.first else {
                return "the cluster carries on without: no shard misses more than f replicas"
            }
            let f = manifest.group(of: ShardID(UInt16(first))).f
            let shards = stuck.count == 1 ? "shard \(first)" : "\(stuck.count) shards"
            return "more than f = \(f) replicas are missing, so nothing commits on \(shards) until they are back"
        }
    }

    struct Down: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop all processes of the cluster.",
            discussion: """
                The exit code is \(ExitReason.notPermitted.rawValue) if they are another user's; then none is stopped.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Option(
            help: Whole(0...86_400).help("Seconds before a process that does not stop is killed."),
            transform: Whole(0...86_400).parse)
        var grace = 10
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let processes = ClusterProcesses(try ClusterCommand.open(directory))
            let lock = try await ClusterLock.hold(processes.run, for: "cluster down")
            defer { withExtendedLifetime(lock) {} }
            let ended = try await processes.down(grace: .seconds(grace)).map(\.description)
            if json { return try Console.json(Changed(stopped: ended)) }
            Console.out(ended.isEmpty ? "nothing was running" : "stopped \(ended.joined(separator: ", "))")
        }
    }

    /// What `down`, `kill-host`, `restart-host` and `restore-host` have done.
    struct Changed: Encodable, Sendable {
        var schema = 1
        var stopped: [String]?
        var killed: [Int]?
        var running: [Int]?
        var declared: [Int]?
    }

    struct KillHost: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Kill hosts as a crash would (SIGKILL).",
            discussion: "quorate cluster up, or restart-host, starts them again.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: Limits.host.help("The hosts' numbers.", name: "host"), transform: Limits.host.parse) var hosts:
            [Int]
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let processes = ClusterProcesses(try ClusterCommand.open(directory))
            for host in hosts { try Limits.checkHost(host, of: processes.folder.manifest.hosts.count) }
            let lock = try await ClusterLock.hold(processes.run, for: "cluster kill-host")
            defer { withExtendedLifetime(lock) {} }
            try processes.adopt()
            var wanted: [Int] = []
            for host in hosts where !wanted.contains(host) { wanted.append(host) }
            try processes.requireKillable(hosts: wanted)
            for host in wanted {
                try await processes.kill(host: host)
                if !json { Console.out("killed host \(host)") }
            }
            if json { try Console.json(Changed(killed: wanted)) }
        }
    }

    struct RestartHost: ToolCommand {
        static let configuration = CommandConfiguration(abstract: "Stop a host if it runs, and start it.")
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(help: Limits.host.help("The host's number.", name: "host"), transform: Limits.host.parse) var host:
            Int
        @OptionGroup var hostProgram: HostProgramOption
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            try Limits.checkHost(host, of: folder.manifest.hosts.count)
            // As it was started.
            let hasWeb = RunFolder(folder.path).webPort(of: .host(host)) != nil
            let processes = ClusterProcesses(folder, hostProgram: try hostProgram.path(), hasWeb: hasWeb)
            // Before it is stopped.
            try processes.requireOneMachine()
            let lock = try await ClusterLock.hold(processes.run, for: "cluster restart-host")
            defer { withExtendedLifetime(lock) {} }
            try processes.adopt()
            try await processes.stop(host: host)
            _ = try await processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
            Interrupts.disownAll()
            if json { try Console.json(Changed(running: [host])) } else { Console.out("host \(host) runs") }
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
        @Argument(help: Limits.host.help("The host's number.", name: "host"), transform: Limits.host.parse) var host:
            Int
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            try Limits.checkHost(host, of: folder.manifest.hosts.count)
            let hostFolder = try folder.host(HostID(UInt16(host)))
            let processes = ClusterProcesses(folder)
            let lock = try await ClusterLock.hold(processes.run, for: "cluster restore-host")
            defer { withExtendedLifetime(lock) {} }
            try processes.adopt()
            guard !hostFolder.isInUse || processes.run.running(.host(host)) != nil else {
                throw ToolError(.failure, "host \(host) runs; stop it first, as whoever started it does")
            }
            guard processes.run.running(.host(host)) == nil else {
                throw ToolError(
                    .failure,
                    "host \(host) runs; stop it first with: quorate cluster kill-host \(Shell.quoted(directory)) \(host)"
                )
            }
            try hostFolder.declareLostRecords()
            if json { return try Console.json(Changed(declared: [host])) }
            let start =
                folder.isForManyMachines
                ? "start it as you usually do" : "quorate cluster restart-host \(Shell.quoted(directory)) \(host)"
            Console.out("host \(host) rejoins in quarantine when it is started: \(start)")
        }
    }
}
