import Client
import ExampleProcedures
import Foundation
import HostRuntime
import Messages
import Workload

/// Single requests of each kind on a cluster that does nothing else: one client, one request at a time.
struct LatencyRun: Sendable {
    let shards: Int
    let replicas: Int
    let gateways: Int
    let samples: Int
    let seed: UInt64
    let keep: Bool
    var network: NetworkEmulation?
    /// The cluster is made in here.
    let folder: String

    private static let warmupRounds = 20
    /// What a transaction leaves to do when its client has the receipt, telling its shards that it is decided, is over
    /// by then.
    private static let pause = Duration.milliseconds(20)
    private static let balance: UInt128 = 10_000_000

    func measure() async throws -> LatencyReport {
        let path = "\(folder)/latencies"
        let cluster = try await FreshCluster.start(
            at: path, shards: shards, replicas: replicas, gateways: gateways, network: network)
        let result = try await cluster.use { try await measure(on: $0) }
        if !keep { try? FileManager.default.removeItem(atPath: path) }
        return result
    }

    private func measure(on processes: ClusterProcesses) async throws -> LatencyReport {
        let manifest = processes.folder.manifest
        // All of one member: an atomic request moves money between accounts of its signer's on several shards.
        let keys = AccountKeys(accounts: 16 * shards, members: 1, seed: seed)
        let balances = [UInt128](repeating: Self.balance, count: keys.ids.count)
        let accounts = try accountsByShard(keys, manifest.shardMap)
        let channels = try await processes.openChannels()
        _ = try await processes.fund(keys, balances: balances, through: channels, seed: seed, label: "latencies")
        for channel in channels { await channel.close() }
        let rows = try await processes.whileHostsRun { try await measureAll(accounts, keys.signers[0], processes) }
        let issued = balances.reduce(UInt128(0), +)
        let invariants = try await FinalState(processes: processes, down: [])
            .check(issued: [(AccountKeys.asset, issued)], label: "latencies")
        return LatencyReport(
            shards: shards, replicas: replicas, gateways: gateways,
            pauseMilliseconds: Int(Self.pause / .milliseconds(1)), rows: rows,
            invariants: invariants)
    }

    /// At least two on every shard.
    private func accountsByShard(_ keys: AccountKeys, _ map: ShardMap) throws -> [[AccountID]] {
        var accounts = [[AccountID]](repeating: [], count: shards)
        for id in keys.ids { accounts[Int(map.shard(of: id).number)].append(id) }
        guard accounts.allSatisfy({ $0.count >= 2 }) else {
            throw ToolError(.failure, "some shard has no two accounts; choose another --seed")
        }
        return accounts
    }

    private func measureAll(_ accounts: [[AccountID]], _ signer: Ed25519Signer, _ processes: ClusterProcesses)
        async throws -> [LatencyReport.Row]
    {
        let kinds = LatencyKind.measured.filter { $0.shards <= shards }
        let client = QuorateClient(signer: signer, manifest: processes.folder.manifest, gateways: processes.gateways)
        let bar = ProgressBar("latencies")
        var microseconds = [[UInt64]](repeating: [], count: kinds.count)
        var resent = [Int](repeating: 0, count: kinds.count)
        let rounds = Self.warmupRounds + samples
        // All kinds in turn, so that whatever else the machine does meets them alike.
        for round in 0..<rounds {
            for (i, kind) in kinds.enumerated() {
                try await Task.sleep(for: Self.pause)
                let (latency, outcome) = try await measure(kind, round: round, accounts, client)
                guard round >= Self.warmupRounds else { continue }
                microseconds[i].append(UInt64(max(0, latency / .microseconds(1))))
                if outcome.retries + outcome.gatewayRetries > 0 { resent[i] += 1 }
            }
            bar.update(WorkProgress(done: round + 1, total: rounds))
        }
        await client.close()
        bar.finish("\(kinds.count) kinds, \(samples) requests of each")
        return kinds.indices.map { LatencyReport.Row(kinds[$0], microseconds: microseconds[$0], resent: resent[$0]) }
    }

    /// One request. The first shard moves on with the rounds, and with it the hosts that lead.
    private func measure(
        _ kind: LatencyKind, round: Int, _ accounts: [[AccountID]], _ client: QuorateClient
    ) async throws -> (Duration, Outcome) {
        let places = (0..<kind.shards).map { (round + $0) % shards }
        let start: ContinuousClock.Instant
        let outcome: Outcome
        switch kind {
        case .transfer:
            let from = accounts[places[0]][0]
            let to = places.count == 1 ? [accounts[places[0]][1]] : places.dropFirst().map { accounts[$0][0] }
            let operations = to.map {
                Operation.transfer(Transfer(from: from, to: $0, asset: AccountKeys.asset, amount: Amount(1)))
            }
            start = .now
            outcome = try await client.submit(operations)
            guard outcome.isCommitted else {
                throw ToolError(
                    .failure, "a \(kind.description) was not committed: \(outcome.decisions.map { "\($0)" }.joined())")
            }
        case .call(let depth):
            // Keys that nobody has touched: the call before this one may still hold its own.
            let keys = places.enumerated().map {
                key("latency-\(round)-\(depth)-\($0)", on: $1, client.manifest.shardMap)
            }
            start = .now
            let result: [UInt64]
            (result, outcome) = try await client.call(
                .key(keys[0]), Chain.name, Chain.Arguments(keys: keys), returning: [UInt64].self)
            guard result == Array(repeating: 0, count: keys.count) else {
                throw ToolError(.invariantFailed, "fresh keys held \(result)")
            }
        }
        return (.now - start, outcome)
    }

    private func key(_ name: String, on shard: Int, _ map: ShardMap) -> String {
        var salt = 0
        while map.shard(ofKey: Array("\(name)-\(salt)".utf8)) != ShardID(UInt16(shard)) { salt += 1 }
        return "\(name)-\(salt)"
    }
}
