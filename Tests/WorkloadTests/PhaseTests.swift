import Foundation
import Messages
import Testing
import Workload

private let request = Digest(bytes: [UInt8](repeating: 3, count: 32)) ?? .null
private typealias Entry = RequestTrace.Entry

/// Stamps of one request over some shards, in milliseconds: each host is `lag` behind the one before it.
private func entries(shards: [UInt16] = [0], primary: Int = 0, lag: UInt64 = 1, start: UInt64 = 1000) -> [Entry] {
    var all: [Entry] = []
    func add(
        _ source: RequestTrace.Source, _ kind: StampKind, _ ms: UInt64, _ shard: UInt16? = nil, _ number: UInt64 = 0
    ) {
        let stamp = Stamp(
            request: request, kind: kind, shard: shard.map { ShardID($0) }, number: number, at: (start + ms) * 1_000_000
        )
        all.append(Entry(source, stamp))
    }
    add(.client, .issued, 0)
    add(.client, .signed, 1)
    add(.gateway(0), .gatewayReceived, 3)
    add(.gateway(0), .gatewayVerified, 6)
    for shard in shards {
        // The second shard takes 100 ms more, from its pool on.
        let (late, batch) = (UInt64(shard) * 100, 40 + UInt64(shard))
        add(.gateway(0), .forwarded, 10, shard)
        for host in 0..<4 {
            let behind = UInt64((host + 4 - primary) % 4) * lag
            add(.host(host), .received, 15 + behind, shard)
            add(.host(host), .verified, 21 + behind, shard)
            add(.host(host), .admitted, 28 + behind, shard)
            add(.host(host), .prePrepared, 36 + behind + late, shard, batch)
            add(.host(host), .prePrepareDurable, 45 + behind + late, shard, batch)
            add(.host(host), .prepared, 55 + behind + late, shard, batch)
            add(.host(host), .preparedDurable, 66 + behind + late, shard, batch)
            add(.host(host), .committed, 78 + behind + late, shard, batch)
            add(.host(host), .executed, 91 + behind + late, shard, batch)
            if shards.count > 1 {
                add(.host(host), .decidePrePrepared, 280 + behind, shard, batch + 1)
                add(.host(host), .decided, 300 + behind, shard, batch + 1)
            }
        }
    }
    let late = UInt64(shards.last ?? 0) * 100
    add(.gateway(0), .certified, 106 + late)
    add(.client, .answered, 122 + late)
    add(.client, .receiptVerified, 139 + late)
    return all.shuffled()
}

private func milliseconds(_ times: PhaseTimes, _ phase: Phase) -> Double? { times[phase].map { Double($0) / 1e6 } }

