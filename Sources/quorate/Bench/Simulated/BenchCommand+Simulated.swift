import ArgumentParser
import Forecast
import Foundation
import Networks
import Workload

/// `quorate bench --simulate`.
extension BenchCommand {
    func validateSimulated() throws {
        guard simulated.simulate else { return }
        guard workload == .transfers, !latencies, history == nil, keep == nil, hostProgram.hostProgram == nil,
            traceRate == nil, faultsAreEmpty
        else {
            throw ValidationError(
                "--simulate is for transfers, and goes without --latencies, --history, --keep, --host-program, --trace-rate and faults."
            )
        }
        guard clients == nil || simulated.together else {
            throw ValidationError("--simulate takes --clients-per-shard; --clients is for --together.")
        }
        guard gateways == 1 || simulated.together else {
            throw ValidationError("--simulate has a gateway for each shard; --gateways is for --together.")
        }
    }

    private var faultsAreEmpty: Bool {
        [killHost, restartHost, stopHost, continueHost, killGateway, restartGateway].allSatisfy(\.isEmpty)
    }

    func measureSimulated(_ plan: [(shards: Int, crossShard: Int?)]) async throws -> [RunResult] {
        let costs = try simulated.costs()
        let network = try simulatedNetwork()
        let read = try trace.map { try TraceReader.read($0, limit: rows ?? .max) }
        let together = simulated.together
        let seconds = duration ?? 2
        let made: [@Sendable () throws -> SimulatedRuns.Run] = plan.map { shards, mix in
            {
                let load: ForecastOptions.Load =
                    if let rate = simulated.ratePerShard {
                        .open(perSecond: rate * Double(shards))
                    } else {
                        .closed(clients: together ? clients ?? 64 : (simulated.clientsPerShard ?? 16) * shards)
                    }
                let options = ForecastOptions(
                    shards: shards, replicas: replicas, gateways: together ? gateways : nil,
                    cores: simulated.cores ?? (together ? ProcessInfo.processInfo.activeProcessorCount : 4),
                    placement: together ? .together : .apart, load: load, duration: seconds,
                    warmup: warmup ?? min(1, seconds / 4), network: network, seed: seed, costs: costs)
                return SimulatedRuns.Run(options: options, workload: simulatedWorkload(read, shards: shards, mix: mix))
            }
        }
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return try await SimulatedRuns(jobs: simulated.jobs ?? cores).measure(made)
    }

    private func simulatedNetwork() throws -> NetworkProfile {
        guard let network = network.network, let choice = NetworkChoice(network) else { return .lan }
        do { return try choice.profile() } catch {
            throw ToolError(.failure, "--network: \(ToolError(error).description)")
        }
    }

    /// Popular accounts would make shards differ, and throughput be that of the fullest: where shards are to be counted
    /// all accounts are as popular. Together it is the load of a real bench.
    private func simulatedWorkload(_ read: Trace?, shards: Int, mix: Int?) -> ForecastWorkload {
        let natural: Trace
        let name: String
        if let read, let trace {
            (natural, name) = (read, URL(fileURLWithPath: trace).lastPathComponent)
        } else if simulated.together {
            natural = SkewedWorkload(accounts: accounts ?? 10_000, transfers: rows ?? 20_000, seed: seed).trace()
            name = "built in, Zipf 0.9"
        } else {
            let count = accounts ?? (simulated.accountsPerShard ?? 200) * shards
            natural = SkewedWorkload(
                accounts: max(2, count), transfers: rows ?? 2000 * shards, exponent: 0, seed: seed
            ).trace()
            name = "built in, uniform"
        }
        let keys = AccountKeys(accounts: natural.accounts.count, members: principals, seed: seed)
        guard let mix, shards > 1 else {
            return ForecastWorkload(
                name: name, trace: natural, keys: keys, crossShardPercent: nil, bundle: bundle, principals: principals)
        }
        let shardOf = keys.shards(in: .init(shardCount: shards))
        let mixed = CrossShardMix.rewrite(natural, percent: mix, shardOf: shardOf, shardCount: shards, seed: seed)
        return ForecastWorkload(
            name: name, trace: mixed, keys: keys, crossShardPercent: mix, bundle: bundle, principals: principals)
    }
}
