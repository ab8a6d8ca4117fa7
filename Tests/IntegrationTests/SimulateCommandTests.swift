import Foundation
import Testing

/// `quorate simulate` as scripts see it: exit codes, output that repeats, files.
@Suite struct SimulateCommandTests {
    @Test func seedsThatHoldEndWithZeroAndSayWhatWasDone() throws {
        let output = try Tool.succeed("simulate", "--seeds", "1..2", "--profile", "calm", "--json")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        #expect(report["seeds"] as? Int == 2)
        #expect((report["failures"] as? [Any])?.isEmpty == true)
        #expect((report["committed"] as? Int ?? 0) > 0)
        #expect(report["invariants_hold"] as? Bool == true)
    }

    @Test func theLastLineSaysWhetherAllInvariantsHeld() throws {
        func last(_ arguments: String...) throws -> String? {
            try Tool.run(["simulate"] + arguments).output.split(separator: "\n").last.map(String.init)
        }
        #expect(try last("--seeds", "1..2", "--profile", "calm") == "all invariants held")
        #expect(
            try last("--seeds", "1..2", "--steps", "2000")
                == "all invariants of safety held; runs were stopped, so liveness was not checked")
        #expect(try last("--scenario", "Tests/SimulatorTests/Scenarios/normal-case.txt") == "all invariants held")
        // Nothing can be done after one simulated second.
        let failed = try Tool.run("simulate", "--seed", "1", "--profile", "crashes", "--deadline", "1", "--shrink", "0")
        #expect(
            failed.output.contains("INVARIANTS FAILED in 1 of 1 seeds: 1\n")
                && !failed.output.contains("all invariants held"))
    }

    @Test func aFailedSeedHasItsExitCodeAndTheCommandThatRepeatsIt() throws {
        // Nothing can be done after one simulated second.
        let (status, output) = try Tool.run(
            "simulate", "--seed", "1", "--profile", "crashes", "--deadline", "1", "--shrink", "5", "--json")
        #expect(status == 34)
        let json = try #require(output.split(separator: "\n").first)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let failure = try #require((report["failures"] as? [[String: Any]])?.first)
        #expect(failure["command"] as? String == "quorate simulate --seed 1 --profile crashes --deadline 1")
        let smallest = try #require(failure["smallest_command"] as? String)
        let again = try Tool.run(smallest.split(separator: " ").dropFirst().map(String.init) + ["--shrink", "0"])
        #expect(again.status == 34, "\(smallest)")
        #expect(again.output.contains("not everything is answered"))
    }

    @Test func theEventLogIsTheSameOnEveryRun() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let logs = try ["a", "b"].map { name in
            try Tool.succeed("simulate", "--seed", "7", "--profile", "everything", "--trace", folder.path(name))
            return try Data(contentsOf: URL(fileURLWithPath: folder.path(name)))
        }
        #expect(logs[0] == logs[1] && !logs[0].isEmpty)
        #expect(
            try Data(Tool.succeed("simulate", "--seed", "7", "--profile", "everything", "--trace", "-").utf8) == logs[0]
        )
    }

    @Test func aScenarioThatFailsNamesItsLine() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let script =
            "cluster shards 1 replicas 4\naccount a shard 0 balance 5\n\(String(repeating: "\n", count: 3))expect balance a 6\n"
        try script.write(toFile: folder.path("bad.txt"), atomically: true, encoding: .utf8)
        let (status, output) = try Tool.run(
            "simulate", "--scenario", folder.path("bad.txt"), "--diagram", folder.path("bad.svg"))
        #expect(status == 34)
        #expect(output.contains("bad.txt:6: expect balance a 6\n  a has 5 on host 0"))
        #expect(FileManager.default.fileExists(atPath: folder.path("bad.svg")))
    }

    @Test(arguments: [
        ["--replicas", "5"], ["--seeds", "5..1"], ["--seed", "1", "--date-seeds", "3"],
        ["--seeds", "1..5", "--trace", "x"], ["--suppress", "x"],
        ["--profile", "none"],
    ])
    func wrongUsageIsRefused(arguments: [String]) throws {
        #expect(try Tool.run(["simulate"] + arguments).status == 64)
    }
}
