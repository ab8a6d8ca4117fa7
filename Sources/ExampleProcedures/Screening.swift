import Messages
import ShardState

/// Transfers that are screened: by rules which an authority of its own keeps in the state, and which every replica
/// applies alike. The money is in accounts that no key owns, but `ScreenedTransfer` does, so there is no way around the
/// rules. A policy is a name; whoever sets its limits first is its authority.
///
/// A refusal is certified like any other failure of a call. What is kept, and for how long, is in
/// `docs/operations/compliance.md`.
public enum Screening {
    /// Microseconds: limits per day count from midnight, UTC, by the shard's time.
    public static let day: UInt64 = 86_400_000_000

    /// Where a policy's limits are; its listed parties are on the same shard.
    public static func limitsKey(_ policy: String) -> String { "screening/{\(policy)}" }
    /// Where it stands that an account is listed.
    public static func listedKey(_ policy: String, _ account: AccountID) -> String {
        "screening/{\(policy)}/\(account.hex)"
    }
    /// Where it stands whose an account is, and what has left it today.
    public static func holderKey(_ account: AccountID) -> String { "screened/\(account.hex)" }
    /// An account that only `ScreenedTransfer` takes money out of.
    public static func account(_ asset: AssetID, index: UInt64) -> AccountSpecification {
        AccountSpecification(procedure: ScreenedTransfer.name, asset: asset, index: index)
    }

    /// Why a transfer or a change of the rules is refused; its description reaches the client.
    public enum Refusal: Error, CustomStringConvertible {
        /// The account or its counterparty is listed.
        case listed(AccountID)
        /// More than the policy lets leave an account at once.
        case overTransferLimit(Amount, limit: Amount)
        /// More than the policy lets leave an account in a day.
        case overDayLimit(Amount, limit: Amount)
        /// Who signed does not hold the account.
        case notHolder
        /// Who signed is not the policy's authority.
        case notAuthority
        /// Nobody has set limits under this name.
        case noPolicy(String)
        /// The account is admitted under no policy.
        case notAdmitted(AccountID)
        /// It is under another policy already.
        case admitted(AccountID)
        /// A step was called by itself, and not from within the procedure that it is part of.
        case notScreening

        /// What the client is shown.
        public var description: String {
            switch self {
            case .listed(let account): "screened: account \(account) is listed"
            case .overTransferLimit(let amount, let limit): "screened: \(amount) is above \(limit) a transfer"
            case .overDayLimit(let amount, let limit): "screened: \(amount) today would be above \(limit) a day"
            case .notHolder: "the signer does not hold the account"
            case .notAuthority: "the signer is not the policy's authority"
            case .noPolicy(let name): "there is no screening policy \(name)"
            case .notAdmitted(let account): "account \(account) is under no screening policy"
            case .admitted(let account): "account \(account) is under a screening policy already"
            case .notScreening: "this is a step of a screened transfer"
            }
        }
    }

    /// What stands under a policy's key.
    public struct Limits: Hashable, Sendable, CanonicalCodable {
        /// Who may change the rules, and admit accounts.
        public let authority: PublicKey
        /// The most that leaves an account in one transfer.
        public let perTransfer: Amount
        /// The most that leaves an account in one day.
        public let perDay: Amount
        /// Any limits are taken.
        public init(authority: PublicKey, perTransfer: Amount, perDay: Amount) {
            (self.authority, self.perTransfer, self.perDay) = (authority, perTransfer, perDay)
        }
        /// Any limits are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (authority, perTransfer, perDay) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// Authority, limit a transfer, limit a day.
        public func encode(into writer: inout ByteWriter) {
            writer.put(authority)
            writer.put(perTransfer)
            writer.put(perDay)
        }
    }

    /// What stands under an account's key.
    struct Holder: Hashable, CanonicalCodable {
        let policy: String
        let key: PublicKey
        /// Days since 1970 of the last transfer, and what had left the account by then.
        var day: UInt64 = 0
        var left = Amount.zero

        init(policy: String, key: PublicKey) { (self.policy, self.key) = (policy, key) }
        init(from reader: inout ByteReader) throws(DecodingFailure) {
            (policy, key, day, left) = (
                try reader.value(), try reader.value(), try reader.uint64(), try reader.value()
            )
        }
        func encode(into writer: inout ByteWriter) {
            writer.put(policy)
            writer.put(key)
            writer.put(day)
            writer.put(left)
        }
    }
}

