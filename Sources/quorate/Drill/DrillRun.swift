import Foundation
import HostRuntime
import Messages
import Workload

/// One drill from the cluster's creation to its end.
struct DrillRun: Sendable {
    let kind: String
    let setup: DrillSetup
    let keep: String?
    let hostProgram: String?
    /// Rows of a workload in which all accounts are equally popular: an account's payments run one after the other, and popular
    /// accounts would soon hold up all others, so that fewer transfers were in flight than there are clients.
    private static let popularity = 0.0
    /// Rows of the workload; it starts over as often as needed.
    private static let rows = 20_000
    /// Far more passes than any drill lasts: accounts are funded for all of them.
    private static let passes = 100_000

    /// Runs `script` while transfers run, and checks the final state.
    func run<Findings: DrillFindings>(
        _ script: @escaping @Sendable (DrillScene) async throws -> Findings
    ) async throws -> DrillReport<Findings> {
        let root = try BenchFolder(keep: keep, kind: "drill")
        defer { root.remove() }
        let cluster = try await FreshCluster.start(
            at: root.path + "/cluster", shards: setup.shards, replicas: setup.replicas, gateways: 1, hostProgram: hostProgram)
        return try await cluster.use { try await run(script, on: $0) }
    }

    private func run<Findings: DrillFindings>(
        _ script: @escaping @Sendable (DrillScene) async throws -> Findings, on processes: ClusterProcesses
    ) async throws -> DrillReport<Findings> {
        let manifest = processes.folder.manifest
        let keys = AccountKeys(accounts: setup.accounts, members: setup.principals, seed: setup.seed)
        let trace = SkewedWorkload(accounts: setup.accounts, transfers: Self.rows, exponent: Self.popularity, seed: setup.seed).trace()
        let balances = Funding.openingBalances(of: trace, passes: Self.passes)
        let channels = try await processes.openChannels()
        _ = try await processes.fund(keys, balances: balances, through: channels, seed: setup.seed, label: kind)

        let log = CommitLog()
        let transfers = TransferSource(
            trace: trace, keys: keys, shardOf: keys.shards(in: manifest.shardMap), openingBalances: balances, bundle: 1,
            extent: .nanoseconds(.max / 2), passes: Self.passes, lookAhead: max(16_384, 4 * setup.clients))
        let generator = LoadGenerator(
            source: LoggedSource(transfers, log: log), signers: keys.signers, manifest: manifest, channels: channels,
            configuration: .init(clients: setup.clients, channels: channels.count, seed: setup.seed))
        let (findings, result) = try await processes.whileAllRun {
            async let load = generator.run()
            let findings = try await script(DrillScene(processes: processes, log: log))
            log.stop()
            return (findings, try await load)
        }
        for channel in channels { await channel.close() }

        let issued = balances.reduce(UInt128(0), +)
        let invariants = try await FinalState(processes: processes, down: findings.down)
            .check(issued: [(AccountKeys.asset, issued)], label: kind)
        guard let measurements = result.source.base.measurements else { throw ToolError(.failure, "nothing was measured") }
        let load = DrillLoad(
            committed: measurements.committed, aborted: measurements.aborted, unknown: measurements.unknown,
            in_flight_mean: result.meanInFlight, retries: RunResult.Retries(result.counters))
        return DrillReport(drill: kind, setup: setup, findings: findings, load: load, invariants: invariants)
    }
}
