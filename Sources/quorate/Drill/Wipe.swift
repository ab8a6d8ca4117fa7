import ArgumentParser
import Foundation
import HostRuntime
import Messages
import Workload

extension DrillCommand {
    struct Wipe: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Kill a host, delete its journal and state, start it, and measure until it votes again.",
            discussion: """
                The host keeps its key. At the end f other hosts are killed, so that nothing can commit without the votes of the \
                one that was wiped. docs/DRILLS.md says what the figures mean.
                """)
        @Option(
            help: Limits.accounts.help("Accounts that are opened, and so the size of the state."),
            transform: Limits.accounts.parse) var accounts = 1_000_000
        @Option(help: Limits.clients.help("Transfers in flight."), transform: Limits.clients.parse) var clients = 16
        @Option(help: Limits.wait.help("Seconds to wait until the host votes."), transform: Limits.wait.parse)
        var patience = 600
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        func execute() async throws {
            try options.prepare()
            let drill = WipeDrill(patience: .seconds(patience), say: options.say)
            let run = DrillRun(
                kind: "wipe", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path())
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct WipeFindings: DrillFindings {
    var host: Int
    /// The files data.mdb of one other host, all shards: what LMDB uses, its free pages included.
    var state_bytes: Int
    /// Why the host did not start; null if it did.
    var refusal: String?
    /// Seconds from the start of its new process until it answered.
    var answers_s: Double?
    /// Until it voted and had executed all that the others had.
    var votes_s: Double?
    /// What the host's process had read by then by read(2), from all its sockets, TLS included, and from files:
    /// `rchar` of /proc/PID/io.
    var bytes_read: Int?
    /// The same of another host in the same time: ordinary traffic.
    var bytes_read_by_peer: Int?
    /// Transfers a second before the kill, and from the start until the host voted.
    var tps_before: Double
    var tps_meanwhile: Double?
    /// Commits in 5 s with f others dead.
    var commits_on_its_votes: Int?
    var problems: [String] = []
    var down: Set<Int> = []

    func text() -> String {
        var lines = [
            "host \(host) was wiped; a peer's state takes \(Figures.megabytes(state_bytes)) (size of data.mdb)"
        ]
        if let refusal { lines.append("it did not start: \(refusal)") }
        if let answers_s { lines.append("it answered \(Figures.text(answers_s, digits: 2)) s after its start") }
        if let votes_s {
            lines.append("it voted and had caught up \(Figures.text(votes_s, digits: 2)) s after its start")
        }
        if let bytes_read, let bytes_read_by_peer {
            let moved = bytes_read - bytes_read_by_peer
            let times = Figures.text(Double(moved) / Double(max(1, state_bytes)), digits: 2)
            lines.append(
                "it read \(Figures.megabytes(bytes_read)) meanwhile, a peer \(Figures.megabytes(bytes_read_by_peer))")
            lines.append("(rchar of /proc/PID/io: sockets with TLS, and files)")
            lines.append("the difference is \(Figures.megabytes(moved)), \(times) times the state")
        }
        lines.append("transfers/s before: \(Figures.text(tps_before, digits: 0))")
        if let tps_meanwhile {
            lines.append("transfers/s from its start until it voted: \(Figures.text(tps_meanwhile, digits: 0))")
        }
        if let commits_on_its_votes {
            lines.append("with f others dead \(commits_on_its_votes) transfers committed in 5 s, which takes its votes")
        }
        return lines.joined(separator: "\n")
    }
}

struct WipeDrill: Sendable {
    let patience: Duration
    let say: @Sendable (String) -> Void
    private static let probe = 5.0

    func run(_ scene: DrillScene) async throws -> WipeFindings {
        try await Task.sleep(for: .seconds(2))
        let loadedAt = DrillScene.now
        try await Task.sleep(for: .seconds(3))
        let views = await scene.views()
        // Where every host leads a shard, any will do.
        guard let host = scene.backups(views).last ?? scene.hosts.last else {
            throw ToolError(.failure, "there is no host")
        }
        guard let peer = scene.hosts.last(where: { $0 != host }) else {
            throw ToolError(.failure, "there is one host only")
        }

        let killedAt = try await scene.processes.kill(host: host)
        scene.note("kill -9 host \(host), and wipe it", at: killedAt)
        try wipe(host, scene)
        var findings = WipeFindings(
            host: host, state_bytes: try stateBytes(of: peer, scene), tps_before: rate(scene, loadedAt, killedAt))
        say("host \(host) is killed and wiped; a peer's state takes \(Figures.megabytes(findings.state_bytes))")

        let peerRead = bytesRead(by: peer, scene)
        let startedAt = DrillScene.now
        scene.note("restart host \(host)", at: startedAt)
        do {
            _ = try await scene.processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
        } catch let error as ToolError {
            findings.refusal = error.description
            findings.down = [host]
            findings.problems.append(
                "host \(host) does not start without its journal and state: \(error.reason.meaning)")
            return findings
        }
        findings.answers_s = Figures.seconds(DrillScene.now - startedAt)
        guard let votesAt = try await scene.caughtUp(host, limit: patience, pause: .milliseconds(100)) else {
            findings.problems.append("host \(host) did not vote within \(patience)")
            return findings
        }
        findings.votes_s = Figures.seconds(votesAt - startedAt)
        scene.note("host \(host) votes", at: votesAt)
        findings.bytes_read = bytesRead(by: host, scene)
        if let peerRead, let now = bytesRead(by: peer, scene) { findings.bytes_read_by_peer = now - peerRead }
        findings.tps_meanwhile = rate(scene, startedAt, votesAt)
        say("host \(host) votes")
        try await probe(host, scene, &findings)
        return findings
    }

    /// The journal and every shard's state; the key and what says whose the folder is stay.
    private func wipe(_ host: Int, _ scene: DrillScene) throws {
        let folder = try scene.processes.folder.host(HostID(UInt16(host)))
        for path in [folder.journalPath] + scene.manifest.shards(of: folder.host).map({ folder.statePath(of: $0) }) {
            try FileManager.default.removeItem(atPath: path)
        }
    }

    private func stateBytes(of host: Int, _ scene: DrillScene) throws -> Int {
        let folder = try scene.processes.folder.host(HostID(UInt16(host)))
        return try scene.manifest.shards(of: folder.host).reduce(0) { sum, shard in
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.statePath(of: shard) + "/data.mdb")
            return sum + ((attributes[.size] as? NSNumber)?.intValue ?? 0)
        }
    }

    private func bytesRead(by host: Int, _ scene: DrillScene) -> Int? {
        guard let identity = scene.processes.run.running(.host(host)),
            let text = try? String(contentsOfFile: "/proc/\(identity.pid)/io", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("rchar:") })
        else { return nil }
        return Int(line.dropFirst("rchar:".count).trimmingCharacters(in: .whitespaces))
    }

    private func rate(_ scene: DrillScene, _ start: UInt64, _ end: UInt64) -> Double {
        (Double(scene.log.commits(from: start, to: end)) / (Double(max(1, end - start)) / 1e9)).rounded()
    }

    /// Kills f others, so that a quorum needs the host's vote, and starts them again.
    private func probe(_ host: Int, _ scene: DrillScene, _ findings: inout WipeFindings) async throws {
        let f = scene.manifest.group(of: ShardID(0)).f
        let leaders = Set(scene.hosts).subtracting(scene.backups(await scene.views()))
        let others = scene.hosts.filter { $0 != host }
        // Those that lead nothing first: a view change would only take time.
        let victims = (others.filter { !leaders.contains($0) } + others.filter { leaders.contains($0) }).prefix(f)
        for victim in victims { scene.note("kill -9 host \(victim)", at: try await scene.processes.kill(host: victim)) }
        // What had all its votes already comes through within a moment.
        let start = DrillScene.now + 500_000_000
        let end = start + UInt64(Self.probe * 1e9)
        try await DrillScene.sleep(until: end)
        let commits = scene.log.commits(from: start, to: end)
        findings.commits_on_its_votes = commits
        if commits == 0 {
            findings.problems.append("nothing committed on the votes of host \(host) while \(f) others were dead")
        }
        for victim in victims { scene.note("restart host \(victim)") }
        _ = try await scene.processes.up(hosts: Array(victims), gateways: 0, gatewayPort: 0)
        for victim in victims where try await scene.caughtUp(victim, limit: .seconds(120)) == nil {
            findings.problems.append("host \(victim) had not caught up 120 s after its start")
        }
    }
}
