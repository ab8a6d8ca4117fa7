import ArgumentParser
import Forecast
import Foundation
import Networks
import Workload

/// `quorate bench --simulate`.
extension BenchCommand {
    func validateSimulated() throws {
        guard simulated.simulate else { return }
        guard workload == .transfers else { throw ValidationError("--simulate is for transfers.") }
        let refused = simulatedLacks
        guard refused.isEmpty else {
            throw ValidationError("--simulate goes without \(refused.joined(separator: ", ")): it has no such thing.")
        }
        guard load.rate == nil || simulated.ratePerShard == nil && simulated.clientsPerShard == nil else {
            throw ValidationError("Give one of --rate, --rate-per-shard and --clients-per-shard.")
        }
        guard clients == nil || simulated.together && simulated.ratePerShard == nil else {
            throw ValidationError(
                "--simulate takes --clients-per-shard; --clients is for --together, where clients wait.")
        }
        guard gateways == 1 || simulated.together else {
            throw ValidationError("--simulate has a gateway for each shard; --gateways is for --together.")
        }
        guard !simulated.together || simulated.clientsPerShard == nil && simulated.accountsPerShard == nil else {
            throw ValidationError(
                "--together takes --clients and --accounts, as a real bench does, not --clients-per-shard and --accounts-per-shard."
            )
        }
        guard simulated.accountsPerShard == nil || accounts == nil && trace == nil else {
            throw ValidationError("--accounts-per-shard goes without --accounts and --trace.")
        }
        let times = simulatedTimes
        guard times.warmup + times.cooldown < times.duration else {
            throw ValidationError(
                "--warmup and --cooldown leave nothing to measure of \(Figures.text(times.duration)) s; give a longer --duration."
            )
        }
    }

    /// What a real bench has and this has not, of what was given: ignored, it would be taken for part of the result.
    private var simulatedLacks: [String] {
        let all = [
            ("--latencies", latencies), ("--history", history != nil), ("--keep", keep != nil),
            ("--host-program", hostProgram.hostProgram != nil), ("--trace-rate", traceRate != nil),
            ("--kill-host and other faults", !faults.isEmpty), ("--client-tls on", clientTLS.isOn),
            ("--repeat", load.repetitions > 1), ("--find-knee", load.findKnee), ("--presign", load.presign),
        ]
        return all.filter(\.1).map(\.0)
    }

    /// Seconds.
    private var simulatedTimes: (duration: Double, warmup: Double, cooldown: Double) {
        let duration = duration ?? 2
        let warmup = warmup ?? min(1, duration / 4)
        // As of a real open loop.
        let rate = load.rate ?? simulated.ratePerShard
        return (duration, warmup, load.plan(rate: rate, duration: duration, warmup: warmup).cooldown)
    }

    func measureSimulated(_ plan: [(shards: Int, crossShard: Int?)]) async throws -> [RunResult] {
        let costs = try simulated.costs()
        let network = try simulatedNetwork()
        let read = try trace.map { try TraceReader.read($0, limit: rows ?? .max) }
        let together = simulated.together
        let times = simulatedTimes
        let made: [@Sendable () throws -> SimulatedRuns.Run] = plan.map { shards, mix in
            {
                let options = ForecastOptions(
                    shards: shards, replicas: replicas, gateways: together ? gateways : nil,
                    cores: simulated.cores ?? (together ? ProcessInfo.processInfo.activeProcessorCount : 4),
                    placement: together ? .together : .apart, load: simulatedLoad(shards: shards),
                    duration: times.duration, warmup: times.warmup, cooldown: times.cooldown, network: network,
                    seed: seed, costs: costs)
                return SimulatedRuns.Run(options: options, workload: simulatedWorkload(read, shards: shards, mix: mix))
            }
        }
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return try await SimulatedRuns(jobs: simulated.jobs ?? cores).measure(made)
    }

    private func simulatedLoad(shards: Int) -> ForecastOptions.Load {
        if let rate = load.rate ?? simulated.ratePerShard.map({ $0 * Double(shards) }) {
            return .open(perSecond: rate, arrivals: load.arrivals ?? .poisson)
        }
        return .closed(clients: simulated.together ? clients ?? 64 : (simulated.clientsPerShard ?? 16) * shards)
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
        } else {
            let count = accounts ?? (simulated.accountsPerShard ?? 200) * shards
            var shape =
                simulated.together
                ? SkewedWorkload(accounts: accounts ?? 10_000, transfers: rows ?? 20_000, seed: seed)
                : SkewedWorkload(accounts: max(2, count), transfers: rows ?? 2000 * shards, exponent: 0, seed: seed)
            if let skew = workloadOptions.skew { shape.skew = skew }
            natural = shape.trace()
            name =
                workloadOptions.skew.map { "built in, \($0)" }
                ?? (simulated.together ? "built in, Zipf 0.9" : "built in, uniform")
        }
        let keys = AccountKeys(accounts: natural.accounts.count, members: principals, seed: seed)
        var made = ForecastWorkload(
            name: name, trace: natural, keys: keys, crossShardPercent: nil, bundle: bundle, principals: principals)
        if trace == nil, let skew = workloadOptions.skew {
            made.parameters = WorkloadParameters(kind: workload.rawValue, skew: skew)
        }
        guard let mix, shards > 1 else { return made }
        let shardOf = keys.shards(in: .init(shardCount: shards))
        made.trace = CrossShardMix.rewrite(natural, percent: mix, shardOf: shardOf, shardCount: shards, seed: seed)
        made.crossShardPercent = mix
        return made
    }
}
