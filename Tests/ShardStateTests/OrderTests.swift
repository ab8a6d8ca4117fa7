import Messages
import ShardState
import Testing

/// Requests of one principal that follow each other (`Request.follows`).
@Suite struct OrderTests {
    private var cluster: TestCluster
    private let alice: Person
    private let bob: Person
    private let from: AccountID
    private let near: AccountID
    private let far: AccountID

    init() throws {
        cluster = try TestCluster(shards: 2)
        (alice, bob) = (try Person(1), try Person(2))
        from = try cluster.fund(cluster.account(alice, on: 0), 100)
        near = try cluster.fund(cluster.account(bob, on: 0), 0)
        far = try cluster.fund(cluster.account(bob, on: 1), 0)
    }

    private static func after(
        _ number: UInt64, on shard: UInt16 = 0, deadline: Timestamp = seconds(30)
    ) -> Predecessor {
        Predecessor(shard: ShardID(shard), number: RequestNumber(number), deadline: deadline)
    }

    private func pay(
        _ amount: UInt128, to: AccountID
    ) -> Messages.Operation { .transfer(Transfer(from: from, to: to, asset: gold, amount: Amount(amount))) }

    private func payment(
        _ number: UInt64, _ follows: [Predecessor], acknowledging below: UInt64 = 0, _ amount: UInt128 = 10,
        deadline: Timestamp = seconds(30)
    ) -> SignedRequest {
        cluster.request(
            alice, number, acknowledging: below, follows: follows, deadline: deadline, [pay(amount, to: near)])
    }

    private mutating func refusals(_ request: SignedRequest, at time: Timestamp? = nil) throws -> [RefusalReason] {
        try cluster.shards[0].submit(request, at: time).refusals.map(\.reason)
    }

    @Test mutating func `what follows is refused until its predecessor is recorded, and leaves nothing behind`() throws
    {
        let (first, second) = (payment(1, []), payment(2, [Self.after(1)]))
        let early = try cluster.shards[0].submit(second)
        #expect(early.leaves.isEmpty && early.refusals.map(\.reason) == [.outOfOrder])
        #expect(early.refusals.map(\.legs) == [[0]] && early.vain.isEmpty)
        #expect(try cluster.shards[0].executor.recorded(second) == nil)
        // In one batch the order of its items counts.
        let wrong = try cluster.shards[0].run(.request(second), .request(first))
        #expect(wrong.leaves.map(\.request) == [first.digest] && wrong.refusals.map(\.request) == [second.digest])
        #expect(try cluster.shards[0].status(second) == .committed)
        let (third, fourth) = (payment(3, [Self.after(2)]), payment(4, [Self.after(3)]))
        let right = try cluster.shards[0].run(.request(third), .request(fourth))
        #expect(right.leaves.count == 2 && right.refusals.isEmpty)
        #expect(try cluster.posted(near) == 40)
        try cluster.checkInvariants()
    }

    @Test mutating func `what came of a predecessor does not matter, only that it is there`() throws {
        let (poor, next) = (payment(1, [], 1000), payment(2, [Self.after(1)]))
        #expect(try cluster.shards[0].status(poor) == .aborted(.insufficientFunds))
        #expect(try cluster.shards[0].status(next) == .committed)
        // Voted on, and not decided.
        let across = cluster.request(alice, 3, follows: [Self.after(2)], [pay(10, to: far)])
        #expect(try cluster.shards[0].status(across) == .votedYes)
        #expect(try cluster.shards[0].status(payment(4, [Self.after(3)])) == .committed)
        // Another attempt of the number is as good.
        _ = try cluster.shards[0].submit(payment(5, [], 7))
        #expect(try cluster.shards[0].status(payment(6, [Self.after(5)])) == .committed)
    }

    @Test mutating func `a later number that is there says nothing of an earlier one`() throws {
        _ = try cluster.shards[0].submit(payment(9, []))
        #expect(try refusals(payment(10, [Self.after(5)])) == [.outOfOrder])
        #expect(try refusals(payment(10, [Self.after(9)])) == [])
    }

    @Test mutating func `a predecessor that was refused for the time being is waited for`() throws {
        // Of 100, 80 are reserved: whether there is enough for more is open.
        let reserving = cluster.request(alice, 1, [pay(80, to: far)])
        let vote = try cluster.shards[0].certify(reserving)
        let (second, third) = (payment(2, [Self.after(1)], 50), payment(3, [Self.after(2)], 5))
        #expect(try refusals(second) == [.conflict])
        #expect(try refusals(third) == [.outOfOrder])
        let other = try cluster.shards[1].certify(reserving)
        _ = try cluster.shards[0].run(.decide(.of(reserving, [vote, other])), .request(second), .request(third))
        #expect(try cluster.shards[0].status(second) == .aborted(.insufficientFunds))
        #expect(try cluster.shards[0].status(third) == .committed)
    }

