import Messages
import ShardState

/// Securities for cash, both or neither, over the shards of the buyer, the seller and the securities. The seller puts
/// the securities into an account that no key owns, but a procedure does, and goes home; the buyer settles alone.
public struct Offer: Hashable, Sendable, CanonicalCodable {
    public let id: String
    /// Of the seller: where the money goes.
    public let cash: AccountID
    public let price: Payment.Money
    /// Owned by `ReleaseDelivery`: where the securities wait.
    public let custody: AccountID
    public let quantity: Payment.Money

    public init(id: String, cash: AccountID, price: Payment.Money, custody: AccountID, quantity: Payment.Money) {
        (self.id, self.cash, self.price, self.custody, self.quantity) = (id, cash, price, custody, quantity)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (id, cash, price) = (try reader.value(), try reader.value(), try reader.value())
        (custody, quantity) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(id)
        writer.put(cash)
        writer.put(price)
        writer.put(custody)
        writer.put(quantity)
    }

    var key: String { "offer/\(id)" }

    public enum Problem: Error, CustomStringConvertible {
        case exists(String)
        case none(String)
        case notSettling

        public var description: String {
            switch self {
            case .exists(let id): "offer \(id) exists already"
            case .none(let id): "there is no offer \(id)"
            case .notSettling: "securities leave custody only when an offer is settled"
            }
        }
    }
}

/// The seller's part. Runs on the shard of the seller's securities.
public struct OfferForSale: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let securities: AccountID
        public let offer: Offer
        public init(securities: AccountID, offer: Offer) { (self.securities, self.offer) = (securities, offer) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (securities, offer) = (try reader.value(), try reader.value())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(securities)
            writer.put(offer)
        }
    }

    public static let name = "dvp.offer"
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        let offer = arguments.offer
        try context.debit(arguments.securities, offer.quantity.asset, offer.quantity.amount)
        try context.pay(Payment(offer.quantity, to: offer.custody))
        return try context.call(.key(offer.key), RecordOffer.name, offer)
    }
}

public struct RecordOffer: Procedure {
    public static let name = "dvp.record"
    public static func run(_ offer: Offer, _ context: ProcedureContext) throws -> Nothing {
        // An offer that nothing backs would be a promise: only who has put the securities aside writes one down.
        guard context.root.procedure == OfferForSale.name else { throw Offer.Problem.notSettling }
        let known: Offer? = try context.value(of: offer.key)
        guard known == nil else { throw Offer.Problem.exists(offer.id) }
        try context.set(offer.key, to: offer)
        return Nothing()
    }
}

public struct TakeOffer: Procedure {
    public static let name = "dvp.take"
    public static func run(_ id: String, _ context: ProcedureContext) throws -> Offer {
        guard context.root.procedure == Settle.name else { throw Offer.Problem.notSettling }
        let key = "offer/\(id)"
        guard let offer: Offer = try context.value(of: key) else { throw Offer.Problem.none(id) }
        try context.remove(key)
        return offer
    }
}

/// Owns the accounts in which securities wait.
public struct ReleaseDelivery: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let custody: AccountID
        public let payment: Payment
        public init(custody: AccountID, payment: Payment) { (self.custody, self.payment) = (custody, payment) }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (custody, payment) = (try reader.value(), try reader.value())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(custody)
            writer.put(payment)
        }
    }

    public static let name = "dvp.release"
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        guard context.root.procedure == Settle.name else { throw Offer.Problem.notSettling }
        try context.debit(arguments.custody, arguments.payment.asset, arguments.payment.amount)
        try context.pay(arguments.payment)
        return Nothing()
    }
}

/// The buyer's part. Runs on the shard of the buyer's cash.
public struct Settle: Procedure {
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        public let offer: String
        public let cash: AccountID
        public let securities: AccountID
        public init(offer: String, cash: AccountID, securities: AccountID) {
            (self.offer, self.cash, self.securities) = (offer, cash, securities)
        }
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (offer, cash, securities) = (try reader.value(), try reader.value(), try reader.value())
        }
        public func encode(into writer: inout ByteWriter) {
            writer.put(offer)
            writer.put(cash)
            writer.put(securities)
        }
    }

    public static let name = "dvp.settle"
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Offer {
        let offer: Offer = try context.call(.key("offer/\(arguments.offer)"), TakeOffer.name, arguments.offer)
        try context.debit(arguments.cash, offer.price.asset, offer.price.amount)
        let payment = Payment(offer.price, to: offer.cash)
        let release = ReleaseDelivery.Arguments(
            custody: offer.custody, payment: Payment(offer.quantity, to: arguments.securities))
        // Beside each other: neither waits for the other.
        _ = try context.callAll([
            Invocation(target: .account(offer.cash), procedure: Credit.name, version: 1, arguments: payment.encoded()),
            Invocation(
                target: .account(offer.custody), procedure: ReleaseDelivery.name, version: 1,
                arguments: release.encoded()),
        ])
        return offer
    }
}
