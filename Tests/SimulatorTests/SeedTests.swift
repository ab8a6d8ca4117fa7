import Foundation
import Simulator
import Testing

/// A seed that failed once.
struct RegressionSeed: Sendable, CustomStringConvertible {
    let profile: SimulationOptions.Profile
    let seed: UInt64
    var replicas = 4
    var jumpsClocks = false
    let why: String
    var description: String { "\(profile.rawValue) \(seed), \(replicas) replicas: \(why)" }

    static let all =
        [
            RegressionSeed(
                profile: .byzantine, seed: 180,
                why: "a pushed request was not ordered where only some of its legs were recorded"),
            RegressionSeed(
                profile: .everything, seed: 1451,
                why: "replay after a crash flushed no state, and no two hosts offered the same"),
            RegressionSeed(
                profile: .crashes, seed: 1137,
                why: "replay after a crash flushed no state, and no two hosts offered the same"),
            RegressionSeed(
                profile: .everything, seed: 3075,
                why: "two hosts had written down different states, and neither knew the other's"),
            RegressionSeed(
                profile: .crashes, seed: 6241,
                why: "a replica that only one host could no longer give batches never asked for a state"),
            RegressionSeed(
                profile: .everything, seed: 1760, why: "one host alone had the state, another vouched for it in vain"),
            RegressionSeed(
                profile: .everything, seed: 194,
                why: "a backup that fetched states forwarded what was executed long before"),
            RegressionSeed(
                profile: .everything, seed: 1014,
                why: "a backup that fetched states forwarded what was executed long before"),
            RegressionSeed(
                profile: .everything, seed: 166,
                why: "a replica and the peer that refused it answered each other without end"),
            RegressionSeed(profile: .crashes, seed: 220, why: "stalled while rejoin and state transfer were new"),
            RegressionSeed(
                profile: .everything, seed: 3703, replicas: 7, why: "three vouched for a state, and four were asked for"
            ),
            RegressionSeed(
                profile: .everything, seed: 70173,
                why: "who had written down nothing late enough did not vouch for what another had"),
            RegressionSeed(
                profile: .everything, seed: 78851,
                why: "who had written down nothing late enough did not vouch for what another had"),
            RegressionSeed(
                profile: .everything, seed: 237,
                why: "two waited for a batch, but none of its requests waited at one of them"),
            RegressionSeed(
                profile: .everything, seed: 47674,
                why: "a primary that lagged selected numbers beyond its window, and did not remember"),
            RegressionSeed(
                profile: .everything, seed: 4430, replicas: 7,
                why: "the last record rotted, and only one peer had heard of it"),
            RegressionSeed(
                profile: .everything, seed: 11_116,
                why: "one host alone held a request of which a mute primary had not heard"),
            RegressionSeed(
                profile: .everything, seed: 12_794,
                why: "one host alone held a proposal of a mute primary, and voted for it without end"),
            RegressionSeed(
                profile: .everything, seed: 5_008_606,
                why: "all that a quarantined host had written down rotted, and looked like a torn tail"),
            RegressionSeed(
                profile: .everything, seed: 9_003_624,
                why: "one host mute, one without a leaf, and nobody counted the word of his own replica"),
            RegressionSeed(
                profile: .everything, seed: 1_006_493,
                why: "a quarantined replica refused a peer, could not say so, and waited for its CHECKPOINT"),
            RegressionSeed(
                profile: .everything, seed: 11_000_257, why: "the same, and the peer had started again since"),
            RegressionSeed(
                profile: .everything, seed: 27_000_911, replicas: 7,
                why: "an idle shard's primary was faulty and moved nothing, so a quarantine never ended"),
            RegressionSeed(
                profile: .everything, seed: 210_006_753,
                why: "of two batches in one step, the first one's refusals were held against the second one's time"),
        ]
        + withOneGoneAhead.map {
            RegressionSeed(
                profile: .everything, seed: $0,
                why: "with one quarantined and one gone to the next view, a third suspected alone")
        }
        + refusedWithoutEnd.map {
            RegressionSeed(profile: .everything, seed: $0, why: "refusals and their answers multiplied")
        }
        + whileRejoinWasNew.map {
            RegressionSeed(profile: .everything, seed: $0, why: "stalled while rejoin and state transfer were new")
        }

    private static let withOneGoneAhead: [UInt64] = [601_802, 604_232, 616_587, 619_103]
    private static let refusedWithoutEnd: [UInt64] = [600_761, 601_448, 605_115, 608_374, 609_410, 610_630, 613_651]
    private static let whileRejoinWasNew: [UInt64] = [
        101_561, 102_637, 103_123, 103_437, 103_720, 104_211, 200_384, 200_644, 200_806, 200_850, 201_043, 201_296,
        202_232, 203_040,
        300_051, 300_514, 400_297, 400_455, 402_590, 402_777,
    ]
}

@Suite struct SeedTests {
    @Test(arguments: RegressionSeed.all)
    func aSeedThatFailedOnceHolds(_ regression: RegressionSeed) throws {
        var options = SimulationOptions(seed: regression.seed, profile: regression.profile)
        options.replicas = regression.replicas
        // As it was when it failed.
        options.jumpsClocks = regression.jumpsClocks
        options.freezes = false
        if options.pipeline > 1 { (options.pipeline, options.transfersPerClient) = (1, options.transfersPerClient - 4) }
        var simulation = Simulation(options)
        _ = try simulation.run()
    }

    /// A client's transfers are under way together in a third of the runs, and some of them overtake each other.
    @Test func clientsThatPipelineAreRefusedAndStillGetTheirOrder() throws {
        var (followers, refusals, pipelined) = (0, 0, 0)
        for seed in UInt64(1)...30 {
            let options = SimulationOptions(seed: seed, profile: .lossy)
            guard options.pipeline > 1 else { continue }
            pipelined += 1
            var simulation = Simulation(options)
            let summary = try simulation.run()
            (followers, refusals) = (followers + summary.followers, refusals + summary.outOfOrder)
        }
        #expect(pipelined >= 5 && followers > 20 && refusals > 0, "\(pipelined) runs: \(followers), \(refusals)")
    }

    /// docs/decisions/0047: accounts are frozen while transfers and calls run; some are refused for it, and nothing that
    /// was promised before is undone.
    @Test(arguments: [SimulationOptions.Profile.calm, .lossy, .everything])
    func accountsAreFrozenWhileTransfersRun(profile: SimulationOptions.Profile) throws {
        var (freezes, refused) = (0, 0)
        for seed in UInt64(1)...6 {
            var options = SimulationOptions(seed: seed, profile: profile)
            (options.freezes, options.transfersPerClient) = (true, 10)
            var simulation = Simulation(options)
            let summary = try simulation.run()
            (freezes, refused) = (freezes + summary.freezes, refused + summary.refusedAsFrozen)
        }
        // Where liars and power cuts leave gaps in what was attested, freezes are not counted behind them.
        #expect((freezes > 15 || profile != .calm) && refused > 5, "\(freezes) freezes, \(refused) refused")
    }

    /// R12: with room for four undecided legs, everything still ends: what is decided makes room, and certified votes
    /// of debits bring credits in.
    @Test(arguments: [SimulationOptions.Profile.calm, .lossy, .everything])
    func aNarrowShardEndsEverything(profile: SimulationOptions.Profile) throws {
        for seed in UInt64(1)...10 {
            var options = SimulationOptions(seed: seed, profile: profile)
            options.host.shard.maxUndecided = 4
            (options.clients, options.accounts) = (8, 8)
            var simulation = Simulation(options)
            _ = try simulation.run()
        }
    }

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
