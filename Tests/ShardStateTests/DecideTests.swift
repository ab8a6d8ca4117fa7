import Messages
import ShardState
import Testing

@Suite struct DecideTests {
    private var cluster: TestCluster
    private let alice: Person
    private let bob: Person
    private let from: AccountID
    private let to: AccountID

    init() throws {
        cluster = try TestCluster(shards: 3)
        (alice, bob) = (try Person(1), try Person(2))
        from = try cluster.fund(cluster.account(alice, on: 0), 100)
        to = try cluster.fund(cluster.account(bob, on: 1), 5)
    }

    /// A certificate that says of leg 0 what a test wants.
    private func claim(_ request: SignedRequest, by shard: Int, _ status: LegStatus) -> Certificate {
        let leaf = Leaf(request: request.digest, entries: [Leaf.Entry(leg: 0, status: status)])
        let tree = MerkleTree(leaves: [leaf])
        let statement = AttestationStatement(
            cluster: cluster.manifest.cluster, epoch: cluster.manifest.epoch, shard: ShardID(UInt16(shard)),
            sequence: SequenceNumber(1), previousHistory: .null, batch: .null, leavesRoot: tree.root)
        return Certificate(statement: statement, leaf: leaf, path: tree.path(at: 0), signatures: [])
    }

    @Test mutating func `two yes votes commit on both shards`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let votes = [try cluster.shards[0].certify(request), try cluster.shards[1].certify(request)]
        for shard in 0..<2 {
            let executed = try cluster.shards[shard].decide(request, votes)
            #expect(executed.leaves.map { $0.status(ofLeg: 0) } == [.committed])
        }
        let (debited, credited) = (try #require(try cluster.view(from)), try #require(try cluster.view(to)))
        #expect((debited.posted, debited.pendingDebits) == (Amount(70), .zero))
        #expect((credited.posted, credited.pendingCredits) == (Amount(35), .zero))
        #expect(cluster.shards.allSatisfy { $0.executor.undecidedCount == 0 })
        try cluster.checkInvariants()
    }

