import Client
import Foundation
import Histories
import HostRuntime
import Messages
import Synchronization
import Workload

/// One soak from the cluster's creation to its end.
struct SoakRun: Sendable {
    struct Plan: Sendable {
        /// Of load.
        var seconds: Double
        /// Transfers a second; nil for a share of the peak.
        var rate: Double?
        /// Of the peak.
        var load: Double
        /// From one fault to the next.
        var every: Double
        /// Nothing is done to hosts if there is none.
        var acts: [SoakSchedule.Act]
    }

    let setup: DrillSetup
    let plan: Plan
    let keep: String?
    let hostProgram: String?
    let json: Bool
    let reporting: ReportOption
    let say: @Sendable (String) -> Void

    private static let kind = "soak"
    /// Of each account: more than it can pay.
    private static let balance = UInt128(1) << 48
    private static let patience = Duration.seconds(120)
    /// Accounts whose balances and last receipts are looked at once more.
    private static let checkedAccounts = 200
    /// Receipts that are asked for again after each fault.
    private static let askedMeanwhile = 20

    func run() async throws -> DrillReport<SoakFindings> {
        let root = try BenchFolder(keep: keep, kind: "drill")
        defer { root.remove() }
        let cluster = try await FreshCluster.start(
            at: root.path + "/cluster", shards: setup.shards, replicas: setup.replicas, gateways: setup.gateways,
            hostProgram: hostProgram, isRelayed: plan.acts.contains(.cut))
        let record = SoakRecord(cluster.processes)
        do {
            return try await cluster.use { try await run(on: $0, cluster.relays, record) }
        } catch {
            if record.hasBegun { try showPartial(record, without: error) }
            throw error
        }
    }

    /// What had been found before it was interrupted or went wrong, without the checks of the end.
    private func showPartial(_ record: SoakRecord, without error: any Error) throws {
        let findings = record.findings()
        let why = ToolError(error).description.split(separator: "\n").first.map(String.init) ?? "an error"
        if json {
            try Console.json(
                PartialDrillReport(drill: Self.kind, partial: why, setup: setup, findings: AnyFindings(findings)))
        } else {
            Console.out(findings.text())
            Console.out("PARTIAL: the soak did not come to its end, because of: \(why)")
        }
        try reporting.write { folder in
            let committed = findings.by_second.reduce(0) { $0 + $1.committed }
            let page = DrillPage(
                title: "Quorate drill: soak (partial)",
                subtitle: "It did not come to its end, because of: \(why)", made: Made.now,
                facts: [(committed, "transfers committed")], invariants: nil, problems: findings.problems,
                findings: findings.text(), comparisons: [], timeline: nil, events: [],
                plots: [record.throughput(findings)] + findings.plots)
            let document = try Console.document(
                PartialDrillReport(drill: Self.kind, partial: why, setup: setup, findings: AnyFindings(findings)))
            return try folder.write([
                ("report.json", document + "\n"), ("report.csv", try DrillPage.csv(json: document)),
                ("report.html", page.text()),
            ])
        }
    }

    // MARK: The load

