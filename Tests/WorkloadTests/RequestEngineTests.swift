import Randomness
import Messages
import Testing
import Workload

/// A closed loop against the fake ledger, with answers in an order drawn from a seed.
private struct Loop<Source: WorkSource> {
    var engine: RequestEngine<Source>
    var ledger: FakeLedger
    var random: SplitMix64
    var now = Instant(uptime: 1_000_000_000, wall: Timestamp(1_700_000_000_000_000))
    var pending: [RequestEngine<Source>.Outgoing] = []
    var mostPending = 0
    var largestBundle = 0
    var sent: [SignedRequest] = []

    init(_ source: Source, signers: [Ed25519Signer], ledger: FakeLedger, clients: Int, seed: UInt64, channels: Int = 1)
    {
        engine = RequestEngine(
            source: source, signers: signers, manifest: ledger.manifest,
            configuration: .init(clients: clients, channels: channels, seed: seed))
        self.ledger = ledger
        random = SplitMix64(seed: seed, stream: "test")
    }

    mutating func advance(milliseconds: UInt64) {
        now.uptime += milliseconds * 1_000_000
        now.wall = now.wall.adding(microseconds: milliseconds * 1000)
        engine.tick(now: now)
        collect()
    }

    mutating func collect() {
        for outgoing in engine.takeOutbox() {
            pending.append(outgoing)
            sent.append(outgoing.request)
            largestBundle = max(largestBundle, outgoing.request.request.operations.count)
        }
        mostPending = max(mostPending, pending.count)
    }

    /// Of those whose turn it is.
    mutating func takeRandom() -> RequestEngine<Source>.Outgoing {
        let inOrder = pending.indices.filter { ledger.isInOrder(pending[$0].request.request) }
        return pending.remove(at: inOrder[random.below(inOrder.count)])
    }

    /// Until the source is exhausted and all is answered.
    mutating func runToEnd() {
        advance(milliseconds: 1)
        while !engine.isDone(now: now) {
            guard !pending.isEmpty else {
                advance(milliseconds: 50)
                continue
            }
            let outgoing = takeRandom()
            now.uptime += 1_000_000
            engine.receive(id: outgoing.id, ledger.answer(outgoing.request), now: now)
            collect()
        }
    }
}

struct RequestEngineTests {
    private struct Scenario {
        var trace: Trace
        var keys: AccountKeys
        var ledger: FakeLedger
        var shardOf: [ShardID]
        var balances: [UInt128]

        init(
            seed: UInt64, accounts: Int = 30, rows: Int = 600, members: Int? = nil, shards: Int = 2, passes: Int = 1,
            fundedShare: Double = 1
        ) throws {
            trace = SkewedWorkload(accounts: accounts, transfers: rows, seed: seed).trace()
            keys = AccountKeys(accounts: accounts, members: members, seed: seed)
            shardOf = keys.shards(in: ShardMap(shardCount: shards))
            balances = Funding.openingBalances(of: trace, passes: passes).map { UInt128(Double($0) * fundedShare) }
            let funding = FundingSource(specifications: keys.specifications, balances: balances)
            var loop = Loop(
                funding, signers: [try FakeLedger(shards: shards).issuer], ledger: try FakeLedger(shards: shards),
                clients: 4, seed: seed)
            loop.runToEnd()
            #expect(loop.engine.source.failures == 0)
            ledger = loop.ledger
        }

        func source(
            bundle: Int = 1, extent: TransferSource.Extent = .wholeTrace, lookAhead: Int = 256, passes: Int = 1,
            warmup: UInt64 = 0
        ) -> TransferSource {
            TransferSource(
                trace: trace, keys: keys, shardOf: shardOf, openingBalances: balances, bundle: bundle, extent: extent,
                warmup: warmup, passes: passes, lookAhead: lookAhead)
        }
    }

    @Test(arguments: 1...4, [1, 8])
    func
        `funded exactly, every row commits whatever order answers come in, because a payment waits for the money that it needs`(
            _ seed: Int, _ bundle: Int
        ) throws
    {
        let scenario = try Scenario(seed: UInt64(seed), members: bundle == 1 ? nil : 3)
        var loop = Loop(
            scenario.source(bundle: bundle), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 16,
            seed: UInt64(seed))
        loop.runToEnd()
        let measurements = try #require(loop.engine.source.measurements)
        #expect(measurements.committed == scenario.trace.rows.count, "seed \(seed)")
        #expect(measurements.aborted == 0 && measurements.unknown == 0, "seed \(seed)")
        #expect(loop.mostPending > 1)
        #expect(loop.largestBundle <= bundle)
        #expect(bundle == 1 || loop.largestBundle > 1)
        #expect(loop.ledger.balances.values.reduce(0, +) == loop.ledger.issued)
    }

