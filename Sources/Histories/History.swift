/// What a client knows of a transaction.
public enum HistoryOutcome: Hashable, Sendable {
    /// It happened, and its reads are what it saw.
    case ok
    /// It has certainly no effect.
    case failed
    /// Nobody knows.
    case unknown
}

/// What clients asked for and saw.
public struct History<Value: HistoryValue>: Sendable {
    /// The same for all kinds of histories.
    public typealias Outcome = HistoryOutcome

    /// One transaction, as its client saw it.
    public struct Transaction: Sendable {
        /// Who asked for it; one does one thing at a time.
        public let process: Int
        /// Nanoseconds.
        public let invokedAt: UInt64
        /// Nanoseconds, of the same clock.
        public let returnedAt: UInt64
        /// Says what of the value counts.
        public let outcome: HistoryOutcome
        /// What it did, and what it read.
        public let value: Value

        /// - Parameter returnedAt: of no meaning if the outcome is not known.
        public init(process: Int, invokedAt: UInt64, returnedAt: UInt64, outcome: HistoryOutcome, value: Value) {
            (self.process, self.invokedAt, self.returnedAt) = (process, invokedAt, returnedAt)
            (self.outcome, self.value) = (outcome, value)
        }

        /// For messages: its place in the history, who, when and what.
        func described(at place: Int) -> String {
            let end = outcome == .unknown ? "?" : "\(returnedAt)"
            return "#\(place) of process \(process), \(invokedAt)…\(end) ns: \(value.words)"
        }
    }

    /// In the order in which they were added; violations name them by their place, from 0.
    public private(set) var transactions: [Transaction] = []

    /// A history in which nothing has happened.
    public init() {}
    /// At the end. Times need not ascend.
    public mutating func add(_ transaction: Transaction) { transactions.append(transaction) }
}

/// What one transaction of a history does, or learns, and how it is written.
public protocol HistoryValue: Hashable, Sendable {
    /// For messages.
    var words: String { get }
    /// The operation's name, as other checkers know it: `f` of a line.
    var function: String { get }
    /// What a line says besides who, how and when.
    var fields: [(name: String, value: HistoryText)] { get }
    /// False where readers of the format take no times, and go by the order of the lines.
    static func hasTimes(in format: HistoryFormat) -> Bool
    /// A format whose lines can only be written when all is known.
    /// - Returns: all lines, each with its line feed; nil where each is written when it happens.
    static func linesAtEnd(of history: History<Self>, in format: HistoryFormat) -> String?

    /// Of a line: keys that must be there, and those that may.
    static var keys: (required: [String], optional: [String]) { get }
    /// - Parameter function: of the line; nil if it has none.
    /// - Throws: for another function, and for values that it does not have.
    init(function: String?, in line: HistoryFields) throws
}

extension HistoryValue {
    /// As Jepsen's histories.
    public static func hasTimes(in format: HistoryFormat) -> Bool { true }
    /// Lines are written as things happen.
    public static func linesAtEnd(of history: History<Self>, in format: HistoryFormat) -> String? { nil }
}

/// Why a history is not what it should be, in words that name the transactions by their place in the history.
public struct HistoryViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The circle, transaction by transaction, or what was read that cannot be.
    public let description: String
    /// Nothing was found: there were too many orders to look at.
    public let isUndecided: Bool

    init(description: String, isUndecided: Bool = false) {
        (self.description, self.isUndecided) = (description, isUndecided)
    }
}
