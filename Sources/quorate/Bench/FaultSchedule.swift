import Foundation
import Messages
import Workload

/// Kills, restarts, stops, slows and continues hosts and gateways at their moments.
actor FaultSchedule {
    private enum Act: String {
        case kill = "kill -9"
        case restart
        case stop
        case `continue`
        case slow = "slow down"
        case quicken = "full speed for"
    }

    private struct Moment {
        let seconds: Double
        let target: Target
        let act: Act

        var what: String { "\(act.rawValue) \(target)" }
    }

    private enum Target: CustomStringConvertible {
        case process(RunFolder.Role)
        /// Whoever leads shard 0 when something is first done to it, and the same one from then on.
        case primary

        var description: String {
            switch self {
            case .process(let role): "\(role)"
            case .primary: "the host that leads shard 0"
            }
        }

        var isLeader: Bool {
            switch self {
            case .process: false
            case .primary: true
            }
        }
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
    private var stopped: [RunFolder.Role: StoppedProcess] = [:]
    /// Under SIGSTOP most of the time.
    private var slowed: [RunFolder.Role: SlowedProcess] = [:]
    private let named: NamedFault
    private var victim: RunFolder.Role?
    /// What the named fault came to; nil if it did not happen.
    private(set) var fault: RunResult.Fault?

    init(_ faults: BenchFaults, _ processes: ClusterProcesses, gateways: Int) {
        self.processes = processes
        ports = (0..<gateways).reduce(into: [:]) { $0[$1] = processes.run.port(ofGateway: $1) }
        func of(_ moments: [ProcessMoment], _ act: Act, _ role: (Int) -> RunFolder.Role) -> [Moment] {
            moments.map { Moment(seconds: $0.seconds, target: .process(role($0.number)), act: act) }
        }
        named = faults.named
        let all = [
            Self.moments(of: faults),
            of(faults.killHosts, .kill) { .host($0) }, of(faults.restartHosts, .restart) { .host($0) },
            of(faults.stopHosts, .stop) { .host($0) }, of(faults.continueHosts, .continue) { .host($0) },
            of(faults.killGateways, .kill) { .gateway($0) }, of(faults.restartGateways, .restart) { .gateway($0) },
        ]
        moments = all.joined().sorted { $0.seconds < $1.seconds }
        guard named == .slowDisk, let (host, delay) = faults.syncDelays.first else { return }
        fault = RunResult.Fault(named, target: "host \(host)", from: 0)
        let what = "each sync of host \(host)'s journal takes \(delay) ms longer throughout"
        events = [RunResult.Event(atSeconds: 0, what: what)]
    }

    private static func moments(of faults: BenchFaults) -> [Moment] {
        guard let window = faults.window else { return [] }
        let (target, begin, end): (Target, Act, Act)
        switch faults.named {
        case .none, .slowDisk: return []
        case .primaryKilled: (target, begin, end) = (.primary, .kill, .restart)
        case .muteGateway: (target, begin, end) = (.process(.gateway(0)), .stop, .continue)
        case .slowPrimary: (target, begin, end) = (.primary, .slow, .quicken)
        }
        return [Moment(seconds: window.from, target: target, act: begin)]
            + (window.to.map { [Moment(seconds: $0, target: target, act: end)] } ?? [])
    }

    /// Whether a gateway is to be started again, or is being started.
    var bringsGateway: Bool {
        restarting
            || !isStopped
                && moments.contains {
                    if case .process(.gateway) = $0.target { $0.act == .restart } else { false }
                }
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
            let role = try await role(of: moment.target)
            // To find out who leads takes a moment, in which the load may have ended.
            guard !isStopped, !Task.isCancelled else { return }
            moments.removeFirst()
            noteFault(moment, role)
            note("\(moment.act.rawValue) \(role)\(moment.target.isLeader ? ", which led shard 0" : "")")
            switch moment.act {
            case .kill: try await kill(role)
            case .restart: try await restart(role)
            case .stop: stopped[role] = try await StoppedProcess(role, processes)
            case .continue: await stopped.removeValue(forKey: role)?.resume()
            case .slow: slowed[role] = try SlowedProcess(role, processes)
            case .quicken: await quicken(role)
            }
            // It may also have ended while that was done.
            if isStopped { await resumeAll() }
        }
    }

    private func role(of target: Target) async throws -> RunFolder.Role {
        switch target {
        case .process(let role): return role
        case .primary:
            if let victim { return victim }
            let role = RunFolder.Role.host(try await processes.primary(of: ShardID(0)).host)
            victim = role
            return role
        }
    }

    /// The first moment of a named fault begins it, the second ends it.
    private func noteFault(_ moment: Moment, _ role: RunFolder.Role) {
        guard !named.isOfTheWholeRun else { return }
        if fault == nil {
            fault = RunResult.Fault(named, target: "\(role)", from: seconds)
        } else {
            fault?.to_s = seconds
        }
    }

    private func quicken(_ role: RunFolder.Role) async {
        guard let process = slowed.removeValue(forKey: role) else { return }
        fault?.stopped_share = await process.resume()
    }

    /// Since the load began.
    private var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }

    /// Something that was not asked for.
    func lost(gateway: Int) { note(.ended("\(RunFolder.Role.gateway(gateway))", atSeconds: seconds)) }

    private func note(_ what: String) { note(RunResult.Event(atSeconds: seconds, what: what)) }

    private func note(_ event: RunResult.Event) {
        events.append(event)
        Console.error("\(Console.isTerminal ? "\r\u{1b}[2K" : "")\(Int(event.at_s)) s: \(event.what)")
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
        await resumeAll()
    }

    private func resumeAll() async {
        for role in Array(stopped.keys) { await stopped.removeValue(forKey: role)?.resume() }
        for role in Array(slowed.keys) { await quicken(role) }
    }
}
