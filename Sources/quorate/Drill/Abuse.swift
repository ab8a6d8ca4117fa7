import ArgumentParser
import Foundation
import HostRuntime
import Messages
import NIOPosix
import NIOSSL
import Synchronization
import Workload

extension DrillCommand {
    struct Abuse: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Treat all ports of a cluster badly, one way after the other, and measure what becomes of it.",
            discussion: """
                Kinds: \(AbuseKind.names).

                An honest load is measured before, and again under each kind. Meanwhile a new client and a new reader over HTTP come \
                twice a second. For each kind: how many connections were opened and ended by the server, and after how long; what the \
                servers count and log; what memory and descriptors they take, and have given back afterwards.

                The drill fails if a server lets in whom it must not, keeps a connection for longer than it may, does not give memory or \
                descriptors back, floods its log, or serves no newcomer. The honest load's p99 is to stay within \
                \(Int(AbuseFindings.target)) times of before; that is said, and fails the drill only with --require-ratio.

                  quorate drill abuse
                  quorate drill abuse --kinds idle,garbage --connections 8000 --seconds 20
                  quorate drill abuse --require-ratio 2 --json

                docs/DRILLS.md says what each kind does and what is checked.
                """)
        @Option(help: "Some of them, with commas between them. Default: all.") var kinds: String?
        @Option(
            help: Whole(8...100_000).help("Idle connections, over all ports; fewer of kinds that do more."),
            transform: Whole(8...100_000).parse) var connections = 4000
        @Option(
            help: Real(1...10_000).help("Connections opened a second, of kinds that are refused at once."),
            transform: Real(1...10_000).parse) var rate = 100.0
        @Option(
            help: Real(20...1_000_000).help("Requests with bad signatures a second."),
            transform: Real(20...1_000_000).parse) var flood = 2000.0
        @Option(help: Limits.clients.help("Transfers of honest clients in flight."), transform: Limits.clients.parse)
        var clients = 32
        @Option(help: Limits.phase.help("Seconds of each kind."), transform: Limits.phase.parse) var seconds = 10.0
        @Option(help: Limits.keyedAccounts.help("Accounts, a key each."), transform: Limits.keyedAccounts.parse)
        var accounts = 2_000
        @Option(
            help: Limits.ratio.help("Fail if the honest p99 rises above so many times that of before."),
            transform: Limits.ratio.parse) var requireRatio: Double?
        @Flag(help: "Do not wait until the servers' longest patience is over: what is open by then is only counted.")
        var hurry = false
        @OptionGroup var options: DrillOptions
        var json: Bool { options.json }

        private func chosen() throws -> [AbuseKind] {
            guard let kinds else { return AbuseKind.allCases }
            let chosen = try kinds.split(separator: ",").map { word in
                guard let kind = AbuseKind(rawValue: String(word)) else {
                    throw ValidationError("--kinds: there is no \(word); there are \(AbuseKind.names).")
                }
                return kind
            }
            guard !chosen.isEmpty else { throw ValidationError("--kinds needs one of \(AbuseKind.names).") }
            return chosen
        }

        func validate() throws { _ = try chosen() }

        func execute() async throws {
            try options.prepare()
            let drill = AbuseDrill(
                kinds: try chosen(), connections: connections, rate: rate, flood: flood, clients: clients,
                seconds: seconds, waits: !hurry, required: requireRatio, say: options.say)
            let run = LoadPhases(
                kind: "abuse", setup: options.setup(clients: clients, accounts: accounts), keep: options.keep,
                hostProgram: try options.hostProgram.path(), hasWeb: true)
            try (try await run.run { try await drill.run($0) }).finish(options)
        }
    }
}

