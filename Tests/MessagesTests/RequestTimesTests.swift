import Messages
import Testing

@Suite struct RequestTimesTests {
    private let own = Timestamp(1_700_000_000_000_000)
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(UInt64(Int64(own.number) + seconds * 1_000_000)) }
    private func clock(_ shard: UInt16, time: Int64, clock: Int64) -> ShardClock {
        ShardClock(shard: ShardID(shard), time: at(time), clock: at(clock))
    }
    private func times(_ clocks: [ShardClock]) -> (issuedAt: Int64, deadline: Int64) {
        let times = RequestTimes(own: own, clocks: clocks, lifetime: 30_000_000)
        func seconds(_ time: Timestamp) -> Int64 { (Int64(time.number) - Int64(own.number)) / 1_000_000 }
        return (seconds(times.issuedAt), seconds(times.deadline))
    }

    @Test func whereAllClocksAgreeTheOwnOneCounts() {
        #expect(times([]) == (0, 30))
        // An idle shard's time lags behind.
        #expect(times([clock(0, time: -900, clock: 0)]) == (0, 30))
        #expect(times([clock(0, time: 0, clock: 0), clock(1, time: -1_700_000_000, clock: 0)]) == (0, 30))
    }

    @Test func whereTheyDoNotEveryShardAcceptsBothTimes() {
        // The own clock is 40 s ahead: nothing from the future.
        #expect(times([clock(0, time: -41, clock: -40)]) == (-40, -10))
        // It is 40 s behind, or the hosts' clocks are ahead, which cannot be told apart: alive for the shard, and not
        // from the future should the hosts' clocks be put right first.
        #expect(times([clock(0, time: 39, clock: 40)]) == (0, 70))
        // The shard's time stands.
        #expect(times([clock(0, time: 30, clock: 0)]) == (0, 60))
        #expect(times([clock(0, time: 3600, clock: 0)]) == (3510, 3630))
        // One of two stands: the other follows.
        #expect(times([clock(0, time: 3600, clock: 0), clock(1, time: -5, clock: 0)]) == (3510, 3630))
        #expect(times([clock(0, time: 30, clock: 0), clock(1, time: -5, clock: 0)]) == (0, 60))
        // All clocks went back.
        #expect(times([clock(0, time: 0, clock: -3600)]) == (0, 30))
        #expect(times([clock(0, time: -2, clock: -3600)]) == (-2, 28))
    }

    /// Whatever the clocks: alive in every shard, no longer than a request may live, and not from the future of the
    /// shard that is furthest ahead.
    @Test func theBoundsHoldForAnyClocks() {
        var rng = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let clocks = (0..<UInt16.random(in: 1...4, using: &rng)).map { shard in
                ShardClock(
                    shard: ShardID(shard), time: Timestamp(.random(in: 0...4_000_000_000_000_000, using: &rng)),
                    clock: at(.random(in: -8000...8000, using: &rng)))
            }
            let lifetime = UInt64.random(in: 1...120_000_000, using: &rng)
            let times = RequestTimes(own: own, clocks: clocks, lifetime: lifetime)
            let latest = clocks.map(\.present).max() ?? own
            #expect(
                times.issuedAt < times.deadline && times.deadline.microseconds(since: times.issuedAt) <= 120_000_000)
            #expect(times.issuedAt.microseconds(since: latest) <= RequestTimes.tolerance)
            #expect(
                times.deadline.adding(microseconds: RequestTimes.tolerance) >= latest.adding(microseconds: lifetime))
        }
    }

    private func report(hosts: [Int64], shards: [Int64]) -> ClockReport {
        var report = ClockReport()
        for (h, ahead) in hosts.enumerated() {
            for (s, time) in shards.enumerated() {
                report.note(HostID(UInt16(h)), clock: at(ahead), shard: ShardID(UInt16(s)), time: at(time), own: own)
            }
        }
        return report
    }

    @Test func aReportSaysWhichClockIsWrongAndByHowMuch() {
        #expect(report(hosts: [0, 0, 0, 0], shards: [0, -500]).problems == [])
        #expect(
            report(hosts: [40, 40, 40, 40], shards: [40]).problems == [
                "this machine's clock is 40.0 s behind the clocks of the cluster's hosts"
            ])
        #expect(
            report(hosts: [0, 0, -31, 0], shards: [0]).problems == [
                "the clock of host 2 is 31.0 s behind most hosts' clocks"
            ])
        let standing = report(hosts: [0, 0, 0, 0], shards: [-3, 3600])
        #expect(
            standing.problems.count == 1
                && standing.problems[0].hasPrefix(
                    "shard 1's time is 3600 s ahead of its hosts' clocks, which were ahead before")
        )
        #expect(ClockReport().problems == [])
    }

    @Test func oneHostThatLiesOfAShardsTimeAccusesNobody() {
        for liar in 0..<4 {
            var report = ClockReport()
            for host in 0..<4 {
                report.note(
                    HostID(UInt16(host)), clock: at(0), shard: ShardID(0),
                    time: host == liar ? Timestamp(.max) : at(-2), own: own)
            }
            #expect(report.problems == [] && report.shards.map(\.ahead) == [-2_000_000])
        }
    }

    @Test func oneHostThatLiesOfAShardWhereNothingWasOrderedAccusesNobody() {
        for liar in 0..<4 {
            var report = ClockReport()
            for host in 0..<4 {
                report.note(
                    HostID(UInt16(host)), clock: at(0), shard: ShardID(0), time: host == liar ? at(3600) : .zero,
                    own: own)
            }
            #expect(report.problems == [] && report.shards == [])
        }
    }

    @Test func aReportSurvivesAnyTimes() {
        var report = ClockReport()
        report.note(HostID(0), clock: Timestamp(.max), shard: ShardID(0), time: Timestamp(.max), own: .zero)
        report.note(HostID(1), clock: .zero, shard: ShardID(0), time: Timestamp(1), own: Timestamp(.max))
        #expect(!report.problems.isEmpty)
    }
}
