import ExampleProcedures
import Messages
import Randomness
import Testing
import Workload

/// Draws so many transactions.
private func drawn<Mix: TransactionMix>(_ mix: inout Mix, _ count: Int, seed: UInt64 = 1) -> [DrawnTransaction<
    Mix.Plan
>] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in mix.draw(using: &random) }
}

private func invocation(_ operations: [Messages.Operation]) -> Invocation? {
    guard case .call(let invocation, _)? = operations.first else { return nil }
    return invocation
}

struct SkewTests {
    @Test(arguments: ["uniform", "zipf:0.9", "zipf:0.0", "hot:1000:0.9", "hot:1:1.0"])
    func `a skew is read as it is written`(_ text: String) { #expect(Skew(text)?.description == text) }

    @Test(arguments: [
        "", "even", "uniform:1", "zipf", "zipf:-1", "zipf:x", "zipf:nan", "zipf:11", "hot:10", "hot:0:0.5", "hot:5:1.1",
        "hot:5:0.5:1", "hot:-5:0.5",
    ])
    func `what is no skew is refused`(_ text: String) { #expect(Skew(text) == nil) }

    @Test func `the hot ones get their share, evenly, and the others the rest`() {
        let choice = SkewedChoice(.hot(10, share: 0.9), count: 1000)
        var random = SplitMix64(seed: 3)
        var counts = [Int](repeating: 0, count: 1000)
        for _ in 0..<100_000 { counts[choice.sample(&random)] += 1 }
        let hot = counts[..<10].reduce(0, +)
        #expect(abs(hot - 90_000) < 1000)
        #expect(counts[..<10].allSatisfy { abs($0 - 9000) < 600 })
        #expect(counts[10...].max() ?? 0 < 40)
    }

    @Test func `if all are hot there is nobody else`() {
        let choice = SkewedChoice(.hot(10, share: 0.5), count: 4)
        var random = SplitMix64(seed: 3)
        for _ in 0..<1000 { #expect((0..<4).contains(choice.sample(&random))) }
    }

    @Test func `one that fits is found even if it is never drawn`() {
        let choice = SkewedChoice(.hot(1, share: 1), count: 100)
        var random = SplitMix64(seed: 3)
        #expect(choice.sample(&random) { $0 == 77 } == 77)
        #expect(choice.sample(&random) { _ in false } == nil)
    }

    @Test func `transfers take a skew, and without one their rows are what they were`() {
        var shape = SkewedWorkload(accounts: 1000, transfers: 2000, seed: 4)
        let usual = shape.trace()
        shape.skew = .zipf(0.9)
        #expect(shape.trace().rows.first == usual.rows.first)
        shape.skew = .hot(1, share: 1)
        let hot = shape.trace()
        #expect(hot.rows.count == 2000 && hot.rows.allSatisfy { $0.from == 0 && $0.to != 0 })
    }
}

struct SmallBankMixTests {
    private static let map = ShardMap(shardCount: 4)

    @Test func `each kind has the share that BenchBase gives it`() {
        var mix = SmallBankMix(map: Self.map)
        var counts = [Int](repeating: 0, count: 6)
        for transaction in drawn(&mix, 20_000) { counts[transaction.kind] += 1 }
        for (count, weight) in zip(counts, [15, 15, 15, 15, 15, 25]) { #expect(abs(count - weight * 200) < 300) }
    }

    @Test func `Basil's preset reads for the most part, and has no payments`() {
        var mix = SmallBankMix(preset: .basil, map: Self.map)
        var counts = [Int](repeating: 0, count: 6)
        for transaction in drawn(&mix, 20_000) { counts[transaction.kind] += 1 }
        for (count, weight) in zip(counts, [60, 10, 10, 10, 10, 0]) { #expect(abs(count - weight * 200) < 300) }
    }

    @Test func `the same seed draws the same transactions, another one others`() {
        func operations(_ seed: UInt64) -> [[Messages.Operation]] {
            var mix = SmallBankMix(map: Self.map)
            return drawn(&mix, 200, seed: seed).map(\.operations)
        }
        #expect(operations(7) == operations(7) && operations(7) != operations(8))
    }

    @Test(arguments: [0, 30, 100]) func `so many of the transactions on two customers are over two shards`(
        _ percent: Int
    ) {
        var mix = SmallBankMix(weights: [0, 0, 0, 1, 0, 1], crossPercent: percent, map: Self.map)
        let crossing = drawn(&mix, 5000).count(where: \.isCross)
        #expect(abs(crossing - percent * 50) <= (percent % 100 == 0 ? 0 : 200))
    }

    /// Deposits to customers that a test knows, as the bank executes them.
    private struct Deposits {
        var mix = SmallBankMix(customers: 50, skew: .uniform, weights: [0, 1, 0, 0, 0, 0], map: map)
        var balances: [String: Int64] = [:]

        /// - Parameter losing: this one is certified, and its write is lost.
        init(_ count: Int, losing lost: Int? = nil, unknown: Set<Int> = []) throws {
            for (place, transaction) in drawn(&mix, count).enumerated() {
                let call = try #require(invocation(transaction.operations))
                let order = try SmallBank.Order(decoding: call.arguments)
                if place != lost {
                    balances[SmallBank.checkingKey(order.customer), default: SmallBank.openingBalance] += order.amount
                }
                let result = SmallBank.Change(checking: order.amount).encoded()
                mix.ended(transaction.plan, unknown.contains(place) ? .unknown : .committed(result))
            }
        }

        var verdict: CheckVerdict {
            let keys = mix.subjects.keys.map { ($0, balances[$0]?.encoded()) }
            return mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: keys)))
        }
    }

    @Test func `what is there is what was certified`() throws { #expect(try Deposits(200).verdict.text == []) }

    @Test func `a deposit whose write was lost is found, and its customer named`() throws {
        let verdict = try Deposits(200, losing: 60).verdict
        #expect(!verdict.holds && verdict.text[0].contains("customer"))
        #expect(verdict.text.count == 1)
    }

    @Test func `what nobody knows may have happened or not`() throws {
        #expect(try Deposits(200, losing: 60, unknown: [60]).verdict.text == [])
        #expect(try Deposits(200, unknown: [60]).verdict.text == [])
        // But not what is known of others.
        #expect(try !Deposits(2, losing: 0, unknown: [1]).verdict.holds)
    }

    @Test func `of customers that could not be read nothing is known, and what is no balance is a problem`() throws {
        let deposits = try Deposits(3)
        let unread = deposits.mix.verdict(FinalValues())
        #expect(unread.holds && unread.isConsistent == nil && unread.unread == deposits.mix.subjects.keys.count)
        #expect(try Deposits(3).verdict.isConsistent == true)
        let strange = deposits.mix.subjects.keys.map { ($0, [1, 2, 3] as [UInt8]?) }
        let verdict = deposits.mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: strange)))
        #expect(verdict.isConsistent == false && verdict.unread == 0)
    }