    @Test mutating func `one certified no releases what the other reserved`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: cluster.account(bob, on: 1, 3).id, 30)
        let votes = [try cluster.shards[0].certify(request), try cluster.shards[1].certify(request)]
        #expect(votes[1].leaf.status(ofLeg: 0) == .votedNo(.unknownAccount))
        for shard in 0..<2 { try cluster.shards[shard].decide(request, votes) }
        #expect(try cluster.shards[0].status(request) == .aborted(.unknownAccount))
        #expect(try cluster.shards[1].status(request) == .votedNo(.unknownAccount))
        let debited = try #require(try cluster.view(from))
        #expect((debited.posted, debited.pendingDebits) == (Amount(100), .zero))
        try cluster.checkInvariants()
    }

    /// R10, R11: they abort undecided participants.
    @Test(arguments: [LegStatus.noRecordAbort, .acknowledged, .aborted(.participantAborted)])
    mutating func `any certified abort decides`(_ status: LegStatus) throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        _ = try cluster.shards[0].submit(request)
        try cluster.shards[0].decide(request, [claim(request, by: 1, status)])
        guard case .aborted = try cluster.shards[0].status(request) else {
            Issue.record("not aborted")
            return
        }
        try cluster.checkInvariants()
    }

    /// A shard commits only with every yes vote in hand, so its word is enough.
    @Test mutating func `another shard's commit decides`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        _ = try cluster.shards[0].submit(request)
        try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(try cluster.shards[0].status(request) == .committed)
    }

    /// R8: nothing that a coordinator adds is part of a transaction.
    @Test mutating func `certificates that are not of participants, or of another request, decide nothing`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let other = cluster.transfer(alice, 1, from: from, to: to, 1)
        _ = try cluster.shards[0].submit(request)
        let useless = [
            claim(request, by: 2, .committed), claim(request, by: 2, .votedNo(.overflow)),
            claim(other, by: 1, .committed),
            claim(request, by: 0, .committed), claim(request, by: 0, .aborted(.overflow)),
        ]
        let before = try cluster.shards[0].executor.bucketDigests()
        #expect(try cluster.shards[0].executor.effect(of: .of(request, useless)) == .nothing)
        let executed = try cluster.shards[0].decide(request, useless)
        #expect(executed.leaves.map { $0.status(ofLeg: 0) } == [.votedYes], "the recorded vote is certified once more")
        #expect(try cluster.shards[0].executor.bucketDigests() == before)
        // The right certificates under another number find no record.
        let misplaced = TransactionDecide(
            principal: alice.key, number: RequestNumber(9), request: request.digest,
            certificates: [claim(request, by: 1, .committed)])
        #expect(try cluster.shards[0].run(.decide(misplaced)).leaves.isEmpty)
        #expect(try cluster.shards[0].status(request) == .votedYes)
    }

    @Test mutating func `three shards commit only with all three votes`() throws {
        let third = try cluster.fund(cluster.account(bob, on: 2), 0)
        let request = cluster.request(
            alice, 0,
            [
                .transfer(Transfer(from: from, to: to, asset: gold, amount: Amount(10))),
                .transfer(Transfer(from: from, to: third, asset: gold, amount: Amount(20))),
            ])
        let votes = try (0..<3).map { try cluster.shards[$0].certify(request) }
        try cluster.shards[0].decide(request, [votes[1]])
        #expect(try cluster.shards[0].status(request) == .votedYes)
        try cluster.shards[0].decide(request, [votes[1], votes[2]])
        #expect(try cluster.shards[0].status(request) == .committed)
        #expect(try cluster.posted(from) == 70)
        try cluster.checkInvariants()
    }

    /// Two certificates that contradict mean more than f faults: the first decision stands.
    @Test mutating func `a decided leg never changes`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        _ = try cluster.shards[0].submit(request)
        try cluster.shards[0].decide(request, [claim(request, by: 1, .votedNo(.overflow))])
        try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(try cluster.shards[0].status(request) == .aborted(.overflow))
        #expect(try cluster.posted(from) == 100)
        let no = cluster.transfer(alice, 1, from: from, to: to, 500)
        _ = try cluster.shards[0].submit(no)
        try cluster.shards[0].decide(no, [claim(no, by: 1, .committed)])
        #expect(try cluster.shards[0].status(no) == .votedNo(.insufficientFunds))
        try cluster.checkInvariants()
    }

    /// "Expiry first, then decides, then new work": money that a decide frees is there for the same batch.
    @Test mutating func `decides of a batch come before its requests`() throws {
        let first = cluster.transfer(alice, 0, from: from, to: to, 100)
        _ = try cluster.shards[0].submit(first)
        let second = cluster.transfer(alice, 1, from: from, to: to, 100)
        let executed = try cluster.shards[0].run(
            .request(second), .decide(.of(first, [claim(first, by: 1, .votedNo(.overflow))])))
        #expect(executed.refusals.isEmpty)
        #expect(executed.leaves.map(\.request) == [first.digest, second.digest])
        #expect(executed.leaves[1].status(ofLeg: 0) == .votedYes)
    }

    /// R12 tells input that decides something from input that does not.
    @Test mutating func `the effect of a decide is known before it is ordered`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        func effect(_ status: LegStatus) throws -> DecideEffect {
            try cluster.shards[0].executor.effect(of: .of(request, [claim(request, by: 1, status)]))
        }
        #expect(try effect(.votedYes) == .noRecord)
        _ = try cluster.shards[0].submit(request)
        #expect(try effect(.votedYes) == .decides)
        try cluster.shards[0].decide(request, [claim(request, by: 1, .votedYes)])
        #expect(try effect(.votedYes) == .nothing)
        #expect(try effect(.committed) == .notes)
        try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(try effect(.committed) == .nothing)
    }

    /// What is certified already is not certified again because another shard is done.
    @Test mutating func `a decide that only notes who is done gives no leaf`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let vote = try cluster.shards[0].certify(request)
        #expect(vote.leaf.status(ofLeg: 0) == .votedYes)
        let decided = try cluster.shards[0].decide(request, [claim(request, by: 1, .votedYes)])
        #expect(decided.leaves.map { $0.status(ofLeg: 0) } == [.committed])
        let noted = try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(noted.leaves.isEmpty && noted.vain.isEmpty)
        #expect(try cluster.shards[0].executor.unforgotten(after: nil, limit: 1).isEmpty)
        // Who asks again is told, and it is in vain.
        let again = try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(again.leaves.map { $0.status(ofLeg: 0) } == [.committed] && again.vain.count == 1)
    }

    /// The word of the shard that was told first is enough to decide, and to forget (R10).
    @Test mutating func `who is told last needs one decide`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let vote = try cluster.shards[0].certify(request)
        _ = try cluster.shards[1].submit(request)
        let first = try cluster.shards[1].decide(request, [vote])
        #expect(first.leaves.map { $0.status(ofLeg: 0) } == [.committed])
        let last = try cluster.shards[0].decide(request, [claim(request, by: 1, .committed)])
        #expect(last.leaves.map { $0.status(ofLeg: 0) } == [.committed])
        #expect(try cluster.shards[0].executor.unforgotten(after: nil, limit: 1).isEmpty)
        #expect(try cluster.shards[1].executor.unforgotten(after: nil, limit: 1).count == 1)
        #expect(cluster.shards[1].executor.openRecords(after: nil, limit: 9).map(\.request) == [request.digest])
    }

    /// R8, and the width of what is recorded: 64 participants still commit, 65 never do.
    @Test mutating func `a leg has at most 64 participants`() throws {
        for count in [64, 65] {
            cluster = try TestCluster(shards: count)
            let source = try cluster.fund(cluster.account(alice, on: 0), 1000)
            var operations: [Messages.Operation] = []
            for shard in 1..<count {
                let target = cluster.account(bob, on: shard).id
                operations.append(.transfer(Transfer(from: source, to: target, asset: gold, amount: Amount(1))))
            }
            let request = cluster.request(alice, 0, operations)
            #expect(try cluster.shards[0].status(request) == (count == 64 ? .votedYes : .votedNo(.malformed)))
            guard count == 64 else { continue }
            try cluster.shards[0].decide(request, (1..<64).map { claim(request, by: $0, .votedYes) })
            #expect(try cluster.shards[0].status(request) == .committed)
            try cluster.shards[0].decide(request, (1..<64).map { claim(request, by: $0, .committed) })
            #expect(try cluster.shards[0].executor.unforgotten(after: nil, limit: 1).isEmpty)
            try cluster.shards[0].executor.checkInvariants()
        }
    }
}
