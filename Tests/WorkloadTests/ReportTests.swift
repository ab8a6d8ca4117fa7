import Randomness
import Foundation
import Messages
import Testing
import Workload

/// Runs as a bench would measure them, from made-up latencies.
func sampleReport(shards: [Int] = [1, 2, 4], mixes: [Int?] = [nil], made: Provenance? = nil) -> BenchReport {
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
                let latency =
                    (isCross ? 5200.0 : 3100.0) + tail * (1300 + 250 * Double(shard))
                    + (random.unit() < 0.002 ? 40_000 : 0)
                let outcome: LegOutcome = random.unit() < 0.001 ? .aborted(.insufficientFunds) : .committed
                measurements.record(outcome, isCross: isCross, microseconds: UInt64(latency), now: UInt64(now))
            }
            let setup = RunResult.Setup(
                shards: shard, replicas: 4, gateways: 1, clients: 64, durability: "strict",
                workload: "zipf 0.9 <built in>", rows: 20_000,
                accounts: 10_000, seed: 1, crossShardPercent: shard == 1 ? nil : mix, crossShare: share,
                principals: nil, bundle: 1, warmupSeconds: 0.5)
            runs.append(
                RunResult(
                    setup: setup, measurements: measurements, retries: .init(RequestEngine<TransferSource>.Counters()),
                    meanInFlight: 61.2,
                    fundingSeconds: 3.2,
                    invariants: .init(conservation: true, replicasAgree: true, noLocks: true, problems: []),
                    events: shard == 4
                        ? [.init(atSeconds: 4.2, what: "kill -9 host 2"), .init(atSeconds: 8, what: "restart host 2")]
                        : []))
        }
    }
    return BenchReport(runs: runs, made: made)
}

private let made = Provenance(
    date: "2026-11-29T10:00:00Z", version: "0.1.0", command: "quorate bench --shards 1,2,4 --report '<out>'",
    cpu: "Some CPU @ 2 GHz", cores: 2)

