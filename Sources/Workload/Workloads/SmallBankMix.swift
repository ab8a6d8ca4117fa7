import ExampleProcedures
import Messages
import Randomness

/// SmallBank as a workload: six kinds of transactions on customers some of whom are hot.
public struct SmallBankMix: TransactionMix {
    /// Where the parameters come from.
    public static let source = """
        Alomari, Cahill, Fekete, Röhm: The Cost of Serializability on Platforms That Use Snapshot Isolation, ICDE 2008; \
        mix and amounts of BenchBase (cmu-db/benchbase, sample_smallbank_config.xml) or of Basil (SOSP 2021, \
        fsuri/Basil_SOSP21_artifact, Indicus-Smallbank.json)
        """

    /// Whose mix and amounts.
    public enum Preset: String, CaseIterable, Sendable {
        /// 15 each of balance, deposit, savings, amalgamate and check, and 25 payments; fixed amounts.
        case benchbase
        /// 60 balances and 10 each of deposit, savings, amalgamate and check; drawn amounts, and no payments.
        case basil

        /// In the order of `allKinds`.
        public var weights: [Int] {
            switch self {
            case .benchbase: [15, 15, 15, 15, 15, 25]
            case .basil: [60, 10, 10, 10, 10, 0]
            }
        }
    }

    /// In the order of weights.
    public static let allKinds = [
        "balance", "deposit-checking", "transact-savings", "amalgamate", "write-check", "send-payment",
    ]
    /// A million, of whom 1,000 get nine tenths: both presets' sources have the million, Basil's the hot ones too.
    public static let (usualCustomers, usualSkew) = (1_000_000, Skew.hot(1000, share: 0.9))

    /// What is kept of a transaction.
    public struct Plan: Sendable {
        let customer: UInt64
        let other: UInt64?
        /// What it may add to all money in the bank, at least and at most, if nobody knows whether it happened.
        let least: Int64
        let most: Int64
        let isRead: Bool
        /// What it may add to single balances, if nobody knows.
        let mayAdd: MayAdd
    }

    /// What a transaction adds to balances if it happens.
    enum MayAdd: Sendable {
        case checking(ClosedRange<Int64>)
        case savings(ClosedRange<Int64>)
        case payment(Int64)
        /// All that there is, whatever that was then.
        case everything
    }

    /// By how much a customer's balances differ from the opening ones, as certified.
    private struct Books: Sendable {
        var checking = Held()
        var savings = Held()

        /// A transaction of this customer's may have happened or not.
        var isUncertain: Bool { checking.isUncertain || savings.isUncertain }
    }

    private struct Held: Sendable {
        var change: Int64 = 0
        /// What may have come or gone beside.
        var (least, most): (Int64, Int64) = (0, 0)
        /// All of it may have gone, or another's all may have come: there are no bounds.
        var isOpen = false

        var isUncertain: Bool { isOpen || least != most }

        mutating func widen(_ range: ClosedRange<Int64>) {
            least += min(0, range.lowerBound)
            most += max(0, range.upperBound)
        }

        func explains(_ held: Int64) -> Bool {
            isOpen || (SmallBank.openingBalance + change + least...SmallBank.openingBalance + change + most ~= held)
        }
    }

    private let pairs: PairChoice
    private let kindChoice: WeightedChoice
    private let preset: Preset
    private let map: ShardMap
    /// Of every customer that was named in a transaction.
    private var books: [UInt64: Books] = [:]
    /// What came into the bank, less what went out.
    private var total: Int64 = 0
    private var (least, most): (Int64, Int64) = (0, 0)
    private var unreadable = 0

    /// As in `allKinds`.
    public var kinds: [String] { Self.allKinds }

    /// - Parameters:
    ///   - weights: in the order of `allKinds`; nil for the preset's.
    ///   - crossPercent: of transactions on two customers, how many are over two shards; nil: as it comes.
    /// - Precondition: two customers or more, and some weight is above zero.
    public init(
        customers: Int = usualCustomers, skew: Skew = usualSkew, preset: Preset = .benchbase, weights: [Int]? = nil,
        crossPercent: Int? = nil, map: ShardMap
    ) {
        guard customers >= 2, let kindChoice = WeightedChoice(weights ?? preset.weights) else {
            preconditionFailure("the options were checked")
        }
        pairs = PairChoice(
            choice: SkewedChoice(skew, count: customers), crossPercent: map.shardCount > 1 ? crossPercent : nil)
        (self.kindChoice, self.preset, self.map) = (kindChoice, preset, map)
    }

    private func shard(of customer: UInt64) -> ShardID { map.shard(of: .key(SmallBank.checkingKey(customer))) }

    /// Cents.
    /// - Parameter drawn: whole units, as Basil draws them.
    private func amount(_ fixed: Int64, _ drawn: ClosedRange<Int64>, _ random: inout SplitMix64) -> Int64 {
        switch preset {
        case .benchbase: fixed
        case .basil: (drawn.lowerBound + Int64(random.below(Int(drawn.upperBound - drawn.lowerBound) + 1))) * 100
        }
    }

    private func other(than first: UInt64, _ random: inout SplitMix64) -> UInt64 {
        UInt64(pairs.other(than: Int(first), &random) { shard(of: UInt64($0)) })
    }

