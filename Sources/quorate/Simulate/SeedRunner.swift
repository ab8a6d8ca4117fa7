import Foundation
import Simulator

/// What the runs of several seeds come to.
struct SimulationTotals: Sendable {
    struct Failed: Sendable {
        let seed: UInt64
        let milliseconds: UInt64
        let what: String
    }

    private(set) var seeds = 0
    private(set) var failures: [Failed] = []
    private(set) var events = 0
    private(set) var simulatedSeconds = 0.0
    private(set) var committed = 0
    private(set) var aborted = 0
    private(set) var committedCalls = 0
    private(set) var abortedCalls = 0
    private(set) var viewChanges = 0
    private(set) var restarts = 0
    private(set) var stateTransfers = 0

    mutating func add(_ outcome: SeedRunner.Outcome) {
        seeds += 1
        switch outcome {
        case .held(let summary):
            events += summary.steps
            simulatedSeconds += Double(summary.simulatedNanoseconds) / 1e9
            committed += summary.committed
            aborted += summary.aborted
            committedCalls += summary.committedCalls
            abortedCalls += summary.abortedCalls
            viewChanges += summary.viewChanges
            restarts += summary.restarts
            stateTransfers += summary.stateTransfers
        case .failed(let failure):
            simulatedSeconds += Double(failure.milliseconds) / 1e3
            failures.append(failure)
        }
    }

    func rate(seconds: Double, of count: Int) -> String {
        guard seconds > 0, seeds > 0 else { return "" }
        let left = Double(count - seeds) * seconds / Double(seeds)
        return "\(Self.short(Double(seeds) / seconds)) seeds/s  \(Self.short(simulatedSeconds / 3600)) simulated h  "
            + "\(Int(left)) s left" + (failures.isEmpty ? "" : "  \(failures.count) FAILED")
    }

    func allHold(_ range: SeedRange) -> Bool { failures.isEmpty && seeds == range.count }

    /// In one line.
    /// - Parameter steps: after which runs were stopped.
    func verdict(_ range: SeedRange, steps: Int?) -> String {
        guard failures.isEmpty else {
            let named =
                failures.prefix(10).map { "\($0.seed)" }.joined(separator: ", ") + (failures.count > 10 ? ", …" : "")
            return "INVARIANTS FAILED in \(failures.count) of \(seeds) seeds: \(named)"
        }
        let held =
            steps == nil
            ? "all invariants held" : "all invariants of safety held; runs were stopped, so liveness was not checked"
        return seeds == range.count ? held : "interrupted: in the \(seeds) of \(range.count) seeds that ran, \(held)"
    }

    func text(seconds: Double, range: SeedRange, profile: String) -> String {
        let rows = [
            ("seeds", "\(seeds) of \(range), profile \(profile)"), ("failures", "\(failures.count)"),
            ("speed", "\(Self.short(Double(seeds) / seconds)) seeds/s"),
            ("simulated", "\(Self.short(simulatedSeconds / 3600)) hours, \(events) events"),
            ("committed", "\(committed)"), ("aborted", "\(aborted)"),
            ("calls", "\(committedCalls) committed, \(abortedCalls) aborted"), ("view changes", "\(viewChanges)"),
            ("restarts", "\(restarts)"),
            ("state transfers", "\(stateTransfers)"),
        ]
        return rows.map { name, value in name + String(repeating: " ", count: 17 - name.count) + value }.joined(
            separator: "\n")
    }

    static func short(_ number: Double) -> String {
        String(format: number < 10 ? "%.2f" : number < 100 ? "%.1f" : "%.0f", number)
    }
}

/// Runs seeds, several at a time, each by itself. Results come in the order of the seeds.
struct SeedRunner: Sendable {
    enum Outcome: Sendable {
        case held(Simulation.Summary)
        case failed(SimulationTotals.Failed)
    }

    let seeds: SeedRange
    let jobs: Int
    /// 0 for no end.
    let maxFailures: Int
    let options: @Sendable (UInt64) -> SimulationOptions

    static func run(_ options: SimulationOptions) -> Outcome {
        var simulation = Simulation(options)
        do { return .held(try simulation.run()) } catch {
            let failure = error as? SimulationFailure
            return .failed(
                .init(
                    seed: options.seed, milliseconds: (failure?.time ?? 0) / 1_000_000,
                    what: failure?.what ?? "\(error)"))
        }
    }

    func run(progress: (SimulationTotals) -> Void) async -> SimulationTotals {
        await withTaskGroup(of: (Int, Outcome).self) { group in
            var (started, finished) = (0, 0)
            var totals = SimulationTotals()
            var early: [Int: Outcome] = [:]
            func start() {
                guard started < seeds.count else { return }
                let number = started
                started += 1
                group.addTask { [options] in (number, Self.run(options(seeds[number]))) }
            }
            for _ in 0..<min(jobs, seeds.count) { start() }
            while let (number, outcome) = await group.next() {
                early[number] = outcome
                while let next = early.removeValue(forKey: finished) {
                    finished += 1
                    // A run that was under way when enough had failed is not counted: the report is the same on every
                    // machine.
                    if maxFailures == 0 || totals.failures.count < maxFailures { totals.add(next) }
                }
                progress(totals)
                let isOver = Task.isCancelled || (maxFailures > 0 && totals.failures.count >= maxFailures)
                if !isOver { start() }
            }
            return totals
        }
    }
}