    /// Two deposits to one customer, the second without an outcome.
    private func deposited(_ checking: Int64, savings: Int64) throws -> CheckVerdict {
        var mix = SmallBankMix(customers: 2, skew: .hot(1, share: 1), weights: [0, 1, 0, 0, 0, 0], map: Self.map)
        let transactions = drawn(&mix, 2)
        let order = try SmallBank.Order(decoding: try #require(invocation(transactions[0].operations)).arguments)
        mix.ended(transactions[0].plan, .committed(SmallBank.Change(checking: order.amount).encoded()))
        mix.ended(transactions[1].plan, .unknown)
        let opening = SmallBank.openingBalance
        return mix.verdict(
            FinalValues(keys: [
                SmallBank.checkingKey(order.customer): (opening + checking).encoded(),
                SmallBank.savingsKey(order.customer): (opening + savings).encoded(),
            ]))
    }

    @Test func `one deposit without an outcome does not excuse all balances of its customer`() throws {
        #expect(try deposited(130, savings: 0).holds && deposited(260, savings: 0).holds)
        // The certified one is lost; more came than both; a balance that it does not concern.
        #expect(try !deposited(0, savings: 0).holds && !deposited(390, savings: 0).holds)
        #expect(try !deposited(130, savings: 1).holds)
    }

    @Test func `a merge without an outcome leaves only its three balances open`() throws {
        var mix = SmallBankMix(customers: 2, skew: .uniform, weights: [0, 0, 0, 1, 0, 0], map: Self.map)
        let transaction = drawn(&mix, 1)[0]
        let passage = try SmallBank.Passage(
            decoding: try #require(invocation(transaction.operations)).arguments)
        mix.ended(transaction.plan, .unknown)
        let opening = SmallBank.openingBalance
        func holds(_ moved: Int64, savings: Int64) -> Bool {
            mix.verdict(
                FinalValues(keys: [
                    SmallBank.checkingKey(passage.from): (opening - moved).encoded(),
                    SmallBank.savingsKey(passage.from): (opening - moved).encoded(),
                    SmallBank.checkingKey(passage.to): (opening + 2 * moved).encoded(),
                    SmallBank.savingsKey(passage.to): (opening + savings).encoded(),
                ])
            ).holds
        }
        #expect(holds(0, savings: 0) && holds(opening, savings: 0))
        #expect(!holds(opening, savings: -1))
    }
}

struct ClosedEconomyMixTests {
    private static let map = ShardMap(shardCount: 3)

    @Test func `marks and moves are looked at record by record, and the sum`() throws {
        var mix = ClosedEconomyMix(records: 20, skew: .uniform, weights: [1, 2, 3], map: Self.map)
        var records: [String: ClosedEconomy.Record] = [:]
        for transaction in drawn(&mix, 400) {
            let call = try #require(invocation(transaction.operations))
            guard transaction.kind > 0 else {
                mix.ended(transaction.plan, .committed(ClosedEconomy.Record().encoded()))
                continue
            }
            let step = try ClosedEconomy.Step(decoding: call.arguments)
            let own = ClosedEconomy.key(step.record)
            if transaction.kind == 1 {
                records[own, default: .init()].mark = step.value
                mix.ended(transaction.plan, .committed(ClosedEconomy.Record().encoded()))
            } else {
                records[own, default: .init()].money -= 1
                records[ClosedEconomy.key(step.value), default: .init()].money += 1
                mix.ended(transaction.plan, .committed(UInt64(1).encoded()))
            }
        }
        func verdict(_ records: [String: ClosedEconomy.Record]) -> CheckVerdict {
            let keys = mix.subjects.keys.map { ($0, records[$0]?.encoded()) }
            return mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: keys)))
        }
        #expect(verdict(records).text == [])
        let key = try #require(records.keys.sorted().first)
        var richer = records
        richer[key]?.money += 1
        #expect(!verdict(richer).holds)
        var strange = records
        strange[key]?.mark = 9_999_999
        #expect(!verdict(strange).holds)
    }

    /// Updates of two records, each with the mark that it writes.
    private static func updates(_ mix: inout ClosedEconomyMix, _ count: Int) throws
        -> [(transaction: DrawnTransaction<ClosedEconomyMix.Plan>, record: UInt64, mark: UInt64)]
    {
        try drawn(&mix, count).map {
            let step = try ClosedEconomy.Step(decoding: try #require(invocation($0.operations)).arguments)
            return ($0, step.record, step.value)
        }
    }

    private static func holds(_ mix: ClosedEconomyMix, _ marks: [UInt64: UInt64]) -> Bool {
        let keys = mix.subjects.keys.map { key in
            let mark = marks.first { ClosedEconomy.key($0.key) == key }?.value ?? 0
            var record = ClosedEconomy.Record()
            record.mark = mark
            return (key, record.encoded() as [UInt8]?)
        }
        return mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: keys))).holds
    }

    @Test func `the mark of an update that another one came after is a lost update`() throws {
        var mix = ClosedEconomyMix(records: 2, skew: .hot(1, share: 1), weights: [0, 1, 0], map: Self.map)
        var random = SplitMix64(seed: 5)
        var (marks, record): ([UInt64], UInt64) = ([], 0)
        for _ in 0..<3 {
            let transaction = mix.draw(using: &random)
            let step = try ClosedEconomy.Step(decoding: try #require(invocation(transaction.operations)).arguments)
            (record, marks) = (step.record, marks + [step.value])
            mix.ended(transaction.plan, .committed(ClosedEconomy.Record().encoded()))
        }
        #expect(Self.holds(mix, [record: marks[2]]))
        #expect(!Self.holds(mix, [record: marks[1]]) && !Self.holds(mix, [record: marks[0]]))
        #expect(!Self.holds(mix, [record: 0]))
    }

    @Test func `of updates that were under way together each may be the last, and so may one without an outcome`()
        throws
    {
        var mix = ClosedEconomyMix(records: 2, skew: .hot(1, share: 1), weights: [0, 1, 0], map: Self.map)
        let together = try Self.updates(&mix, 3)
        let record = together[0].record
        mix.ended(together[0].transaction.plan, .unknown)
        for update in together[1...] {
            mix.ended(update.transaction.plan, .committed(ClosedEconomy.Record().encoded()))
        }
        for update in together { #expect(Self.holds(mix, [record: update.mark])) }
        let last = try Self.updates(&mix, 1)[0]
        mix.ended(last.transaction.plan, .committed(ClosedEconomy.Record().encoded()))
        #expect(Self.holds(mix, [record: last.mark]) && Self.holds(mix, [record: together[0].mark]))
        #expect(!Self.holds(mix, [record: together[1].mark]) && !Self.holds(mix, [record: together[2].mark]))
    }
}

struct CallMixTests {
    @Test(arguments: [1, 2, 4]) func `each visit is on another shard, and counters are what calls have added`(
        _ depth: Int
    ) throws {
        let map = ShardMap(shardCount: 5)
        var mix = try #require(CallMix(depth: depth, counters: 100, map: map))
        var counters: [String: UInt64] = [:]
        for transaction in drawn(&mix, 300) {
            let call = try #require(invocation(transaction.operations))
            let keys = try Chain.Arguments(decoding: call.arguments).keys
            #expect(Set(keys.map { map.shard(ofKey: Array($0.utf8)) }).count == depth + 1)
            for (place, key) in keys.enumerated() { counters[key, default: 0] += UInt64(place) + 1 }
            mix.ended(transaction.plan, .committed([]))
        }
        func verdict() -> CheckVerdict {
            let keys = mix.subjects.keys.map { ($0, counters[$0]?.encoded()) }
            return mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: keys)))
        }
        #expect(verdict().holds)
        let key = try #require(counters.keys.sorted().first)
        counters[key, default: 0] -= 1
        #expect(!verdict().holds)
    }

    @Test func `a chain without an outcome is there whole or not at all`() throws {
        let map = ShardMap(shardCount: 4)
        var mix = try #require(CallMix(depth: 2, counters: 100, map: map))
        let transaction = drawn(&mix, 1)[0]
        mix.ended(transaction.plan, .unknown)
        func verdict(_ counts: [UInt64]) -> CheckVerdict {
            let keys = zip(transaction.plan, counts).map { ($0, $1.encoded() as [UInt8]?) }
            return mix.verdict(FinalValues(keys: Dictionary(uniqueKeysWithValues: keys)))
        }
        #expect(verdict([1, 2, 3]).isConsistent == true && verdict([0, 0, 0]).isConsistent == true)
        #expect(verdict([1, 2, 0]).isConsistent == false && verdict([0, 0, 3]).isConsistent == false)
        #expect(verdict([1, 2]).isConsistent == nil)
    }

    @Test func `a shard without a counter is refused`() {
        #expect(CallMix(depth: 1, counters: 2, map: ShardMap(shardCount: 16)) == nil)
    }
}

