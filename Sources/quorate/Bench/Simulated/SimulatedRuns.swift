import Forecast
import Foundation
import Workload

/// The runs of a bench in simulated time, several at once, each on a thread of its own. Results come in the order of
/// the plan.
struct SimulatedRuns: Sendable {
    /// One of them.
    struct Run: Sendable {
        var options: ForecastOptions
        var workload: ForecastWorkload

        var label: String {
            let mix = workload.crossShardPercent.map { ", \($0) % cross" } ?? ""
            return "\(options.shards) \(options.shards == 1 ? "shard" : "shards")\(mix)"
        }
    }

    let jobs: Int

    /// - Parameter plan: makes a run's workload when its turn comes: large ones take memory.
    func measure(_ plan: [@Sendable () throws -> Run]) async throws -> [RunResult] {
        try await withThrowingTaskGroup(of: (Int, RunResult).self) { group in
            var results: [RunResult?] = Array(repeating: nil, count: plan.count)
            var next = 0
            // The largest first: they last longest.
            let order = Array(plan.indices.reversed())
            func start() {
                guard next < order.count else { return }
                let index = order[next]
                next += 1
                group.addTask { (index, try Self.run(try plan[index]())) }
            }
            for _ in 0..<min(jobs, plan.count) { start() }
            while let (index, result) = try await group.next() {
                try Task.checkCancellation()
                results[index] = result
                start()
            }
            return results.compactMap(\.self)
        }
    }

    static func run(_ run: Run) throws -> RunResult {
        let result: RunResult
        do {
            result = try Forecast(
                run.options, run.workload, clock: ProcessorTime.wall, isCancelled: { Task.isCancelled }
            ).run()
        } catch let error as ForecastError {
            throw ToolError(.failure, "\(run.label): \(error.description)")
        }
        let seconds = result.simulation.map { Int($0.real_s.rounded()) } ?? 0
        Console.error(
            "\(run.label): SIMULATED, \(Int(result.throughput_tps)) a second, in \(seconds) s; limited by \(result.simulation?.limit ?? "")"
        )
        return result
    }
}
