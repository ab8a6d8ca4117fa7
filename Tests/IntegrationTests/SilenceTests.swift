import Foundation
import Testing

/// Waits that say what they wait for, end, and can be interrupted; and output that does not arrive.
@Suite(.serialized) struct SilenceTests {
    @Test func withoutAQuorumStatusSaysSoFirstAndReadsEndWithTheReason() throws {
        let cluster = try TestedCluster()
        try Tool.succeed("account", "create", "alice", "--cluster", cluster.path, "--issue", "10")
        try Tool.succeed("account", "create", "bob", "--cluster", cluster.path)
        try Tool.succeed("cluster", "kill-host", cluster.path, "2")
        let one = try Tool.run("cluster", "status", cluster.path)
        #expect(one.status == 18)
        #expect(
            one.output.split(separator: "\n")[1]
                == "shard 0 commits: 3 of 4 replicas vote, 3 are needed; host 2 has no process", "\(one.output)")
        // Stopped, so that it neither answers nor refuses.
        let stopped = try cluster.pid("host-3")
        kill(stopped, SIGSTOP)
        defer { kill(stopped, SIGCONT) }
        let start = Date.now
        let two = try Tool.run("cluster", "status", cluster.path)
        #expect(Date.now.timeIntervalSince(start) < 4)
        let verdict =
            "shard 0 cannot commit: 2 of 4 hosts answer, 3 are needed, since host 2 has no process, host 3 is stopped (process \(stopped) is under SIGSTOP)"
        #expect(two.status == 43 && two.output.split(separator: "\n")[1] == verdict, "\(two.output)")

