import WriteAheadLog
import Simulator
import Testing

/// R7, and "an acknowledged transaction lost, with every host killed, or the power cut, at any moment".
/// Repeat one: set `firstSeed` to the seed that a failure prints, and `seeds` to 1.
@Suite struct JournalPropertyTests {
    static let firstSeed: UInt64 = 1
    static let seeds: UInt64 = 3_000

    @Test(arguments: 0..<8)
    func everySyncedRecordSurvivesPowerLossesKillsAndFailedSyncsInOrder(_ part: UInt64) throws {
        for seed in Self.firstSeed..<Self.firstSeed + Self.seeds where seed % 8 == part {
            var harness = try JournalHarness(seed: seed)
            try harness.run(steps: 60)
        }
    }

    @Test func noDamagedByteLosesARecordSilently() throws {
        for seed in 100_000..<UInt64(101_500) {
            var harness = try JournalHarness(seed: seed)
            try harness.run(steps: 30)
            try harness.rotOneByte()
        }
    }
}
