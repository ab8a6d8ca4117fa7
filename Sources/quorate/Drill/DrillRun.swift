import Foundation
import HostRuntime
import Messages
import Synchronization
import Workload

/// One drill from the cluster's creation to its end.
struct DrillRun: Sendable {
    let kind: String
    let setup: DrillSetup
    let keep: String?
    let hostProgram: String?
    /// Every so many of a hundred rows cross shards; nil: as it falls out.
    var crossShard: Int?
    var json = false
    /// Rows of a workload in which all accounts are equally popular: payments that wait for money that is still on its
    /// way would move the rate as well, and here only the harm is to.
    private static let popularity = 0.0
    /// Rows of the workload; it starts over as often as needed.
    private static let rows = 20_000
    /// Far more passes than any drill lasts: accounts are funded for all of them.
    private static let passes = 100_000
    /// Of a request, from its signature to its deadline: microseconds.
    static let lifetime: UInt64 = 20_000_000

    /// Runs `script` while transfers run, and checks the final state.
    func run<Findings: DrillFindings>(
        _ script: @escaping @Sendable (DrillScene) async throws -> Findings
    ) async throws -> DrillReport<Findings> {
        let root = try BenchFolder(keep: keep, kind: "drill")
        defer { root.remove() }
        let cluster = try await FreshCluster.start(
            at: root.path + "/cluster", shards: setup.shards, replicas: setup.replicas, gateways: setup.gateways,
            hostProgram: hostProgram)
        let found = FoundSoFar()
        do {
            return try await cluster.use { processes in
                try await run(script, on: processes) { found.keep($0) }
            }
        } catch {
            if let findings = found.last { try showPartial(findings, without: error) }
            throw error
        }
    }

    /// What had been found before the drill was interrupted or went wrong, without the checks of its end.
    private func showPartial(_ findings: any DrillFindings, without error: any Error) throws {
        let why = ToolError(error).description.split(separator: "\n").first.map(String.init) ?? "an error"
        if json {
            return try Console.json(
                PartialDrillReport(drill: kind, partial: why, setup: setup, findings: AnyFindings(findings)))
        }
        Console.out(findings.text())
        Console.out("PARTIAL: the drill did not come to its end, because of: \(why)")
    }

    private func run<Findings: DrillFindings>(
        _ script: @escaping @Sendable (DrillScene) async throws -> Findings, on processes: ClusterProcesses,
        keep: @escaping @Sendable (any DrillFindings) -> Void
    ) async throws -> DrillReport<Findings> {
        let manifest = processes.folder.manifest
        let keys = AccountKeys(accounts: setup.accounts, members: setup.principals, seed: setup.seed)
        let shardOf = keys.shards(in: manifest.shardMap)
        let made = SkewedWorkload(
            accounts: setup.accounts, transfers: Self.rows, exponent: Self.popularity, seed: setup.seed
        ).trace()
        let trace =
            crossShard.map {
                CrossShardMix.rewrite(made, percent: $0, shardOf: shardOf, shardCount: setup.shards, seed: setup.seed)
            } ?? made
        let balances = Funding.openingBalances(of: trace, passes: Self.passes)
        let channels = try await processes.openChannels()
        _ = try await processes.fund(keys, balances: balances, through: channels, seed: setup.seed, label: kind)

        let (log, traffic, events) = (CommitLog(), Traffic(), DrillEvents())
        let recorded = channels.enumerated().map { RecordedChannel(base: $1, gateway: $0, traffic: traffic) }
        let transfers = TransferSource(
            trace: trace, keys: keys, shardOf: shardOf, openingBalances: balances, bundle: 1,
            extent: .nanoseconds(.max / 2), passes: Self.passes, lookAhead: max(16_384, 4 * setup.clients))
        let generator = LoadGenerator(
            source: LoggedSource(transfers, log: log), signers: keys.signers, manifest: manifest,
            // What only several gateways need is not to cost the others anything.
            channels: setup.gateways > 1 ? recorded : channels,
            configuration: .init(
                clients: setup.clients, channels: channels.count, lifetime: Self.lifetime, seed: setup.seed))
        let (findings, result) = try await processes.whileAllRun {
            async let load = generator.run()
            let findings = try await script(
                DrillScene(processes: processes, log: log, traffic: traffic, keep: keep, events: events))
            log.stop()
            return (findings, try await load)
        }
        for channel in channels { await channel.close() }

        let issued = balances.reduce(UInt128(0), +)
        let invariants = try await FinalState(processes: processes, down: findings.down)
            .check(issued: [(AccountKeys.asset, issued)], label: kind)
        guard let measurements = result.source.base.measurements else {
            throw ToolError(.failure, "nothing was measured")
        }
        let load = DrillLoad(
            committed: measurements.committed, aborted: measurements.aborted, unknown: measurements.unknown,
            in_flight_mean: result.meanInFlight, retries: RunResult.Retries(result.counters))
        return DrillReport(
            drill: kind, setup: setup, findings: findings, load: load, invariants: invariants,
            timeline: RunResult.Timeline(measurements), events: events.since(measurements.start))
    }
}

/// In place of a report.
struct PartialDrillReport: Encodable {
    var schema = 1
    var drill: String
    /// Why it is one.
    var partial: String
    var setup: DrillSetup
    var findings: AnyFindings
}

struct AnyFindings: Encodable {
    private let base: any DrillFindings
    init(_ base: any DrillFindings) { self.base = base }
    func encode(to encoder: any Encoder) throws { try base.encode(to: encoder) }
}

private final class FoundSoFar: Sendable {
    private let findings = Mutex<(any DrillFindings)?>(nil)
    var last: (any DrillFindings)? { findings.withLock { $0 } }
    func keep(_ new: any DrillFindings) { findings.withLock { $0 = new } }
}
