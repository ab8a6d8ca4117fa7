import Foundation
import Workload

/// Kills and restarts hosts and gateways at their moments.
actor FaultSchedule {
    private struct Moment {
        let seconds: Double
        let role: RunFolder.Role
        let kills: Bool

        var what: String { kills ? "kill -9 \(role)" : "restart \(role)" }
    }

    /// Those that have not begun.
    private var moments: [Moment]
    private let processes: ClusterProcesses
    /// By gateway: it listens there again, so that clients find it.
    private let ports: [Int: Int]
    private let start = ContinuousClock.now
    private(set) var events: [RunResult.Event] = []
    /// Hosts.
    private(set) var down: Set<Int> = []
    private var sleeper: Task<Void, Never>?
    private var restarting = false
    private var isStopped = false

    init(_ faults: BenchFaults, _ processes: ClusterProcesses, gateways: Int) {
        self.processes = processes
        ports = Dictionary(uniqueKeysWithValues: (0..<gateways).compactMap { number in processes.run.port(ofGateway: number).map { (number, $0) } })
        let all = [
            faults.killHosts.map { Moment(seconds: $0.seconds, role: .host($0.number), kills: true) },
            faults.restartHosts.map { Moment(seconds: $0.seconds, role: .host($0.number), kills: false) },
            faults.killGateways.map { Moment(seconds: $0.seconds, role: .gateway($0.number), kills: true) },
            faults.restartGateways.map { Moment(seconds: $0.seconds, role: .gateway($0.number), kills: false) },
        ]
        moments = all.joined().sorted { $0.seconds < $1.seconds }
    }

    /// Whether a gateway is to be started again, or is being started.
    var bringsGateway: Bool {
        restarting || !isStopped && moments.contains { if case .gateway = $0.role { !$0.kills } else { false } }
    }

    func run() async throws {
        while let moment = moments.first {
            let sleeper = Task { [start] in _ = try? await Task.sleep(until: start + .milliseconds(Int64(moment.seconds * 1000))) }
            self.sleeper = sleeper
            await withTaskCancellationHandler { await sleeper.value } onCancel: { sleeper.cancel() }
            guard !isStopped, !Task.isCancelled else { return }
            moments.removeFirst()
            note(moment.what)
            if moment.kills { try await kill(moment.role) } else { try await restart(moment.role) }
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

    /// Nothing more is started.
    func stop() {
        isStopped = true
        sleeper?.cancel()
    }
}
