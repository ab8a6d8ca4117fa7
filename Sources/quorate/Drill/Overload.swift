import ArgumentParser
import Foundation
import Cores
import Messages
import Workload

extension DrillCommand {
    struct Overload: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Find the cluster's peak, offer it many times as many clients, and measure what is left of the peak.",
            discussion: """
                First loads with an eighth, a quarter, a half of --clients, and all of them, one after the other: the best of them \
                is the peak. Then --factor times --clients, for twice as long, and then --clients again. Each client has one \
                transfer in flight between accounts drawn at random. One that the gateway rejects comes back when it was told to.

                The drill fails if under overload less than \(Int(OverloadDrill.leastGoodput * 100)) % of the peak is committed, if \
                the 99th percentile of what is admitted is longer than twice the time in which the gateway's queues drain, or if \
                the load afterwards does not come back to \(Int(OverloadDrill.leastGoodput * 100)) % of the peak.

                  quorate drill overload
                  quorate drill overload --shards 2 --factor 20 --seconds 10 --json

                docs/DRILLS.md says what the columns mean.
                """)
        @Option(
            help: Limits.clients.help("Clients at the peak: as many as a gateway has in flight on a shard."),
            transform: Limits.clients.parse) var clients = 512
        @Option(
            help: Whole(2...60_000).help("How many times as many under overload."), transform: Whole(2...60_000).parse)
        var factor = 10
        @Option(
            help: Limits.phase.help("Seconds of each load; overload takes twice as long."),
            transform: Limits.phase.parse) var seconds = 6.0
        @Option(help: Limits.keyedAccounts.help("Accounts, a key each."), transform: Limits.keyedAccounts.parse)
        var accounts = 10_000
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        func validate() throws {
            guard clients <= 60_000 / factor else {
                throw ValidationError("--factor times --clients must be at most 60000.")
            }
        }

        func execute() async throws {
            try options.prepare()
            let drill = OverloadDrill(
                clients: clients, factor: factor, seconds: seconds, shards: options.shards, say: options.say)
            let run = LoadPhases(
                kind: "overload", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path())
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct OverloadFindings: DrillFindings {
    /// Loads of ever more clients; the last has `--clients`.
    var ladder: [LoadResult] = []
    /// The best of the ladder.
    var peak_tps = 0.0
    var overload: LoadResult?
    var after: LoadResult?
    /// `overload.tps` by the peak.
    var goodput_ratio: Double?
    var after_ratio: Double?
    /// Twice the time in which what the gateways hold at most is committed at the rate under overload.
    var admitted_bound_ms: Double?
    var problems: [String] = []
    var down: Set<Int> = []

    var loads: [(name: String, load: LoadResult)] {
        ladder.map { ("ladder, \($0.clients) clients", $0) }
            + [overload].compactMap { $0.map { ("overload, \($0.clients) clients", $0) } }
            + [after].compactMap { $0.map { ("after, \($0.clients) clients", $0) } }
    }

    private static func percent(_ ratio: Double?) -> String { Figures.text(ratio.map { $0 * 100 }, digits: 0) + " %" }

    func text() -> String {
        var rows = [LoadResult.header] + ladder.map { $0.row("ladder") }
        if let overload { rows.append(overload.row("overload")) }
        if let after { rows.append(after.row("after")) }
        return Figures.table(rows) + """

            goodput under overload: \(Self.percent(goodput_ratio)) of the peak; afterwards \(Self.percent(after_ratio))
            p99 of what was admitted: \(Figures.text(overload?.admitted_p99_ms)) ms; the bound is \(Figures.text(admitted_bound_ms)) ms
            """
    }
}

struct OverloadDrill: Sendable {
    let clients: Int
    let factor: Int
    let seconds: Double
    let shards: Int
    let say: @Sendable (String) -> Void
    static let leastGoodput = 0.8

    func run(_ stage: LoadStage) async throws -> OverloadFindings {
        var findings = OverloadFindings()
        for clients in Set([8, 4, 2, 1].map { max(1, self.clients / $0) }).sorted() {
            findings.ladder.append(try await measure(stage, clients, seconds, "ladder"))
        }
        findings.peak_tps = findings.ladder.map(\.tps).max() ?? 0
        let overload = try await measure(stage, clients * factor, 2 * seconds, "overload")
        let after = try await measure(stage, clients, seconds, "after")
        (findings.overload, findings.after) = (overload, after)
        guard findings.peak_tps > 0 else {
            findings.problems.append("nothing committed")
            return findings
        }
        findings.goodput_ratio = overload.tps / findings.peak_tps
        findings.after_ratio = after.tps / findings.peak_tps
        for (when, load) in [("under overload", overload), ("after overload", after)]
        where load.tps < Self.leastGoodput * findings.peak_tps {
            findings.problems.append(shortfall(when, load.tps, findings.peak_tps))
        }
        judge(overload, &findings)
        return findings
    }

    /// Little's law: who is admitted waits as long as it takes to commit what is held before it.
    private func judge(_ overload: LoadResult, _ findings: inout OverloadFindings) {
        guard overload.tps > 0 else { return }
        let held = GatewayOptions().maxHeld(shards: shards)
        let bound = 2 * Double(held) / overload.tps * 1000
        findings.admitted_bound_ms = (bound * 10).rounded() / 10
        guard let p99 = overload.admitted_p99_ms else {
            return findings.problems.append("nothing was admitted under overload")
        }
        // Below what the gateway holds nobody waits for admission, and the bound says nothing.
        guard p99 > bound, clients * factor > held else { return }
        findings.problems.append(
            "p99 of what was admitted is \(Figures.text(p99)) ms, and the bound is \(Figures.text(bound)) ms")
    }

    private func shortfall(_ when: String, _ tps: Double, _ peak: Double) -> String {
        "\(when) \(Figures.text(tps, digits: 0)) transfers/s committed, \(Figures.text(tps / peak * 100, digits: 0)) % of the peak of "
            + Figures.text(peak, digits: 0)
    }

    private func measure(_ stage: LoadStage, _ clients: Int, _ seconds: Double, _ name: String) async throws
        -> LoadResult
    {
        let result = try await stage.run(.uniform, clients: clients, seconds: seconds, warmup: seconds / 4)
        say(
            "\(name), \(clients) clients: \(Figures.text(result.tps, digits: 0)) transfers/s, p99 \(Figures.text(result.p99_ms)) ms, "
                + "\(result.rejections.values.reduce(0, +)) rejected")
        return result
    }
}
