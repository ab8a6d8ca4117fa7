import DequeModule
import Cores
import Messages

/// R2: what a shard's time may be.
struct ShardTimeChecks {
    /// The shard's time after a sequence number, which is the same for all and never goes back.
    private var times: [RuleChecks.Place: Timestamp] = [:]
    private var executedTimes: Set<Timestamp> = []
    /// What correct hosts' clocks showed of late.
    private var clocks = HighestClock()
    private var now: UInt64 = 0
    /// By shard, when a correct host last executed something new. Nanoseconds.
    private(set) var executedAt: [ShardID: UInt64] = [:]

    /// Before each step of a correct host.
    mutating func noteClock(_ clock: Timestamp, ahead: UInt64, now: UInt64) {
        self.now = now
        clocks.note(clock.adding(microseconds: ahead), now: now)
    }

    /// A shard's time goes on to what a correct host's clock showed when the batch was proposed, and what a proposal
    /// may be ahead of it, and no further; or to a time that was executed before. Where the clocks were before that
    /// excuses nothing.
    mutating func observe(_ progress: HostCore.Progress) throws {
        let position = RuleChecks.Place(shard: progress.shard, sequence: progress.sequence)
        if let known = times[position] {
            guard known != progress.time else { return }
            throw Checks.Violation(
                description:
                    "after \(progress.sequence) shard \(progress.shard)'s time is \(known) and \(progress.time)")
        }
        let before =
            progress.sequence > .zero
            ? times[.init(shard: progress.shard, sequence: SequenceNumber(progress.sequence.number - 1))] : nil
        if let before, before > progress.time {
            throw Checks.Violation(
                description:
                    "shard \(progress.shard)'s time goes back at \(progress.sequence), from \(before) to \(progress.time)"
            )
        }
        if before != progress.time, let highest = clocks.highest, progress.time > highest,
            !executedTimes.contains(progress.time)
        {
            let ahead = progress.time.microseconds(since: highest) / 1000
            throw Checks.Violation(
                description:
                    "shard \(progress.shard)'s time is \(ahead) ms later than any correct host's clock allowed in \(HighestClock.window / 1_000_000_000) s"
            )
        }
        times[position] = progress.time
        executedTimes.insert(progress.time)
        executedAt[progress.shard] = now
    }
}

/// The highest clock of the last minute: longer than it takes from the proposal of a batch to its execution, over view
/// changes.
struct HighestClock {
    /// Nanoseconds.
    static let window: UInt64 = 60_000_000_000
    /// Later ones are lower.
    private var shown: Deque<(now: UInt64, clock: Timestamp)> = []

    mutating func note(_ clock: Timestamp, now: UInt64) {
        while let last = shown.last, last.clock <= clock { shown.removeLast() }
        shown.append((now, clock))
        while shown.count > 1, let first = shown.first, first.now + Self.window < now { shown.removeFirst() }
    }

    var highest: Timestamp? { shown.first?.clock }
}