private struct Folder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-report-\(UUID().uuidString)").path
    func remove() { for suffix in ["", "-2", "-3"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
    func page(of report: BenchReport) throws -> String {
        _ = try report.write(to: ReportFolder(path), title: "Quorate <bench>")
        return try text("report.html")
    }
    func text(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }
}

extension String {
    func occurrences(of text: String) -> Int { components(separatedBy: text).count - 1 }
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
            for key in [
                "shards", "replicas", "clients", "durability", "committed", "aborted", "throughput_tps", "intra",
                "cross", "invariants",
            ] {
                #expect(run[key] != nil, "\(key)")
            }
            for kind in ["intra", "cross"] {
                let latency = try #require(run[kind] as? [String: Any])
                for key in ["count", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"] {
                    #expect(latency[key] != nil, "\(kind).\(key)")
                }
            }
            let invariants = try #require(run["invariants"] as? [String: Any])
            for key in ["conservation", "replicas_agree", "no_locks"] {
                #expect(invariants[key] as? Bool == true, "\(key)")
            }
        }
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(text.utf8)).runs.count == 3)
    }

    @Test func `the history's verdict is an invariant of its own, and null where none was recorded`() throws {
        var report = sampleReport(shards: [2])
        #expect(report.runs[0].invariants.allHold)
        #expect(!(try report.json()).contains("strictly_serializable"))
        report.runs[0].invariants.strictly_serializable = true
        report.runs[0].history = .init(
            transactions: 40, committed: 37, failed: 2, died: 2, unknown: 1, lists: 3, unreadLists: 0, isFull: false,
            checkSeconds: 0.001, file: nil)
        #expect(report.runs[0].invariants.allHold)
        #expect(try report.json().contains(#""strictly_serializable":true"#))
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8)) == report)
        report.runs[0].invariants.strictly_serializable = false
        #expect(!report.runs[0].invariants.allHold)
        let folder = Folder()
        defer { folder.remove() }
        let page = try folder.page(of: report)
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
                #expect(
                    latency.p50_us <= latency.p90_us && latency.p90_us <= latency.p99_us
                        && latency.p99_us <= latency.p999_us)
                #expect(latency.p999_us <= latency.max_us)
                #expect(
                    zip(latency.curve, latency.curve.dropFirst()).allSatisfy {
                        $0.us <= $1.us && $0.percentile < $1.percentile
                    })
            }
        }
    }

    @Test func `the page is whole in itself, escapes text and draws`() throws {
        let folder = Folder()
        defer { if ProcessInfo.processInfo.environment["KEEP_REPORT"] == nil { folder.remove() } }
        let page = try folder.page(of: sampleReport())
        #expect(page.contains("Quorate &lt;bench&gt;") && page.contains("zipf 0.9 &lt;built in&gt;"))
        #expect(!page.contains("<script") && !page.contains("src=") && !page.contains("http"))
        #expect(page.occurrences(of: "<svg viewBox=\"0 0 1000 1000\"") == 9)
        #expect(!page.contains("nan") && !page.contains("inf,") && !page.contains(",-inf"))
        for name in ["report.json", "report.csv"] {
            #expect(FileManager.default.fileExists(atPath: folder.path + "/" + name))
        }
    }

    @Test func `date, version, command line and processor stand in all three forms`() throws {
        let folder = Folder()
        defer { folder.remove() }
        let page = try folder.page(of: sampleReport(made: made))
        for text in [
            "2026-11-29T10:00:00Z", "quorate 0.1.0", "bench --shards 1,2,4 --report '&lt;out&gt;'",
            "2 cores, Some CPU @ 2 GHz",
        ] {
            #expect(page.contains(text), "\(text)")
        }
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(try folder.text("report.json").utf8)) as? [String: Any])
        #expect((object["made"] as? [String: Any])?["command"] as? String == made.command)
        let lines = try folder.text("report.csv").split(separator: "\n")
        #expect(lines[0].hasSuffix("date,version,command,cpu,cores"))
        for line in lines.dropFirst() {
            #expect(
                line.hasSuffix(
                    #"2026-11-29T10:00:00Z,0.1.0,"quorate bench --shards 1,2,4 --report '<out>'",Some CPU @ 2 GHz,2"#))
        }
    }

    @Test func `a command line is quoted as a shell needs it, and nothing in it is obeyed`() {
        let made = Provenance.current(
            version: "9",
            arguments: ["/opt/bin/quorate", "bench", "--trace", "my file.csv", "--seed=1", "it's", "", "a\u{1b}[1m"])
        #expect(made.command == #"quorate bench --trace 'my file.csv' --seed=1 'it'\''s' '' 'a\u{1b}[1m'"#)
        #expect(made.cores > 0 && made.date.hasSuffix("Z"))
    }

    /// Counted where every run has one line: the distributions, and one time line each.
    @Test(arguments: [1, 3, 6, 7, 8, 13, 24]) func `no run is dropped from a chart`(count: Int) throws {
        let folder = Folder()
        defer { folder.remove() }
        let shards = Array(2..<2 + count)
        let page = try folder.page(of: sampleReport(shards: shards))
        for chart in [
            "Intra-shard latency distribution", "Cross-shard latency distribution",
            "Intra-shard latency per shard count", "Cross-shard latency per shard count", "Throughput per shard count",
        ] {
            let card = try #require(
                page.components(separatedBy: "<h2>\(chart)</h2>").dropFirst().first?.components(
                    separatedBy: "</figure>"
                ).first)
            for (i, number) in shards.enumerated() {
                #expect(
                    card.contains(" k\(i)\"") || card.contains(" k\(i) "), "\(chart) lacks the run of \(number) shards")
            }
        }
        // Its heading, its name for who does not see it, and its table.
        #expect(page.occurrences(of: "Time line: ") == 3 * count)
    }

    @Test func `a shard count has one colour in all charts, and no other has it`() throws {
        let folder = Folder()
        defer { folder.remove() }
        let shards = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
        let page = try folder.page(of: sampleReport(shards: shards, mixes: [0, 50]))
        for (i, number) in shards.enumerated() {
            let name = number == 1 ? "1 shard" : "\(number) shards"
            #expect(page.contains("<i class=\"chip k\(i)\"></i>\(name)</span>"))
            // Of both mixes.
            #expect(page.occurrences(of: "<i class=\"chip k\(i)\"></i>Time line: \(name)") == (number == 1 ? 1 : 2))
        }
        let colours = page.components(separatedBy: "--k").dropFirst().compactMap { part -> String? in
            guard let colon = part.firstIndex(of: ":"), colon > part.startIndex, part[..<colon].allSatisfy(\.isNumber),
                let end = part.firstIndex(of: ";")
            else { return nil }
            return String(part[..<end])
        }
        // For light and for dark pages.
        #expect(colours.count == 2 * shards.count)
        let values = colours.map { $0.split(separator: ":")[1] }
        #expect(Set(values).count == values.count, "\(colours)")
    }

    /// Stretched text would be unreadable on a narrow page: there is none in a drawing.
    @Test func `text has one size at any width`() throws {
        let folder = Folder()
        defer { folder.remove() }
        let page = try folder.page(of: sampleReport())
        #expect(!page.contains("<text"))
        #expect(page.contains("width=device-width") && page.contains("vector-effect: non-scaling-stroke"))
        // What happened is numbered in the drawing, and listed below it.
        #expect(page.contains("</b> 4.2 s: kill -9 host 2</li>") && page.contains("</b> 8.0 s: restart host 2</li>"))
    }

    @Test func `nothing that is there is overwritten unasked`() throws {
        let folder = Folder()
        defer { folder.remove() }
        let first = sampleReport(shards: [1], made: made)
        let second = sampleReport(shards: [2])
        #expect(ReportFolder(folder.path).conflicts.isEmpty)
        #expect(try first.write(to: ReportFolder(folder.path), title: "first") == folder.path)
        #expect(ReportFolder(folder.path).conflicts == ReportFolder.files)
        let kept = try folder.text("report.json")
        // Neither is lost.
        #expect(try second.write(to: ReportFolder(folder.path), title: "second") == folder.path + "-2")
        #expect(try folder.text("report.json") == kept)
        #expect(try second.write(to: ReportFolder(folder.path + "/"), title: "second") == folder.path + "-3")
        #expect(ReportFolder(folder.path, overwrites: true).conflicts.isEmpty)
        #expect(try second.write(to: ReportFolder(folder.path, overwrites: true), title: "second") == folder.path)
        #expect(try folder.text("report.json") != kept)
        // Other files of the folder are nobody's concern.
        let other = Folder()
        defer { other.remove() }
        try FileManager.default.createDirectory(atPath: other.path, withIntermediateDirectories: true)
        try "mine".write(toFile: other.path + "/notes.txt", atomically: true, encoding: .utf8)
        #expect(try first.write(to: ReportFolder(other.path), title: "first") == other.path)
        #expect(try other.text("notes.txt") == "mine")
    }

    @Test func `what was asked for and came too late is said`() throws {
        let folder = Folder()
        defer { folder.remove() }
        var report = sampleReport(shards: [2])
        report.runs[0].missed_events = [.init(atSeconds: 50, what: "kill -9 host 1")]
        #expect(try folder.page(of: report).contains("did not happen, the load had ended: kill -9 host 1 at 50 s"))
        #expect(try report.json().contains(#""missed_events":[{"at_s":50,"what":"kill -9 host 1"}]"#))
    }

    @Test func `a drill's report has the same head, its findings, a time line and what failed`() throws {
        let run = sampleReport(shards: [1]).runs[0]
        let page = DrillPage(
            title: "Quorate drill: pause", subtitle: "1 shard", made: made, facts: [(1234, "transfers committed")],
            invariants: run.invariants,
            problems: ["2 views < changed"], findings: "phase  tps\nbefore   10",
            comparisons: [.init(title: "tps", figures: [("uniform", 10), ("hot", 5)])],
            timeline: run.timeline, events: [.init(atSeconds: 2, what: "stop host 3")]
        ).text()
        for text in [
            "2026-11-29T10:00:00Z", "quorate 0.1.0", "2 cores, Some CPU", "<b>1,234</b>", "before   10",
            "2 views &lt; changed", ">FAILED<", "stop host 3",
            "width: 50%", "<svg viewBox=\"0 0 1000 1000\"",
        ] { #expect(page.contains(text), "\(text)") }
        let csv = try DrillPage.csv(json: #"{"b":[1.5,null,true],"a":{"x":"1,2"},"n":18446744073709551615}"#)
        #expect(csv == "figure,value\na.x,\"1,2\"\nb.0,1.5\nb.1,\nb.2,true\nn,18446744073709551615\n")
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
