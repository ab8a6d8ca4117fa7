import Foundation
import Workload

/// Measures what is missing of a grid, one cell after the other.
struct GridRun: Sendable {
    let command: GridCommand
    let plan: GridPlan
    let store: GridStore
    /// What is there already.
    let known: [GridRecord]

    /// So many failures in a row have one cause, which the next cell will meet too.
    private static let patience = 3
    /// What a cell takes beside its load, while none was measured: start, funding, rest and checks.
    private static let overhead = 8.0

    struct Outcome {
        var records: [GridRecord]
        var failures: [(cell: GridCell, error: ToolError)] = []
        /// Why it ended early.
        var stopped: (any Error)?
    }

    func measure() async -> (
        records: [GridRecord], failures: [(cell: GridCell, error: ToolError)], stopped: (any Error)?
    ) {
        let finished = Set(known.map(\.cell))
        let missing = plan.cells.filter { !finished.contains($0) }
        var clock = GridClock(guess: duration + Self.overhead)
        for record in known { clock.note(record.cell, seconds: record.seconds) }
        announce(missing, clock)

        var outcome = Outcome(records: known)
        var failuresInARow = 0
        for (i, cell) in missing.enumerated() {
            let done = plan.cells.count - missing.count + i
            let rest = clock.estimate(missing[i...])
            do {
                let record = try await measure(cell, done: done, rest: rest)
                try store.save(record)
                outcome.records.append(record)
                clock.note(cell, seconds: record.seconds)
                failuresInARow = 0
                say(record, done: done + 1, rest: clock.estimate(missing[(i + 1)...]))
            } catch {
                let problem = ToolError(error)
                if problem.reason == .interrupted || Task.isCancelled {
                    outcome.stopped = CancellationError()
                    break
                }
                outcome.failures.append((cell, problem))
                failuresInARow += 1
                Console.error("FAILED, \(cell.label): \(problem.description)")
                if failuresInARow == Self.patience || problem.reason == .storage {
                    outcome.stopped = problem
                    break
                }
            }
        }
        return (outcome.records, outcome.failures, outcome.stopped)
    }

    /// Of load in a cell, in seconds; what a run takes is only known afterwards where its rows are to be replayed once.
    private var duration: Double { plan.cells.first.flatMap { try? command.command($0).duration } ?? 10 }

    private func announce(_ missing: [GridCell], _ clock: GridClock) {
        let rounds = command.rounds == 1 ? "" : " in \(command.rounds) rounds"
        let there = plan.cells.count - missing.count
        Console.error(
            "\(plan.cells.count) runs\(rounds)\(there == 0 ? "" : ", \(there) of them finished"), about \(GridClock.text(clock.estimate(missing)))"
        )
        for omission in plan.omissions { Console.error("left out \(omission.count): \(omission.reason)") }
        let planned = Set(plan.cells)
        let others = known.count { !planned.contains($0.cell) }
        if others > 0 { Console.error("\(others) more finished runs are there, of values that are not asked for now") }
        let values = Set(known.flatMap { $0.cell.values.map { "\($0.key) \($0.value)" } })
        let new = Set(missing.flatMap { $0.values.map { "\($0.key) \($0.value)" } }).subtracting(values).sorted()
        if !known.isEmpty, !new.isEmpty { Console.error("new: \(new.joined(separator: ", "))") }
    }

    private func measure(_ cell: GridCell, done: Int, rest: Double) async throws -> GridRecord {
        try Task.checkCancellation()
        let bench = try command.command(cell)
        let began = Date()
        let start = ContinuousClock.now
        let total = plan.cells.count
        // What is left shrinks while the cell runs.
        let heading: @Sendable () -> String = {
            let left = max(0, rest - (ContinuousClock.now - start) / .seconds(1))
            return "\(done) of \(total), \(GridClock.text(left)) left  "
        }
        let root = try BenchFolder(keep: nil)
        defer { root.remove() }
        var runs: [RunResult] = []
        ProgressBar.common.withLock { $0 = heading }
        defer { ProgressBar.common.withLock { $0 = nil } }
        try await bench.measure(in: root, &runs)
        for i in runs.indices {
            runs[i].grid = cell
            if command.rounds > 1 { runs[i].repetition = cell.repetition }
        }
        return GridRecord(
            cell: cell, command: Provenance.text(of: ["quorate", "bench"] + (try command.arguments(cell))),
            began: began.formatted(.iso8601), seconds: (ContinuousClock.now - start) / .seconds(1), runs: runs)
    }

    private func say(_ record: GridRecord, done: Int, rest: Double) {
        if Console.isTerminal { Console.write("\r\u{1b}[2K", to: STDERR_FILENO) }
        let figures = record.runs.map { run in
            "\(Int(run.throughput_tps.rounded())) a second\(run.invariants.allHold ? "" : ", INVARIANT FAILED")"
        }.joined(separator: "; ")
        let round = command.rounds == 1 ? "" : ", round \(record.cell.repetition)"
        Console.error(
            "\(done) of \(plan.cells.count), \(GridClock.text(rest)) left: \(record.cell.label)\(round): \(figures)")
    }
}
