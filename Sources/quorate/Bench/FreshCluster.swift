import Foundation
import HostRuntime
import Messages
import Workload

/// A cluster of its own for a bench, a drill or a demo, whose processes end with this one.
struct FreshCluster: Sendable {
    let processes: ClusterProcesses
    /// Through which its hosts are reached; nil where they are reached at their own ports.
    let relays: HostRelays?
    private let lifeLine: LifeLine

    /// Creates it at `path` and starts it, on ports that are free. Gateways' ports are outside the range that the
    /// system gives to outgoing connections, so that one which is killed finds its port free again.
    /// - Parameter isRelayed: whether its hosts can be cut off.
    static func start(
        at path: String, shards: Int, replicas: Int, gateways: Int, hostProgram: String? = nil,
        traceRate: Double = 0, hasWeb: Bool = false, clientTLS: ClientTLS = .off, network: NetworkEmulation? = nil,
        syncDelays: [Int: Int] = [:], isRelayed: Bool = false
    ) async throws -> FreshCluster {
        let lifeLine = try LifeLine()
        var attempts = 0
        while true {
            attempts += 1
            // Hosts that are relayed listen behind all others.
            let count = replicas + gateways
            let base = try FreePorts.base(count: isRelayed ? count + replicas : count)
            let cluster = try ClusterFolder.create(
                at: path, shards: shards, replicas: replicas, basePort: base, clientTLS: clientTLS.isOn)
            let processes = ClusterProcesses(
                cluster, input: .pipe(lifeLine.readingEnd), hostProgram: hostProgram, traceRate: traceRate,
                hasWeb: hasWeb, network: network, syncDelays: syncDelays, hostPorts: isRelayed ? base + count : nil)
            var relays: HostRelays?
            do {
                if isRelayed { relays = try await HostRelays.open(hosts: replicas, at: base, to: base + count) }
                _ = try await processes.up(hosts: Array(0..<replicas), gateways: gateways, gatewayPort: base + replicas)
                return FreshCluster(processes: processes, relays: relays, lifeLine: lifeLine)
            } catch {
                await relays?.close()
                guard let refused = error as? ToolError, refused.reason == .portInUse, attempts < 5 else { throw error }
                // Somebody took a port between the look and the start.
                _ = try? await processes.down(grace: .seconds(2))
                try? FileManager.default.removeItem(atPath: path)
            }
        }
    }

    /// Ends what still runs when `body` is done, or has failed.
    func use<T: Sendable>(_ body: (ClusterProcesses) async throws -> T) async throws -> T {
        do {
            let result = try await body(processes)
            try await processes.down()
            await relays?.close()
            withExtendedLifetime(lifeLine) {}
            return result
        } catch {
            _ = try? await processes.down(grace: .seconds(2))
            await relays?.close()
            withExtendedLifetime(lifeLine) {}
            throw error
        }
    }
}

extension ClusterProcesses {
    func openChannels() async throws -> [GatewayChannel] {
        var channels: [GatewayChannel] = []
        for address in gateways { channels.append(try await GatewayChannel(address)) }
        return channels
    }

    /// Opens accounts and issues their opening balances.
    /// - Returns: how many seconds it took.
    func fund(
        _ keys: AccountKeys, balances: [UInt128], through channels: [GatewayChannel], seed: UInt64, label: String
    ) async throws -> Double {
        let bar = ProgressBar("\(label): funding \(balances.count) accounts")
        let start = ContinuousClock.now
        let generator = LoadGenerator(
            source: FundingSource(specifications: keys.specifications, balances: balances),
            signers: [try folder.issuer()],
            manifest: folder.manifest, channels: channels,
            configuration: .init(clients: 16, channels: channels.count, lifetime: 60_000_000, seed: seed))
        let result = try await whileHostsRun { try await generator.run { bar.update($0) } }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard result.source.failures == 0 else {
            throw ToolError(
                .failure,
                "\(label): \(result.source.failures) accounts could not be opened or funded: \(result.source.firstFailure ?? "")"
            )
        }
        bar.finish("done in \((seconds * 10).rounded() / 10) s")
        return seconds
    }
}
