import Workload

/// Looks for the highest rate that a combination bears. Each rate has a cluster of its own: what one that was too high
/// has left behind would be held against the next.
struct KneeRun: Sendable {
    let load: LoadOptions
    /// Its options' rate is the search's.
    let run: BenchRun

    /// What was measured is not lost if something fails, or the command is interrupted: `knees` has the steps so far.
    /// - Parameter runs: is given those to be shown: that at the knee, and any in which an invariant failed.
    func search(_ knees: inout [Knee], _ runs: inout [RunResult]) async throws {
        var search = KneeSearch(start: load.kneeStart)
        var best: RunResult?
        defer {
            if !search.steps.isEmpty {
                knees.append(
                    Knee(search, shards: run.shards, crossShardPercent: run.crossShard, limit: load.kneeLimit))
            }
            if let best { runs.append(best) }
        }
        while let rate = search.next {
            var run = run
            run.options.load.rate = rate
            if load.presign, let count = run.requests, count > LoadPlan.maxPresigned {
                let why = "\(count) requests would be signed before, and \(LoadPlan.maxPresigned) are the most"
                Console.error("\(Figures.text(rate, digits: 0)) a second: not measured: \(why)")
                search.record(.init(rate: rate, throughput: 0, p99Milliseconds: 0, reasons: [why]), at: rate)
                continue
            }
            let result = try await run.measure()
            let step = KneeSearch.Step(result, limit: load.kneeLimit)
            let verdict = step.is_met ? "borne" : "not borne: \(step.reasons.joined(separator: "; "))"
            Console.error("\(Figures.text(rate, digits: 0)) a second: \(verdict)")
            search.record(step, at: rate)
            if !result.invariants.allHold { runs.append(result) }
            if step.is_met, rate == search.knee { best = result }
        }
    }
}
