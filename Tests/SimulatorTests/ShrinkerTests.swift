import Simulator
import Testing

/// The shrinker on runs that are made up, and the numbering of faults that it rests on.
@Suite struct ShrinkerTests {
    private static let bad = "shard 0 executed different batches up to 12"

    /// A run with 20 faults, of which those that are neither suppressed nor beyond the last happen.
    private static func happening(_ options: SimulationOptions) -> [Simulation.InjectedFault] {
        (0..<20).filter { $0 <= options.lastFault ?? .max && !options.suppressed.contains($0) }
            .map { Simulation.InjectedFault(number: $0, time: UInt64($0) * 1_000_000_000, what: "fault \($0)") }
    }

    private func shrink(
        _ options: SimulationOptions, isOver: @escaping () -> Bool = { false },
        what: @escaping (SimulationOptions, Set<Int>) -> String?
    ) -> Shrinker.Result? {
        var shrinker = Shrinker(isOver: isOver) { options in
            let faults = Self.happening(options)
            let failure = what(options, Set(faults.map(\.number))).map {
                SimulationFailure(seed: options.seed, time: 0, what: $0, log: [])
            }
            return Shrinker.Attempt(failure: failure, faults: faults, steps: 1000)
        }
        return shrinker.shrink(options)
    }

    @Test func onlyTheFaultsThatAFailureNeedsAreLeft() throws {
        let result = try #require(
            shrink(SimulationOptions(seed: 1, profile: .crashes)) { _, faults in
                faults.isSuperset(of: [3, 11]) ? Self.bad : nil
            })
        #expect(result.faults.map(\.number) == [3, 11])
        #expect(result.options.lastFault == 11)
        #expect(result.options.suppressed == Set(0..<11).subtracting([3]))
        #expect(result.runs < 100)
    }

    @Test func aFailureThatNeedsNoFaultKeepsNone() throws {
        let result = try #require(shrink(SimulationOptions(seed: 1, profile: .everything)) { _, _ in Self.bad })
        #expect(result.faults.isEmpty)
        #expect((result.options.shards, result.options.clients, result.options.transfersPerClient) == (1, 1, 1))
        #expect(result.options.arguments.contains("--no-faults"))
    }

    @Test func theClusterGetsSmallerWhileTheSameBreaks() throws {
        var options = SimulationOptions(seed: 1, profile: .calm)
        options.replicas = 10
        let result = try #require(
            shrink(options) { options, _ in
                options.clients >= 2 && options.replicas >= 7
                    ? "shard \(options.shards) executed different batches up to \(options.seed)" : nil
            })
        #expect((result.options.replicas, result.options.clients, result.options.shards) == (7, 2, 1))
    }

    @Test func anotherFailureIsNotTakenForTheSame() throws {
        let result = try #require(
            shrink(SimulationOptions(seed: 1, profile: .crashes)) { _, faults in
                faults.contains(5) ? Self.bad : "host 2 is down at the end"
            })
        #expect(result.faults.map(\.number) == [5])
        #expect(result.failure.what == Self.bad)
    }

    @Test func aRunThatHoldsIsNotShrunk() {
        #expect(shrink(SimulationOptions(seed: 1, profile: .calm)) { _, _ in nil } == nil)
    }

    @Test func whenTheTimeIsUpTheBestSoFarIsTheAnswer() throws {
        let result = try #require(
            shrink(SimulationOptions(seed: 1, profile: .crashes), isOver: { true }) { _, _ in Self.bad })
        #expect(result.runs == 1)
        #expect(result.faults.count == 20)
    }

    @Test func aSafetyFailureIsNotAwaitedForEver() {
        var limits: [Int?] = []
        var shrinker = Shrinker(isOver: { limits.count > 5 }) { options in
            limits.append(options.steps)
            return Shrinker.Attempt(
                failure: SimulationFailure(seed: 1, time: 0, what: Self.bad, log: []), faults: Self.happening(options),
                steps: 1000)
        }
        let result = shrinker.shrink(SimulationOptions(seed: 1, profile: .crashes))
        #expect(limits.first == .some(nil))
        #expect(limits.dropFirst().allSatisfy { $0 == 2000 })
        // The command that is shown runs to the failure by itself.
        #expect(result?.options.steps == nil)
    }

    @Test func failuresAreTheSameIfTheirWordsAre() {
        func kind(_ what: String) -> String { SimulationFailure(seed: 1, time: 0, what: what, log: []).kind }
        #expect(
            kind("host 0: shard 1 executed different batches up to 5")
                == kind("host 3: shard 0 executed different batches up to 77"))
        #expect(kind("host 0 is down at the end") != kind("3 posted, 4 issued"))
    }

    /// What fault k is follows from the seed and k alone.
    @Test func leavingOneFaultOutLeavesTheOthersAsTheyWere() throws {
        var options = SimulationOptions(seed: 5, profile: .partitions)
        var whole = Simulation(options)
        _ = try whole.run()
        try #require(whole.faults.count > 4)
        options.suppressed = [1, 3]
        var part = Simulation(options)
        _ = try part.run()
        let known = Dictionary(uniqueKeysWithValues: whole.faults.map { ($0.number, $0) })
        for fault in part.faults { if let same = known[fault.number] { #expect(fault == same) } }
        #expect(!part.faults.contains { [1, 3].contains($0.number) })
        #expect(part.faults.contains { $0.number > 3 })
    }

    @Test func aRunStopsAfterItsSteps() throws {
        var options = SimulationOptions(seed: 5, profile: .everything)
        options.steps = 500
        var simulation = Simulation(options)
        #expect(try simulation.run().steps == 500)
    }

    @Test func theArgumentsNameWhatIsNotStandard() {
        var options = SimulationOptions(seed: 9, profile: .lossy)
        #expect(options.arguments == ["--seed", "9", "--profile", "lossy"])
        options.replicas = 7
        options.clients = 1
        options.lastFault = 6
        options.suppressed = [0, 1, 2, 10_004]
        #expect(
            options.arguments.joined(separator: " ")
                == "--seed 9 --profile lossy --replicas 7 --clients 1 --last-fault 6 --suppress 0..2,10004")
    }
}
