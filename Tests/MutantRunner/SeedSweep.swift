import Foundation
import Messages
import Simulator

/// Runs seeds of one profile and counts what happened in them.
enum SeedSweep {
    static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count >= 4, let profile = SimulationOptions.Profile(rawValue: arguments[1]),
            let first = UInt64(arguments[2]),
            let count = UInt64(arguments[3]), count > 0
        else {
            print(
                "usage: quorate-mutants PROFILE FIRST COUNT [REPLICAS] [SHARDS] [log]\n       quorate-mutants --mutants [--seeds N] [--only NAME]"
            )
            return 64
        }
        Mutant.current = ProcessInfo.processInfo.environment["QUORATE_MUTANT"].flatMap(Mutant.init(rawValue:))
        var failures = 0
        /// In how many runs there was at least one of each.
        let events: [(name: String, count: KeyPath<Simulation.Summary, Int>)] = [
            ("view changes", \.viewChanges), ("checkpoints", \.checkpoints), ("flushes", \.flushes),
            ("compactions", \.compactions),
            ("restarts", \.restarts), ("state transfers", \.stateTransfers), ("storage failures", \.storageFailures),
            ("quorum reads", \.quorumReads), ("ordered reads", \.orderedReads),
            ("followers", \.followers), ("out of order", \.outOfOrder), ("Byzantine hosts", \.byzantineHosts),
            ("slow primaries replaced", \.replacedSlowPrimaries), ("freezes", \.freezes),
            ("refused as frozen", \.refusedAsFrozen),
        ]
        var runsWith = events.map { _ in 0 }
        var (steps, simulated) = (0, 0.0)
        var effects = ByzantineEffects()
        let clock = ContinuousClock()
        let start = clock.now
        for seed in first..<first + count {
            var options = SimulationOptions(seed: seed, profile: profile)
            if arguments.count > 4, let replicas = Int(arguments[4]) { options.replicas = replicas }
            if arguments.count > 5, let shards = Int(arguments[5]) { options.shards = shards }
            options.keepsLog = arguments.count > 6 && arguments[6] == "log"
            var simulation = Simulation(options)
            do {
                let summary = try simulation.run()
                for (i, event) in events.enumerated() where summary[keyPath: event.count] > 0 { runsWith[i] += 1 }
                (steps, simulated) = (steps + summary.steps, simulated + Double(summary.simulatedNanoseconds) / 1e9)
                effects.add(summary.byzantineEffects)
                if options.keepsLog { print(simulation.log.joined(separator: "\n")) }
                if count <= 20 { print(summary) }
            } catch {
                failures += 1
                if options.keepsLog { print(simulation.log.joined(separator: "\n")) }
                print("FAILED \(error)")
                fflush(nil)
            }
        }
        let seconds = (clock.now - start) / .seconds(1)
        if effects.total > 0 { print("byzantine: \(effects)") }
        print("\(count) seeds, \(failures) failures, \(Double(count) / seconds) seeds/s")
        print("\(steps / Int(count)) steps a run, \(Int(simulated)) simulated seconds; runs with:")
        for (event, runs) in zip(events, runsWith) { print("  \(event.name): \(runs * 100 / Int(count)) %") }
        return failures == 0 ? 0 : 1
    }
}
