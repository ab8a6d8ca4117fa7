/// Makes a failing run smaller while the same thing breaks: fewer shards, replicas, clients and transfers, then only
/// the faults that it needs.
public struct Shrinker {
    /// The smallest run that was found.
    public struct Result: Sendable {
        /// They make that run, and `arguments` makes a command of them.
        public let options: SimulationOptions
        /// What breaks in it: of the same kind as in the run to begin with.
        public let failure: SimulationFailure
        /// What went wrong on purpose in the smallest run.
        public let faults: [InjectedFault]
        /// How many runs were tried, the first one included.
        public let runs: Int
    }

    /// One run as the shrinker sees it.
    public struct Attempt: Sendable {
        /// Nil if all invariants held.
        public let failure: SimulationFailure?
        /// What went wrong on purpose until it ended.
        public let faults: [InjectedFault]
        /// Events that were handled until it ended.
        public let steps: Int

        /// For tests, which make up what a run would have given.
        public init(failure: SimulationFailure?, faults: [InjectedFault], steps: Int) {
            (self.failure, self.faults, self.steps) = (failure, faults, steps)
        }

        /// Runs a simulation.
        public init(_ options: SimulationOptions) {
            var simulation = Simulation(options)
            var failure: SimulationFailure?
            do { _ = try simulation.run() } catch let problem as SimulationFailure { failure = problem } catch {
                failure = simulation.world.failure("\(error)")
            }
            self.init(failure: failure, faults: simulation.faults, steps: simulation.steps)
        }
    }

    private let attempt: (SimulationOptions) -> Attempt
    /// The time is up, or the user is.
    private let isOver: () -> Bool
    private var runs = 0
    private var kind = ""
    /// A smaller run that has not failed after so many events is not waited for.
    private var patience: Int?

    /// - Parameters:
    ///   - isOver: asked before each run but the first; true ends the search with what was found so far.
    ///   - attempt: makes one run.
    public init(isOver: @escaping () -> Bool, attempt: @escaping (SimulationOptions) -> Attempt = { Attempt($0) }) {
        (self.isOver, self.attempt) = (isOver, attempt)
    }

    /// Nil if the run does not fail at all.
    public mutating func shrink(_ options: SimulationOptions) -> Result? {
        var best = options
        best.keepsLog = false
        runs = 1
        let first = attempt(best)
        guard let failure = first.failure else { return nil }
        kind = failure.kind
        // What is never answered shows only at the deadline.
        patience = failure.isOfLiveness ? nil : 2 * first.steps
        var result = Result(options: best, failure: failure, faults: first.faults, runs: 1)
        shrinkSize(&result)
        shrinkFaults(&result)
        shrinkSize(&result)
        return Result(options: result.options, failure: result.failure, faults: result.faults, runs: runs)
    }

    /// Whether these options break the same; if so, they are the new best.
    private mutating func fails(_ options: SimulationOptions, _ result: inout Result) -> Bool {
        guard !isOver() else { return false }
        runs += 1
        var limited = options
        limited.steps = [options.steps, patience].compactMap { $0 }.min()
        let made = attempt(limited)
        guard let failure = made.failure, failure.kind == kind else { return false }
        result = Result(options: options, failure: failure, faults: made.faults, runs: runs)
        return true
    }

    private mutating func shrinkSize(_ result: inout Result) {
        reduce(\.shards, to: [1], &result)
        reduce(\.replicas, to: [4, 7], &result)
        reduce(\.clients, to: [1, 2, 3], &result)
        reduce(\.transfersPerClient, to: [1, 2, 3, 5], &result)
    }

    private mutating func reduce(
        _ path: WritableKeyPath<SimulationOptions, Int>, to values: [Int], _ result: inout Result
    ) {
        for value in values where value < result.options[keyPath: path] {
            var smaller = result.options
            smaller[keyPath: path] = value
            if fails(smaller, &result) { return }
        }
    }

    private mutating func shrinkFaults(_ result: inout Result) {
        let base = result.options
        // Losses: each window of the run up to where it broke.
        var present = result.faults.map(\.number)
        let windows = Int(base.faultyUntil / SimulationOptions.lossWindow) + 1
        let losses = base.isLossy ? (0..<windows).map { SimulationOptions.firstLoss + $0 } : []
        present += losses.filter { !base.suppressed.contains($0) }
        func keeping(_ kept: [Int]) -> SimulationOptions {
            var options = base
            let last = kept.filter { $0 < SimulationOptions.firstLoss }.max() ?? -1
            options.lastFault = last
            options.suppressed = Set(
                (0..<max(0, last)).filter { !kept.contains($0) } + losses.filter { !kept.contains($0) })
            return options
        }
        _ = minimize(Array(Set(present)).sorted()) { (shrinker: inout Shrinker, kept) in
            shrinker.fails(keeping(kept), &result)
        }
    }

    /// The ddmin algorithm (Zeller and Hildebrandt, TSE 2002): a subset that still fails, of which no part can be left
    /// out.
    mutating func minimize(_ elements: [Int], fails: (inout Shrinker, [Int]) -> Bool) -> [Int] {
        if fails(&self, []) { return [] }
        var kept = elements
        var parts = 2
        while kept.count > 1, !isOver() {
            let size = (kept.count + parts - 1) / parts
            let chunks = stride(from: 0, to: kept.count, by: size).map { Array(kept[$0..<min($0 + size, kept.count)]) }
            if let chunk = chunks.first(where: { parts > 2 || $0.count < kept.count ? fails(&self, $0) : false }) {
                (kept, parts) = (chunk, 2)
                continue
            }
            let complements = chunks.indices.map { skipped in
                chunks.indices.filter { $0 != skipped }.flatMap { chunks[$0] }
            }
            if chunks.count > 2, let rest = complements.first(where: { fails(&self, $0) }) {
                (kept, parts) = (rest, max(parts - 1, 2))
                continue
            }
            if parts >= kept.count { break }
            parts = min(kept.count, parts * 2)
        }
        return kept
    }
}

extension SimulationFailure {
    /// What kind of thing broke: its words without numbers, identifiers and names of single hosts.
    public var kind: String {
        what.split { $0 == " " || $0 == "\n" }.filter { !$0.contains(where: \.isNumber) }.prefix(8).joined(
            separator: " ")
    }

    /// Not everything was answered and equal in time; what did happen was right.
    public var isOfLiveness: Bool { what.hasPrefix("not everything is answered") }
}

extension SimulationOptions {
    /// The arguments of `quorate simulate` that make this run.
    public var arguments: [String] {
        let standard = SimulationOptions(seed: seed, profile: profile)
        var words = ["--seed", "\(seed)", "--profile", profile.rawValue]
        func add(_ name: String, _ path: KeyPath<SimulationOptions, Int>) {
            if self[keyPath: path] != standard[keyPath: path] { words += [name, "\(self[keyPath: path])"] }
        }
        add("--shards", \.shards)
        add("--replicas", \.replicas)
        add("--clients", \.clients)
        add("--transfers", \.transfersPerClient)
        if deadline != standard.deadline { words += ["--deadline", "\(deadline / 1_000_000_000)"] }
        if let steps { words += ["--steps", "\(steps)"] }
        if let lastFault { words += lastFault < 0 ? ["--no-faults"] : ["--last-fault", "\(lastFault)"] }
        if !suppressed.isEmpty { words += ["--suppress", FaultList(suppressed).description] }
        return words
    }
}
