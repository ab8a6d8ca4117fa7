import Foundation
import Testing

/// The power goes at any moment, and the disks keep of what was not synced whatever a kernel may leave there: pages
/// missing, mixed or torn. `kill -9` shows none of this (R7).
@Suite(.serialized, .timeLimit(.minutes(10)))
struct PowerLossTests {
    private var options: Trial.Options {
        let env = ProcessInfo.processInfo.environment
        var options = Trial.Options()
        options.seed = UInt64(env["QUORATE_POWERLOSS_SEED"] ?? "") ?? options.seed
        options.images = Int(env["QUORATE_POWERLOSS_IMAGES"] ?? "") ?? options.images
        return options
    }

    /// R3, R7, and invariant 5: an acknowledged transaction is never lost.
    @Test func noMessageIsContradictedAndNoAcknowledgedTransferLostWhereverThePowerGoes() throws {
        let summary = try Trial.run(options)
        print("power loss: \(summary)")
        // That the run was worth cutting.
        #expect(summary.answers > 100)
        #expect(summary.syncs > 1_000)
    }

    // MARK: - That it would notice

    private func expectCaught(_ change: (inout Trial.Options) -> Void) {
        var options = options
        options.images = 60
        options.revivals = 0
        options.fates = [.lost]
        options.keepsImage = false
        change(&options)
        let failure = #expect(throws: Trial.Failure.self) { try Trial.run(options) }
        // Found at a cut, by a check or by a host that refuses to start; not a failure of the run itself.
        #expect(failure?.description.hasPrefix("cut ") == true)
        if ProcessInfo.processInfo.environment["QUORATE_VERBOSE"] != nil { print(failure.map { "\($0)" } ?? "nothing") }
    }

    @Test func aMessageThatLeavesBeforeItsRecordIsDurableIsNoticed() {
        expectCaught { $0.mistake = .persistedBeforeTheSync }
    }

    @Test func aDiskThatOnlySaysThatTheJournalIsSyncedIsNoticed() {
        expectCaught { $0.lies = { $0.contains("/journal/") } }
    }

    @Test func namesOfJournalSegmentsThatAreNotSyncedAreNoticed() {
        expectCaught { $0.lies = { $0.hasSuffix("/journal") } }
    }

    @Test func aFlushThatIsReportedBeforeItIsDurableIsNoticed() {
        // Only the fate that leaves LMDB an older, whole state: mixed pages crash it.
        expectCaught { $0.lies = { $0.hasSuffix("/data.mdb") } }
    }
}
