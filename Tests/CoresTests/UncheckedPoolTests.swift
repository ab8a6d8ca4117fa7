import Cores
import Messages
import PBFT
import Simulator
import Testing

/// Requests whose signature another backup checks (docs/decisions/0040).
@Suite struct UncheckedPoolTests {
    private static let (anna, ben) = (SessionID(1), SessionID(2))

    private func pool(_ change: (inout HostOptions) -> Void = { _ in }) -> UncheckedPool {
        var options = HostOptions()
        change(&options)
        return UncheckedPool(options: options)
    }

    private func request(_ number: UInt64) -> SignedRequest {
        TwoShards.request(number, .open(TwoShards.account(on: 0)))
    }

    private func numbers(_ due: [(session: SessionID, request: SignedRequest)]) -> [UInt64] {
        due.map(\.request.request.number.number)
    }

    @Test func whatHasWaitedIsCheckedOnceUntilTheAnswerIsOverdue() {
        var pool = pool()
        for number in 1...3 as ClosedRange<UInt64> {
            let isKept = pool.insert(request(number), from: Self.anna, now: moment(100 * number))
            #expect(isKept)
        }
        func due(_ milliseconds: UInt64, isUrgent: Bool = false) -> [UInt64] {
            numbers(pool.takeDue(isUrgent: isUrgent, atMost: 9, now: moment(milliseconds)))
        }
        #expect(due(299) == [])
        #expect(due(300) == [1])
        #expect(due(310) == [])
        #expect(due(320, isUrgent: true) == [2, 3])
        #expect(due(1299) == [])
        #expect(due(1300) == [1])
        let arrived = pool.remove(request(1).digest, from: Self.anna)
        #expect(arrived?.uptime == moment(100).uptime && pool.count == 2)
        #expect(due(9000) == [2, 3])
    }

    @Test func whatIsExecutedIsGoneAndNamesWhoBroughtIt() {
        var pool = pool()
        for session in [Self.anna, Self.ben, Self.anna] {
            let isKept = pool.insert(request(1), from: session, now: moment(1))
            #expect(isKept)
        }
        #expect(pool.count == 2 && pool.contains(request(1).digest))
        #expect(pool.remove(request(1).digest) == [Self.anna, Self.ben])
        #expect(pool.count == 0 && pool.remove(request(1).digest).isEmpty)
        let due = pool.takeDue(isUrgent: true, atMost: 9, now: moment(9))
        #expect(due.isEmpty)
    }

    @Test func aSessionTakesHalfOfTheRoomAtMost() {
        var pool = pool { $0.maxPendingRequests = 6 }
        var kept: [UInt64] = []
        for number in 1...5 as ClosedRange<UInt64>
        where pool.insert(request(number), from: Self.anna, now: moment(1)) { kept.append(number) }
        for number in 6...9 as ClosedRange<UInt64>
        where pool.insert(request(number), from: Self.ben, now: moment(1)) { kept.append(number) }
        #expect(kept == [1, 2, 3, 6, 7, 8])
        _ = pool.remove(request(1).digest)
        let hasRoom = pool.insert(request(4), from: Self.anna, now: moment(2))
        #expect(hasRoom, "what is gone makes room")
    }

    @Test func itsBytesAreBounded() {
        let bytes = request(1).bytes.count
        var pool = pool { $0.maxUncheckedBytes = SignedRequest.maxBytes + bytes }
        var count = 0
        for number in 1...10_000 as ClosedRange<UInt64> {
            let session = SessionID(1 + number % 4)
            if pool.insert(request(number), from: session, now: moment(1)) { count += 1 }
        }
        #expect(count * bytes <= SignedRequest.maxBytes + 20 * bytes && count > 100)
    }
}
