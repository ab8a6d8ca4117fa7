/// A list of transfers between named accounts, in the order in which they are to be replayed.
public struct Trace: Sendable, Equatable {
    /// One transfer. Accounts are indexes into `accounts`.
    public struct Row: Sendable, Hashable {
        /// Who pays.
        public var from: Int32
        /// Who is paid; never the same account.
        public var to: Int32
        /// Minor units; never zero.
        public var amount: UInt64

        /// - Precondition: the indexes fit in 32 bits.
        public init(from: Int, to: Int, amount: UInt64) {
            (self.from, self.to, self.amount) = (Int32(from), Int32(to), amount)
        }
    }

    /// Account names by index, numbered by first appearance.
    public var accounts: [String]
    /// In the order of replay.
    public var rows: [Row]
    /// Rows that were read and left out because they pay an account from itself.
    public var skippedSelfTransfers = 0
    /// Rows that were read and left out because they move nothing.
    public var skippedZeroAmounts = 0

    /// Whether the rows' indexes are below the number of accounts is not checked.
    public init(accounts: [String], rows: [Row]) { (self.accounts, self.rows) = (accounts, rows) }
}
