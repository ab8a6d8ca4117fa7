import Foundation
import HostRuntime
import Messages
import Meter
import Testing

extension TestedCluster {
    /// Where `host-0` or `gateway-0` answers.
    func webPort(_ name: String) throws -> Int {
        let text = try String(contentsOfFile: "\(path)/run/\(name).http", encoding: .utf8)
        guard let port = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Tool.Failure(description: "\(name) says no port: \(text)")
        }
        return port
    }

    fileprivate func ready(_ name: String) throws -> HTTPAnswer {
        try HTTPAnswer("/health/ready", port: webPort(name))
    }

    fileprivate func scrape(_ name: String) throws -> Scrape { try Scrape(port: webPort(name)) }
}

/// Whoever does not answer yet, or says no port, is asked again.
/// - Returns: false if it did not come within a minute.
private func comes(_ condition: () throws -> Bool) -> Bool {
    let end = Date(timeIntervalSinceNow: 60)
    while Date.now < end {
        if (try? condition()) == true { return true }
        usleep(20_000)
    }
    return false
}

/// `/metrics` and `/health` of real processes.
@Suite(.serialized) struct MonitoringTests {
    private static let hosts = (0..<4).map { "host-\($0)" }

    @Test func whatIsScrapedIsWellFormedAndGrowsWithWhatIsDone() throws {
        let cluster = try TestedCluster("--shards", "2", "--client-tls", "off")
        let names = Self.hosts + ["gateway-0"]
        var before: [String: Scrape] = [:]
        for name in names {
            #expect(comes { try cluster.ready(name).status == 200 }, "\(name)")
            before[name] = try cluster.scrape(name)
        }
        try Tool.succeed("account", "create", "alice", "--cluster", cluster.path, "--shard", "0", "--issue", "1000")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster.path, "--shard", "1")
        try Tool.succeed("transfer", "alice", "bob", "10", "--cluster", cluster.path)
        #expect(try Tool.run("transfer", "alice", "bob", "9999", "--cluster", cluster.path).status == 20)
        for name in names {
            let (old, new) = (try #require(before[name]), try cluster.scrape(name))
            #expect(new.shrunk(since: old) == [], "\(name)")
            #expect(try #require(new.total("process_cpu_seconds_total")) > 0, "\(name)")
            #expect(new.total("quorate_build_info", ["version": Build.version]) == 1, "\(name)")
            #expect(new.total("quorate_shard_quorum_replicas", ["shard": "1"]) == 3, "\(name)")
        }

        let gateway = try cluster.scrape("gateway-0")
        let requests = "quorate_request_seconds_count"
        #expect(try #require(gateway.total(requests, ["kind": "cross", "outcome": "committed"])) >= 1)
        #expect(try #require(gateway.total(requests, ["kind": "cross", "outcome": "aborted"])) >= 1)
        #expect(try #require(gateway.total(requests, ["kind": "intra", "outcome": "committed"])) >= 2)
        #expect(try #require(gateway.total("quorate_request_seconds_sum", ["outcome": "committed"])) > 0)
        #expect(try #require(gateway.total("quorate_aborted_legs_total", ["reason": "insufficient_funds"])) >= 1)
        #expect(try #require(gateway.total("quorate_completed_total")) >= 4)
        #expect(gateway.total("quorate_host_connected") == 4)
        #expect(gateway.total("quorate_breaker_open") == 0)

        let host = try cluster.scrape("host-0")
        for name in ["journal_syncs_total", "journal_sync_seconds_count", "batch_size_count", "disk_free_bytes"] {
            #expect(try #require(host.total("quorate_\(name)")) > 0, "\(name)")
        }
        // A quorum has executed all this; this one may be a moment behind.
        for shard in ["0", "1"] {
            #expect(
                comes {
                    let now = try cluster.scrape("host-0")
                    return ["quorate_ordering_seconds_count", "quorate_replica_executed_sequence"].allSatisfy {
                        now.total($0, ["shard": shard]) ?? 0 > 0
                    }
                }, "shard \(shard)")
            #expect(host.total("quorate_replica_voting", ["shard": shard]) == 1)
            #expect(
                comes {
                    let now = try cluster.scrape("host-0")
                    return ["bytes", "first_batch", "last_batch"].allSatisfy {
                        now.total("quorate_archive_\($0)", ["shard": shard]) ?? 0 > 0
                    }
                }, "the archive of shard \(shard)")
        }
        // As many as the page says (docs/METRICS.md).
        let shards = host.values.keys.filter { $0.labels["shard"] == "0" }.map { series in
            series.name.replacing(/_(bucket|sum|count)$/, with: "")
        }
        #expect(Set(shards).count == 15 + 4 + 2 + 3)
    }

    @Test func whoeverIsOfNoUseIsNotReadyAndSaysWhy() throws {
        let cluster = try TestedCluster("--shards", "2", "--client-tls", "off")
        for name in Self.hosts + ["gateway-0"] {
            #expect(comes { try cluster.ready(name).status == 200 }, "\(name)")
            #expect(try HTTPAnswer("/health/live", port: cluster.webPort(name)).status == 200)
        }

        // One may be missing.
        try Tool.succeed("cluster", "kill-host", cluster.path, "3")
        #expect(throws: (any Error).self) { try cluster.scrape("host-3") }
        #expect(
            comes { try cluster.scrape("gateway-0").total("quorate_host_connected", ["host": "3"]) == 0 })
        #expect(try cluster.ready("gateway-0").status == 200)
        #expect(
            comes { try cluster.scrape("host-0").total("quorate_host_connected", ["host": "3"]) == 0 })
        #expect(try cluster.ready("host-0").status == 200)

        // Two may not.
        try Tool.succeed("cluster", "kill-host", cluster.path, "2")
        #expect(comes { try cluster.ready("gateway-0").status == 503 })
        let why = try cluster.ready("gateway-0").body
        for shard in 0..<2 {
            #expect(
                why.contains(
                    "shard \(shard): connected to 2 of 4 hosts, 3 are needed; not to host 2, host 3"), "\(why)")
        }
        #expect(try HTTPAnswer("/health/live", port: cluster.webPort("gateway-0")).status == 200)

        // They come back, on other ports.
        try Tool.succeed("cluster", "up", cluster.path)
        for name in Self.hosts + ["gateway-0"] {
            #expect(comes { try cluster.ready(name).status == 200 }, "\(name)")
        }
        #expect(
            comes { try cluster.scrape("gateway-0").total("quorate_host_connected", ["host": "3"]) == 1 })
    }

    /// What is registered and not in the table has no meaning anywhere; what is in the table and never said is
    /// promised in vain.
    @Test func hostsAndGatewaysSayWhatTheTableHas() async throws {
        let path = "/tmp/quorate-test-\(UInt64.random(in: .min ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let quiet = LineLogHandler.logger("test", level: .critical)
        let folder = try ClusterFolder.create(
            at: path, shards: 2, replicas: 4, basePort: Int.random(in: 20000..<32000))
        let host = try await HostKeeper.start(HostID(0), of: folder, logger: quiet)
        let gateway = try await GatewayHost.start(manifest: folder.manifest, port: 0, logger: quiet)
        for (side, points) in [
            (MetricDefinition.Side.hosts, await host.points()), (.gateways, await gateway.points(number: 7)),
        ] {
            for point in points {
                let metric = try #require(MetricTable.all.first { $0.name == point.name }, "\(point.name)")
                #expect(metric.side == side || metric.side == .both, "\(side) say \(point.name)")
                #expect(metric.labels == point.labels.map(\.name), "\(point.name)")
                if case .distribution = point.value {
                    #expect(metric.kind.scale != nil, "\(point.name)")
                } else {
                    #expect(metric.kind.scale == nil, "\(point.name)")
                }
            }
            let said = Set(points.map(\.name))
            for metric in MetricTable.all where metric.side == side || metric.side == .both {
                #expect(said.contains(metric.name), "\(side) do not say \(metric.name)")
            }
            _ = try Scrape(PrometheusText.text(points))
        }
        await gateway.stop()
        await host.stop()
    }

    @Test func aScrapeThatPrometheusWouldRefuseIsNone() {
        let head = "# HELP a_total A\n# TYPE a_total counter\n"
        for text in [
            "a_total 1\n", head + "a_total 1\na_total 1\n", head + "b_total 1\n", head + "a_total{x=y} 1\n",
            head + "a_total 1", head + head + "a_total 1\n",
            "# HELP h H\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        ] {
            #expect(throws: Scrape.Problem.self, "\(text)") { try Scrape(text) }
        }
        #expect(throws: Never.self) { try Scrape(head + "a_total{x=\"y\",z=\"\\\"\"} 1\n") }
    }
}
