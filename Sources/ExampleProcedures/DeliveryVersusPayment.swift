import Messages
import ShardState

/// Securities for cash, both or neither, over the shards of the buyer, the seller and the securities. The seller puts
/// the securities into an account that no key owns, but a procedure does, and goes home; the buyer settles alone.
public struct Offer: Hashable, Sendable, CanonicalCodable {
    /// It is written down at the key `offer/ID`, where there is room for one.
    public let id: String
    /// Of the seller: where the money goes.
    public let cash: AccountID
    /// What the buyer has to pay, in full.
    public let price: Payment.Money
    /// Owned by `ReleaseDelivery`: where the securities wait.
    public let custody: AccountID
    /// What the buyer gets, in full.
    public let quantity: Payment.Money

    /// What the seller proposes. That the accounts exist and hold these assets shows when money moves.
    public init(id: String, cash: AccountID, price: Payment.Money, custody: AccountID, quantity: Payment.Money) {
        (self.id, self.cash, self.price, self.custody, self.quantity) = (id, cash, price, custody, quantity)
    }
    /// As it stands under its key and travels to the buyer; any accounts and amounts are taken.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (id, cash, price) = (try reader.value(), try reader.value(), try reader.value())
        (custody, quantity) = (try reader.value(), try reader.value())
    }
    /// Counted id, cash account, price, custody account, quantity.
    public func encode(into writer: inout ByteWriter) {
        writer.put(id)
        writer.put(cash)
        writer.put(price)
        writer.put(custody)
        writer.put(quantity)
    }

    var key: String { "offer/\(id)" }

    /// Why an offer is not written down, taken or settled; its description reaches the client.
    public enum Problem: Error, CustomStringConvertible {
        /// The key has an offer already.
        case exists(String)
        /// There was none, or another buyer has taken it.
        case none(String)
        /// A step was called by itself, and not from within the procedure that it is part of.
        case notSettling

        /// What the client is shown.
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
    /// What the seller gives up, and for what.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// The seller's account out of which the securities are taken; the call's target.
        public let securities: AccountID
        /// What is written down for buyers.
        public let offer: Offer
        /// Names the seller's account; that the signer owns it is checked when it is debited.
        public init(securities: AccountID, offer: Offer) { (self.securities, self.offer) = (securities, offer) }
        /// Any account and offer are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (securities, offer) = (try reader.value(), try reader.value())
        }
        /// Account, then offer.
        public func encode(into writer: inout ByteWriter) {
            writer.put(securities)
            writer.put(offer)
        }
    }

    /// In one namespace with all procedures of a host; `dvp` is delivery versus payment.
    public static let name = "dvp.offer"
    /// Moves the quantity into custody and writes the offer down.
    /// - Throws: `Offer.Problem.exists`; when the signer does not own the securities, or has too few.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        let offer = arguments.offer
        try context.debit(arguments.securities, offer.quantity.asset, offer.quantity.amount)
        try context.pay(Payment(offer.quantity, to: offer.custody))
        return try context.call(.key(offer.key), RecordOffer.name, offer)
    }
}

/// Writes an offer down on the shard of its key. Only from within `OfferForSale`.
public struct RecordOffer: Procedure {
    /// Called by `OfferForSale` only.
    public static let name = "dvp.record"
    /// Takes the key, if it is free.
    /// - Throws: `Offer.Problem.notSettling` if the root is another procedure, `exists` if the key has an offer.
    public static func run(_ offer: Offer, _ context: ProcedureContext) throws -> Nothing {
        // An offer that nothing backs would be a promise: only who has put the securities aside writes one down.
        guard context.root.procedure == OfferForSale.name else { throw Offer.Problem.notSettling }
        let known: Offer? = try context.value(of: offer.key)
        guard known == nil else { throw Offer.Problem.exists(offer.id) }
        try context.set(offer.key, to: offer)
        return Nothing()
    }
}

/// Takes an offer off the list, on the shard of its key. Only from within `Settle`.
public struct TakeOffer: Procedure {
    /// Called by `Settle` only.
    public static let name = "dvp.take"
    /// Gives the offer and removes it: it is settled in the same transaction, or still there.
    /// - Throws: `Offer.Problem.notSettling` if the root is another procedure, `none` if there is no such offer.
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
    /// Which securities go where.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// Where they wait; the call's target.
        public let custody: AccountID
        /// The buyer's account, and how much of which security.
        public let payment: Payment
        /// That custody holds so much is checked when it is debited.
        public init(custody: AccountID, payment: Payment) { (self.custody, self.payment) = (custody, payment) }
        /// Any accounts and amounts are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (custody, payment) = (try reader.value(), try reader.value())
        }
        /// Custody account, then the payment.
        public func encode(into writer: inout ByteWriter) {
            writer.put(custody)
            writer.put(payment)
        }
    }

    /// Custody accounts are owned by this name and version (`AccountSpecification.init(procedure:)`): under another one
    /// nobody could take the securities out.
    public static let name = "dvp.release"
    /// Pays the securities out of custody. Only from within `Settle`.
    /// - Throws: `Offer.Problem.notSettling` if the root is another procedure; when custody is not this procedure's, or
    ///   has too few.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        guard context.root.procedure == Settle.name else { throw Offer.Problem.notSettling }
        try context.debit(arguments.custody, arguments.payment.asset, arguments.payment.amount)
        try context.pay(arguments.payment)
        return Nothing()
    }
}

/// The buyer's part. Runs on the shard of the buyer's cash.
public struct Settle: Procedure {
    /// Which offer the buyer takes, out of and into which accounts.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// The id of the offer.
        public let offer: String
        /// The buyer's account out of which the price is taken; the call's target.
        public let cash: AccountID
        /// The buyer's account into which the securities go.
        public let securities: AccountID
        /// That the signer owns the cash is checked when it is debited.
        public init(offer: String, cash: AccountID, securities: AccountID) {
            (self.offer, self.cash, self.securities) = (offer, cash, securities)
        }
        /// Any offer and accounts are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (offer, cash, securities) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// Counted offer id, cash account, securities account.
        public func encode(into writer: inout ByteWriter) {
            writer.put(offer)
            writer.put(cash)
            writer.put(securities)
        }
    }

    /// Signed as a root call: the steps of a settlement look for this name at the root.
    public static let name = "dvp.settle"
    /// Takes the offer, then moves cash and securities beside each other.
    /// - Returns: the offer that was settled.
    /// - Throws: `Offer.Problem.none`; when the buyer does not own the cash, or has too little.
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
