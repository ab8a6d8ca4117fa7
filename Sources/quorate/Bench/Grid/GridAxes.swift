import ArgumentParser
import Workload

/// What a grid can vary. An axis is an option here, which takes several values, and a line in `all`.
struct GridAxes: ParsableArguments {
    @Option(help: "Numbers of shards. Default: 1,2,4.") var shards: String?
    @Option(help: "Percentages of cross-shard transfers; natural is what the workload has. Default: natural.")
    var crossShard: String?
    @Option(help: "Shards of a settlement that crosses shards: usual, 2, 3, all. Default: usual.")
    var participants: String?
    @Option(help: "Skews: usual, uniform, zipf:0.9, hot:1000:0.9. Default: usual.") var skew: String?
    @Option(help: "Transfers under one signature at most. More than 1 needs --principals. Default: 1.")
    var bundle: String?
    @Option(help: "Networks: none, lan, aws-5-regions or a file. Default: none.") var network: String?
    @Option(help: "Faults: none, primary-killed, mute-gateway, slow-primary, slow-disk. Default: none.")
    var fault: String?
    @Option(
        help: ArgumentHelp(
            "Any other option of a run, with its values. May be repeated: --vary clients=16,64 --vary replicas=4,7.",
            valueName: "option=value,…"))
    var vary: [String] = []

    /// - Throws: `ValidationError`
    func all() throws -> [GridAxis] {
        do {
            let named = [
                try GridAxis("shards", given: shards, fallback: "", usual: ["1", "2", "4"]),
                try GridAxis("cross-shard", given: crossShard, fallback: "natural"),
                try GridAxis("participants", given: participants, fallback: "usual"),
                try GridAxis("skew", given: skew, fallback: "usual"),
                try GridAxis("bundle", given: bundle, fallback: "1"),
                try GridAxis("network", given: network, fallback: "none"),
                try GridAxis("fault", given: fault, fallback: "none"),
            ]
            return named + (try others(beside: named))
        } catch let problem as GridProblem {
            throw ValidationError(problem.description)
        }
    }

    /// Those of `--vary`.
    private func others(beside named: [GridAxis]) throws -> [GridAxis] {
        var axes: [GridAxis] = []
        for text in vary {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = String((parts.first ?? "").drop { $0 == "-" })
            guard parts.count == 2, !name.isEmpty else {
                throw ValidationError(
                    "--vary takes an option of a run and its values, as clients=16,64; got \"\(text)\".")
            }
            guard !named.contains(where: { $0.name == name }) else {
                throw ValidationError("--vary \(name): it is an axis by itself, --\(name).")
            }
            guard !axes.contains(where: { $0.name == name }) else {
                throw ValidationError("--vary \(name) is there twice.")
            }
            // What an option of any name is where nothing is said is not known: nothing stands for that.
            axes.append(try GridAxis(name, given: parts[1], fallback: ""))
        }
        return axes
    }
}
