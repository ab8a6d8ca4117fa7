import Client
import Foundation
import HostRuntime
import Messages
import Meter
import Synchronization
import Workload

enum BenchKind: String, CaseIterable, Sendable {
    case transfers
    case listAppend = "list-append"
}

struct BenchOptions: Sendable {
    var replicas: Int
    var gateways: Int
    var clients: Int
    var lists: Int?
    var duration: Double?
    var warmup: Double
    var principals: Int?
    var bundle: Int
    var seed: UInt64
    var keep: Bool
    var faults: BenchFaults
    /// Where the history goes, line by line; each run has a file of its own.
    var history: String?
    var isOnlyRun: Bool
    var hostProgram: String?
    var traceRate: Double
    var clientTLS: ClientTLS
    var network: NetworkEmulation?
}

/// What is done to the processes of a run, and when.
struct BenchFaults: Sendable {
    var killHosts: [ProcessMoment] = []
    var restartHosts: [ProcessMoment] = []
    var stopHosts: [ProcessMoment] = []
    var continueHosts: [ProcessMoment] = []
    var killGateways: [ProcessMoment] = []
    var restartGateways: [ProcessMoment] = []

    var isEmpty: Bool {
        [killHosts, restartHosts, stopHosts, continueHosts, killGateways, restartGateways].allSatisfy(\.isEmpty)
    }
}

struct BenchWorkload: Sendable {
    var name: String
    var trace: Trace
}

/// One shard count and one mix: a cluster from creation to its end.
struct BenchRun: Sendable {
    let shards: Int
    let crossShard: Int?
    let options: BenchOptions
    let workload: BenchWorkload
    let keys: AccountKeys
    /// Clusters are made in here.
    let folder: String

    private var label: String {
        "\(shards) \(shards == 1 ? "shard" : "shards")\(crossShard.map { ", \($0) % cross" } ?? "")"
    }

    private var path: String { "\(folder)/shards-\(shards)\(crossShard.map { "-cross-\($0)" } ?? "")" }

    func measure() async throws -> RunResult {
        let cluster = try await FreshCluster.start(
            at: path, shards: shards, replicas: options.replicas, gateways: options.gateways,
            hostProgram: options.hostProgram, traceRate: options.traceRate, clientTLS: options.clientTLS,
            network: options.network)
        let result = try await cluster.use { try await measure(on: $0) }
        if !options.keep { try? FileManager.default.removeItem(atPath: path) }
        return result
    }

    private func measure(on processes: ClusterProcesses) async throws -> RunResult {
        let manifest = processes.folder.manifest
        let shardOf = keys.shards(in: manifest.shardMap)
        let trace =
            crossShard.map {
                CrossShardMix.rewrite(
                    workload.trace, percent: $0, shardOf: shardOf, shardCount: shards, seed: options.seed)
            } ?? workload.trace
        let passes = options.duration.map { max(1, Int(($0 * 100_000 / Double(trace.rows.count)).rounded(.up))) } ?? 1
        let balances = Funding.openingBalances(of: trace, passes: passes)

        let channels = try await processes.openChannels()
        let fundingSeconds = try await processes.fund(
            keys, balances: balances, through: channels, seed: options.seed, label: label)
        // Hosts of another program need not have procedures for lists.
        let probe =
            options.hostProgram == nil
            ? try HistoryProbe(processes, file: options.history.map(historyPath), seed: options.seed) : nil
        let (measured, costs, phases, faults) = try await run(
            trace, shardOf: shardOf, balances: balances, passes: passes, channels, processes, probe)
        for channel in channels { await channel.close() }

        let issued = balances.reduce(UInt128(0), +)
        var invariants = try await FinalState(processes: processes, down: await faults.down).check(
            issued: [(AccountKeys.asset, issued)], label: label)
        let history = try probe?.judge(&invariants, label: label)
        guard let measurements = measured.source.measurements else { throw ToolError(.failure, "nothing was measured") }
        if let why = measurements.firstUnknown {
            Console.error("\(label): \(measurements.unknown) transfers without a certified outcome: \(why)")
        }
        var setup = RunResult.Setup(
            shards: shards, replicas: options.replicas, gateways: options.gateways, clients: options.clients,
            durability: "strict",
            workload: workload.name, rows: trace.rows.count, accounts: trace.accounts.count, seed: options.seed,
            crossShardPercent: crossShard, crossShare: CrossShardMix.crossShare(of: trace, shardOf: shardOf),
            principals: options.principals, bundle: options.bundle, warmupSeconds: options.warmup,
            clientTLS: options.clientTLS.isOn)
        setup.network = options.network?.profile.name
        var result = RunResult(
            setup: setup, measurements: measurements, retries: RunResult.Retries(measured.counters),
            meanInFlight: measured.meanInFlight,
            fundingSeconds: fundingSeconds, invariants: invariants, events: await faults.events, history: history)
        result.missed_events = await faults.missed
        (result.costs, result.phases) = (costs, phases)
        return result
    }

