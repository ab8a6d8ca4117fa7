import Messages
import Testing
import Workload

@Suite struct RandomTransfersTests {
    private let keys = AccountKeys(accounts: 5, seed: 1)

    private func at(_ milliseconds: UInt64) -> Instant { Instant(uptime: milliseconds * 1_000_000, wall: Timestamp(1)) }

    private func source(_ shape: RandomTransfers.Shape) -> RandomTransfers {
        RandomTransfers(keys: keys, shape: shape, duration: 1_000_000_000, warmup: 200_000_000, seed: 3)
    }

    private func transfers(_ source: inout RandomTransfers, _ count: Int) throws -> [Transfer] {
        try (0..<count).map { _ in
            let given = source.next(now: at(5000))
            let work = try #require(given)
            guard case .transfer(let transfer)? = work.operations.first else { throw Unexpected() }
            #expect(keys.ids[work.principal] == transfer.from, "the owner of the paying account signs")
            return transfer
        }
    }
    private struct Unexpected: Error {}

    @Test func aShapeSaysWhoPaysWhomAndNobodyPaysItself() throws {
        for shape in [RandomTransfers.Shape.uniform, .into(2), .outOf(4)] {
            var source = source(shape)
            let made = try transfers(&source, 400)
            #expect(made.allSatisfy { $0.from != $0.to })
            switch shape {
            case .uniform: #expect(Set(made.map(\.from)).count == 5 && Set(made.map(\.to)).count == 5)
            case .into(let account):
                #expect(made.allSatisfy { $0.to == keys.ids[account] } && Set(made.map(\.from)).count == 4)
            case .outOf(let account):
                #expect(made.allSatisfy { $0.from == keys.ids[account] } && Set(made.map(\.to)).count == 4)
            }
        }
    }

    @Test func onlyWhatEndsWithinTheTimeIsMeasured() throws {
        var source = source(.uniform)
        let given = source.next(now: at(5000))
        let work = try #require(given)
        source.completed(work, leg: 0, outcome: .committed, microseconds: 10, now: at(5100))
        source.completed(work, leg: 0, outcome: .committed, microseconds: 10, now: at(5300))
        source.completed(work, leg: 0, outcome: .unknown("lost"), microseconds: 10, now: at(5900))
        #expect(!source.isExhausted(now: at(5999)))
        #expect(source.isExhausted(now: at(6000)))
        let isOver = source.next(now: at(6000)) == nil
        #expect(isOver)
        source.completed(work, leg: 0, outcome: .committed, microseconds: 10, now: at(6000))
        source.completed(work, leg: 0, outcome: .unknown("lost"), microseconds: 10, now: at(7000))
        #expect(source.measurements?.committed == 1 && source.measurements?.unknown == 1)
        #expect(source.committedLate == 1 && source.unknownLate == 1 && source.abortedLate == 0)
        #expect(source.throughput == 1.25)
    }
}
