import Foundation
import Testing
import Workload

/// What a grid measures, in which order, and how long that takes.
struct GridTests {
    private func axes(
        shards: String, cross: String? = nil, bundle: String? = nil, fault: String? = nil, participants: String? = nil
    ) throws -> [GridAxis] {
        [
            try GridAxis("shards", given: shards, fallback: "", usual: ["1"]),
            try GridAxis("cross-shard", given: cross, fallback: "natural"),
            try GridAxis("participants", given: participants, fallback: "2"),
            try GridAxis("bundle", given: bundle, fallback: "1"),
            try GridAxis("fault", given: fault, fallback: "none"),
        ]
    }

    private func plan(
        _ axes: [GridAxis], rounds: Int = 1, seed: UInt64 = 1, principals: Bool = true
    ) -> GridPlan {
        GridPlan(axes: axes, repetitions: rounds, seed: seed, hasPrincipals: principals)
    }

    @Test func `every combination is measured once in every round, and none that says nothing`() throws {
        let plan = plan(
            try axes(shards: "1,2,4", cross: "0,10,100", bundle: "1,100", fault: "none,slow-disk"), rounds: 3)
        // Shares count with 2 and 4 shards only.
        #expect(plan.cells.count == (2 * 3 + 1) * 2 * 2 * 3)
        #expect(Set(plan.cells).count == plan.cells.count)
        #expect(plan.cells.filter { $0.values["shards"] == "1" }.allSatisfy { $0.values["cross-shard"] == nil })
        #expect(plan.omissions.map(\.count) == [2 * 2 * 2 * 3])
        // A round is over before the next begins.
        #expect(plan.cells.map(\.repetition) == plan.cells.map(\.repetition).sorted())
        let rounds = (1...3).map { round in Set(plan.cells.filter { $0.repetition == round }.map(\.values)) }
        #expect(rounds[0] == rounds[1] && rounds[1] == rounds[2] && rounds[0].count == 28)
    }

    @Test func `what means nothing is left out and counted`() throws {
        let few = plan(try axes(shards: "2,4", participants: "2,3"), rounds: 2)
        #expect(few.cells.count == 3 * 2)
        #expect(few.omissions.map(\.reason) == ["more participants than shards"] && few.omissions[0].count == 2)
        let bundles = plan(try axes(shards: "2", bundle: "1,16,256"), principals: false)
        #expect(bundles.cells.map(\.values) == [["shards": "2"]])
        #expect(bundles.omissions.map(\.count) == [2])
        #expect(bundles.omissions.allSatisfy { $0.reason.contains("--principals") })
    }

    @Test func `the order follows from its seed, and is not that of the axes`() throws {
        let axes = try axes(shards: "1,2,4,8", cross: "0,10,30,100")
        #expect(plan(axes, seed: 7).cells == plan(axes, seed: 7).cells)
        #expect(plan(axes, seed: 7).cells != plan(axes, seed: 8).cells)
        let shards = plan(axes, seed: 7).cells.compactMap { $0.values["shards"].flatMap { Int($0) } }
        #expect(shards != shards.sorted())
        // Nor do two rounds have the same.
        let twice = plan(axes, rounds: 2, seed: 7).cells.map(\.values)
        #expect(Array(twice[..<(twice.count / 2)]) != Array(twice[(twice.count / 2)...]))
    }

    /// A file's name is a promise: a folder of today is gone on with tomorrow.
    @Test func `a cell's digest is what it was, and no two cells share one`() throws {
        let cell = GridCell(values: ["shards": "2", "fault": "slow-disk"], repetition: 1)
        #expect(cell.digest == "950590a9b93cdff6")
        #expect(GridCell(values: ["fault": "slow-disk", "shards": "2"], repetition: 1).digest == cell.digest)
        let others = [
            GridCell(values: ["shards": "2", "fault": "slow-disk"], repetition: 2),
            GridCell(values: ["shards": "2", "fault": "slow-dis"], repetition: 1),
            GridCell(values: ["shards": "2f", "ault": "slow-disk"], repetition: 1),
            GridCell(values: ["shards": "2"], repetition: 1),
        ]
        #expect(Set(others.map(\.digest) + [cell.digest]).count == 5)
        #expect(try JSONDecoder().decode(GridCell.self, from: JSONEncoder().encode(cell)) == cell)
    }

    @Test func `more values, and an axis that is added, leave the cells as they are that were measured`() throws {
        let before = Set(plan(try axes(shards: "2,4")).cells.map(\.digest))
        let more = Set(plan(try axes(shards: "2,4,8", fault: "none,slow-disk")).cells.map(\.digest))
        #expect(before.isSubset(of: more) && more.count == 6)
        let again = Set(plan(try axes(shards: "4,2"), seed: 99).cells.map(\.digest))
        #expect(again == before)
    }

    @Test(arguments: ["", ",", "1,,2", "1,1", "010,10", "1, 1"])
    func `an axis takes different values`(text: String) {
        #expect(throws: GridProblem.self) { try GridAxis("shards", given: text, fallback: "") }
    }

    @Test func `a value becomes an option of the run, and the fallback none`() throws {
        let axis = try GridAxis("skew", given: "uniform, zipf:0.9", fallback: "uniform")
        #expect(axis.values == ["uniform", "zipf:0.9"])
        #expect(axis.arguments(for: "zipf:0.9") == ["--skew=zipf:0.9"] && axis.arguments(for: "uniform") == [])
        let two = try GridAxis("bundle", given: "16", fallback: "1") { ["--bundle", $0, "--principals", "8"] }
        #expect(two.arguments(for: "16") == ["--bundle", "16", "--principals", "8"])
    }

