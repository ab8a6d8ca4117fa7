import EscrowTerms
import QuorateHost

struct Refused: Error, CustomStringConvertible { let description: String }

/// The buyer's part, on the shard of the buyer's account: takes the money, puts it into the vault, and has the deal written down.
/// All of it happens, or none.
public enum Deposit: Procedure {
    public static let name = EscrowName.deposit
    public static func run(_ deal: Deal, _ context: ProcedureContext) throws -> Nothing {
        // Refused unless the account belongs to who signed: so the buyer did.
        try context.debit(deal.buyersAccount, deal.price.asset, deal.price.amount)
        try context.pay(Payment(deal.price, to: deal.vault.id))
        return try context.call(.key(deal.key), WriteDown.name, deal)
    }
}

public enum WriteDown: Procedure {
    public static let name = "escrow.record"
    public static func run(_ deal: Deal, _ context: ProcedureContext) throws -> Nothing {
        // Anybody may call any procedure: a deal that no money backs is not written down.
        guard context.root.procedure == Deposit.name else { throw Refused(description: "deals are written down when they are paid in") }
        let known: Deal? = try context.value(of: deal.key, toChange: true)
        guard known == nil else { throw Refused(description: "there is a deal \(deal.name) already") }
        try context.set(deal.key, to: deal)
        return Nothing()
    }
}

/// On the shard of the deal: the buyer pays the seller, or the seller gives the money back. After `until` the buyer takes it back.
public enum Settle: Procedure {
    public static let name = EscrowName.settle
    public static func run(_ settlement: Settlement, _ context: ProcedureContext) throws -> Deal {
        guard let deal: Deal = try context.value(of: settlement.key, toChange: true) else {
            throw Refused(description: "there is no deal \(settlement.deal)")
        }
        let (isBuyer, isSeller) = (context.principal == deal.buyer, context.principal == deal.seller)
        if settlement.pays {
            guard isBuyer else { throw Refused(description: "only the buyer pays the seller") }
        } else {
            guard isSeller || (isBuyer && context.now >= deal.until) else {
                throw Refused(description: "only the seller gives the money back before the time is over")
            }
        }
        try context.remove(deal.key)
        let payment = Payment(deal.price, to: settlement.pays ? deal.sellersAccount : deal.buyersAccount)
        let _: Nothing = try context.call(.account(deal.vault.id), Release.name, payment)
        return deal
    }
}

/// Owns the vaults, one for each asset, and takes money out of them for who settles a deal.
public enum Release: Procedure {
    public static let name = EscrowName.release
    public static func run(_ payment: Payment, _ context: ProcedureContext) throws -> Nothing {
        guard context.root.procedure == Settle.name else { throw Refused(description: "money leaves the vault when a deal is settled") }
        let vault = AccountSpecification(procedure: name, asset: payment.asset)
        try context.debit(vault.id, payment.asset, payment.amount)
        try context.pay(payment)
        return Nothing()
    }
}
