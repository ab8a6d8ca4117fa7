import ArgumentParser
import Workload

/// What a grid can vary. An axis is an option here, which takes several values, and a line in `all`.
struct GridAxes: ParsableArguments {
    @Option(help: "Numbers of shards. Default: 1,2,4.") var shards: String?
    @Option(help: "Percentages of cross-shard transfers; natural is what the workload has. Default: natural.")
    var crossShard: String?
    @Option(help: "Transfers under one signature at most. More than 1 needs --principals. Default: 1.")
    var bundle: String?
    @Option(help: "Faults: none, primary-killed, mute-gateway, slow-primary, slow-disk. Default: none.")
    var fault: String?

    /// - Throws: `ValidationError`
    func all() throws -> [GridAxis] {
        do {
            return [
                try GridAxis("shards", given: shards, fallback: "", usual: ["1", "2", "4"]),
                try GridAxis("cross-shard", given: crossShard, fallback: "natural"),
                try GridAxis("bundle", given: bundle, fallback: "1"),
                try GridAxis("fault", given: fault, fallback: "none"),
                // MORE AXES: a line here, and above an option of the same name as that of a run. `words:` is for those
                // whose value is not that option's.
            ]
        } catch {
            throw ValidationError(error.description)
        }
    }
}
