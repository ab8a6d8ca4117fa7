import Foundation
import Messages
import Simulator
import Testing

/// The same seed gives the same run, event for event: in one process, in another, on another machine.
@Suite struct DeterminismTests {
    private func log(seed: UInt64, steps: Int? = nil) throws -> [String] {
        var options = SimulationOptions(seed: seed, profile: .everything)
        options.keepsLog = true
        options.steps = steps
        var simulation = Simulation(options)
        _ = try simulation.run()
        return simulation.log
    }

    private func digest(_ log: [String]) -> String {
        var hasher = Hasher256()
        for line in log { hasher.update(Array((line + "\n").utf8)) }
        return hasher.finish().hex
    }

    @Test func aSeedGivesTheSameLogTwice() throws {
        for seed in UInt64(1)...5 { #expect(try log(seed: seed) == log(seed: seed)) }
    }

    /// The order of a `Set` or `Dictionary` differs from process to process; none may show: the digests that another
    /// process wrote are compared. A change of the protocol, of its messages or of the simulation changes them:
    /// `QUORATE_UPDATE_GOLDEN=1` writes them anew, and a second run proves them.
    @Test func aSeedGivesTheSameLogInEveryProcess() throws {
        let golden = GoldenScenarioTests.folder.appending(path: "everything.digests")
        var lines = ""
        for seed in UInt64(1)...4 { lines += "\(seed) \(digest(try log(seed: seed)))\n" }
        if ProcessInfo.processInfo.environment["QUORATE_UPDATE_GOLDEN"] == "1" {
            try lines.write(to: golden, atomically: true, encoding: .utf8)
        } else {
            #expect(try String(contentsOf: golden, encoding: .utf8) == lines)
        }
    }

    @Test func aRunOfLimitedStepsIsThePrefixOfTheWholeRun() throws {
        let (whole, part) = (try log(seed: 3), try log(seed: 3, steps: 1000))
        #expect(!part.isEmpty && part.count < whole.count && Array(whole.prefix(part.count)) == part)
    }
}
