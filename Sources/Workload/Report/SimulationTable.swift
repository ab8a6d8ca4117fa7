import StrictInput

/// What was simulated, and what limits it. It stands before all figures, so that nobody takes them for measured ones.
struct SimulationTable {
    private let runs: [RunResult]

    init(runs: [RunResult]) { self.runs = runs.filter { $0.setup.simulated == true } }

    var isEmpty: Bool { runs.isEmpty }

    private static let header = ["shards", "cross", "replicas", "tps", "of linear", "limited by"]

    private var warning: String {
        guard let simulation = runs.first?.simulation else { return "SIMULATED: no process ran" }
        let place =
            simulation.placement == "together"
            ? "all processes on one machine with \(simulation.cores) cores"
            : "each replica, gateway and client on a machine of its own with \(simulation.cores) cores"
        return
            "SIMULATED: no process ran. Costs: \(simulation.calibration), of \(simulation.calibrated). Network: \(simulation.network). Machines: \(place)."
    }

    private var rows: [[String]] {
        runs.map { run in
            [
                "\(run.shards)", "\(decimal(run.setup.cross_share * 100, 0)) %", "\(run.replicas)",
                decimal(run.throughput_tps, 0), linear(run), run.simulation?.limit ?? "",
            ]
        }
    }

    /// Beside the run of the same mix with the fewest shards; one shard has nothing to cross.
    private func linear(_ run: RunResult) -> String {
        let base = runs.filter {
            $0.replicas == run.replicas && $0.shards > 1
                && $0.setup.cross_shard_percent == run.setup.cross_shard_percent
        }.min { $0.shards < $1.shards }
        guard let base, run.shards > base.shards else { return "" }
        let ratio = run.throughput_tps / Double(run.shards) / (base.throughput_tps / Double(base.shards))
        return "\(decimal(ratio, 2)) of \(base.shards) shards"
    }

    /// Empty if nothing was simulated.
    var text: String { isEmpty ? "" : warning + "\n" + TextTable.aligned([Self.header] + rows) }

    func html() -> String {
        guard !isEmpty else { return "" }
        func row(_ tag: String, _ cells: [String]) -> String {
            "<tr>" + cells.map { "<\(tag)>\(Markup.escape($0))</\(tag)>" }.joined() + "</tr>\n"
        }
        return "<section class=\"card wide\"><h2>SIMULATED</h2><p>\(Markup.escape(warning))</p><table>\n"
            + row("th", Self.header) + rows.map { row("td", $0) }.joined() + "</table></section>\n"
    }
}
