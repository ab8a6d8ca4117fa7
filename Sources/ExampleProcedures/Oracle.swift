import Messages
import ShardState

/// A price that one shard keeps and others read in the middle of their transactions.
public enum Oracle {
    /// What is in braces says which shard a key is on, so these two are on one.
    public static func priceKey(_ symbol: String) -> String { "{oracle/\(symbol)}/price" }
    static func publisherKey(_ symbol: String) -> String { "{oracle/\(symbol)}/publisher" }

    public enum Problem: Error, CustomStringConvertible {
        case noPrice(String)
        case notThePublisher
        case tooDear(price: UInt64, most: UInt64)

        public var description: String {
            switch self {
            case .noPrice(let symbol): "\(symbol) has no price"
            case .notThePublisher: "another key publishes this price"
            case .tooDear(let price, let most): "the price is \(price), above \(most)"
            }
        }
    }
}

public struct PublishPrice: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let symbol: String
        public let price: UInt64
        public init(symbol: String, price: UInt64) { (self.symbol, self.price) = (symbol, price) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (symbol, price) = (try reader.value(), try reader.uint64())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(symbol)
            writer.put(integer: price)
        }
    }

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

public struct SpotPrice: Procedure {
    public static let name = "oracle.spot"
    public static func run(_ symbol: String, _ context: ProcedureContext) throws -> UInt64 {
        guard let price: UInt64 = try context.value(of: Oracle.priceKey(symbol)) else {
            throw Oracle.Problem.noPrice(symbol)
        }
        return price
    }
}

/// Pays for a quantity at the price of the moment, unless it is too high.
public struct BuyAtMost: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let buyer: AccountID
        public let seller: AccountID
        public let asset: AssetID
        public let symbol: String
        public let quantity: UInt64
        public let mostPerUnit: UInt64

        public init(
            buyer: AccountID, seller: AccountID, asset: AssetID, symbol: String, quantity: UInt64, mostPerUnit: UInt64
        ) {
            (self.buyer, self.seller, self.asset) = (buyer, seller, asset)
            (self.symbol, self.quantity, self.mostPerUnit) = (symbol, quantity, mostPerUnit)
        }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (buyer, seller, asset) = (try reader.value(), try reader.value(), try reader.value())
            (symbol, quantity, mostPerUnit) = (try reader.value(), try reader.uint64(), try reader.uint64())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(buyer)
            writer.put(seller)
            writer.put(asset)
            writer.put(symbol)
            writer.put(integer: quantity)
            writer.put(integer: mostPerUnit)
        }
    }

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
