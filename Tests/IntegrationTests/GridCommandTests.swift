import Foundation
import Testing

/// `quorate bench grid`, and the faults that it names.
@Suite(.serialized) struct GridCommandTests {
    private static let options = ["--clients", "4", "--accounts", "50", "--duration", "1", "--warmup", "0.2"]

    private func grid(_ folder: TemporaryFolder, _ more: String...) -> [String] {
        ["bench", "grid", "--output", folder.path("grid")] + more + Self.options
    }

    private func cells(_ folder: TemporaryFolder) throws -> [String: Date] {
        let path = folder.path("grid/cells")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return try names.filter { $0.hasSuffix(".json") }.reduce(into: [:]) { dates, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
            dates[name] = attributes[.modificationDate] as? Date
        }
    }

    @Test func aGridThatWasInterruptedMeasuresOnlyWhatIsMissing() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let arguments = grid(folder, "--shards", "1,2")
        let first = try RunningTool(arguments)
        #expect(first.waits { first.errors.contains("1 of 2, ") }, "\(first.errors)")
        #expect(first.errors.contains("2 runs, about "))
        first.signal(SIGINT)
        let (status, seconds) = first.end()
        #expect(status == 130 && seconds < 10, "\(first.errors)")
        let before = try cells(folder)
        #expect(before.count == 1, "\(before)")

        let (resumed, output) = try Tool.run(arguments)
        #expect(resumed == 0 && output.contains("all 2 runs"), "\(output)")
        let after = try cells(folder)
        #expect(after.count == 2 && before.allSatisfy { after[$0.key] == $0.value }, "\(after)")
        let table = try String(contentsOfFile: folder.path("grid/grid.csv"), encoding: .utf8)
        #expect(table.split(separator: "\n").count == 3 && table.hasPrefix("shards,runs,"), "\(table)")
        let page = try String(contentsOfFile: folder.path("grid/report.html"), encoding: .utf8)
        #expect(page.contains("<h2>Grid</h2>"))

        // Nothing is measured of a grid that is another one.
        let (refused, why) = try Tool.run(arguments + ["--seed", "2"])
        #expect(refused == 10 && why.contains("is of another grid") && why.contains("--overwrite"), "\(why)")
        #expect(try cells(folder) == after)
        let (reported, report) = try Tool.run(
            "bench", "grid", "--output", folder.path("grid"), "--report-only", "--json")
        #expect(reported == 0 && report.contains(#""grid":{"repetition":1,"values":{"shards":"1"}}"#), "\(report)")
    }

    @Test(arguments: [
        (["--shards", "1,1"], "--shards takes different values"),
        (["--shards", "2", "--cross-shard", "101"], "--cross-shard takes different numbers from 0 to 100"),
        (["--shards", "2", "--fault", "sleepy"], "one of none, primary-killed"),
        (["--shards", "2", "--fault", "slow-disk@3"], "lasts as long as the run"),
        (["--shards", "2", "--clients", "many"], "a whole number from 1 to 60000 is wanted"),
        (["--shards", "2", "--no-such-option"], "--no-such-option"),
        (["--shards", "2", "--report", "out"], "--report is of a single bench"),
        (["--shards", "2", "--bundle", "2"], "nothing is left of the grid"),
        (["--shards", "2", "--vary", "clients"], "as clients=16,64"),
        (["--shards", "2", "--vary", "clients=4,0"], "a whole number from 1 to 60000 is wanted"),
        (["--shards", "2", "--vary", "shards=4"], "it is an axis by itself"),
        (["--vary", "clients=4,8", "--vary", "clients=2"], "--vary clients is there twice"),
        (["--vary", "clients=4,8", "--clients", "2"], "--clients is varied"),
        (["--vary", "history=a,b"], "--history is of a single bench"),
    ])
    func whatNoRunCouldBeIsRefusedBeforeTheFirst(options: [String], words: String) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (status, output) = try Tool.run(["bench", "grid", "--output", folder.path("grid")] + options)
        #expect(status == 64, "\(output)")
        #expect(output.replacing(/\s+/, with: " ").contains(words), "\(output)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("grid")))
    }

    @Test(arguments: [
        (["--fault", "mute-gateway", "--duration", "5"], "--gateways 2"),
        (["--fault", "slow-primary"], "needs --duration"),
        (["--fault", "primary-killed@5", "--duration", "5"], "comes after the end of the load"),
        (["--fault", "slow-disk", "--kill-host", "1@1", "--duration", "5"], "goes without --kill-host"),
    ])
    func aNamedFaultThatCannotHappenIsRefused(options: [String], words: String) throws {
        let (status, output) = try Tool.run(["bench"] + options)
        #expect(status == 64 && output.replacing(/\s+/, with: " ").contains(words), "\(output)")
    }

    /// What the fault did is in the result, and the invariants held all the same.
    @Test(arguments: ["slow-primary", "slow-disk", "mute-gateway"])
    func aNamedFaultIsDoneAndUndoneAndSaysToWhom(fault: String) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let output = try Tool.succeed([
            "bench", "--shards", "1", "--clients", "4", "--accounts", "50", "--duration", "3", "--warmup", "0.2",
            "--gateways", "2", "--fault", fault, "--keep", folder.path("kept"), "--json",
        ])
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("{") })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let run = try #require((report["runs"] as? [[String: Any]])?.first)
        let done = try #require(run["fault"] as? [String: Any])
        let events = try #require(run["events"] as? [[String: Any]])
        let target = fault == "mute-gateway" ? "gateway 0" : "host "
        #expect(done["name"] as? String == fault && (done["target"] as? String)?.hasPrefix(target) == true)
        #expect(events.count == (fault == "slow-disk" ? 1 : 2), "\(events)")
        if fault != "slow-disk" {
            let (from, to) = (done["from_s"] as? Double ?? 0, done["to_s"] as? Double ?? 0)
            #expect(from >= 1 && to > from, "\(done)")
        }
        if fault == "slow-primary" { #expect((done["stopped_share"] as? Double ?? 0) > 0.3, "\(done)") }
        // One slow disk of four need not show in any figure: a quorum does without it.
        for host in 0..<4 {
            let log = try String(contentsOfFile: folder.path("kept/shards-1/logs/host-\(host).log"), encoding: .utf8)
            let isSlow = fault == "slow-disk" && host == 0
            #expect(log.contains("each sync of the journal takes 0.02 seconds longer") == isSlow, "\(log)")
        }
    }
}
