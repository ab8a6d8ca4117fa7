/// As Jepsen's histories name that a transaction begins, and how it ended.
public enum HistoryEventKind: String, Sendable, CaseIterable {
    /// The transaction is about to be asked for.
    case invoke
    /// It happened; its reads are what it saw.
    case ok
    /// It has certainly no effect.
    case fail
    /// Nobody knows.
    case info

    init(_ outcome: HistoryOutcome) {
        switch outcome {
        case .ok: self = .ok
        case .failed: self = .fail
        case .unknown: self = .info
        }
    }

    /// Of a transaction that has not ended, nobody knows.
    var outcome: HistoryOutcome {
        switch self {
        case .invoke, .info: .unknown
        case .ok: .ok
        case .fail: .failed
        }
    }
}

/// One line of a recorded history: that a transaction begins, or how it ended. Two of one process stand after each
/// other, so an end belongs to the last invocation of its process. A process whose transaction ended in `info` is not
/// used again: that transaction may take effect at any later time.
public struct HistoryEvent<Value: HistoryValue>: Hashable, Sendable {
    /// The same for all kinds of histories.
    public typealias Kind = HistoryEventKind

    /// Whose transaction it is.
    public let process: Int
    /// Whether it begins, or how it ended.
    public let kind: HistoryEventKind
    /// Monotonic nanoseconds, with an arbitrary start.
    public let time: UInt64
    /// What reads saw is known only at `ok`.
    public let value: Value

    /// One line, as it is written; that it fits those before it is checked when a history is made of them.
    public init(process: Int, kind: HistoryEventKind, time: UInt64, value: Value) {
        (self.process, self.kind, self.time, self.value) = (process, kind, time, value)
    }

    /// The transaction that this event ends.
    func ending(_ begin: HistoryEvent) -> History<Value>.Transaction {
        .init(process: process, invokedAt: begin.time, returnedAt: time, outcome: kind.outcome, value: value)
    }
}

/// A line of a history of lists.
public typealias ListEvent = HistoryEvent<[ListAction]>

extension History {
    /// - Parameter events: in order of time.
    /// - Throws: an end without a beginning, or a process that begins before it has ended.
    public init(events: some Sequence<HistoryEvent<Value>>) throws(HistoryFormatError) {
        self.init()
        var open: [Int: HistoryEvent<Value>] = [:]
        for (i, event) in events.enumerated() {
            guard event.kind != .invoke else {
                guard open.updateValue(event, forKey: event.process) == nil else {
                    throw HistoryFormatError(
                        line: i + 1, what: "process \(event.process) begins before its last transaction has ended")
                }
                continue
            }
            guard let begin = open.removeValue(forKey: event.process) else {
                throw HistoryFormatError(line: i + 1, what: "process \(event.process) ends what it has not begun")
            }
            add(event.ending(begin))
        }
        add(unended: open.values)
    }

    /// Nobody knows of them.
    mutating func add(unended events: some Collection<HistoryEvent<Value>>) {
        for event in events.sorted(by: { ($0.time, $0.process) < ($1.time, $1.process) }) { add(event.ending(event)) }
    }
}

/// A recorded history that cannot be read.
public struct HistoryFormatError: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    public let line: Int
    /// What is wrong with the line.
    public let what: String
    /// The line's number, and what is wrong.
    public var description: String { "line \(line): \(what)" }
}
