import ArgumentParser
import Client
import Foundation
import Cores
import Messages
import Workload

extension DrillCommand {
    struct KillGateway: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Kill one gateway after the other in the middle of transfers between shards, and measure what is left behind.",
            discussion: """
                A gateway coordinates the transfers that go through it. Each round kills one (SIGKILL), watches for 5 s, and starts \
                it again; the next round takes the next gateway. All clients know all gateways, and send the same signed bytes \
                through another one when theirs is gone.

                What was in flight through the gateway when it died, and what it had answered in the 250 ms before, is submitted \
                once more, byte for byte, through a gateway that did not give the answer: the outcome must be the one that the \
                client was told.

                Meanwhile all hosts are asked for how long their oldest undecided transfer has held its escrow. The drill fails if \
                that is longer than the published bound: docs/ARCHITECTURE.md, "How long a lock can stay".

                  quorate drill kill-gateway --kills 20 --clients 256
                  quorate drill kill-gateway --shards 4 --kills 3 --json

                docs/DRILLS.md says what the columns mean.
                """)
        @Option(help: Limits.kills.help("How many times."), transform: Limits.kills.parse) var kills = 20
        @Option(help: Limits.clients.help("Transfers in flight."), transform: Limits.clients.parse) var clients = 256
        @Option(help: Limits.accounts.help("Accounts of the workload."), transform: Limits.accounts.parse)
        var accounts = 10_000
        @Option(
            help: Whole(3...16).help(
                "Gateway processes: at least 3, so that there is another one to ask while one is dead."),
            transform: Whole(3...16).parse) var gateways = 3
        @Option(
            help: Limits.settle.help("Seconds of undisturbed load before each kill."), transform: Limits.settle.parse)
        var settle = 2.0
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        private var shards: Int { options.givenShards ?? 2 }

        func validate() throws {
            guard shards >= 2 else {
                throw ValidationError("--shards must be at least 2: with one there is nothing to coordinate.")
            }
        }

        func execute() async throws {
            try options.prepare()
            let drill = KillGatewayDrill(
                kills: kills, gateways: gateways, clients: clients, settle: settle, say: options.say)
            let setup = options.setup(clients: clients, accounts: accounts, shards: shards, gateways: gateways)
            let run = DrillRun(
                kind: "kill-gateway", setup: setup, keep: options.keep, hostProgram: try options.hostProgram.path(),
                crossShard: 100, json: json)
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct KillGatewayFindings: DrillFindings {
    /// What came of asking again.
    struct Asked: Codable, Sendable {
        /// In flight through the gateway when it died; answered by it in the last 250 ms before.
        var in_flight = 0
        var answered_before = 0
        var same = 0
        var different = 0
        /// The principal had acknowledged the number before it could be asked again.
        var acknowledged = 0
        var no_answer = 0
    }
    /// Milliseconds unless a name says otherwise.
    struct Kill: Codable, Sendable {
        var gateway: Int
        /// The longest time without a committed answer, through any gateway, between the kill and the end of the
        /// window.
        var longest_gap_ms: Double
        /// The longest latency of a transfer that was in flight at the kill, through any gateway.
        var client_gap_ms: Double?
        /// From the kill until no host showed a transfer undecided that was so at the kill.
        var released_ms: Double
        /// The longest that any transfer was seen undecided on any host, between the kill and the end of the round.
        var longest_held_ms: Double
        /// Seconds from the start of its new process until a client had an answer through it.
        var back_s: Double?
        var asked: Asked
    }
    struct Summary: Codable, Sendable {
        var longest_gap_ms: Spread?
        var client_gap_ms: Spread?
        var released_ms: Spread?
        var longest_held_ms: Spread?
        var back_s: Spread?
        var asked = Asked()
    }
    var window_s = KillGatewayDrill.window
    /// The published bound for a transfer of this load, in seconds.
    var bound_s: Double
    var kills: [Kill] = []
    var summary = Summary()
    var problems: [String] = []
    var down: Set<Int> = []

    mutating func summarise() {
        summary = Summary(
            longest_gap_ms: Spread(kills.map(\.longest_gap_ms)),
            client_gap_ms: Spread(kills.compactMap(\.client_gap_ms)),
            released_ms: Spread(kills.map(\.released_ms)), longest_held_ms: Spread(kills.map(\.longest_held_ms)),
            back_s: Spread(kills.compactMap(\.back_s)))
        for kill in kills {
            summary.asked.in_flight += kill.asked.in_flight
            summary.asked.answered_before += kill.asked.answered_before
            summary.asked.same += kill.asked.same
            summary.asked.different += kill.asked.different
            summary.asked.acknowledged += kill.asked.acknowledged
            summary.asked.no_answer += kill.asked.no_answer
        }
    }

    func text() -> String {
        let rows: [(String, Spread?)] = [
            ("longest gap without a commit, ms", summary.longest_gap_ms),
            ("longest transfer in flight at the kill, ms", summary.client_gap_ms),
            ("kill to the last escrow of then released, ms", summary.released_ms),
            ("longest escrow held, ms", summary.longest_held_ms),
            ("start to first answer through it, s", summary.back_s),
        ]
        let table = Figures.table(
            [["over \(kills.count) \(kills.count == 1 ? "kill" : "kills")", "p50", "max"]]
                + rows.map { [$0.0, Figures.text($0.1?.p50), Figures.text($0.1?.max)] })
        let asked = summary.asked
        let held = (summary.longest_held_ms?.max).map { $0 / 1000 }
        return table + """

            published bound on an escrow: \(Figures.text(bound_s)) s; the longest was held \(Figures.text(held, digits: 2)) s
            in flight through a gateway that died: \(asked.in_flight); answered by it in the 250 ms before: \(asked.answered_before)
            asked again through another gateway: \(asked.same) the same, \(asked.different) DIFFERENT, \
            \(asked.acknowledged) acknowledged meanwhile, \(asked.no_answer) without answer
            """
    }
}

struct KillGatewayDrill: Sendable {
    let kills: Int
    let gateways: Int
    let clients: Int
    let settle: Double
    let say: @Sendable (String) -> Void
    static let window = 5.0
    private static let patience = Duration.seconds(30)
    private static let second: UInt64 = 1_000_000_000

    /// For a transfer whose client has just signed it, and as many open records as the load may leave on a shard: those
    /// in flight, and some that are decided and not settled.
    private var bound: UInt64 { HoldBound().oneShot(untilDeadline: DrillRun.lifetime * 1000, openRecords: 4 * clients) }

    func run(_ scene: DrillScene) async throws -> KillGatewayFindings {
        let watch = try await LockWatch.open(scene.hosts, of: scene.manifest)
        let watching = Task { await watch.run() }
        do {
            let findings = try await run(scene, watch)
            watching.cancel()
            await watching.value
            await watch.close()
            return findings
        } catch {
            watching.cancel()
            await watching.value
            await watch.close()
            throw error
        }
    }

    private func run(_ scene: DrillScene, _ watch: LockWatch) async throws -> KillGatewayFindings {
        var findings = KillGatewayFindings(bound_s: Figures.seconds(bound))
        for number in 1...kills {
            try await Task.sleep(for: .milliseconds(Int(settle * 1000)))
            let kill = try await round((number - 1) % gateways, scene, watch) {
                findings.problems.append("kill \(number): \($0)")
            }
            findings.kills.append(kill)
            say("kill \(number): \(describe(kill))")
            findings.summarise()
            scene.keep(findings)
            guard kill.back_s != nil else { break }
        }
        findings.summarise()
        if findings.summary.asked.same == 0 { findings.problems.append("no transfer could be asked for again") }
        return findings
    }

    private func round(
        _ victim: Int, _ scene: DrillScene, _ watch: LockWatch, problem: (String) -> Void
    ) async throws -> KillGatewayFindings.Kill {
        let run = scene.processes.run
        guard let port = run.port(ofGateway: victim) else {
            throw ToolError(.notRunning, "gateway \(victim) does not run")
        }
        let others = (0..<gateways).filter { $0 != victim }.compactMap { number in
            run.port(ofGateway: number).map { (number, scene.processes.localGateway(at: $0)) }
        }
        let opinion = try await SecondOpinion.open(others, of: scene.manifest)
        let killedAt: UInt64
        let asked: KillGatewayFindings.Asked
        do {
            _ = scene.traffic.mark(victim, now: DrillScene.now)
            killedAt = try await scene.processes.kill(.gateway(victim))
            scene.note("kill -9 gateway \(victim)", at: killedAt)
            asked = try await askAgain(opinion, scene, until: killedAt + UInt64(Self.window * 1e9), problem: problem)
        } catch {
            await opinion.close()
            throw error
        }
        await opinion.close()

        let end = killedAt + UInt64(Self.window * 1e9)
        let gap = scene.log.longestGap(from: killedAt, to: end)
        if gap.end - gap.start >= UInt64(Self.window * 1e9) {
            problem("nothing committed within \(Int(Self.window)) s")
        }
        while scene.log.unfinished(startedBy: killedAt) > 0 { try await Task.sleep(for: .milliseconds(20)) }

        let startedAt = DrillScene.now
        // Only this one does not run.
        scene.note("restart gateway \(victim)")
        _ = try await scene.processes.up(hosts: [], gateways: victim + 1, gatewayPort: port - victim)
        let backAt = try await firstAnswer(victim, scene, since: startedAt)
        if backAt == nil {
            problem("no client had an answer through gateway \(victim) within \(Self.patience) of its start")
        }

        let releasedAt = try await released(since: killedAt, watch)
        let held = watch.longest(from: killedAt, to: DrillScene.now)
        if !watch.hasSeen(from: killedAt, to: end) {
            problem("no host has said for how long its records are undecided")
        }
        if max(held, releasedAt - killedAt) > bound {
            problem(
                "an escrow was held \(Figures.seconds(max(held, releasedAt - killedAt))) s, and the bound is \(Figures.seconds(bound)) s"
            )
        }
        return KillGatewayFindings.Kill(
            gateway: victim, longest_gap_ms: Figures.milliseconds(gap.end - gap.start),
            client_gap_ms: scene.log.longestLatency(underWayFrom: killedAt, to: killedAt).map(Figures.milliseconds),
            released_ms: Figures.milliseconds(releasedAt - killedAt), longest_held_ms: Figures.milliseconds(held),
            back_s: backAt.map { Figures.seconds($0 - startedAt) }, asked: asked)
    }

    /// As soon as a client is told: its next request may acknowledge the number.
    private func askAgain(
        _ opinion: SecondOpinion, _ scene: DrillScene, until end: UInt64, problem: (String) -> Void
    ) async throws -> KillGatewayFindings.Asked {
        // By then clients have given up themselves.
        let limit = end + DrillRun.lifetime * 1000 + 60 * Self.second
        var asked = KillGatewayFindings.Asked()
        var (why, contradiction): (String?, String?) = (nil, nil)
        try await withThrowingTaskGroup(of: SecondOpinion.Answer.self) { tasks in
            while true {
                let (told, unanswered) = scene.traffic.take()
                for one in told {
                    if one.wasInFlight { asked.in_flight += 1 } else { asked.answered_before += 1 }
                    tasks.addTask { await opinion.ask(one) }
                }
                if DrillScene.now >= end, unanswered == 0 { break }
                guard DrillScene.now < limit else {
                    problem("\(unanswered) transfers that were in flight have no answer")
                    break
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            for try await answer in tasks {
                switch answer {
                case .same: asked.same += 1
                case .acknowledged: asked.acknowledged += 1
                case .none(let reason): (asked.no_answer, why) = (asked.no_answer + 1, why ?? reason)
                case .different(let told, let now):
                    (asked.different, contradiction) = (asked.different + 1, contradiction ?? "\(told), then \(now)")
                }
            }
        }
        if let contradiction {
            problem("\(asked.different) transfers have another outcome through another gateway: \(contradiction)")
        }
        if let why { problem("\(asked.no_answer) transfers have no outcome through another gateway: \(why)") }
        return asked
    }

    private func firstAnswer(_ gateway: Int, _ scene: DrillScene, since start: UInt64) async throws -> UInt64? {
        let end = ContinuousClock.now + Self.patience
        while ContinuousClock.now < end {
            if let at = scene.traffic.lastAnswer(by: gateway), at >= start { return at }
            try await Task.sleep(for: .milliseconds(10))
        }
        return nil
    }

    /// When nothing that was undecided at the kill was so any more; what has been seen by then, if that does not come
    /// in time.
    private func released(since killedAt: UInt64, _ watch: LockWatch) async throws -> UInt64 {
        while true {
            let last = watch.lastHeld(since: killedAt) ?? killedAt
            let now = DrillScene.now
            if now > last + Self.second || now > killedAt + bound + 5 * Self.second { return last }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func describe(_ kill: KillGatewayFindings.Kill) -> String {
        let asked = kill.asked
        return
            "gateway \(kill.gateway) with \(asked.in_flight) in flight: gap \(Figures.text(kill.longest_gap_ms)) ms, "
            + "longest transfer \(Figures.text(kill.client_gap_ms)) ms, escrow released after \(Figures.text(kill.released_ms)) ms, "
            + "longest held \(Figures.text(kill.longest_held_ms)) ms, asked again: \(asked.same) the same, \(asked.different) different, "
            + "\(asked.acknowledged) acknowledged, \(asked.no_answer) without answer; "
            + "back \(Figures.text(kill.back_s, digits: 2)) s after its start"
    }
}
