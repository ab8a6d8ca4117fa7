import Foundation
import Testing

/// A bench over an emulated network, with real processes.
@Suite(.timeLimit(.minutes(3)))
struct BenchNetworkTests {
    /// One region, 40 ms one way between any two processes, gateway and client included.
    private static let file = #"{"name": "forty", "regions": ["everywhere"], "one_way_ms": [[40]]}"#

    @Test func aTransferWaitsForSevenOneWayDelaysAndForNoSuspicion() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let path = folder.path("forty.json")
        try Data(Self.file.utf8).write(to: URL(fileURLWithPath: path))
        let output = try Tool.succeed(
            "bench", "--shards", "1", "--clients", "4", "--accounts", "20", "--duration", "4", "--warmup", "1",
            "--network", path, "--trace-rate", "0", "--json")
        let line = try #require(output.split(separator: "\n").last { $0.hasPrefix("{") })
        let report = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        #expect((run["setup"] as? [String: Any])?["network"] as? String == "forty")
        let latency = try #require(run["intra"] as? [String: Any])
        let p50 = try #require(latency["p50_us"] as? Int)
        #expect(try #require(latency["count"] as? Int) > 0)
        #expect(p50 >= 7 * 40_000, "\(p50) µs")
        // Twice the ordering for the batch before, and a busy machine; a false suspicion takes far longer.
        #expect(p50 < 4 * 7 * 40_000, "\(p50) µs")
    }

    @Test func aNetworkThatIsNoneIsRefusedBeforeAnythingStarts() throws {
        let word = try Tool.run("bench", "--network", "moon")
        #expect(word.status == 64 && word.output.contains("--network takes lan, aws-5-regions"), "\(word.output)")
        let file = try Tool.run("bench", "--network", "./no-such.json")
        #expect(file.status == 1 && file.output.contains("--network: ./no-such.json"), "\(file.output)")
    }
}