struct PhaseTests {
    @Test(arguments: [0, 2]) func `each phase is what lies between its two moments`(primary: Int) {
        let times = PhaseTimes(RequestTrace(of: request, entries(primary: primary)), quorum: 2)
        #expect(!times.isCross && times[.decide] == nil)
        // From PREPARE on the second of the hosts counts, one behind the primary.
        let expected: [Double] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 11, 12, 13, 14, 16, 17]
        #expect(Phase.path.map { milliseconds(times, $0) } == expected)
        #expect(milliseconds(times, .total) == 139)
        #expect(Phase.path.reduce(0) { $0 + (times[$1] ?? 0) } == times[.total])
    }

    @Test func `of several shards the slowest counts, and the decide comes after`() {
        let times = PhaseTimes(RequestTrace(of: request, entries(shards: [0, 1])), quorum: 2)
        #expect(times.isCross)
        #expect(milliseconds(times, .pool) == 108 && milliseconds(times, .prepare) == 11)
        #expect(milliseconds(times, .total) == 239 && milliseconds(times, .decide) == 95)
        #expect(Phase.path.reduce(0) { $0 + (times[$1] ?? 0) } == times[.total])
    }

    @Test func `a moment that is missing leaves out what it bounds, and nothing else`() {
        let all = entries()
        for kind in StampKind.allCases where all.contains(where: { $0.stamp.kind == kind }) {
            let times = PhaseTimes(RequestTrace(of: request, all.filter { $0.stamp.kind != kind }), quorum: 2)
            #expect(Phase.path.contains { times[$0] == nil }, "\(kind)")
            #expect(times[.gatewayVerify] != nil || [.gatewayReceived, .gatewayVerified].contains(kind), "\(kind)")
            #expect(times[.toClient] != nil || [.certified, .answered].contains(kind), "\(kind)")
        }
        // Of one host alone no certificate could be made.
        let alone = all.filter { $0.source == .host(0) || $0.source == .client }
        #expect(PhaseTimes(RequestTrace(of: request, alone), quorum: 2)[.execute] == nil)
        #expect(PhaseTimes(RequestTrace(of: request, [Entry]()), quorum: 2)[.total] == nil)
    }

    @Test func `two moments in the wrong order are no phase`() {
        var all = entries().filter { $0.stamp.kind != .admitted }
        all.append(
            Entry(.host(0), Stamp(request: request, kind: .admitted, shard: ShardID(0), at: 1_040_000_000)))
        let times = PhaseTimes(RequestTrace(of: request, all), quorum: 2)
        #expect(times[.pool] == nil && milliseconds(times, .hostQueue) == 19)
    }

    @Test func `of a request that was ordered twice the batch counts that its certificate came from`() {
        // Refused at first, in batch 7.
        let early = entries().compactMap { entry -> Entry? in
            guard entry.stamp.kind.rawValue >= StampKind.prePrepared.rawValue else { return nil }
            let stamp = entry.stamp
            return Entry(
                entry.source,
                Stamp(request: request, kind: stamp.kind, shard: stamp.shard, number: 7, at: stamp.at - 5_000_000))
        }
        let trace = RequestTrace(of: request, entries() + early)
        let times = PhaseTimes(trace, quorum: 2)
        #expect(milliseconds(times, .pool) == 8 && milliseconds(times, .execute) == 13)
        #expect(trace.spans.filter { $0.name == "execute" }.allSatisfy { $0.batch == 40 })
    }

    @Test func `percentiles by phase, of requests of one shard and of several apart`() throws {
        let intra = (1...100).map { RequestTrace(of: request, entries(lag: UInt64($0))) }
        let cross = RequestTrace(of: request, entries(shards: [0, 1]))
        let phases = RunResult.Phases(intra + [cross], rate: 0.5, quorum: 2)
        #expect(phases.intra_count == 100 && phases.cross_count == 1 && phases.rate == 0.5)
        let prepare = try #require(phases.intra.first { $0.phase == .prepare })
        #expect(prepare.count == 100 && prepare.p50_us == 60_000 && prepare.p90_us == 100_000)
        #expect(prepare.p99_us == 109_000 && prepare.mean_us == 60_500)
        #expect(phases.cross.first { $0.phase == .decide }?.p99_us == 95_000)
        #expect(!phases.intra.contains { $0.phase == .decide })
        #expect(phases.intra.map(\.phase) == Phase.allCases.filter { $0 != .decide })
    }

    @Test func `table, JSON and page show the phases`() throws {
        var report = sampleReport(shards: [1, 2])
        #expect(!report.table().contains("where the time goes"))
        let traces = [RequestTrace(of: request, entries()), RequestTrace(of: request, entries(shards: [0, 1]))]
        report.runs[1].phases = RunResult.Phases(traces, rate: 1, quorum: 2)
        let table = report.table()
        #expect(table.contains("where the time goes, 2 shards") && table.contains("of 1 intra and 1 cross requests"))
        let lines = table.split(separator: "\n").suffix(1 + Phase.allCases.count)
        #expect(Set(lines.map(\.count)).count == 1)
        #expect(lines.contains { $0.hasPrefix("host_verify") && $0.contains("6.00") })
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8)) == report)
        #expect(try report.json().contains(#""phase":"pre_prepare_sync""#))

        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try report.write(to: ReportFolder(folder), title: "phases")
        let page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
        for kind in ["intra", "cross"] {
            #expect(page.occurrences(of: "aria-label=\"Where the time goes: 2 shards, \(kind)-shard\"") == 1)
        }
        #expect(page.contains("<title>pool: 8.00 ms</title>") && !page.contains("nan"))
    }
}

