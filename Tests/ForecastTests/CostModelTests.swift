import Forecast
import Testing

struct CostModelTests {
    @Test func `the built in costs are whole`() { #expect(CostModel.builtIn.problem == nil) }

    @Test func `what is missing or absurd is named`() {
        var costs = CostModel.builtIn
        costs.steps["execute"] = nil
        #expect(costs.problem == "steps.execute is missing")
        costs = .builtIn
        costs.version = 2
        #expect(costs.problem == "version 2; this build reads version 1")
        costs = .builtIn
        costs.machine.wake_ns = -1
        #expect(costs.problem?.contains("below 0") == true)
    }

    @Test func `two runs give back what they were made of`() {
        var truth = CostModel.builtIn
        (truth.machine.wake_ns, truth.machine.frame_ns, truth.machine.sync_wait_ns) = (30_000, 7_000, 2_000_000)
        var guess = truth
        (guess.machine.wake_ns, guess.machine.frame_ns, guess.machine.sync_wait_ns) = (1_000, 20_000, 500_000)
        func observation(wakes: Double, messages: Double, syncs: Double) -> CostFit.Observation {
            func cpu(_ costs: CostModel) -> Double {
                100 + (wakes * costs.machine.wake_ns + 2 * messages * costs.machine.frame_ns) / 1000
            }
            func median(_ costs: CostModel) -> Double { 900 + syncs * costs.machine.sync_wait_ns / 1000 }
            return .init(
                realCPU: cpu(truth), realMedian: median(truth), forecastCPU: cpu(guess), forecastMedian: median(guess),
                wakes: wakes, messages: messages)
        }
        let fitted = CostFit.refine(
            guess, lone: observation(wakes: 90, messages: 38, syncs: 2),
            many: observation(wakes: 1, messages: 6, syncs: 0.1))
        #expect(abs(fitted.machine.wake_ns - 30_000) < 30)
        #expect(abs(fitted.machine.frame_ns - 7_000) < 7)
        #expect(abs(fitted.machine.sync_wait_ns - 2_000_000) < 1)
    }

    @Test func `nothing is fitted below zero`() {
        let cheap = CostFit.Observation(
            realCPU: 1, realMedian: 1, forecastCPU: 9_000, forecastMedian: 9_000, wakes: 90, messages: 38)
        let fitted = CostFit.refine(.builtIn, lone: cheap, many: cheap)
        #expect(fitted.problem == nil)
        #expect(fitted.machine.sync_wait_ns == 0)
    }

    @Test func `a line goes through its points`() {
        let line = LeastSquares.line([(100, 350), (200, 550), (1000, 2150)])
        #expect(abs(line.fixed_ns - 150) < 0.1)
        #expect(abs(line.each_ns - 2) < 0.001)
    }
}
