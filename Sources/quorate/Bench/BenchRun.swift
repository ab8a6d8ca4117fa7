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
    case bank
    case keyValue = "kv"
    case smallbank
    case ycsbT = "ycsb-t"
    case settlement
    case calls
    case procedures

    /// Of loads that have no rows, if nothing is said.
    static let usualSeconds = 10.0

    /// Whether its transactions are transfers, which leave stamps where they pass, and not calls.
    var isOfTransfers: Bool { self == .transfers || self == .settlement }

    /// Of these every call and answer is noted, and the history is what they are for.
    var isRecorded: Bool {
        switch self {
        case .transfers, .smallbank, .ycsbT, .settlement, .calls, .procedures: false
        case .listAppend, .bank, .keyValue: true
        }
    }
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
    var load = LoadPlan()

    /// Seconds since the load began until which it is measured; nil to its end.
    var measuredUntil: Double? { duration.map { max(warmup, $0 - load.cooldown) } }

    /// What sets runs apart that were offered otherwise. Of a search the rate is what is looked for.
    func describeLoad(in setup: inout RunResult.Setup) {
        setup.rate_tps = load.isOfSearch ? nil : load.rate
        setup.arrivals = load.rate == nil ? nil : load.arrivals.rawValue
        setup.duration_s = duration
        setup.cooldown_s = load.cooldown > 0 ? load.cooldown : nil
        setup.presigned = load.presigns ? true : nil
    }
}

/// What is done to the processes of a run, and when.
struct BenchFaults: Sendable {
    var killHosts: [ProcessMoment] = []
    var restartHosts: [ProcessMoment] = []
    var stopHosts: [ProcessMoment] = []
    var continueHosts: [ProcessMoment] = []
    var killGateways: [ProcessMoment] = []
    var restartGateways: [ProcessMoment] = []
    /// Not together with others.
    var named = NamedFault.none
    /// When it happens; nil if it has no moment.
    var window: NamedFault.Window?

    var isEmpty: Bool {
        named == .none
            && [killHosts, restartHosts, stopHosts, continueHosts, killGateways, restartGateways].allSatisfy(\.isEmpty)
    }

    /// For the set-up; nil without one.
    var name: String? { named == .none ? nil : named.rawValue }

    /// By host, what each sync of its journal takes longer, in milliseconds.
    var syncDelays: [Int: Int] { named == .slowDisk ? [0: NamedFault.syncDelayMilliseconds] : [:] }
}

struct BenchWorkload: Sendable {
    var name: String
    var trace: Trace
    /// Of transfers, if they were given one.
    var parameters: WorkloadParameters?
    /// In place of the trace, which is empty then.
    var plan: WorkloadPlan?
}

/// One shard count and one mix: a cluster from creation to its end.
struct BenchRun: Sendable {
    let shards: Int
    let crossShard: Int?
    var options: BenchOptions
    let workload: BenchWorkload
    let keys: AccountKeys
    /// Clusters are made in here.
    let folder: String
    /// Which of several runs of the same, from 1.
    var repetition: Int?

    var label: String {
        "\(shards) \(shards == 1 ? "shard" : "shards")\(crossShard.map { ", \($0) % cross" } ?? "")"
            + (repetition.map { ", run \($0)" } ?? "")
    }

    private var path: String {
        "\(folder)/shards-\(shards)\(crossShard.map { "-cross-\($0)" } ?? "")\(repetition.map { "-run-\($0)" } ?? "")"
            + (options.load.isOfSearch ? "-rate-\(Figures.text(options.load.rate, digits: 2))" : "")
    }

    var openLoop: OpenLoop? { options.load.openLoop(bundle: options.bundle, seed: options.seed) }

    func measure() async throws -> RunResult {
        let cluster = try await FreshCluster.start(
            at: path, shards: shards, replicas: options.replicas, gateways: options.gateways,
            hostProgram: options.hostProgram, traceRate: options.traceRate, clientTLS: options.clientTLS,
            network: options.network, syncDelays: options.faults.syncDelays)
        let result = try await cluster.use { try await measure(on: $0) }
        if !options.keep { try? FileManager.default.removeItem(atPath: path) }
        return result
    }

