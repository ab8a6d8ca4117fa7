import Messages
import PBFT
import TestSignatures
import Testing

/// What one faulty peer can make a replica keep.
@Suite struct BoundsTests {
    @Test func fewProposalsOfALaterViewWaitForItWhateverElseDoes() throws {
        // Votes are small, proposals are not: as many wait as a correct primary may have in flight, twice.
        var group = TestGroup { $0.pipelineDepth = 2 }
        let later = View(2)
        let primary = group.group.primary(of: later, in: TestGroup.shard).index
        for number in 1...10 as ClosedRange<UInt64> {
            let message = PrePrepare(view: later, sequence: SequenceNumber(number), batch: group.freshBatch())
            let ready = try group.receive(1, from: primary, .prePrepare(message))
            #expect(
                ready.drops.map(\.1) == (number <= 4 ? [] : [.wrongView(got: later, current: View(0))]), "\(number)")
            let vote = Vote(view: later, sequence: SequenceNumber(number), digest: message.batch.digest)
            #expect(try group.receive(1, from: primary, .commit(vote)).drops.isEmpty)
        }
        // Another peer has a bound of its own.
        let vote = Vote(view: later, sequence: SequenceNumber(1), digest: .null)
        let other = (0..<4).first { $0 != 1 && $0 != primary } ?? 0
        for i in 0..<70 {
            #expect(
                try group.receive(1, from: other, .prepare(vote.vouched)).drops.isEmpty
                    == (i < group.limits.futureMessagesPerPeer))
        }
    }

    @Test func proposalsFarBeyondWhatIsExecutedAreRefusedThoughTheWindowIsOpen() throws {
        var group = TestGroup { ($0.window, $0.pipelineDepth) = (64, 1) }
        func prePrepare(_ number: UInt64) throws -> [DropReason] {
            let message = PrePrepare(view: View(0), sequence: SequenceNumber(number), batch: group.freshBatch())
            return try group.receive(1, from: 0, .prePrepare(message)).drops.map(\.1)
        }
        #expect(try prePrepare(16).isEmpty)
        #expect(
            try prePrepare(17) == [.outsideWatermarks(got: SequenceNumber(17), low: .zero, high: SequenceNumber(16))])
    }

    @Test func ofCheckpointsThatAPeerClaimsTheNewestEightAreKept() throws {
        var group = TestGroup()
        let claims = (1...9).map { Checkpoint(sequence: SequenceNumber(UInt64($0) * 4), digest: TestSigner($0).digest) }
        for claim in claims { try group.receive(1, from: 2, .checkpoint(claim)) }
        let replica = try #require(group.nodes[1].replica)
        #expect(claims.map { replica.hasClaimed($0, ReplicaIndex(2)) } == [false] + Array(repeating: true, count: 8))
        #expect(!replica.hasClaimed(claims[8], ReplicaIndex(1)), "what it says itself is no peer's word")
    }

    /// TOCS '02 §4.4: Q is bounded by dropping the lowest views; P's digest stays, and its body with it.
    @Test func qKeepsTheLatestEightDigestsAndPsOwn() throws {
        var group = TestGroup()
        let batches = (0..<10).map { _ in group.freshBatch() }
        let first = SequenceNumber(1)
        var records: [JournalRecord] = []
        for (view, batch) in batches.enumerated() {
            records.append(.prePrepared(view: View(UInt64(view)), sequence: first, batch))
            if view == 0 { records.append(.prepared(view: View(0), sequence: first, batch.digest)) }
        }
        group.nodes[1].durable = records
        try group.restart(1)
        let kept = try #require(group.nodes[1].replica).liveRecords().compactMap { record in
            if case .prePrepared(let view, _, let batch) = record, batches.firstIndex(of: batch) == Int(view.number) {
                view.number
            } else {
                nil
            }
        }
        #expect(kept.sorted() == [0, 3, 4, 5, 6, 7, 8, 9])
    }

    @Test func executedBatchesAreKeptUpToTheirNumberHoweverManyThereWere() throws {
        var group = TestGroup { $0.retainedBatches = 6 }
        for _ in 0..<2500 {
            try group.propose(0)
            try group.deliver()
        }
        let replica = try #require(group.nodes[2].replica)
        for number in 2490...2500 as ClosedRange<UInt64> {
            let sequence = SequenceNumber(number)
            #expect(replica.executedDigest(at: sequence) == (number > 2494 ? group.agreed[sequence] : nil), "\(number)")
        }
    }

    // MARK: Catching up

    /// Replica 1, behind f + 1 others, has asked everybody what is committed.
    private func fetchingReplica(executed: UInt64) throws -> TestGroup {
        var group = TestGroup()
        group.uptime = 1_000_000_000
        let status = Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(executed), stable: .zero)
        for from in [2, 3] { try group.receive(1, from: from, .status(status)) }
        group.uptime += 400_000_000
        let ready = try group.step(1, .tick(oldestPending: nil, primaryReachable: true))
        #expect(ready.sends.contains { if case .fetchCommitted = $0.message { true } else { false } })
        return group
    }

    private func claims(_ digests: [Digest], from: UInt64 = 1) -> PBFTMessage {
        .committed(CommittedClaims(from: SequenceNumber(from), digests: digests))
    }

    @Test func aPeerAnswersAQuestionOnceAndWithNoMoreThanARange() throws {
        var group = try fetchingReplica(executed: 300)
        let digests = (0..<257).map { TestSigner($0).digest }
        #expect(try group.receive(1, from: 2, claims(digests)).drops.map(\.1) == [.notAsked])
        #expect(try group.receive(1, from: 2, claims(Array(digests.prefix(256)))).drops.isEmpty)
        #expect(try group.receive(1, from: 2, claims(Array(digests.prefix(1)))).drops.map(\.1) == [.notAsked])
        // An empty answer says from where on there is something, and is none.
        #expect(try group.receive(1, from: 3, claims([], from: 9)).drops.isEmpty)
        #expect(try group.receive(1, from: 3, claims(Array(digests.prefix(1)))).drops.isEmpty)
    }

    @Test func bodiesThatWaitForTheirTurnAreBoundedInBytes() throws {
        var group = try fetchingReplica(executed: 3)
        let operation = Messages.Operation.transfer(
            Transfer(from: AccountID(1), to: AccountID(2), asset: AssetID(1), amount: Amount(1)))
        let request = SignedRequest(
            Request(
                cluster: TestGroup.cluster, epoch: Epoch(1), principal: TestSigner(500).publicKey,
                number: RequestNumber(1),
                acknowledgedBelow: RequestNumber(0), issuedAt: group.now.wall, deadline: group.now.wall, mode: .atomic,
                operations: Array(repeating: operation, count: 1024)),
            signedBy: TestSigner(500))
        let count = (34 << 20) / request.bytes.count
        let large = (1...2).map { Batch(time: Timestamp($0), items: Array(repeating: .request(request), count: count)) }
        let batches = [group.freshBatch()] + large
        for from in [2, 3] { try group.receive(1, from: from, claims(batches.map(\.digest))) }
        // The two large ones are more than 64 MiB: the second takes the place of the first.
        try group.receive(1, from: 2, .committedBody(batches[2]))
        try group.receive(1, from: 2, .committedBody(batches[1]))
        try group.receive(1, from: 2, .committedBody(batches[0]))
        #expect(group.lastExecuted(1) == 2)
        // It is not lost for ever: it is asked for again.
        group.uptime += 2_000_000_000
        let status = Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(3), stable: .zero)
        for from in [2, 3] { try group.receive(1, from: from, .status(status)) }
        try group.step(1, .tick(oldestPending: nil, primaryReachable: true))
        for from in [2, 3] { try group.receive(1, from: from, claims([batches[2].digest], from: 3)) }
        try group.receive(1, from: 3, .committedBody(batches[2]))
        #expect(group.lastExecuted(1) == 3)
    }
}

extension TestSigner {
    /// Any digest.
    fileprivate var digest: Digest { Digest(publicKey.value) }
}
