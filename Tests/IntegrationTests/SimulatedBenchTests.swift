import Foundation
import Testing

/// A bench in simulated time, as the tool runs it.
@Suite struct SimulatedBenchTests {
    private let small = [
        "bench", "--simulate", "--shards", "1,2", "--cross-shard", "50", "--clients-per-shard", "4",
        "--accounts-per-shard", "20", "--duration", "0.4", "--warmup", "0.1",
    ]

    private func runs(_ output: String) throws -> [[String: Any]] {
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        return try #require(report["runs"] as? [[String: Any]])
    }

    @Test func itSaysWhatItIsAndWhatLimitsIt() throws {
        let runs = try runs(try Tool.succeed(small + ["--json"]))
        #expect(runs.count == 2)
        for run in runs {
            #expect((run["setup"] as? [String: Any])?["simulated"] as? Bool == true)
            let simulation = try #require(run["simulation"] as? [String: Any])
            #expect(simulation["network"] as? String == "lan" && simulation["cores"] as? Int == 4)
            #expect((simulation["limit"] as? String)?.isEmpty == false)
        }
        #expect(try Tool.succeed(small).contains("SIMULATED: no process ran"))
    }

    @Test func aFileThatHoldsNoCostsIsRefused() throws {
        let file = FileManager.default.temporaryDirectory.path + "/quorate-costs-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Data("{\"version\": 1}".utf8).write(to: URL(fileURLWithPath: file))
        let (status, output) = try Tool.run(small + ["--calibration", file])
        #expect(status == 1)
        #expect(output.contains("is no file of costs"), "\(output)")
    }

    /// Each would be taken for part of the result.
    @Test(arguments: [
        ["--repeat", "2"], ["--find-knee"], ["--presign"], ["--client-tls", "on"], ["--fault", "slow-disk"],
        ["--kill-host", "1@0.2"], ["--rate", "100"], ["--warmup", "0.5"],
    ]) func whatItCannotDoIsRefused(words: [String]) throws {
        let (status, output) = try Tool.run(small + words)
        #expect(status == 64)
        #expect(output.contains("--simulate") || output.contains("--rate") || output.contains("--warmup"), "\(output)")
    }

    @Test func aRateIsOfAllShardsTogether() throws {
        let words = [
            "bench", "--simulate", "--shards", "2", "--rate", "200", "--arrivals", "constant", "--skew", "hot:4:0.5",
            "--accounts-per-shard", "20", "--duration", "0.6", "--warmup", "0.1", "--cooldown", "0.1", "--json",
        ]
        let run = try #require(try runs(try Tool.succeed(words)).first)
        let load = try #require(run["load"] as? [String: Any])
        #expect(load["rate_tps"] as? Double == 200 && load["arrivals"] as? String == "constant")
        #expect(load["cooldown_s"] as? Double == 0.1)
        #expect(((run["setup"] as? [String: Any])?["parameters"] as? [String: Any])?["skew"] as? String == "hot:4:0.5")
    }

    /// Each cell is what `bench --simulate` makes, and no process runs.
    @Test func aGridOfSimulationsIsSimulated() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/quorate-grid-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let words = [
            "bench", "grid", "--output", folder, "--shards", "1,2", "--simulate", "--duration", "0.3", "--json",
        ]
        let runs = try runs(try Tool.succeed(words + ["--accounts-per-shard", "20", "--clients-per-shard", "2"]))
        #expect(runs.count == 2)
        for run in runs { #expect((run["setup"] as? [String: Any])?["simulated"] as? Bool == true) }
    }
}
