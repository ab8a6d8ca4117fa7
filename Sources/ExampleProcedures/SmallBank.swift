import Messages
import ShardState

/// The bank of SmallBank (Alomari, Cahill, Fekete and Röhm, ICDE 2008): customers with a checking and a savings balance,
/// in cents, which are this procedure's own keys and no accounts of the runtime: deposits and checks come from outside
/// the bank and go there, and with accounts each would need another side, on which all would meet.
///
/// Nobody opens a customer. Who was never touched has the opening balances, so that a million customers need no loading,
/// and what the whole bank must hold is a formula: customers × 2 × the opening balance, and what came and went.
public enum SmallBank {
    /// Of each of the two balances, before anything was done to it: 10,000.00.
    public static let openingBalance: Int64 = 1_000_000
    /// What a check that is not covered costs beside its amount: 1.00.
    public static let penalty: Int64 = 100

    /// The checking balance. What is in braces decides on the shard: both balances of a customer are on one.
    public static func checkingKey(_ customer: UInt64) -> String { "{customer-\(customer)}/checking" }
    /// The savings balance. In the order of locks it comes after the same customer's checking balance.
    public static func savingsKey(_ customer: UInt64) -> String { "{customer-\(customer)}/savings" }

    /// Why a transaction has no effect; its description reaches the client.
    public enum Problem: Error, CustomStringConvertible {
        /// A balance would fall below zero where that is not allowed.
        case insufficientFunds
        /// A deposit below zero, or a customer who pays himself.
        case notAllowed(String)
        /// A balance would not fit into 64 bits.
        case overflow

        /// What the client is shown.
        public var description: String {
            switch self {
            case .insufficientFunds: "insufficient funds"
            case .notAllowed(let what): what
            case .overflow: "a balance would be too large"
            }
        }
    }

    /// What a transaction did to the balances, certified as its result: whoever adds them up knows what must be there.
    public struct Change: Hashable, Sendable, CanonicalCodable {
        /// Added to the first customer's checking balance.
        public var checking: Int64
        /// Added to the first customer's savings balance.
        public var savings: Int64
        /// Added to the second customer's checking balance.
        public var other: Int64
        /// What is not said has not changed.
        public init(checking: Int64 = 0, savings: Int64 = 0, other: Int64 = 0) {
            (self.checking, self.savings, self.other) = (checking, savings, other)
        }
        /// Any numbers are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (checking, savings, other) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// Three times eight bytes.
        public func encode(into writer: inout ByteWriter) {
            writer.put(checking)
            writer.put(savings)
            writer.put(other)
        }
    }

    /// A customer and so much money.
    public struct Order: Hashable, Sendable, CanonicalCodable {
        /// Whose balance it is; any number is a customer.
        public let customer: UInt64
        /// Cents.
        public let amount: Int64
        /// Nothing is checked before the procedure runs.
        public init(customer: UInt64, amount: Int64) { (self.customer, self.amount) = (customer, amount) }
        /// Any customer and amount are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (customer, amount) = (try reader.value(), try reader.value())
        }
        /// Customer, amount.
        public func encode(into writer: inout ByteWriter) {
            writer.put(customer)
            writer.put(amount)
        }
    }

    /// From one customer to another.
    public struct Passage: Hashable, Sendable, CanonicalCodable {
        /// Who gives.
        public let from: UInt64
        /// Who gets it, into the checking balance.
        public let to: UInt64
        /// Cents; `Amalgamate` moves all that there is, and does not look at it.
        public let amount: Int64
        /// Nothing is checked before the procedure runs.
        public init(from: UInt64, to: UInt64, amount: Int64 = 0) {
            (self.from, self.to, self.amount) = (from, to, amount)
        }
        /// Any customers and amount are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (from, to, amount) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// From, to, amount.
        public func encode(into writer: inout ByteWriter) {
            writer.put(from)
            writer.put(to)
            writer.put(amount)
        }
    }

    /// Adds to a balance of this shard.
    /// - Parameter isCovered: it must not fall below zero.
    static func add(
        _ amount: Int64, to key: String, isCovered: Bool, _ context: ProcedureContext
    ) throws {
        let (sum, overflow) = try balance(key, toChange: true, context).addingReportingOverflow(amount)
        guard !overflow else { throw Problem.overflow }
        guard !isCovered || sum >= 0 else { throw Problem.insufficientFunds }
        try context.set(key, to: sum)
    }

    static func balance(_ key: String, toChange: Bool, _ context: ProcedureContext) throws -> Int64 {
        try context.value(of: key, toChange: toChange) ?? openingBalance
    }

    /// A sum of two balances.
    static func sum(_ a: Int64, _ b: Int64) throws -> Int64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard !overflow else { throw Problem.overflow }
        return sum
    }
}

extension ProcedureContext {
    /// Whether the first key is locked first by who locks in order (R5): by shard, and on a shard by their bytes.
    func isLockedFirst(_ a: String, _ b: String) -> Bool {
        let (first, second) = (shard(of: .key(a)), shard(of: .key(b)))
        return first == second ? a.utf8.lexicographicallyPrecedes(b.utf8) : first < second
    }
}