struct TraceDrawingTests {
    @Test func `what overtakes a replica's own disk is drawn beside it, on a track of its own`() {
        let late = entries().map { entry -> Entry in
            let stamp = entry.stamp
            guard entry.source == .host(3) else { return entry }
            let delay: UInt64 = [.prePrepareDurable, .preparedDurable].contains(stamp.kind) ? 15_000_000 : 0
            return Entry(
                entry.source,
                Stamp(
                    request: request, kind: stamp.kind, shard: stamp.shard, number: stamp.number, at: stamp.at + delay))
        }
        let spans = RequestTrace(of: request, late).spans.filter { $0.source == .host(3) }
        #expect(spans.count == 8)
        for (i, a) in spans.enumerated() {
            for b in spans[(i + 1)...] where a.track == b.track { #expect(a.end <= b.start, "\(a.name) and \(b.name)") }
        }
        #expect(spans.first { $0.name == "prepare" }.map { ($0.end - $0.start) / 1_000_000 } == 19)
    }

    private let trace = RequestTrace(of: request, entries(shards: [0, 1], primary: 1))

    @Test func `a waterfall has a line a span, each at its place`() throws {
        let lines = Waterfall(trace).text.split(separator: "\n").map(String.init)
        #expect(lines.count == 1 + trace.spans.count)
        #expect(trace.spans.count == 3 + 3 + 4 * 2 * 9)
        #expect(lines[1].hasPrefix("client") && lines[1].contains("sign"))
        let pool = try #require(lines.first { $0.contains("host 1, shard 1 (primary)") })
        #expect(pool.contains("verify") && pool.contains("15.000") && pool.contains("6.000"))
        #expect(lines.dropFirst().allSatisfy { $0.contains("█") })
        #expect(Waterfall(RequestTrace(of: request, [Entry]())).text.isEmpty)
    }

    @Test func `what Perfetto opens has every span, on its process and shard`() throws {
        let data = try JSONEncoder().encode(PerfettoTrace(trace))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["displayTimeUnit"] as? String == "ms")
        let events = try #require(object["traceEvents"] as? [[String: Any]])
        let spans = events.filter { $0["ph"] as? String == "X" }
        #expect(spans.count == trace.spans.count)
        var lanes: Set<[Int]> = []
        for span in spans {
            let (start, length) = (try #require(span["ts"] as? Double), try #require(span["dur"] as? Double))
            #expect(start >= 0 && length >= 0 && start + length <= 310_000)
            #expect(span["name"] as? String != nil && span["cat"] as? String == "quorate")
            lanes.insert([try #require(span["pid"] as? Int), try #require(span["tid"] as? Int)])
        }
        #expect(lanes.count == 2 + 4 * 2 * 4)
        func names(_ kind: String) -> [[Int]: String] {
            var names: [[Int]: String] = [:]
            for event in events where event["ph"] as? String == "M" && event["name"] as? String == kind {
                guard let pid = event["pid"] as? Int, let tid = event["tid"] as? Int else { continue }
                names[kind == "process_name" ? [pid] : [pid, tid]] =
                    (event["args"] as? [String: Any])?["name"] as? String
            }
            return names
        }
        #expect(Set(names("thread_name").keys) == lanes)
        let processes = names("process_name")
        #expect(Set(processes.keys) == Set(lanes.map { [$0[0]] }))
        #expect(Set(processes.values) == ["client", "gateway 0", "host 0", "host 1", "host 2", "host 3"])
        let execute = try #require(
            spans.first { $0["name"] as? String == "execute" && ($0["args"] as? [String: Any])?["shard"] as? Int == 1 })
        #expect((execute["args"] as? [String: Any])?["batch"] as? Int == 41 && execute["dur"] as? Double == 13_000)
    }
}

struct ClockOffsetTests {
    private let here = Instant(uptime: 7_000_000_000, wall: Timestamp(1_800_000_000_000_000))
    private let stamp = Stamp(request: request, kind: .executed, shard: ShardID(1), number: 3, at: 6_000_000_000)

    @Test func `stamps of one machine stay as they are, although its clocks are not read at quite one moment`() {
        let there = Instant(uptime: here.uptime + 40_000_000, wall: here.wall.adding(microseconds: 40_900))
        #expect(ClockOffset(of: there, from: here).aligned(stamp) == stamp)
    }

    @Test func `those of a machine that was started earlier are laid over this one's by the system times`() {
        let there = Instant(uptime: here.uptime + 5_000_000_000, wall: here.wall.adding(microseconds: 200_000))
        let moved = ClockOffset(of: there, from: here).aligned(stamp)
        #expect(moved.at == stamp.at - 4_800_000_000)
        #expect(moved.request == stamp.request && moved.kind == stamp.kind)
        #expect(moved.shard == stamp.shard && moved.number == stamp.number)
    }

    @Test func `nor can a clock that makes no sense do any harm`() {
        let there = Instant(uptime: .max, wall: .zero)
        #expect(ClockOffset(of: there, from: here).aligned(stamp).at == 0)
        _ = ClockOffset(of: Instant(uptime: 0, wall: Timestamp(.max)), from: here).aligned(stamp)
    }
}
