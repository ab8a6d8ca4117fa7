import Foundation
import Simulator

/// What is said of a seed that failed.
struct FailureAccount {
    let options: SimulationOptions
    let failure: SimulationTotals.Failed
    /// Made smaller; nil if nobody tried.
    let smallest: Shrinker.Result?
    /// The last messages of the smallest run.
    let drawing: SequenceDiagram?

    /// - Parameter shrinkSeconds: 0 only repeats the command.
    init(options: SimulationOptions, failure: SimulationTotals.Failed, shrinkSeconds: Double, messages: Int) {
        (self.options, self.failure) = (options, failure)
        guard shrinkSeconds > 0 else {
            (smallest, drawing) = (nil, nil)
            return
        }
        let end = ContinuousClock.now + .seconds(shrinkSeconds)
        var shrinker = Shrinker(isOver: { ContinuousClock.now >= end || Task.isCancelled })
        smallest = shrinker.shrink(options)
        var logged = smallest?.options ?? options
        logged.keepsLog = true
        var simulation = Simulation(logged)
        _ = try? simulation.run()
        drawing = SequenceDiagram(hosts: logged.replicas, log: simulation.log).last(messages)
    }

    var command: String { Self.command(options) }
    var smallestCommand: String? { (smallest?.options).map(Self.command) }
    var title: String { "Seed \(failure.seed): \(failure.what.prefix { $0 != "\n" })" }

    private static func command(_ options: SimulationOptions) -> String {
        (["quorate", "simulate"] + options.arguments).joined(separator: " ")
    }

    var text: String {
        var lines = [
            "FAILED seed \(failure.seed) at \(failure.milliseconds) ms: \(failure.what)", "", "repeat it:",
            "  \(command)", "",
        ]
        guard let smallest, let smallestCommand else { return lines.joined(separator: "\n") }
        let small = smallest.options
        if small.arguments != options.arguments {
            lines += ["the same, smaller (\(smallest.runs) runs tried):", "  \(smallestCommand)"]
            lines.append(
                "  \(small.shards) \(small.shards == 1 ? "shard" : "shards"), \(small.replicas) replicas, "
                    + "\(small.clients) \(small.clients == 1 ? "client" : "clients") with \(small.transfersPerClient) "
                    + "\(small.transfersPerClient == 1 ? "transfer" : "transfers") each; at \(smallest.failure.time / 1_000_000) ms:"
            )
            lines.append("  \(smallest.failure.what)")
        } else {
            lines.append("nothing smaller breaks the same (\(smallest.runs) runs tried)")
        }
        lines.append(smallest.faults.isEmpty ? "  no fault was injected" : "  injected:")
        lines += smallest.faults.map { "    \($0.time / 1_000_000) ms  fault \($0.number): \($0.what)" }
        if let drawing { lines += ["", "the last messages (\(SequenceDiagram.textLegend)):", drawing.text] }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// `quorate simulate --json`.
struct SimulationReport: Encodable {
    struct Fault: Encodable {
        let number: Int
        let at_ms: UInt64
        let what: String
    }
    struct Failure: Encodable {
        let seed: UInt64
        let at_ms: UInt64
        let what: String
        let command: String
        let smallest_command: String?
        let smallest_what: String?
        let faults: [Fault]?
        let diagram: String?
    }
    let schema = 1
    let profile: String
    let shards: Int
    let replicas: Int
    let first_seed: UInt64
    let last_seed: UInt64
    let seeds: Int
    /// In all seeds, and all of them ran.
    let invariants_hold: Bool
    let failures: [Failure]
    let seconds: Double
    let seeds_per_second: Double
    let simulated_hours: Double
    let events: Int
    let committed: Int
    let aborted: Int
    let committed_calls: Int
    let aborted_calls: Int
    let view_changes: Int
    let restarts: Int
    let state_transfers: Int

    init(
        command: SimulateCommand, range: SeedRange, totals: SimulationTotals, seconds: Double,
        failures: [FailureAccount]
    ) {
        (profile, shards, replicas) = (command.profile.rawValue, command.shards, command.replicas)
        (first_seed, last_seed, seeds) = (range.first, range.last, totals.seeds)
        invariants_hold = totals.allHold(range)
        self.failures = failures.map { account in
            Failure(
                seed: account.failure.seed, at_ms: account.failure.milliseconds, what: account.failure.what,
                command: account.command,
                smallest_command: account.smallestCommand, smallest_what: account.smallest?.failure.what,
                faults: account.smallest?.faults.map {
                    Fault(number: $0.number, at_ms: $0.time / 1_000_000, what: $0.what)
                },
                diagram: account.drawing?.text)
        }
        (self.seconds, seeds_per_second) = (seconds, Double(totals.seeds) / seconds)
        (simulated_hours, events) = (totals.simulatedSeconds / 3600, totals.events)
        (committed, aborted) = (totals.committed, totals.aborted)
        (committed_calls, aborted_calls) = (totals.committedCalls, totals.abortedCalls)
        (view_changes, restarts, state_transfers) = (totals.viewChanges, totals.restarts, totals.stateTransfers)
    }
}

/// `quorate simulate --scenario FILE --json`.
struct ScenarioReport: Encodable {
    let schema = 1
    let scenario: String
    let passed: Bool
    let line: Int?
    let command: String?
    let what: String?
}