    private func run(
        on processes: ClusterProcesses, _ relays: HostRelays?, _ record: SoakRecord
    ) async throws -> DrillReport<SoakFindings> {
        let keys = AccountKeys(accounts: setup.accounts, members: setup.principals, seed: setup.seed)
        let balances = [UInt128](repeating: Self.balance, count: setup.accounts)
        let channels = try await processes.openChannels()
        _ = try await processes.fund(keys, balances: balances, through: channels, seed: setup.seed, label: Self.kind)
        let stage = LoadStage(processes: processes, keys: keys, channels: channels, seed: setup.seed)
        let rate = try await offered(stage, processes, record)
        say(
            "offering \(Figures.text(rate, digits: 0)) transfers/s for \(Figures.text(plan.seconds, digits: 0)) s, "
                + (plan.acts.isEmpty
                    ? "without faults"
                    : "a host \(plan.acts.map(\.past).joined(separator: " or ")) every \(Figures.text(plan.every, digits: 0)) s")
        )

        let before = try await self.balances(of: keys, processes)
        let keeper = ReceiptKeeper(keys.signers.prefix(Self.checkedAccounts).map(\.publicKey))
        let generator = LoadGenerator(
            source: SoakTransfers(keys: keys, figures: record.figures, seed: setup.seed),
            signers: keys.signers, manifest: processes.folder.manifest,
            channels: channels.map { KeptChannel(base: $0, keeper: keeper) },
            configuration: .init(
                clients: setup.clients, channels: channels.count, lifetime: DrillRun.lifetime, seed: setup.seed,
                shape: .open(
                    OpenLoop(
                        requestsPerSecond: rate, arrivals: .constant, seed: setup.seed, maxInFlight: setup.clients))),
            firstNumber: await stage.takeNumbers())
        let probe = try HistoryProbe(processes, file: nil, seed: setup.seed)
        let result = try await processes.whileAllRun {
            async let load = generator.run()
            async let history: Void = probe.run()
            async let watching: Void = record.watch(say)
            try await faults(processes, relays, record, keeper)
            record.figures.stop()
            probe.stop()
            let result = try await load
            await history
            record.stopWatching()
            await watching
            await probe.readAll()
            return result
        }
        for channel in channels { await channel.close() }
        guard let measurements = result.source.measurements else { throw ToolError(.failure, "nothing was measured") }
        record.take(measurements)
        record.edit { $0.most_late_s = Figures.seconds(result.open?.mostLate ?? 0) }

        try await checkReceipts(keeper, processes, record)
        try await checkBalances(before, result.source, keys, processes, record)
        let issued = balances.reduce(UInt128(0), +)
        var invariants = try await FinalState(processes: processes, down: [])
            .check(issued: [(AccountKeys.asset, issued)], label: Self.kind)
        let history = try probe.judge(&invariants, label: Self.kind)
        record.edit { $0.history = history }

        let knee = await stage.total
        let load = DrillLoad(
            committed: knee.committed + measurements.committed, aborted: knee.aborted + measurements.aborted,
            unknown: knee.unknown + measurements.unknown, in_flight_mean: result.meanInFlight,
            retries: RunResult.Retries(result.counters))
        return DrillReport(
            drill: Self.kind, setup: setup, findings: record.findings(isWhole: true), load: load,
            invariants: invariants, timeline: RunResult.Timeline(measurements),
            events: record.events.since(measurements.start))
    }

    /// Transfers a second.
    private func offered(_ stage: LoadStage, _ processes: ClusterProcesses, _ record: SoakRecord) async throws -> Double
    {
        if let rate = plan.rate {
            record.edit { $0.offered_tps = rate }
            return rate
        }
        let seconds = min(12, max(2, plan.seconds / 10))
        let peak = try await processes.whileAllRun {
            try await stage.run(.uniform, clients: setup.clients, seconds: seconds, warmup: seconds / 4)
        }
        guard peak.tps > 0 else { throw ToolError(.failure, "nothing committed while the peak was looked for") }
        say("peak of \(setup.clients) clients: \(Figures.text(peak.tps, digits: 0)) transfers/s")
        let rate = max(1, peak.tps * plan.load)
        record.edit { ($0.peak, $0.offered_tps) = (peak, rate) }
        return rate
    }

    // MARK: Faults

