import Synchronization

/// Notes transactions of concurrent clients, each before it is asked for and after its answer has been checked, in
/// memory and line by line wherever its owner wants them. Times are taken under the lock, so that they ascend from line
/// to line.
public final class HistoryRecorder<Value: HistoryValue>: Sendable {
    private struct State {
        var open: [Int: HistoryEvent<Value>] = [:]
        var finished = History<Value>()
        var begun = 0
        var refused = false
    }

    private let limit: Int
    private let clock: @Sendable () -> UInt64
    private let format: HistoryFormat
    private let sink: (@Sendable (String) -> Void)?
    private let isWrittenAtOnce: Bool
    private let state = Mutex(State())

    /// - Parameters:
    ///   - limit: transactions at most, so that memory and the check have a bound.
    ///   - clock: monotonic nanoseconds.
    ///   - sink: gets every line with its line feed, in order and one at a time.
    public init(
        limit: Int = SerializabilityChecker.benchLimit, clock: @escaping @Sendable () -> UInt64,
        format: HistoryFormat = .jsonLines,
        sink: (@Sendable (String) -> Void)? = nil
    ) {
        (self.limit, self.clock, self.format, self.sink) = (limit, clock, format, sink)
        isWrittenAtOnce = Value.linesAtEnd(of: History(), in: format) == nil
    }

    /// A transaction is about to be asked for.
    /// - Parameters:
    ///   - value: reads without what they read.
    ///   - isExtra: noted even if the history is full: for the few reads with which a run ends.
    /// - Returns: its time; nil if the history is full, and then it must not be asked for: nobody would know of its
    ///   appends.
    public func invoke(_ process: Int, _ value: Value, isExtra: Bool = false) -> UInt64? {
        state.withLock { state in
            guard isExtra || state.begun < limit else {
                state.refused = true
                return nil
            }
            precondition(state.open[process] == nil, "a process does one transaction at a time")
            state.begun += 1
            let event = HistoryEvent(process: process, kind: .invoke, time: clock(), value: value)
            state.open[process] = event
            write(event)
            return event.time
        }
    }

    /// It is over.
    /// - Parameter value: with what was read, if it is `ok`.
    /// - Returns: when.
    @discardableResult
    public func end(_ process: Int, _ outcome: HistoryOutcome, _ value: Value) -> UInt64 {
        state.withLock { state in
            let event = HistoryEvent(process: process, kind: HistoryEventKind(outcome), time: clock(), value: value)
            guard let begin = state.open.removeValue(forKey: process) else {
                preconditionFailure("a process ends what it has begun")
            }
            state.finished.add(event.ending(begin))
            write(event)
            return event.time
        }
    }

    private func write(_ event: HistoryEvent<Value>) {
        if let sink, isWrittenAtOnce { sink(event.line(format) + "\n") }
    }

    /// Writes what can only be written now that all is known. Called once, when no more is noted.
    public func finish() {
        guard let sink, !isWrittenAtOnce, let lines = Value.linesAtEnd(of: history, in: format) else { return }
        sink(lines)
    }

    /// A transaction was refused because the history is full.
    public var isFull: Bool { state.withLock { $0.refused } }

    /// In the order in which the transactions ended; those that have not are unknown, and last.
    public var history: History<Value> {
        state.withLock { state in
            var history = state.finished
            history.add(unended: state.open.values)
            return history
        }
    }
}
