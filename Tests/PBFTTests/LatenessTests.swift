import Messages
import PBFT
import TestSignatures
import Testing

/// How long the gate waits for a backup's word, over many batches (docs/decisions/0040).
@Suite struct LatenessTests {
    private static let millisecond: UInt64 = 1_000_000

    /// The gate of replica 1, which waits for replica 3.
    private struct Alone {
        var gate = ExecutionGate(configuration: TestGroup().configuration(1))
        var now: UInt64 = 1_000_000_000
        var number: UInt64 = 0

        private func vouchers(isThere: Bool) -> ExecutionGate.Vouchers {
            let backups = [1, 2] + (isThere ? [3] : [])
            return ExecutionGate.Vouchers(
                primary: ReplicaIndex(0), backups: ReplicaSet(backups.map { ReplicaIndex(UInt8($0)) }))
        }

        /// - Parameters:
        ///   - wait: until its word is there.
        ///   - pause: after the batch before.
        /// - Returns: after how many milliseconds this replica looked itself; nil if it never did.
        mutating func batch(_ items: [BatchItem], wait: UInt64, after pause: UInt64 = 0) -> UInt64? {
            number += 1
            now += pause * LatenessTests.millisecond
            let batch = Batch(time: Timestamp(number), items: items)
            defer { gate.executed(batch.digest) }
            for waited in 0...wait {
                let isThere = waited == wait
                let verdict = gate.admit(
                    batch, at: SequenceNumber(number), in: View(0), vouchers(isThere: isThere),
                    now: Instant(uptime: now, wall: Timestamp(1)))
                if case .ask = verdict { return waited }
                #expect(verdict == (isThere ? .execute(skipping: []) : .wait))
                if !isThere { now += LatenessTests.millisecond }
            }
            return nil
        }
    }

    private func items() -> [BatchItem] {
        (1...100).map { number in
            let account = AccountSpecification(owner: TestSigner(5).publicKey, asset: AssetID(1), index: UInt64(number))
            let request = Request(
                cluster: TestGroup.cluster, epoch: Epoch(1), principal: TestSigner(5).publicKey,
                number: RequestNumber(UInt64(number)), acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1),
                deadline: Timestamp(2), mode: .atomic, operations: [.open(account)])
            return .request(SignedRequest(request, signedBy: TestSigner(5)))
        }
    }

    @Test func whoIsAlwaysJustInTimeHoldsUpOneBatchAndNotEachInTurn() {
        var alone = Alone()
        let items = items()
        #expect(alone.batch(items, wait: 45) == nil)
        // The wait goes on from there, less a quarter of the time.
        #expect(alone.batch(items, wait: 45) == 17)
        for _ in 0..<20 { #expect(alone.batch(items, wait: 45) == 0) }
    }

    @Test func whoIsInTimeForManyAtOnceHasEarnedNoWaitByThat() {
        var alone = Alone()
        let items = items()
        #expect(alone.batch(items, wait: 60) == 50)
        for _ in 0..<5 {
            for _ in 0..<8 { #expect(alone.batch(items, wait: 0) == nil) }
            let waited = alone.batch(items, wait: 60)
            #expect((waited ?? 60) <= 20, "a quarter of the time that has passed")
        }
    }

    @Test func whoIsALittleSlowerThanTheOthersIsNotLate() {
        var alone = Alone()
        let items = items()
        for _ in 0..<200 { #expect(alone.batch(items, wait: 2, after: 8) == nil) }
        #expect(alone.batch(items, wait: 45) == nil, "and is waited for as long as anybody")
    }

    /// A backup that is dead makes this replica look itself: that is no wait for those who are there a little later.
    @Test func ownLooksMakeNobodyElseLate() {
        let backups = { (numbers: [UInt8]) in ReplicaSet(numbers.map { ReplicaIndex($0) }) }
        var lateness = Lateness(configuration: TestGroup(n: 7).configuration(1))
        var now: UInt64 = 1_000_000_000
        lateness.begin(timely: backups([]), now: now)
        lateness.wait(60 * Self.millisecond, for: backups([6]))
        #expect(lateness.late == backups([6]))
        for _ in 0..<100 {
            now += 50 * Self.millisecond
            lateness.begin(timely: backups([1, 2, 4, 5]), now: now)
            lateness.wait(2 * Self.millisecond, for: backups([3, 6]))
            lateness.wait(40 * Self.millisecond, for: backups([6]))
        }
        #expect(lateness.late == backups([6]))
    }

    @Test func timeGivesThePatienceBack() {
        var alone = Alone()
        let items = items()
        for _ in 0..<5 { #expect(alone.batch(items, wait: 45, after: 200) == nil) }
    }

    @Test func whoWasLateIsWaitedForAgainAfterSomeBatchesInTime() {
        var alone = Alone()
        let items = items()
        #expect(alone.batch(items, wait: 60) == 50)
        for _ in 0..<7 { #expect(alone.batch(items, wait: 0) == nil) }
        #expect(alone.batch(items, wait: 10) == 0)
        #expect(alone.batch(items, wait: 0) == nil)
        #expect(alone.batch(items, wait: 10) == nil)
    }
}
