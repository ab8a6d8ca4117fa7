import Foundation
import Histories
import HostRuntime
import Messages
import Workload

/// One shard count of a workload whose history is the result: a cluster from creation to its end.
struct HistoryRun<Workload: HistoryWorkload>: Sendable {
    let shards: Int
    let options: BenchOptions
    /// Clusters are made in here.
    let folder: String
    let workload: @Sendable (Manifest) -> Workload

    private var label: String { shards == 1 ? "1 shard" : "\(shards) shards" }

    func measure() async throws -> RunResult {
        let path = "\(folder)/\(Workload.things)-shards-\(shards)"
        let cluster = try await FreshCluster.start(
            at: path, shards: shards, replicas: options.replicas, gateways: options.gateways,
            clientTLS: options.clientTLS, network: options.network, syncDelays: options.faults.syncDelays)
        let result = try await cluster.use { try await measure(on: $0) }
        if !options.keep { try? FileManager.default.removeItem(atPath: path) }
        return result
    }

    private func measure(on processes: ClusterProcesses) async throws -> RunResult {
        // First: it takes a while over a wide network, and all moments count from here.
        let connections = await ClusterConnections.open(processes)
        let start = Instant.current().uptime
        let figures = HistoryFigures(start: start, warmup: UInt64(options.warmup * 1e9))
        let file = options.history.map {
            HistoryFile.path($0, shards: shards, crossShard: nil, isOnly: options.isOnlyRun)
        }
        let probe = try RecordedLoad(
            processes, workload(processes.folder.manifest), clients: options.clients, pace: nil, figures: figures,
            file: file, seed: options.seed)
        let faults = FaultSchedule(options.faults, processes, gateways: options.gateways)
        let seconds = options.duration ?? 10
        let bar = ProgressBar("\(label): transactions on \(Workload.things)")
        let (meter, machine) = (CostMeter(processes, connections), MachineMeter())
        let spread = PropagationMeter(connections, processes.folder.manifest)
        let (loadEnded, costs, use) = try await processes.whileHostsRun(
            lost: { await faults.lost(gateway: $0) }, isOneExpected: { await faults.bringsGateway }
        ) {
            async let injected: Void = faults.run()
            async let load: Void = probe.run()
            async let _: Void = machine.run(from: options.warmup, to: nil)
            async let _: Void = meter.begin(after: options.warmup) { figures.values.measurements.commits }
            async let _: Void = spread.run(after: options.warmup)
            let end = ContinuousClock.now + .seconds(seconds)
            while !probe.isStopped, ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(100))
                bar.update(WorkProgress(done: figures.values.measurements.timeline.reduce(0, +), total: nil))
            }
            probe.stop()
            await faults.stop()
            try await injected
            await load
            let (ended, use) = (Instant.current().uptime, machine.finish())
            let costs = await meter.end(committed: figures.values.measurements.commits)
            await probe.readAll()
            return (ended, costs, use)
        }
        let propagation = await spread.end(traces: [])
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
            workload: Workload.kind.rawValue, rows: 0, accounts: 0, seed: options.seed, crossShardPercent: nil,
            crossShare: all == 0 ? 0 : Double(cross) / Double(all), principals: options.clients, bundle: 1,
            warmupSeconds: options.warmup, clientTLS: options.clientTLS.isOn)
        setup.network = options.network?.profile.name
        setup.fault = options.faults.name
        options.describeLoad(in: &setup)
        var counters = RequestEngine<TransferSource>.Counters()
        (counters.resent, counters.newAttempts) = (values.resent, values.died)
        (counters.gatewayRetries, counters.gatewayConflicts) = (values.gatewayRetries, values.gatewayConflicts)
        var result = RunResult(
            setup: setup, measurements: measurements, retries: RunResult.Retries(counters),
            meanInFlight: Double(values.busyNanoseconds) / Double(max(1, loadEnded - start)), fundingSeconds: 0,
            invariants: invariants,
            events: await faults.events, history: history)
        result.missed_events = await faults.missed
        result.fault = await faults.fault
        (result.costs, result.propagation) = (costs, propagation)
        var offered = RunResult.Load(cooldownSeconds: 0)
        offered.take(use)
        result.load = offered
        result.validity = RunResult.Validity(reasons: ValidityRules().reasons(against: result))
        return result
    }
}
