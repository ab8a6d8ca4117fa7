import ArgumentParser
import Foundation
import Simulator

extension SimulationOptions.Profile: ExpressibleByArgument {}

struct SimulateCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run whole clusters under a virtual clock, network and disk, one run a seed.",
        discussion: """
            A run is the hosts' own code with clients and a gateway, and everything else is made from the seed: delays, \
            losses, partitions, power cuts. After every step the invariants are checked, and at the end that everything was \
            answered, that replicas are equal and that balances are what the receipts say. The same seed gives the same run. The \
            last line says whether all invariants held.

              quorate simulate --seeds 1..1000 --profile everything
              quorate simulate --seed 4711 --profile crashes --trace events.txt
              quorate simulate --date-seeds 300 --profile everything
              quorate simulate --scenario Tests/SimulatorTests/Scenarios/view-change.txt --diagram out.svg

            FAILURE  What broke, the command that repeats it, the same made as small as it can be in --shrink seconds, and a \
            diagram of the last messages. The exit code is \(ExitReason.simulationFailed.rawValue).

            Without --seed, --seeds or --date-seeds: 100 seeds of today's date (UTC).
            """)

    @Option(help: Limits.seed.help("One seed."), transform: Limits.seed.parse) var seed: UInt64?
    @Option(help: ArgumentHelp("Seeds A..B, both included.", valueName: "a..b"), transform: SeedArgument.parse)
    var seeds: SeedArgument?
    @Option(
        help: Whole(1...1_000_000).help("So many seeds of today's date (UTC)."), transform: Whole(1...1_000_000).parse)
    var dateSeeds: Int?
    @Option(help: "What goes wrong.") var profile = SimulationOptions.Profile.everything
    @Option(help: Whole(1...64).help("Shards of the cluster."), transform: Whole(1...64).parse) var shards = 2
    @Option(help: Whole(4...10).help("Replicas of each shard: 4, 7 or 10."), transform: Whole(4...10).parse)
    var replicas = 4
    @Option(help: Whole(1...8).help("Clients of a run."), transform: Whole(1...8).parse) var clients: Int?
    @Option(help: Whole(1...1_000_000_000).help("Transfers of each client."), transform: Whole(1...1_000_000_000).parse)
    var transfers: Int?
    @Option(
        help: Whole(1...1_000_000_000).help(
            "Stop a run after so many events: safety is checked up to there, liveness is not."),
        transform: Whole(1...1_000_000_000).parse) var steps: Int?
    @Option(
        help: Whole(1...1_000_000_000).help("Simulated seconds after which everything must be answered."),
        transform: Whole(1...1_000_000_000).parse) var deadline: Int?
    @Option(
        help: ArgumentHelp("Faults that do not happen, by number: 3,5..9.", valueName: "faults"),
        transform: FaultArgument.parse) var suppress: FaultArgument?
    @Option(
        help: Whole(0...1_000_000_000).help("No fault with a greater number happens."),
        transform: Whole(0...1_000_000_000).parse) var lastFault: Int?
    @Flag(help: "No faults but losses.") var noFaults = false
    @Option(help: "Write the event log of the one seed here; - is standard output.") var trace: String?
    @Option(help: "Run a scenario script instead of seeds.") var scenario: String?
    @Option(help: "Draw the scenario, the one seed or the first failure as SVG into this file.") var diagram: String?
    @Option(
        help: Whole(1...1_000_000_000).help(
            "Messages in a diagram, counted from the end. Default: 40, and all of a scenario."),
        transform: Whole(1...1_000_000_000).parse) var last: Int?
    @Option(
        help: Whole(1...1_000_000_000).help("Draw only so many messages of a scenario, counted from its first."),
        transform: Whole(1...1_000_000_000).parse) var first: Int?
    @Option(help: Whole(1...1024).help("Seeds at a time. Default: the cores."), transform: Whole(1...1024).parse)
    var jobs: Int?
    @Option(
        help: Whole(0...1_000_000_000).help("Stop after so many failed seeds; 0 never stops."),
        transform: Whole(0...1_000_000_000).parse) var maxFailures = 3
    @Flag(help: "Stop after the first failed seed.") var failFast = false
    @Option(
        help: Real(0...86_400).help("Seconds for making a failure smaller; 0 does not try."),
        transform: Real(0...86_400).parse) var shrink = 20.0
    @Flag(help: "Print one JSON object on standard output, and nothing else there.") var json = false

    func validate() throws {
        guard [seed != nil, seeds != nil, dateSeeds != nil, scenario != nil].filter({ $0 }).count <= 1 else {
            throw ValidationError("Give one of --seed, --seeds, --date-seeds and --scenario.")
        }
        try Limits.checkReplicas(replicas)
        if trace != nil, seed == nil, seeds?.range.count != 1 {
            throw ValidationError("--trace needs --seed: the log of one run.")
        }
        if trace == "-", json { throw ValidationError("--trace - and --json would both write to standard output.") }
    }

    func options(seed: UInt64) -> SimulationOptions {
        var options = SimulationOptions(seed: seed, profile: profile)
        (options.shards, options.replicas, options.steps) = (shards, replicas, steps)
        options.clients = clients ?? options.clients
        options.transfersPerClient = transfers ?? options.transfersPerClient
        if let deadline { options.deadline = UInt64(deadline) * 1_000_000_000 }
        options.suppressed = suppress?.list.numbers ?? []
        options.lastFault = noFaults ? -1 : lastFault
        return options
    }

    private func range() throws -> SeedRange {
        if let seed { return SeedRange(first: seed, count: 1) }
        if let seeds { return seeds.range }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let today = calendar.dateComponents([.year, .month, .day], from: Date())
        guard
            let range = SeedRange(
                year: today.year ?? 0, month: today.month ?? 0, day: today.day ?? 0, count: dateSeeds ?? 100)
        else {
            throw ToolError(.failure, "the system's date cannot be used: \(Date())")
        }
        Console.error("seeds of today (UTC): \(range)")
        return range
    }

    func execute() async throws {
        if let scenario { return try runScenario(scenario) }
        let range = try range()
        if range.count == 1 { try writeRecords(of: range.first) }
        let runner = SeedRunner(
            seeds: range, jobs: jobs ?? ProcessInfo.processInfo.activeProcessorCount,
            maxFailures: failFast ? 1 : maxFailures,
            options: options(seed:))
        let bar = ProgressBar("simulate \(profile.rawValue)")
        let clock = ContinuousClock.now
        let totals = await runner.run { totals in
            let seconds = (ContinuousClock.now - clock) / .seconds(1)
            bar.update(
                .init(done: totals.seeds, total: range.count), detail: totals.rate(seconds: seconds, of: range.count))
        }
        let seconds = max(0.001, (ContinuousClock.now - clock) / .seconds(1))
        bar.finish("\(totals.seeds) of \(range.count) seeds in \(SimulationTotals.short(seconds)) s")
        var accounts: [FailureAccount] = []
        for (i, failed) in totals.failures.enumerated() {
            if i == 0, shrink > 0 {
                Console.error("making seed \(failed.seed) smaller, for at most \(SimulationTotals.short(shrink)) s")
            }
            accounts.append(
                FailureAccount(
                    options: options(seed: failed.seed), failure: failed, shrinkSeconds: i == 0 ? shrink : 0,
                    messages: last ?? 40))
        }
        if let diagram, range.count > 1 {
            try write(accounts.first?.drawing?.svg(title: accounts.first?.title), to: diagram)
        }
        if json {
            try Console.json(
                SimulationReport(command: self, range: range, totals: totals, seconds: seconds, failures: accounts))
        } else {
            // A log on standard output is the same each time, so nothing else stands there.
            let show = trace == "-" ? Console.error : Console.out
            for account in accounts { show(account.text) }
            show(totals.text(seconds: seconds, range: range, profile: profile.rawValue))
            show(totals.verdict(range, steps: steps))
        }
        if !totals.failures.isEmpty { throw ExitCode(ExitReason.simulationFailed.rawValue) }
        try Task.checkCancellation()
    }

    /// The event log and the drawing of one seed, whether it fails or not.
    private func writeRecords(of seed: UInt64) throws {
        guard trace != nil || diagram != nil else { return }
        var options = options(seed: seed)
        options.keepsLog = true
        var simulation = Simulation(options)
        _ = try? simulation.run()
        if trace == "-" {
            for line in simulation.log { Console.out(line) }
        } else if let trace {
            try write(simulation.log.map { $0 + "\n" }.joined(), to: trace)
        }
        if let diagram {
            let drawing = SequenceDiagram(hosts: replicas, log: simulation.log).last(last ?? 40)
            try write(drawing.svg(title: "Seed \(seed), profile \(profile.rawValue): the last messages"), to: diagram)
        }
    }

    private func runScenario(_ path: String) throws {
        let script: String
        do { script = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw ToolError(.failure, "--scenario: \(ToolError(error).description)")
        }
        var failure: ScenarioFailure?
        var drawing: SequenceDiagram?
        do throws(ScenarioFailure) {
            var scenario = try Scenario(script)
            do throws(ScenarioFailure) { _ = try scenario.run() } catch { failure = error }
            let whole = first.map { scenario.diagram.first($0) } ?? scenario.diagram
            drawing = last.map { whole.last($0) } ?? whole
        } catch { failure = error }
        let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        let title = name.prefix(1).uppercased() + name.dropFirst().replacing("-", with: " ")
        if let diagram { try write(drawing?.svg(title: title), to: diagram) }
        if json {
            try Console.json(
                ScenarioReport(
                    scenario: path, passed: failure == nil, line: failure?.line, command: failure?.command,
                    what: failure?.what))
        } else if let failure {
            if let drawing { Console.out("\(SequenceDiagram.textLegend)\n\(drawing.last(last ?? 40).text)\n") }
            Console.out("FAILED \(path):\(failure.line): \(failure.command)\n  \(failure.what)")
        } else {
            Console.out("passed \(path)")
            Console.out("all invariants held")
        }
        if failure != nil { throw ExitCode(ExitReason.simulationFailed.rawValue) }
    }

    private func write(_ text: String?, to path: String) throws {
        guard let text else { return }
        do { try text.write(toFile: path, atomically: true, encoding: .utf8) } catch {
            throw ToolError(.failure, "\(path): \(ToolError(error).description)")
        }
    }
}

struct SeedArgument: Sendable {
    let range: SeedRange

    static let parse: @Sendable (String) throws -> SeedArgument = { text in
        guard let range = SeedRange(text) else {
            throw OutOfRange(
                description: "A..B with A not above B is wanted, both from 0 to 2^64 - 1, and at most 2^31 of them")
        }
        return SeedArgument(range: range)
    }
}

struct FaultArgument: Sendable {
    let list: FaultList

    static let parse: @Sendable (String) throws -> FaultArgument = { text in
        guard let list = FaultList(text) else {
            throw OutOfRange(description: "numbers from 0 to 999999 are wanted, and ranges of them, as in 3,5..9")
        }
        return FaultArgument(list: list)
    }
}