struct AbuseFindings: DrillFindings {
    /// One assault.
    struct Tally: Codable, Sendable {
        var port: HostilePort
        var what: String
        var attempted = 0
        /// Could not be opened at all.
        var not_connected = 0
        /// By the server, in whatever way.
        var ended = 0
        /// When they were given up.
        var open = 0
        /// Let in where nobody must be.
        var let_in = 0
        /// The longest that the server took to end one.
        var longest_s = 0.0
        /// In which it must; null where it may go on.
        var limit_s: Double?
    }
    /// Of one process.
    struct Holding: Codable, Sendable {
        var process: String
        var before: ProcessSample
        var most: ProcessSample
        var after: ProcessSample
        var log_lines: Int
    }
    struct Kind: Codable, Sendable {
        var kind: AbuseKind
        var seconds: Double
        var tallies: [Tally]
        var load: LoadResult
        /// Of the honest p99, by that of before.
        var p99_ratio: Double?
        var clients: ServerWatch.Newcomers
        var scrapers: ServerWatch.Newcomers
        /// By how much counters of the first gateway and the first host rose.
        var counted: [String: Double]
        var processes: [Holding]
    }

    /// Of the honest p99, by that of before.
    static let target = 2.0
    /// That this process could have.
    var descriptor_limit: Int
    var before: LoadResult?
    var kinds: [Kind] = []
    var after: LoadResult?
    var worst_p99_ratio: Double?
    var p99_ratio_target = AbuseFindings.target
    var p99_ratio_target_met: Bool?
    var problems: [String] = []
    var down: Set<Int> = []

    var loads: [(name: String, load: LoadResult)] {
        [before].compactMap { $0.map { ("before", $0) } } + kinds.map { ($0.kind.rawValue, $0.load) }
            + [after].compactMap { $0.map { ("after", $0) } }
    }

    func text() -> String {
        var tallies = [["kind", "port", "connection", "attempted", "ended", "open", "let in", "longest s", "limit s"]]
        var rows = [
            [
                "kind", "transfers/s", "p99 ms", "of before", "new clients", "scrapes", "log lines", "memory MB",
                "left MB", "descriptors", "left",
            ]
        ]
        func served(_ newcomers: ServerWatch.Newcomers) -> String {
            "\(newcomers.tries - newcomers.failures)/\(newcomers.tries), \(Figures.text(newcomers.worst_ms, digits: 0)) ms"
        }
        func row(_ name: String, _ load: LoadResult, _ rest: [String]) -> [String] {
            [name, Figures.text(load.tps, digits: 0), Figures.text(load.p99_ms)] + rest
        }
        if let before { rows.append(row("before", before, Array(repeating: "-", count: 8))) }
        var counted: [String] = []
        for kind in kinds {
            for (i, tally) in kind.tallies.enumerated() {
                tallies.append([
                    i == 0 ? kind.kind.rawValue : "", tally.port.rawValue, tally.what, "\(tally.attempted)",
                    "\(tally.ended)", "\(tally.open)", "\(tally.let_in)", Figures.text(tally.longest_s),
                    Figures.text(tally.limit_s, digits: 0),
                ])
            }
            func most(_ figure: (Holding) -> Int) -> Int { kind.processes.map(figure).max() ?? 0 }
            func megabytes(_ figure: (Holding) -> Int) -> String { Figures.text(Double(most(figure)) / 1e6) }
            rows.append(
                row(
                    kind.kind.rawValue, kind.load,
                    [
                        Figures.text(kind.p99_ratio, digits: 2), served(kind.clients), served(kind.scrapers),
                        "\(kind.processes.reduce(0) { $0 + $1.log_lines })",
                        megabytes { $0.most.memory - $0.before.memory },
                        megabytes { $0.after.memory - $0.before.memory },
                        "\(most { $0.most.descriptors - $0.before.descriptors })",
                        "\(most { $0.after.descriptors - $0.before.descriptors })",
                    ]))
            if !kind.counted.isEmpty {
                let all = kind.counted.sorted { $0.key < $1.key }.map {
                    "\($0.key) \(Figures.text($0.value, digits: 0))"
                }
                counted.append("\(kind.kind.rawValue) counted as \(all.joined(separator: ", "))")
            }
        }
        if let after { rows.append(row("after", after, Array(repeating: "-", count: 8))) }
        return "this process may have \(descriptor_limit) descriptors\n" + Figures.table(tallies) + "\n\n"
            + Figures.table(rows) + "\n" + (counted.map { $0 + "\n" }).joined() + verdict
    }

