import Foundation
import Histories
import HostRuntime
import Messages
import Workload

/// One shard count of the workload of lists: a cluster from creation to its end.
struct ListAppendRun: Sendable {
    let shards: Int
    let options: BenchOptions
    /// Clusters are made in here.
    let folder: String

    private var label: String { shards == 1 ? "1 shard" : "\(shards) shards" }

    /// Four lists for each client, one operation in ten on one of the hot ones: some transactions meet, and most do
    /// not.
    static func shape(clients: Int, lists: Int? = nil) -> ListTraffic.Shape {
        ListTraffic.Shape(lists: lists ?? max(16, 4 * clients), hotLists: 4, hotPercent: 10)
    }

    func measure() async throws -> RunResult {
        let path = "\(folder)/lists-shards-\(shards)"
        let cluster = try await FreshCluster.start(
            at: path, shards: shards, replicas: options.replicas, gateways: options.gateways,
            clientTLS: options.clientTLS, network: options.network)
        let result = try await cluster.use { try await measure(on: $0) }
        if !options.keep { try? FileManager.default.removeItem(atPath: path) }
        return result
    }

    private func measure(on processes: ClusterProcesses) async throws -> RunResult {
        let start = Instant.current().uptime
        let figures = ListFigures(start: start, warmup: UInt64(options.warmup * 1e9))
        let file = options.history.map {
            HistoryFile.path($0, shards: shards, crossShard: nil, isOnly: options.isOnlyRun)
        }
        let probe = try HistoryProbe(
            processes, Self.shape(clients: options.clients, lists: options.lists), clients: options.clients, pace: nil,
            figures: figures,
            file: file, seed: options.seed)
        let faults = FaultSchedule(options.faults, processes, gateways: options.gateways)
        let seconds = options.duration ?? 10
        let bar = ProgressBar("\(label): transactions on lists")
        let connections = await ClusterConnections.open(processes)
        let meter = CostMeter(processes, connections)
        let (loadEnded, costs) = try await processes.whileHostsRun(
            lost: { await faults.lost(gateway: $0) }, isOneExpected: { await faults.bringsGateway }
        ) {
            async let injected: Void = faults.run()
            async let load: Void = probe.run()
            async let _: Void = meter.begin(after: options.warmup) { figures.values.measurements.commits }
            let end = ContinuousClock.now + .seconds(seconds)
            while !probe.isStopped, ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(100))
                bar.update(WorkProgress(done: figures.values.measurements.timeline.reduce(0, +), total: nil))
            }
            probe.stop()
            await faults.stop()
            try await injected
            await load
            let ended = Instant.current().uptime
            let costs = await meter.end(committed: figures.values.measurements.commits)
            await probe.readAll()
            return (ended, costs)
        }
        await connections.close()
        let values = figures.values
        let measurements = values.measurements
        Console.error("\(label): \(values.deaths)")
        bar.finish("\(measurements.committed) committed, \(Int(measurements.throughput)) a second")
        var invariants = try await FinalState(processes: processes, down: await faults.down).check(
            issued: [], label: label)
        let history = try probe.judge(&invariants, label: label)
        if let why = values.firstFailure {
            Console.error("\(label): \(measurements.aborted) transactions aborted; the first: \(why)")
        }
        if let why = measurements.firstUnknown {
            Console.error("\(label): \(measurements.unknown) transactions without a certified outcome: \(why)")
        }

        let cross = measurements.cross.totalCount
        let all = cross + measurements.intra.totalCount
        var setup = RunResult.Setup(
            shards: shards, replicas: options.replicas, gateways: options.gateways, clients: options.clients,
            durability: "strict",
            workload: BenchKind.listAppend.rawValue, rows: 0, accounts: 0, seed: options.seed, crossShardPercent: nil,
            crossShare: all == 0 ? 0 : Double(cross) / Double(all), principals: options.clients, bundle: 1,
            warmupSeconds: options.warmup, clientTLS: options.clientTLS.isOn)
        setup.network = options.network?.profile.name
        var counters = RequestEngine<TransferSource>.Counters()
        (counters.resent, counters.newAttempts) = (values.resent, values.died)
        (counters.gatewayRetries, counters.gatewayConflicts) = (values.gatewayRetries, values.gatewayConflicts)
        var result = RunResult(
            setup: setup, measurements: measurements, retries: RunResult.Retries(counters),
            meanInFlight: Double(values.busyNanoseconds) / Double(max(1, loadEnded - start)), fundingSeconds: 0,
            invariants: invariants,
            events: await faults.events, history: history)
        result.missed_events = await faults.missed
        result.costs = costs
        return result
    }
}
