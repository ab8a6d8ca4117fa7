import Messages
import Synchronization

/// The newest moments of a host's batches, in memory that does not grow any more once it is full. Any thread may add to
/// it.
public final class BatchMomentRing: Sendable {
    fileprivate struct State {
        var moments: [BatchMoment] = []
        /// How many there ever were: the place of the next one.
        var next: UInt64 = 0
        /// Of the uptime, in which there were so many questions.
        var second: UInt64 = 0
        var answers = 0
    }

    /// How many moments are kept.
    public let capacity: Int
    private let state = Mutex(State())

    /// 32,768 moments: some 1.5 MB, once they were noted, and some seconds of a busy host.
    public static let usualCapacity = 32_768
    /// More questions get no moments: whoever asks without end does not stop the process's work.
    public static let answersPerSecond = 200

    /// Empty.
    public init(capacity: Int = BatchMomentRing.usualCapacity) {
        precondition(capacity >= 1)
        self.capacity = capacity
    }

    /// Take the places of the oldest, if it is full. One lock for all.
    public func add(_ moments: some Sequence<BatchMoment>) {
        state.withLock { state in
            for moment in moments {
                if state.moments.count < capacity {
                    state.moments.append(moment)
                } else {
                    state.moments[Int(state.next % UInt64(capacity))] = moment
                }
                state.next += 1
            }
        }
    }

    /// What is kept of that, bounded, and where to go on. A place that is not kept any more counts as the oldest that
    /// is, and one that never was as the next one.
    public func answer(_ query: ObservationQuery, now: Instant) -> (moments: [BatchMoment], next: UInt64) {
        state.withLock { state in
            guard state.mayAnswer(at: now) else { return ([], query.since) }
            var place = min(max(query.since, state.next - UInt64(state.moments.count)), state.next)
            var found: [BatchMoment] = []
            while place < state.next, found.count < HostObservation.maxMoments {
                let moment = state.moments[Int(place % UInt64(capacity))]
                if moment.kind.isOfEveryBatch && !query.isSampled || moment.isSampled { found.append(moment) }
                place += 1
            }
            return (found, place)
        }
    }
}

extension BatchMomentRing.State {
    fileprivate mutating func mayAnswer(at now: Instant) -> Bool {
        let second = now.uptime / 1_000_000_000
        if second != self.second { (self.second, answers) = (second, 0) }
        answers += 1
        return answers <= BatchMomentRing.answersPerSecond
    }
}
