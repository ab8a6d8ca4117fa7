import Foundation
import Messages
import Testing
import Workload

struct RankTestTests {
    /// Values as scipy.stats.mannwhitneyu(method="exact") gives them; the first sample is the example of its
    /// documentation of Wilcoxon's test for two samples.
    @Test func `p is exact`() throws {
        let a = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
        let b = [1.15, 0.88, 0.9, 0.74, 1.21]
        #expect(abs(try #require(RankTest(a, b)).p - 0.254_412_254_4) < 1e-9)
        #expect(abs(try #require(RankTest(b, a)).p - 0.254_412_254_4) < 1e-9)
        #expect(abs(try #require(RankTest([1, 2, 3, 4], [5, 6, 7, 8])).p - 2.0 / 70) < 1e-12)
        #expect(abs(try #require(RankTest([1, 2, 3], [4, 5, 6])).p - 0.1) < 1e-12)
    }

    @Test func `equal values share their ranks`() throws {
        #expect(try #require(RankTest([1, 1, 1, 1], [1, 1, 1, 1])).p == 1)
        // Of the 70 ways to deal out 1 2.… to four of eight, 14 lie as far from the middle.
        #expect(abs(try #require(RankTest([1, 2, 2, 3], [2, 3, 4, 5])).p - 0.2) < 1e-12)
    }

    @Test func `few values cannot show anything, and none are no sample`() throws {
        #expect(try #require(RankTest([1], [2])).smallestP == 1)
        #expect(try #require(RankTest([1, 2, 3], [4, 5, 6])).smallestP > FigureComparison.level)
        #expect(try #require(RankTest([1, 2, 3, 4], [5, 6, 7, 8])).smallestP < FigureComparison.level)
        #expect(RankTest([], [1]) == nil && RankTest([.nan], [1]) == nil)
    }
}

struct CompareTests {
    /// So many runs on each shard count, whose rates are apart by chance alone.
    private func repeated(_ count: Int, shards: [Int] = [1, 2], factor: Double = 1) -> BenchReport {
        let runs = (0..<count).flatMap { i in
            sampleReport(shards: shards).runs.map { run -> RunResult in
                var run = run
                run.setup.seed = UInt64(i)
                run.throughput_tps = (1000 + Double(i * 37 % 10)) * factor
                return run
            }
        }
        return BenchReport(runs: runs)
    }

    private func compare(_ a: BenchReport, _ b: BenchReport) throws -> BenchComparison {
        try BenchComparison(a, b, names: ("a", "b"))
    }

    private func verdict(_ comparison: BenchComparison, _ row: Int = 0) -> FigureComparison.Verdict? {
        comparison.rows[row].figures.first { $0.figure == "throughput_tps" }?.verdict
    }

    @Test func `what is slower and no chance is worse, and faster is better`() throws {
        let slower = try compare(repeated(4), repeated(4, factor: 0.9))
        #expect(slower.rows.map(\.name) == ["1 shard", "2 shards, natural mix"])
        #expect(verdict(slower) == .worse && verdict(slower, 1) == .worse && slower.isWorse)
        #expect(slower.rows[0].runs_a == 4 && slower.differences.isEmpty)
        let faster = try compare(repeated(4), repeated(4, factor: 1.1))
        #expect(verdict(faster) == .better && !faster.isWorse)
        #expect(faster.table().contains("B is better"))
        let same = try compare(repeated(4), repeated(4))
        #expect(verdict(same) == .notShown && !same.isWorse && same.table().contains("no difference shown"))
    }

    @Test func `longer latencies are worse`() throws {
        var b = repeated(4)
        for i in b.runs.indices { b.runs[i].intra.p99_us += 50_000 }
        let comparison = try compare(repeated(4), b)
        let figure = comparison.rows[0].figures.first { $0.figure == "intra_p99_us" }
        #expect(figure?.verdict == .worse && comparison.isWorse && verdict(comparison) == .notShown)
    }

    @Test func `one run each says nothing, and three cannot either`() throws {
        let one = try compare(repeated(1), repeated(1, factor: 0.5))
        #expect(verdict(one) == .tooFewRuns && !one.isWorse)
        #expect(one.table().contains("one run each: nothing can be said"))
        let three = try compare(repeated(3), repeated(3, factor: 0.5))
        #expect(verdict(three) == .tooFewRuns && three.table().contains("p cannot be below 0.1"))
    }

    @Test func `what differs in how they were made comes first, and does not part the runs`() throws {
        var b = repeated(4)
        for i in b.runs.indices { b.runs[i].setup.clients = 128 }
        b.made = Provenance(date: "d", version: "2", command: "c", cpu: "Other <CPU>", cores: 8)
        let comparison = try compare(repeated(4), b)
        #expect(comparison.differences.contains { $0.key == "setup.clients" && $0.a == "64" && $0.b == "128" })
        #expect(comparison.differences.contains { $0.key == "made.cpu" && $0.b == "Other <CPU>" })
        #expect(comparison.rows.count == 2)
        let table = comparison.table()
        let (first, then) = (table.range(of: "differs: setup.clients"), table.range(of: "committed / s"))
        #expect(try #require(first).lowerBound < (try #require(then)).lowerBound)
    }

    @Test func `runs that one side lacks are named, and nothing in common is no comparison`() throws {
        let comparison = try compare(repeated(1, shards: [1, 2]), repeated(1, shards: [2, 4]))
        #expect(comparison.rows.map(\.shards) == [2])
        #expect(comparison.only_a == ["1 shard"] && comparison.only_b == ["4 shards, natural mix"])
        let nothing = try compare(repeated(1, shards: [1]), repeated(1, shards: [2]))
        #expect(nothing.rows.isEmpty && nothing.table().contains("no run in common"))
    }

    @Test func `what one report varies parts its runs`() throws {
        var (a, b) = (repeated(1, shards: [2]), repeated(1, shards: [2]))
        for (i, bundle) in [16, 64].enumerated() {
            for seed in 0..<(i + 1) {
                var run = a.runs[0]
                (run.setup.bundle, run.setup.seed) = (bundle, UInt64(seed))
                a.runs.append(run)
                b.runs.append(run)
            }
        }
        let comparison = try compare(a, b)
        #expect(comparison.rows.map(\.name).map { $0.hasSuffix("bundle 64") } == [false, false, true])
        #expect(comparison.rows.map(\.runs_a) == [1, 1, 2])
    }

    @Test func `another load is a difference`() throws {
        var other = repeated(4)
        for i in other.runs.indices { (other.runs[i].setup.rate_tps, other.runs[i].setup.duration_s) = (800, 20) }
        let comparison = try compare(repeated(4), other)
        #expect(comparison.differences.map(\.key) == ["setup.duration_s", "setup.rate_tps"])
    }

    @Test func `a comparison is JSON, CSV and a page, and marks invalid runs`() throws {
        var b = repeated(4, factor: 0.9)
        b.runs[0].invariants.conservation = false
        let comparison = try compare(repeated(4), b)
        #expect(comparison.rows.map(\.is_invalid) == [true, false])
        #expect(try JSONDecoder().decode(BenchComparison.self, from: Data(comparison.json().utf8)) == comparison)
        #expect(
            Set(comparison.csv().split(separator: "\n").dropFirst().map { $0.split(separator: ",").last }).contains(
                "worse"))
        let page = comparison.page(made: Provenance(date: "d", version: "v", command: "c", cpu: nil, cores: 1))
        #expect(
            page.contains("class=\"flag bad\"") && page.contains("INVALID runs are among") && !page.contains("<script"))
        #expect(page.contains("worse in") && !page.contains("nan"))
    }
}