    private var verdict: String {
        guard let ratio = worst_p99_ratio, let isMet = p99_ratio_target_met else { return "" }
        return
            "the honest p99 was at most \(Figures.text(ratio, digits: 2)) times that of before; the target of \(Figures.text(Self.target)) is \(isMet ? "" : "not ")met"
    }
}

struct AbuseDrill: Sendable {
    let kinds: [AbuseKind]
    let connections: Int
    let rate: Double
    let flood: Double
    let clients: Int
    let seconds: Double
    /// Until the servers' patience is over.
    let waits: Bool
    /// Of the honest p99; nil if it is only said.
    let required: Double?
    let say: @Sendable (String) -> Void

    /// What bounds allow for a moment: unfinished frames and answers of all clients.
    private static let mostMemory = 384 << 20
    /// What allocators may keep.
    private static let leftMemory = 128 << 20
    private static let leftDescriptors = 12
    /// Of one process, a second, and what each kind may cause once.
    private static let logLines = (perSecond: 10.0, once: 60)

    func run(_ stage: LoadStage) async throws -> AbuseFindings {
        // Only now: processes of the cluster have their own limit, and not this one.
        let limit = DescriptorLimit.raise()
        let idle = min(connections, max(8, limit - 500))
        say(
            "this process may have \(limit) descriptors, so there will be up to \(idle) idle connections\(idle < connections ? " instead of \(connections)" : "")"
        )
        // A thread of its own: the honest load's answers do not wait behind what is done here.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let findings = try await run(stage, idle: idle, limit: limit, on: group)
            try await group.shutdownGracefully()
            return findings
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func run(
        _ stage: LoadStage, idle: Int, limit: Int, on group: MultiThreadedEventLoopGroup
    ) async throws -> AbuseFindings {
        var findings = AbuseFindings(descriptor_limit: limit)
        let target = try HostileTarget(stage.processes, on: group)
        let arsenal = try await target.arsenal(connections: idle, rate: rate, flood: flood)
        let watch = ServerWatch(stage.processes, on: group)
        let before = try await stage.run(.uniform, clients: clients, seconds: seconds, warmup: seconds / 4)
        findings.before = before
        say(
            "before: \(Figures.text(before.tps, digits: 0)) transfers/s, p99 \(Figures.text(before.p99_ms)) ms")
        guard before.tps > 0 else {
            findings.problems.append("nothing committed")
            return findings
        }
        for kind in kinds {
            let found = try await measure(kind, arsenal.assaults(kind), stage, target, watch, before)
            findings.kinds.append(found)
            findings.problems += problems(of: found)
            say(
                "\(kind.rawValue): \(found.tallies.reduce(0) { $0 + $1.attempted }) attempts, \(found.tallies.reduce(0) { $0 + $1.ended }) ended by the server; "
                    + "honest p99 \(Figures.text(found.load.p99_ms)) ms, \(Figures.text(found.p99_ratio, digits: 2)) of before"
            )
        }
        findings.after = try await stage.run(.uniform, clients: clients, seconds: seconds, warmup: seconds / 4)
        if let worst = findings.kinds.compactMap(\.p99_ratio).max() {
            (findings.worst_p99_ratio, findings.p99_ratio_target_met) = (worst, worst <= AbuseFindings.target)
            if let required, worst > required {
                findings.problems.append(
                    "the honest p99 rose to \(Figures.text(worst, digits: 2)) times that of before, \(required) is required"
                )
            }
        }
        return findings
    }

    private func measure(
        _ kind: AbuseKind, _ assaults: [Assault], _ stage: LoadStage, _ target: HostileTarget, _ watch: ServerWatch,
        _ before: LoadResult
    ) async throws -> AbuseFindings.Kind {
        let start = DrillScene.now
        let first = await watch.snapshot()
        let over = StopSwitch()
        async let most = watch.most(until: over)
        async let newClients = watch.comeAsClient(until: over)
        async let newScrapers = watch.comeAsScraper(until: over)
        async let load = stage.run(.uniform, clients: clients, seconds: seconds, warmup: seconds / 8)
        let began = DrillScene.now
        let tallies = try await withThrowingTaskGroup(of: (Int, AbuseFindings.Tally).self) { tasks in
            for (i, assault) in assaults.enumerated() {
                tasks.addTask {
                    (i, try await target.carryOut(assault, from: began, seconds: seconds, waits: waits))
                }
            }
            return try await tasks.reduce(into: [(Int, AbuseFindings.Tally)]()) { $0.append($1) }
                .sorted { $0.0 < $1.0 }.map(\.1)
        }
        let result = try await load
        over.turnOn()
        let (peak, clientsServed, scrapersServed) = await (most, newClients, newScrapers)
        let last = try await settled(watch, first)
        return AbuseFindings.Kind(
            kind: kind, seconds: Figures.seconds(DrillScene.now - start), tallies: tallies, load: result,
            p99_ratio: before.p99_ms > 0 ? result.p99_ms / before.p99_ms : nil, clients: clientsServed,
            scrapers: scrapersServed,
            counted: last.counters.reduce(into: [:]) { counted, counter in
                let rise = counter.value - (first.counters[counter.key] ?? 0)
                if rise > 0 { counted[counter.key] = rise }
            },
            processes: first.samples.keys.sorted { "\($0)" < "\($1)" }.compactMap { role in
                guard let before = first.samples[role], let after = last.samples[role] else { return nil }
                return AbuseFindings.Holding(
                    process: "\(role)", before: before, most: peak[role] ?? after, after: after,
                    log_lines: (last.lines[role] ?? 0) - (first.lines[role] ?? 0))
            })
    }

    /// What was closed here is closed there a moment later.
    private func settled(_ watch: ServerWatch, _ first: ServerWatch.Snapshot) async throws -> ServerWatch.Snapshot {
        let end = DrillScene.now + UInt64(8e9)
        while DrillScene.now < end {
            let isBack = watch.samples().allSatisfy { role, sample in
                guard let before = first.samples[role] else { return true }
                return sample.descriptors <= before.descriptors + Self.leftDescriptors / 2
                    && sample.memory <= before.memory + Self.leftMemory / 2
            }
            if isBack { break }
            try await Task.sleep(for: .milliseconds(250))
        }
        return await watch.snapshot()
    }

    private func problems(of found: AbuseFindings.Kind) -> [String] {
        var problems: [String] = []
        func complain(_ what: String) { problems.append("\(found.kind.rawValue): \(what)") }
        for tally in found.tallies {
            if tally.let_in > 0 {
                complain("\(tally.let_in) let in at the \(tally.port.rawValue) port (\(tally.what))")
            }
            if let limit = tally.limit_s, waits {
                if tally.open > 0 {
                    complain(
                        "\(tally.open) of \(tally.attempted) still open at the \(tally.port.rawValue) port after \(Figures.text(limit, digits: 0)) s (\(tally.what))"
                    )
                }
            }
        }
        if found.load.tps == 0 { complain("no honest transfer committed") }
        if found.clients.tries > 0, found.clients.failures == found.clients.tries {
            complain("no new client was served")
        }
        if found.scrapers.tries > 0, found.scrapers.failures == found.scrapers.tries {
            complain("nobody was served over HTTP")
        }
        for process in found.processes {
            if process.most.memory > process.before.memory + Self.mostMemory {
                complain(
                    "\(process.process) took \(Figures.megabytes(process.most.memory - process.before.memory)) of memory"
                )
            }
            if process.after.memory > process.before.memory + Self.leftMemory {
                complain(
                    "\(process.process) has not given back \(Figures.megabytes(process.after.memory - process.before.memory)) of memory"
                )
            }
            if process.after.descriptors > process.before.descriptors + Self.leftDescriptors {
                complain(
                    "\(process.process) has not given back \(process.after.descriptors - process.before.descriptors) descriptors"
                )
            }
            if Double(process.log_lines) > Double(Self.logLines.once) + Self.logLines.perSecond * found.seconds {
                complain("\(process.process) wrote \(process.log_lines) lines into its log")
            }
        }
        return problems
    }
}

/// The ports of a cluster, and who treats them badly.
struct HostileTarget: Sendable {
    private let manifest: Manifest
    private let group: MultiThreadedEventLoopGroup
    private let gateway: (host: String, port: Int)
    private let http: (host: String, port: Int)
    private let host: (host: String, port: Int)
    /// What `HelloAnswer.accepted` is as a frame.
    fileprivate static let letIn: [UInt8] = [1, 0, 0, 0, 1]

