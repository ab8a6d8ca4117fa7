import ArgumentParser
import Foundation
import NIOCore
import Workload

/// `quorate bench grid`: every combination of some values, in one command that can be interrupted and gone on with.
struct GridCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "grid",
        abstract: "Measure every combination of shards, cross-shard share, bundle and fault; it can be gone on with.",
        discussion: """
            Each option below takes several values, separated by commas, and each combination is a run of quorate bench, \
            which gets every other option as it stands here (quorate bench run --help has them):

              quorate bench grid --shards 1,2,4 --cross-shard 0,10,100 --duration 10 --repeat 3 --output folder
              quorate bench grid --shards 1,2 --fault none,primary-killed,slow-primary,slow-disk --duration 30 --output folder
              quorate bench grid --shards 4 --principals 16 --bundle 1,16,256 --duration 10 --clients 128 --output folder
              quorate bench grid --shards 2,4 --vary clients=16,64,256 --vary replicas=4,7 --duration 10 --output folder

            ORDER    Every round measures each combination once, in an order drawn from --order-seed, so that what drifts on \
            the machine does not look like the effect of an axis.

            FOLDER   Each finished run is written at once, under a name that follows from its values. The same command with the same \
            folder goes on where it was interrupted, and with more values it measures what is missing. A folder that was made with \
            other options, by another build or on another machine is refused. Runs that fail are tried again the next time.

            AFTER    report.html, report.csv and report.json have every run, grid.csv a row for each combination. \
            --report-only writes them from what is there.

            docs/BENCH.md#grids says what is left out, and why.
            """)

    @OptionGroup var axes: GridAxes
    @Option(
        name: .customLong("repeat"), help: Whole(1...1000).help("Rounds: runs of each combination."),
        transform: Whole(1...1000).parse) var rounds = 1
    @Option(
        help: Real(0...10).help(
            "With --repeat: runs of a combination whose throughputs (with --rate p50 and p99 too) vary by more, as a share of their mean, are not valid. Default: 0.15."
        ),
        transform: Real(0...10).parse) var varianceGate: Double?
    @Option(help: Limits.seed.help("Of the order of the runs."), transform: Limits.seed.parse) var orderSeed: UInt64 = 1
    @Option(help: .init("Where runs and report go.", valueName: "folder")) var output: String
    @Flag(help: "Begin anew in a folder of another grid: its runs are removed.") var overwrite = false
    @Flag(help: "Measure nothing; write the report of what is there.") var reportOnly = false
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false
    @Argument(parsing: .allUnrecognized, help: "Every other option of quorate bench.") var bench: [String] = []

    /// What would have one run overwrite another one's, or have it be none.
    private static let refused = [
        "--json", "--report", "--overwrite", "--keep", "--history", "--latencies", "--samples", "--find-knee",
    ]

    func validate() throws {
        guard !output.isEmpty else { throw ValidationError("--output needs a folder.") }
        let varied = try axes.all().map { "--\($0.name)" }
        for option in bench.map({ String($0.prefix { $0 != "=" }) }) + varied {
            guard !Self.refused.contains(option) else {
                throw ValidationError("\(option) is of a single bench; a grid has --output, and its report there.")
            }
        }
        for option in varied where isGiven(option) {
            throw ValidationError("\(option) is varied, so that it cannot have one value for all runs.")
        }
        guard varianceGate == nil || rounds > 1 || reportOnly else {
            throw ValidationError("--variance-gate goes with --repeat.")
        }
        guard !reportOnly else { return }
        let plan = try plan()
        guard !plan.cells.isEmpty else {
            let why = plan.omissions.map(\.reason).joined(separator: "; ")
            throw ValidationError("nothing is left of the grid: \(why).")
        }
        for cell in plan.cells where cell.repetition == 1 { _ = try command(cell) }
    }

    func plan() throws -> GridPlan {
        let axes = try axes.all()
        let hasPrincipals = isGiven("--principals") || axes.contains { $0.name == "principals" }
        return GridPlan(axes: axes, repetitions: rounds, seed: orderSeed, hasPrincipals: hasPrincipals)
    }

    /// Whether all runs get this option.
    private func isGiven(_ option: String) -> Bool { bench.contains { $0 == option || $0.hasPrefix(option + "=") } }

    /// What every run is told. A gateway that is muted in some cells needs another one, and then all have as many.
    var common: [String] {
        let mutes = (axes.fault ?? "").contains(NamedFault.muteGateway.rawValue)
        let areGiven = isGiven("--gateways") || axes.vary.contains { $0.hasPrefix("gateways=") }
        return bench + (mutes && !areGiven ? ["--gateways", "2"] : [])
    }

    func arguments(_ cell: GridCell) throws -> [String] {
        var words: [String] = []
        for axis in try axes.all() {
            if let value = cell.values[axis.name] { words += axis.arguments(for: value) }
        }
        return words + common
    }

    /// The bench of one cell, checked as if it had been typed.
    func command(_ cell: GridCell) throws -> BenchCommand {
        let words = try arguments(cell)
        do { return try BenchCommand.parse(words) } catch {
            throw ValidationError("\(cell.label): \(BenchCommand.message(for: error))")
        }
    }

    func execute() async throws {
        // As a bench does: one loop for all connections.
        NIOSingletons.groupLoopCountSuggestion = 1
        _ = Made.now
        let store = GridStore(output)
        guard !reportOnly else { return try finish(try store.existing(), failures: [], stopped: nil) }
        let plan = try plan()
        let hostProgram = try plan.cells.first.flatMap { try command($0).hostProgram.path() }
        let identity = try GridProgram.identity(
            arguments: common, words: try plan.cells.flatMap { try arguments($0) }, hostProgram: hostProgram)
        let records = try store.open(identity, overwrites: overwrite)
        let run = GridRun(command: self, plan: plan, store: store, known: records)
        let (all, failures, stopped) = await run.measure()
        try finish(all, failures: failures, stopped: stopped)
    }

    private func finish(
        _ records: [GridRecord], failures: [(cell: GridCell, error: ToolError)], stopped: (any Error)?
    ) throws {
        let all = GridSummary(runs: records.flatMap(\.runs)).runs
        let why = stopped.map { ToolError($0).description.split(separator: "\n").first.map(String.init) ?? "an error" }
        let partial = why ?? (failures.isEmpty ? nil : "\(failures.count) cells failed")
        var report = BenchReport(runs: all, made: Made.now, partial: partial)
        if all.contains(where: { ($0.repetition ?? 0) > 1 }) {
            report.summarizeRepeats(gate: varianceGate ?? RepeatSummary.usualGate)
        }
        // With what the rounds of a cell say of each other.
        let runs = report.runs
        let summary = GridSummary(runs: runs)
        if json { Console.json(document: try report.json()) } else { Console.out(summary.text) }
        if !runs.isEmpty {
            let path = try GridStore(output).write(report, summary)
            Console.error("report: \(path)/report.html")
        }
        for failure in failures { Console.error("FAILED, \(failure.cell.label): \(failure.error.description)") }
        if let stopped { throw stopped }
        let broken = runs.filter { !$0.invariants.allHold }
        for run in broken {
            for problem in run.invariants.problems {
                Console.error("INVARIANT FAILED, \(run.grid?.label ?? "\(run.shards) shards"): \(problem)")
            }
        }
        guard broken.isEmpty else { throw ExitCode(ExitReason.invariantFailed.rawValue) }
        if let failure = failures.first {
            throw ToolError(
                failure.error.reason,
                "\(failures.count) of the grid's runs failed, the first (\(failure.cell.label)) with: \(failure.error.description)\nThe same command tries them again"
            )
        }
        let missed = runs.reduce(0) { $0 + $1.missed_events.count }
        // As of a single bench: after something was done to a cluster, lists may have outcomes that nobody knows.
        let mayBeOpen = runs.filter { BenchKind(rawValue: $0.setup.workload)?.isRecorded == true && !$0.events.isEmpty }
        let open = runs.reduce(0) { $0 + $1.unknown } - mayBeOpen.reduce(0) { $0 + $1.unknown }
        let forged = runs.reduce(0) { $0 + $1.retries.invalid_receipts }
        let unread = runs.reduce(0) { $0 + ($1.history?.unread_lists ?? 0) + ($1.transactions?.unread_values ?? 0) }
        let undecided = runs.count { $0.history?.is_undecided == true }
        guard missed == 0, open == 0, forged == 0, unread == 0, undecided == 0 else {
            throw ToolError(
                .benchIncomplete,
                "over all runs, \(open) transactions have no certified outcome, \(forged) receipts were not valid, \(unread) lists or values could not be read at the end, \(undecided) histories could not be judged, and \(missed) faults would have come after the load"
            )
        }
        if !json, !runs.isEmpty {
            Console.out(
                "invariants hold on every replica of all \(runs.count) runs: money conserved, replicas identical, no lock left; histories are strictly serializable"
            )
        }
    }
}
