import Messages
import Synchronization

/// What a load has brought since it was looked at last, for whoever shows it while it runs, and how it is told to end.
public final class LiveFigures: Sendable {
    /// What ended since the last look, or since the beginning.
    public struct Figures: Sendable, Equatable {
        /// Operations with verified certificates that they took effect.
        public var committed = 0
        /// Operations with verified certificates that they did not, by reason.
        public var aborts: [AbortReason: Int] = [:]
        /// Operations of which nothing was certified in time.
        public var unknown = 0
        /// Of what was committed on one shard: microseconds, in the order of the ends.
        public var intra: [UInt64] = []
        /// The same over two shards.
        public var cross: [UInt64] = []
        /// All zero.
        public init() {}

        /// Of all reasons.
        public var aborted: Int { aborts.values.reduce(0, +) }

        /// By nearest rank: the smallest value that so many of a hundred are not above.
        /// - Parameter percent: 0 to 100.
        /// - Returns: microseconds; nil of nothing.
        public static func percentile(_ percent: Int, of latencies: [UInt64]) -> UInt64? {
            precondition((0...100).contains(percent))
            guard !latencies.isEmpty else { return nil }
            return latencies.sorted()[max(0, (latencies.count * percent + 99) / 100 - 1)]
        }
    }

    private struct State {
        var window = Figures()
        /// Without latencies, of which there would be ever more.
        var total = Figures()
        var begun = 0
        var finished = 0
        var isStopped = false
    }

    private let state = Mutex(State())
    /// Latencies of one look; what nobody looks at must not grow.
    private static let maxLatencies = 100_000

    /// Nothing has begun, and the load may go on.
    public init() {}

    /// The load begins nothing more.
    public func stop() { state.withLock { $0.isStopped = true } }

    /// Whether `stop` was called.
    public var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Works that have begun and have no outcome.
    public var inFlight: Int { state.withLock { $0.begun - $0.finished } }

    /// Since the beginning, without latencies.
    public var total: Figures { state.withLock { $0.total } }

    /// Since the last look.
    public func take() -> Figures {
        state.withLock { state in
            defer { state.window = Figures() }
            return state.window
        }
    }

    /// A work leaves its client for the first time.
    func begin() { state.withLock { $0.begun += 1 } }

    /// All operations of a work have their outcome.
    func finish() { state.withLock { $0.finished += 1 } }

    func record(_ outcome: LegOutcome, isCross: Bool, microseconds: UInt64) {
        state.withLock { state in
            switch outcome {
            case .committed:
                state.window.committed += 1
                state.total.committed += 1
                if isCross, state.window.cross.count < Self.maxLatencies {
                    state.window.cross.append(microseconds)
                } else if !isCross, state.window.intra.count < Self.maxLatencies {
                    state.window.intra.append(microseconds)
                }
            case .aborted(let reason):
                state.window.aborts[reason, default: 0] += 1
                state.total.aborts[reason, default: 0] += 1
            case .unknown:
                state.window.unknown += 1
                state.total.unknown += 1
            }
        }
    }
}