    /// Returns when the time of the load is over, or a host has not come back.
    private func faults(
        _ processes: ClusterProcesses, _ relays: HostRelays?, _ record: SoakRecord, _ keeper: ReceiptKeeper
    ) async throws {
        while record.figures.start == nil { try await Task.sleep(for: .milliseconds(5)) }
        let start = record.figures.start ?? DrillScene.now
        let end = start + UInt64(plan.seconds * 1e9)
        func moment(_ seconds: Double) -> UInt64 { start + UInt64(seconds * 1e9) }
        let scene = DrillScene(
            processes: processes, log: CommitLog(), traffic: Traffic(), keep: { _ in }, events: record.events)
        var schedule = SoakSchedule(
            hosts: setup.replicas, every: plan.every, acts: plan.acts.isEmpty ? SoakSchedule.Act.allCases : plan.acts,
            seed: setup.seed)
        while !plan.acts.isEmpty {
            let fault = schedule.next(now: Double(DrillScene.now - start) / 1e9)
            // What is begun is to be over before the load is.
            guard moment(fault.at + 2 * fault.away) < end else { break }
            try await DrillScene.sleep(until: moment(fault.at))
            let done = try await perform(fault, scene, relays, since: start)
            record.edit { $0.faults.append(done) }
            guard done.caught_up_s != nil else {
                return record.edit {
                    $0.problems.append("host \(done.host) had not caught up \(Self.patience) after it was back")
                }
            }
            let answers = try await keeper.askAgain(Self.askedMeanwhile, processes)
            record.edit { findings in
                findings.receipts_meanwhile = findings.receipts_meanwhile + answers
                if answers.different > 0 {
                    findings.problems.append(
                        "\(answers.different) receipts decide something else since host \(done.host) was \(done.act.past)"
                    )
                }
            }
        }
        try await DrillScene.sleep(until: end)
    }

    private func perform(
        _ fault: SoakSchedule.Fault, _ scene: DrillScene, _ relays: HostRelays?, since start: UInt64
    ) async throws -> SoakFindings.Fault {
        let host = fault.host
        let began: UInt64
        let back: UInt64
        let away = UInt64(fault.away * 1e9)
        switch fault.act {
        case .kill:
            began = try await scene.processes.kill(host: host)
            scene.note("kill -9 host \(host)", at: began)
            try await DrillScene.sleep(until: began + away)
            back = DrillScene.now
            scene.note("restart host \(host)", at: back)
            _ = try await scene.processes.up(hosts: [host], gateways: 0, gatewayPort: 0)
        case .stop:
            let stopped = try await StoppedProcess(.host(host), scene.processes)
            began = stopped.stoppedAt
            scene.note("stop host \(host)", at: began)
            do { try await DrillScene.sleep(until: began + away) } catch {
                await stopped.resume()
                throw error
            }
            back = await stopped.resume()
            scene.note("continue host \(host)", at: back)
        case .cut:
            guard let relays, let process = scene.processes.run.running(.host(host)) else {
                throw ToolError(.failure, "host \(host) cannot be cut off: it does not run, or nothing relays to it")
            }
            began = DrillScene.now
            relays.cut(host, process)
            scene.note("cut off host \(host)", at: began)
            do { try await DrillScene.sleep(until: began + away) } catch {
                relays.mend()
                throw error
            }
            relays.mend()
            back = DrillScene.now
            scene.note("mend host \(host)", at: back)
        }
        let caughtUp = try await scene.caughtUp(host, limit: Self.patience, pause: .milliseconds(200))
        let done = SoakFindings.Fault(
            at_s: Figures.seconds(began - min(began, start)), host: host, act: fault.act,
            away_s: Figures.seconds(back - min(back, began)),
            caught_up_s: caughtUp.map { Figures.seconds($0 - min($0, back)) })
        say(
            "\(Figures.text(done.at_s, digits: 0)) s: host \(host) \(fault.act.past) for \(Figures.text(done.away_s)) s, "
                + "caught up \(Figures.text(done.caught_up_s)) s later")
        return done
    }

    // MARK: The end

    /// The last receipts of some principals, which nobody has acknowledged, through a gateway that has seen none of
    /// them.
    private func checkReceipts(
        _ keeper: ReceiptKeeper, _ processes: ClusterProcesses, _ record: SoakRecord
    ) async throws {
        let port = processes.run.port(ofGateway: 0) ?? 0
        try await processes.kill(.gateway(0))
        try await processes.start(gateway: 0, port: port)
        let answers = try await keeper.askAgain(Self.checkedAccounts, processes)
        record.edit { findings in
            findings.receipts_at_the_end = answers
            if answers.different > 0 {
                findings.problems.append("\(answers.different) receipts decide something else at the end")
            }
            if answers.no_answer > 0 {
                findings.problems.append("\(answers.no_answer) receipts could not be had again at the end")
            }
        }
    }