        let asked = Date.now
        let (status, output) = try Tool.run("account", "show", "alice", "--cluster", cluster.path, "--json")
        #expect(status == 18 && Date.now.timeIntervalSince(asked) < 8)
        #expect(
            output.contains("waiting: \(verdict)") && output.contains("no answer within 5 s: \(verdict)"), "\(output)")
        #expect(output.contains(#"{"error":{"code":"no_answer","exit":18,"#))

        for number in [SIGINT, SIGTERM, SIGHUP] {
            let transfer = try RunningTool(["transfer", "alice", "bob", "1", "--cluster", cluster.path])
            #expect(transfer.waits(20) { transfer.errors.contains("waiting: \(verdict)") }, "\(transfer.errors)")
            transfer.signal(number)
            let (code, seconds) = transfer.end()
            #expect([21, 130].contains(code) && seconds < 2.5, "\(code) after \(seconds) s: \(transfer.errors)")
        }

        let watch = try RunningTool(["cluster", "status", cluster.path, "--watch"])
        #expect(watch.waits(20) { watch.output.contains(verdict) })
        watch.signal(SIGINT)
        let (code, seconds) = watch.end()
        #expect(code == 130 && seconds < 2.5)
    }

    @Test func aStoppedGatewayIsNamed() throws {
        let cluster = try TestedCluster()
        for name in ["alice", "bob", "carol", "dora"] {
            try Tool.succeed("account", "create", name, "--cluster", cluster.path)
        }
        let gateway = try cluster.pid("gateway-0")
        kill(gateway, SIGSTOP)
        defer { kill(gateway, SIGCONT) }
        let (status, output) = try Tool.run("cluster", "status", cluster.path)
        #expect(status == 18 && output.contains("process \(gateway) (stopped)  DOES NOT ANSWER"), "\(output)")
        let id = String(repeating: "0", count: 32)
        let read = try Tool.run("account", "show", id, "--cluster", cluster.path)
        #expect(
            read.status == 18
                && read.output.contains("gateway 0 does not answer (process \(gateway), which is stopped)"),
            "\(read.output)")
        // Once for all accounts.
        let asked = Date.now
        let list = try Tool.run("account", "list", "--cluster", cluster.path)
        #expect(
            list.status == 0 && list.output.contains("dora ") && Date.now.timeIntervalSince(asked) < 4, "\(list.output)"
        )
        // What is not sent yet is not waited for longer than it takes to see that nobody answers.
        let start = Date.now
        let issue = try Tool.run("issue", "alice", "1", "--operation", "gift", "--cluster", cluster.path)
        #expect(
            issue.status == 18 && Date.now.timeIntervalSince(start) < 8 && issue.output.contains("so nothing was sent"),
            "\(issue.output)")
        #expect(issue.output.contains("waiting: gateway 0 does not answer"), "\(issue.output)")
    }

    @Test func outputThatCannotBeWrittenIsNoSuccess() throws {
        let cluster = try TestedCluster()
        for words in [
            ["cluster", "status", cluster.path], ["cluster", "logs", cluster.path], ["--version"], ["bench", "--help"],
            ["host", "run", "--help"],
        ] {
            let command = try RunningTool(words, output: FileHandle(forWritingAtPath: "/dev/full"))
            #expect(command.end().status == 40, "\(words)")
            // Whoever reads has gone, as head does.
            let pipe = Pipe()
            try pipe.fileHandleForReading.close()
            let piped = try RunningTool(words, output: pipe.fileHandleForWriting)
            #expect([40, 141].contains(piped.end().status) && piped.errors.isEmpty, "\(words): \(piped.errors)")
        }
    }

    @Test func logsOfEverybodyAreShownInTheOrderOfTimeAndFollowed() throws {
        let cluster = try TestedCluster()
        let lines = try Tool.succeed("cluster", "logs", cluster.path).split(separator: "\n")
        let times = lines.map { String($0.prefix(24)) }
        #expect(
            times == times.sorted() && lines.contains { $0.contains(" host-3 ") }
                && lines.contains { $0.contains(" gateway-0 ") })
        #expect(
            try Tool.succeed("cluster", "logs", cluster.path, "gateway", "0", "--lines", "1").split(separator: "\n")
                .count == 1)
        #expect(
            try Tool.succeed("cluster", "logs", cluster.path, "2", "--json").contains(#"{"from":"host-2","line":""#))
        let follow = try RunningTool(["cluster", "logs", cluster.path, "0", "--follow", "--lines", "0"])
        usleep(500_000)
        try Tool.succeed("cluster", "kill-host", cluster.path, "1")
        #expect(follow.waits(20) { follow.output.contains("no session with host 1") }, "\(follow.output)")
        follow.signal(SIGINT)
        #expect(follow.end().status == 130)
    }

    /// A host that is gone for days does not fill its peers' disks: 15 s of vain attempts, some twenty of them, are a
    /// few lines.
    @Test func whatGoesOnIsLoggedLessAndLessOften() throws {
        let cluster = try TestedCluster()
        try Tool.succeed("cluster", "kill-host", cluster.path, "1")
        usleep(15_000_000)
        for name in ["gateway-0", "host-0"] {
            let log = try String(contentsOfFile: cluster.path + "/logs/\(name).log", encoding: .utf8)
            let lines = log.split(separator: "\n").filter { $0.contains("no session with host 1") }
            #expect((1...6).contains(lines.count), "\(lines.joined(separator: "\n"))")
            #expect(
                lines.last?.contains("Connection refused (and ") == true && !log.contains("SingleConnectionFailure"))
        }
    }

    @Test func aNewClusterTakesOtherPortsWhenTheUsualOnesAreTaken() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let squatter = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(squatter) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(7102).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        // Whoever has it already takes it as well as this test does.
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(squatter, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        listen(squatter, 1)
        let output = try Tool.succeed("cluster", "init", folder.path("cluster"))
        #expect(
            output.contains("the usual ports, from 7100 on, are taken") && !output.contains("ports 7100 to"),
            "\(output)")
        // Nobody else's words are changed.
        #expect(
            try Tool.succeed("cluster", "init", folder.path("asked"), "--base-port", "7100").contains(
                "ports 7100 to 7103"))
    }
}
