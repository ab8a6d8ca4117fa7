import Foundation
import Messages

/// Kills hosts of a demo, and starts them again.
actor DemoHosts {
    private let processes: ClusterProcesses
    private let voice: DemoVoice
    /// Those that do not run, in the order in which they ended.
    private var down: [Int] = []
    private(set) var kills = 0

    init(_ processes: ClusterProcesses, _ voice: DemoVoice) { (self.processes, self.voice) = (processes, voice) }

    private var count: Int { processes.folder.manifest.hosts.count }

    private func check(_ host: Int) throws {
        guard (0..<count).contains(host) else {
            throw ToolError(.failure, "there is no host \(host); hosts are 0 to \(count - 1)")
        }
    }

    private func runs(_ host: Int) -> Bool { processes.run.running(.host(host)) != nil }

    /// As a crash would.
    /// - Parameter host: nil for one that no shard needs just now.
    func kill(_ host: Int?) async throws {
        let chosen: Int
        if let host {
            try check(host)
            guard runs(host) else { throw ToolError(.notRunning, "host \(host) does not run") }
            chosen = host
        } else {
            chosen = try await spare()
        }
        try await processes.kill(host: chosen)
        kills += 1
        if !down.contains(chosen) { down.append(chosen) }
        let needed = processes.folder.manifest.group(of: ShardID(0)).quorum
        voice.event(
            .killed, host: chosen,
            count - down.count < needed
                ? "kill -9 host \(chosen): \(count - down.count) hosts run, each shard needs \(needed), so nothing commits until one is back"
                : "kill -9 host \(chosen)")
    }

    /// Any that every shard can do without, by what the hosts say of themselves.
    private func spare() async throws -> Int {
        let status = await ClusterStatus.collect(processes, timeout: .seconds(1))
        let candidates = status.hosts.filter { host in
            guard host.pid != nil else { return false }
            return status.verdicts.allSatisfy { verdict in
                let votes = host.replicas.contains {
                    $0.shard == verdict.shard && $0.halted.isEmpty && $0.standing.isEmpty
                }
                return verdict.voting - (votes ? 1 : 0) >= verdict.needed
            }
        }
        guard let chosen = candidates.randomElement() else {
            throw ToolError(
                .failure,
                "no host can be spared just now (\(status.verdicts.first.map { "\($0.voting) of \($0.replicas) vote on shard \($0.shard), \($0.needed) are needed" } ?? "")); start one again first, or say which one to kill all the same"
            )
        }
        return chosen.host
    }

    /// - Parameter host: nil for the one that has been away longest.
    func restart(_ host: Int?) async throws {
        if let host { try check(host) }
        guard let chosen = host ?? down.first else { throw ToolError(.failure, "every host runs") }
        guard !runs(chosen) else { throw ToolError(.alreadyRunning, "host \(chosen) runs") }
        try await start([chosen])
    }

    /// Kills it, or starts it if it does not run.
    func toggle(_ host: Int) async throws {
        try check(host)
        try await runs(host) ? kill(host) : restart(host)
    }

    /// All that do not run.
    func restartAll() async throws {
        let missing = (0..<count).filter { !runs($0) }
        if !missing.isEmpty { try await start(missing) }
    }

    private func start(_ hosts: [Int]) async throws {
        let start = ContinuousClock.now
        _ = try await processes.up(hosts: hosts, gateways: 0, gatewayPort: 0)
        down.removeAll { hosts.contains($0) }
        let seconds = Figures.text((ContinuousClock.now - start) / .seconds(1))
        for host in hosts {
            voice.event(
                .restarted, host: host, "host \(host) runs again after \(seconds) s, and fetches what it has missed")
        }
    }

    /// Somebody else has ended it.
    /// - Returns: whether the demo goes on without it: not without its gateway.
    func lost(_ role: RunFolder.Role) -> Bool {
        guard case .host(let host) = role else { return false }
        processes.run.forget(role)
        if !down.contains(host) { down.append(host) }
        voice.event(
            .lost, host: host,
            "host \(host) has ended, and nobody here ended it; its log: \(processes.run.logPath(role))")
        return true
    }
}