    private func measure(on processes: ClusterProcesses) async throws -> RunResult {
        if let plan = workload.plan { return try await measure(plan, on: processes) }
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
        let source = TransferSource(
            trace: trace, keys: keys, shardOf: shardOf, openingBalances: balances, bundle: options.bundle,
            extent: options.duration.map { .nanoseconds(UInt64($0 * 1e9)) } ?? .wholeTrace,
            warmup: UInt64(options.warmup * 1e9), cooldown: UInt64(options.load.cooldown * 1e9),
            isOpen: openLoop != nil, passes: passes, lookAhead: lookAhead)
        let ran = try await run(
            source, signers: keys.signers, what: "transfers", channels, processes, probe
        ) { try await presign($0, rows: trace.rows.count) }
        for channel in channels { await channel.close() }

        let issued = balances.reduce(UInt128(0), +)
        var invariants = try await FinalState(processes: processes, down: await ran.faults.down).check(
            issued: [(AccountKeys.asset, issued)], label: label)
        let history = try probe?.judge(&invariants, label: label)
        guard let measurements = ran.measured.source.measurements else {
            throw ToolError(.failure, "nothing was measured")
        }
        if let why = measurements.firstUnknown {
            Console.error("\(label): \(measurements.unknown) transfers without a certified outcome: \(why)")
        }
        var setup = RunResult.Setup(
            shards: shards, replicas: options.replicas, gateways: options.gateways,
            // In an open loop nobody waits, up to its bound.
            clients: openLoop?.maxInFlight ?? options.clients, durability: "strict", workload: workload.name,
            rows: trace.rows.count, accounts: trace.accounts.count, seed: options.seed,
            crossShardPercent: crossShard, crossShare: CrossShardMix.crossShare(of: trace, shardOf: shardOf),
            principals: options.principals, bundle: options.bundle, warmupSeconds: options.warmup,
            clientTLS: options.clientTLS.isOn)
        setup.network = options.network?.profile.name
        setup.parameters = workload.parameters
        setup.fault = options.faults.name
        options.describeLoad(in: &setup)
        var result = RunResult(
            setup: setup, measurements: measurements, retries: RunResult.Retries(ran.measured.counters),
            meanInFlight: ran.measured.meanInFlight,
            fundingSeconds: fundingSeconds, invariants: invariants, events: await ran.faults.events, history: history)
        result.missed_events = await ran.faults.missed
        result.fault = await ran.faults.fault
        (result.costs, result.phases, result.propagation) = (ran.costs, ran.phases, ran.propagation)
        (result.load, result.repetition) = (ran.load, repetition)
        result.validity = RunResult.Validity(reasons: ValidityRules().reasons(against: result))
        return result
    }

    /// Rows that are looked at beyond the oldest that is open; far more than can be in flight, as far as memory allows.
    private var lookAhead: Int {
        let inFlight =
            openLoop.map { min(262_144, $0.maxInFlight * options.bundle) } ?? options.clients * options.bundle
        return max(16_384, 4 * inFlight)
    }

    /// As many files as there are runs.
    func historyPath(_ path: String) -> String {
        HistoryFile.path(path, shards: shards, crossShard: crossShard, isOnly: options.isOnlyRun)
    }

    /// Of an open loop with an end: all that it will begin.
    var requests: Int? {
        openLoop.flatMap { loop in options.duration.map { loop.count(in: 0..<UInt64($0 * 1e9)) } }
    }

    /// Signs what will be sent, if it is asked for.
    private func presign(
        _ generator: LoadGenerator<TransferSource>, rows: Int
    ) async throws -> RunResult.Load.Presigned? {
        guard options.load.presigns else { return nil }
        let count = requests ?? rows
        guard count <= LoadPlan.maxPresigned else {
            throw ToolError(
                .failure,
                "--presign: \(count) requests would be signed, and \(LoadPlan.maxPresigned) are the most; choose a lower --rate, a shorter --duration or fewer --rows"
            )
        }
        let bar = ProgressBar("\(label): signing \(count) requests")
        let signed = try await generator.presign(count, lifetime: LoadPlan.presignedLifetime) { bar.update($0) }
        bar.finish("done in \(Figures.text(signed.seconds)) s")
        let left = Double(LoadPlan.presignedLifetime) / 1e6 - signed.seconds - LoadPlan.presignedReserve
        guard (options.duration ?? 0) <= left else {
            throw ToolError(
                .failure,
                "--presign: signing took \(Figures.text(signed.seconds)) s, so the first requests would be too old at the end of the load; choose a lower --rate or a shorter --duration"
            )
        }
        return signed
    }

