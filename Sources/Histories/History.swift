/// What clients asked for and saw of lists under keys: the workload that shows most about isolation, because a list
/// that is read tells the order of all appends before it (Kingsbury and Alvaro, "Elle", VLDB 14(3), 2020).
public struct ListHistory: Sendable {
    public enum Operation: Hashable, Sendable {
        /// Values are unique, per key.
        case append(key: String, value: UInt64)
        /// Nil: not known what was read.
        case read(key: String, [UInt64]?)
    }

    public enum Outcome: Hashable, Sendable {
        case ok
        /// It has certainly no effect.
        case failed
        /// Nobody knows.
        case unknown
    }

    public struct Transaction: Sendable {
        public let process: Int
        /// Nanoseconds.
        public let invokedAt: UInt64
        public let returnedAt: UInt64
        public let outcome: Outcome
        /// In the order in which they were done.
        public let operations: [Operation]

        /// - Parameter returnedAt: of no meaning if the outcome is not known.
        public init(process: Int, invokedAt: UInt64, returnedAt: UInt64, outcome: Outcome, operations: [Operation]) {
            (self.process, self.invokedAt, self.returnedAt) = (process, invokedAt, returnedAt)
            (self.outcome, self.operations) = (outcome, operations)
        }
    }

    public private(set) var transactions: [Transaction] = []

    public init() {}
    public mutating func add(_ transaction: Transaction) { transactions.append(transaction) }
}

/// Why a history is not strictly serializable, in words that name the transactions by their place in the history.
public struct HistoryViolation: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}
