import Testing
import Workload

struct NamedFaultTests {
    @Test func `a fault takes the second third of the load, or a third from where it is told to begin`() {
        let usual = NamedFault.primaryKilled.window(begin: nil, duration: 30)
        #expect(usual?.from == 10 && usual?.to == 20)
        let told = NamedFault.muteGateway.window(begin: 4, duration: 30)
        #expect(told?.from == 4 && told?.to == 14)
        // What would end after the load does not end.
        let late = NamedFault.slowPrimary.window(begin: 20, duration: 30)
        #expect(late?.from == 20 && late?.to == nil)
        for fault in [NamedFault.none, .slowDisk] {
            #expect(fault.isOfTheWholeRun && fault.window(begin: nil, duration: 30) == nil)
        }
    }

    private func run(_ committed: [Int], from: Double, to: Double?) -> RunResult {
        var run = sampleReport(shards: [2]).runs[0]
        run.timeline.committed = committed
        run.setup.warmup_s = 0.2
        run.fault = RunResult.Fault(.primaryKilled, target: "host 1", from: from)
        run.fault?.to_s = to
        return run
    }

    @Test func `what committed before, in and after a fault is told apart, and how long nothing did`() throws {
        // Intervals of 100 ms: two of warm-up, two before, three in it, two after, and one that is not full.
        let run = run([9, 9, 20, 20, 0, 0, 6, 10, 10, 3], from: 0.4, to: 0.7)
        #expect(run.timeline.interval_ms == 100)
        let effect = try #require(run.faultEffect)
        #expect(abs((effect.before ?? 0) - 200) < 1e-6 && abs((effect.during ?? 0) - 20) < 1e-6)
        #expect(abs((effect.after ?? 0) - 100) < 1e-6 && abs(effect.without - 0.2) < 1e-6)
        #expect(sampleReport(shards: [2]).runs[0].faultEffect == nil)
    }

    @Test func `a fault without an end has nothing after it, and one from the start nothing before`() throws {
        let effect = try #require(run([10, 10, 10, 10, 1], from: 0, to: nil).faultEffect)
        #expect(effect.before == nil && effect.after == nil && abs((effect.during ?? 0) - 100) < 1e-6)
        // Outside of the load it is no trap.
        #expect(run([1, 1], from: 99, to: 1e300).faultEffect?.during == nil)
        #expect(run([], from: 1, to: 2).faultEffect?.during == nil)
    }

    @Test func `the tables name the fault, and are silent without one`() {
        var run = run([9, 9, 20, 20, 0, 0, 6, 10, 10, 3], from: 0.4, to: 0.7)
        run.fault?.stopped_share = 0.731
        let table = BenchReport(runs: [run, sampleReport(shards: [4]).runs[0]]).table()
        #expect(table.occurrences(of: "primary-killed") == 1 && table.contains("host 1, still 73 % of the time"))
        #expect(!sampleReport().table().contains("faults:"))
    }
}
