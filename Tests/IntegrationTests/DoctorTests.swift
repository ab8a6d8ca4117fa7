import Foundation
import Testing

/// `quorate doctor` beside real processes. What it makes of each thing that it can see is `WorkloadTests/DiagnosisTests`.
@Suite(.serialized) struct DoctorTests {
    private struct Report: Decodable {
        struct Finding: Decodable {
            var severity: String
            var code: String
            var host: Int?
            var what: String
            var commands: [String]
        }
        var schema: Int
        var healthy: Bool
        var exit: Int32
        var findings: [Finding]
        var checked: [String]
    }

    private func report(_ cluster: TestedCluster) throws -> Report {
        let (status, output) = try Tool.run("doctor", cluster.path, "--json")
        let line = output.split(separator: "\n").first.map(String.init) ?? ""
        var report = try JSONDecoder().decode(Report.self, from: Data(line.utf8))
        #expect(report.exit == status && report.schema == 1)
        // How full the disk of whoever tests is, is not the cluster's.
        let isFull = report.findings.contains { $0.code.hasPrefix("disk_") }
        report.findings.removeAll { $0.code.hasPrefix("disk_") }
        if isFull, report.exit == 44, report.findings.isEmpty { (report.exit, report.healthy) = (0, true) }
        return report
    }

    @Test func aHealthyClusterHasNoFindingsAndOneWithoutAHostHasItsCommand() throws {
        let cluster = try TestedCluster("--shards", "2")
        let healthy = try report(cluster)
        #expect(healthy.healthy && healthy.exit == 0 && healthy.findings.isEmpty, "\(healthy)")
        #expect(!healthy.checked.isEmpty)

        try Tool.succeed("cluster", "kill-host", cluster.path, "2")
        let missing = try report(cluster)
        #expect(missing.exit == 18 && missing.findings.count == 1, "\(missing)")
        let finding = try #require(missing.findings.first)
        #expect(finding.code == "host_down" && finding.host == 2 && finding.severity == "warning")
        #expect(finding.commands == ["quorate cluster up \(cluster.path)"])
        // It does what it says.
        try Tool.succeed("cluster", "up", cluster.path)
        #expect(try report(cluster).exit == 0)
    }

    @Test func twoOfFourHostsThatDoNotAnswerAreCritical() throws {
        let cluster = try TestedCluster()
        let pid = try cluster.pid("host-1")
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        try Tool.succeed("cluster", "kill-host", cluster.path, "3")
        let report = try report(cluster)
        #expect(report.exit == 43, "\(report)")
        #expect(report.findings.map(\.code) == ["no_quorum", "host_stopped", "host_down"])
        #expect(report.findings[0].severity == "critical")
        #expect(report.findings[0].commands.contains("kill -CONT \(pid)"))
    }

    @Test func aKeyThatOthersMayReadNeedsAttention() throws {
        let cluster = try TestedCluster()
        chmod(cluster.path + "/hosts/0/host.key", 0o644)
        let report = try report(cluster)
        #expect(report.exit == 44 && report.findings.map(\.code) == ["key_open"], "\(report)")
    }

    @Test func whatListensInAHostsPlaceIsToldFromIt() throws {
        let (cluster, other) = (try TestedCluster(), try TestedCluster(isUp: false))
        // Host 1 of the other cluster has host 0's address in its manifest.
        try Tool.succeed("cluster", "kill-host", cluster.path, "0")
        let manifest = try String(contentsOfFile: cluster.path + "/cluster.json", encoding: .utf8)
        let port = try #require(manifest.firstMatch(of: /"port": *([0-9]+)/)?.output.1)
        let foreign = try String(contentsOfFile: other.path + "/cluster.json", encoding: .utf8)
        let own = try #require(foreign.firstMatch(of: /"port": *([0-9]+)/)?.output.1)
        try foreign.replacing(own, with: port, maxReplacements: 1).write(
            toFile: other.path + "/cluster.json", atomically: true, encoding: .utf8)
        let stranger = try RunningTool(["host", "run", other.path, "0"])
        defer {
            stranger.signal(SIGTERM)
            _ = stranger.end()
        }
        #expect(stranger.waits(20) { stranger.errors.contains("listens on") })
        let report = try report(cluster)
        #expect(report.exit == 18 && report.findings.map(\.code) == ["port_taken"], "\(report)")
    }

    @Test func aPageKeepsToTheWidthAndCommandsStayWhole() throws {
        let cluster = try TestedCluster(isUp: false)
        let tool = try RunningTool(["doctor", cluster.path], environment: ["COLUMNS": "60"])
        #expect(tool.end().status == 43)
        let lines = tool.output.split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("CRITICAL  shard 0 commits nothing") }, "\(tool.output)")
        #expect(lines.contains { $0.hasSuffix("quorate cluster up \(cluster.path)") })
        let long = lines.filter { $0.count > 60 && !$0.contains(cluster.path) }
        #expect(long.isEmpty, "\(long)")
        #expect(!tool.output.contains("\u{1b}"))
    }

    /// However it ends.
    @Test(.enabled(if: ToolOnTerminal.isPossible), arguments: ["q", "\u{03}"])
    func topGivesTheTerminalBack(key: String) throws {
        let cluster = try TestedCluster(isUp: false)
        let tool = try ToolOnTerminal(["top", cluster.path])
        defer { tool.stop() }
        #expect(tool.waits { $0.contains("\u{1b}[?1049h") && $0.contains("\u{1b}[J") }, "\(tool.output)")
        try tool.type(key)
        #expect(tool.end() == (key == "q" ? 0 : 130), "\(tool.output)")
        #expect(tool.output.contains("\u{1b}[?25h\u{1b}[?1049l"), "\(tool.output)")
    }

    @Test func topShowsEveryReplicaOnceWhereThereIsNoTerminal() throws {
        let cluster = try TestedCluster("--shards", "2")
        let page = try Tool.succeed("top", cluster.path)
        #expect(page.contains("4 of 4 hosts answer") && page.contains("done/s") && !page.contains("\u{1b}"), "\(page)")
        let line = try Tool.succeed("top", cluster.path, "--once", "--json")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect((object["replicas"] as? [Any])?.count == 8 && (object["gateways"] as? [Any])?.count == 1)
    }

    @Test func aFolderThatIsNoClusterIsSaid() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        #expect(try Tool.run("doctor", folder.path("nowhere")).status == 11)
        #expect(try Tool.run("doctor", "a", "--cluster", "b").status == 64)
    }
}