struct SettlementMixTests {
    private static let keys = AccountKeys(accounts: 200, members: 4, seed: 1)

    private func shards(_ plan: [SettlementMix.Leg], _ map: ShardMap) -> Int {
        Set(plan.flatMap { [$0.from, $0.to] }.map { map.shard(of: Self.keys.ids[$0]) }).count
    }

    @Test(arguments: [2, 3, 5]) func `a settlement concerns as many shards as it is to, and one member pays`(
        _ participants: Int
    ) {
        let map = ShardMap(shardCount: 5)
        var mix = SettlementMix(keys: Self.keys, legs: 6, participants: participants, map: map)
        for transaction in drawn(&mix, 300) {
            #expect(shards(transaction.plan, map) == participants)
            #expect(transaction.plan.count == 6 && transaction.operations.count == 6)
            #expect(transaction.plan.allSatisfy { Self.keys.owner(of: $0.from) == transaction.principal })
            #expect(transaction.plan.allSatisfy { $0.from != $0.to && $0.amount > 0 })
        }
    }

    @Test(arguments: [0, 25, 100]) func `so many settlements are over several shards`(_ percent: Int) {
        var mix = SettlementMix(keys: Self.keys, crossPercent: percent, map: ShardMap(shardCount: 4))
        let crossing = drawn(&mix, 4000).count(where: \.isCross)
        #expect(abs(crossing - percent * 40) <= (percent % 100 == 0 ? 0 : 160))
    }

