import Foundation
import Testing

/// Open loops between real processes: what a stall, a load that cannot keep up and a rate that is too high do to what
/// the bench says.
@Suite(.serialized) struct HonestLoadTests {
    private static let common = ["bench", "--shards", "1", "--accounts", "100", "--trace-rate", "0", "--json"]

    private func run(in output: String) throws -> [String: Any] {
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        return try #require((report["runs"] as? [[String: Any]])?.first)
    }

    private func reasons(_ run: [String: Any]) throws -> [String] {
        let validity = try #require(run["validity"] as? [String: Any])
        let reasons = try #require(validity["reasons"] as? [String])
        #expect(validity["valid"] as? Bool == reasons.isEmpty)
        return reasons
    }

    /// Without two of four hosts nothing is ordered.
    @Test func aStallOfTheHostsIsInTheP99OfWhatWasMeantForIt() throws {
        let run = try run(
            in: try Tool.succeed(
                Self.common + ["--rate", "100", "--arrivals", "constant", "--duration", "5"]
                    + ["--stop-host", "1@2", "--stop-host", "2@2", "--continue-host", "1@3", "--continue-host", "2@3"]))
        let (latency, load) = (run["intra"] as? [String: Any], run["load"] as? [String: Any])
        // A third of the three seconds that are measured; the last of them still waited for.
        #expect(load?["shape"] as? String == "open" && load?["offered"] as? Int == 300)
        #expect(run["committed"] as? Int == 300)
        #expect((latency?["p99_us"] as? Int ?? 0) > 700_000, "\(latency ?? [:])")
    }

    /// Whoever makes the load does not get to it for some time.
    @Test func aLoadThatDoesNotKeepUpIsNotValid() throws {
        let tool = try RunningTool(Self.common + ["--rate", "200", "--duration", "6", "--warmup", "0"])
        // What it says when the accounts are funded: from then on it needs a second at most until it begins.
        #expect(tool.waits { tool.errors.contains("done in") })
        for _ in 0..<4 {
            usleep(800_000)
            tool.signal(SIGSTOP)
            usleep(500_000)
            tool.signal(SIGCONT)
        }
        #expect(tool.end().status == 0)
        let run = try run(in: tool.output)
        let reasons = try reasons(run)
        #expect(reasons.contains { $0.hasPrefix("the client was the bottleneck") }, "\(reasons)")
        #expect(tool.errors.contains("INVALID, 1 shard: the client was the bottleneck"))
        let lag = (run["load"] as? [String: Any])?["send_lag"] as? [String: Any]
        #expect((lag?["p99_us"] as? Int ?? 0) > 100_000, "\(lag ?? [:])")
    }

    @Test func aRateThatIsNotMetIsNotValid() throws {
        let output = try Tool.succeed(
            Self.common
                + ["--rate", "20000", "--duration", "0.5", "--warmup", "0.1", "--cooldown", "0.1", "--presign"])
        let run = try run(in: output)
        let reasons = try reasons(run)
        #expect(reasons.contains { $0.contains("of the offered operations") }, "\(reasons)")
        let load = try #require(run["load"] as? [String: Any])
        let (offered, achieved) = (load["offered"] as? Int ?? 0, load["achieved"] as? Int ?? .max)
        #expect(offered > 5000 && achieved < offered)
        // Whatever was offered is certified in the end, though not in time.
        #expect(run["unknown"] as? Int == 0 && run["aborted"] as? Int == 0)
        let presigned = try #require(load["presigned"] as? [String: Any])
        #expect((presigned["requests"] as? Int ?? 0) > 9000 && (presigned["cpu_us"] as? Double ?? 0) > 1)
    }

    @Test func whatCannotBeMeasuredTogetherIsRefused() throws {
        let cases: [([String], String)] = [
            (["--rate", "100", "--clients", "5"], "--clients is for a closed loop"),
            (["--arrivals", "constant"], "--arrivals goes with --rate"),
            (["--presign", "--duration", "5"], "--presign needs a known number"),
            (["--presign", "--rate", "5", "--duration", "100"], "--presign takes a --duration of 60 s"),
            (["--presign", "--principals", "5"], "without --principals"),
            (["--rate", "5", "--duration", "5", "--warmup", "3", "--cooldown", "2"], "must be shorter"),
            (["--duration", "2", "--cooldown", "1.9"], "must be shorter"),
            (["--rate", "5"], "--rate needs --duration"),
            (["--latencies", "--client-tls", "on"], "--latencies goes with"),
            (["--cooldown", "2"], "--cooldown needs --duration"),
            (["--workload", "list-append", "--rate", "5"], "are for loads that are measured"),
            (["--find-knee", "--repeat", "2"], "--find-knee goes without"),
            (["--variance-gate", "1"], "goes with --repeat"),
            (["--rate", "0"], "0.1"),
        ]
        for (options, complaint) in cases {
            let (status, output) = try Tool.run(["bench"] + options)
            #expect(status == 64 && output.contains(complaint), "\(options): \(status), \(output)")
        }
    }
}
