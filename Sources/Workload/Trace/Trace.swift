/// A list of transfers between named accounts, in the order in which they are to be replayed.
public struct Trace: Sendable, Equatable {
    /// One transfer. Accounts are indexes into `accounts`.
    public struct Row: Sendable, Hashable {
        public var from: Int32
        public var to: Int32
        /// Minor units; never zero.
        public var amount: UInt64

        public init(from: Int, to: Int, amount: UInt64) {
            (self.from, self.to, self.amount) = (Int32(from), Int32(to), amount)
        }
    }

    /// Account names by index, numbered by first appearance.
    public var accounts: [String]
    public var rows: [Row]
    /// Rows that were read and left out because they pay an account from itself.
    public var skippedSelfTransfers = 0
    /// Rows that were read and left out because they move nothing.
    public var skippedZeroAmounts = 0

    public init(accounts: [String], rows: [Row]) { (self.accounts, self.rows) = (accounts, rows) }
}
