import Client

// What buyers, sellers and hosts agree on. Nothing of the hosts is in it, so that clients do not contain them.

/// Names of the procedures that clients call, and of the one that owns the vault.
public enum EscrowName {
    public static let deposit = "escrow.deposit", settle = "escrow.settle", release = "escrow.release"
}

/// Money that a buyer has put aside for a seller, until one of them lets it go.
public struct Deal: Sendable, CanonicalCodable {
    public let name: String
    public let buyer, seller: PublicKey
    public let price: Payment.Money
    /// From then on the buyer may take it back.
    public let until: Timestamp

    public init(name: String, buyer: PublicKey, seller: PublicKey, price: Payment.Money, until: Timestamp) {
        (self.name, self.buyer, self.seller, self.price, self.until) = (name, buyer, seller, price, until)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (name, buyer, seller) = (try reader.value(), try reader.value(), try reader.value())
        (price, until) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(name)
        for key in [buyer, seller] { writer.put(key) }
        writer.put(price)
        writer.put(until)
    }

    public var key: String { Settlement.key(of: name) }
    /// An account's identifier follows from its owner: nobody can name another's in its place.
    public var buyersAccount: AccountID { AccountSpecification(owner: buyer, asset: price.asset).id }
    public var sellersAccount: AccountID { AccountSpecification(owner: seller, asset: price.asset).id }
    /// Where the money waits. No key opens it: only the procedure takes money out.
    public var vault: AccountSpecification { AccountSpecification(procedure: EscrowName.release, asset: price.asset) }
}

public struct Settlement: Sendable, CanonicalCodable {
    public let deal: String
    /// To the seller; otherwise back to the buyer.
    public let pays: Bool

    public init(deal: String, pays: Bool) { (self.deal, self.pays) = (deal, pays) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) { (deal, pays) = (try reader.value(), try reader.bool()) }
    public func encode(into writer: inout ByteWriter) {
        writer.put(deal)
        writer.put(pays)
    }

    public static func key(of deal: String) -> String { "deal/\(deal)" }
    public var key: String { Self.key(of: deal) }
}
