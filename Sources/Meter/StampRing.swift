import Messages
import Synchronization

/// The newest stamps of the requests that a process traces, in memory that does not grow any more once it is full. Any
/// thread may add to it.
public final class StampRing: Sendable {
    private struct State {
        var stamps: [Stamp] = []
        /// How many there ever were: the place of the next one.
        var next: UInt64 = 0
    }

    /// Which requests are traced; only of these anything should be added.
    public let sampling: TraceSampling
    /// How many stamps are kept.
    public let capacity: Int
    private let state = Mutex(State())

    /// 32,768 stamps: some 2 MB, once they were taken.
    public static let usualCapacity = 32_768

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
    public func answer(_ query: StampQuery, now: Instant) -> StampAnswer {
        state.withLock { state in
            let oldest = state.next - UInt64(state.stamps.count)
            var found: [Stamp] = []
            var next = state.next
            switch query {
            case .of(let request):
                for place in oldest..<state.next {
                    let stamp = state.stamps[Int(place % UInt64(capacity))]
                    guard stamp.request == request else { continue }
                    found.append(stamp)
                    if found.count == StampAnswer.maxStamps { break }
                }
            case .since(let place):
                let start = min(max(place, oldest), state.next)
                next = min(start + UInt64(StampAnswer.maxStamps), state.next)
                found = (start..<next).map { state.stamps[Int($0 % UInt64(capacity))] }
            }
            return StampAnswer(now: now, sampling: sampling, next: next, stamps: found)
        }
    }
}
