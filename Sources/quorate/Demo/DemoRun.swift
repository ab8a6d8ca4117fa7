import Foundation
import HostRuntime
import Messages
import Workload

/// One demo from the cluster's creation to its end.
struct DemoRun: Sendable {
    let shards: Int
    let replicas: Int
    /// Transfers a second.
    let rate: Double
    /// In percent.
    let crossShard: Int
    let accounts: Int
    /// In seconds; nil until somebody ends it.
    let duration: Double?
    let opensBrowser: Bool
    let isChecked: Bool
    let seed: UInt64
    let clientTLS: ClientTLS
    let network: NetworkEmulation?
    let voice: DemoVoice

    /// Of each account: it is never spent.
    private static let balance = UInt128(1) << 40
    private static let label = "demo"
    /// Without the checks of the end, what is in flight is not waited for any longer.
    private static let drain = Duration.seconds(2)

    /// As many as are in flight while a new primary is found, and some more. When nothing commits, no more begins.
    private var clients: Int { min(4000, max(64, Int(rate * 5))) }

    func run() async throws -> DemoSummary {
        let root = try BenchFolder(keep: nil, kind: "demo")
        defer { root.remove() }
        voice.introduce(self, folder: root.path)
        let cluster = try await FreshCluster.start(
            at: root.path + "/cluster", shards: shards, replicas: replicas, gateways: 1, hasWeb: true,
            clientTLS: clientTLS, network: network)
        return try await cluster.use { try await run(on: $0) }
    }

    private func run(on processes: ClusterProcesses) async throws -> DemoSummary {
        let manifest = processes.folder.manifest
        let keys = AccountKeys(accounts: accounts, seed: seed)
        let balances = [UInt128](repeating: Self.balance, count: accounts)
        let channels = try await processes.openChannels()
        _ = try await processes.fund(keys, balances: balances, through: channels, seed: seed, label: Self.label)

        let figures = LiveFigures()
        let generator = LoadGenerator(
            source: PacedTransfers(
                keys: keys, map: manifest.shardMap, rate: rate, crossPercent: crossShard, seed: seed, figures: figures),
            signers: keys.signers, manifest: manifest, channels: channels,
            configuration: .init(clients: clients, channels: channels.count, seed: seed))
        let hosts = DemoHosts(processes, voice)
        let orders = DemoOrders(json: voice.json)
        defer { orders.close() }
        voice.start(processes, keys: orders.hasKeys)
        if opensBrowser { voice.opened(Browser.open(voice.dashboard(processes))) }

        let start = ContinuousClock.now
        let invalid: Int? = try await processes.whileAllRun {
            async let load = generator.run()
            try await conduct(figures, hosts, processes, orders, since: start)
            figures.stop()
            // From here on there is nothing to press.
            orders.close()
            guard isChecked else {
                let end = ContinuousClock.now + Self.drain
                while figures.inFlight > 0, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(50)) }
                return nil
            }
            try await hosts.restartAll()
            return try await load.counters.invalidReceipts
        } tolerating: { role in
            await hosts.lost(role)
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        for channel in channels { await channel.close() }
        var summary = DemoSummary(
            seconds: seconds, figures.total, unfinished: figures.inFlight, invalidReceipts: invalid ?? 0,
            kills: await hosts.kills)
        if isChecked {
            let issued = (AccountKeys.asset, Self.balance * UInt128(accounts))
            // Whoever has its folder may have created money of their own.
            summary.invariants = try await FinalState(processes: processes, down: [])
                .check(issued: [issued], isAllKnown: false, label: Self.label)
        }
        return summary
    }

    /// Shows figures and obeys orders until the time is over or somebody ends it.
    private func conduct(
        _ figures: LiveFigures, _ hosts: DemoHosts, _ processes: ClusterProcesses, _ orders: DemoOrders,
        since start: ContinuousClock.Instant
    ) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await show(figures, processes, orders, since: start)
                return true
            }
            group.addTask { try await obey(orders, hosts) }
            defer { group.cancelAll() }
            while let isOver = try await group.next() {
                if isOver { return }
            }
        }
    }

    /// A line each second, until the time is over.
    private func show(
        _ figures: LiveFigures, _ processes: ClusterProcesses, _ orders: DemoOrders,
        since start: ContinuousClock.Instant
    ) async throws {
        let end = duration.map { start + .milliseconds(Int64($0 * 1000)) }
        var (tick, last) = (0, ContinuousClock.now)
        while true {
            // Where a look took longer than its second, its successors are left out.
            tick = max(tick, Int((ContinuousClock.now - start) / .seconds(1))) + 1
            let due = start + .seconds(tick)
            if let end, end < due { return try await Task.sleep(until: end) }
            try await Task.sleep(until: due)
            orders.ensureKeys()
            let status = await ClusterStatus.collect(processes, timeout: .milliseconds(700))
            try Task.checkCancellation()
            let now = ContinuousClock.now
            voice.show(
                figures.take(), over: (now - last) / .seconds(1), inFlight: figures.inFlight, status,
                at: (now - start) / .seconds(1))
            last = now
        }
    }

    /// - Returns: whether the demo is to end. Without more orders it goes on.
    private func obey(_ orders: DemoOrders, _ hosts: DemoHosts) async throws -> Bool {
        while let order = try await orders.next() {
            do {
                switch order {
                case .quit: return true
                case .kill(let host): try await hosts.kill(host)
                case .restart(let host): try await hosts.restart(host)
                case .toggle(let host): try await hosts.toggle(host)
                case .help: voice.help()
                case .unknown(let text): voice.problem("\(text) is no order; give kill [N], restart [N] or quit")
                }
            } catch is CancellationError { throw CancellationError() } catch {
                // What cannot be done to a host is no reason to end.
                voice.problem(ToolError(error).description)
            }
        }
        return false
    }
}