    /// As many files as there are runs.
    private func historyPath(_ path: String) -> String {
        HistoryFile.path(path, shards: shards, crossShard: crossShard, isOnly: options.isOnlyRun)
    }

    /// - Returns: what was measured, what it cost, where its time went, and what happened meanwhile.
    private func run(
        _ trace: Trace, shardOf: [ShardID], balances: [UInt128], passes: Int, _ channels: [GatewayChannel],
        _ processes: ClusterProcesses,
        _ probe: HistoryProbe?
    ) async throws -> (LoadGenerator<TransferSource>.Result, RunResult.Costs?, RunResult.Phases?, FaultSchedule) {
        let source = TransferSource(
            trace: trace, keys: keys, shardOf: shardOf, openingBalances: balances, bundle: options.bundle,
            extent: options.duration.map { .nanoseconds(UInt64($0 * 1e9)) } ?? .wholeTrace,
            warmup: UInt64(options.warmup * 1e9),
            passes: passes, lookAhead: max(16_384, 4 * options.clients * options.bundle))
        let (manifest, sampling) = (processes.folder.manifest, TraceSampling(rate: options.traceRate))
        let ring = StampRing(sampling)
        let generator = LoadGenerator(
            source: source, signers: keys.signers, manifest: manifest, channels: channels,
            configuration: .init(clients: options.clients, channels: channels.count, seed: options.seed), ring: ring)
        let bar = ProgressBar("\(label): transfers")
        let faults = FaultSchedule(options.faults, processes, gateways: options.gateways)
        let connections = await ClusterConnections.open(processes)
        let meter = CostMeter(processes, connections)
        let collector = ring.map { StampCollector(connections, load: $0) }
        let (result, costs) = try await processes.whileHostsRun(
            lost: { await faults.lost(gateway: $0) }, isOneExpected: { await faults.bringsGateway }
        ) {
            async let injected: Void = faults.run()
            async let probed: Void? = probe?.run()
            async let _: Void = meter.begin(after: options.warmup) {
                generator.look { $0.measurements?.commits ?? 0 }
            }
            async let _: Void? = collector?.run()
            let result = try await generator.run { bar.update($0) }
            let costs = await meter.end(committed: result.source.measurements?.commits ?? 0)
            await collector?.collect()
            // What would have come after the end of the run does not come; what is under way ends.
            probe?.stop()
            await faults.stop()
            try await injected
            _ = await probed
            await probe?.readAll()
            return (result, costs)
        }
        let measurements = result.source.measurements
        bar.finish("\(measurements?.committed ?? 0) committed, \(Int(measurements?.throughput ?? 0)) a second")
        await connections.close()
        var phases: RunResult.Phases?
        if let collector {
            let traces = await collector.traces(since: measurements?.measureFrom ?? 0)
            phases = RunResult.Phases(
                traces, rate: options.traceRate, quorum: manifest.group(of: ShardID(0)).weakQuorum)
        }
        return (result, costs, phases, faults)
    }
}
