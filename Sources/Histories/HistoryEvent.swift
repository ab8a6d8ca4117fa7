/// One line of a recorded history: that a transaction begins, or how it ended. Two of one process stand after each
/// other, so an end belongs to the last invocation of its process. A process whose transaction ended in `info` is not
/// used again: that transaction may take effect at any later time.
public struct HistoryEvent: Hashable, Sendable {
    /// As Jepsen's histories name them.
    public enum Kind: String, Sendable, CaseIterable {
        /// The transaction is about to be asked for.
        case invoke
        /// It happened; its reads are what it saw.
        case ok
        /// It has certainly no effect.
        case fail
        /// Nobody knows.
        case info
    }

    /// Whose transaction it is.
    public let process: Int
    /// Whether it begins, or how it ended.
    public let kind: Kind
    /// Monotonic nanoseconds, with an arbitrary start.
    public let time: UInt64
    /// What reads saw is known only at `ok`.
    public let operations: [ListHistory.Operation]

    /// One line, as it is written; that it fits those before it is checked when a history is made of them.
    public init(process: Int, kind: Kind, time: UInt64, operations: [ListHistory.Operation]) {
        (self.process, self.kind, self.time, self.operations) = (process, kind, time, operations)
    }
}

extension ListHistory {
    /// - Parameter events: in order of time.
    /// - Throws: an end without a beginning, or a process that begins before it has ended.
    public init(events: some Sequence<HistoryEvent>) throws(HistoryFormatError) {
        self.init()
        var open: [Int: HistoryEvent] = [:]
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
            let outcome: Outcome =
                switch event.kind {
                case .invoke, .info: .unknown
                case .ok: .ok
                case .fail: .failed
                }
            add(
                .init(
                    process: event.process, invokedAt: begin.time, returnedAt: event.time, outcome: outcome,
                    operations: event.operations))
        }
        for event in open.values.sorted(by: { ($0.time, $0.process) < ($1.time, $1.process) }) {
            add(
                .init(
                    process: event.process, invokedAt: event.time, returnedAt: event.time, outcome: .unknown,
                    operations: event.operations))
        }
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
