import Messages
import Randomness

/// Settlements: a member moves money by several transfers, from its accounts to others, all or none, over a number of
/// shards. They are atomic requests of the runtime, and no procedure.
public struct SettlementMix: TransactionMix {
    /// Where it comes from.
    public static let source = """
        CPSS and IOSCO, Principles for financial market infrastructures (2012), principle 12: one obligation is settled \
        if and only if the linked ones are
        """
    /// Of one settlement, if nothing is said.
    public static let usualLegs = 4
    /// More than one account can pay in a run.
    public static let openingBalance: UInt128 = 1_000_000_000_000
    /// Minor units of one leg, at most.
    private static let amounts = 1000

    /// One leg.
    public struct Leg: Sendable, Equatable {
        /// Index of who pays.
        public let from: Int
        /// Index of who is paid.
        public let to: Int
        /// Minor units.
        public let amount: UInt64
    }

    private struct Books: Sendable {
        var change: Int128 = 0
        var (least, most): (Int128, Int128) = (0, 0)
    }

    /// All are of one kind.
    public let kinds = ["settlement"]
    private let keys: AccountKeys
    private let shardOf: [Int]
    private let legs: Int
    /// How many shards a settlement concerns that is over several; nil: as it comes.
    private let participants: Int?
    private let crossPercent: Int?
    private let choice: SkewedChoice
    /// Accounts of each member, by shard.
    private let own: [[[Int]]]
    private let byShard: [[Int]]
    private var books: [Int: Books] = [:]
    private var open = OpenTransactions<Int>()

    /// - Parameters:
    ///   - keys: of accounts that members own.
    ///   - legs: transfers in a settlement.
    ///   - participants: shards of one that is over several, 2 to `legs` + 1; nil with a share of those: 2; without: as
    ///     it comes.
    ///   - crossPercent: how many settlements are over several shards; nil: all if `participants` is given.
    public init(
        keys: AccountKeys, legs: Int = usualLegs, participants: Int? = nil, crossPercent: Int? = nil,
        skew: Skew = .uniform, map: ShardMap
    ) {
        precondition(legs >= 1 && keys.ids.count >= 2 && (participants.map { (2...legs + 1).contains($0) } ?? true))
        (self.keys, self.legs) = (keys, legs)
        shardOf = keys.shards(in: map).map { Int($0.number) }
        self.participants = participants.map { min($0, map.shardCount) } ?? (crossPercent == nil ? nil : 2)
        self.crossPercent = crossPercent
        choice = SkewedChoice(skew, count: keys.ids.count)
        var byShard = [[Int]](repeating: [], count: map.shardCount)
        var own = Array(repeating: byShard, count: keys.signers.count)
        for (account, shard) in shardOf.enumerated() {
            byShard[shard].append(account)
            own[keys.owner(of: account)][shard].append(account)
        }
        (self.byShard, self.own) = (byShard, own)
    }

    /// The shards of the next one in turn; nil: whatever comes.
    private func drawShards(_ random: inout SplitMix64) -> [Int]? {
        guard let participants else { return nil }
        let isCross = byShard.count > 1 && random.below(100) < crossPercent ?? 100
        var shards: [Int] = []
        while shards.count < (isCross ? participants : 1) {
            let shard = random.below(byShard.count)
            if !shards.contains(shard) { shards.append(shard) }
        }
        return shards
    }

    /// One member's accounts on a shard, or anywhere if it has none there.
    private func payer(_ member: Int, on shard: Int?, _ random: inout SplitMix64) -> Int {
        if let shard, !own[member][shard].isEmpty {
            return own[member][shard][random.below(own[member][shard].count)]
        }
        let all = keys.ids.count / own.count + (member < keys.ids.count % own.count ? 1 : 0)
        return member + random.below(all) * own.count
    }

    /// Each leg goes from one shard of the settlement to the next, so that all of them take part.
    public mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<[Leg]> {
        let member = random.below(min(own.count, keys.ids.count))
        let shards = drawShards(&random)
        let plan = (0..<legs).map { place in
            let from = payer(member, on: shards.map { $0[place % $0.count] }, &random)
            let wanted = shards.map { $0[(place + 1) % $0.count] }
            let drawn = choice.sample(&random) { $0 != from && (wanted == nil || shardOf[$0] == wanted) }
            let to = drawn ?? (from == 0 ? 1 : 0)
            return Leg(from: from, to: to, amount: UInt64(random.below(Self.amounts)) + 1)
        }
        let operations = plan.map {
            Operation.transfer(
                Transfer(
                    from: keys.ids[$0.from], to: keys.ids[$0.to], asset: AccountKeys.asset,
                    amount: Amount(UInt128($0.amount))))
        }
        let touched = Set(plan.flatMap { [shardOf[$0.from], shardOf[$0.to]] })
        return DrawnTransaction(
            kind: 0, operations: operations, principal: member, isCross: touched.count > 1, plan: plan)
    }

    /// All legs of it, or none.
    public mutating func ended(_ plan: [Leg], _ ending: TransactionEnding) {
        if ending == .unknown {
            var effect: [Int: Int128] = [:]
            for leg in plan {
                effect[leg.from, default: 0] -= Int128(leg.amount)
                effect[leg.to, default: 0] += Int128(leg.amount)
            }
            open.add(effect)
        }
        for leg in plan {
            let amount = Int128(leg.amount)
            switch ending {
            case .committed:
                books[leg.from, default: Books()].change -= amount
                books[leg.to, default: Books()].change += amount
            case .aborted:
                for account in [leg.from, leg.to] where books[account] == nil { books[account] = Books() }
            case .unknown:
                books[leg.from, default: Books()].least -= amount
                books[leg.to, default: Books()].most += amount
            }
        }
    }

    /// All accounts that a settlement has named.
    public var subjects: CheckSubjects { CheckSubjects(accounts: books.keys.sorted().map { keys.ids[$0] }) }

    /// Each account holds what it was opened with and every leg of every settlement that is certified; of one
    /// without an outcome all legs or none.
    public func verdict(_ state: FinalValues) -> CheckVerdict {
        var verdict = CheckVerdict(
            "\(books.count) accounts hold what all legs of committed settlements have left there")
        var differences: [Int: Int128] = [:]
        for account in books.keys.sorted() {
            guard let own = books[account] else { continue }
            guard let held = state.balances[keys.ids[account]] else {
                verdict.addUnread()
                continue
            }
            let wanted = Int128(Self.openingBalance) + own.change
            differences[account] = Int128(clamping: held) - wanted
            if !(wanted + own.least...wanted + own.most ~= Int128(clamping: held)) {
                verdict.add("account \(keys.ids[account].hex) holds \(held); \(wanted) are certified")
            }
        }
        verdict.add(open.explain(differences), "settlements") { "account \(keys.ids[$0].hex)" }
        return verdict
    }
}