    private func balances(of keys: AccountKeys, _ processes: ClusterProcesses) async throws -> [UInt128?] {
        guard let address = processes.gateways.first else { throw ToolError(.notRunning, "no gateway runs") }
        let connection = try await GatewayConnection.connect(address)
        do {
            var balances: [UInt128?] = []
            for account in keys.ids.prefix(Self.checkedAccounts) {
                balances.append(try await connection.account(account).view?.posted.number)
            }
            await connection.close()
            return balances
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Each account holds what it had, and what receipts prove that it got and gave.
    private func checkBalances(
        _ before: [UInt128?], _ source: SoakTransfers, _ keys: AccountKeys, _ processes: ClusterProcesses,
        _ record: SoakRecord
    ) async throws {
        let end = ContinuousClock.now + .seconds(30)
        while true {
            let after = try await balances(of: keys, processes)
            var found = SoakFindings.Balances()
            for (i, (old, new)) in zip(before, after).enumerated() {
                if source.unproven.contains(i) {
                    found.unproven += 1
                } else if let old, let new, Int128(new) - Int128(old) == Int128(source.net[i]) {
                    found.checked += 1
                } else {
                    found.wrong += 1
                }
            }
            // The last credits may be on their way for a moment after their receipts.
            if found.wrong > 0, ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(500))
                continue
            }
            let result = found
            return record.edit { findings in
                findings.balances = result
                if result.wrong > 0 {
                    findings.problems.append("\(result.wrong) accounts do not hold what receipts prove")
                }
            }
        }
    }
}

/// What a soak has found until now, for its end and for whoever ends it before.
final class SoakRecord: Sendable {
    let figures = SecondFigures()
    let events = DrillEvents()
    private let history: ProcessHistory
    private let found = Mutex(SoakFindings())
    private let watching = StopSwitch()

    /// Memory: a tenth, or what a cache may still fill. Disk: journals swing by their compaction.
    private static let allowances: [(figure: String, allowance: Flatness.Allowance)] = [
        ("memory", .init(share: 0.15, amount: 48e6)), ("descriptors", .init(share: 0.1, amount: 16)),
        ("disk", .init(share: 0.25, amount: 64e6)),
    ]
    /// From one line of progress to the next, in seconds.
    private static let progressEvery = 10

    init(_ processes: ClusterProcesses) { history = ProcessHistory(processes) }

    var hasBegun: Bool { figures.start != nil }

    func edit(_ change: (inout SoakFindings) -> Void) { found.withLock { change(&$0) } }

    func take(_ measurements: Measurements) {
        let latency = RunResult.Latency(measurements.intra)
        func ms(_ microseconds: UInt64) -> Double { Double(microseconds) / 1000 }
        edit {
            $0.tps = measurements.throughput.rounded()
            $0.latency = .init(
                p50_ms: ms(latency.p50_us), p99_ms: ms(latency.p99_us), p999_ms: ms(latency.p999_us),
                max_ms: ms(latency.max_us))
        }
    }

    func stopWatching() { watching.turnOn() }

    /// Looks at all processes each second, and says now and then how it goes.
    func watch(_ say: @Sendable (String) -> Void) async {
        while figures.start == nil, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
        var ticks = 0
        while !watching.isOn, !Task.isCancelled {
            let start = figures.start ?? DrillScene.now
            history.look(at: Double(DrillScene.now - start) / 1e9)
            if ticks > 0, ticks % Self.progressEvery == 0 { say(progress()) }
            ticks += 1
            try? await DrillScene.sleep(until: start + UInt64(ticks) * 1_000_000_000)
        }
    }

    private func progress() -> String {
        let seconds = figures.seconds(now: DrillScene.now)
        let late = seconds.suffix(Self.progressEvery)
        let rate = Double(late.reduce(0) { $0 + $1.committed }) / Double(max(1, late.count))
        func worst(_ figure: (SecondFigures.Second) -> Double?) -> String {
            Figures.text(late.compactMap(figure).max())
        }
        let memory = history.series.compactMap { $0.series.lives.last?.points.last?.sample.memory }.reduce(0, +)
        return
            "\(seconds.count) s: \(Figures.text(rate, digits: 0)) transfers/s, p50 \(worst { $0.p50_ms }) ms and p99 \(worst { $0.p99_ms }) ms "
            + "in the worst of the last \(late.count) s, \(found.withLock { $0.faults.count }) faults, all processes \(Figures.megabytes(memory))"
    }