    /// A bundle is over when all its legs here are.
    @Test mutating func `a predecessor of which one leg was refused is waited for`() throws {
        let reserving = cluster.request(alice, 1, [pay(80, to: far)])
        let vote = try cluster.shards[0].certify(reserving)
        let bundle = cluster.request(
            alice, 2, follows: [Self.after(1)], mode: .independent, [pay(10, to: near), pay(30, to: near)])
        let third = payment(3, [Self.after(2)], 5)
        #expect(try cluster.shards[0].submit(bundle).refusals.map(\.legs) == [[1]])
        #expect(try refusals(third) == [.outOfOrder])
        // What decides frees the money: then the other leg has its word, too.
        let other = try cluster.shards[1].certify(reserving)
        try cluster.shards[0].decide(reserving, [vote, other])
        #expect(try cluster.shards[0].status(bundle, leg: 1) == .aborted(.insufficientFunds))
        #expect(try cluster.shards[0].status(third) == .committed)
        try cluster.checkInvariants()
    }

    @Test mutating func `a leg that never got its word is waited for until the deadline of its request`() throws {
        _ = try cluster.shards[0].certify(cluster.request(alice, 1, [pay(80, to: far)]))
        let bundle = cluster.request(
            alice, 2, mode: .independent, deadline: seconds(10), [pay(10, to: near), pay(30, to: near)])
        _ = try cluster.shards[0].submit(bundle)
        let third = payment(3, [Self.after(2)], 5)
        #expect(try refusals(third, at: seconds(10)) == [.outOfOrder])
        #expect(try cluster.shards[0].status(third, at: seconds(11)) == .committed)
    }

    @Test mutating func `nobody waits for what is acknowledged, by this request or before`() throws {
        #expect(try refusals(payment(7, [Self.after(6)], acknowledging: 6)) == [.outOfOrder])
        #expect(try refusals(payment(7, [Self.after(6)], acknowledging: 7)) == [])
        #expect(try refusals(payment(9, [Self.after(6)])) == [], "number 7 has acknowledged it")
        // Forgotten, and still behind.
        #expect(try refusals(payment(12, [Self.after(9)], acknowledging: 12)) == [])
    }

    @Test mutating func `nobody waits for what can never come, once its deadline has passed`() throws {
        let next = payment(2, [Self.after(1, deadline: seconds(10))])
        #expect(try refusals(next, at: seconds(10)) == [.outOfOrder])
        #expect(try refusals(next, at: seconds(11)) == [])
        // It is too late for itself first.
        let late = payment(4, [Self.after(3, deadline: seconds(30))], deadline: seconds(12))
        #expect(try cluster.shards[0].status(late, at: seconds(13)) == .noRecordAbort)
    }

    @Test mutating func `each shard has an order of its own`() throws {
        // Follows on shard 1 only.
        let across = cluster.request(alice, 2, follows: [Self.after(1, on: 1)], [pay(10, to: far)])
        #expect(try cluster.shards[0].status(across) == .votedYes)
        #expect(try cluster.shards[1].submit(across).refusals.map(\.reason) == [.outOfOrder])
        let both = cluster.request(
            alice, 5, follows: [Self.after(2, on: 0), Self.after(4, on: 1)], [pay(10, to: far)])
        #expect(try cluster.shards[0].status(both) == .votedYes)
        #expect(try cluster.shards[1].submit(both).refusals.map(\.reason) == [.outOfOrder])
        _ = try cluster.shards[1].submit(cluster.request(alice, 1, [pay(10, to: far)]))
        #expect(try cluster.shards[1].status(across) == .votedYes)
    }

    @Test mutating func `a request that is recorded stays so, whatever it follows`() throws {
        let first = payment(1, [])
        _ = try cluster.shards[0].submit(first)
        let second = payment(2, [Self.after(1)])
        #expect(try cluster.shards[0].status(second) == .committed)
        #expect(try cluster.shards[0].status(second, at: seconds(40)) == .committed)
        _ = try cluster.shards[0].submit(payment(9, [], acknowledging: 2, 1, deadline: seconds(60)), at: seconds(41))
        #expect(try cluster.shards[0].status(second) == .committed, "its predecessor is forgotten")
    }

    /// For ever, and on each shard, whether it is named or not.
    @Test mutating func `an order that no numbering gives is malformed`() throws {
        let many = (0...64).map { Self.after(1, on: UInt16($0)) }
        for follows in [
            [Self.after(5)], [Self.after(6)], [Self.after(2, on: 1), Self.after(1, on: 0)],
            [Self.after(1, on: 7), Self.after(2, on: 7)], many,
        ] {
            #expect(try cluster.shards[0].status(payment(5, follows)) == .aborted(.malformed))
        }
        // A shard that takes no part, or that there is not, says nothing.
        #expect(try cluster.shards[0].status(payment(5, [Self.after(1, on: 1), Self.after(2, on: 900)])) == .committed)
    }

    @Test mutating func `an account that is read in order is read after what was paid before`() throws {
        let read = cluster.request(alice, 2, follows: [Self.after(1)], [.read(from)])
        #expect(try refusals(read) == [.outOfOrder])
        _ = try cluster.shards[0].submit(payment(1, []))
        guard case .read(let view?) = try cluster.shards[0].status(read) else {
            Issue.record("not read")
            return
        }
        #expect(view.posted == Amount(90))
    }
}
