import Messages
import Testing
import Workload

@Suite struct PacedTransfersTests {
    private let keys = AccountKeys(accounts: 40, seed: 1)
    private let map = ShardMap(shardCount: 4)

    private func at(_ milliseconds: UInt64) -> Instant { Instant(uptime: milliseconds * 1_000_000, wall: Timestamp(1)) }

    private func source(cross: Int, rate: Double = 100, _ figures: LiveFigures = LiveFigures()) -> PacedTransfers {
        PacedTransfers(keys: keys, map: map, rate: rate, crossPercent: cross, seed: 3, figures: figures)
    }

    /// All that is due when it is asked each 10 ms, from 1 s on.
    private func works(_ source: inout PacedTransfers, milliseconds: UInt64) -> [Work] {
        var works: [Work] = []
        for moment in stride(from: 1000, to: 1000 + milliseconds, by: 10) {
            while let work = source.next(now: at(moment)) { works.append(work) }
        }
        return works
    }

    @Test(arguments: [20.0, 100, 1000]) func soManyBeginInASecondAsWereAskedFor(rate: Double) {
        var source = source(cross: 50, rate: rate)
        let made = works(&source, milliseconds: 5000).count
        #expect(abs(Double(made) - 5 * rate) <= 0.02 * 5 * rate + 1, "\(made)")
    }

    @Test func whatWasLateIsNotAllCaughtUpWith() {
        var source = source(cross: 0)
        _ = works(&source, milliseconds: 100)
        var burst = 0
        while source.next(now: at(61_000)) != nil { burst += 1 }
        #expect((1...10).contains(burst), "\(burst)")
    }

    @Test(arguments: [0, 30, 100]) func theShareOverTwoShardsIsTheOneAskedFor(percent: Int) throws {
        var source = source(cross: percent)
        let transfers = try works(&source, milliseconds: 20_000).map { work in
            guard case .transfer(let transfer)? = work.operations.first else { throw Unexpected() }
            #expect(keys.ids[work.principal] == transfer.from && transfer.from != transfer.to)
            return transfer
        }
        let crossing = transfers.count { map.shard(of: $0.from) != map.shard(of: $0.to) }
        let share = 100 * Double(crossing) / Double(transfers.count)
        #expect(abs(share - Double(percent)) < 5, "\(share)")
        #expect(Set(transfers.map(\.from)).count == 40 && Set(transfers.map(\.to)).count == 40)
    }
    private struct Unexpected: Error {}

    @Test func aStoppedLoadBeginsNothingMore() {
        let figures = LiveFigures()
        var source = source(cross: 0, figures)
        #expect(!source.isExhausted(now: at(1000)))
        figures.stop()
        let isOver = source.next(now: at(2000)) == nil
        #expect(isOver && source.isExhausted(now: at(2000)))
    }

    @Test func figuresAreOfTheTimeSinceTheLastLook() throws {
        let figures = LiveFigures()
        var source = source(cross: 50, figures)
        let works = works(&source, milliseconds: 2000)
        let cross = try #require(works.first { isCross($0) })
        let intra = try #require(works.first { !isCross($0) })
        #expect(figures.inFlight == works.count)
        source.completed(cross, leg: 0, outcome: .committed, microseconds: 30, now: at(3000))
        source.finished(cross, now: at(3000))
        source.completed(intra, leg: 0, outcome: .committed, microseconds: 10, now: at(3000))
        source.completed(intra, leg: 0, outcome: .aborted(.insufficientFunds), microseconds: 10, now: at(3000))
        source.completed(intra, leg: 0, outcome: .unknown("lost"), microseconds: 10, now: at(3000))
        let seen = figures.take()
        #expect(seen.cross == [30] && seen.intra == [10] && seen.committed == 2 && seen.aborted == 1)
        #expect(seen.aborts == [.insufficientFunds: 1] && seen.unknown == 1)
        #expect(figures.inFlight == works.count - 1)
        #expect(figures.take() == LiveFigures.Figures())
        #expect(figures.total.committed == 2 && figures.total.aborted == 1 && figures.total.unknown == 1)
    }

    private func isCross(_ work: Work) -> Bool {
        guard case .transfer(let transfer)? = work.operations.first else { return false }
        return map.shard(of: transfer.from) != map.shard(of: transfer.to)
    }

    @Test func percentilesAreByNearestRank() {
        let latencies: [UInt64] = (1...100).reversed()
        #expect(LiveFigures.Figures.percentile(50, of: latencies) == 50)
        #expect(LiveFigures.Figures.percentile(99, of: latencies) == 99)
        #expect(LiveFigures.Figures.percentile(100, of: latencies) == 100)
        #expect(LiveFigures.Figures.percentile(0, of: latencies) == 1)
        #expect(LiveFigures.Figures.percentile(99, of: [7]) == 7)
        #expect(LiveFigures.Figures.percentile(50, of: []) == nil)
    }
}
