import Messages
import ShardState

/// Money that is put into an account.
public struct Payment: Hashable, Sendable, CanonicalCodable {
    public let account: AccountID
    public let asset: AssetID
    public let amount: Amount

    public init(account: AccountID, asset: AssetID, amount: Amount) { (self.account, self.asset, self.amount) = (account, asset, amount) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (account, asset, amount) = (try reader.value(), try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(account)
        writer.put(asset)
        writer.put(amount)
    }
}

/// Puts money into an account. Whoever calls it must have taken it out of another one: a transaction balances, or aborts.
public struct Credit: Procedure {
    public static let name = "credit"
    public static func run(_ payment: Payment, _ context: ProcedureContext) throws -> Nothing {
        try context.credit(payment.account, payment.asset, payment.amount)
        return Nothing()
    }
}

extension ProcedureContext {
    /// Pays into an account of any shard.
    public func pay(_ payment: Payment) throws {
        let _: Nothing = try call(.account(payment.account), Credit.name, payment)
    }
}