    init(_ processes: ClusterProcesses, on group: MultiThreadedEventLoopGroup) throws {
        manifest = processes.folder.manifest
        self.group = group
        guard let port = processes.run.port(ofGateway: 0), let web = processes.run.webPort(of: .gateway(0)) else {
            throw ToolError(.notRunning, "gateway 0 does not say where it listens")
        }
        gateway = ("127.0.0.1", port)
        http = ("127.0.0.1", web)
        host = (manifest.hosts[0].address, manifest.hosts[0].port)
    }

    private func address(_ port: HostilePort) -> (host: String, port: Int) {
        switch port {
        case .gateway: gateway
        case .http: http
        case .host: host
        }
    }

    /// Has a session of a tool with the first host, and keeps what it sent.
    func arsenal(connections: Int, rate: Double, flood: Double) async throws -> Arsenal {
        let recorder = HostileConnection.Recorder()
        let connection = try await HostileConnection.open(
            host, tls: try HostileIdentity.stranger.context(), recorder: recorder, on: group)
        let hello = Hello(cluster: manifest.cluster, epoch: manifest.epoch, sender: .gateway)
        connection.send(Arsenal.frame(hello.encoded()))
        let end = DrillScene.now + UInt64(5e9)
        while !connection.seen.head.starts(with: Self.letIn) {
            guard DrillScene.now < end, connection.isOpen else {
                throw ToolError(.noAnswer, "host 0 does not let a tool in")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        connection.close()
        let bytes = recorder.bytes
        // A record: its kind, two bytes of version, two of length.
        guard bytes.count > 5 else { throw ToolError(.failure, "nothing was recorded of a session") }
        let length = 5 + Int(bytes[3]) << 8 + Int(bytes[4])
        return Arsenal(
            manifest: manifest, connections: connections, rate: rate, flood: flood, session: bytes,
            clientHello: Array(bytes.prefix(length)))
    }

    /// - Parameters:
    ///   - start: monotonic nanoseconds.
    ///   - seconds: of the load meanwhile.
    ///   - waits: for those that the server must end yet.
    func carryOut(
        _ assault: Assault, from start: UInt64, seconds: Double, waits: Bool
    ) async throws -> AbuseFindings.Tally {
        let tls = try assault.identity?.context()
        let tally = TallyBox(.init(port: assault.port, what: assault.what, limit_s: assault.limit))
        let end = start + UInt64(seconds * 1e9)
        switch assault.pace {
        case .held(let count): try await hold(assault, count, tls, until: end, waits: waits, tally)
        case .repeated(let rate): await attempt(assault, rate, tls, from: start, until: end, tally)
        }
        return tally.tally
    }

    private final class TallyBox: Sendable {
        private let state: Mutex<AbuseFindings.Tally>
        init(_ tally: AbuseFindings.Tally) { state = Mutex(tally) }
        var tally: AbuseFindings.Tally { state.withLock { $0 } }
        func attempt() { state.withLock { $0.attempted += 1 } }
        func fail() { state.withLock { $0.not_connected += 1 } }

        /// How it was when it was given up.
        func note(_ connection: HostileConnection, _ assault: Assault) {
            let seen = connection.seen
            state.withLock { tally in
                if assault.mustNotBeLetIn, seen.head.starts(with: HostileTarget.letIn) { tally.let_in += 1 }
                guard let endedAt = seen.endedAt else {
                    tally.open += 1
                    return
                }
                tally.ended += 1
                let seconds = Figures.seconds(endedAt - min(endedAt, connection.openedAt))
                tally.longest_s = max(tally.longest_s, seconds)
            }
        }
    }

    /// - Returns: nil if it could not be opened.
    private func open(_ assault: Assault, _ tls: NIOSSLContext?, _ tally: TallyBox) async -> HostileConnection? {
        tally.attempt()
        do {
            let connection = try await HostileConnection.open(
                address(assault.port), tls: tls, reads: assault.reads, on: group)
            connection.send(assault.opening)
            return connection
        } catch {
            tally.fail()
            return nil
        }
    }

    /// Opens as many as it can at once, and says what there is to say on them, until the time is over and, if `waits`,
    /// until they must have been ended.
    private func hold(
        _ assault: Assault, _ count: Int, _ tls: NIOSSLContext?, until end: UInt64, waits: Bool, _ tally: TallyBox
    ) async throws {
        let openers = min(16, count)
        let connections = await withTaskGroup(of: [HostileConnection].self) { tasks in
            for opener in 0..<openers {
                let share = count / openers + (opener < count % openers ? 1 : 0)
                tasks.addTask {
                    var opened: [HostileConnection] = []
                    for _ in 0..<share where !Task.isCancelled {
                        if let connection = await open(assault, tls, tally) { opened.append(connection) }
                    }
                    return opened
                }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
        defer { for connection in connections { connection.close() } }
        let last = connections.map(\.openedAt).max() ?? DrillScene.now
        var over = end
        if waits, let limit = assault.limit { over = max(end, last + UInt64(limit * 1e9)) }
        var (turn, nextTurn) = (0, DrillScene.now)
        while DrillScene.now < over {
            // Those that the server must end are followed beyond the load, as long as there are any.
            if DrillScene.now >= end, !connections.contains(where: \.isOpen) { break }
            if !assault.further.isEmpty, DrillScene.now >= nextTurn {
                let bytes = assault.further[turn % assault.further.count]
                for connection in connections { connection.send(bytes) }
                turn += 1
                nextTurn += UInt64(assault.every / .nanoseconds(1))
            }
            try await Task.sleep(for: min(assault.every, .milliseconds(100)))
        }
        if !assault.reads {
            // Who does not read does not see the end either.
            for connection in connections { connection.readAtLast() }
            let patience = DrillScene.now + UInt64(2e9)
            while DrillScene.now < patience, connections.contains(where: \.isOpen) {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        for connection in connections { tally.note(connection, assault) }
    }

    /// Opens so many a second, and waits for the end of each.
    private func attempt(
        _ assault: Assault, _ rate: Double, _ tls: NIOSSLContext?, from start: UInt64, until end: UInt64,
        _ tally: TallyBox
    ) async {
        await withDiscardingTaskGroup { tasks in
            var number = 0
            while !Task.isCancelled {
                let due = start + UInt64(Double(number) * 1e9 / rate)
                guard due < end else { break }
                try? await DrillScene.sleep(until: due)
                number += 1
                tasks.addTask {
                    guard let connection = await open(assault, tls, tally) else { return }
                    _ = await connection.waitForEnd(
                        until: connection.openedAt + UInt64((assault.limit ?? 5) * 1e9))
                    tally.note(connection, assault)
                    connection.close()
                }
            }
        }
    }
}
