import Messages

/// Puts money into an account. Whoever calls it must have taken it out of another one: a transaction balances, or
/// aborts. Every host program has it.
public struct Credit: Procedure {
    /// What `pay` calls on the account's shard.
    public static let name = "credit"
    /// - Throws: when there is no such account, it holds another asset, the amount is zero, or the sum would pass the
    ///   limit; ends the transaction.
    public static func run(_ payment: Payment, _ context: ProcedureContext) throws -> Nothing {
        try context.credit(payment.account, payment.asset, payment.amount)
        return Nothing()
    }
}

extension ProcedureContext {
    /// Pays into an account of any shard, what this transaction takes out of others (`debit`).
    /// - Throws: when there is no such account, or it holds another asset; ends the transaction.
    public func pay(_ payment: Payment) throws {
        let _: Nothing = try call(.account(payment.account), Credit.name, payment)
    }
}
