import Messages
import ShardState
import Testing

@Suite struct EscrowTests {
    private var cluster: TestCluster
    private let alice: Person
    private let bob: Person

    init() throws {
        cluster = try TestCluster(shards: 2)
        (alice, bob) = (try Person(1), try Person(2))
    }

    @Test mutating func `a transfer within a shard moves money at once`() throws {
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 0), 5)
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        #expect(try cluster.shards[0].status(request) == .committed)
        #expect(try cluster.posted(from) == 70)
        #expect(try cluster.posted(to) == 35)
        #expect(cluster.shards[0].executor.undecidedCount == 0)
        try cluster.checkInvariants()
    }

    @Test mutating func `a yes vote reserves, and spends nothing yet`() throws {
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 1), 5)
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        #expect(try cluster.shards[0].status(request) == .votedYes)
        #expect(try cluster.shards[1].status(request) == .votedYes)
        let (debited, credited) = (try #require(try cluster.view(from)), try #require(try cluster.view(to)))
        #expect((debited.posted, debited.pendingDebits, debited.pendingCredits) == (Amount(100), Amount(30), .zero))
        #expect((credited.posted, credited.pendingDebits, credited.pendingCredits) == (Amount(5), .zero, Amount(30)))
        #expect(cluster.shards[0].executor.undecidedCount == 1)
        try cluster.checkInvariants()
    }

    /// R9, and "insufficient is final only if still true with all pending credits applied and debits released".
    @Test mutating func `insufficient funds are final only if no pending transaction can change it`() throws {
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 1), 50)
        _ = try cluster.shards[0].submit(cluster.transfer(alice, 0, from: from, to: to, 70))
        // 30 are free: 60 may be there again if the first transfer aborts.
        let maybe = cluster.transfer(alice, 1, from: from, to: to, 60)
        let before = try cluster.shards[0].executor.bucketDigests()
        let refused = try cluster.shards[0].submit(maybe)
        #expect(refused.leaves.isEmpty)
        #expect(refused.refusals.map(\.reason) == [.conflict])
        #expect(refused.refusals.first?.legs == [0])
        #expect(try cluster.shards[0].executor.bucketDigests() == before, "a conflict changes nothing")
        // 101 can never be there.
        let never = cluster.transfer(alice, 2, from: from, to: to, 101)
        #expect(try cluster.shards[0].status(never) == .votedNo(.insufficientFunds))
        // The credit side's pending credits may make 101 possible there.
        let (a0, b0) = (from, to)
        _ = try cluster.shards[1].submit(cluster.transfer(alice, 0, from: a0, to: b0, 70))
        let back = cluster.transfer(bob, 0, from: to, to: from, 101)
        #expect(try cluster.shards[1].submit(back).refusals.map(\.reason) == [.conflict])
        let tooMuch = cluster.transfer(bob, 1, from: to, to: from, 121)
        #expect(try cluster.shards[1].status(tooMuch) == .votedNo(.insufficientFunds))
        try cluster.checkInvariants()
    }

    @Test mutating func `a credit reserves headroom, so that no decide can overflow`() throws {
        let limit = Amount.limit.number
        let full = try cluster.fund(cluster.account(alice, on: 0), limit - 10)
        let from = try cluster.fund(cluster.account(bob, on: 1), 100)
        let first = cluster.transfer(bob, 0, from: from, to: full, 7)
        #expect(try cluster.shards[0].status(first) == .votedYes)
        #expect(
            try cluster.shards[0].submit(cluster.transfer(bob, 1, from: from, to: full, 4)).refusals.map(\.reason) == [
                .conflict
            ])
        #expect(try cluster.shards[0].status(cluster.transfer(bob, 2, from: from, to: full, 11)) == .votedNo(.overflow))
        #expect(try cluster.shards[0].status(cluster.transfer(bob, 3, from: from, to: full, 3)) == .votedYes)
        // Money is not created beyond the limit of an asset on a shard either.
        let more = cluster.request(
            cluster.issuer, 900, acknowledging: 900, mode: .independent,
            [.issue(to: try cluster.fund(cluster.account(bob, on: 0, 1), 0), asset: gold, amount: Amount(20))])
        #expect(try cluster.shards[0].status(more) == .aborted(.overflow))
        try cluster.checkInvariants()
    }

    @Test mutating func `only the owner debits, only the issuer issues, and assets must match`() throws {
        let from = try cluster.fund(cluster.account(alice, on: 0), 100)
        let to = try cluster.fund(cluster.account(bob, on: 0), 0)
        let other = try cluster.fund(cluster.account(bob, on: 0, asset: silver), 0)
        let nobody = cluster.account(bob, on: 0, 5).id
        func status(_ request: SignedRequest) throws -> LegStatus? { try cluster.shards[0].status(request) }
        #expect(try status(cluster.transfer(bob, 0, from: from, to: to, 1)) == .aborted(.notAuthorised))
        #expect(try status(cluster.transfer(alice, 0, from: from, to: other, 1)) == .aborted(.wrongAsset))
        #expect(try status(cluster.transfer(alice, 1, from: from, to: to, 1, asset: silver)) == .aborted(.wrongAsset))
        #expect(try status(cluster.transfer(alice, 2, from: from, to: nobody, 1)) == .aborted(.unknownAccount))
        let issue = cluster.request(alice, 3, mode: .independent, [.issue(to: from, asset: gold, amount: Amount(1))])
        #expect(try status(issue) == .aborted(.notAuthorised))
        let open = cluster.request(alice, 4, mode: .independent, [.open(cluster.account(bob, on: 0))])
        #expect(try status(open) == .aborted(.accountExists))
        #expect(try cluster.posted(from) == 100)
        try cluster.checkInvariants()
    }

    @Test mutating func `an atomic bundle happens whole or not at all`() throws {
        let a = try cluster.fund(cluster.account(alice, on: 0), 100)
        let b = try cluster.fund(cluster.account(bob, on: 0), 0)
        let c = try cluster.fund(cluster.account(bob, on: 0, 1), 0)
        func step(_ from: AccountID, _ to: AccountID, _ amount: UInt128) -> Messages.Operation {
            .transfer(Transfer(from: from, to: to, asset: gold, amount: Amount(amount)))
        }
        // Each debit alone would pass: together they do not.
        let tooMuch = cluster.request(alice, 0, [step(a, b, 60), step(a, c, 60)])
        #expect(try cluster.shards[0].status(tooMuch) == .aborted(.insufficientFunds))
        #expect(try cluster.posted(b) == 0)
        let fits = cluster.request(alice, 1, [step(a, b, 60), step(a, c, 40)])
        #expect(try cluster.shards[0].status(fits) == .committed)
        #expect(try [cluster.posted(a), cluster.posted(b), cluster.posted(c)] == [0, 60, 40])
        // What a bundle credits does not pay for what it debits.
        let ring = cluster.request(bob, 0, [step(b, c, 60), step(c, b, 70)])
        #expect(try cluster.shards[0].status(ring) == .aborted(.insufficientFunds))
        try cluster.checkInvariants()
    }

    @Test(arguments: [1, 6, 7, 8, 9, 30])
    mutating func `what one leg does to an account adds up, however many accounts there are`(others: Int) throws {
        let from = try cluster.fund(cluster.account(alice, on: 0), 1_000)
        let to = try (0..<others).map { try cluster.fund(cluster.account(bob, on: 0, $0), 0) }
        func pay(_ index: Int, _ amount: Int) -> Messages.Operation {
            .transfer(Transfer(from: from, to: to[index], asset: gold, amount: Amount(UInt128(amount))))
        }
        // Each twice, the second time in the other direction.
        let operations = to.indices.map { pay($0, $0 + 1) } + to.indices.reversed().map { pay($0, 10) }
        #expect(try cluster.shards[0].status(cluster.request(alice, 0, operations)) == .committed)
        #expect(try to.map { try cluster.posted($0) } == to.indices.map { UInt128($0 + 11) })
        #expect(try cluster.posted(from) == UInt128(1_000 - others * 10 - others * (others + 1) / 2))
        // One more than is left, in as many parts.
        let left = 1_000 - others * 10 - others * (others + 1) / 2
        let tooMuch = to.indices.map { pay($0, 1) } + [pay(0, left - others + 1)]
        #expect(
            try cluster.shards[0].status(cluster.request(alice, 1, tooMuch)) == .aborted(.insufficientFunds))
        try cluster.checkInvariants()
    }

    @Test mutating func `independent legs have outcomes of their own`() throws {
        let a = try cluster.fund(cluster.account(alice, on: 0), 100)
        let near = try cluster.fund(cluster.account(bob, on: 0), 0)
        let far = try cluster.fund(cluster.account(bob, on: 1), 0)
        func step(_ to: AccountID, _ amount: UInt128) -> Messages.Operation {
            .transfer(Transfer(from: a, to: to, asset: gold, amount: Amount(amount)))
        }
        let request = cluster.request(
            alice, 0, mode: .independent,
            [step(near, 60), step(far, 30), step(near, 0), step(near, 500), step(near, 20)])
        let executed = try cluster.shards[0].submit(request)
        // Leg 4 would need the 30 that leg 1 holds.
        #expect(
            executed.leaves.first?.entries.map(\.status) == [
                .committed, .votedYes, .aborted(.malformed), .aborted(.insufficientFunds),
            ])
        #expect(executed.leaves.first?.entries.map(\.leg) == [0, 1, 2, 3])
        #expect(executed.refusals.map(\.legs) == [[4]])
        // The other shard has a part in leg 1 only.
        #expect(try cluster.shards[1].submit(request).leaves.first?.entries == [Leaf.Entry(leg: 1, status: .votedYes)])
        // When leg 1 aborts, leg 4 can be asked for again, by the same request.
        var far1 = try #require(try cluster.shards[1].submit(request).certificate(of: request))
        far1 = Certificate(
            statement: far1.statement,
            leaf: Leaf(request: request.digest, entries: [Leaf.Entry(leg: 1, status: .votedNo(.overflow))]),
            path: far1.path, signatures: [])
        try cluster.shards[0].decide(request, [far1])
        #expect(
            try cluster.shards[0].submit(request).leaves.first?.entries.map(\.status)
                == [.committed, .aborted(.overflow), .aborted(.malformed), .aborted(.insufficientFunds), .committed])
        #expect(try cluster.posted(a) == 20)
        try cluster.checkInvariants()
    }
}
