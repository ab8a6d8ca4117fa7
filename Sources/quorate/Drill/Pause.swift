import ArgumentParser
import Foundation
import Messages
import Workload

extension DrillCommand {
    struct Pause: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop one host (SIGSTOP) for a while and continue it, and measure whom that disturbs.",
            discussion: """
                Without --primary the host leads no shard, and no view may change; with it the host leads shard 0, and no view \
                may change after it continues. docs/DRILLS.md says what the figures mean.
                """)
        @Option(help: Real(0.1...86_400).help("How long the host is stopped."), transform: Real(0.1...86_400).parse)
        var seconds = 60.0
        @Flag(help: "Stop the host that leads shard 0 instead of one that leads none.") var primary = false
        @Option(help: Limits.clients.help("Transfers in flight."), transform: Limits.clients.parse) var clients = 64
        @Option(help: Limits.accounts.help("Accounts of the workload."), transform: Limits.accounts.parse)
        var accounts = 10_000
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        func validate() throws {
            guard primary || options.shards < options.replicas else {
                throw ValidationError(
                    "with as many shards as hosts every host leads one; give fewer --shards, or --primary.")
            }
        }

        func execute() async throws {
            try options.prepare()
            let drill = PauseDrill(seconds: seconds, stopsPrimary: primary, say: options.say)
            let run = DrillRun(
                kind: "pause", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path())
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct PauseFindings: DrillFindings {
    struct Phase: Codable, Sendable {
        var seconds: Double
        var tps: Double
        var longest_gap_ms: Double
        /// Over all shards.
        var view_changes: UInt64
    }
    var host: Int
    var was_primary: Bool
    var before: Phase
    var stopped: Phase
    /// From the moment at which the host continued.
    var after: Phase
    /// Seconds from that moment; null if it did not come.
    var caught_up_s: Double?
    var problems: [String] = []
    var down: Set<Int> = []

    func text() -> String {
        let rows = [("before", before), ("stopped", stopped), ("after", after)].map { name, phase in
            [
                name, Figures.text(phase.seconds), Figures.text(phase.tps, digits: 0),
                Figures.text(phase.longest_gap_ms), "\(phase.view_changes)",
            ]
        }
        return Figures.table([["phase", "seconds", "transfers/s", "longest gap ms", "view changes"]] + rows)
            + "\nhost \(host) had caught up \(Figures.text(caught_up_s, digits: 2)) s after it continued"
    }
}

struct PauseDrill: Sendable {
    let seconds: Double
    let stopsPrimary: Bool
    let say: @Sendable (String) -> Void
    private static let patience = Duration.seconds(120)

    func run(_ scene: DrillScene) async throws -> PauseFindings {
        try await Task.sleep(for: .seconds(2))
        let host = try await choose(scene)
        let aside = UInt64(min(10, max(2, seconds)) * 1e9)

        let viewsBefore = await scene.views()
        let start = DrillScene.now
        try await DrillScene.sleep(until: start + aside)
        let stop = try await StoppedProcess(.host(host), scene.processes)
        scene.note("stop host \(host)", at: stop.stoppedAt)
        say(
            "host \(host), which leads \(stopsPrimary ? "shard 0" : "no shard"), is stopped for \(Figures.text(seconds)) s"
        )
        let viewsStopped: [View]
        do {
            try await DrillScene.sleep(until: stop.stoppedAt + UInt64(seconds * 1e9))
            viewsStopped = await scene.views(except: host)
        } catch {
            await stop.resume()
            throw error
        }
        let continuedAt = await stop.resume()
        scene.note("continue host \(host)", at: continuedAt)
        say("host \(host) continues")
        let caughtUpAt = try await scene.caughtUp(host, limit: Self.patience)
        try await DrillScene.sleep(until: continuedAt + aside)
        let viewsAfter = await scene.views()
        let end = DrillScene.now

        var findings = PauseFindings(
            host: host, was_primary: stopsPrimary,
            before: phase(scene, start, stop.stoppedAt, viewsBefore, viewsBefore),
            stopped: phase(scene, stop.stoppedAt, continuedAt, viewsBefore, viewsStopped),
            after: phase(scene, continuedAt, end, viewsStopped, viewsAfter),
            caught_up_s: caughtUpAt.map { Figures.seconds($0 - continuedAt) })
        if !stopsPrimary, findings.stopped.view_changes > 0 {
            findings.problems.append("\(findings.stopped.view_changes) views changed while a backup was stopped")
        }
        if findings.after.view_changes > 0 {
            findings.problems.append("\(findings.after.view_changes) views changed after the host continued")
        }
        if findings.caught_up_s == nil {
            findings.problems.append("the host had not caught up \(Self.patience) after it continued")
        }
        return findings
    }

    private func choose(_ scene: DrillScene) async throws -> Int {
        if stopsPrimary { return try await scene.primary(of: ShardID(0)).host }
        guard let host = scene.backups(await scene.views()).last else {
            throw ToolError(.failure, "every host leads a shard")
        }
        return host
    }

    private func phase(_ scene: DrillScene, _ start: UInt64, _ end: UInt64, _ old: [View], _ new: [View])
        -> PauseFindings.Phase
    {
        let seconds = Double(end - start) / 1e9
        let gap = scene.log.longestGap(from: start, to: end)
        return PauseFindings.Phase(
            seconds: Figures.seconds(end - start),
            tps: (Double(scene.log.commits(from: start, to: end)) / seconds).rounded(),
            longest_gap_ms: Figures.milliseconds(gap.end - gap.start),
            view_changes: zip(old, new).reduce(0) { $0 + $1.1.number - min($1.0.number, $1.1.number) })
    }
}