    @Test(arguments: 1...3, [1, 8])
    func `payments of one account leave in the order of the trace`(_ seed: Int, _ bundle: Int) throws {
        let scenario = try Scenario(seed: UInt64(seed), members: bundle == 1 ? nil : 3)
        var loop = Loop(
            scenario.source(bundle: bundle), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 16,
            seed: UInt64(seed))
        loop.runToEnd()
        for (account, id) in scenario.keys.ids.enumerated() {
            let wanted = scenario.trace.rows.filter { Int($0.from) == account }.map {
                (scenario.keys.ids[Int($0.to)], UInt128($0.amount))
            }
            let got = loop.ledger.committedOrder.filter { $0.from == id }.map { ($0.to, $0.amount.number) }
            #expect(wanted.elementsEqual(got) { $0 == $1 }, "seed \(seed), account \(account)")
        }
    }

    @Test(arguments: 1...3, [1, 8])
    func `with too little money some rows abort and the run still ends`(_ seed: Int, _ bundle: Int) throws {
        var scenario = try Scenario(seed: UInt64(seed), members: bundle == 1 ? nil : 3, fundedShare: 0.5)
        scenario.trace.rows += scenario.trace.rows.reversed()
        var loop = Loop(
            scenario.source(bundle: bundle), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 16,
            seed: UInt64(seed))
        loop.runToEnd()
        let measurements = try #require(loop.engine.source.measurements)
        #expect(measurements.aborted > 0 && measurements.committed > 0)
        #expect(measurements.aborted + measurements.committed == scenario.trace.rows.count, "seed \(seed)")
        #expect(loop.ledger.balances.values.reduce(0, +) == loop.ledger.issued)
    }

