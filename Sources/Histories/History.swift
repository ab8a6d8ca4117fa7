/// What clients asked for and saw of lists under keys: the workload that shows most about isolation, because a list
/// that is read tells the order of all appends before it (Kingsbury and Alvaro, "Elle", VLDB 14(3), 2020).
public struct ListHistory: Sendable {
    /// What a transaction does to one list, or learns of it.
    public enum Operation: Hashable, Sendable {
        /// Values are unique, per key.
        case append(key: String, value: UInt64)
        /// Nil: not known what was read.
        case read(key: String, [UInt64]?)
    }

    /// What the client knows of a transaction.
    public enum Outcome: Hashable, Sendable {
        /// It happened, and its reads are what it saw.
        case ok
        /// It has certainly no effect.
        case failed
        /// Nobody knows.
        case unknown
    }

    /// One transaction, as its client saw it.
    public struct Transaction: Sendable {
        /// Who asked for it; one does one thing at a time.
        public let process: Int
        /// Nanoseconds.
        public let invokedAt: UInt64
        /// Nanoseconds, of the same clock.
        public let returnedAt: UInt64
        /// Says which of the reads and appends count.
        public let outcome: Outcome
        /// In the order in which they were done.
        public let operations: [Operation]

        /// - Parameter returnedAt: of no meaning if the outcome is not known.
        public init(process: Int, invokedAt: UInt64, returnedAt: UInt64, outcome: Outcome, operations: [Operation]) {
            (self.process, self.invokedAt, self.returnedAt) = (process, invokedAt, returnedAt)
            (self.outcome, self.operations) = (outcome, operations)
        }
    }

    /// In the order in which they were added; violations name them by their place, from 0.
    public private(set) var transactions: [Transaction] = []

    /// A history in which nothing has happened.
    public init() {}
    /// At the end. Times need not ascend.
    public mutating func add(_ transaction: Transaction) { transactions.append(transaction) }
}

/// Why a history is not strictly serializable, in words that name the transactions by their place in the history.
public struct HistoryViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// The circle, transaction by transaction, or what was read that cannot be.
    public let description: String
}
