import ArgumentParser
import Foundation
import Messages
import Workload

extension DrillCommand {
    struct KillPrimary: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Kill the host that leads shard 0, again and again, and measure how long nothing commits.",
            discussion: """
                Each round kills (SIGKILL) the host of the primary, watches for 5 s, starts the host again, and waits until it \
                has caught up. docs/DRILLS.md says what the columns mean.
                """)
        @Option(help: Limits.kills.help("How many times."), transform: Limits.kills.parse) var kills = 20
        @Option(help: Limits.clients.help("Transfers in flight."), transform: Limits.clients.parse) var clients = 256
        @Option(help: Limits.accounts.help("Accounts of the workload."), transform: Limits.accounts.parse)
        var accounts = 10_000
        @Option(
            help: Limits.settle.help("Seconds of undisturbed load before each kill."), transform: Limits.settle.parse)
        var settle = 2.0
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        func execute() async throws {
            try options.prepare()
            let drill = KillPrimaryDrill(kills: kills, settle: settle, say: options.say)
            let run = DrillRun(
                kind: "kill-primary", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path(), json: json)
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct KillFindings: DrillFindings {
    /// Milliseconds from the kill unless a name says otherwise; null for what was not seen within the window.
    struct Kill: Codable, Sendable {
        var host: Int
        /// The view that it led.
        var view: UInt64
        /// Until the first committed answer after a survivor showed a later view.
        var next_commit_ms: Double?
        /// The longest time without a committed answer between the kill and the end of the window.
        var longest_gap_ms: Double
        /// The longest latency, from submit to verified receipt, of a transfer that was in flight at the kill, or
        /// submitted from then until the next commit.
        var client_gap_ms: Double?
        /// Until a survivor showed a later view.
        var new_view_ms: Double?
        /// Until a survivor had executed something in it.
        var executed_in_new_view_ms: Double?
        /// Seconds from the start of the host's new process until it had caught up.
        var caught_up_s: Double?
    }
    struct Summary: Codable, Sendable {
        var next_commit_ms: Spread?
        var longest_gap_ms: Spread?
        var client_gap_ms: Spread?
        var new_view_ms: Spread?
        var executed_in_new_view_ms: Spread?
        var caught_up_s: Spread?
    }
    var window_s = KillPrimaryDrill.window
    var kills: [Kill] = []
    var summary = Summary()
    var problems: [String] = []
    var down: Set<Int> = []

    mutating func summarise() {
        summary = Summary(
            next_commit_ms: Spread(kills.compactMap(\.next_commit_ms)),
            longest_gap_ms: Spread(kills.map(\.longest_gap_ms)),
            client_gap_ms: Spread(kills.compactMap(\.client_gap_ms)),
            new_view_ms: Spread(kills.compactMap(\.new_view_ms)),
            executed_in_new_view_ms: Spread(kills.compactMap(\.executed_in_new_view_ms)),
            caught_up_s: Spread(kills.compactMap(\.caught_up_s)))
    }

    func text() -> String {
        let rows: [(String, Spread?)] = [
            ("kill to next commit, ms", summary.next_commit_ms),
            ("longest gap without a commit, ms", summary.longest_gap_ms),
            ("longest transfer in flight meanwhile, ms", summary.client_gap_ms),
            ("kill to new view, ms", summary.new_view_ms),
            ("kill to first execution in it, ms", summary.executed_in_new_view_ms),
            ("start to caught up, s", summary.caught_up_s),
        ]
        return Figures.table(
            [["over \(kills.count) \(kills.count == 1 ? "kill" : "kills")", "p50", "max"]]
                + rows.map { [$0.0, Figures.text($0.1?.p50), Figures.text($0.1?.max)] })
    }
}

struct KillPrimaryDrill: Sendable {
    let kills: Int
    let settle: Double
    let say: @Sendable (String) -> Void
    private static let shard = ShardID(0)
    static let window = 5.0
    private static let patience = Duration.seconds(120)

    func run(_ scene: DrillScene) async throws -> KillFindings {
        var findings = KillFindings()
        for number in 1...kills {
            try await Task.sleep(for: .milliseconds(Int(settle * 1000)))
            let kill = try await round(scene)
            findings.kills.append(kill)
            say("kill \(number): \(describe(kill))")
            findings.summarise()
            scene.keep(findings)
            if kill.next_commit_ms == nil {
                findings.problems.append(
                    "kill \(number): nothing committed in a later view within \(Int(Self.window)) s")
            }
            guard kill.caught_up_s != nil else {
                findings.problems.append(
                    "kill \(number): host \(kill.host) had not caught up \(Self.patience) after its start")
                break
            }
        }
        findings.summarise()
        return findings
    }

    private func round(_ scene: DrillScene) async throws -> KillFindings.Kill {
        let (host, view) = try await scene.primary(of: Self.shard)
        let watch = try await ViewWatch.open(scene.hosts.filter { $0 != host }, of: scene.manifest)
        let span = UInt64(Self.window * 1e9)
        let sighting: ViewSighting
        let killedAt: UInt64
        do {
            async let following = watch.follow(Self.shard, leaving: view, until: DrillScene.now + span)
            // What the survivors have executed in the old view must be known.
            try await Task.sleep(for: .milliseconds(50))
            killedAt = try await scene.processes.kill(host: host)
            scene.note("kill -9 host \(host)", at: killedAt)
            sighting = await following
        } catch {
            await watch.close()
            throw error
        }
        await watch.close()
        let end = killedAt + span
        try await DrillScene.sleep(until: end)
        let gap = scene.log.longestGap(from: killedAt, to: end)
        // Answers of the old view still come for a moment after the kill: they say nothing.
        let resumedAt = sighting.enteredAt.flatMap { scene.log.firstCommit(from: $0) }.flatMap { $0 < end ? $0 : nil }
        while scene.log.unfinished(startedBy: resumedAt ?? end) > 0 { try await Task.sleep(for: .milliseconds(20)) }

        func since(_ moment: UInt64?) -> Double? { moment.map { Figures.milliseconds($0 - min($0, killedAt)) } }
        let restartedAt = DrillScene.now
        scene.note("restart host \(host)", at: restartedAt)
        _ = try await scene.processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
        let caughtUpAt = try await scene.caughtUp(host, limit: Self.patience)
        return KillFindings.Kill(
            host: host, view: view.number, next_commit_ms: since(resumedAt),
            longest_gap_ms: Figures.milliseconds(gap.end - gap.start),
            client_gap_ms: scene.log.longestLatency(underWayFrom: killedAt, to: resumedAt ?? end).map(
                Figures.milliseconds),
            new_view_ms: since(sighting.enteredAt), executed_in_new_view_ms: since(sighting.executedAt),
            caught_up_s: caughtUpAt.map { Figures.seconds($0 - restartedAt) })
    }

    private func describe(_ kill: KillFindings.Kill) -> String {
        func text(_ value: Double?) -> String { Figures.text(value) }
        return
            "host \(kill.host) in view \(kill.view): next commit after \(text(kill.next_commit_ms)) ms (gap \(text(kill.longest_gap_ms)) ms), "
            + "longest transfer \(text(kill.client_gap_ms)) ms, new view after \(text(kill.new_view_ms)) ms, "
            + "executed in it after \(text(kill.executed_in_new_view_ms)) ms, "
            + "caught up \(Figures.text(kill.caught_up_s, digits: 2)) s after its start"
    }
}
