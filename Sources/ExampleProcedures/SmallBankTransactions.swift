import Messages
import ShardState

// The transactions of SmallBank: five of the paper, and `SendPayment`, which H-Store and BenchBase added. Each takes its
// locks in order, so that it waits where others stand in its way (R5).

/// What a customer has, checking and savings together.
public struct Balance: Procedure {
    /// Runs on the customer's shard, as all but the two that concern two customers.
    public static let name = "smallbank.balance"
    /// Checking, then savings.
    public static let locksInOrder = true
    /// - Throws: when the sum does not fit.
    public static func run(_ customer: UInt64, _ context: ProcedureContext) throws -> Int64 {
        try SmallBank.sum(
            SmallBank.balance(SmallBank.checkingKey(customer), toChange: false, context),
            SmallBank.balance(SmallBank.savingsKey(customer), toChange: false, context))
    }
}

/// Puts money from outside into a checking balance.
public struct DepositChecking: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "smallbank.deposit-checking"
    /// One key.
    public static let locksInOrder = true
    /// - Throws: for an amount below zero.
    public static func run(_ order: SmallBank.Order, _ context: ProcedureContext) throws -> SmallBank.Change {
        guard order.amount >= 0 else { throw SmallBank.Problem.notAllowed("a deposit below zero") }
        try SmallBank.add(order.amount, to: SmallBank.checkingKey(order.customer), isCovered: false, context)
        return SmallBank.Change(checking: order.amount)
    }
}

/// Puts money from outside into a savings balance, or takes it out.
public struct TransactSavings: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "smallbank.transact-savings"
    /// One key.
    public static let locksInOrder = true
    /// - Throws: `SmallBank.Problem.insufficientFunds` if the balance would fall below zero.
    public static func run(_ order: SmallBank.Order, _ context: ProcedureContext) throws -> SmallBank.Change {
        try SmallBank.add(order.amount, to: SmallBank.savingsKey(order.customer), isCovered: true, context)
        return SmallBank.Change(savings: order.amount)
    }
}

/// Takes a check out of the checking balance, with a penalty if both balances together do not cover it. It may fall
/// below zero.
public struct WriteCheck: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "smallbank.write-check"
    /// Checking, then savings.
    public static let locksInOrder = true
    /// - Throws: for an amount below zero.
    public static func run(_ order: SmallBank.Order, _ context: ProcedureContext) throws -> SmallBank.Change {
        guard order.amount >= 0 else { throw SmallBank.Problem.notAllowed("a check below zero") }
        let key = SmallBank.checkingKey(order.customer)
        let checking = try SmallBank.balance(key, toChange: true, context)
        let savings = try SmallBank.balance(SmallBank.savingsKey(order.customer), toChange: false, context)
        let isCovered = try SmallBank.sum(checking, savings) >= order.amount
        let taken = isCovered ? order.amount : try SmallBank.sum(order.amount, SmallBank.penalty)
        try SmallBank.add(-taken, to: key, isCovered: false, context)
        return SmallBank.Change(checking: -taken)
    }
}

/// Moves money from one customer's checking balance to another's.
public struct SendPayment: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "smallbank.send-payment"
    /// Whoever is first in the order of locks is paid, or pays, first.
    public static let locksInOrder = true

    /// Where it is best called: on the higher of the two shards, which is locked last and lets go at once.
    public static func home(from: UInt64, to: UInt64, in map: ShardMap) -> CallTarget {
        let keys = [SmallBank.checkingKey(from), SmallBank.checkingKey(to)]
        let isPayersHigher = map.shard(of: .key(keys[0])) > map.shard(of: .key(keys[1]))
        return .key(keys[isPayersHigher ? 0 : 1])
    }

    /// - Throws: `SmallBank.Problem.insufficientFunds` if the payer has less.
    public static func run(_ passage: SmallBank.Passage, _ context: ProcedureContext) throws -> SmallBank.Change {
        guard passage.from != passage.to else { throw SmallBank.Problem.notAllowed("a payment to oneself") }
        guard passage.amount >= 0 else { throw SmallBank.Problem.notAllowed("a payment below zero") }
        let steps = [
            SmallBank.Order(customer: passage.from, amount: -passage.amount),
            SmallBank.Order(customer: passage.to, amount: passage.amount),
        ].sorted { context.isLockedFirst(SmallBank.checkingKey($0.customer), SmallBank.checkingKey($1.customer)) }
        for step in steps {
            let target = CallTarget.key(SmallBank.checkingKey(step.customer))
            let _: Nothing =
                if context.shard(of: target) == context.shard { try MoveChecking.run(step, context) } else {
                    try context.call(target, MoveChecking.name, step)
                }
        }
        return SmallBank.Change(checking: -passage.amount, other: passage.amount)
    }
}

