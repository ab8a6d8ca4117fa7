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
}