    /// The amounts are BenchBase's (1.30, 20.20, 5.00, 5.00) or drawn as Basil does (1 to 50, -50 to 50, 0 to 49).
    public mutating func draw(using random: inout SplitMix64) -> DrawnTransaction<Plan> {
        let kind = kindChoice.sample(&random)
        let customer = UInt64(pairs.choice.sample(&random))
        let home = CallTarget.key(SmallBank.checkingKey(customer))
        func drawn(
            _ target: CallTarget, _ procedure: String, _ arguments: some CanonicalEncodable, other: UInt64? = nil,
            least: Int64 = 0, most: Int64 = 0, isRead: Bool = false, mayAdd: MayAdd = .checking(0...0)
        ) -> DrawnTransaction<Plan> {
            let invocation = Invocation(
                target: target, procedure: procedure, version: 1, arguments: arguments.encoded())
            return DrawnTransaction(
                kind: kind, operations: [.call(invocation)],
                isCross: other.map { shard(of: $0) != shard(of: customer) } ?? false,
                plan: Plan(
                    customer: customer, other: other, least: least, most: most, isRead: isRead, mayAdd: mayAdd))
        }
        switch kind {
        case 0: return drawn(home, Balance.name, customer, isRead: true)
        case 1:
            let amount = amount(130, 1...50, &random)
            return drawn(
                home, DepositChecking.name, SmallBank.Order(customer: customer, amount: amount), most: amount,
                mayAdd: .checking(0...amount))
        case 2:
            let amount = amount(2020, -50...50, &random)
            return drawn(
                home, TransactSavings.name, SmallBank.Order(customer: customer, amount: amount),
                least: min(0, amount), most: max(0, amount), mayAdd: .savings(min(0, amount)...max(0, amount)))
        case 3:
            let other = other(than: customer, &random)
            let passage = SmallBank.Passage(from: customer, to: other)
            return drawn(Amalgamate.home(to: other), Amalgamate.name, passage, other: other, mayAdd: .everything)
        case 4:
            let amount = amount(500, 0...49, &random)
            return drawn(
                home, WriteCheck.name, SmallBank.Order(customer: customer, amount: amount),
                least: -amount - SmallBank.penalty, mayAdd: .checking(-amount - SmallBank.penalty...0))
        default:
            let other = other(than: customer, &random)
            let passage = SmallBank.Passage(from: customer, to: other, amount: amount(500, 0...49, &random))
            return drawn(
                SendPayment.home(from: customer, to: other, in: map), SendPayment.name, passage, other: other,
                mayAdd: .payment(passage.amount))
        }
    }

    /// Adds up what the result certifies.
    public mutating func ended(_ plan: Plan, _ ending: TransactionEnding) {
        let customers = [plan.customer] + (plan.other.map { [$0] } ?? [])
        for customer in customers where books[customer] == nil { books[customer] = Books() }
        guard !plan.isRead else { return }
        switch ending {
        case .committed(let result):
            guard let change = try? SmallBank.Change(decoding: result) else {
                unreadable += 1
                return
            }
            books[plan.customer, default: Books()].checking.change += change.checking
            books[plan.customer, default: Books()].savings.change += change.savings
            if let other = plan.other { books[other, default: Books()].checking.change += change.other }
            total += change.checking + change.savings + change.other
        case .aborted: return
        case .unknown:
            widen(plan)
            (least, most) = (least + plan.least, most + plan.most)
        }
    }

    /// Only the balances that it concerns, and by no more than it moves.
    private mutating func widen(_ plan: Plan) {
        switch plan.mayAdd {
        case .checking(let range): books[plan.customer, default: Books()].checking.widen(range)
        case .savings(let range): books[plan.customer, default: Books()].savings.widen(range)
        case .payment(let amount):
            books[plan.customer, default: Books()].checking.widen(-amount...0)
            if let other = plan.other { books[other, default: Books()].checking.widen(0...amount) }
        case .everything:
            books[plan.customer, default: Books()].checking.isOpen = true
            books[plan.customer, default: Books()].savings.isOpen = true
            if let other = plan.other { books[other, default: Books()].checking.isOpen = true }
        }
    }

    /// Both balances of every customer that a transaction named, whatever became of it.
    public var subjects: CheckSubjects {
        CheckSubjects(
            keys: books.keys.sorted().flatMap { [SmallBank.checkingKey($0), SmallBank.savingsKey($0)] })
    }

    /// Each customer has what was certified, and the whole bank what came in and went out.
    public func verdict(_ state: FinalValues) -> CheckVerdict {
        let uncertain = books.values.count { $0.isUncertain }
        var verdict = CheckVerdict(
            "balances of \(books.count) customers and the bank's total are what is certified"
                + (uncertain > 0 ? "; \(uncertain) customers have transactions without an outcome" : ""))
        if unreadable > 0 { verdict.add("\(unreadable) transactions committed with a result that cannot be read") }
        var found: Int64 = 0
        for customer in books.keys.sorted() {
            guard let own = books[customer] else { continue }
            let opening = SmallBank.openingBalance
            let checking = state.value(of: SmallBank.checkingKey(customer), or: opening, &verdict)
            let savings = state.value(of: SmallBank.savingsKey(customer), or: opening, &verdict)
            guard let checking, let savings else { continue }
            found &+= (checking &- opening) &+ (savings &- opening)
            let wanted = (opening + own.checking.change, opening + own.savings.change)
            if !(own.checking.explains(checking) && own.savings.explains(savings)) {
                verdict.add(
                    "customer \(customer) has \(checking) and \(savings) cents; \(wanted.0) and \(wanted.1) are certified"
                )
            }
        }
        if verdict.isConsistent == true, !(total + least...total + most ~= found) {
            verdict.add("the bank holds \(found) cents more than at the start; \(total) more are certified")
        }
        return verdict
    }
}
