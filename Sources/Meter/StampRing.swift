import Messages
import Synchronization

/// The newest stamps of the requests that a process traces, in memory that does not grow any more once it is full. Any
/// thread may add to it.
public final class StampRing: Sendable {
    fileprivate struct State {
        var stamps: [Stamp] = []
        /// How many there ever were: the place of the next one.
        var next: UInt64 = 0
        /// Of the uptime, in which there were so many questions.
        var second: UInt64 = 0
        var answers = 0
    }

    /// Which requests are traced; only of these anything should be added.
    public let sampling: TraceSampling
    /// How many stamps are kept.
    public let capacity: Int
    private let state = Mutex(State())

    /// 32,768 stamps: some 2 MB, once they were taken.
    public static let usualCapacity = 32_768
    /// More questions get no answer: whoever asks without end does not stop the process's work.
    public static let answersPerSecond = 500

    /// Nil if nothing is traced: then there is nothing to keep, and who would stamp sees that at once.
    public init?(_ sampling: TraceSampling, capacity: Int = StampRing.usualCapacity) {
        precondition(capacity >= 1)
        guard sampling.isOn else { return nil }
        (self.sampling, self.capacity) = (sampling, capacity)
    }

    /// Takes the place of the oldest, if it is full.
    public func add(_ stamp: Stamp) {
        state.withLock { state in
            if state.stamps.count < capacity {
                state.stamps.append(stamp)
            } else {
                state.stamps[Int(state.next % UInt64(capacity))] = stamp
            }
            state.next += 1
        }
    }

    /// What is kept of that, bounded. A place that is not kept any more counts as the oldest that is.
    /// - Returns: nil if too much was asked in this second: an answer may cost as much as some requests do.
    public func answer(_ query: StampQuery, now: Instant) -> StampAnswer? {
        state.withLock { state in
            guard state.mayAnswer(at: now) else { return nil }
            let (found, next) =
                switch query {
                case .of(let request): (state.stamps(of: request), state.next)
                case .since(let place): state.stamps(since: place, capacity: capacity)
                }
            return StampAnswer(now: now, sampling: sampling, next: next, stamps: found)
        }
    }
}

extension StampRing.State {
    mutating func mayAnswer(at now: Instant) -> Bool {
        let second = now.uptime / 1_000_000_000
        if second != self.second { (self.second, answers) = (second, 0) }
        answers += 1
        return answers <= StampRing.answersPerSecond
    }

    func stamps(of request: Digest) -> [Stamp] {
        // The oldest is where the next one goes, in a ring that is full.
        let oldest = stamps.isEmpty ? 0 : Int(next % UInt64(stamps.count))
        var found: [Stamp] = []
        for part in [stamps[oldest...], stamps[..<oldest]] {
            for stamp in part where stamp.request == request && found.count < StampAnswer.maxStamps {
                found.append(stamp)
            }
        }
        return found
    }

    func stamps(since place: UInt64, capacity: Int) -> (found: [Stamp], next: UInt64) {
        let start = min(max(place, next - UInt64(stamps.count)), next)
        let end = min(start + UInt64(StampAnswer.maxStamps), next)
        return ((start..<end).map { stamps[Int($0 % UInt64(capacity))] }, end)
    }
}
