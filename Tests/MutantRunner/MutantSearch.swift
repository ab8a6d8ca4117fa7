import Foundation
import Messages
import Simulator

/// Looks for a seed that catches each mutant. Each is run in a process of its own, because what it breaks may trap.
struct MutantSearch {
    private let seeds: Int
    private let seconds: Double
    private let only: Mutant?
    private let isChild: Bool
    private let isUnbroken: Bool
    private let usesKnownSeeds: Bool
    private let program: String

    init(_ arguments: [String]) {
        func value(_ name: String) -> String? {
            arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
        }
        program = arguments[0]
        seeds = value("--seeds").flatMap(Int.init) ?? 2000
        seconds = value("--seconds").flatMap(Double.init) ?? 60
        isChild = arguments.contains("--child")
        isUnbroken = arguments.contains("--unbroken")
        usesKnownSeeds = !arguments.contains("--from-first-seed")
        if let name = value("--only") {
            guard let mutant = Mutant(rawValue: name) else {
                print("no mutant \(name); there are: \(Mutant.allCases.map(\.rawValue).joined(separator: ", "))")
                exit(64)
            }
            only = mutant
        } else {
            only = nil
        }
    }

    func run() -> Int32 {
        if isChild, let only { return search(only) }
        print("| mutant | what is broken | caught by | seeds it took | what failed |\n|---|---|---|---|---|")
        var (caught, rare) = (0, 0)
        let mutants = only.map { [$0] } ?? Mutant.allCases
        for mutant in mutants {
            if isCaught(mutant) {
                caught += 1
            } else if let test = mutant.plan.rareBesides, !isUnbroken {
                rare += 1
                print("`\(mutant.rawValue)` shows rarely; \(test) holds its rule")
            }
        }
        if isUnbroken {
            print(caught == 0 ? "\nthe protocol passes" : "\nTHE PROTOCOL FAILS")
            return caught == 0 ? 0 : 1
        }
        let missed = mutants.count - caught - rare
        let others = rare > 0 ? " but \(rare) that show rarely" : ""
        print(missed == 0 ? "\nall caught\(others)" : "\n\(missed) NOT CAUGHT")
        return missed == 0 ? 0 : 1
    }

    // MARK: One mutant, in the child

    /// Prints `profile seed`, tab-separated with what failed, for the parent. Says first which seed it is about to run,
    /// for the case that this one traps.
    private func search(_ mutant: Mutant) -> Int32 {
        let plan = mutant.plan
        let profiles = plan.profiles.compactMap { SimulationOptions.Profile(rawValue: $0) }
        // Unbroken, the same seeds must pass.
        Mutant.current = isUnbroken ? nil : mutant
        let end = ContinuousClock.now + .seconds(seconds)
        let first = usesKnownSeeds ? plan.firstSeed : 1
        var tried = 0
        for seed in first..<first + UInt64(seeds) where !profiles.isEmpty {
            for profile in profiles {
                if ContinuousClock.now > end { return say("missed", tried) }
                tried += 1
                say("runs", tried, profile.rawValue, "\(seed)")
                guard let what = Self.failure(seed, profile, plan) else { continue }
                // It is a catch only if the protocol as it is passes the same run.
                if !isUnbroken {
                    Mutant.current = nil
                    defer { Mutant.current = mutant }
                    if Self.failure(seed, profile, plan) != nil { continue }
                }
                return say("caught", tried, profile.rawValue, "\(seed)", what)
            }
        }
        return say(profiles.isEmpty ? "unavailable" : "missed", tried)
    }

    /// The first line of what failed.
    private static func failure(_ seed: UInt64, _ profile: SimulationOptions.Profile, _ plan: MutantPlan) -> String? {
        var options = SimulationOptions(seed: seed, profile: profile)
        // Where it is not what a mutant breaks, seeds stay what they were.
        options.jumpsClocks = false
        plan.adjust(&options)
        var simulation = Simulation(options)
        do {
            _ = try simulation.run()
            return nil
        } catch {
            let what = (error as? SimulationFailure)?.what ?? "\(error)"
            return what.split(separator: "\n").first.map(String.init) ?? ""
        }
    }

    @discardableResult
    private func say(_ kind: String, _ tried: Int, _ more: String...) -> Int32 {
        FileHandle.standardOutput.write(Data(([kind, "\(tried)"] + more).joined(separator: "\t").utf8 + [10]))
        return 0
    }

    // MARK: The parent

    private func isCaught(_ mutant: Mutant) -> Bool {
        let child = Process()
        child.executableURL = URL(fileURLWithPath: program)
        child.arguments = [
            "--mutants", "--child", "--only", mutant.rawValue, "--seeds", "\(seeds)", "--seconds", "\(seconds)",
        ]
        if isUnbroken { child.arguments?.append("--unbroken") }
        if !usesKnownSeeds { child.arguments?.append("--from-first-seed") }
        let (output, errors) = (Pipe(), Pipe())
        (child.standardOutput, child.standardError) = (output, errors)
        // What a trap prints is little; without this its backtrace alone takes seconds.
        child.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        do { try child.run() } catch {
            print("cannot run \(program): \(error)")
            return false
        }
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        child.waitUntilExit()
        let last =
            said.split(separator: "\n").last?.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            ?? []
        return report(mutant, last, trap: child.terminationReason == .uncaughtSignal ? complaint : nil)
    }

    /// - Parameter trap: what a child that died wrote.
    private func report(_ mutant: Mutant, _ last: [String], trap: String?) -> Bool {
        func row(_ by: String, _ took: String, _ what: String) {
            print("| `\(mutant.rawValue)` | \(mutant.plan.what) | \(by) | \(took) | \(String(what.prefix(100))) |")
            fflush(nil)
        }
        let kind = last.first ?? ""
        if kind == "caught", last.count == 5 {
            row("`\(last[2])` seed \(last[3])", last[1], last[4])
            return true
        }
        if kind == "runs", last.count == 4, let trap {
            // Our own `precondition` is an invariant that bites; a trap of arithmetic or memory is only luck, and does
            // not count.
            let line = trap.split(separator: "\n").first { $0.contains("recondition failed") }
            row(
                "`\(last[2])` seed \(last[3])", last[1],
                line.map { "trap: \($0)" } ?? "NOT CAUGHT: died without a precondition: \(trap.prefix(80))")
            return line != nil
        }
        row(
            kind == "unavailable" ? "profile not in this build" : isUnbroken ? "nothing" : "NOT CAUGHT",
            last.count > 1 ? last[1] : "0", "")
        return false
    }
}
