import Foundation
import Messages
import Testing
import Workload

/// Runs as a bench would measure them, from made-up latencies.
func sampleReport(shards: [Int] = [1, 2, 4], mixes: [Int?] = [nil]) -> BenchReport {
    var runs: [RunResult] = []
    for shard in shards {
        for mix in shard == 1 ? [mixes[0]] : mixes {
            var random = SplitMix64(seed: UInt64(shard * 1000 + (mix ?? 7)))
            var measurements = Measurements(start: 0, warmup: 500_000_000)
            var now = 0.0
            let share = shard == 1 ? 0 : mix.map { Double($0) / 100 } ?? 1 - 1 / Double(shard)
            for i in 0..<20_000 {
                let isCross = random.unit() < share
                let tail = -log(max(1e-9, random.unit()))
                let pause = i == 9000 && shard == 4 ? 900_000_000.0 : 0
                now += 1e9 / (900 + 300 * Double(shard)) * (0.5 + random.unit()) + pause
                let latency = (isCross ? 5200.0 : 3100.0) + tail * (1300 + 250 * Double(shard)) + (random.unit() < 0.002 ? 40_000 : 0)
                let outcome: LegOutcome = random.unit() < 0.001 ? .aborted(.insufficientFunds) : .committed
                measurements.record(outcome, isCross: isCross, microseconds: UInt64(latency), now: UInt64(now))
            }
            let setup = RunResult.Setup(
                shards: shard, replicas: 4, gateways: 1, clients: 64, durability: "strict", workload: "zipf 0.9 <built in>", rows: 20_000,
                accounts: 10_000, seed: 1, crossShardPercent: shard == 1 ? nil : mix, crossShare: share, principals: nil, bundle: 1, warmupSeconds: 0.5)
            runs.append(RunResult(
                setup: setup, measurements: measurements, retries: .init(RequestEngine<TransferSource>.Counters()), meanInFlight: 61.2,
                fundingSeconds: 3.2,
                invariants: .init(conservation: true, replicasAgree: true, noLocks: true, problems: []),
                events: shard == 4 ? [.init(atSeconds: 4.2, what: "kill -9 host 2"), .init(atSeconds: 8, what: "restart host 2")] : []))
        }
    }
    return BenchReport(runs: runs)
}

struct ReportTests {
    @Test func `the JSON has every promised key`() throws {
        let text = try sampleReport().json()
        #expect(!text.contains("\n"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["schema"] as? Int == 1)
        let runs = try #require(object["runs"] as? [[String: Any]])
        #expect(runs.count == 3)
        for run in runs {
            for key in ["shards", "replicas", "clients", "durability", "committed", "aborted", "throughput_tps", "intra", "cross", "invariants"] {
                #expect(run[key] != nil, "\(key)")
            }
            for kind in ["intra", "cross"] {
                let latency = try #require(run[kind] as? [String: Any])
                for key in ["count", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"] { #expect(latency[key] != nil, "\(kind).\(key)") }
            }
            let invariants = try #require(run["invariants"] as? [String: Any])
            for key in ["conservation", "replicas_agree", "no_locks"] { #expect(invariants[key] as? Bool == true, "\(key)") }
        }
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(text.utf8)).runs.count == 3)
    }

    @Test func `the history's verdict is an invariant of its own, and null where none was recorded`() throws {
        var report = sampleReport(shards: [2])
        #expect(report.runs[0].invariants.allHold)
        #expect(!(try report.json()).contains("strictly_serializable"))
        report.runs[0].invariants.strictly_serializable = true
        report.runs[0].history = .init(
            transactions: 40, committed: 37, failed: 2, died: 2, unknown: 1, lists: 3, unreadLists: 0, isFull: false, checkSeconds: 0.001, file: nil)
        #expect(report.runs[0].invariants.allHold)
        #expect(try report.json().contains(#""strictly_serializable":true"#))
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8)) == report)
        report.runs[0].invariants.strictly_serializable = false
        #expect(!report.runs[0].invariants.allHold)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-report-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try report.write(to: folder, title: "t", machine: "m")
        let page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
        #expect(page.contains("FAILED: strict serializability") && page.contains("40 transactions on 3 lists"))
    }

    @Test func `the CSV has one line a run, all of one width`() {
        let lines = sampleReport(mixes: [0, 50, 100]).csv().split(separator: "\n")
        #expect(lines.count == 1 + 7)
        #expect(Set(lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).count }).count == 1)
        #expect(lines[0].hasPrefix("shards,replicas,clients,"))
    }

    @Test func `percentiles ascend and the maximum closes the curve`() {
        for run in sampleReport().runs {
            for latency in [run.intra, run.cross] where latency.count > 0 {
                #expect(latency.p50_us <= latency.p90_us && latency.p90_us <= latency.p99_us && latency.p99_us <= latency.p999_us)
                #expect(latency.p999_us <= latency.max_us)
                #expect(zip(latency.curve, latency.curve.dropFirst()).allSatisfy { $0.us <= $1.us && $0.percentile < $1.percentile })
            }
        }
    }

    @Test func `the page is whole in itself, escapes text and draws`() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-report-\(UUID().uuidString)").path
        defer { if ProcessInfo.processInfo.environment["KEEP_REPORT"] == nil { try? FileManager.default.removeItem(atPath: folder) } }
        try sampleReport(mixes: [nil]).write(to: folder, title: "Quorate <bench>", machine: "2 cores")
        let page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
        #expect(page.contains("Quorate &lt;bench&gt;") && page.contains("zipf 0.9 &lt;built in&gt;"))
        #expect(!page.contains("<script") && !page.contains("src=") && !page.contains("http"))
        #expect(page.components(separatedBy: "<svg viewBox=\"0 0 ").count > 5)
        #expect(!page.contains("nan") && !page.contains("inf,") && !page.contains(",-inf"))
        for name in ["report.json", "report.csv"] { #expect(FileManager.default.fileExists(atPath: folder + "/" + name)) }
    }

    @Test func `the longest time without a commit is measured`() {
        var measurements = Measurements(start: 0, warmup: 0)
        for at in [10, 20, 500, 510] as [UInt64] {
            measurements.record(.committed, isCross: false, microseconds: 5, now: at * 1_000_000)
        }
        #expect(measurements.maxGapNanoseconds == 480_000_000)
        #expect(measurements.timeline == [2, 0, 0, 0, 0, 2])
    }
}
