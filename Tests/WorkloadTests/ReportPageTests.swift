import Foundation
import Messages
import Testing
import Workload

/// What a reader of the page is told, and that every picture tells it of runs that are not to be believed.
struct ReportPageTests {
    private func page(_ report: BenchReport) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        _ = try report.write(to: ReportFolder(folder), title: "Quorate bench")
        return try String(contentsOfFile: folder + "/report.html", encoding: .utf8)
    }

    private func pictures(_ page: String) -> [String] {
        page.components(separatedBy: "<figure").dropFirst().map { $0.components(separatedBy: "</figure>")[0] }
    }

    @Test func `the headline says how fast, how it goes with shards, and that it is valid`() throws {
        var report = sampleReport(shards: [1, 4])
        (report.runs[0].throughput_tps, report.runs[1].throughput_tps) = (1000, 3500)
        (report.runs[0].intra.p50_us, report.runs[1].intra.p50_us) = (4000, 5000)
        report.runs[1].intra.p99_us = 12_340
        let page = try page(report)
        let headline = try #require(
            page.components(separatedBy: "<p class=\"headline\">").dropFirst().first?.components(separatedBy: "</p>")[0]
        )
        for words in [
            "4 shards: 3,500 transactions a second", "within a shard 5.00 ms at p50 and 12.3 ms at p99",
            "From 1 to 4 shards throughput is 3.5 times as high, 88 % of linear",
            "latency within a shard is 25 % longer at p50", "All 2 runs are valid",
        ] { #expect(headline.contains(words), "\(words) in: \(headline)") }
    }

    @Test func `a run that is not valid is marked wherever it is drawn`() throws {
        let good = try page(sampleReport(shards: [1, 2]))
        #expect(!good.contains("class=\"badge") && !good.contains("class=\"flag"))
        var report = sampleReport(shards: [1, 2])
        report.runs[1].invariants.no_locks = false
        let bad = try page(report)
        #expect(bad.contains("1 OF 2 RUNS IS NOT VALID."))
        // The time line of the other one shows nothing of it.
        let marked = pictures(bad).filter { !$0.contains("Time line: 1 shard") }
        #expect(marked.count >= 7 && pictures(bad).count == marked.count + 1)
        for picture in marked {
            #expect(picture.contains("2 shards: invalid: no locks failed"), "\(picture.prefix(200))")
        }
        #expect(bad.contains("FAILED: no locks"))
    }

    @Test func `repeated runs are one point, with a bar from the lowest to the highest`() throws {
        var report = sampleReport(shards: [1, 2])
        for (seed, rate) in [(2, 700.0), (3, 900), (4, 800)] {
            var run = report.runs[1]
            (run.setup.seed, run.throughput_tps) = (UInt64(seed), rate)
            report.runs.append(run)
        }
        report.runs[1].throughput_tps = 1000
        let page = try page(report)
        let picture = try #require(pictures(page).first { $0.contains("<h2>Throughput per shard count</h2>") })
        // A table of one line a point: 2 shards, 4 runs, their median, and from where to where.
        #expect(
            picture.contains(
                "<th scope=\"row\" class=\"text\">2</th><td>natural mix</td><td>4</td><td>850.0</td><td>700.0</td><td>1000.0</td>"
            ))
        #expect(picture.contains("<title>700 to 1000</title>") && picture.occurrences(of: "class=\"interval") == 1)
        #expect(page.contains("Time line: 2 shards, run 4 of 4"))
    }

    @Test func `each picture has a name, a description and its figures as a table, and no script is needed`() throws {
        let page = try page(sampleReport(mixes: [0, 50]))
        for picture in pictures(page) {
            #expect(picture.contains("role=\"img\" aria-label=\"") && picture.contains("<desc>"))
            #expect(picture.contains("<caption>") && picture.contains("<th scope=\"col\""))
        }
        for link in page.components(separatedBy: "href=\"#").dropFirst() {
            let id = link.prefix { $0 != "\"" }
            #expect(page.contains("id=\"\(id)\""), "\(id)")
        }
        #expect(page.contains("prefers-color-scheme: dark") && page.contains("@media print"))
        #expect(!page.contains("<script"))
    }

    @Test func `a time line shows faults and the warm-up`() throws {
        let page = try page(sampleReport(shards: [4]))
        let picture = try #require(pictures(page).first { $0.contains("Time line: 4 shards") })
        #expect(picture.contains("class=\"band\"") && picture.contains("<title>warm-up</title>"))
        #expect(picture.occurrences(of: "class=\"mark\"") == 2)
    }

    @Test func `linear is so many times what the fewest shards do`() throws {
        var report = sampleReport(shards: [2, 4, 64])
        for i in report.runs.indices { report.runs[i].throughput_tps = 300 * Double(report.runs[i].shards) }
        let picture = try #require(pictures(try page(report)).first { $0.contains("Throughput per shard count") })
        #expect(picture.contains("100 % of linear") && picture.contains("linear: from 600 to 19200"))
        // So far apart, only ratios can be seen at both ends.
        #expect(picture.contains("committed / s (log)"))
    }

    @Test func `aborts are shown by cause`() throws {
        let page = try page(sampleReport(shards: [1]))
        let picture = try #require(pictures(page).first { $0.contains("<h2>Abort causes</h2>") })
        let reason = "\(AbortReason.insufficientFunds)"
        #expect(picture.contains("<title>\(reason): ") && picture.contains("<th scope=\"col\">\(reason)</th>"))
    }
}

