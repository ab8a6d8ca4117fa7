import Randomness
import Messages
import Testing
import Workload

private func randomTrace(seed: UInt64, accounts: Int, rows: Int) -> Trace {
    SkewedWorkload(accounts: accounts, transfers: rows, seed: seed).trace()
}

struct FundingTests {
    /// A serial replay; the index of the first row that cannot be paid.
    private func firstFailure(_ trace: Trace, _ opening: [UInt128], passes: Int) -> Int? {
        var balance = opening
        for pass in 0..<passes {
            for (i, row) in trace.rows.enumerated() {
                guard balance[Int(row.from)] >= UInt128(row.amount) else { return pass * trace.rows.count + i }
                balance[Int(row.from)] -= UInt128(row.amount)
                balance[Int(row.to)] += UInt128(row.amount)
            }
        }
        return nil
    }

    @Test(arguments: 1...30, [1, 2, 5])
    func `opening balances are the largest prefix deficits: enough for every row, and one unit less is not`(
        _ seed: Int, _ passes: Int
    ) {
        let trace = randomTrace(seed: UInt64(seed), accounts: 2 + seed % 9, rows: 5 + seed * 3)
        let opening = Funding.openingBalances(of: trace, passes: passes)
        #expect(firstFailure(trace, opening, passes: passes) == nil, "seed \(seed)")
        for account in opening.indices where opening[account] > 0 {
            var less = opening
            less[account] -= 1
            #expect(firstFailure(trace, less, passes: passes) != nil, "seed \(seed), account \(account)")
        }
    }
}

struct SkewedWorkloadTests {
    @Test func `the same seed gives the same rows, another seed others`() {
        #expect(randomTrace(seed: 7, accounts: 100, rows: 1000) == randomTrace(seed: 7, accounts: 100, rows: 1000))
        #expect(randomTrace(seed: 7, accounts: 100, rows: 1000) != randomTrace(seed: 8, accounts: 100, rows: 1000))
    }

    @Test func `the first numbers of a seed never change`() {
        // Published reference output of SplitMix64 for seed 1234567.
        var random = SplitMix64(seed: 1_234_567)
        #expect(
            [random.next(), random.next(), random.next()] == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            ])
    }

    @Test func `popularity follows Zipf's law`() {
        let distribution = ZipfDistribution(count: 1000, exponent: 0.9)
        var random = SplitMix64(seed: 1)
        var counts = [Int](repeating: 0, count: 1000)
        for _ in 0..<200_000 { counts[distribution.sample(&random)] += 1 }
        // Rank 1 over rank 10 is 10^0.9 = 7.9.
        let ratio = Double(counts[0]) / Double(counts[9])
        #expect(ratio > 6.5 && ratio < 9.5)
    }

    @Test func `no row pays an account from itself or moves nothing`() {
        #expect(randomTrace(seed: 3, accounts: 3, rows: 2000).rows.allSatisfy { $0.from != $0.to && $0.amount > 0 })
    }
}

struct CrossShardMixTests {
    @Test(arguments: [2, 4, 7], [0, 10, 50, 100])
    func `exactly the wanted share of rows crosses shards, senders and amounts stay`(_ shards: Int, _ percent: Int) {
        let trace = randomTrace(seed: 5, accounts: 500, rows: 4000)
        let shardOf = AccountKeys(accounts: 500, members: 10, seed: 1).shards(in: ShardMap(shardCount: shards))
        let mixed = CrossShardMix.rewrite(trace, percent: percent, shardOf: shardOf, shardCount: shards, seed: 5)
        #expect(CrossShardMix.crossShare(of: mixed, shardOf: shardOf) == Double(percent) / 100)
        #expect(
            zip(mixed.rows, trace.rows).allSatisfy { $0.from == $1.from && $0.amount == $1.amount && $0.from != $0.to })
        #expect(mixed == CrossShardMix.rewrite(trace, percent: percent, shardOf: shardOf, shardCount: shards, seed: 5))
    }

    @Test func `one shard has nothing to cross`() {
        let trace = randomTrace(seed: 5, accounts: 50, rows: 400)
        let shardOf = AccountKeys(accounts: 50, seed: 1).shards(in: ShardMap(shardCount: 1))
        #expect(CrossShardMix.rewrite(trace, percent: 100, shardOf: shardOf, shardCount: 1, seed: 5) == trace)
    }
}

struct AccountKeysTests {
    @Test func `every account has a key of its own, the same for the same seed`() {
        let keys = AccountKeys(accounts: 20, seed: 9)
        #expect(Set(keys.specifications.map(\.owner)).count == 20)
        #expect(Set(keys.ids).count == 20)
        #expect(keys.ids == AccountKeys(accounts: 20, seed: 9).ids)
        #expect(keys.ids != AccountKeys(accounts: 20, seed: 10).ids)
    }

    @Test func `with members, account i belongs to member i mod N`() {
        let keys = AccountKeys(accounts: 20, members: 3, seed: 9)
        #expect(keys.signers.count == 3)
        #expect(Set(keys.ids).count == 20)
        for account in 0..<20 { #expect(keys.specifications[account].owner == keys.signers[account % 3].publicKey) }
    }
}
