import Foundation
import Workload

/// Kills and restarts hosts at their moments.
actor FaultSchedule {
    private let moments: [(seconds: Double, host: Int, kills: Bool)]
    private let processes: ClusterProcesses
    private(set) var events: [RunResult.Event] = []
    private(set) var down: Set<Int> = []
    private var sleeper: Task<Void, Never>?
    private var isStopped = false

    init(_ options: BenchOptions, _ processes: ClusterProcesses) {
        self.processes = processes
        moments = (options.kills.map { ($0.seconds, $0.host, true) } + options.restarts.map { ($0.seconds, $0.host, false) })
            .sorted { $0.0 < $1.0 }
    }

    func run() async throws {
        let start = ContinuousClock.now
        for moment in moments {
            let sleeper = Task { _ = try? await Task.sleep(until: start + .milliseconds(Int64(moment.seconds * 1000))) }
            self.sleeper = sleeper
            await withTaskCancellationHandler { await sleeper.value } onCancel: { sleeper.cancel() }
            guard !isStopped, !Task.isCancelled else { return }
            let at = (ContinuousClock.now - start) / .seconds(1)
            events.append(RunResult.Event(atSeconds: at, what: moment.kills ? "kill -9 host \(moment.host)" : "restart host \(moment.host)"))
            Console.error("\(Console.isTerminal ? "\r\u{1b}[2K" : "")\(Int(at)) s: \(events[events.count - 1].what)")
            if moment.kills {
                try await processes.kill(host: moment.host)
                down.insert(moment.host)
            } else {
                _ = try await processes.up(hosts: [moment.host], gateways: 0, gatewayPort: 0)
                down.remove(moment.host)
            }
        }
    }

    /// Nothing more is started.
    func stop() {
        isStopped = true
        sleeper?.cancel()
    }
}
