import Client
import Cores
import Foundation
import HostRuntime
import Messages
import Testing

/// What `cluster status --json` has of a host or gateway.
private struct Counted {
    private let metrics: [[String: Any]]

    init(_ process: [String: Any]) { metrics = process["metrics"] as? [[String: Any]] ?? [] }

    func total(_ name: String, _ label: String? = nil, _ value: String? = nil) -> Int {
        metrics.filter { metric in
            metric["name"] as? String == name
                && (label.map { (metric["labels"] as? [String: String])?[$0] == value } ?? true)
        }.reduce(0) { $0 + ($1["value"] as? Int ?? 0) }
    }
}

private func status(_ cluster: String) throws -> (hosts: [Counted], gateways: [Counted]) {
    let output = try Tool.run("cluster", "status", cluster, "--json").output
    let line = output.split(separator: "\n").first.map(String.init) ?? ""
    let found = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    let all = { (key: String) in (found[key] as? [[String: Any]] ?? []).map(Counted.init) }
    return (all("hosts"), all("gateways"))
}

@Suite(.serialized) struct MetricsTests {
    @Test func aStatusSaysWhatWasSyncedAndThatAPrimaryWasReplaced() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--cluster", cluster, "--issue", "1000")
        let before = try status(cluster)
        try #require(before.hosts.count == 4 && before.gateways.count == 1)
        for host in before.hosts {
            #expect(host.total("quorate_journal_syncs_total") > 0 && host.total("quorate_journal_records_total") > 0)
            #expect(host.total("quorate_received_bytes_total") > 0 && host.total("quorate_sent_bytes_total") > 0)
        }
        #expect(before.gateways[0].total("quorate_sent_bytes_total") > 0)

        // Host 0 is the first primary of shard 0; the others say nothing to it any more.
        try Tool.succeed("cluster", "kill-host", cluster, "0")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster, "--issue", "5")
        let after = try status(cluster)
        for host in after.hosts.dropFirst() {
            #expect(host.total("quorate_view_changes_total", "shard", "0") >= 1)
            #expect(host.total("quorate_dropped_total", "reason", "not_connected") > 0)
        }
    }

    @Test func flushesAreCountedByShardAndRejectionsByReason() async throws {
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        let quiet = LineLogHandler.logger("test", level: .critical)
        let folder = try ClusterFolder.create(
            at: path, shards: 1, replicas: 4, basePort: Int.random(in: 20000..<32000))
        var options = HostRuntimeOptions()
        (options.core.replica.checkpointInterval, options.core.checkpointsPerFlush) = (2, 1)
        var hosts: [HostRuntime.Host] = []
        for host in 0..<4 {
            hosts.append(
                try await HostRuntime.Host.start(HostID(UInt16(host)), of: folder, options: options, logger: quiet))
        }
        let gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, logger: quiet)
        let address = GatewayAddress(host: "127.0.0.1", port: gateway.port)
        let owner = try #require(Ed25519Signer(seed: [UInt8](repeating: 31, count: 32)))
        let client = QuorateClient(signer: owner, manifest: folder.manifest, gateways: [address])
        var index: UInt64 = 0
        while hosts[0].metrics.total("quorate_flushes_total", "0") == 0 {
            _ = try await client.openAccount(AssetID(1), index: index)
            index += 1
            try #require(index < 1000)
        }
        await client.close()

        // Of another epoch, so no shard would take it.
        let connection = try await GatewayConnection.connect(address)
        let now = WallClock.now()
        let foreign = Request(
            cluster: folder.manifest.cluster, epoch: Epoch(9), principal: owner.publicKey, number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(1), issuedAt: now, deadline: now.adding(microseconds: 1_000_000),
            mode: .independent, operations: [.open(AccountSpecification(owner: owner.publicKey, asset: AssetID(1)))])
        guard case .rejected(.invalid, _) = try await connection.submit(SignedRequest(foreign, signedBy: owner)) else {
            Issue.record("it was not rejected")
            return
        }
        let said = try await connection.status().metrics
        let reason = MetricLabel(name: "reason", value: "invalid")
        #expect(said.contains { $0.name == "quorate_rejected_total" && $0.labels == [reason] && $0.value == 1 })
        await connection.close()
        await gateway.stop()
        for host in hosts { await host.stop() }
        try? FileManager.default.removeItem(atPath: path)
    }
}
