import Forecast
import Foundation
import Workload

/// Real runs beside simulations of the same machine.
struct ComparedRuns {
    /// Clusters are made in here.
    let folder: String
    let duration: Double
    private static let iterations = 3

    func fit(_ costs: CostModel) async throws -> CostModel {
        let lone = try await real(shards: 1, clients: 1)
        let many = try await real(shards: 1, clients: 256)
        var costs = costs
        for _ in 0..<Self.iterations {
            guard
                let first = CostFit.Observation(
                    real: lone, forecast: try simulated(costs, shards: 1, clients: 1)),
                let second = CostFit.Observation(
                    real: many, forecast: try simulated(costs, shards: 1, clients: 256))
            else { throw ToolError(.failure, "--fit: what the real runs cost could not be found out") }
            costs = CostFit.refine(costs, lone: first, many: second)
        }
        return costs
    }

    /// - Returns: the real runs, with what was predicted of them.
    func compare(_ costs: CostModel, shards: [Int], clients: Int) async throws -> BenchReport {
        var rows: [Predictions.Row] = []
        var runs: [RunResult] = []
        for count in shards {
            let measured = try await real(shards: count, clients: clients)
            runs.append(measured)
            rows.append(.init(predicted: try simulated(costs, shards: count, clients: clients), measured: measured))
        }
        var report = BenchReport(runs: runs, made: Made.now)
        report.predictions = Predictions(calibration: costs.name, clients: clients, rows: rows)
        return report
    }

    /// A run that is worth nothing by itself is worth nothing beside another one, and to be fitted even less.
    private func usable(_ run: RunResult, _ what: String) throws -> RunResult {
        let name = "the \(what) run with \(run.shards) \(run.shards == 1 ? "shard" : "shards")"
        guard run.invariants.allHold else {
            throw ToolError(.invariantFailed, "\(name): \(run.invariants.problems.joined(separator: "; "))")
        }
        let reasons = run.validity?.reasons ?? []
        guard reasons.isEmpty else {
            throw ToolError(
                .benchIncomplete,
                "\(name) is not valid: \(reasons.joined(separator: "; ")); nothing else should run meanwhile")
        }
        return run
    }

    private var workload: BenchWorkload {
        BenchWorkload(
            name: "built in, Zipf 0.9", trace: SkewedWorkload(accounts: 10_000, transfers: 20_000, seed: 1).trace())
    }

    private func real(shards: Int, clients: Int) async throws -> RunResult {
        let options = BenchOptions(
            replicas: 4, gateways: 1, clients: clients, lists: nil, duration: duration, warmup: min(1, duration / 4),
            principals: nil, bundle: 1, seed: 1, keep: false, faults: BenchFaults(), history: nil, isOnlyRun: true,
            hostProgram: nil, traceRate: 0, clientTLS: .off, network: nil)
        let run = BenchRun(
            shards: shards, crossShard: nil, options: options, workload: workload,
            keys: AccountKeys(accounts: 10_000, seed: 1), folder: folder)
        return try usable(try await run.measure(), "real")
    }

    private func simulated(_ costs: CostModel, shards: Int, clients: Int) throws -> RunResult {
        let options = ForecastOptions(
            shards: shards, cores: ProcessInfo.processInfo.activeProcessorCount, placement: .together,
            load: .closed(clients: clients), duration: 4, warmup: 1, costs: costs)
        let run = SimulatedRuns.Run(
            options: options,
            workload: ForecastWorkload(
                name: workload.name, trace: workload.trace, keys: AccountKeys(accounts: 10_000, seed: 1),
                crossShardPercent: nil))
        return try usable(try SimulatedRuns.run(run), "simulated")
    }
}