/// Sets a policy's limits: at first by anybody, who is its authority from then on; afterwards by that one.
public struct SetScreeningLimits: Procedure {
    /// What to write down; `Screening.limitsKey` of the policy is the call's target.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// Its name.
        public let policy: String
        /// The most that leaves an account in one transfer.
        public let perTransfer: Amount
        /// The most that leaves an account in one day.
        public let perDay: Amount
        /// Any limits are taken.
        public init(policy: String, perTransfer: Amount, perDay: Amount) {
            (self.policy, self.perTransfer, self.perDay) = (policy, perTransfer, perDay)
        }
        /// Any name and limits are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (policy, perTransfer, perDay) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// Counted name, limit a transfer, limit a day.
        public func encode(into writer: inout ByteWriter) {
            writer.put(policy)
            writer.put(perTransfer)
            writer.put(perDay)
        }
    }

    /// In one namespace with all procedures of a host.
    public static let name = "screening.limits"
    /// - Throws: `Screening.Refusal.notAuthority`.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        let key = Screening.limitsKey(arguments.policy)
        let known: Screening.Limits? = try context.value(of: key, toChange: true)
        guard (known?.authority ?? context.principal) == context.principal else {
            throw Screening.Refusal.notAuthority
        }
        let limits = Screening.Limits(
            authority: context.principal, perTransfer: arguments.perTransfer, perDay: arguments.perDay)
        try context.set(key, to: limits)
        return Nothing()
    }
}

/// Lists accounts that a policy's accounts must not pay, nor be paid out of, or takes them off the list.
public struct ListParties: Procedure {
    /// What to write down; `Screening.limitsKey` of the policy is the call's target.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// Its name.
        public let policy: String
        /// At most 64.
        public let accounts: [AccountID]
        /// False takes them off.
        public let listed: Bool
        /// Checks nothing: the procedure refuses what is too much.
        public init(policy: String, accounts: [AccountID], listed: Bool) {
            (self.policy, self.accounts, self.listed) = (policy, accounts, listed)
        }
        /// Refuses more than 64 accounts.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (policy, accounts, listed) = (try reader.value(), try reader.array(limit: 64), try reader.bool())
        }
        /// Counted name, counted accounts, whether they are listed.
        public func encode(into writer: inout ByteWriter) {
            writer.put(policy)
            writer.put(array: accounts)
            writer.put(listed)
        }
    }

    /// In one namespace with all procedures of a host.
    public static let name = "screening.list"
    /// - Throws: `Screening.Refusal.noPolicy`, `notAuthority`.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        guard let limits: Screening.Limits = try context.value(of: Screening.limitsKey(arguments.policy)) else {
            throw Screening.Refusal.noPolicy(arguments.policy)
        }
        guard limits.authority == context.principal else { throw Screening.Refusal.notAuthority }
        for account in arguments.accounts {
            let key = Array(Screening.listedKey(arguments.policy, account).utf8)
            try context.set(key, to: arguments.listed ? [1] : nil)
        }
        return Nothing()
    }
}

/// Puts an account under a policy, and says who holds it. Only once; who puts money in looks first whose it is.
public struct AdmitHolder: Procedure {
    /// What to write down; `Screening.holderKey` of the account is the call's target.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// One of `Screening.account`.
        public let account: AccountID
        /// Its rules are applied.
        public let policy: String
        /// Signs the account's transfers.
        public let holder: PublicKey
        /// Any account, name and key are taken.
        public init(account: AccountID, policy: String, holder: PublicKey) {
            (self.account, self.policy, self.holder) = (account, policy, holder)
        }
        /// Any account, name and key are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (account, policy, holder) = (try reader.value(), try reader.value(), try reader.value())
        }
        /// Account, counted name, key.
        public func encode(into writer: inout ByteWriter) {
            writer.put(account)
            writer.put(policy)
            writer.put(holder)
        }
    }

    /// In one namespace with all procedures of a host.
    public static let name = "screening.admit"
    /// - Throws: `Screening.Refusal.admitted`, `noPolicy`, `notAuthority`.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        let key = Screening.holderKey(arguments.account)
        let known: Screening.Holder? = try context.value(of: key, toChange: true)
        guard known == nil else { throw Screening.Refusal.admitted(arguments.account) }
        let limits: Screening.Limits = try context.call(
            .key(Screening.limitsKey(arguments.policy)), ApplyRules.name,
            ApplyRules.Arguments(policy: arguments.policy, parties: []))
        guard limits.authority == context.principal else { throw Screening.Refusal.notAuthority }
        try context.set(key, to: Screening.Holder(policy: arguments.policy, key: arguments.holder))
        return Nothing()
    }
}

