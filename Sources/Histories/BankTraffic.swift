/// Which transfers are made between the few accounts of a bank, and how often all of them are read: as Jepsen's bank
/// workload does, with amounts of 1 to 5.
public struct BankTraffic: Sendable {
    /// How many accounts, what they hold at first, and how often they are read.
    public struct Shape: Sendable {
        /// At least two.
        public var accounts: Int
        /// In each, at the beginning.
        public var balance: UInt64
        /// How many of a hundred transactions read all accounts; the others transfer.
        public var readPercent: Int
        /// Of one transfer; each amount from 1 as often.
        public var mostMoved: UInt64

        /// - Precondition: two accounts at least.
        public init(accounts: Int = 8, balance: UInt64 = 100, readPercent: Int = 30, mostMoved: UInt64 = 5) {
            precondition(accounts >= 2 && mostMoved >= 1)
            (self.accounts, self.balance, self.readPercent) = (accounts, balance, readPercent)
            self.mostMoved = mostMoved
        }
    }

    private let shape: Shape
    /// At the beginning, by account.
    public var initial: [UInt64] { Array(repeating: shape.balance, count: shape.accounts) }

    /// Every account is as popular.
    public init(_ shape: Shape = Shape()) { self.shape = shape }

    /// The next transaction; what it finds is not known.
    public func next(using random: inout some RandomNumberGenerator) -> BankAction {
        guard Int.random(in: 0..<100, using: &random) >= shape.readPercent else { return .read(nil) }
        let from = Int.random(in: 0..<shape.accounts, using: &random)
        let other = Int.random(in: 0..<shape.accounts - 1, using: &random)
        return .transfer(
            from: from, to: other < from ? other : other + 1,
            amount: UInt64.random(in: 1...shape.mostMoved, using: &random), found: nil)
    }
}
