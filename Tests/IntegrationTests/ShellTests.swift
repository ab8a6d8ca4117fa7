import Foundation
import Testing

/// `quorate shell` from scripts.
@Suite(.serialized) struct ShellTests {
    private func shell(_ script: String, in cluster: String, _ options: String...) throws -> (
        status: Int32, output: String, errors: String
    ) {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let process = Process()
        process.executableURL = try Tool.executable()
        process.arguments = ["shell", "--cluster", cluster] + options
        try Data(script.utf8).write(to: URL(fileURLWithPath: folder.path("script")))
        process.standardInput = FileHandle(forReadingAtPath: folder.path("script"))
        for name in ["output", "errors"] {
            _ = FileManager.default.createFile(atPath: folder.path(name), contents: nil)
        }
        process.standardOutput = FileHandle(forWritingAtPath: folder.path("output"))
        process.standardError = FileHandle(forWritingAtPath: folder.path("errors"))
        try process.run()
        process.waitUntilExit()
        return (
            process.terminationStatus, try String(contentsOfFile: folder.path("output"), encoding: .utf8),
            try String(contentsOfFile: folder.path("errors"), encoding: .utf8)
        )
    }

    @Test func aScriptDoesWhatItsLinesWouldDoEachByItself() throws {
        let cluster = try TestedCluster("--shards", "2")
        let (status, output, errors) = try shell(
            """
            # Two accounts, and a payment.
            account create alice --shard 0 --issue 1000
              account create "bob" --shard=1

            transfer alice 'bob' 250   # quoted as a shell has it
            quorate account show bob
            status
            """, in: cluster.path)
        #expect(status == 0, "\(errors)")
        #expect(output.contains("committed on shards 0 and 1") && output.contains(": 250 of asset 1"))
        #expect(output.contains("shard 1 commits: 4 of 4"), "\(output)")
        #expect(try Tool.succeed("account", "show", "alice", "--cluster", cluster.path).contains(": 750 of asset 1"))
        // A script leaves no history.
        #expect(!FileManager.default.fileExists(atPath: cluster.path + "/shell-history"))
    }

    @Test func aFailingLineIsNamedAndTheScriptGoesOnUnlessItIsToldToStop() throws {
        let cluster = try TestedCluster("--shards", "1")
        try Tool.succeed("account", "create", "alice", "--issue", "10", "--cluster", cluster.path)
        try Tool.succeed("account", "create", "bob", "--cluster", cluster.path)
        let script =
            "transfer alice bob 99\ntransfer alice bob 1\nfrobnicate\ntransfer alice bob 'x\naccount show bob\n"
        let all = try shell(script, in: cluster.path, "--echo")
        #expect(all.status == 64, "\(all)")
        #expect(all.output.contains("> transfer alice bob 99\naborted on shard 0"), "\(all.output)")
        #expect(all.output.contains(": 1 of asset 1"))
        #expect(all.errors.contains("line 1: exit code 20 (the transaction was aborted"), "\(all.errors)")
        #expect(all.errors.contains("line 3: exit code 64") && all.errors.contains("frobnicate"))
        #expect(all.errors.contains("line 4: exit code 64") && all.errors.contains("the single quote does not end"))
        let stopped = try shell(script, in: cluster.path, "--stop-on-error")
        #expect(stopped.status == 20 && !stopped.output.contains("committed") && !stopped.errors.contains("line 3"))
        // Nothing behind the line that leaves.
        #expect(try shell("exit\nfrobnicate\n", in: cluster.path).status == 0)
    }

    @Test func everyLineHasItsObject() throws {
        let cluster = try TestedCluster("--shards", "1")
        let (status, output, errors) = try shell(
            "account create alice --issue 10\naccount show alice\nnonsense\na | b\naccount show nobody\n",
            in: cluster.path, "--json")
        let objects = try output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
        }
        #expect(objects.count == 5 && objects[1]["posted"] as? String == "10", "\(output)\(errors)")
        #expect(status == 12, "\(errors)")
        #expect((objects.last?["error"] as? [String: Any])?["exit"] as? Int == 12)
    }

    @Test(arguments: ["bench --shards 1", "demo", "simulate", "shell", "host run x 0"])
    func whatMakesClustersOfItsOwnDoesNotRunInside(line: String) throws {
        let cluster = try TestedCluster("--shards", "1", isUp: false)
        let (status, _, errors) = try shell(line + "\n", in: cluster.path)
        #expect(status == 1 && errors.contains("does not run inside the shell"), "\(errors)")
    }

    @Test func commandsOfTheClusterAreAboutThisOne() throws {
        let cluster = try TestedCluster("--shards", "1")
        let killed = try shell("kill-host 2\nstatus\ncluster restart-host 2\n", in: cluster.path)
        #expect(killed.output.contains("killed host 2") && killed.output.contains("host 2 runs"), "\(killed)")
        #expect(killed.status == 18 && killed.errors.contains("line 2: exit code 18"))
        // Also where the folder is named, as hints do.
        #expect(try shell("quorate cluster down \(cluster.path)\n", in: cluster.path).output.contains("stopped "))
    }

    /// The empty prompt that follows an answer: from then on the terminal gives every key.
    private func prompts(after answer: String) -> (String) -> Bool {
        { output in output.range(of: answer).map { output[$0.upperBound...].contains("cluster> \u{1b}[K") } ?? false }
    }

    /// Tab completes, the line is edited, the history is kept, and an error does not end it.
    @Test(.enabled(if: ToolOnTerminal.isPossible)) func aPersonEditsCompletesAndRemembers() throws {
        let cluster = try TestedCluster("--shards", "1", isUp: false)
        let tool = try ToolOnTerminal(["shell", "--cluster", cluster.path])
        defer { tool.stop() }
        #expect(tool.waits { $0.contains("cluster> ") }, "\(tool.output)")
        // What is typed is written anew with each key: the answer says what was understood.
        try tool.type("acc\tlist \u{1b}[D\u{7f}t\r")
        #expect(tool.waits(until: prompts(after: "no account's key is in")), "\(tool.output)")
        try tool.type("frobnicate\r")
        #expect(tool.waits(until: prompts(after: "exit code 64")), "\(tool.output)")
        try tool.type(" transfer a b 1\u{3}help\r")
        #expect(tool.waits(until: prompts(after: "Tab completes.")), "\(tool.output)")
        try tool.type("\u{4}")
        #expect(tool.end() == 0, "\(tool.output)")
        let history = cluster.path + "/shell-history"
        #expect(try String(contentsOfFile: history, encoding: .utf8) == "account list \nfrobnicate\nhelp\n")
        let mode = try FileManager.default.attributesOfItem(atPath: history)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func withoutAClusterNothingBegins() throws {
        #expect(try shell("help\n", in: "/no/such").status == 11)
    }
}