/// Gives a policy's limits, if none of the parties is listed. Changes nothing, so anybody may ask.
public struct ApplyRules: Procedure {
    /// Who takes part under which policy.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        let policy: String
        let parties: [AccountID]
        init(policy: String, parties: [AccountID]) { (self.policy, self.parties) = (policy, parties) }
        /// Refuses more than 64 parties.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (policy, parties) = (try reader.value(), try reader.array(limit: 64))
        }
        /// Counted name, counted accounts.
        public func encode(into writer: inout ByteWriter) {
            writer.put(policy)
            writer.put(array: parties)
        }
    }

    /// In one namespace with all procedures of a host.
    public static let name = "screening.rules"
    /// - Throws: `Screening.Refusal.noPolicy`, `listed`.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Screening.Limits {
        guard let limits: Screening.Limits = try context.value(of: Screening.limitsKey(arguments.policy)) else {
            throw Screening.Refusal.noPolicy(arguments.policy)
        }
        for party in arguments.parties
        where try context.bytes(of: Array(Screening.listedKey(arguments.policy, party).utf8)) != nil {
            throw Screening.Refusal.listed(party)
        }
        return limits
    }
}

/// Holds one transfer against the rules, and counts it. Only from within `ScreenedTransfer`.
public struct Screen: Procedure {
    /// Called by `ScreenedTransfer` only.
    public static let name = "screening.screen"
    /// - Throws: `Screening.Refusal`.
    public static func run(_ transfer: ScreenedTransfer.Arguments, _ context: ProcedureContext) throws -> Nothing {
        guard context.root.procedure == ScreenedTransfer.name else { throw Screening.Refusal.notScreening }
        let key = Screening.holderKey(transfer.from)
        guard var holder: Screening.Holder = try context.value(of: key, toChange: true) else {
            throw Screening.Refusal.notAdmitted(transfer.from)
        }
        guard holder.key == context.principal else { throw Screening.Refusal.notHolder }
        let limits: Screening.Limits = try context.call(
            .key(Screening.limitsKey(holder.policy)), ApplyRules.name,
            ApplyRules.Arguments(policy: holder.policy, parties: [transfer.from, transfer.payment.account]))
        let amount = transfer.payment.amount
        guard amount <= limits.perTransfer else {
            throw Screening.Refusal.overTransferLimit(amount, limit: limits.perTransfer)
        }
        let today = context.now.number / Screening.day
        // Shards' times differ: what is counted on a later day stays counted there.
        if today > holder.day { (holder.day, holder.left) = (today, .zero) }
        let (sum, overflow) = holder.left.number.addingReportingOverflow(amount.number)
        guard !overflow, Amount(sum) <= limits.perDay else {
            throw Screening.Refusal.overDayLimit(Amount(sum), limit: limits.perDay)
        }
        holder.left = Amount(sum)
        try context.set(key, to: holder)
        return Nothing()
    }
}

/// A transfer that is screened. Runs on the shard of the account that pays, and owns it: under another name or version
/// nobody could take the money out.
public struct ScreenedTransfer: Procedure {
    /// Who pays what to whom.
    public struct Arguments: Hashable, Sendable, CanonicalCodable {
        /// One of `Screening.account`; the call's target.
        public let from: AccountID
        /// Anybody's account, and how much.
        public let payment: Payment
        /// That the signer holds `from` is checked when it is screened.
        public init(from: AccountID, payment: Payment) { (self.from, self.payment) = (from, payment) }
        /// Any accounts and amounts are taken.
        public init(from reader: inout ByteReader) throws(DecodingFailure) {
            (from, payment) = (try reader.value(), try reader.value())
        }
        /// The paying account, then the payment.
        public func encode(into writer: inout ByteWriter) {
            writer.put(from)
            writer.put(payment)
        }
    }

    /// Signed as a root call: `Screen` looks for this name at the root.
    public static let name = "screening.transfer"
    /// - Throws: `Screening.Refusal`; when there is too little, or an account is frozen.
    public static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Nothing {
        // Called by another procedure it would be screened as that one's part, which nobody has looked at.
        guard context.root.procedure == name else { throw Screening.Refusal.notScreening }
        let _: Nothing = try context.call(.key(Screening.holderKey(arguments.from)), Screen.name, arguments)
        try context.debit(arguments.from, arguments.payment.asset, arguments.payment.amount)
        try context.pay(arguments.payment)
        return Nothing()
    }
}
