import Foundation
import HostRuntime
import Messages
import Workload

/// One load after another on one cluster: for what compares loads.
struct LoadPhases: Sendable {
    let kind: String
    let setup: DrillSetup
    let keep: String?
    let hostProgram: String?
    /// Whether hosts and gateways say over HTTP how they are.
    var hasWeb = false
    /// Of each account: more than it can pay.
    private static let balance = UInt128(1) << 48

    func run<Findings: DrillFindings>(
        _ script: @escaping @Sendable (LoadStage) async throws -> Findings
    ) async throws -> DrillReport<Findings> {
        let root = try BenchFolder(keep: keep, kind: "drill")
        defer { root.remove() }
        let cluster = try await FreshCluster.start(
            at: root.path + "/cluster", shards: setup.shards, replicas: setup.replicas, gateways: setup.gateways,
            hostProgram: hostProgram, hasWeb: hasWeb)
        return try await cluster.use { processes in
            let keys = AccountKeys(accounts: setup.accounts, members: setup.principals, seed: setup.seed)
            let balances = [UInt128](repeating: Self.balance, count: setup.accounts)
            let channels = try await processes.openChannels()
            _ = try await processes.fund(keys, balances: balances, through: channels, seed: setup.seed, label: kind)
            let stage = LoadStage(processes: processes, keys: keys, channels: channels, seed: setup.seed)
            let findings = try await processes.whileAllRun { try await script(stage) }
            for channel in channels { await channel.close() }
            let invariants = try await FinalState(processes: processes, down: findings.down)
                .check(issued: [(AccountKeys.asset, balances.reduce(UInt128(0), +))], label: kind)
            return DrillReport(
                drill: kind, setup: setup, findings: findings, load: await stage.total, invariants: invariants)
        }
    }
}

/// What one load brought. Of what ended within its time, after the warm-up.
struct LoadResult: Codable, Sendable {
    var clients: Int
    /// Without the warm-up.
    var seconds: Double
    var tps: Double
    /// From a client's first submit to the verified receipt, rejections and repetitions included.
    var p50_ms: Double
    var p99_ms: Double
    /// From the submit that was admitted to its receipt, over the whole phase.
    var admitted_p99_ms: Double?
    /// Requests a second that left the clients, repetitions included, over the whole phase.
    var offered_tps: Double
    /// By cause, over the whole phase.
    var rejections: [String: Int]
    var conflicts: Int
    var aborted: Int
    var unknown: Int

    static let header = [
        "load", "clients", "transfers/s", "p50 ms", "p99 ms", "admitted p99 ms", "offered/s", "rejected",
    ]

    func row(_ name: String) -> [String] {
        let rejected = rejections.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        return [
            name, "\(clients)", Figures.text(tps, digits: 0), Figures.text(p50_ms), Figures.text(p99_ms),
            Figures.text(admitted_p99_ms),
            Figures.text(offered_tps, digits: 0), rejected.isEmpty ? "-" : rejected,
        ]
    }
}

/// Runs loads on a cluster, and adds up what they did.
actor LoadStage {
    nonisolated let processes: ClusterProcesses
    nonisolated let keys: AccountKeys
    private let channels: [GatewayChannel]
    private let meter = ChannelMeter()
    private let seed: UInt64
    private var phases: UInt64 = 0
    private var numberRanges: UInt64 = 0
    private(set) var total = DrillLoad(
        committed: 0, aborted: 0, unknown: 0, in_flight_mean: 0,
        retries: .init(RequestEngine<RandomTransfers>.Counters()))
    private var counters = RequestEngine<RandomTransfers>.Counters()

    init(processes: ClusterProcesses, keys: AccountKeys, channels: [GatewayChannel], seed: UInt64) {
        (self.processes, self.keys, self.channels, self.seed) = (processes, keys, channels, seed)
    }

    /// The first of a billion request numbers of each principal, behind all that were used before.
    func takeNumbers() -> UInt64 {
        defer { numberRanges += 1 }
        return numberRanges * 1_000_000_000 + 1
    }

    func run(_ shape: RandomTransfers.Shape, clients: Int, seconds: Double, warmup: Double) async throws -> LoadResult {
        let firstNumber = takeNumbers()
        phases += 1
        let source = RandomTransfers(
            keys: keys, shape: shape, duration: UInt64(seconds * 1e9), warmup: UInt64(warmup * 1e9),
            seed: seed &+ phases)
        // A long queue is not a lost request: deadlines, and repetitions after silence, are not what is measured here.
        let configuration = RequestEngine<RandomTransfers>.Configuration(
            clients: clients, channels: channels.count, lifetime: 60_000_000, silence: 30_000_000_000,
            seed: seed &+ phases)
        let generator = LoadGenerator(
            source: source, signers: keys.signers, manifest: processes.folder.manifest,
            channels: channels.map { MeteredChannel(base: $0, meter: meter) }, configuration: configuration,
            firstNumber: firstNumber)
        _ = meter.take()
        // What drains after the end belongs to no rate.
        async let metered = reading(after: seconds)
        let result = try await generator.run()
        let reading = try await metered
        guard let measurements = result.source.measurements else { throw ToolError(.failure, "nothing was measured") }
        add(result, measurements)

        let latency = RunResult.Latency(measurements.intra)
        var rejections: [String: Int] = [:]
        for reason in GatewayRejection.allCases where reading.rejections[Int(reason.rawValue) - 1] > 0 {
            rejections["\(reason)"] = reading.rejections[Int(reason.rawValue) - 1]
        }
        let sorted = reading.admitted.sorted()
        return LoadResult(
            clients: clients, seconds: seconds - warmup, tps: result.source.throughput,
            p50_ms: Double(latency.p50_us) / 1000,
            p99_ms: Double(latency.p99_us) / 1000,
            admitted_p99_ms: sorted.isEmpty ? nil : Figures.milliseconds(sorted[(sorted.count - 1) * 99 / 100]),
            offered_tps: (Double(reading.offered) / seconds).rounded(), rejections: rejections,
            conflicts: result.counters.gatewayConflicts, aborted: measurements.aborted + result.source.abortedLate,
            unknown: measurements.unknown + result.source.unknownLate)
    }

    private func reading(after seconds: Double) async throws -> ChannelMeter.Reading {
        try await Task.sleep(for: .milliseconds(Int(seconds * 1000)))
        return meter.take()
    }

    private func add(_ result: LoadGenerator<RandomTransfers>.Result, _ measurements: Measurements) {
        counters.resent += result.counters.resent
        counters.newAttempts += result.counters.newAttempts
        for i in counters.rejections.indices { counters.rejections[i] += result.counters.rejections[i] }
        counters.connectionFailures += result.counters.connectionFailures
        counters.gatewayRetries += result.counters.gatewayRetries
        counters.gatewayConflicts += result.counters.gatewayConflicts
        counters.invalidReceipts += result.counters.invalidReceipts
        total.committed += measurements.committed + result.source.committedLate
        total.aborted += measurements.aborted + result.source.abortedLate
        total.unknown += measurements.unknown + result.source.unknownLate
        total.in_flight_mean += (result.meanInFlight - total.in_flight_mean) / Double(phases)
        total.retries = RunResult.Retries(counters)
    }
}
