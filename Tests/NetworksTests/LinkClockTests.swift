import Networks
import Testing

private let millisecond: UInt64 = 1_000_000

@Suite struct LinkClockTests {
    private func clock(_ link: NetworkProfile.Link, seed: UInt64 = 1) -> LinkClock {
        LinkClock(link, back: NetworkProfile.Link(delay: 60 * millisecond), seed: seed)
    }

    @Test func aWriteTakesTheDelay() {
        var clock = clock(.init(delay: 40 * millisecond))
        #expect(clock.arrival(of: 100, at: 0) == 40 * millisecond)
        #expect(clock.arrival(of: 0, at: 5 * millisecond) == 45 * millisecond)
    }

    @Test func jitterIsAroundTheDelayAndNothingOvertakes() {
        let link = NetworkProfile.Link(delay: 40 * millisecond, jitter: 10 * millisecond)
        var clock = clock(link)
        var (last, sum): (UInt64, UInt64) = (0, 0)
        // Further apart than the jitter: each shows its own.
        for i in 0..<2000 {
            let sent = UInt64(i) * 100 * millisecond
            let delay = clock.arrival(of: 100, at: sent) - sent
            #expect((30 * millisecond...50 * millisecond).contains(delay))
            sum += delay
        }
        #expect((39 * millisecond...41 * millisecond).contains(sum / 2000))
        for i in 0..<2000 {
            let arrival = clock.arrival(of: 100, at: 200_000 * millisecond + UInt64(i) * millisecond)
            #expect(arrival >= last)
            last = arrival
        }
    }

    @Test func aJitterAboveTheDelayCountsAsTheDelay() {
        var clock = clock(.init(delay: 2 * millisecond, jitter: 1000 * millisecond))
        for i in 0..<500 {
            let sent = UInt64(i) * 100 * millisecond
            #expect(clock.arrival(of: 1, at: sent) - sent <= 4 * millisecond)
        }
    }

    @Test func bytesLeaveOneAfterTheOther() {
        var clock = clock(.init(delay: 10 * millisecond, bytesPerSecond: 1_000_000))
        #expect(clock.arrival(of: 100_000, at: 0) == 110 * millisecond)
        #expect(clock.arrival(of: 100_000, at: 0) == 210 * millisecond)
        // The link was idle meanwhile, and saved nothing up.
        #expect(clock.arrival(of: 100_000, at: 1000 * millisecond) == 1110 * millisecond)
    }

    @Test func aLostPacketIsLateByARoundTripAndTheLastOneByTwo() {
        // Half of all packets: of a single one, half.
        var clock = clock(.init(delay: 40 * millisecond, lossPerMillion: 500_000))
        var seen: [UInt64: Int] = [:]
        for i in 0..<2000 {
            let sent = UInt64(i) * 10_000 * millisecond
            seen[clock.arrival(of: 100, at: sent) - sent, default: 0] += 1
        }
        #expect(seen.keys.sorted() == [40 * millisecond, 240 * millisecond])
        #expect((900...1100).contains(seen[40 * millisecond] ?? 0))
        var large: Set<UInt64> = []
        for i in 2000..<4000 {
            let sent = UInt64(i) * 10_000 * millisecond
            large.insert(clock.arrival(of: 2000, at: sent) - sent)
        }
        #expect(large.sorted() == [40 * millisecond, 140 * millisecond, 240 * millisecond])
    }

    @Test func whatIsWaitedForHoldsUpWhatComesAfterIt() {
        var clock = clock(.init(delay: 40 * millisecond, lossPerMillion: 500_000))
        var sent: UInt64 = 0
        while clock.arrival(of: 100, at: sent) - sent == 40 * millisecond { sent += 10_000 * millisecond }
        #expect(clock.arrival(of: 0, at: sent + millisecond) == sent + 240 * millisecond)
    }

    @Test func aSeedRepeatsIt() {
        let link = NetworkProfile.Link(delay: 40 * millisecond, jitter: 10 * millisecond, lossPerMillion: 10_000)
        func arrivals(_ seed: UInt64) -> [UInt64] {
            var clock = clock(link, seed: seed)
            return (0..<100).map { clock.arrival(of: 5000, at: UInt64($0) * millisecond) }
        }
        #expect(arrivals(1) == arrivals(1))
        #expect(arrivals(1) != arrivals(2))
    }
}
