import Messages
import ShardState
import Testing

@Suite struct ForgettingTests {
    private var cluster: TestCluster
    private let alice: Person
    private let bob: Person
    private let from: AccountID
    private let near: AccountID
    private let to: AccountID

    init() throws {
        cluster = try TestCluster(shards: 2)
        (alice, bob) = (try Person(1), try Person(2))
        from = try cluster.fund(cluster.account(alice, on: 0), 1_000_000)
        near = try cluster.fund(cluster.account(bob, on: 0), 0)
        to = try cluster.fund(cluster.account(bob, on: 1), 0)
    }

    private mutating func pushed(_ shard: Int = 0) throws -> [UnforgottenRecord] {
        try cluster.shards[shard].executor.unforgotten(after: nil, limit: 1000)
    }

    /// R10: aborts too, with the signed transaction, until every participant is certified decided.
    @Test mutating func `a record is pushed until every participant is certified decided`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let no = cluster.transfer(alice, 1, from: from, to: to, 2_000_000)
        let within = cluster.transfer(alice, 2, from: from, to: near, 1)
        let vote = try cluster.shards[0].certify(request)
        _ = try cluster.shards[0].run(.request(no), .request(within))
        let records = try pushed()
        #expect(Set(records.map(\.request)) == [request, no])
        #expect(records.allSatisfy { $0.waitingFor == [ShardID(1)] })
        #expect(records.map(\.cursor) == records.map(\.cursor).sorted())
        let other = try cluster.shards[1].certify(request)
        try cluster.shards[0].decide(request, [other])
        #expect(try pushed().count == 2, "shard 1 voted, and is not known to have decided")
        let decided = try #require(try cluster.shards[1].decide(request, [vote]).certificate(of: request))
        try cluster.shards[0].decide(request, [decided])
        #expect(try pushed().map(\.request) == [no])
        #expect(try cluster.shards[0].status(request) == .committed)
    }

    /// R10 and R11 together.
    @Test mutating func `a record goes when all have decided, the deadline has passed and the number is acknowledged`()
        throws
    {
        // Eight histories: every combination of the three, and only one of them forgets.
        for (number, (settled, late, acknowledged)) in [
            (false, false, false), (true, false, false), (false, true, false), (false, false, true),
            (true, true, false), (true, false, true), (false, true, true), (true, true, true),
        ].enumerated() {
            cluster = try TestCluster(shards: 2)
            for account in [cluster.account(alice, on: 0), cluster.account(bob, on: 0), cluster.account(bob, on: 1)] {
                try cluster.fund(account, 1000)
            }
            let request = cluster.transfer(alice, 0, from: from, to: to, 30)
            let vote = try cluster.shards[0].certify(request)
            try cluster.shards[0].decide(request, [try cluster.shards[1].certify(request)])
            if settled {
                let other = try #require(try cluster.shards[1].decide(request, [vote]).certificate(of: request))
                try cluster.shards[0].decide(request, [other])
            }
            if acknowledged {
                _ = try cluster.shards[0].submit(cluster.transfer(alice, 1, from: from, to: near, 1, acknowledging: 1))
            }
            try cluster.shards[0].run(at: late ? seconds(31) : seconds(30))
            let forgotten = settled && late && acknowledged
            #expect(try (cluster.shards[0].executor.recorded(request) == nil) == forgotten, "history \(number)")
            #expect(
                try cluster.shards[0].status(request) == (forgotten ? .acknowledged : .committed), "history \(number)")
            #expect(try pushed().isEmpty == settled, "history \(number)")
            try cluster.checkInvariants()
        }
    }

    @Test mutating func `an acknowledgement after the deadline forgets at once`() throws {
        let request = cluster.transfer(alice, 0, from: from, to: to, 30)
        let vote = try cluster.shards[0].certify(request)
        let other = try cluster.shards[1].certify(request)
        let decided = try #require(try cluster.shards[1].decide(request, [vote]).certificate(of: request))
        try cluster.shards[0].decide(request, [other, decided])
        try cluster.shards[0].run(at: seconds(31))
        #expect(try cluster.shards[0].executor.recorded(request) != nil)
        let next = cluster.transfer(
            alice, 1, from: from, to: near, 1, acknowledging: 1, issuedAt: seconds(31), deadline: seconds(60))
        _ = try cluster.shards[0].submit(next)
        #expect(try cluster.shards[0].executor.recorded(request) == nil)
        try cluster.checkInvariants()
    }

    /// R2: how much expires in one batch is bounded; more than one chunk of the index.
    @Test mutating func `at most 256 records expire in one batch`() throws {
        let count: UInt64 = 600
        let requests = (0..<count).map {
            cluster.transfer(alice, $0, from: from, to: to, 1, deadline: seconds(10 + ($0 * 7) % 19))
        }
        let votes = try cluster.shards[0].run(Batch(time: start, items: requests.map { .request($0) })).certificates
        let others = try cluster.shards[1].run(Batch(time: start, items: requests.map { .request($0) })).certificates
        let decided = try cluster.shards[1].run(
            Batch(time: start, items: zip(requests, votes).map { .decide(.of($0, [$1])) })
        ).certificates
        #expect(try pushed().count == 600)
        #expect(try pushed().map(\.cursor) == pushed().map(\.cursor).sorted())
        let half = try #require(try pushed().dropFirst(299).first).cursor
        #expect(
            try cluster.shards[0].executor.unforgotten(after: half, limit: 1000).map(\.cursor)
                == pushed().dropFirst(300).map(\.cursor))
        try cluster.shards[0].run(
            Batch(time: start, items: requests.indices.map { .decide(.of(requests[$0], [others[$0], decided[$0]])) }))
        #expect(try pushed().isEmpty)
        _ = try cluster.shards[0].submit(cluster.transfer(alice, 700, from: from, to: near, 1, acknowledging: 700))
        func kept() throws -> Int {
            try requests.filter { try cluster.shards[0].executor.recorded($0)?.entries.first?.status == .committed }
                .count
        }
        #expect(try kept() == 600)
        for left in [344, 88, 0] {
            try cluster.shards[0].run(at: seconds(100))
            #expect(try kept() == left)
        }
        try cluster.checkInvariants()
    }

    /// R2: a null request carries no time and changes nothing.
    @Test mutating func `a null batch moves the sequence and the history only`() throws {
        let before = (try cluster.shards[0].executor.bucketDigests(), cluster.shards[0].executor.time)
        let history = cluster.shards[0].executor.history
        let executed = try cluster.shards[0].run(.null)
        #expect(executed.leaves.isEmpty && executed.previousHistory == history && executed.history != history)
        #expect(try cluster.shards[0].executor.bucketDigests() == before.0)
        #expect(cluster.shards[0].executor.time == before.1)
    }
}
