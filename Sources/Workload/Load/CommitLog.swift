import Messages
import Synchronization

/// When each operation of a load started and ended, as its client saw it: for whoever does something to the cluster
/// meanwhile, and asks what it cost. Monotonic nanoseconds throughout.
public final class CommitLog: Sendable {
    /// A stretch of time without a commit.
    public struct Gap: Sendable, Equatable {
        /// When it begins: with a commit, or where the question begins.
        public let start: UInt64
        /// When it ends: with a commit, or where the question ends.
        public let end: UInt64
        /// - Precondition: `start` is not after `end`; it is not checked here.
        public init(start: UInt64, end: UInt64) { (self.start, self.end) = (start, end) }
    }

    private struct Entry: Sendable {
        let start: UInt64
        let end: UInt64
        let isCommitted: Bool
    }

    private struct State {
        var open: [Int: UInt64] = [:]
        /// Ascending by end.
        var ended: [Entry] = []
        var isStopped = false
    }

    private let state = Mutex(State())

    /// Nothing has started, and the load may go on.
    public init() {}

    /// The load starts nothing more.
    public func stop() { state.withLock { $0.isStopped = true } }

    /// Whether `stop` was called. The source then gives no more work.
    public var isStopped: Bool { state.withLock { $0.isStopped } }

    /// A work leaves its client for the first time.
    public func begin(_ work: Int, at now: UInt64) { state.withLock { $0.open[work] = now } }

    /// One operation has its outcome.
    public func end(startedAt start: UInt64, at now: UInt64, isCommitted: Bool) {
        state.withLock { state in
            // Threads that finish at once may come in the wrong order by a hair.
            let end = max(now, state.ended.last?.end ?? 0)
            state.ended.append(Entry(start: min(start, end), end: end, isCommitted: isCommitted))
        }
    }

    /// All operations of a work have their outcome.
    public func finish(_ work: Int) { state.withLock { $0.open[work] = nil } }

    /// How many works that had started by `moment` are still without an outcome.
    public func unfinished(startedBy moment: UInt64) -> Int {
        state.withLock { state in state.open.values.count { $0 <= moment } }
    }

    /// Operations committed from `start` up to but not at `end`.
    public func commits(from start: UInt64, to end: UInt64) -> Int {
        state.withLock { state in
            state.ended[Self.firstIndex(state.ended, endingAt: start)...].prefix { $0.end < end }.count {
                $0.isCommitted
            }
        }
    }

    /// The first commit at or after a moment; nil if there is none yet.
    public func firstCommit(from start: UInt64) -> UInt64? {
        state.withLock { state in
            state.ended[Self.firstIndex(state.ended, endingAt: start)...].first { $0.isCommitted }?.end
        }
    }

    /// The longest time without a commit between the two moments, which themselves bound it.
    public func longestGap(from start: UInt64, to end: UInt64) -> Gap {
        precondition(start <= end)
        return state.withLock { state in
            var longest = Gap(start: start, end: start)
            var last = start
            for entry in state.ended[Self.firstIndex(state.ended, endingAt: start)...] {
                guard entry.end < end else { break }
                guard entry.isCommitted else { continue }
                if entry.end - last > longest.end - longest.start { longest = Gap(start: last, end: entry.end) }
                last = entry.end
            }
            return end - last > longest.end - longest.start ? Gap(start: last, end: end) : longest
        }
    }

    /// The longest that any operation took which has ended and was under way at some moment from `start` to `end`; nil
    /// if there was none.
    public func longestLatency(underWayFrom start: UInt64, to end: UInt64) -> UInt64? {
        state.withLock { state in
            state.ended[Self.firstIndex(state.ended, endingAt: start)...].lazy.filter { $0.start <= end }.map {
                $0.end - $0.start
            }.max()
        }
    }

    private static func firstIndex(_ entries: [Entry], endingAt moment: UInt64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].end < moment { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// A source whose works and outcomes go into a `CommitLog`, and which ends when the log is stopped.
public struct LoggedSource<Base: WorkSource>: WorkSource {
    /// The source that the load came from, with what it has measured.
    public private(set) var base: Base
    private let log: CommitLog

    /// - Parameter log: shared with whoever watches the load.
    public init(_ base: Base, log: CommitLog) { (self.base, self.log) = (base, log) }

    /// The base's.
    public var progress: WorkProgress { base.progress }

    /// The base's next work, noted as begun at `now`; nil once the log is stopped.
    public mutating func next(now: Instant) -> Work? {
        guard !log.isStopped, let work = base.next(now: now) else { return nil }
        log.begin(work.id, at: now.uptime)
        return work
    }

    /// As soon as the log is stopped, whatever the base still has.
    public func isExhausted(now: Instant) -> Bool { log.isStopped || base.isExhausted(now: now) }

    /// Passed on.
    public mutating func answered(_ work: Work, _ answer: CallAnswer) { base.answered(work, answer) }

    /// Notes the operation's end, and its start so many microseconds before.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        let latency = min(now.uptime, microseconds * 1000)
        log.end(startedAt: now.uptime - latency, at: now.uptime, isCommitted: outcome == .committed)
        base.completed(work, leg: leg, outcome: outcome, microseconds: microseconds, now: now)
    }

    /// The work is no longer among the unfinished ones.
    public mutating func finished(_ work: Work, now: Instant) {
        log.finish(work.id)
        base.finished(work, now: now)
    }
}
