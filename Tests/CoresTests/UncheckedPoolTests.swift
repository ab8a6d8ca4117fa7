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
        #expect(pool.executed(request(1), now: moment(1)).map(\.session) == [Self.anna, Self.ben])
        #expect(pool.count == 0 && pool.executed(request(1), now: moment(1)).isEmpty)
        let due = pool.takeDue(isUrgent: true, atMost: 9, now: moment(9))
        #expect(due.isEmpty)
    }

    /// Under another signature it may be anybody's invention.
    @Test func whoBroughtAnotherSignatureBroughtNotWhatWasExecuted() {
        var pool = pool()
        let forged = SignedRequest(request(1).request, signedBy: StandInSigner(.max))
        #expect(forged.digest == request(1).digest)
        for (session, request) in [(Self.anna, forged), (Self.ben, request(1))] {
            let isKept = pool.insert(request, from: session, now: moment(1))
            #expect(isKept)
        }
        #expect(pool.executed(request(1), now: moment(2)).map(\.isSame) == [false, true])
    }

    @Test func oneSessionLeavesRoomForOthers() {
        var pool = pool { ($0.maxUncheckedRequests, $0.maxSessions) = (40, 10) }
        var kept: [UInt64: Int] = [:]
        for session in 1...10 as ClosedRange<UInt64> {
            for number in 1...40 as ClosedRange<UInt64>
            where pool.insert(request(100 * session + number), from: SessionID(session), now: moment(1)) {
                kept[session, default: 0] += 1
            }
        }
        // Two each are reserved; of the other half whoever comes first has half of what is free.
        #expect(kept[1] == 12 && kept[2] == 7)
        #expect(kept.values.allSatisfy { $0 >= 2 } && pool.count <= 40)
        _ = pool.executed(request(101), now: moment(2))
        let hasRoom = pool.insert(request(1099), from: SessionID(10), now: moment(2))
        #expect(hasRoom, "what is gone makes room")
    }

    /// Two sessions fill the pool and end: that keeps out nobody.
    @Test func whatClosedSessionsLeftGoesFirst() {
        var pool = pool { ($0.maxUncheckedRequests, $0.maxSessions) = (40, 4) }
        var number: UInt64 = 0
        func fill(_ session: UInt64) -> Int {
            (0..<40).count { _ in
                number += 1
                return pool.insert(request(number), from: SessionID(session), now: moment(1))
            }
        }
        let first = fill(1)
        #expect(first == 15)
        // As much as if nobody had been there before.
        for session in 2...9 as ClosedRange<UInt64> {
            pool.close(SessionID(session - 1))
            #expect(fill(session) == first)
            #expect(pool.count <= 40)
        }
        #expect(!pool.contains(request(1).digest), "the oldest")
        // What is left is checked like anything else, while it is there.
        pool.close(SessionID(9))
        let due = pool.takeDue(isUrgent: true, atMost: 100, now: moment(2))
        #expect(due.count == pool.count && due.count == 40)
        for (session, request) in due {
            let arrived = pool.remove(request.digest, from: session)
            #expect(arrived != nil)
        }
        #expect(pool.count == 0)
    }

    @Test func whatFillsThePoolIsCheckedAtOnce() {
        var pool = pool { ($0.maxUncheckedRequests, $0.maxSessions) = (8, 4) }
        func insert(_ number: UInt64) -> Bool { pool.insert(request(number), from: Self.anna, now: moment(1)) }
        func due(_ milliseconds: UInt64) -> Int {
            pool.takeDue(isUrgent: false, atMost: 2, now: moment(milliseconds)).count
        }
        let isKept = (1...3).map { insert($0) }
        #expect(isKept == [true, true, true] && due(2) == 0)
        let hasRoom = insert(4)
        #expect(!hasRoom && due(3) == 2)
        #expect(due(4) == 1, "until nothing is left")
        _ = pool.executed(request(1), now: moment(5))
        let isKeptAgain = insert(5)
        #expect(isKeptAgain && due(6) == 0)
    }

    /// Under load there is no point in checking what is about to be executed.
    @Test func itIsPatientWhereRequestsTakeLong() {
        var pool = pool()
        func due(after milliseconds: UInt64, number: UInt64, at start: UInt64) -> Bool {
            _ = pool.insert(request(number), from: Self.anna, now: moment(start))
            defer { _ = pool.remove(request(number).digest, from: Self.anna) }
            return !pool.takeDue(isUrgent: false, atMost: 9, now: moment(start + milliseconds)).isEmpty
        }
        func execute(_ numbers: ClosedRange<UInt64>, after milliseconds: UInt64) {
            for number in numbers {
                _ = pool.insert(request(number), from: Self.ben, now: moment(1000))
                _ = pool.executed(request(number), now: moment(1000 + milliseconds))
            }
        }
        #expect(due(after: 200, number: 1, at: 5000))
        execute(100...200, after: 150)
        #expect(!due(after: 250, number: 2, at: 6000) && due(after: 310, number: 3, at: 7000))
        execute(300...400, after: 900)
        #expect(!due(after: 490, number: 4, at: 8000) && due(after: 500, number: 5, at: 9000))
        execute(500...600, after: 20)
        #expect(due(after: 200, number: 6, at: 10_000))
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
