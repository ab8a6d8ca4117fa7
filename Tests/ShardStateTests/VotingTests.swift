import Messages
import ShardState
import Testing

@Suite struct VotingTests {
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

    @Test mutating func `a request that is ordered again happens once`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: near, 10)
        let executed = try cluster.shards[0].run(.request(request), .request(request))
        #expect(executed.leaves.count == 1)
        #expect(try cluster.shards[0].status(request) == .committed)
        #expect(try cluster.shards[0].status(request, at: seconds(500)) == .committed)
        #expect(try cluster.posted(near) == 10)
    }

    /// R10: past the deadline a shard without a record never records a vote.
    @Test mutating func `a prepare past the deadline is answered by an abort without record`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: far, 10)
        #expect(try cluster.shards[0].status(request, at: seconds(30)) == .votedYes, "the deadline itself is in time")
        let late = cluster.transfer(alice, 1, from: from, to: far, 10)
        #expect(try cluster.shards[0].status(late, at: seconds(31)) == .noRecordAbort)
        // Time does not go back, whatever a later batch says (R2).
        #expect(try cluster.shards[0].status(late, at: seconds(1)) == .noRecordAbort)
        #expect(cluster.shards[0].executor.undecidedCount == 1)
        #expect(try cluster.shards[0].executor.recorded(late) == nil)
        #expect(try cluster.shards[0].executor.recorded(request)?.entries.map(\.status) == [.votedYes])
    }

    /// R10, where a record exists but not for this leg.
    @Test mutating func `a leg that was refused for a conflict gets no vote past the deadline either`() throws {
        func step(_ amount: UInt128) -> Messages.Operation {
            .transfer(Transfer(from: from, to: far, asset: gold, amount: Amount(amount)))
        }
        let request = cluster.request(alice, 0, mode: .independent, [step(80), step(80)])
        #expect(try cluster.shards[0].submit(request).refusals.map(\.legs) == [[1]])
        #expect(try cluster.shards[0].executor.recorded(request) == nil)
        #expect(
            try cluster.shards[0].submit(request, at: seconds(31)).leaves.first?.entries.map(\.status) == [
                .votedYes, .noRecordAbort,
            ])
    }

    /// R11: a retry has a new deadline and so a new digest.
    @Test mutating func `at most one attempt with a number holds or commits`() throws {
        let first = cluster.transfer(alice, 0, from: from, to: far, 10)
        let retry = cluster.transfer(alice, 0, from: from, to: far, 10, deadline: seconds(40))
        #expect(try cluster.shards[0].status(first) == .votedYes)
        #expect(try cluster.shards[0].status(retry) == .votedNo(.superseded))
        try cluster.shards[0].decide(first, [try cluster.shards[1].certify(first)])
        let third = cluster.transfer(alice, 0, from: from, to: far, 10, deadline: seconds(50))
        #expect(try cluster.shards[0].status(third) == .votedNo(.superseded))
        // A number used within the shard is not usable once more across shards, nor the other way round.
        let within = cluster.transfer(alice, 0, from: from, to: near, 10)
        #expect(try cluster.shards[0].status(within) == .aborted(.superseded))
        try cluster.checkInvariants()
    }

    /// R11: clients retry after a certified abort.
    @Test mutating func `a retry votes after the first attempt has aborted`() throws {
        let first = cluster.transfer(alice, 0, from: from, to: far, 101)
        #expect(try cluster.shards[0].status(first) == .votedNo(.insufficientFunds))
        let retry = cluster.transfer(alice, 0, from: from, to: far, 100, deadline: seconds(40))
        #expect(try cluster.shards[0].status(retry) == .votedYes)
        #expect(
            try cluster.shards[0].status(first) == .votedNo(.insufficientFunds), "a vote is the first and only one (R8)"
        )
    }

    @Test mutating func `attempts with one number are bounded`() throws {
        for i in 0..<8 {
            let attempt = cluster.transfer(alice, 0, from: from, to: far, 101, deadline: seconds(30 + UInt64(i)))
            #expect(try cluster.shards[0].status(attempt) == .votedNo(.insufficientFunds))
        }
        let ninth = cluster.transfer(alice, 0, from: from, to: far, 1, deadline: seconds(50))
        #expect(try cluster.shards[0].submit(ninth).refusals.map(\.reason) == [.overloaded])
    }

    /// R11: refused for ever, and an undecided record stays.
    @Test mutating func `an acknowledged number is refused for ever`() throws {
        let done = cluster.transfer(alice, 0, from: from, to: near, 10)
        let undecided = cluster.transfer(alice, 1, from: from, to: far, 10)
        let unseen = cluster.transfer(alice, 2, from: from, to: near, 10)
        _ = try cluster.shards[0].run(.request(done), .request(undecided))
        let acknowledging = cluster.transfer(alice, 3, from: from, to: near, 1, acknowledging: 3)
        #expect(try cluster.shards[0].status(acknowledging) == .committed)
        #expect(try cluster.shards[0].status(done) == .acknowledged)
        #expect(try cluster.shards[0].status(unseen) == .acknowledged)
        #expect(try cluster.shards[0].status(undecided) == .votedYes)
        try cluster.shards[0].decide(undecided, [try cluster.shards[1].certify(undecided)])
        #expect(try cluster.shards[0].status(undecided) == .committed)
        #expect(try cluster.posted(from) == 79)
        try cluster.checkInvariants()
    }

    @Test mutating func `numbers far above what was acknowledged are refused, without a certificate`() throws {
        let high = cluster.transfer(alice, 1024, from: from, to: near, 1)
        let refused = try cluster.shards[0].submit(high)
        #expect(refused.leaves.isEmpty)
        #expect(refused.refusals.map(\.reason) == [.numberTooHigh])
        #expect(try cluster.shards[0].status(cluster.transfer(alice, 1023, from: from, to: near, 1)) == .committed)
        // The signed acknowledgement counts, so that a shard that the principal is new to follows.
        #expect(
            try cluster.shards[0].status(cluster.transfer(alice, 9000, from: from, to: near, 1, acknowledging: 8000))
                == .committed)
        // Others may hold a vote for it, so past its deadline it must get an answer that aborts (R10).
        let lost = cluster.transfer(alice, 20000, from: from, to: far, 1)
        #expect(try cluster.shards[0].status(lost, at: seconds(31)) == .noRecordAbort)
        try cluster.checkInvariants()
    }

    @Test mutating func `the largest numbers and times are values like others`() throws {
        let last = cluster.transfer(
            alice, .max, from: from, to: near, 1, acknowledging: .max, issuedAt: seconds(0), deadline: seconds(30))
        #expect(try cluster.shards[0].status(last) == .committed)
        #expect(try cluster.shards[0].status(last) == .committed)
        let far = cluster.transfer(
            bob, 0, from: from, to: near, 1, issuedAt: Timestamp(.max - 1), deadline: Timestamp(.max))
        #expect(try cluster.shards[0].submit(far).refusals.map(\.reason) == [.fromTheFuture])
        let huge = cluster.transfer(alice, .max, from: from, to: near, .max, acknowledging: .max)
        #expect(try cluster.shards[0].status(huge) == .aborted(.malformed))
        #expect(try cluster.shards[0].status(far, at: Timestamp(.max)) == .aborted(.notAuthorised))
        try cluster.checkInvariants()
    }

    @Test mutating func `a request issued ahead of the shard's time waits`() throws {
        let early = cluster.transfer(alice, 0, from: from, to: near, 1, issuedAt: seconds(6), deadline: seconds(30))
        #expect(try cluster.shards[0].submit(early).refusals.map(\.reason) == [.fromTheFuture])
        #expect(try cluster.shards[0].status(early, at: seconds(1)) == .committed)
    }

    /// R9: permanently true, so certified without a record, and every shard says the same.
    @Test mutating func `a malformed request aborts on every shard, and leaves no record`() throws {
        func transfer(_ amount: UInt128, _ from: AccountID, _ to: AccountID) -> Messages.Operation {
            .transfer(Transfer(from: from, to: to, asset: gold, amount: Amount(amount)))
        }
        let good = transfer(1, from, far)
        let malformed = [
            cluster.request(alice, 0, [good, transfer(0, from, far)]),
            cluster.request(alice, 0, [good, transfer(Amount.limit.number + 1, from, far)]),
            cluster.request(alice, 0, [good, transfer(1, near, near)]),
            cluster.request(alice, 0, [good, .open(cluster.account(alice, on: 0, 3))]),
            cluster.request(cluster.issuer, 0, [good, .issue(to: near, asset: gold, amount: Amount(1))]),
            cluster.request(alice, 0, acknowledging: 1, [good]),
            cluster.request(alice, 0, deadline: start, [good]),
            cluster.request(alice, 0, deadline: seconds(121), [good]),
        ]
        let before = try cluster.shards.indices.map { try cluster.shards[$0].executor.bucketDigests() }
        for request in malformed {
            for shard in 0..<2 where request.request.principal == alice.key {
                #expect(try cluster.shards[shard].status(request) == .votedNo(.malformed))
            }
        }
        #expect(try cluster.shards.indices.map { try cluster.shards[$0].executor.bucketDigests() } == before)
    }

    @Test mutating func `a shard that takes no part in a request ignores it`() throws {
        let executed = try cluster.shards[1].submit(cluster.transfer(alice, 0, from: from, to: near, 1))
        #expect(executed.leaves.isEmpty && executed.refusals.isEmpty)
    }

    /// R12: part of ordered execution; a refusal is not a vote (R9), and a decide makes room.
    @Test mutating func `undecided legs are capped for a principal and for the shard`() throws {
        var limits = ShardLimits()
        limits.maxUndecidedPerPrincipal = 2
        limits.maxUndecided = 4
        cluster = try TestCluster(shards: 2, limits: limits)
        let carol = try Person(3)
        let a = try cluster.fund(cluster.account(alice, on: 0), 100)
        let c = try cluster.fund(cluster.account(carol, on: 0), 100)
        let b = try cluster.fund(cluster.account(bob, on: 1), 0)
        func step(_ from: AccountID) -> Messages.Operation {
            .transfer(Transfer(from: from, to: b, asset: gold, amount: Amount(1)))
        }
        let request = cluster.request(alice, 0, mode: .independent, [step(a), step(a), step(a)])
        let first = try cluster.shards[0].submit(request)
        #expect(first.leaves.first?.entries.map(\.status) == [.votedYes, .votedYes])
        #expect(first.refusals.map(\.reason) == [.overloaded])
        let other = cluster.request(carol, 0, mode: .independent, [step(c), step(c)])
        #expect(try cluster.shards[0].submit(other).refusals.map(\.legs) == [[1]])
        #expect(cluster.shards[0].executor.undecidedCount == 3)
        let vote = try cluster.shards[1].certify(request)
        try cluster.shards[0].decide(request, [vote])
        #expect(cluster.shards[0].executor.undecidedCount == 1)
        #expect(
            try cluster.shards[0].submit(request).leaves.first?.entries.map(\.status) == [
                .committed, .committed, .votedYes,
            ])
        try cluster.checkInvariants()
    }

    /// R12: credits, which anybody can sign with a fresh key, leave room for debits, and for credits whose debits have
    /// voted.
    @Test mutating func `fresh keys do not fill a shard`() throws {
        var limits = ShardLimits()
        limits.maxUndecided = 8
        cluster = try TestCluster(shards: 2, limits: limits)
        let a = try cluster.fund(cluster.account(alice, on: 0), 100)
        let b = try cluster.fund(cluster.account(bob, on: 1), 100)
        for key in 10..<15 {
            // Of an account that is not there: the other shard would say no, and is not asked.
            let fresh = try Person(key)
            let unfunded = cluster.account(fresh, on: 0).id
            let executed = try cluster.shards[1].submit(cluster.transfer(fresh, 0, from: unfunded, to: b, 1))
            #expect(executed.refusals.map(\.reason) == (key < 14 ? [] : [.overloaded]))
        }
        let honest = cluster.transfer(alice, 0, from: a, to: b, 1)
        #expect(try cluster.shards[1].submit(honest).refusals.map(\.reason) == [.overloaded])
        let debit = try cluster.shards[0].certify(honest)
        let other = cluster.transfer(alice, 1, from: a, to: b, 200)
        let refusal = try cluster.shards[0].certify(other)
        #expect(refusal.leaf.status(ofLeg: 0) == .votedNo(.insufficientFunds))
        let unbacked = try cluster.shards[1].run(.decide(.of(other, [refusal])), .request(other))
        #expect(unbacked.refusals.map(\.reason) == [.overloaded])
        let backed = try cluster.shards[1].run(.decide(.of(honest, [debit])), .request(honest))
        #expect(backed.certificate(of: honest)?.leaf.status(ofLeg: 0) == .votedYes)
        #expect(try cluster.shards[1].submit(other).refusals.map(\.reason) == [.overloaded], "backing is of one batch")
        // A debit costs its principal something.
        let out = cluster.transfer(bob, 0, from: b, to: a, 5)
        #expect(try cluster.shards[1].certify(out).leaf.status(ofLeg: 0) == .votedYes)
        // A quarter is left to what is backed: shards full of each other's debits can decide them.
        #expect(
            try cluster.shards[1].submit(cluster.transfer(bob, 1, from: b, to: a, 5)).refusals.map(\.reason) == [
                .overloaded
            ])
        let second = cluster.transfer(alice, 2, from: a, to: b, 1)
        let yes = try cluster.shards[0].certify(second)
        let last = try cluster.shards[1].run(.decide(.of(second, [yes])), .request(second))
        #expect(last.certificate(of: second)?.leaf.status(ofLeg: 0) == .votedYes)
        try cluster.checkInvariants()
    }
}
