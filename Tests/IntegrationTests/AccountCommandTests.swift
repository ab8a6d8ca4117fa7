import Foundation
import Testing

/// What somebody meets who uses the tool for the first time.
@Suite(.serialized) struct AccountCommandTests {
    @Test func theFirstHalfHour() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("a cluster")
        try Tool.succeed("cluster", "init", cluster, "--shards", "3", "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        let inside = cluster + "/hosts"

        // Without a cluster that runs, nothing is made, and the hint can be pasted.
        let early = try run("account", "create", "alice", in: inside)
        #expect(early.status == 17 && early.output.contains("quorate cluster up '"), "\(early)")
        #expect(!FileManager.default.fileExists(atPath: cluster + "/accounts/alice.json"))
        try Tool.succeed("cluster", "up", cluster)

        // The cluster that the working folder is in, or the one that the environment names, or none.
        for (number, name) in ["alice", "bob", "carol"].enumerated() {
            let made = try run("account", "create", name, "--shard", "\(number)", "--issue", "100", in: inside)
            #expect(made.status == 0 && made.output.contains(" on shard \(number), 100 of asset 1 issued"), "\(made)")
        }
        let named = try run("transfer", "alice", "bob", "1", in: "/", environment: ["QUORATE_CLUSTER": cluster])
        #expect(named.status == 0, "\(named)")
        let lost = try run("transfer", "alice", "bob", "1", in: "/", environment: ["QUORATE_CLUSTER": ""])
        #expect(
            lost.status == 11 && lost.output.contains("--cluster FOLDER") && lost.output.contains("QUORATE_CLUSTER"))
        let list = try run("account", "list", in: inside).output
        #expect(
            list.contains("alice  ") && list.contains("shard 0  99 of asset 1")
                && list.contains("shard 1  101 of asset 1"), "\(list)")
        let receipts = try FileManager.default.contentsOfDirectory(atPath: cluster + "/receipts").map {
            cluster + "/receipts/" + $0
        }
        #expect(try run(["receipt", "verify"] + receipts, in: inside).status == 0)

        // What is wrong is said with the name, the shard, or what was probably meant.
        let poor = try run("transfer", "alice", "bob", "9999", in: inside)
        #expect(poor.status == 20)
        #expect(
            poor.output.contains(": insufficient funds: alice (") && poor.output.contains(") on shard 0"), "\(poor)")
        let frozen = try run("freeze", "bob", "--reason", "17", "--direction", "credits", in: inside)
        #expect(frozen.status == 0 && frozen.output.contains("frozen for credits, reason 17"), "\(frozen)")
        let stopped = try run("transfer", "alice", "bob", "1", in: inside)
        #expect(stopped.status == 20 && stopped.output.contains(": the account is frozen: bob ("), "\(stopped)")
        let shown = try run("account", "show", "bob", in: inside)
        #expect(shown.output.contains("FROZEN: credits (reason 17)"), "\(shown)")
        #expect(try run("release", "bob", in: inside).status == 0)
        #expect(!(try run("account", "show", "bob", in: inside).output.contains("FROZEN")))
        let nobody = try run("transfer", "alice", String(repeating: "0", count: 32), "1", in: inside)
        #expect(
            nobody.status == 20 && nobody.output.contains(": unknown account: ")
                && nobody.output.contains(" 00000000000000000000000000000000 on shard 0"), "\(nobody)")
        let itself = try run("transfer", "alice", "alice", "1", in: inside)
        #expect(
            itself.status == 64 && itself.output.contains("alice would pay itself")
                && itself.output.contains("nothing was sent"))
        // Wrong use that shows late has the form of any other.
        for words in [
            ["transfer", "alice", "alice", "1"], ["account", "create", "dora", "--shard", "3"],
            ["call", "oracle.spt", "{}", "--as", "alice"],
        ] {
            let refused = try run(words + ["--json"], in: inside)
            let line = try #require(refused.output.split(separator: "\n").first { $0.hasPrefix("{") }, "\(refused)")
            let error =
                (try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["error"] as? [String: Any]
            #expect(error?["code"] as? String == "usage" && error?["exit"] as? Int == 64, "\(refused)")
            #expect((error?["message"] as? String ?? "").count > 20 && !refused.output.contains("failed"), "\(refused)")
        }
        for wrong in ["alcie", "alic", "allice", "Alice"] {
            let unknown = try run("transfer", wrong, "bob", "1", in: inside)
            #expect(unknown.status == 12 && unknown.output.contains("did you mean alice?"), "\(unknown)")
        }
        #expect(!(try run("transfer", "zoe", "bob", "1", in: inside).output.contains("did you mean")))
        for amount in ["0", "-1", "1.5", "1e3", "85070591730234615865843651857942052864", "", "inf"] {
            #expect(try run(["transfer", "alice", "bob", "--", amount], in: inside).status == 64, "\(amount)")
            #expect(
                try run(["issue", "alice", "--operation", "x", "--", amount], in: inside).status == 64, "\(amount)")
        }
        for shard in ["3", "-1", "70000", "9223372036854775807", "9223372036854775808"] {
            #expect(try run("account", "create", "dora", "--shard=\(shard)", in: inside).status == 64, "\(shard)")
        }
        #expect(!FileManager.default.fileExists(atPath: cluster + "/accounts/dora.json"))

        // Names that would be taken for something else.
        let identifiers = [
            "0123456789abcdef0123456789abcdef", String(repeating: "A", count: 64), "0123456789abcdef", "issuer", ".x",
            "a/b", "",
        ]
        for name in identifiers {
            let refused = try run(["account", "create", name], in: inside)
            #expect(refused.status == 1, "\(name): \(refused)")
        }
        // Made once.
        let again = try run("account", "create", "alice", in: inside)
        #expect(again.status == 10 && again.output.contains("quorate account create alice --resume"))
    }

    @Test func aDamagedAccountFileHidesNoOther() throws {
        let cluster = try TestedCluster()
        for name in ["alice", "bob", "carol"] { try Tool.succeed("account", "create", name, "--cluster", cluster.path) }
        try Data("{".utf8).write(to: URL(fileURLWithPath: cluster.path + "/accounts/bob.json"))
        for form in [[], ["--json"]] {
            let (status, output) = try Tool.run(["account", "list", "--cluster", cluster.path] + form)
            #expect(
                status == 12 && output.contains("alice") && output.contains("carol")
                    && output.contains("accounts/bob.json"), "\(output)")
        }
    }

    @Test func everyCommandSaysTheToolsVersion() throws {
        for words in [[], ["transfer"], ["call"]] {
            let (status, output) = try Tool.run(words + ["--version"])
            #expect(status == 0 && output.hasPrefix("0."), "\(words): \(output)")
        }
    }

    @Test func proceduresAreCalledWithJSON() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let cluster = folder.path("cluster")
        try Tool.succeed("cluster", "init", cluster, "--shards", "2", "--base-port", "\(Tool.freePorts())")
        defer { _ = try? Tool.run("cluster", "down", cluster) }
        try Tool.succeed("cluster", "up", cluster)
        try Tool.succeed("account", "create", "alice", "--shard", "0", "--issue", "100", "--cluster", cluster)
        try Tool.succeed("account", "create", "bob", "--shard", "1", "--cluster", cluster)
        func call(_ procedure: String, _ arguments: String, as name: String = "alice", _ more: String...) throws -> (
            status: Int32, output: String
        ) {
            try run(["call", procedure, arguments, "--as", name] + more, in: cluster)
        }
        #expect(try call("oracle.publish", #"{"symbol": "GOLD", "price": 7}"#, as: "bob").status == 0)
        let spot = try call("oracle.spot", #"{"symbol": "GOLD"}"#, as: "alice", "--json")
        #expect(spot.status == 0 && spot.output.contains(#""result":7"#), "\(spot)")
        let buy =
            #"{"buyer": "alice", "seller": "bob", "asset": 1, "symbol": "GOLD", "quantity": 3, "most_per_unit": 7}"#
        #expect(try call("oracle.buy", buy).output.contains(#"result   "21""#))
        #expect(try run("account", "show", "bob", in: cluster).output.contains(": 21 of asset 1"))
        let dear = try call(
            "oracle.buy", buy.replacingOccurrences(of: #""most_per_unit": 7"#, with: #""most_per_unit": 6"#))
        #expect(dear.status == 20 && dear.output.contains("the price is 7, above 6"), "\(dear)")
        let lists = try call(
            "lists", #"{"operations": [{"key": "a", "append": 5}, {"key": "b"}, {"key": "a"}]}"#, as: "bob", "--json")
        #expect(lists.output.contains(#""result":[[],[],[5]]"#), "\(lists)")
        // The same, by bytes.
        let raw = try call(
            "oracle.spot", #"{"hex": "04000000474f4c44"}"#, as: "bob", "--target", "key:{oracle/GOLD}/price", "--json")
        #expect(raw.output.contains(#""result":"0700000000000000""#), "\(raw)")
        for (procedure, arguments) in [
            ("oracle.spt", "{}"), ("oracle.spot", "{}"), ("oracle.spot", "["),
            ("oracle.spot", #"{"symbol": "A", "symbol": "B"}"#),
            ("oracle.publish", #"{"symbol": "A", "price": -1}"#), ("lists", #"{"operations": []}"#),
        ] {
            #expect(try call(procedure, arguments).status == 64, "\(procedure) \(arguments)")
        }
        #expect(try call("oracle.spt", "{}").output.contains("did you mean oracle.spot?"))
    }

    private func run(_ arguments: String..., in folder: String, environment: [String: String] = [:]) throws -> (
        status: Int32, output: String
    ) {
        try run(arguments, in: folder, environment: environment)
    }

    private func run(_ arguments: [String], in folder: String, environment: [String: String] = [:]) throws -> (
        status: Int32, output: String
    ) {
        let process = Process()
        process.executableURL = try Tool.executable().standardizedFileURL
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        (process.standardOutput, process.standardError) = (pipe, pipe)
        try process.run()
        // No process of the cluster is started by these, so the pipe ends with the command.
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }
}