    @Test func `of a settlement without an outcome all legs are there or none`() {
        var mix = SettlementMix(keys: Self.keys, map: ShardMap(shardCount: 2))
        let plans = drawn(&mix, 40).map(\.plan)
        for (place, plan) in plans.enumerated() { mix.ended(plan, place < 20 ? .unknown : .committed([])) }
        /// - Parameter legs: how many of each settlement happened.
        func verdict(_ legs: (Int) -> Int) -> CheckVerdict {
            var held: [AccountID: UInt128] = [:]
            for account in mix.subjects.accounts { held[account] = SettlementMix.openingBalance }
            for (place, plan) in plans.enumerated() {
                for leg in plan.prefix(legs(place)) {
                    held[Self.keys.ids[leg.from]]? -= UInt128(leg.amount)
                    held[Self.keys.ids[leg.to]]? += UInt128(leg.amount)
                }
            }
            return mix.verdict(FinalValues(balances: held))
        }
        #expect(verdict { $0 >= 20 ? 4 : 0 }.isConsistent == true)
        #expect(verdict { _ in 4 }.isConsistent == true)
        #expect(verdict { $0.isMultiple(of: 2) || $0 >= 20 ? 4 : 0 }.isConsistent == true)
        let half = verdict { $0 == 7 ? 2 : 4 }
        #expect(half.isConsistent == false && half.text[0].contains("whole or not at all"))
    }

    @Test func `accounts hold every leg, and one leg that is missing is found`() throws {
        var mix = SettlementMix(keys: Self.keys, map: ShardMap(shardCount: 2))
        var change: [AccountID: Int128] = [:]
        var last: SettlementMix.Leg?
        for transaction in drawn(&mix, 100) {
            for leg in transaction.plan {
                change[Self.keys.ids[leg.from], default: 0] -= Int128(leg.amount)
                change[Self.keys.ids[leg.to], default: 0] += Int128(leg.amount)
                last = leg
            }
            mix.ended(transaction.plan, .committed([]))
        }
        func verdict() -> CheckVerdict {
            let balances = mix.subjects.accounts.map {
                ($0, UInt128(Int128(SettlementMix.openingBalance) + (change[$0] ?? 0)))
            }
            return mix.verdict(FinalValues(balances: Dictionary(uniqueKeysWithValues: balances)))
        }
        #expect(verdict().holds)
        // Conserved, and wrong all the same.
        let leg = try #require(last)
        change[Self.keys.ids[leg.from], default: 0] += Int128(leg.amount)
        change[Self.keys.ids[leg.to], default: 0] -= Int128(leg.amount)
        #expect(verdict().text.count == 2)
    }
}
