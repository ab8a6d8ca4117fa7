import ArgumentParser
import Foundation
import HostRuntime
import Messages
import Synchronization
import Workload

extension DrillCommand {
    struct Replay: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Repeat old certificates and old requests to all hosts at full speed, and measure what is left for honest clients.",
            discussion: """
                Has calls and transfers over several shards done, and keeps what the shards certify of them. When their deadlines are \
                past it measures transfers between accounts drawn at random; then the same while sessions without any known key repeat \
                every certificate to every host, as fast as they read; then without; then while they submit the old signed requests; \
                then without.

                The drill fails if while certificates are repeated less than \(Int(ReplayDrill.leastRatio * 100)) % of what was \
                committed before is committed, if a view changes, or if anything still waits a minute after a load has ended.

                  quorate drill replay
                  quorate drill replay --certificates 2000 --sessions 8 --json

                docs/DRILLS.md says what the columns mean.
                """)
        @Option(
            help: Whole(1...10_000).help("Calls, and as many transfers, whose certificates are repeated."),
            transform: Whole(1...10_000).parse) var certificates = 500
        @Option(help: Whole(1...16).help("Sessions with each host that repeat them."), transform: Whole(1...16).parse)
        var sessions = 2
        @Option(help: Limits.clients.help("Transfers of honest clients in flight."), transform: Limits.clients.parse)
        var clients = 64
        @Option(help: Limits.phase.help("Seconds of each load."), transform: Limits.phase.parse) var duration = 10.0
        @Option(help: Limits.keyedAccounts.help("Accounts, a key each."), transform: Limits.keyedAccounts.parse)
        var accounts = 2_000
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        private var shards: Int { options.givenShards ?? 2 }

        func validate() throws {
            guard shards >= 2 else {
                throw ValidationError("--shards must be at least 2: with one no shard certifies anything for another.")
            }
        }

        func execute() async throws {
            try options.prepare()
            let drill = ReplayDrill(
                certificates: certificates, sessions: sessions, clients: clients, seconds: duration, say: options.say)
            let run = LoadPhases(
                kind: "replay", setup: options.setup(clients: clients, accounts: accounts, shards: shards),
                keep: options.keep,
                hostProgram: try options.hostProgram.path())
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct ReplayFindings: DrillFindings {
    struct Phase: Codable, Sendable {
        var load: LoadResult
        /// By the rate before any repetition.
        var ratio: Double?
        /// Over all shards.
        var batches_per_s: Double
        /// Requests and decides that waited to be ordered, at the replica with the most.
        var most_waiting: Int
        /// Over all shards.
        var view_changes: UInt64
        /// Messages that the hosts' sockets took, and how often a host said something of a request to the sessions that
        /// sent them.
        var sent: Int
        var answered: Int
        /// Repeating sessions that ended, each followed by a new one.
        var sessions_lost: Int
        /// Seconds from the end of the load and the repetition until the cluster was at rest; null if that did not
        /// come.
        var rest_s: Double?
    }
    var sessions: Int
    /// What is repeated: requests, their certificates, and the messages that carry these.
    var requests: Int
    var certificates: Int
    var messages: Int
    var before: Phase?
    var under_certificates: Phase?
    var between: Phase?
    var under_requests: Phase?
    var after: Phase?
    var problems: [String] = []
    var down: Set<Int> = []

    private static let header = [
        "load", "transfers/s", "of before", "p99 ms", "batches/s", "waiting", "view changes", "sent/s", "answered",
        "at rest s",
    ]

    private var phases: [(String, Phase?)] {
        [
            ("before", before), ("certificates repeated", under_certificates), ("without", between),
            ("requests repeated", under_requests),
            ("without", after),
        ]
    }

    var loads: [(name: String, load: LoadResult)] { phases.compactMap { name, phase in phase.map { (name, $0.load) } } }

    func text() -> String {
        let rows = phases.compactMap { name, phase -> [String]? in
            guard let phase else { return nil }
            return [
                name, Figures.text(phase.load.tps, digits: 0),
                Figures.text(phase.ratio.map { $0 * 100 }, digits: 0) + " %",
                Figures.text(phase.load.p99_ms), Figures.text(phase.batches_per_s, digits: 0), "\(phase.most_waiting)",
                "\(phase.view_changes)", Figures.text(Double(phase.sent) / phase.load.seconds, digits: 0),
                "\(phase.answered)",
                Figures.text(phase.rest_s),
            ]
        }
        return
            "\(requests) requests, \(certificates) certificates of them in \(messages) messages, \(sessions) sessions with each host\n"
            + Figures.table([Self.header] + rows)
    }
}

struct ReplayDrill: Sendable {
    let certificates: Int
    let sessions: Int
    let clients: Int
    let seconds: Double
    let say: @Sendable (String) -> Void
    static let leastRatio = 0.6

    func run(_ stage: LoadStage) async throws -> ReplayFindings {
        let manifest = stage.processes.folder.manifest
        let maker = OldRequestMaker(
            processes: stage.processes, keys: stage.keys, firstNumber: await stage.takeNumbers())
        let old = try await maker.make(certificates)
        let repetitions = old.repetitions(manifest)
        say("\(old.requests.count) requests done, \(old.certificates.count) certificates of them")
        var findings = ReplayFindings(
            sessions: sessions, requests: old.requests.count, certificates: old.certificates.count,
            messages: repetitions.count)

        let watch = try await HostWatch.open(manifest)
        do {
            // Clocks of one machine; the shards' own time passes the deadlines with the load that follows.
            try await Task.sleep(for: .microseconds(OldRequestMaker.lifetime + 500_000))
            guard try await watch.rest() != nil else {
                throw ToolError(.noAnswer, "the cluster did not come to rest before the drill")
            }
            let before = try await measure(stage, watch, [], "before", nil, &findings.problems)
            findings.before = before
            let under = try await measure(
                stage, watch, repetitions, "certificates repeated", before, &findings.problems)
            findings.under_certificates = under
            // Requests go through the ordinary lane, and each has to be ordered once more before its shard knows it: no
            // bound for them.
            if let ratio = under.ratio, ratio < Self.leastRatio {
                findings.problems.append(
                    "certificates repeated: \(Figures.text(ratio * 100, digits: 0)) % of the transfers committed before"
                )
            }
            findings.between = try await measure(stage, watch, [], "without", before, &findings.problems)
            findings.under_requests = try await measure(
                stage, watch, old.submissions(manifest), "requests repeated", before, &findings.problems)
            findings.after = try await measure(stage, watch, [], "without", before, &findings.problems)
        } catch {
            await watch.close()
            throw error
        }
        await watch.close()
        return findings
    }

    /// One load, with the repetition from the end of its warm-up on.
    private func measure(
        _ stage: LoadStage, _ watch: HostWatch, _ messages: [GatewayMessage], _ name: String,
        _ before: ReplayFindings.Phase?,
        _ problems: inout [String]
    ) async throws -> ReplayFindings.Phase {
        let repeaters = Repeaters(messages, sessions: sessions, manifest: stage.processes.folder.manifest)
        let warmup = seconds / 4
        async let load = stage.run(.uniform, clients: clients, seconds: seconds, warmup: warmup)
        async let observed = observe(watch, repeaters, from: warmup, isRepeating: !messages.isEmpty)
        let (result, (first, last, most, elapsed)) = try await (load, observed)
        let counts = repeaters.now
        let phase = ReplayFindings.Phase(
            load: result, ratio: before.flatMap { $0.load.tps > 0 ? result.tps / $0.load.tps : nil },
            batches_per_s: (Double(zip(last.executed, first.executed).reduce(0) { $0 + ($1.0 - min($1.0, $1.1)) })
                / elapsed).rounded(),
            most_waiting: most, view_changes: zip(last.views, first.views).reduce(0) { $0 + ($1.0 - min($1.0, $1.1)) },
            sent: counts.sent, answered: counts.answered, sessions_lost: counts.lost, rest_s: try await watch.rest())
        say(
            "\(name): \(Figures.text(result.tps, digits: 0)) transfers/s, \(counts.sent) messages repeated, at most \(most) waiting"
        )
        if phase.view_changes > 0 { problems.append("\(name): \(phase.view_changes) view changes") }
        if phase.rest_s == nil { problems.append("\(name): something still waits a minute later") }
        if before == nil, result.tps == 0 { problems.append("nothing committed") }
        return phase
    }

    /// Repeats from the end of the warm-up to the end of the load, and looks at the hosts meanwhile.
    private func observe(
        _ watch: HostWatch, _ repeaters: Repeaters, from warmup: Double, isRepeating: Bool
    ) async throws -> (first: HostWatch.Sight, last: HostWatch.Sight, mostWaiting: Int, elapsed: Double) {
        let start = ContinuousClock.now
        try await Task.sleep(until: start + .seconds(warmup))
        guard let first = await watch.look() else { throw ToolError(.noAnswer, "a host does not say how it is") }
        let began = ContinuousClock.now
        async let repeating: Void = isRepeating ? repeaters.run() : ()
        var (last, most) = (first, first.waiting)
        while ContinuousClock.now < start + .seconds(seconds) {
            if let sight = await watch.look() {
                most = max(most, sight.waiting)
                last = sight
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        let elapsed = (ContinuousClock.now - began) / .seconds(1)
        await repeaters.stop()
        await repeating
        return (first, last, most, elapsed)
    }
}
