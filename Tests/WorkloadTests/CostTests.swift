import Foundation
import Messages
import Testing
import Workload

/// What four hosts, a gateway and the load had used at a moment: `scale` times as much as at 1.
private func sample(
    at seconds: UInt64, committed: Int, scale: UInt64, hosts: Int = 4, answering: (Int) -> Bool = { _ in true }
) -> CostSample {
    func usage(_ cpu: UInt64) -> CostSample.Usage {
        .init(cpuMicroseconds: cpu * scale, voluntarySwitches: 30 * scale, involuntarySwitches: 10 * scale)
    }
    func metric(_ name: String, _ label: String? = nil, _ value: UInt64) -> MetricSample {
        let labels = label.map { [MetricLabel(name: "kind", value: $0)] } ?? []
        return MetricSample(name: name, labels: labels, value: value * scale)
    }
    var processes: [CostSample.Process] = (0..<hosts).map { host in
        let metrics = [
            metric("quorate_journal_syncs_total", nil, 100), metric("quorate_journal_records_total", nil, 300),
            metric("quorate_journal_bytes_total", nil, 5000), metric("quorate_flushes_total", "0", 1),
            metric("quorate_flushes_total", "1", 1), metric("quorate_batches_total", "0", 20),
            metric("quorate_batch_items_total", "request", 100), metric("quorate_batch_items_total", "decide", 60),
            metric("quorate_sent_messages_total", "prepare", 75), metric("quorate_sent_messages_total", "commit", 0),
            metric("quorate_sent_message_bytes_total", "prepare", 7500),
            metric("quorate_sent_message_bytes_total", "commit", 0),
        ]
        return .init(
            role: .host, number: host, identity: [UInt64(100 + host), 7], usage: usage(2500),
            metrics: answering(host) ? metrics : nil)
    }
    let sent = ["prepare", "commit"].flatMap { kind in
        let value: UInt64 = kind == "commit" ? 10 : 0
        return [
            metric("quorate_sent_messages_total", kind, value),
            metric("quorate_sent_message_bytes_total", kind, value * 8),
        ]
    }
    processes.append(.init(role: .gateway, number: 0, identity: [200, 7], usage: usage(1000), metrics: sent))
    processes.append(.init(role: .load, number: 0, identity: [300, 7], usage: usage(4000), metrics: nil))
    return CostSample(at: seconds * 1_000_000_000, committed: committed, processes: processes)
}

private let before = sample(at: 1, committed: 40, scale: 1)
private let after = sample(at: 3, committed: 140, scale: 3)