    private func describe<Source: MeasuredSource>(
        _ result: LoadGenerator<Source>.Result, _ presigned: RunResult.Load.Presigned?, _ use: MachineUse?
    ) -> RunResult.Load {
        var load = RunResult.Load(cooldownSeconds: options.load.cooldown)
        if let openLoop, let figures = result.open, let measurements = result.source.measurements {
            load = RunResult.Load(
                openLoop, bundle: options.bundle, warmupSeconds: options.warmup,
                cooldownSeconds: options.load.cooldown, seconds: options.duration, measurements: measurements,
                figures: figures)
        }
        load.presigned = presigned
        load.presigned?.signed_late = result.counters.signedLate
        load.take(use)
        return load
    }

    struct Ran<Source: MeasuredSource>: Sendable {
        let measured: LoadGenerator<Source>.Result
        let costs: RunResult.Costs?
        let phases: RunResult.Phases?
        let propagation: RunResult.Propagation?
        let load: RunResult.Load
        /// What happened meanwhile.
        let faults: FaultSchedule
    }

    /// - Parameters:
    ///   - what: is done, for a person.
    ///   - presign: signs what will be sent, if it is known and asked for.
    func run<Source: MeasuredSource>(
        _ source: Source, signers: [Ed25519Signer], what: String, _ channels: [GatewayChannel],
        _ processes: ClusterProcesses, _ probe: HistoryProbe?,
        presign: (LoadGenerator<Source>) async throws -> RunResult.Load.Presigned? = { _ in nil }
    ) async throws -> Ran<Source> {
        let (manifest, sampling) = (processes.folder.manifest, TraceSampling(rate: options.traceRate))
        let ring = StampRing(sampling)
        let generator = LoadGenerator(
            source: source, signers: signers, manifest: manifest, channels: channels,
            configuration: .init(
                clients: options.clients, channels: channels.count, seed: options.seed,
                shape: openLoop.map { .open($0) } ?? .closed), ring: ring)
        let presigned = try await presign(generator)
        let bar = ProgressBar("\(label): \(what)")
        // First: it takes a while over a wide network, and moments of faults count from when the schedule is made.
        let connections = await ClusterConnections.open(processes)
        let faults = FaultSchedule(options.faults, processes, gateways: options.gateways)
        let (meter, machine) = (CostMeter(processes, connections), MachineMeter())
        let collector = ring.map { StampCollector(connections, load: $0) }
        // Hosts of another program need not know the question.
        let spread = options.hostProgram == nil ? PropagationMeter(connections, manifest) : nil
        let (result, costs, use) = try await processes.whileHostsRun(
            lost: { await faults.lost(gateway: $0) }, isOneExpected: { await faults.bringsGateway }
        ) {
            async let injected: Void = faults.run()
            async let _: Void = machine.run(from: options.warmup, to: options.measuredUntil)
            async let probed: Void? = probe?.run()
            async let _: Void = meter.begin(after: options.warmup) {
                generator.look { $0.measurements?.commits ?? 0 }
            }
            async let _: Void? = collector?.run()
            async let _: Void? = spread?.run(after: options.warmup)
            let result = try await generator.run { bar.update($0) }
            let use = machine.finish()
            let costs = await meter.end(committed: result.source.measurements?.commits ?? 0)
            await collector?.collect()
            // What would have come after the end of the run does not come; what is under way ends.
            probe?.stop()
            await faults.stop()
            try await injected
            _ = await probed
            await probe?.readAll()
            return (result, costs, use)
        }
        let measurements = result.source.measurements
        bar.finish("\(measurements?.committed ?? 0) committed, \(Int(measurements?.throughput ?? 0)) a second")
        var phases: RunResult.Phases?
        let traces = await collector?.traces(since: measurements?.measureFrom ?? 0) ?? []
        let propagation = await spread?.end(traces: traces)
        await connections.close()
        if collector != nil {
            phases = RunResult.Phases(
                traces, rate: options.traceRate, quorum: manifest.group(of: ShardID(0)).weakQuorum)
        }
        return Ran(
            measured: result, costs: costs, phases: phases, propagation: propagation,
            load: describe(result, presigned, use), faults: faults)
    }
}
