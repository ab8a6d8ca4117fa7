import ExampleProcedures
import Messages
import Randomness
import ShardState
import Testing

/// The procedures of the bench's workloads, over shards.
@Suite struct SmallBankTests {
    private let teller: Person
    init() throws { teller = try Person(1) }

    /// A bank over two shards, and what was done to it.
    private struct Bank {
        var cluster: CallCluster
        let teller: Person
        var number: UInt64 = 0

        init(_ teller: Person, shards: Int = 2) throws {
            (cluster, self.teller) = (try CallCluster(shards: shards), teller)
        }

        mutating func run(
            _ target: CallTarget, _ name: String, _ arguments: some CanonicalEncodable
        ) throws -> LegStatus? {
            number += 1
            return try cluster.run(cluster.call(teller, number, target, name, arguments))
        }

        mutating func change(
            _ target: CallTarget, _ name: String, _ arguments: some CanonicalEncodable
        ) throws -> SmallBank.Change? { try cluster.result(try run(target, name, arguments)) }

        var map: ShardMap { cluster.base.manifest.shardMap }

        func balance(_ key: String) throws -> Int64 {
            let shard = cluster.shard(of: .key(key))
            return try cluster.base.shards[shard].executor.value(ofKey: Array(key.utf8)).map {
                try Int64(decoding: $0)
            } ?? SmallBank.openingBalance
        }

        func balances(_ customer: UInt64) throws -> [Int64] {
            [try balance(SmallBank.checkingKey(customer)), try balance(SmallBank.savingsKey(customer))]
        }

        /// The `n`th customer of a shard.
        func customer(on shard: Int, _ n: Int = 0) -> UInt64 {
            var left = n
            var customer: UInt64 = 0
            while true {
                if cluster.shard(of: .key(SmallBank.checkingKey(customer))) == shard {
                    if left == 0 { return customer }
                    left -= 1
                }
                customer += 1
            }
        }
    }

    private static let opening = SmallBank.openingBalance

    private func home(_ customer: UInt64) -> CallTarget { .key(SmallBank.checkingKey(customer)) }

