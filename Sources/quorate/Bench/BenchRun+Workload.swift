import HostRuntime
import Messages
import Workload

/// Runs of workloads other than transfers.
extension BenchRun {
    func measure(_ plan: WorkloadPlan, on processes: ClusterProcesses) async throws -> RunResult {
        try await plan.withMix(processes.folder.manifest.shardMap, crossShard: crossShard) {
            try await measure($0, plan, on: processes)
        }
    }

    private func measure<Mix: TransactionMix>(
        _ mix: Mix, _ plan: WorkloadPlan, on processes: ClusterProcesses
    ) async throws -> RunResult {
        let channels = try await processes.openChannels()
        var fundingSeconds = 0.0
        if let funded = plan.funded {
            fundingSeconds = try await processes.fund(
                funded, balances: plan.balances, through: channels, seed: options.seed, label: label)
        }
        let probe =
            options.hostProgram == nil
            ? try HistoryProbe(processes, file: options.history.map(historyPath), seed: options.seed) : nil
        let source = MixSource(
            mix, signers: plan.keys.signers.count, duration: UInt64((options.duration ?? BenchKind.usualSeconds) * 1e9),
            warmup: UInt64(options.warmup * 1e9), cooldown: UInt64(options.load.cooldown * 1e9),
            isOpen: openLoop != nil,
            seed: options.seed)
        let ran = try await run(source, signers: plan.keys.signers, what: plan.name, channels, processes, probe)
        let measured = ran.measured
        for channel in channels { await channel.close() }

        let issued = plan.balances.reduce(UInt128(0), +)
        var invariants = try await FinalState(processes: processes, down: await ran.faults.down).check(
            issued: issued == 0 ? [] : [(AccountKeys.asset, issued)], label: label)
        // Only now: a decision is told to the shards after its client has it.
        let values = await FinalReading(processes: processes).read(measured.source.mix.subjects, label: label)
        let verdict = measured.source.mix.verdict(values)
        invariants.workload_consistent = verdict.isConsistent
        invariants.problems += verdict.text.map { "\(plan.name): \($0)" }
        let unread = verdict.unread > 0 ? "; \(verdict.unread) values could NOT be read" : ""
        Console.error(
            "\(label): \(verdict.holds ? verdict.summary + unread : "\(plan.name) is NOT what was certified")")
        let history = try probe?.judge(&invariants, label: label)
        guard let measurements = measured.source.measurements else { throw ToolError(.failure, "nothing was measured") }
        if let why = measured.source.firstFailure {
            Console.error("\(label): some transactions failed; the first: \(why)")
        }
        if let why = measurements.firstUnknown {
            Console.error("\(label): \(measurements.unknown) transactions without a certified outcome: \(why)")
        }
        var result = RunResult(
            setup: try setup(plan, measurements), measurements: measurements,
            retries: RunResult.Retries(measured.counters), meanInFlight: measured.meanInFlight,
            fundingSeconds: fundingSeconds, invariants: invariants, events: await ran.faults.events, history: history)
        result.missed_events = await ran.faults.missed
        result.fault = await ran.faults.fault
        (result.costs, result.phases, result.propagation) = (ran.costs, ran.phases, ran.propagation)
        (result.load, result.repetition) = (ran.load, repetition)
        result.transactions = RunResult.Transactions(
            kinds: measured.source.kinds, deaths: measured.counters.deaths, check: verdict.summary,
            firstFailure: measured.source.firstFailure)
        result.transactions?.unread_values = verdict.unread > 0 ? verdict.unread : nil
        result.validity = RunResult.Validity(reasons: ValidityRules().reasons(against: result))
        return result
    }

    private func setup(_ plan: WorkloadPlan, _ measurements: Measurements) throws -> RunResult.Setup {
        let cross = measurements.cross.totalCount
        let all = cross + measurements.intra.totalCount
        var setup = RunResult.Setup(
            shards: shards, replicas: options.replicas, gateways: options.gateways,
            clients: openLoop?.maxInFlight ?? options.clients,
            durability: "strict", workload: plan.name, rows: 0, accounts: plan.balances.count, seed: options.seed,
            crossShardPercent: crossShard, crossShare: all == 0 ? 0 : Double(cross) / Double(all),
            principals: plan.keys.signers.count, bundle: 1, warmupSeconds: options.warmup,
            clientTLS: options.clientTLS.isOn)
        setup.network = options.network?.profile.name
        setup.fault = options.faults.name
        options.describeLoad(in: &setup)
        setup.parameters = try plan.parameters(shards: shards, isCrossGiven: crossShard != nil)
        return setup
    }
}
