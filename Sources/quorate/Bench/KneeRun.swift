import Workload

/// Looks for the highest rate that a combination bears. Each rate has a cluster of its own: what one that was too high
/// has left behind would be held against the next.
struct KneeRun: Sendable {
    let load: LoadOptions
    /// Its options' rate is the search's.
    let run: BenchRun

    /// - Returns: the knee, and the runs to be shown: that at the knee, and any in which an invariant failed.
    func search() async throws -> (knee: Knee, runs: [RunResult]) {
        var search = KneeSearch(start: load.kneeStart)
        var best: RunResult?
        var broken: [RunResult] = []
        while let rate = search.next {
            var run = run
            run.options.load.rate = rate
            let result = try await run.measure()
            let step = KneeSearch.Step(result, limit: load.kneeLimit)
            let verdict = step.is_met ? "borne" : "not borne: \(step.reasons.joined(separator: "; "))"
            Console.error("\(Figures.text(rate, digits: 0)) a second: \(verdict)")
            search.record(step, at: rate)
            if !result.invariants.allHold { broken.append(result) }
            if step.is_met, rate == search.knee { best = result }
        }
        let knee = Knee(
            search, shards: run.shards, crossShardPercent: run.crossShard, limit: load.kneeLimit)
        return (knee, broken + [best].compactMap { $0 })
    }
}