    /// - Parameter isWhole: it has come to its end, so that what grows is a problem.
    func findings(isWhole: Bool = false) -> SoakFindings {
        var findings = found.withLock { $0 }
        let end = DrillScene.now
        findings.by_second = figures.seconds(now: end)
        let all = history.series
        // Nothing is looked at once the load is over.
        let last = all.flatMap { $0.series.lives.compactMap { $0.points.last?.at } }.max() ?? 0
        findings.seconds = last
        // What came after the load is no part of it.
        findings.by_second = Array(findings.by_second.prefix(Int(last.rounded(.up))))
        if findings.tps == 0, last > 0 {
            findings.tps = (Double(findings.by_second.reduce(0) { $0 + $1.committed }) / last).rounded()
        }
        findings.processes = all.map { Self.thinned($0.role, $0.series) }
        findings.trends = all.flatMap { Self.trends($0.role, $0.series, until: last) }
        if isWhole {
            for trend in findings.trends where !trend.flatness.is_flat {
                let growth =
                    trend.figure == "descriptors"
                    ? Figures.text(trend.flatness.growth) : Figures.megabytes(Int(trend.flatness.growth))
                findings.problems.append(
                    "\(trend.figure) of \(trend.process) grew by \(growth) in \(Figures.text(trend.flatness.seconds, digits: 0)) s"
                )
            }
        }
        return findings
    }

    /// Of a run without a time line of its own.
    func throughput(_ findings: SoakFindings) -> DrillPage.Plot {
        let points = findings.by_second.enumerated().map {
            (x: Double($0.offset) + 0.5, y: Double($0.element.committed))
        }
        return .init(
            title: "Throughput", yTitle: "committed / s",
            lines: [.init(name: "throughput", points: Thinned.points(points), colour: 0)],
            marks: events.since(figures.start ?? 0))
    }

    private static func trends(
        _ role: RunFolder.Role, _ series: ProcessHistory.Series, until end: Double
    ) -> [SoakFindings.Trend] {
        var trends: [SoakFindings.Trend] = []
        for (figure, allowance) in allowances {
            // What a host has on its disk outlives its processes.
            let parts: [[(at: Double, value: Double)]] =
                switch figure {
                case "disk": [series.disk]
                case "memory": series.lives.map { $0.points.map { ($0.at, Double($0.sample.memory)) } }
                default: series.lives.map { $0.points.map { ($0.at, Double($0.sample.descriptors)) } }
                }
            for part in parts {
                // A new process fills its caches first, as all of them do when the run begins.
                let from = part.first.map { $0.at > 2 && figure != "disk" ? $0.at + 15 : $0.at } ?? 0
                guard let flatness = Flatness(part.filter { $0.at >= from }, ofRunUntil: end, allowance: allowance)
                else {
                    continue
                }
                trends.append(
                    .init(
                        process: "\(role)", figure: figure, from_s: (part.first?.at ?? 0).rounded(),
                        flatness: flatness))
            }
        }
        return trends
    }

    private static func thinned(_ role: RunFolder.Role, _ series: ProcessHistory.Series) -> SoakFindings.Process {
        func thin(_ points: [(at: Double, value: Double)]) -> (at: [Double], values: [Double]) {
            let few = Thinned.points(points.map { (x: $0.at, y: $0.value) })
            return (few.map { ($0.x * 10).rounded() / 10 }, few.map { $0.y.rounded() })
        }
        let disk = thin(series.disk)
        return SoakFindings.Process(
            process: "\(role)",
            lives: series.lives.map { life in
                let memory = thin(life.points.map { ($0.at, Double($0.sample.memory)) })
                let descriptors = thin(life.points.map { ($0.at, Double($0.sample.descriptors)) })
                return .init(at_s: memory.at, memory_bytes: memory.values, descriptors: descriptors.values)
            }, disk_at_s: disk.at, disk_bytes: disk.values)
    }
}