    @Test func `the time that is left goes by what cells of as many shards took`() {
        func cell(_ shards: String, _ repetition: Int = 1) -> GridCell {
            GridCell(values: ["shards": shards], repetition: repetition)
        }
        var clock = GridClock(guess: 20)
        #expect(clock.estimate([cell("1"), cell("4")]) == 40)
        clock.note(cell("1"), seconds: 10)
        #expect(clock.estimate([cell("1"), cell("4")]) == 20)
        clock.note(cell("4"), seconds: 30)
        clock.note(cell("4", 2), seconds: 50)
        #expect(clock.estimate([cell("1", 2), cell("4", 3)]) == 50 && clock.estimate([cell("2")]) == 30)
        let texts = [0, 0.2, 89, 90, 3540, 3600, 7500].map(GridClock.text)
        #expect(texts == ["0 s", "1 s", "89 s", "2 min", "59 min", "1 h 0 min", "2 h 5 min"])
    }

    @Test func `a folder of another build, other options or another machine is not gone on with`() {
        let one = GridIdentity(
            version: "0.1.0", program: "aa", hostProgram: nil, arguments: ["--duration", "10"], cpu: "A", cores: 2)
        #expect(one.differences(from: one) == [])
        func other(_ change: (inout GridIdentity) -> Void) -> [String] {
            var changed = one
            change(&changed)
            return one.differences(from: changed)
        }
        #expect(other { $0.version = "0.2.0" }.contains { $0.contains("version 0.1.0, this is 0.2.0") })
        #expect(other { $0.program = "bb" }.contains { $0.contains("another build") })
        #expect(other { $0.host_program = "cc" }.count == 1)
        #expect(
            other { $0.arguments = ["--duration", "5"] } == [
                "it was measured with `--duration 10`, not with `--duration 5`"
            ])
        var known = one
        known.files = ["a.csv": "11"]
        var now = known
        now.files = ["a.csv": "22", "wan.json": "33"]
        #expect(known.differences(from: now) == ["a.csv has other content than when it was measured"])
        // A file of one more value changes nothing of what is there, and is held to from then on.
        now.files = ["wan.json": "33"]
        #expect(known.differences(from: now) == [])
        #expect(known.adding(filesOf: now).files == ["a.csv": "11", "wan.json": "33"])
        let words = ["--shards", "2", "--network", "wan.json", "--trace=a.csv", "--network", "wan.json"]
        #expect(GridIdentity.files(in: words) == ["a.csv", "wan.json"])
        #expect(other { $0.cores = 4 }.contains { $0.contains("another machine") })
    }

    // MARK: The summary

    private func run(_ shards: Int, round: Int, tps: Double, fault: String? = nil) -> RunResult {
        var run = sampleReport(shards: [shards]).runs[0]
        var values = ["shards": "\(shards)"]
        values["fault"] = fault
        run.grid = GridCell(values: values, repetition: round)
        run.throughput_tps = tps
        return run
    }

    @Test func `the summary has a row for each combination, with medians`() throws {
        let runs = [
            run(10, round: 1, tps: 5), run(2, round: 2, tps: 300), run(2, round: 1, tps: 100),
            run(2, round: 3, tps: 200), run(2, round: 1, tps: 60, fault: "slow-disk"),
            run(2, round: 2, tps: 80, fault: "slow-disk"),
        ]
        let summary = GridSummary(runs: runs + [sampleReport(shards: [4]).runs[0]])
        let lines = summary.csv().split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false)
        }
        #expect(lines[0].prefix(4) == ["shards", "fault", "runs", "throughput_tps_median"])
        #expect(lines[1].prefix(6) == ["2", "", "3", "200.0", "100.0", "300.0"])
        #expect(lines[2].prefix(6) == ["2", "slow-disk", "2", "70.0", "60.0", "80.0"])
        #expect(lines[3].prefix(3) == ["10", "", "1"] && lines.count == 4)
        #expect(summary.text.contains("100–300") && !summary.text.contains("FAILED"))
        #expect(GridSummary(runs: []).text == "no cell is finished")
    }

    private func page(of report: BenchReport) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("quorate-grid-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = try report.write(to: ReportFolder(folder.path), title: "Grid")
        return try String(contentsOfFile: "\(path)/report.html", encoding: .utf8)
    }

    @Test func `one failed invariant of a combination is shown, and the page has the grid`() throws {
        var runs = [run(2, round: 1, tps: 100), run(2, round: 2, tps: 100)]
        runs[1].invariants.no_locks = false
        #expect(GridSummary(runs: runs).text.contains("FAILED"))
        let page = try page(of: BenchReport(runs: runs))
        #expect(page.contains("<h2>Grid</h2>"))
        #expect(try !self.page(of: sampleReport()).contains("<h2>Grid</h2>"))
    }

    @Test func `a finished cell is read as it was written`() throws {
        let record = GridRecord(
            cell: GridCell(values: ["shards": "2"], repetition: 1), command: "quorate bench --shards=2",
            began: "2026-12-01T10:00:00Z", seconds: 12.5, runs: [run(2, round: 1, tps: 100)])
        #expect(try JSONDecoder().decode(GridRecord.self, from: JSONEncoder().encode(record)) == record)
    }
}