struct EnvironmentTests {
    @Test func `the lowest mount above a path is what it is on, and of two on one place the last`() throws {
        let text = """
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 22 0:26 / /tmp rw - tmpfs tmpfs rw
            31 22 8:17 / /data\\040one rw,noatime shared:3 master:1 - xfs /dev/sdb1 rw
            32 22 8:33 / /tmp rw - btrfs /dev/sdc1 rw
            33 22 broken
            """
        func kind(_ path: String) -> String? { Provenance.Mount(of: path, in: text)?.kind }
        #expect(kind("/home/x") == "ext4" && kind("/tmp") == "btrfs" && kind("/tmp/a/b") == "btrfs")
        #expect(kind("/tmpfoo") == "ext4" && kind("/data one/x") == "xfs" && kind("/data") == "ext4")
        #expect(Provenance.Mount(of: "/data one", in: text)?.device == "8:17")
        #expect(Provenance.Mount(of: "/", in: "") == nil)
    }

    @Test func `memory and load are read as the kernel writes them`() {
        #expect(Provenance.Environment.memory("MemTotal:       24614748 kB\nMemFree: 1 kB\n") == 24_614_748 * 1024)
        #expect(Provenance.Environment.memory("MemFree: 1 kB\n") == nil)
        #expect(Provenance.Environment.memory("MemTotal: 18446744073709551615 kB") == nil)
        #expect(Provenance.Environment.loadAverage("0.52 1.25 2.00 3/512 4242\n") == [0.52, 1.25, 2])
        #expect(Provenance.Environment.loadAverage("nan 1 2") == nil && Provenance.Environment.loadAverage("") == nil)
    }

    @Test func `this machine's environment is told in JSON and CSV`() throws {
        var made = Provenance(date: "d", version: "v", command: "c", cpu: nil, cores: 1)
        made.environment = .current(folder: "/")
        #expect(made.environment?.kernel?.hasPrefix("Linux ") == true && made.environment?.file_system != nil)
        made.environment?.file_system = "ext4"
        let report = sampleReport(shards: [1], made: made)
        #expect(try report.json().contains(#""file_system":"ext4""#))
        let lines = report.csv().split(separator: "\n").map { $0.components(separatedBy: ",") }
        let column = try #require(lines[0].firstIndex(of: "file_system"))
        #expect(lines[1][column] == "ext4")
    }
}