/// One side of a payment: adds to a checking balance, or takes from what it covers.
public struct MoveChecking: Procedure {
    /// Called by `SendPayment`.
    public static let name = "smallbank.move-checking"
    /// - Throws: `SmallBank.Problem.insufficientFunds` if it takes more than there is.
    public static func run(_ order: SmallBank.Order, _ context: ProcedureContext) throws -> Nothing {
        try SmallBank.add(
            order.amount, to: SmallBank.checkingKey(order.customer), isCovered: order.amount < 0, context)
        return Nothing()
    }
}

/// Moves all that a customer has into another's checking balance.
public struct Amalgamate: Procedure {
    /// In one namespace with all procedures of a host.
    public static let name = "smallbank.amalgamate"
    /// Whoever is first in the order of locks is locked first.
    public static let locksInOrder = true

    /// Where it is called: the shard of who gets it. So one call is enough, and the locks are in order: what is moved
    /// is known only where it is taken, and must be locked before or after the receiver's balance as the shards lie.
    public static func home(to: UInt64) -> CallTarget { .key(SmallBank.checkingKey(to)) }

    /// - Throws: when the receiver's balance would be too large.
    public static func run(_ passage: SmallBank.Passage, _ context: ProcedureContext) throws -> SmallBank.Change {
        guard passage.from != passage.to else { throw SmallBank.Problem.notAllowed("a customer merged with himself") }
        let (source, target) = (SmallBank.checkingKey(passage.from), SmallBank.checkingKey(passage.to))
        if context.isLockedFirst(target, source) { _ = try SmallBank.balance(target, toChange: true, context) }
        let taken: SmallBank.Change =
            if context.shard(of: .key(source)) == context.shard { try EmptyCustomer.run(passage.from, context) } else {
                try context.call(.key(source), EmptyCustomer.name, passage.from)
            }
        // Both have fallen by what they held.
        let moved = try SmallBank.sum(SmallBank.sum(0, -taken.checking), -taken.savings)
        try SmallBank.add(moved, to: target, isCovered: false, context)
        return SmallBank.Change(checking: taken.checking, savings: taken.savings, other: moved)
    }
}

/// Takes all that a customer has.
public struct EmptyCustomer: Procedure {
    /// Called by `Amalgamate`.
    public static let name = "smallbank.empty-customer"
    /// - Returns: what the balances have fallen by, as a change; a debt is paid.
    /// - Throws: when a balance is the lowest number there is.
    public static func run(_ customer: UInt64, _ context: ProcedureContext) throws -> SmallBank.Change {
        let (checking, savings) = (SmallBank.checkingKey(customer), SmallBank.savingsKey(customer))
        let held = (
            try SmallBank.balance(checking, toChange: true, context),
            try SmallBank.balance(savings, toChange: true, context)
        )
        // The lowest number has no opposite.
        guard held.0 > .min, held.1 > .min else { throw SmallBank.Problem.overflow }
        try context.set(checking, to: Int64(0))
        try context.set(savings, to: Int64(0))
        return SmallBank.Change(checking: -held.0, savings: -held.1)
    }
}
