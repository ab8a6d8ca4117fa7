import ArgumentParser
import Workload

extension Arrivals: ExpressibleByArgument {}

/// How the load of a bench is offered, how often it is measured, and what makes a run worthless.
struct LoadOptions: ParsableArguments {
    @Option(
        help: Real(0.1...10_000_000).help(
            "Open loop, with --duration: so many transfers a second begin, whatever becomes of those before. Default: a closed loop of --clients."
        ),
        transform: Real(0.1...10_000_000).parse) var rate: Double?
    @Option(help: "How the moments of an open loop lie: poisson or constant. Default: poisson.")
    var arrivals: Arrivals?
    @Option(
        help: Real(0...86_400).help(
            "Seconds at the end that are left out of the figures. Default: 1 with --rate, else 0."),
        transform: Real(0...86_400).parse) var cooldown: Double?
    @Option(
        name: .customLong("repeat"),
        help: Whole(1...1000).help(
            "Measure each combination so often, each time on a new cluster, in turn; prints medians with intervals."),
        transform: Whole(1...1000).parse) var repetitions = 1
    @Option(
        help: Real(0...10).help(
            "With --repeat: runs whose throughputs (with --rate p50 and p99 too) vary by more, as a share of their mean, are not valid. Default: 0.15."
        ),
        transform: Real(0...10).parse) var varianceGate: Double?
    @Flag(
        help:
            "Look for the highest rate that is met with p99 within --knee-p99, from --rate (default 500) on, each on a new cluster."
    ) var findKnee = false
    @Option(
        help: Real(0.1...120_000).help("Milliseconds, with --find-knee. Default: 200."),
        transform: Real(0.1...120_000).parse) var kneeP99: Double?
    @Flag(
        help:
            "Sign all requests before the load begins, at most \(LoadPlan.maxPresigned). Needs --rate with --duration, or no --duration; without --principals and faults."
    ) var presign = false

    var isOpen: Bool { rate != nil || findKnee }
    /// The first rate of a search.
    var kneeStart: Double { rate ?? 500 }
    var kneeLimit: Double { kneeP99 ?? 200 }
    /// What a search measures at each rate, seconds.
    static let kneeSeconds = 8.0

    /// Seconds that are not measured of so many, if nothing is said.
    static func usualWarmup(_ duration: Double?) -> Double { duration.map { min(1, $0 / 4) } ?? 0 }

    /// Anything but what there was before there were these options.
    private var isUsed: Bool {
        isOpen || arrivals != nil || cooldown != nil || repetitions > 1 || varianceGate != nil || kneeP99 != nil
            || presign
    }

    /// What does not go together.
    func check(_ bench: BenchCommand) throws {
        guard isUsed else { return }
        if bench.workload.isRecorded || bench.latencies {
            throw ValidationError(
                "--rate, --arrivals, --cooldown, --repeat, --variance-gate, --find-knee, --knee-p99 and --presign are for loads that are measured, not for list-append, bank, kv and --latencies."
            )
        }
        guard bench.workload == .transfers || !presign && !findKnee else {
            throw ValidationError("--presign and --find-knee are for transfers.")
        }
        guard arrivals == nil || isOpen else { throw ValidationError("--arrivals goes with --rate or --find-knee.") }
        guard !isOpen || bench.clients == nil else {
            throw ValidationError(
                "--clients is for a closed loop; in an open one, with --rate or --find-knee, clients do not wait.")
        }
        guard varianceGate == nil || repetitions > 1 else {
            throw ValidationError("--variance-gate goes with --repeat.")
        }
        guard kneeP99 == nil || findKnee else { throw ValidationError("--knee-p99 goes with --find-knee.") }
        let usual = findKnee ? Self.kneeSeconds : bench.workload == .transfers ? nil : BenchKind.usualSeconds
        let duration = bench.duration ?? usual
        guard !isOpen || duration != nil else {
            throw ValidationError(
                "--rate needs --duration: how well a rate is met is told of a time with an end of its own.")
        }
        guard cooldown ?? 0 == 0 || duration != nil else {
            throw ValidationError("--cooldown needs --duration: otherwise the last row is the end.")
        }
        let warmup = bench.warmup ?? Self.usualWarmup(duration)
        if let duration, warmup + (cooldown ?? 0) >= duration {
            throw ValidationError(
                "--warmup (\(Figures.text(warmup)) s) and --cooldown together must be shorter than --duration.")
        }
        guard repetitions == 1 || bench.history == nil else {
            throw ValidationError("--history is of single runs; leave --repeat out.")
        }
        if findKnee, repetitions > 1 || bench.history != nil || !bench.faults.isEmpty {
            throw ValidationError("--find-knee goes without --repeat, --history and faults.")
        }
        try checkPresigning(bench, duration)
    }

    private func checkPresigning(_ bench: BenchCommand, _ duration: Double?) throws {
        guard presign else { return }
        if bench.duration != nil, !isOpen {
            throw ValidationError(
                "--presign needs a known number of requests: --rate with --duration, or no --duration, for every row once."
            )
        }
        guard bench.principals == nil else {
            throw ValidationError(
                "--presign goes without --principals: in which order a member pays is not known before.")
        }
        guard bench.faults.isEmpty else {
            throw ValidationError(
                "--presign goes without faults: requests that live so long stay undecided longer than others would.")
        }
        if let duration, duration > LoadPlan.longestPresigned {
            throw ValidationError(
                "--presign takes a --duration of \(Int(LoadPlan.longestPresigned)) s at most: a request lives 120 s from its signing."
            )
        }
    }

    /// - Parameters: seconds.
    ///   - duration: of the load; nil for all rows once.
    func plan(rate: Double?, duration: Double?, warmup: Double) -> LoadPlan {
        let usual = duration.map { rate == nil ? 0 : min(1, max(0, $0 - warmup) / 4) } ?? 0
        return LoadPlan(
            rate: rate, arrivals: arrivals ?? .poisson, cooldown: cooldown ?? usual, presigns: presign,
            isOfSearch: findKnee)
    }
}

extension LoadOptions {
    /// What repeated runs have in common. Where they vary too much, none of them is valid.
    func summarize(_ result: inout BenchReport) {
        guard repetitions > 1 else { return }
        result.summarizeRepeats(gate: varianceGate ?? RepeatSummary.usualGate)
    }

    /// Says on standard error what the table says to those who read that.
    /// - Throws: if a search has found nothing.
    func report(_ result: BenchReport, json: Bool) throws {
        if json { for line in result.invalidLines { Console.error(line) } }
        let without = (result.knees ?? []).filter { $0.rate_tps == nil }
        guard without.isEmpty else {
            throw ToolError(.benchIncomplete, "--find-knee: no rate that was tried was borne")
        }
    }
}

/// How the load of one run is offered.
struct LoadPlan: Sendable {
    /// Operations a second; nil for a closed loop.
    var rate: Double?
    var arrivals = Arrivals.poisson
    /// Seconds.
    var cooldown = 0.0
    var presigns = false
    /// One of several rates that are tried.
    var isOfSearch = false

    /// Of some 1 kB each.
    static let maxPresigned = 500_000
    /// Seconds that a load may last whose requests are signed before.
    static let longestPresigned = 60.0
    /// From the signing to the deadline, in microseconds; shards take 120 s.
    static let presignedLifetime: UInt64 = 115_000_000
    /// Seconds that are left to requests when the load ends.
    static let presignedReserve = 15.0

    func openLoop(bundle: Int, seed: UInt64) -> OpenLoop? {
        rate.map { OpenLoop(requestsPerSecond: $0 / Double(bundle), arrivals: arrivals, seed: seed) }
    }
}