    @Test func `intra-shard and cross-shard transfers are counted apart`() throws {
        let scenario = try Scenario(seed: 2)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 8, seed: 2)
        loop.runToEnd()
        let measurements = try #require(loop.engine.source.measurements)
        let crossing = scenario.trace.rows.count { scenario.shardOf[Int($0.from)] != scenario.shardOf[Int($0.to)] }
        #expect(measurements.cross.totalCount == UInt64(crossing))
        #expect(measurements.intra.totalCount == UInt64(scenario.trace.rows.count - crossing))
        #expect(measurements.timeline.reduce(0, +) == scenario.trace.rows.count)
    }

    @Test func `with a duration the trace starts over, and nothing starts after the time`() throws {
        let scenario = try Scenario(seed: 4, rows: 50, passes: 100)
        let source = scenario.source(extent: .nanoseconds(1_000_000_000), passes: 100, warmup: 200_000_000)
        var loop = Loop(source, signers: scenario.keys.signers, ledger: scenario.ledger, clients: 4, seed: 4)
        loop.runToEnd()
        let measurements = try #require(loop.engine.source.measurements)
        let all = measurements.timeline.reduce(0, +)
        #expect(all > 50 && all < 100 * 50)
        #expect(measurements.committed < all, "the warm-up is not counted")
        #expect(measurements.aborted == 0)
    }

    @Test func `a rejected request is sent again with the same bytes`() throws {
        let scenario = try Scenario(seed: 5, rows: 10)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 1, seed: 5)
        loop.advance(milliseconds: 1)
        let first = loop.takeRandom()
        loop.engine.receive(id: first.id, .rejected(id: 0, .queueFull, retryAfterMicroseconds: 1000), now: loop.now)
        loop.advance(milliseconds: 2000)
        #expect(loop.pending.map(\.request) == [first.request])
        #expect(loop.engine.counters.resent == 1)
    }

    @Test func `a silent gateway is asked again, over another channel, with the same bytes`() throws {
        let scenario = try Scenario(seed: 5, rows: 10)
        var loop = Loop(
            scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 1, seed: 5, channels: 2
        )
        loop.advance(milliseconds: 1)
        let first = loop.takeRandom()
        loop.advance(milliseconds: 6000)
        #expect(loop.pending.map(\.request) == [first.request])
        #expect(loop.pending.first?.channel != first.channel)
    }

    @Test func `work goes over another channel while a connection is broken, and then over both again`() throws {
        let scenario = try Scenario(seed: 5, rows: 200)
        var loop = Loop(
            scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 8, seed: 5, channels: 2
        )
        loop.advance(milliseconds: 1)
        #expect(Set(loop.pending.map(\.channel)) == [0, 1])
        // What was under way over channel 0 fails at once, and is sent again with the same bytes.
        let lost = loop.pending.filter { $0.channel == 0 }
        loop.pending.removeAll { $0.channel == 0 }
        for outgoing in lost { loop.engine.receive(id: outgoing.id, nil, now: loop.now) }
        loop.advance(milliseconds: 50)
        #expect(loop.pending.allSatisfy { $0.channel == 1 })
        #expect(Set(loop.pending.suffix(lost.count).map(\.request)) == Set(lost.map(\.request)))
        for _ in 0..<20 {
            let outgoing = loop.takeRandom()
            loop.engine.receive(id: outgoing.id, loop.ledger.answer(outgoing.request), now: loop.now)
            loop.collect()
        }
        #expect(loop.pending.allSatisfy { $0.channel == 1 })
        loop.advance(milliseconds: 300)
        for _ in 0..<20 {
            let outgoing = loop.takeRandom()
            loop.engine.receive(id: outgoing.id, loop.ledger.answer(outgoing.request), now: loop.now)
            loop.collect()
        }
        #expect(Set(loop.pending.map(\.channel)) == [0, 1])
    }

    @Test func `only a certified abort without a record leads to a new attempt, with a new number (R10, R11)`() throws {
        let scenario = try Scenario(seed: 6, rows: 10)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 1, seed: 6)
        loop.advance(milliseconds: 1)
        let first = loop.takeRandom()
        loop.engine.receive(id: first.id, loop.ledger.answer(first.request, status: .noRecordAbort), now: loop.now)
        loop.collect()
        let second = try #require(loop.pending.first)
        #expect(second.request.digest != first.request.digest)
        #expect(second.request.request.number == first.request.request.number.next)
        #expect(second.request.request.acknowledgedBelow == second.request.request.number)
        #expect(second.request.request.operations == first.request.request.operations)
        loop.runToEnd()
        #expect(loop.engine.source.measurements?.committed == 10)
    }

    @Test func `a certified refusal is an outcome`() throws {
        let scenario = try Scenario(seed: 7, rows: 10)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 1, seed: 7)
        loop.advance(milliseconds: 1)
        let first = loop.takeRandom()
        loop.engine.receive(
            id: first.id, loop.ledger.answer(first.request, status: .aborted(.insufficientFunds)), now: loop.now)
        loop.collect()
        #expect(loop.engine.source.measurements?.aborted == 1)
        #expect(loop.engine.source.measurements?.aborts[Int(AbortReason.insufficientFunds.rawValue) - 1] == 1)
    }

    @Test func `a receipt with forged signatures, or of another request, proves nothing`() throws {
        let scenario = try Scenario(seed: 8, rows: 10)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 2, seed: 8)
        loop.advance(milliseconds: 1)
        let (first, second) = (loop.takeRandom(), loop.takeRandom())
        loop.engine.receive(id: first.id, loop.ledger.answer(first.request, forged: true), now: loop.now)
        loop.engine.receive(id: second.id, loop.ledger.answer(first.request), now: loop.now)
        #expect(loop.engine.counters.invalidReceipts == 2)
        #expect(loop.engine.source.measurements?.committed == 0)
    }

    @Test func `a transfer without any answer ends as unknown, never as committed or aborted`() throws {
        let scenario = try Scenario(seed: 9, accounts: 4, rows: 1)
        var loop = Loop(scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 1, seed: 9)
        loop.advance(milliseconds: 1)
        while !loop.engine.isDone(now: loop.now) { loop.advance(milliseconds: 1000) }
        #expect(loop.engine.source.measurements?.unknown == 1)
        #expect(loop.engine.source.measurements?.committed == 0)
    }

    @Test func `numbers stay below acknowledgedBelow + 1,024 however slow one answer is (R11)`() throws {
        let scenario = try Scenario(seed: 10, accounts: 400, rows: 3000, members: 1)
        var loop = Loop(
            scenario.source(lookAhead: 4096), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 8,
            seed: 10)
        loop.advance(milliseconds: 1)
        let slow = loop.takeRandom()
        // It is executed, and its answer is long on its way: nobody who follows it waits for that.
        let late = loop.ledger.answer(slow.request)
        for _ in 0..<2000 where !loop.pending.isEmpty {
            let outgoing = loop.takeRandom()
            loop.engine.receive(id: outgoing.id, loop.ledger.answer(outgoing.request), now: loop.now)
            loop.collect()
        }
        for request in loop.sent.map(\.request) {
            #expect(request.number.number < request.acknowledgedBelow.number + 1024)
        }
        loop.engine.receive(id: slow.id, late, now: loop.now)
        loop.collect()
        loop.runToEnd()
        #expect(loop.engine.source.measurements?.committed == 3000)
    }

    /// One account pays all: what is under way is bounded by the clients, and not by one payment's latency.
    @Test func `one payer has as many payments under way as there are clients, each after the one before`() throws {
        var scenario = try Scenario(seed: 11, accounts: 20, rows: 400)
        let payer = try #require(scenario.balances.indices.max { scenario.balances[$0] < scenario.balances[$1] })
        #expect(scenario.balances[payer] >= 400)
        scenario.trace.rows = (0..<400).map { Trace.Row(from: payer, to: (payer + 1 + $0 % 19) % 20, amount: 1) }
        var loop = Loop(
            scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 32, seed: 11,
            channels: 4)
        loop.runToEnd()
        #expect(loop.mostPending == 32)
        #expect(loop.engine.source.measurements?.committed == 400)
        let shard = scenario.shardOf[payer]
        for request in loop.sent.map(\.request).dropFirst() {
            guard let predecessor = request.predecessor(on: shard) else {
                // Nothing was under way.
                #expect(request.acknowledgedBelow == request.number)
                continue
            }
            #expect(predecessor.number.next == request.number && request.follows.count == 1)
        }
        let wanted = scenario.trace.rows.map { scenario.keys.ids[Int($0.to)] }
        #expect(loop.ledger.committedOrder.suffix(400).map(\.to) == wanted)
    }

    @Test func `what is under way of a principal goes over one channel, and principals use them in turn`() throws {
        let scenario = try Scenario(seed: 12, accounts: 12, rows: 300)
        var loop = Loop(
            scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 24, seed: 12,
            channels: 3)
        loop.advance(milliseconds: 1)
        var channels: [PublicKey: Set<Int>] = [:]
        for outgoing in loop.pending {
            channels[outgoing.request.request.principal, default: []].insert(outgoing.channel)
        }
        #expect(loop.pending.count == 24 && channels.count < 24)
        #expect(channels.values.allSatisfy { $0.count == 1 })
        #expect(Set(loop.pending.map(\.channel)) == [0, 1, 2])
    }

    @Test func `a payment that is tried again comes behind those that were signed meanwhile`() throws {
        let scenario = try Scenario(seed: 13, accounts: 4, rows: 40, members: 1, shards: 1)
        var loop = Loop(
            scenario.source(), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 4, seed: 13)
        loop.advance(milliseconds: 1)
        let first = try #require(loop.pending.first)
        let last = try #require(loop.pending.last)
        loop.pending.removeFirst()
        loop.engine.receive(id: first.id, loop.ledger.answer(first.request, status: .noRecordAbort), now: loop.now)
        loop.collect()
        let again = try #require(
            loop.pending.first { $0.request.request.operations == first.request.request.operations })
        #expect(again.request.request.follows.map(\.number) == [last.request.request.number])
        loop.runToEnd()
        #expect(loop.engine.source.measurements?.committed == 40)
    }

    /// R11: who has used up his numbers holds up nobody else, and not his own order.
    @Test func `a principal without numbers holds up no other one`() throws {
        let scenario = try Scenario(seed: 14, accounts: 40, rows: 4000)
        var loop = Loop(
            scenario.source(lookAhead: 4096), signers: scenario.keys.signers, ledger: scenario.ledger, clients: 2000,
            seed: 14)
        loop.advance(milliseconds: 1)
        // Nothing of the busiest payer is answered.
        var counts: [PublicKey: Int] = [:]
        for outgoing in loop.pending { counts[outgoing.request.request.principal, default: 0] += 1 }
        let busiest = try #require(counts.max { $0.value < $1.value }?.key)
        for _ in 0..<600 {
            let others = loop.pending.indices.filter {
                loop.pending[$0].request.request.principal != busiest
                    && loop.ledger.isInOrder(loop.pending[$0].request.request)
            }
            guard let place = others.first else { break }
            let outgoing = loop.pending.remove(at: place)
            loop.engine.receive(id: outgoing.id, loop.ledger.answer(outgoing.request), now: loop.now)
            loop.collect()
        }
        #expect(loop.ledger.committedOrder.count > 400)
        for request in loop.sent.map(\.request) {
            #expect(request.number.number < request.acknowledgedBelow.number + 1024)
        }
        loop.runToEnd()
        #expect(loop.engine.source.measurements?.committed == 4000)
    }
}
