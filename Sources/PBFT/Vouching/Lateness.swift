import Messages

/// For which backups' word the gate waits (docs/decisions/0040).
///
/// For each backup there is a patience of `stepInAfter`, which every wait for its word takes from, and which time gives
/// back. So the wait for a batch goes on from where the waits for those before it ended, and who is always just in time
/// holds up one batch, and not each in turn. All waits together have another such purse, so that in the long run a
/// quarter of the time is spent on waiting, however many take turns at being late. Whose patience is over is late, and
/// nobody waits for it until it was in time for some batches.
package struct Lateness: Sendable {
    private let full: UInt64
    /// By backup, what is left.
    private var patience: [UInt64]
    /// For all of them together.
    private var common: UInt64
    /// By backup, for how many more batches nobody waits for its word.
    private var probation: [Int]
    private var filledAt: UInt64 = 0
    /// For whose word nobody waits.
    package private(set) var late = ReplicaSet()

    /// So many batches that are there in time make up for having been late.
    private static let batches = 8
    /// So much of the time is given back.
    private static let part: UInt64 = 4

    package init(configuration: ReplicaConfiguration) {
        full = configuration.limits.stepInAfter
        common = full
        patience = Array(repeating: full, count: configuration.group.n)
        probation = Array(repeating: 0, count: configuration.group.n)
    }

    /// Another batch is the next to be executed.
    /// - Parameter timely: whose word is there.
    package mutating func begin(timely: ReplicaSet, now: UInt64) {
        let back = min(full, (now - min(now, filledAt)) / Self.part)
        filledAt = now
        common = min(full, common + back)
        for i in patience.indices {
            patience[i] = min(full, patience[i] + back)
            guard probation[i] > 0, timely.contains(ReplicaIndex(UInt8(i))) else { continue }
            probation[i] -= 1
            if probation[i] == 0 { late.subtract(ReplicaSet([ReplicaIndex(UInt8(i))])) }
        }
    }

    /// The next batch has waited so long for the word of these.
    package mutating func wait(_ time: UInt64, for missing: ReplicaSet) {
        guard !missing.isEmpty else { return }
        // Who is late already is not waited for: then this replica waits for its own look.
        if !missing.subtracting(late).isEmpty { common -= min(common, time) }
        for i in patience.indices where missing.contains(ReplicaIndex(UInt8(i))) {
            patience[i] -= min(patience[i], time)
            guard patience[i] == 0 || common == 0 else { continue }
            // Only time gives it back: batches that are in time may come all at once.
            (patience[i], probation[i]) = (0, Self.batches)
            late.insert(ReplicaIndex(UInt8(i)))
        }
    }
}
