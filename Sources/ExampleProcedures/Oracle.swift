import Messages
import ShardState

/// A price that one shard keeps and others read in the middle of their transactions.
public enum Oracle {
    /// What is in braces says which shard a key is on, so these two are on one.
    public static func priceKey(_ symbol: String) -> String { "{oracle/\(symbol)}/price" }
    static func publisherKey(_ symbol: String) -> String { "{oracle/\(symbol)}/publisher" }

    /// Why no price was published, read or paid; its description reaches the client.
    public enum Problem: Error, CustomStringConvertible {
        /// Nobody has published one.
        case noPrice(String)
        /// Whoever published first is the only one who may.
        case notThePublisher
        /// The price of one unit is above the buyer's limit.
        case tooDear(price: UInt64, most: UInt64)

        /// What the client is shown.
        public var description: String {
            switch self {
            case .noPrice(let symbol): "\(symbol) has no price"
            case .notThePublisher: "another key publishes this price"
            case .tooDear(let price, let most): "the price is \(price), above \(most)"
            }
        }
    }
}

/// Sets a symbol's price on the shard of its key.
public struct PublishPrice: Procedure {
    /// Which price is set, and to what.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// Part of the key; need not be an asset.
        public let symbol: String
        /// In minor units of whatever asset buyers pay in, for one unit.
        public let price: UInt64
        /// Any symbol and price.
        public init(symbol: String, price: UInt64) { (self.symbol, self.price) = (symbol, price) }
        /// Any symbol and price are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (symbol, price) = (try reader.value(), try reader.uint64())
        }
        /// Counted symbol, then eight bytes for the price.
        public func encode(into writer: inout ByteWriter) {
            writer.put(symbol)
            writer.put(integer: price)
        }
    }

    /// Called as a root by the publisher.
    public static let name = "oracle.publish"
    /// The first who publishes a price is the only one who may.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        let publisher: [UInt8]? = try context.bytes(of: Array(Oracle.publisherKey(arguments.symbol).utf8))
        if publisher == nil {
            try context.set(Array(Oracle.publisherKey(arguments.symbol).utf8), to: context.principal.bytes)
        } else if publisher != context.principal.bytes {
            throw Oracle.Problem.notThePublisher
        }
        try context.set(Oracle.priceKey(arguments.symbol), to: arguments.price)
        return Nothing()
    }
}

/// A symbol's price, as it stands when the transaction reads it. It cannot change before that ends.
public struct SpotPrice: Procedure {
    /// Called by `BuyAtMost`, and by anybody as a root.
    public static let name = "oracle.spot"
    /// The price of one unit, in minor units.
    /// - Throws: `Oracle.Problem.noPrice`.
    public static func run(_ symbol: String, _ context: ProcedureContext) throws -> UInt64 {
        guard let price: UInt64 = try context.value(of: Oracle.priceKey(symbol)) else {
            throw Oracle.Problem.noPrice(symbol)
        }
        return price
    }
}

/// Pays for a quantity at the price of the moment, unless it is too high.
public struct BuyAtMost: Procedure {
    /// Who buys what from whom, and the limit.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// Pays; the call's target, and owned by the signer.
        public let buyer: AccountID
        /// Is paid; on any shard.
        public let seller: AccountID
        /// The asset of both accounts.
        public let asset: AssetID
        /// What is bought: its price counts.
        public let symbol: String
        /// How many units; times the price it is what is paid.
        public let quantity: UInt64
        /// The highest price at which to buy, in minor units of `asset`.
        public let mostPerUnit: UInt64

        /// Checks nothing: accounts and limit are checked as the procedure runs.
        public init(
            buyer: AccountID, seller: AccountID, asset: AssetID, symbol: String, quantity: UInt64, mostPerUnit: UInt64
        ) {
            (self.buyer, self.seller, self.asset) = (buyer, seller, asset)
            (self.symbol, self.quantity, self.mostPerUnit) = (symbol, quantity, mostPerUnit)
        }
        /// Any accounts and numbers are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (buyer, seller, asset) = (try reader.value(), try reader.value(), try reader.value())
            (symbol, quantity, mostPerUnit) = (try reader.value(), try reader.uint64(), try reader.uint64())
        }
        /// Buyer, seller, asset, counted symbol, then eight bytes each for quantity and limit.
        public func encode(into writer: inout ByteWriter) {
            writer.put(buyer)
            writer.put(seller)
            writer.put(asset)
            writer.put(symbol)
            writer.put(integer: quantity)
            writer.put(integer: mostPerUnit)
        }
    }

    /// Called as a root by the buyer, on the shard of his account.
    public static let name = "oracle.buy"
    /// Gives what was paid.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> UInt128 {
        let price: UInt64 = try context.call(.key(Oracle.priceKey(arguments.symbol)), SpotPrice.name, arguments.symbol)
        guard price <= arguments.mostPerUnit else {
            throw Oracle.Problem.tooDear(price: price, most: arguments.mostPerUnit)
        }
        let total = Amount(UInt128(price) * UInt128(arguments.quantity))
        try context.debit(arguments.buyer, arguments.asset, total)
        try context.pay(Payment(account: arguments.seller, asset: arguments.asset, amount: total))
        return total.number
    }
}
