import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput

extension ClusterCommand {
    struct Status: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say of each shard whether it can commit, and ask every host and gateway how it is.",
            discussion: """
                A shard commits while 2f + 1 of its 3f + 1 replicas answer and vote.

                  quorate cluster status demo
                  quorate cluster status demo --watch         # each second, until Ctrl-C

                The exit code is 0 if all hosts and gateways answer and all replicas vote; \(ExitReason.cannotCommit.rawValue) if a shard \
                cannot commit; \(ExitReason.noAnswer.rawValue) if something is missing that no shard needs just now, or no gateway answers.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Flag(help: "Show it again each second, until it is interrupted.") var watch = false
        @Flag(help: "Print one JSON object; with --watch one on each line.") var json = false

        func execute() async throws {
            let processes = ClusterProcesses(try ClusterCommand.open(directory))
            if watch { return try await StatusWatch(processes: processes, json: json).run() }
            let status = await ClusterStatus.collect(processes)
            if json { try Console.json(status) } else { Console.out(status.text()) }
            if let reason = status.exitReason { throw ExitCode(reason.rawValue) }
        }
    }
}

/// `cluster status --watch`: the whole picture on a terminal; elsewhere a line a shard whenever it changes.
private struct StatusWatch {
    let processes: ClusterProcesses
    let json: Bool
    private static let period = Duration.seconds(1)

    func run() async throws {
        var shown = ""
        var since = Date.now
        while true {
            let start = ContinuousClock.now
            let status = await ClusterStatus.collect(processes)
            try Task.checkCancellation()
            let verdicts = status.verdictText
            if verdicts != shown { since = .now }
            if json {
                try Console.json(status)
            } else if isatty(STDOUT_FILENO) == 1 {
                // The cursor to the corner, and what follows the picture is cleared: no flicker.
                let lines = Printable.lines(
                    "\(Self.time(.now))  (unchanged since \(Self.time(since)); Ctrl-C ends)\n" + status.text())
                let picture = lines.split(separator: "\n", omittingEmptySubsequences: false).joined(
                    separator: "\u{1b}[K\n")
                Console.write("\u{1b}[H" + picture + "\u{1b}[K\n\u{1b}[J", to: STDOUT_FILENO)
            } else if verdicts != shown {
                for line in verdicts.split(separator: "\n") { Console.out("\(Self.time(.now))  \(line)") }
            }
            shown = verdicts
            try await Task.sleep(until: start + Self.period)
        }
    }

    private static func time(_ date: Date) -> String {
        date.formatted(.iso8601.time(includingFractionalSeconds: false))
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
        /// Whether its process is under SIGSTOP.
        var stopped: Bool
        var answers: Bool
        var replicas: [Replica]
        var metrics: [StatusMetric]
    }
    struct Gateway: Encodable, Sendable {
        var gateway: Int
        var address: String
        var pid: Int32?
        var stopped: Bool
        var answers: Bool
        var queued: UInt64
        var in_flight: UInt64
        var completed: UInt64
        var rejected: UInt64
        var retransmissions: UInt64
        var conflicts: UInt64
        var metrics: [StatusMetric] = []
    }
    var schema = 1
    var cluster: String
    var shards: Int
    /// One a shard.
    var verdicts: [Verdict]
    var hosts: [Host]
    var gateways: [Gateway]
    var clocks: StatusClocks
    /// Whether everything answers and votes.
    var healthy: Bool

    /// Nil if all is well.
    var exitReason: ExitReason? {
        verdicts.allSatisfy(\.can_commit) ? healthy ? nil : .noAnswer : .cannotCommit
    }

    var verdictText: String { verdicts.map(\.text).joined(separator: "\n") }

    /// All hosts and gateways are asked at once, so that it takes no longer than the slowest, or the time given.
    static func collect(_ processes: ClusterProcesses, timeout: Duration = .seconds(2)) async -> ClusterStatus {
        let manifest = processes.folder.manifest
        async let gateways = gateways(processes, timeout)
        let asked = await inOrder(manifest.hosts.indices) { await host($0, processes, timeout) }
        let hosts = asked.map(\.host)
        var clocks = StatusClocks()
        for answer in asked { clocks.note(host: answer.host.host, answer.replicas, own: answer.own) }
        let verdicts = verdicts(manifest, hosts: hosts)
        let reached = await gateways
        // Halted replicas and those that rejoin are seen in the verdicts, which count who votes.
        let healthy =
            verdicts.allSatisfy { $0.why.isEmpty } && hosts.allSatisfy(\.answers) && reached.allSatisfy(\.answers)
            && !reached.isEmpty
        return ClusterStatus(
            cluster: manifest.cluster.hex, shards: manifest.shardCount, verdicts: verdicts, hosts: hosts,
            gateways: reached, clocks: clocks,
            healthy: healthy)
    }

    private static func inOrder<Value: Sendable>(
        _ numbers: some Sequence<Int>, _ ask: @escaping @Sendable (Int) async -> Value
    ) async -> [Value] {
        await withTaskGroup(of: (Int, Value).self) { group in
            for number in numbers { group.addTask { (number, await ask(number)) } }
            var answers: [(Int, Value)] = []
            for await answer in group { answers.append(answer) }
            return answers.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// - Returns: with it what its replicas said, and this machine's clock half-way between question and answer.
    private static func host(
        _ number: Int, _ processes: ClusterProcesses, _ timeout: Duration
    ) async -> (host: Host, replicas: [ReplicaStatus], own: Timestamp) {
        let askedAt = WallClock.now()
        let report = try? await processes.report(ofHost: number, timeout: timeout)
        let replicas = report?.replicas
        let own = askedAt.adding(microseconds: WallClock.now().microseconds(since: askedAt) / 2)
        let host = processes.folder.manifest.hosts[number]
        let process = processes.run.running(.host(number))
        let found = Host(
            host: number, address: "\(host.address):\(host.port)", pid: process?.pid,
            stopped: process?.isStopped ?? false,
            answers: replicas != nil,
            replicas: (replicas ?? []).map {
                Replica(
                    shard: Int($0.shard.number), replica: $0.replica.index, view: $0.view.number,
                    changing_view: $0.isChangingView,
                    primary: $0.isPrimary, executed: $0.lastExecuted.number, stable: $0.stable.number,
                    flushed: $0.flushed.number,
                    waiting: Int($0.pendingRequests), undecided: Int($0.undecided), open: Int($0.open),
                    oldest_undecided_ms: Int($0.oldestUndecided / 1000), halted: $0.halted,
                    standing: $0.standing)
            },
            metrics: report?.metrics.map(StatusMetric.init) ?? [])
        return (found, replicas ?? [], own)
    }

    /// Those that have been started, and not been stopped in order; of a cluster on many machines, those that are
    /// listed.
    private static func gateways(_ processes: ClusterProcesses, _ timeout: Duration) async -> [Gateway] {
        let numbers = processes.run.recorded().compactMap { role in
            if case .gateway(let number) = role { number } else { nil }
        }
        guard numbers.isEmpty else {
            return await inOrder(numbers) { number in
                let port = processes.run.port(ofGateway: number)
                let address = port.map { processes.localGateway(at: $0) }
                return await gateway(number, at: address, processes, timeout)
            }
        }
        let listed = processes.gateways
        return await inOrder(listed.indices) { await gateway($0, at: listed[$0], processes, timeout) }
    }

    private static func gateway(
        _ number: Int, at address: GatewayAddress?, _ processes: ClusterProcesses, _ timeout: Duration
    ) async -> Gateway {
        let process = processes.run.running(.gateway(number))
        var gateway = Gateway(
            gateway: number, address: address?.description ?? "", pid: process?.pid,
            stopped: process?.isStopped ?? false,
            answers: false, queued: 0, in_flight: 0, completed: 0, rejected: 0, retransmissions: 0, conflicts: 0)
        guard let address, let connection = try? await GatewayConnection.connect(address, timeout: timeout) else {
            return gateway
        }
        if let status = try? await connection.status(timeout: timeout) {
            gateway.answers = true
            (gateway.queued, gateway.in_flight, gateway.completed) = (status.queued, status.inFlight, status.completed)
            (gateway.rejected, gateway.retransmissions, gateway.conflicts) = (
                status.rejected, status.retransmissions, status.conflicts
            )
            gateway.metrics = status.metrics.map(StatusMetric.init)
        }
        await connection.close()
        return gateway
    }

    func text() -> String {
        var lines = [
            "cluster \(cluster.prefix(8)): \(shards) \(shards == 1 ? "shard" : "shards") on \(hosts.count) hosts",
            verdictText,
        ]
        for host in hosts {
            lines.append(
                "host \(host.host)  \(host.address)  \(Self.process(host.pid, host.stopped))  \(host.answers ? "answers" : "DOES NOT ANSWER")"
            )
            for replica in host.replicas {
                var line =
                    "  shard \(replica.shard)  view \(replica.view)\(replica.primary ? " (primary)" : "")  executed \(replica.executed)  stable \(replica.stable)  on disk \(replica.flushed)"
                if replica.changing_view { line += "  changing its view" }
                if replica.waiting > 0 { line += "  \(replica.waiting) waiting" }
                if replica.undecided > 0 {
                    line += "  \(replica.undecided) undecided (oldest \(replica.oldest_undecided_ms) ms)"
                }
                // The host's words.
                if !replica.standing.isEmpty { line += "  \(Printable.line(replica.standing))" }
                if !replica.halted.isEmpty { line += "  HALTED: \(Printable.line(replica.halted))" }
                lines.append(line)
            }
            lines += StatusMetric.lines(of: host.metrics)
        }
        lines += clocks.lines
        if gateways.isEmpty { lines.append("no gateway runs") }
        for gateway in gateways {
            guard gateway.answers else {
                lines.append(
                    "gateway \(gateway.gateway)  \(gateway.address)  \(Self.process(gateway.pid, gateway.stopped))  DOES NOT ANSWER"
                )
                continue
            }
            lines.append(
                "gateway \(gateway.gateway)  \(gateway.address)  queued \(gateway.queued)  in flight \(gateway.in_flight)  completed \(gateway.completed)  rejected \(gateway.rejected)  resent \(gateway.retransmissions) (conflicts \(gateway.conflicts))"
            )
            lines += StatusMetric.lines(of: gateway.metrics)
        }
        return lines.joined(separator: "\n")
    }

    private static func process(_ pid: Int32?, _ isStopped: Bool) -> String {
        pid.map { "process \($0)\(isStopped ? " (stopped)" : "")" } ?? "no process"
    }
}
