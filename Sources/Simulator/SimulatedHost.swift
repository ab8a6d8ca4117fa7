import Cores
import Messages

/// One process with its disk and clocks; of twins, one of two.
struct SimulatedHost {
    /// None while the process is dead.
    var core: HostCore?
    var disk = SimulatedDisk()
    /// Counts restarts: events of an earlier life are void.
    var life = 0
    var isSyncing = false
    /// The last of what is to be staged will be.
    var stagesUntil: UInt64 = 0
    /// The storage of this life failed: its replicas have halted.
    var hasFailedStorage = false
    var isToBeDeclared = false
    var clock: HostClock

    var isUp: Bool { core != nil }
}

/// A host's clocks, which are wrong.
struct HostClock {
    /// Of its wall clock, in microseconds.
    var skew: Int64
    /// Of both its clocks, in parts of a million.
    let drift: Int64
    /// A jump of its wall clock that is not put right yet, in microseconds.
    var jump: Int64 = 0

    /// Microseconds.
    private static let mostDrifted: Int64 = 600_000

    func instant(at now: UInt64) -> Instant {
        let passed = Int64(now) + Int64(now) / 1_000_000 * drift
        // Wall clocks are put right now and then: however fast they run, they are not off by more and more.
        let late = min(max((passed - Int64(now)) / 1000, -Self.mostDrifted), Self.mostDrifted)
        return Instant(
            uptime: UInt64(passed) + 1,
            wall: Timestamp(UInt64(1_700_000_000_000_000 + Int64(now) / 1000 + late + skew + jump)))
    }
}
