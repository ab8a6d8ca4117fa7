import Foundation
import Workload

/// Kills, restarts, stops and continues hosts and gateways at their moments.
actor FaultSchedule {
    private enum Act: String {
        case kill = "kill -9"
        case restart
        case stop
        case `continue`
    }

    private struct Moment {
        let seconds: Double
        let role: RunFolder.Role
        let act: Act

        var what: String { "\(act.rawValue) \(role)" }
    }

    /// Those that have not begun.
    private var moments: [Moment]
    private let processes: ClusterProcesses
    /// By gateway: it listens there again, so that clients find it.
    private let ports: [Int: Int]
    private let start = ContinuousClock.now
    /// For which the load was over too soon.
    var missed: [RunResult.Event] { moments.map { RunResult.Event(atSeconds: $0.seconds, what: $0.what) } }
    private(set) var events: [RunResult.Event] = []
    /// Hosts.
    private(set) var down: Set<Int> = []
    private var sleeper: Task<Void, Never>?
    private var restarting = false
    private var isStopped = false
    /// Under SIGSTOP.
    private var stopped: [Int: StoppedHost] = [:]

    init(_ faults: BenchFaults, _ processes: ClusterProcesses, gateways: Int) {
        self.processes = processes
        ports = (0..<gateways).reduce(into: [:]) { $0[$1] = processes.run.port(ofGateway: $1) }
        func of(_ moments: [ProcessMoment], _ act: Act, _ role: (Int) -> RunFolder.Role) -> [Moment] {
            moments.map { Moment(seconds: $0.seconds, role: role($0.number), act: act) }
        }
        let all = [
            of(faults.killHosts, .kill) { .host($0) }, of(faults.restartHosts, .restart) { .host($0) },
            of(faults.stopHosts, .stop) { .host($0) }, of(faults.continueHosts, .continue) { .host($0) },
            of(faults.killGateways, .kill) { .gateway($0) }, of(faults.restartGateways, .restart) { .gateway($0) },
        ]
        moments = all.joined().sorted { $0.seconds < $1.seconds }
    }

    /// Whether a gateway is to be started again, or is being started.
    var bringsGateway: Bool {
        restarting
            || !isStopped && moments.contains { if case .gateway = $0.role { $0.act == .restart } else { false } }
    }

    func run() async throws {
        while let moment = moments.first {
            let due = start + .milliseconds(Int64(moment.seconds * 1000))
            let sleeper = Task { _ = try? await Task.sleep(until: due) }
            self.sleeper = sleeper
            await withTaskCancellationHandler {
                await sleeper.value
            } onCancel: {
                sleeper.cancel()
            }
            guard !isStopped, !Task.isCancelled else { return }
            moments.removeFirst()
            note(moment.what)
            switch (moment.act, moment.role) {
            case (.kill, let role): try await kill(role)
            case (.restart, let role): try await restart(role)
            case (.stop, .host(let host)): stopped[host] = try await StoppedHost(host, processes)
            case (.continue, .host(let host)): await stopped.removeValue(forKey: host)?.resume()
            case (.stop, .gateway), (.continue, .gateway): break
            }
        }
    }

    /// Something that was not asked for.
    func lost(gateway: Int) { note("\(RunFolder.Role.gateway(gateway)) ended unexpectedly") }

    private func note(_ what: String) {
        let at = (ContinuousClock.now - start) / .seconds(1)
        events.append(RunResult.Event(atSeconds: at, what: what))
        Console.error("\(Console.isTerminal ? "\r\u{1b}[2K" : "")\(Int(at)) s: \(what)")
    }

    private func kill(_ role: RunFolder.Role) async throws {
        try await processes.kill(role)
        if case .host(let host) = role { down.insert(host) }
    }

    private func restart(_ role: RunFolder.Role) async throws {
        switch role {
        case .host(let host):
            _ = try await processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
            down.remove(host)
        case .gateway(let gateway):
            restarting = true
            defer { restarting = false }
            try await processes.start(gateway: gateway, port: ports[gateway] ?? 0)
        }
    }

    /// Nothing more is started, and what was stopped goes on.
    func stop() async {
        isStopped = true
        sleeper?.cancel()
        for host in stopped.keys.sorted() { await stopped.removeValue(forKey: host)?.resume() }
    }
}
