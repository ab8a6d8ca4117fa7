import Client
import Messages
import Testing

/// What a client goes by while clocks are set (docs/decisions/0027).
@Suite struct ClockBookTests {
    private let own = Timestamp(1_700_000_000_000_000)
    private let start = ContinuousClock.now
    private let shard = ShardID(0)

    private func times(ahead: UInt64) -> ShardTimes {
        let time = own.adding(microseconds: ahead)
        return ShardTimes(
            shard: shard, replicas: (0..<3).map { .init(replica: ReplicaIndex($0), time: time, clock: time) })
    }

    private func isStale(_ book: ClockBook, after passed: Duration) -> Bool {
        !book.stale(of: [shard], own: own.adding(microseconds: UInt64(passed / .microseconds(1))), at: start + passed)
            .isEmpty
    }

    @Test func whatAgreesIsGoodForAMinuteUnlessItIsDoubted() {
        var book = ClockBook()
        #expect(isStale(book, after: .zero))
        book.note(times(ahead: 0), of: shard, own: own, at: start)
        #expect(!isStale(book, after: .seconds(59)) && isStale(book, after: .seconds(60)))
        book.doubt()
        #expect(isStale(book, after: .zero))
        #expect(book.clocks(of: [shard], own: own, at: start).map(\.time) == [own], "it stays known")
    }

    @Test func whereNobodyAnswersWhatWasSaidStays() {
        var book = ClockBook()
        book.note(times(ahead: 3_600_000_000), of: shard, own: own, at: start)
        book.note(nil, of: shard, own: own.adding(microseconds: 2_000_000), at: start + .seconds(2))
        #expect(!isStale(book, after: .seconds(6)) && isStale(book, after: .seconds(8)))
        let clock = book.clocks(of: [shard], own: own.adding(microseconds: 3_000_000), at: start + .seconds(3)).first
        #expect(clock?.time == own.adding(microseconds: 3_600_000_000))
        #expect(clock?.clock == own.adding(microseconds: 3_603_000_000))
        // Nobody ever did: the own clock has to do, and is not asked about again at once.
        var empty = ClockBook()
        empty.note(nil, of: shard, own: own, at: start)
        #expect(empty.clocks(of: [shard], own: own, at: start) == [] && !isStale(empty, after: .seconds(4)))
    }

    /// All clocks were an hour ahead, and were put right while the gateway was away.
    @Test func whereNobodyAnswersAndTheOwnClockWasSetItCountsItself() {
        var book = ClockBook()
        let time = own.adding(microseconds: 1_000_000)
        let ahead = own.adding(microseconds: 3_600_000_000)
        let replicas = (0..<3).map { ShardTimes.Reading(replica: ReplicaIndex($0), time: time, clock: ahead) }
        book.note(ShardTimes(shard: shard, replicas: replicas), of: shard, own: ahead, at: start)
        let later = own.adding(microseconds: 2_000_000)
        book.note(nil, of: shard, own: later, at: start + .seconds(2))
        #expect(book.clocks(of: [shard], own: later, at: start + .seconds(2)).map(\.present) == [later])
        // The shard's time does not go back with it.
        #expect(book.clocks(of: [shard], own: .zero, at: start + .seconds(2)).map(\.present) == [time])
        // It was not set: the difference is what it was.
        let on = ahead.adding(microseconds: 2_000_000)
        #expect(book.clocks(of: [shard], own: on, at: start + .seconds(2)).map(\.present) == [on])
    }

    private func isLate(_ statuses: [LegStatus], _ decisions: [Decision], after latency: Duration) throws -> Bool {
        let signer = try #require(Ed25519Signer(seed: Array(repeating: 7, count: 32)))
        let request = Request(
            cluster: ClusterID(signer.publicKey.value), epoch: Epoch(1), principal: signer.publicKey,
            number: RequestNumber(1),
            acknowledgedBelow: RequestNumber(1), issuedAt: own, deadline: own.adding(microseconds: 30_000_000),
            mode: .atomic,
            operations: [.read(AccountSpecification(owner: signer.publicKey, asset: AssetID(1), index: 0).id)])
        let signed = SignedRequest(request, signedBy: signer)
        let certificates = statuses.map { status in
            let leaf = Leaf(request: signed.digest, entries: [.init(leg: 0, status: status)])
            let statement = AttestationStatement(
                cluster: request.cluster, epoch: request.epoch, shard: shard, sequence: SequenceNumber(1),
                previousHistory: .null,
                batch: .null, leavesRoot: .null)
            return Certificate(
                statement: statement, leaf: leaf, path: MerklePath(index: 0, count: 1, siblings: []), signatures: [])
        }
        return QuorateClient.isLateByClock(
            decisions, Receipt(request: signed, certificates: certificates), latency: latency, lifetime: .seconds(30))
    }

    @Test func whoWasLateByAClockMaySignAgain() throws {
        let abort = Decision.abort(.participantAborted)
        #expect(try isLate([.noRecordAbort], [abort], after: .milliseconds(5)))
        #expect(
            try !isLate([.noRecordAbort], [abort], after: .milliseconds(29_500)), "its deadline was past by every clock"
        )
        #expect(try !isLate([.noRecordAbort], [abort, .commit], after: .milliseconds(5)), "one of two happened")
        #expect(try !isLate([.votedNo(.superseded)], [abort], after: .milliseconds(5)))
        #expect(try !isLate([], [abort], after: .milliseconds(5)))
    }
}