struct CostTests {
    @Test func `what was used between the two samples is divided by what was committed between them`() throws {
        let costs = try #require(RunResult.Costs(from: before, to: after))
        #expect(costs.committed == 100 && costs.interval_s == 2)
        let hosts = try #require(costs.hosts)
        #expect(hosts.processes == 4 && hosts.cpu_us == 200)
        #expect(hosts.voluntary_switches == 2.4 && hosts.involuntary_switches == 0.8)
        #expect(costs.gateways?.processes == 1 && costs.gateways?.cpu_us == 20 && costs.load?.cpu_us == 80)
        #expect(costs.syncs == 8 && costs.journal_records == 24 && costs.journal_bytes == 400)
        #expect(costs.flushes == 0.16)
        #expect(costs.batch_items == 8 && costs.batch_requests == 5)
        #expect(costs.messages == 6.2 && costs.message_bytes == 601.6)
        #expect(
            costs.by_kind == [
                "prepare": .init(messages: 6, bytes: 600), "commit": .init(messages: 0.2, bytes: 1.6),
            ])
    }

    @Test func `a host that was started again leaves nothing said of hosts, and the rest stands`() throws {
        var restarted = after
        restarted.processes[2].identity = [102, 90]
        for later in [restarted, sample(at: 3, committed: 140, scale: 3, hosts: 3)] {
            let costs = try #require(RunResult.Costs(from: before, to: later))
            #expect(costs.hosts == nil && costs.syncs == nil && costs.batch_items == nil)
            #expect(costs.messages == nil && costs.by_kind == nil)
            #expect(costs.gateways?.cpu_us == 20 && costs.load?.cpu_us == 80)
        }
        // Nor of one that was started meanwhile: it had cost nothing at the first sample, but was not there either.
        let fewer = sample(at: 1, committed: 40, scale: 1, hosts: 3)
        #expect(try #require(RunResult.Costs(from: fewer, to: after)).hosts == nil)
    }

    @Test func `what did not answer, or does not count, is null, and never negative`() throws {
        let silent = sample(at: 3, committed: 140, scale: 3) { $0 != 1 }
        var costs = try #require(RunResult.Costs(from: before, to: silent))
        #expect(costs.hosts?.cpu_us == 200 && costs.syncs == nil && costs.messages == nil)

        var old = after
        for i in 0..<4 { old.processes[i].metrics?.removeAll { $0.name == "quorate_journal_bytes_total" } }
        costs = try #require(RunResult.Costs(from: before, to: old))
        #expect(costs.journal_bytes == nil && costs.journal_records == 24)

        costs = try #require(RunResult.Costs(from: sample(at: 1, committed: 40, scale: 9), to: after))
        #expect(costs.hosts?.cpu_us == nil && costs.hosts?.voluntary_switches == nil && costs.syncs == nil)
        #expect(costs.load?.cpu_us == nil && costs.batch_items == nil)

        var unseen = after
        unseen.processes[4].usage = nil
        #expect(try #require(RunResult.Costs(from: before, to: unseen)).gateways?.cpu_us == nil)
    }

    @Test func `nothing committed, nothing to divide by`() {
        #expect(RunResult.Costs(from: before, to: sample(at: 3, committed: 40, scale: 3)) == nil)
        #expect(RunResult.Costs(from: after, to: before) == nil)
    }

    @Test func `table, CSV, JSON and page show the costs, and a dash for what is not known`() throws {
        var report = sampleReport(shards: [1, 2])
        let plain = report.table()
        #expect(!plain.contains("per committed transfer"))
        report.runs[1].costs = RunResult.Costs(from: before, to: sample(at: 3, committed: 140, scale: 3, hosts: 3))
        let table = report.table()
        #expect(table.hasPrefix(plain) && table.contains("per committed transfer"))
        let lines = table.split(separator: "\n").suffix(3).map(String.init)
        #expect(Set(lines.map(\.count)).count == 1)
        #expect(lines[1].split(separator: " ").filter { $0 == "-" }.count == 10)
        #expect(lines[2].split(separator: " ").filter { $0 == "-" }.count == 8 && lines[2].contains(" 20 "))
        #expect(try JSONDecoder().decode(BenchReport.self, from: Data(try report.json().utf8)) == report)
        #expect(try report.json().contains(#""gateways":{"cpu_us":20"#))

        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try report.write(to: ReportFolder(folder), title: "costs")
        var page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
        #expect(page.contains("<h2>Costs</h2>") && !page.contains("<h2>Messages</h2>"))
        report.runs[0].costs = RunResult.Costs(from: before, to: after)
        _ = try report.write(to: ReportFolder(folder, overwrites: true), title: "costs")
        page = try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
        #expect(
            page.contains("<h2>Messages</h2>")
                && page.contains("<th scope=\"row\" class=\"text\">prepare</th><td>6.00</td>"))
    }

    @Test func `the longest gap says when it began`() {
        var measurements = Measurements(start: 5_000_000_000, warmup: 1_000_000_000)
        for millisecond: UInt64 in [100, 200, 1100, 1300, 3800, 3900, 6300] {
            measurements.record(
                .committed, isCross: false, microseconds: 50, now: 5_000_000_000 + millisecond * 1_000_000)
        }
        let timeline = RunResult.Timeline(measurements)
        // Of two that are as long, the first.
        #expect(timeline.max_gap_ms == 2500 && timeline.max_gap_at_s == 1.3)
        #expect(measurements.commits == 7 && measurements.committed == 5)
        #expect(RunResult.Timeline(Measurements(start: 5, warmup: 0)).max_gap_at_s == nil)
    }
}
