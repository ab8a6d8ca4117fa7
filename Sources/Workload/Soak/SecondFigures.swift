import Messages
import Synchronization

/// What a load brings in each second, for whoever watches it while it runs, and how it is told to end. A day of seconds
/// is some megabytes: latencies are kept for the present second only.
public final class SecondFigures: Sendable {
    /// What ended within one second.
    public struct Second: Codable, Sendable, Equatable {
        /// With verified certificates that it took effect.
        public var committed = 0
        /// With verified certificates that it did not.
        public var aborted = 0
        /// Without any in time.
        public var unknown = 0
        /// Of what was committed, by nearest rank; null if nothing was.
        public var p50_ms: Double?
        /// 99 of 100 took no longer.
        public var p99_ms: Double?
        /// The slowest.
        public var max_ms: Double?
        /// Nothing ended.
        public init() {}
    }

    private struct State {
        var start: UInt64?
        var closed: [Second] = []
        var present = Second()
        /// Microseconds, of the present second.
        var latencies: [UInt64] = []
        var isStopped = false
    }

    private let state = Mutex(State())
    /// A day: whoever runs for longer sees no more of it.
    private static let limit = 86_400
    private static let nanoseconds: UInt64 = 1_000_000_000

    /// Nothing has begun, and the load may go on.
    public init() {}

    /// The load begins nothing more.
    public func stop() { state.withLock { $0.isStopped = true } }

    /// Whether `stop` was called.
    public var isStopped: Bool { state.withLock { $0.isStopped } }

    /// When the load began: monotonic nanoseconds; nil before.
    public var start: UInt64? { state.withLock { $0.start } }

    /// Of whole seconds that are over, the first of them from the load's begin.
    /// - Parameter now: monotonic nanoseconds.
    public func seconds(now: UInt64) -> [Second] {
        state.withLock { state in
            Self.advance(&state, to: now)
            return state.closed
        }
    }

    func begin(at now: UInt64) { state.withLock { $0.start = $0.start ?? now } }

    func record(_ outcome: LegOutcome, microseconds: UInt64, now: UInt64) {
        state.withLock { state in
            Self.advance(&state, to: now)
            switch outcome {
            case .committed:
                state.present.committed += 1
                state.latencies.append(microseconds)
            case .aborted: state.present.aborted += 1
            case .unknown: state.present.unknown += 1
            }
        }
    }

    private static func advance(_ state: inout State, to now: UInt64) {
        guard let start = state.start else { return }
        let second = Int(min(UInt64(limit), (now - min(now, start)) / nanoseconds))
        while state.closed.count < second {
            var closing = state.present
            if !state.latencies.isEmpty {
                let sorted = state.latencies.sorted()
                func rank(_ percent: Int) -> Double {
                    Double(sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]) / 1000
                }
                (closing.p50_ms, closing.p99_ms, closing.max_ms) = (rank(50), rank(99), rank(100))
            }
            state.closed.append(closing)
            state.present = Second()
            state.latencies.removeAll(keepingCapacity: true)
        }
    }
}
