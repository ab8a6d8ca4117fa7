import Foundation
import Simulator
import Testing

@Suite struct SeedTests {
    @Test(arguments: SimulationOptions.Profile.allCases)
    func everySeedOfAProfileHolds(profile: SimulationOptions.Profile) throws {
        let env = ProcessInfo.processInfo.environment
        let count = UInt64(env["QUORATE_SEEDS"] ?? "") ?? 20
        let first = UInt64(env["QUORATE_FIRST_SEED"] ?? "") ?? 1
        if let only = env["QUORATE_PROFILE"], only != profile.rawValue { return }
        var failures = 0
        for seed in first..<first + count {
            do {
                var options = SimulationOptions(seed: seed, profile: profile)
                options.keepsLog = env["QUORATE_LOG"] != nil
                var simulation = Simulation(options)
                let summary = try simulation.run()
                if env["QUORATE_VERBOSE"] != nil { print(profile, summary) }
            } catch {
                failures += 1
                if failures <= 3 { Issue.record("profile \(profile.rawValue): \(error)") }
            }
        }
        #expect(failures == 0)
    }
}
