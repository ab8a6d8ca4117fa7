import Forecast
import Foundation
import StrictInput
import Workload

/// Real runs beside simulations of the same machine.
struct ComparedRuns {
    /// Clusters are made in here.
    let folder: String
    let duration: Double
    private static let iterations = 3

    /// What was predicted, and what came out. The keys are a promise, as those of `RunResult`.
    struct Comparison: Codable, Sendable {
        struct Row: Codable, Sendable {
            let shards: Int
            let predicted_tps: Double
            let measured_tps: Double
            /// Of the measured throughput, above or below it.
            let tps_error: Double
            let predicted_p50_us: UInt64
            let measured_p50_us: UInt64
            let p50_error: Double
            /// Of all processes, for each committed transfer.
            let predicted_cpu_us: Double?
            let measured_cpu_us: Double?
            let limit: String
        }

        let calibration: String
        let clients: Int
        let rows: [Row]

        func table() -> String {
            func percent(_ error: Double) -> String { "\(error < 0 ? "" : "+")\(Int((error * 100).rounded())) %" }
            func text(_ value: Double?) -> String { value.map { "\(Int($0.rounded()))" } ?? "-" }
            var lines = [
                [
                    "shards", "tps SIMULATED", "tps measured", "error", "p50 ms SIMULATED", "p50 ms measured", "error",
                    "CPU µs SIMULATED", "CPU µs measured", "limited by",
                ]
            ]
            for row in rows {
                lines.append([
                    "\(row.shards)", text(row.predicted_tps), text(row.measured_tps), percent(row.tps_error),
                    Figures.text(Double(row.predicted_p50_us) / 1000), Figures.text(Double(row.measured_p50_us) / 1000),
                    percent(row.p50_error), text(row.predicted_cpu_us), text(row.measured_cpu_us), row.limit,
                ])
            }
            return TextTable.aligned(lines)
        }
    }

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

    func compare(_ costs: CostModel, shards: [Int], clients: Int) async throws -> Comparison {
        var rows: [Comparison.Row] = []
        for count in shards {
            let measured = try await real(shards: count, clients: clients)
            let predicted = try simulated(costs, shards: count, clients: clients)
            func median(_ run: RunResult) -> UInt64 {
                run.cross.count > run.intra.count ? run.cross.p50_us : run.intra.p50_us
            }
            let p50 = (predicted: median(predicted), measured: median(measured))
            rows.append(
                .init(
                    shards: count, predicted_tps: predicted.throughput_tps, measured_tps: measured.throughput_tps,
                    tps_error: predicted.throughput_tps / measured.throughput_tps - 1,
                    predicted_p50_us: p50.predicted, measured_p50_us: p50.measured,
                    p50_error: Double(p50.predicted) / Double(max(1, p50.measured)) - 1,
                    predicted_cpu_us: Self.cpu(predicted), measured_cpu_us: Self.cpu(measured),
                    limit: predicted.simulation?.limit ?? ""))
        }
        return Comparison(calibration: costs.name, clients: clients, rows: rows)
    }

    private static func cpu(_ run: RunResult) -> Double? {
        guard let costs = run.costs, let hosts = costs.hosts?.cpu_us, let gateways = costs.gateways?.cpu_us,
            let load = costs.load?.cpu_us
        else { return nil }
        return hosts + gateways + load
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
        return try await BenchRun(
            shards: shards, crossShard: nil, options: options, workload: workload,
            keys: AccountKeys(accounts: 10_000, seed: 1), folder: folder
        ).measure()
    }

    private func simulated(_ costs: CostModel, shards: Int, clients: Int) throws -> RunResult {
        let options = ForecastOptions(
            shards: shards, cores: ProcessInfo.processInfo.activeProcessorCount, placement: .together,
            load: .closed(clients: clients), duration: 4, warmup: 1, costs: costs)
        return try SimulatedRuns.run(
            .init(
                options: options,
                workload: ForecastWorkload(
                    name: workload.name, trace: workload.trace, keys: AccountKeys(accounts: 10_000, seed: 1),
                    crossShardPercent: nil)))
    }
}
