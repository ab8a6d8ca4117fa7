import Foundation
import Testing

/// `quorate demo` as scripts have it: lines in, objects out, and nothing left.
@Suite(.serialized) struct DemoTests {
    /// - Parameter orders: what comes in on standard input, and after how many figures.
    private func demo(
        _ arguments: [String], orders: [(after: Int, line: String)] = [], signal: Int32? = nil
    ) throws -> (status: Int32, objects: [[String: Any]], errors: String, temporary: TemporaryFolder) {
        let temporary = try TemporaryFolder()
        let process = Process()
        process.executableURL = try Tool.executable()
        process.arguments = ["demo", "--json"] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": temporary.path("")]) { $1 }
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        let errors = temporary.path("errors.txt")
        _ = FileManager.default.createFile(atPath: errors, contents: nil)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        var (text, waiting, figures) = ("", orders[...], 0)
        var objects: [[String: Any]] = []
        // The hosts have no part in this pipe: it ends with the tool.
        // What is there is taken at once: `read(upToCount:)` waits until there is as much.
        while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
            text += String(decoding: data, as: UTF8.self)
            while let end = text.firstIndex(of: "\n") {
                let line = text[..<end]
                text = String(text[text.index(after: end)...])
                let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                objects.append(object)
                guard object["type"] as? String == "figures" else { continue }
                figures += 1
                while let next = waiting.first, next.after <= figures {
                    try input.fileHandleForWriting.write(contentsOf: Data((next.line + "\n").utf8))
                    waiting.removeFirst()
                }
                if let signal, figures == 1 { kill(process.processIdentifier, signal) }
            }
        }
        process.waitUntilExit()
        let complaint = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
        try? FileManager.default.removeItem(atPath: errors)
        return (process.terminationStatus, objects, complaint, temporary)
    }

    /// No folder, and no process of the cluster that the first object names.
    private func expectNothingLeft(_ objects: [[String: Any]], _ temporary: TemporaryFolder) throws {
        let started = try #require(objects.first { $0["type"] as? String == "started" })
        let cluster = try #require(started["cluster"] as? String)
        #expect(cluster.hasPrefix(temporary.path("")) && started["is_kept"] as? Bool == false)
        #expect(TestedCluster.processes(of: cluster).isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path("")).isEmpty)
    }

    private func of(_ type: String, _ objects: [[String: Any]]) -> [[String: Any]] {
        objects.filter { $0["type"] as? String == type }
    }

    @Test func itEndsByItselfAndLeavesNothingBehind() throws {
        let (status, objects, errors, temporary) = try demo(["--shards", "2", "--duration", "3", "--accounts", "50"])
        defer { temporary.remove() }
        #expect(status == 0, "\(errors)")
        try expectNothingLeft(objects, temporary)
        let dashboard = try #require(of("started", objects).first?["dashboard"] as? String)
        #expect(dashboard.hasPrefix("http://127.0.0.1:"))
        let figures = of("figures", objects)
        #expect(!figures.isEmpty && figures.contains { ($0["committed"] as? Int ?? 0) > 0 })
        #expect((figures.first?["hosts"] as? [[String: Any]])?.count == 4)
        #expect((figures.first?["shards"] as? [[String: Any]])?.count == 2)
        let summary = try #require(of("summary", objects).first)
        let invariants = try #require(summary["invariants"] as? [String: Any])
        for name in ["conservation", "replicas_agree", "no_locks", "at_rest"] {
            #expect(invariants[name] as? Bool == true, "\(name)")
        }
        #expect((summary["committed"] as? Int ?? 0) > 0 && summary["unknown"] as? Int == 0)
    }

    @Test func hostsAreKilledAndStartedByLinesAndEverythingIsCheckedAtTheEnd() throws {
        let (status, objects, errors, temporary) = try demo(
            ["--shards", "2", "--accounts", "50"],
            orders: [
                (1, "kill 0"), (1, "kill"), (2, "nonsense"), (2, "kill 17"), (3, "restart 0"), (4, "kill 1"),
                (6, "quit"),
            ])
        defer { temporary.remove() }
        #expect(status == 0, "\(errors)")
        try expectNothingLeft(objects, temporary)
        let events = of("event", objects).compactMap { $0["event"] as? String }
        // The second kill finds no host that can be spared; at the end host 1 is started again.
        #expect(events == ["killed", "refused", "refused", "refused", "restarted", "killed", "restarted"], "\(events)")
        let states = of("figures", objects).flatMap { $0["hosts"] as? [[String: Any]] ?? [] }
        #expect(states.contains { $0["host"] as? Int == 0 && $0["state"] as? String == "down" })
        let summary = try #require(of("summary", objects).first)
        #expect(summary["kills"] as? Int == 2)
        #expect((summary["invariants"] as? [String: Any])?["replicas_agree"] as? Bool == true)
    }

    @Test(arguments: [SIGINT, SIGTERM]) func aSignalEndsAllOfIt(number: Int32) throws {
        let (status, objects, errors, temporary) = try demo(
            ["--shards", "1", "--accounts", "20", "--duration", "60"], signal: number)
        defer { temporary.remove() }
        #expect(status == 130, "\(errors)")
        try expectNothingLeft(objects, temporary)
        #expect(of("summary", objects).isEmpty)
    }

    @Test func peopleAreToldThatNothingIsKept() throws {
        let tool = try RunningTool(
            ["demo", "--shards", "1", "--duration", "1.5", "--accounts", "20", "--no-check", "--open"],
            environment: ["PATH": "/no/such"])
        #expect(tool.end().status == 0, "\(tool.errors)")
        let output = tool.output
        #expect(output.contains("Nothing here is kept") && output.contains("dashboard  http://127.0.0.1:"))
        #expect(output.contains("the demo's processes and its folder are gone") && !output.contains("\u{1b}"))
        #expect(!output.contains("invariants hold"))
        #expect(tool.errors.contains("there is no xdg-open"), "\(tool.errors)")
    }

    @Test(.enabled(if: ToolOnTerminal.isPossible)) func keysKillAHostAndEndIt() throws {
        let tool = try ToolOnTerminal(["demo", "--shards", "1", "--accounts", "20", "--duration", "120"])
        defer { tool.stop() }
        #expect(tool.waits { $0.contains("tx/s") }, "\(tool.output)")
        try tool.type("\u{1b}[Ak")
        #expect(tool.waits { $0.contains("kill -9 host") }, "\(tool.output)")
        try tool.type("r")
        #expect(tool.waits { $0.contains("runs again") }, "\(tool.output)")
        try tool.type("q")
        #expect(tool.end() == 0, "\(tool.output)")
        #expect(tool.output.contains("invariants hold on every replica"))
    }

    @Test func aReaderThatHasEnoughEndsIt() throws {
        let temporary = try TemporaryFolder()
        defer { temporary.remove() }
        let pipe = Pipe()
        let tool = try RunningTool(
            ["demo", "--shards", "1", "--accounts", "20"], environment: ["TMPDIR": temporary.path("")],
            output: pipe.fileHandleForWriting)
        try pipe.fileHandleForWriting.close()
        _ = try pipe.fileHandleForReading.read(upToCount: 1)
        try pipe.fileHandleForReading.close()
        #expect(tool.end().status == 141)
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path("")).isEmpty)
    }

    @Test(arguments: [["--shards", "0"], ["--replicas", "5"], ["--rate", "0"], ["--cross-shard", "101"], ["x"]])
    func wrongUseIsSaid(_ arguments: [String]) throws {
        #expect(try Tool.run(["demo"] + arguments).status == 64)
    }
}