    @Test func keysThatUnicodeTakesForEqualAreLockedOneByOne() throws {
        let (composed, combined) = ("caf\u{E9}", "cafe\u{301}")
        #expect(composed == combined)
        #expect(
            LockOrder.keys([composed, "z", combined, composed])
                == [Array(combined.utf8), Array(composed.utf8), Array("z".utf8)])
        // Each holds its own.
        var bank = try Bank(teller, shards: 1)
        let puts = [TextOperation(key: composed, .put("one")), TextOperation(key: combined, .put("two"))]
        _ = try bank.run(.key(composed), TextTransaction.name, puts)
        let values: [ReadKeys.Value]? = try bank.cluster.result(
            try bank.run(.key(composed), ReadKeys.name, [combined, composed]))
        #expect(values == [ReadKeys.Value("two".encoded()), ReadKeys.Value("one".encoded())])
    }

    @Test func aCustomerWhomNobodyHasTouchedHasTheOpeningBalances() throws {
        var bank = try Bank(teller)
        let status = try bank.run(home(7), Balance.name, UInt64(7))
        #expect(try bank.cluster.result(status) == 2 * Self.opening)
        // And reading makes none.
        let key = Array(SmallBank.checkingKey(7).utf8)
        let shard = bank.cluster.shard(of: home(7))
        #expect(try bank.cluster.base.shards[shard].executor.value(ofKey: key) == nil)
    }

    @Test func depositsSavingsAndChecksChangeOneBalance() throws {
        var bank = try Bank(teller)
        #expect(
            try bank.change(home(1), DepositChecking.name, SmallBank.Order(customer: 1, amount: 130))
                == SmallBank.Change(checking: 130))
        #expect(
            try bank.change(home(1), TransactSavings.name, SmallBank.Order(customer: 1, amount: -20))
                == SmallBank.Change(savings: -20))
        #expect(
            try bank.change(home(1), WriteCheck.name, SmallBank.Order(customer: 1, amount: 500))
                == SmallBank.Change(checking: -500))
        #expect(try bank.balances(1) == [Self.opening - 370, Self.opening - 20])
        #expect(
            try bank.run(home(1), DepositChecking.name, SmallBank.Order(customer: 1, amount: -1))?.isRefused == true)
        let tooMuch = SmallBank.Order(customer: 1, amount: -Self.opening)
        #expect(try bank.run(home(1), TransactSavings.name, tooMuch)?.isRefused == true)
        #expect(try bank.balances(1) == [Self.opening - 370, Self.opening - 20])
    }

    @Test func aCheckThatIsNotCoveredCostsAPenalty() throws {
        var bank = try Bank(teller)
        let covered = SmallBank.Order(customer: 1, amount: 2 * Self.opening)
        #expect(
            try bank.change(home(1), WriteCheck.name, covered) == SmallBank.Change(checking: -2 * Self.opening))
        let bounced = SmallBank.Order(customer: 1, amount: 50)
        #expect(
            try bank.change(home(1), WriteCheck.name, bounced)
                == SmallBank.Change(checking: -50 - SmallBank.penalty))
        #expect(try bank.balances(1) == [-Self.opening - 50 - SmallBank.penalty, Self.opening])
    }

    @Test(arguments: [(0, 0), (0, 1), (1, 0), (1, 1)])
    func aPaymentMovesMoneyOrNothing(from: Int, to: Int) throws {
        var bank = try Bank(teller)
        let (payer, payee) = (bank.customer(on: from), bank.customer(on: to, from == to ? 1 : 0))
        let target = SendPayment.home(from: payer, to: payee, in: bank.map)
        #expect(bank.cluster.shard(of: target) == max(from, to))
        let payment = SmallBank.Passage(from: payer, to: payee, amount: 500)
        #expect(
            try bank.change(target, SendPayment.name, payment) == SmallBank.Change(checking: -500, other: 500))
        let tooMuch = SmallBank.Passage(from: payer, to: payee, amount: Self.opening)
        #expect(try bank.run(target, SendPayment.name, tooMuch)?.isRefused == true)
        #expect(try bank.balances(payer) == [Self.opening - 500, Self.opening])
        #expect(try bank.balances(payee) == [Self.opening + 500, Self.opening])
        let own = SmallBank.Passage(from: payer, to: payer, amount: 1)
        #expect(try bank.run(home(payer), SendPayment.name, own)?.isRefused == true)
    }

    @Test(arguments: [(0, 0), (0, 1), (1, 0), (1, 1)])
    func amalgamateMovesAll(from: Int, to: Int) throws {
        var bank = try Bank(teller)
        let (giver, taker) = (bank.customer(on: from), bank.customer(on: to, from == to ? 1 : 0))
        #expect(
            try bank.change(
                Amalgamate.home(to: taker), Amalgamate.name, SmallBank.Passage(from: giver, to: taker))
                == SmallBank.Change(checking: -Self.opening, savings: -Self.opening, other: 2 * Self.opening))
        #expect(try bank.balances(giver) == [0, 0])
        #expect(try bank.balances(taker) == [3 * Self.opening, Self.opening])
    }

    @Test func hugeAmountsAreRefusedAndStopNoReplica() throws {
        var bank = try Bank(teller)
        for amount in [Int64.max, .min] {
            let order = SmallBank.Order(customer: 1, amount: amount)
            for name in [DepositChecking.name, WriteCheck.name, TransactSavings.name, MoveChecking.name] {
                let status = try bank.run(home(1), name, order)
                #expect(status?.isRefused == true, "\(name) of \(amount)")
            }
        }
        _ = try bank.run(home(1), WriteCheck.name, SmallBank.Order(customer: 1, amount: .max))
        _ = try bank.run(Amalgamate.home(to: 2), Amalgamate.name, SmallBank.Passage(from: 1, to: 2))
        _ = try bank.run(home(1), Balance.name, UInt64(1))
    }

    /// Whatever is done, the balances are the opening ones and what results certify.
    @Test(arguments: 1...5) func everyBalanceIsWhatWasCertified(seed: Int) throws {
        var bank = try Bank(teller, shards: 3)
        var random = SplitMix64(seed: UInt64(seed))
        let customers: UInt64 = 12
        var expected = [[Int64]](repeating: [Self.opening, Self.opening], count: Int(customers))
        for _ in 0..<150 {
            let (one, amount) = (random.below(customers), Int64(random.below(Int(Self.opening))) - 1000)
            let two = (one + 1 + random.below(customers - 1)) % customers
            let order = SmallBank.Order(customer: one, amount: amount)
            let passage = SmallBank.Passage(from: one, to: two, amount: amount)
            let change: SmallBank.Change? =
                switch random.below(5) {
                case 0: try bank.change(home(one), DepositChecking.name, order)
                case 1: try bank.change(home(one), TransactSavings.name, order)
                case 2: try bank.change(home(one), WriteCheck.name, order)
                case 3: try bank.change(Amalgamate.home(to: two), Amalgamate.name, passage)
                default:
                    try bank.change(SendPayment.home(from: one, to: two, in: bank.map), SendPayment.name, passage)
                }
            guard let change else { continue }
            expected[Int(one)][0] += change.checking
            expected[Int(one)][1] += change.savings
            expected[Int(two)][0] += change.other
        }
        for customer in 0..<customers {
            #expect(try bank.balances(customer) == expected[Int(customer)], "seed \(seed), customer \(customer)")
        }
    }

    // MARK: The closed economy, and reading

    @Test(arguments: [(0, 0), (0, 1), (1, 0)])
    func aUnitMovesWhileThereIsOne(from: Int, to: Int) throws {
        var bank = try Bank(teller)
        let records = (0..<200).map { UInt64($0) }
        func on(_ shard: Int) -> [UInt64] {
            records.filter { bank.cluster.shard(of: .key(ClosedEconomy.key($0))) == shard }
        }
        let (source, target) = (on(from)[0], on(to)[1])
        func held(_ record: UInt64) throws -> ClosedEconomy.Record? {
            let key = ClosedEconomy.key(record)
            let executor = bank.cluster.base.shards[bank.cluster.shard(of: .key(key))].executor
            return try executor.value(ofKey: Array(key.utf8)).map { try ClosedEconomy.Record(decoding: $0) }
        }
        let step = ClosedEconomy.Step(record: source, value: target)
        let key = CallTarget.key(ClosedEconomy.key(target))
        #expect(try bank.cluster.result(try bank.run(key, MoveUnit.name, step)) == UInt64(1))
        let mark = ClosedEconomy.Step(record: target, value: 5)
        #expect(
            try bank.cluster.result(try bank.run(key, UpdateRecord.name, mark))
                == ClosedEconomy.Record(money: ClosedEconomy.openingMoney + 1))
        #expect(try held(source) == ClosedEconomy.Record(money: ClosedEconomy.openingMoney - 1))
        #expect(try held(target) == ClosedEconomy.Record(money: ClosedEconomy.openingMoney + 1, mark: 5))
        #expect(try bank.cluster.result(try bank.run(key, ReadRecord.name, target)) == held(target))
        let own = ClosedEconomy.Step(record: target, value: target)
        #expect(try bank.run(key, MoveUnit.name, own)?.isRefused == true)
    }

    @Test func keysAreReadAsTheyAre() throws {
        var bank = try Bank(teller)
        _ = try bank.run(home(1), DepositChecking.name, SmallBank.Order(customer: 1, amount: 1))
        let keys = [SmallBank.savingsKey(1), SmallBank.checkingKey(1), SmallBank.checkingKey(1)]
        let read: [ReadKeys.Value]? = try bank.cluster.result(try bank.run(home(1), ReadKeys.name, keys))
        #expect(read?.map(\.bytes) == [nil, (Self.opening + 1).encoded(), (Self.opening + 1).encoded()])
    }
}

extension LegStatus {
    /// The procedure itself said no.
    fileprivate var isRefused: Bool {
        if case .failed(let failure) = self { failure.reason == .procedure } else { false }
    }
}
