import Foundation
import Simulator
import Testing

/// Every script in `Scenarios` goes as it says, and where a `.golden` stands beside it, message for message as before.
/// `QUORATE_UPDATE_GOLDEN=1` writes the goldens anew: read the difference before you keep it.
@Suite struct GoldenScenarioTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scenarios")

    static var scripts: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path(percentEncoded: false))) ?? []
        return names.filter { $0.hasSuffix(".txt") }.sorted()
    }

    @Test func thereAreScripts() { #expect(Self.scripts.count >= 4) }

    @Test(arguments: scripts)
    func aScriptGoesAsItSays(name: String) throws {
        let script = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        let trace: [String]
        do {
            var scenario = try Scenario(script)
            trace = try scenario.run()
            // The same again, event for event.
            var again = try Scenario(script)
            #expect(try again.run() == trace)
        } catch {
            Issue.record("\(name): \(error)")
            return
        }
        let golden = Self.folder.appending(path: name.replacing(".txt", with: ".golden"))
        if ProcessInfo.processInfo.environment["QUORATE_UPDATE_GOLDEN"] == "1" {
            guard !trace.isEmpty else { return }
            try (trace.joined(separator: "\n") + "\n").write(to: golden, atomically: true, encoding: .utf8)
        } else if !trace.isEmpty {
            let expected = try String(contentsOf: golden, encoding: .utf8).split(separator: "\n").map(String.init)
            for (i, (a, b)) in zip(expected, trace).enumerated() where a != b {
                Issue.record("\(name): the trace differs from line \(i + 1) on\n  was \(a)\n  is  \(b)")
                return
            }
            #expect(expected.count == trace.count, "\(name): the trace has another length")
        }
    }

    @Test func aScriptThatFailsNamesItsLineAndWhatWasThere() throws {
        var scenario = try Scenario(
            "# a comment\ncluster shards 1 replicas 4\n\naccount a shard 0 balance 5\nexpect balance a 6")
        #expect { try scenario.run() } throws: { "\($0)" == "line 5 (expect balance a 6): a has 5 on host 0" }
        var early = try Scenario("run 5ms")
        #expect { try early.run() } throws: { "\($0)" == "line 1 (run 5ms): there is no cluster yet" }
    }

    @Test(arguments: [
        "clusters", "cluster shards 0 replicas 4", "cluster shards 1 replicas 5", "run 5", "run ms", "crash", "crash x",
        "submit a 5", "expect", "expect view", "expect view x", "expect executed all", "expect outcome maybe",
        "trace loud", "heal all",
    ])
    func aLineThatIsNoCommandIsRefused(line: String) {
        #expect(throws: ScenarioFailure.self) { try Scenario("\n" + line) }
    }
}
