import Randomness
import Gateway
import Messages
import Testing

@Suite struct BackoffTests {
    @Test func theCeilingDoublesUpToTheCap() {
        let backoff = Backoff(base: 2, cap: 250)
        #expect((0..<9).map { backoff.ceiling(attempt: $0) } == [2, 4, 8, 16, 32, 64, 128, 250, 250])
        #expect(backoff.ceiling(attempt: 10_000) == 250)
        #expect(backoff.ceiling(attempt: -1) == 2)
    }

    @Test func delaysAreUniformBetweenNothingAndTheCeiling() {
        let backoff = Backoff(base: 1_000, cap: 16_000)
        var rng = SplitMix64(seed: 1)
        for attempt in 0..<8 {
            let ceiling = backoff.ceiling(attempt: attempt)
            let delays = (0..<2000).map { _ in backoff.delay(attempt: attempt, using: &rng) }
            #expect(delays.allSatisfy { $0 <= ceiling })
            // Full jitter: all quarters are equally likely.
            for quarter in 0..<4 {
                let low = ceiling * UInt64(quarter) / 4
                let high = ceiling * UInt64(quarter + 1) / 4
                let count = delays.count { $0 >= low && $0 < high }
                #expect(count > 400 && count < 600, "attempt \(attempt), quarter \(quarter): \(count) of 2000")
            }
        }
    }

    @Test func oneSeedGivesOneSequence() {
        let backoff = Backoff(base: 5, cap: 1000)
        func delays(_ seed: UInt64) -> [UInt64] {
            var rng = SplitMix64(seed: seed)
            return (0..<20).map { backoff.delay(attempt: $0, using: &rng) }
        }
        #expect(delays(7) == delays(7))
        #expect(delays(7) != delays(8))
    }

    @Test func retriesAreAFractionOfFreshRequestsPlusAFloor() {
        var budget = RetryBudget(perMille: 200, floorPerSecond: 0, capacityInRetries: 100)
        let start = Instant(uptime: 0, wall: .zero)
        let early = budget.take(millitokens: 1000, now: start)
        #expect(!early)
        for _ in 0..<100 { budget.noteFresh() }
        let allowed = (0..<100).count { _ in budget.take(millitokens: 1000, now: start) }
        #expect(allowed == 20)
        // However much is fresh, the bucket holds only so much.
        for _ in 0..<10_000 { budget.noteFresh() }
        let most = (0..<1000).count { _ in budget.take(millitokens: 1000, now: start) }
        #expect(most == 100)

        var quiet = RetryBudget(perMille: 200, floorPerSecond: 10, capacityInRetries: 100)
        var taken = 0
        for millisecond in 0..<10_000 as Range<UInt64>
        where quiet.take(millitokens: 1000, now: Instant(uptime: millisecond * 1_000_000, wall: .zero)) { taken += 1 }
        #expect(taken >= 108 && taken <= 110, "ten at the start and ten a second: \(taken)")
    }

    @Test func causesHavePoliciesOfTheirOwn() {
        let policies = RetryPolicies()
        #expect(
            policies.policy(for: RetryCause(.conflict))
                == .resubmit(Backoff(base: 2_000_000, cap: 250_000_000), cost: 250))
        #expect(policies.policy(for: .silence) == .retransmit(first: 600_000_000, cap: 4_000_000_000, cost: 1000))
        #expect(policies.policy(for: .connectionLost) == .wait)
        for reason in [RefusalReason.numberTooHigh, .fromTheFuture] {
            #expect(policies.policy(for: RetryCause(reason)) == .reject)
        }
        guard case .resubmit(_, cost: 250) = policies.policy(for: RetryCause(.outOfOrder)) else {
            Issue.record("what a request follows may never come, and asking for it has to cost something")
            return
        }
        let distinct = [
            RetryCause.conflict, .outOfOrder, .overloaded, .viewChange, .silence, .connectionLost, .clientFault,
        ].map(
            policies.policy)
        #expect(Set(distinct).count == distinct.count)
    }
}
