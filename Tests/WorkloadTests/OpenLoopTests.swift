import Messages
import Testing
import Workload

/// A transfer of one unit at a time, of which none may start while the gate is shut.
private struct GatedTransfers: WorkSource {
    let keys = AccountKeys(accounts: 200, seed: 1)
    /// Nanoseconds since the begin.
    var shut: Range<UInt64> = 0..<0
    var length: UInt64
    private(set) var latencies: [UInt64] = []
    private var start: UInt64?
    private var given = 0
    private var ended = 0

    init(length: UInt64, shut: Range<UInt64> = 0..<0) { (self.length, self.shut) = (length, shut) }

    var progress: WorkProgress { WorkProgress(done: ended, total: nil) }
    func isExhausted(now: Instant) -> Bool { start.map { now.uptime >= $0 + length } ?? false }
    mutating func next(now: Instant) -> Work? {
        let since = now.uptime - (start ?? now.uptime)
        start = start ?? now.uptime
        guard !isExhausted(now: now), !shut.contains(since) else { return nil }
        defer { given += 1 }
        let (from, to) = (given % 200, (given + 1) % 200)
        let transfer = Transfer(from: keys.ids[from], to: keys.ids[to], asset: AccountKeys.asset, amount: Amount(1))
        return Work(id: given, principal: from, operations: [.transfer(transfer)])
    }
    mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        if outcome == .committed { latencies.append(microseconds) }
    }
    mutating func finished(_ work: Work, now: Instant) { ended += 1 }
}

/// An engine whose clock goes in milliseconds, and whose channel answers after some of them.
private struct Channel<Source: WorkSource> {
    var engine: RequestEngine<Source>
    var ledger: FakeLedger
    var now = Instant(uptime: 1_000_000_000, wall: Timestamp(1_700_000_000_000_000))
    var sent: [(id: UInt64, request: SignedRequest, at: UInt64)] = []
    var moments: [UInt64] = []
    private let begin: UInt64 = 1_000_000_000

    init(_ source: Source, signers: [Ed25519Signer], shape: LoadShape, clients: Int = 1) throws {
        ledger = try FakeLedger(shards: 2)
        engine = RequestEngine(
            source: source, signers: signers, manifest: ledger.manifest,
            configuration: .init(clients: clients, channels: 1, seed: 1, shape: shape))
    }

    /// - Parameters:
    ///   - until: milliseconds since the begin.
    ///   - stall: of these: nothing is answered.
    ///   - absent: of these: the load itself does not run.
    mutating func run(until: Int, stall: Range<Int> = 0..<0, absent: Range<Int> = 0..<0) {
        for millisecond in Int((now.uptime - begin) / 1_000_000)..<until where !absent.contains(millisecond) {
            now.uptime = begin + UInt64(millisecond) * 1_000_000
            if !stall.contains(millisecond) {
                let due = sent.filter { $0.at + 5_000_000 <= now.uptime }
                sent.removeAll { $0.at + 5_000_000 <= now.uptime }
                for item in due {
                    engine.receive(id: item.id, ledger.answer(item.request, status: .committed), now: now)
                    collect()
                }
            }
            engine.tick(now: now)
            collect()
        }
    }

    private mutating func collect() {
        for outgoing in engine.takeOutbox() {
            sent.append((outgoing.id, outgoing.request, now.uptime))
            moments.append(now.uptime - begin)
        }
    }
}

private func p99(_ latencies: [UInt64]) -> UInt64 { LiveFigures.Figures.percentile(99, of: latencies) ?? 0 }

struct ArrivalTests {
    private func moments(_ loop: OpenLoop, _ count: Int) -> [UInt64] {
        var times = ArrivalTimes(loop)
        return (0..<count).map { _ in
            defer { times.advance() }
            return times.next
        }
    }

    @Test(arguments: Arrivals.allCases) func `the same seed has the same moments, and their rate is the one asked for`(
        _ arrivals: Arrivals
    ) {
        let loop = OpenLoop(requestsPerSecond: 1000, arrivals: arrivals, seed: 7)
        let moments = moments(loop, 50_001)
        #expect(moments == self.moments(loop, 50_001))
        #expect(moments[0] == 0 && zip(moments, moments.dropFirst()).allSatisfy { $0 <= $1 })
        let rate = 50_000 / (Double(moments[50_000]) / 1e9)
        // The deviation of a mean of 50,000 gaps is 0.45 %.
        #expect(abs(rate - 1000) < 20, "\(rate)")
        let second = moments.count { (3_000_000_000..<4_000_000_000).contains($0) }
        #expect(loop.count(in: 3_000_000_000..<4_000_000_000) == second)
    }

    @Test func `gaps of Poisson arrivals vary as much as their mean, and others come of another seed`() {
        let loop = OpenLoop(requestsPerSecond: 100, seed: 1)
        let gaps = { (moments: [UInt64]) in zip(moments, moments.dropFirst()).map { Double($1 - $0) } }(
            moments(loop, 20_000))
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(variance.squareRoot() / mean - 1) < 0.05)
        #expect(moments(loop, 10) != moments(OpenLoop(requestsPerSecond: 100, seed: 2), 10))
    }

    @Test func `constant arrivals stand at equal distances, without an error that adds up`() {
        let moments = moments(OpenLoop(requestsPerSecond: 3, arrivals: .constant, seed: 1), 3001)
        #expect(moments[3000] == 1_000_000_000_000)
    }
}

struct OpenLoopTests {
    private func shape(_ rate: Double, arrivals: Arrivals = .constant, maxInFlight: Int = 1000) -> LoadShape {
        .open(OpenLoop(requestsPerSecond: rate, arrivals: arrivals, seed: 3, maxInFlight: maxInFlight))
    }

    private func channel(
        _ shape: LoadShape, length: UInt64 = 4_000_000_000, shut: Range<UInt64> = 0..<0
    ) throws -> Channel<GatedTransfers> {
        let source = GatedTransfers(length: length, shut: shut)
        return try Channel(source, signers: source.keys.signers, shape: shape)
    }

    @Test func `a stalled channel is offered no less, and shows in the p99, which a closed loop hides`() throws {
        var open = try channel(shape(100))
        open.run(until: 6000, stall: 1000..<2000)
        #expect(open.moments.count == 400 && open.engine.isDone(now: open.now))
        #expect(open.engine.source.latencies.count == 400)
        #expect(p99(open.engine.source.latencies) > 950_000)
        // A quarter of all began in that second, and waited half of it on average.
        #expect(open.engine.source.latencies.count { $0 > 100_000 } >= 89)

        var closed = try channel(.closed)
        closed.run(until: 6000, stall: 1000..<2000)
        #expect(closed.engine.source.latencies.count > 400)
        #expect(p99(closed.engine.source.latencies) < 20_000)
    }

    @Test func `what begins late because the load itself did not run counts from its moment, and is said`() throws {
        var open = try channel(shape(100))
        open.run(until: 6000, absent: 1000..<2000)
        #expect(open.moments.count == 400)
        #expect(p99(open.engine.source.latencies) > 950_000)
        let figures = try #require(open.engine.openFigures)
        #expect(figures.begun == 400 && figures.lateStarts == 0 && figures.unstarted == 0)
        #expect(figures.lag.totalCount == 400 && figures.lag.valueAtPercentile(99) > 900_000)
        #expect(figures.mostLate == 1_000_000_000)
    }

    @Test func `what the source holds back is late through no fault of the load, and counts from its moment`() throws {
        var open = try channel(shape(100), shut: 1_000_000_000..<1_500_000_000)
        open.run(until: 6000)
        let figures = try #require(open.engine.openFigures)
        #expect(figures.begun == 400 && figures.unstarted == 0)
        #expect((49...51).contains(figures.lateStarts), "\(figures.lateStarts)")
        #expect(figures.lag.max < 2000)
        #expect(p99(open.engine.source.latencies) > 450_000)
    }

    @Test func `moments that come while the source has nothing until its end are said to be unstarted`() throws {
        var open = try channel(shape(100), shut: 3_000_000_000..<4_000_000_000)
        open.run(until: 6000)
        let figures = try #require(open.engine.openFigures)
        #expect(open.engine.isDone(now: open.now))
        #expect(figures.begun == 300 && (99...100).contains(figures.unstarted), "\(figures.unstarted)")
    }

    @Test func `no more are in flight than may be, which is said`() throws {
        var open = try channel(shape(1000, maxInFlight: 20))
        open.run(until: 500, stall: 0..<500)
        #expect(open.engine.inFlight == 20)
        #expect(open.engine.openFigures?.isFull == true && open.engine.openFigures?.maxInFlight == 20)
        var calm = try channel(shape(1000, maxInFlight: 20))
        calm.run(until: 500)
        #expect(calm.engine.openFigures?.isFull == false)
    }

    @Test func `the next moment is known while one may begin then, and not while an answer has to show it`() throws {
        var open = try channel(shape(10, maxInFlight: 2))
        open.run(until: 1)
        #expect(open.engine.nextDue == 1_100_000_000)
        open.run(until: 250, stall: 0..<250)
        #expect(open.engine.nextDue == nil)
        let closed = try channel(.closed)
        #expect(closed.engine.nextDue == nil && closed.engine.openFigures == nil)
    }

    @Test func `latencies belong to the time that they were meant for, and throughput to that in which they ended`() {
        var measurements = Measurements(start: 0, warmup: 1_000_000_000, length: 2_000_000_000, isOpen: true)
        func record(meantFor: UInt64, endsAt: UInt64) {
            measurements.record(
                .committed, isCross: false, microseconds: (endsAt - meantFor) * 1000, now: endsAt * 1_000_000)
        }
        record(meantFor: 900, endsAt: 1100)
        record(meantFor: 1200, endsAt: 1300)
        record(meantFor: 1900, endsAt: 2900)
        record(meantFor: 2000, endsAt: 2001)
        #expect(measurements.committed == 2 && measurements.intra.totalCount == 2)
        #expect(measurements.intra.max >= 999_000)
        #expect(measurements.committedWithin == 2 && measurements.endedWithin == 2)
        #expect(measurements.elapsedSeconds == 1 && measurements.throughput == 2)
    }

    @Test func `a cool-down is left out of a closed loop by when requests end`() {
        var measurements = Measurements(start: 0, warmup: 0, length: 1_000_000_000)
        measurements.record(.committed, isCross: true, microseconds: 10, now: 999_999_999)
        measurements.record(.committed, isCross: true, microseconds: 10, now: 1_000_000_000)
        #expect(measurements.committed == 1 && measurements.commits == 2 && measurements.throughput == 1)
    }
}

struct PresigningTests {
    /// - Parameter signed: rows that are signed beforehand.
    private func run(signed: Int, shuffled: Bool = false) throws -> Channel<TransferSource> {
        let trace = SkewedWorkload(accounts: 20, transfers: 600, seed: 5).trace()
        let keys = AccountKeys(accounts: 20, seed: 5)
        let source = TransferSource(
            trace: trace, keys: keys, shardOf: keys.shards(in: ShardMap(shardCount: 2)),
            openingBalances: Funding.openingBalances(of: trace), bundle: 1, extent: .wholeTrace)
        var channel = try Channel(source, signers: keys.signers, shape: .closed, clients: 64)
        for place in 0..<signed {
            let work = try #require(source.foreseen(shuffled ? signed - 1 - place : place))
            channel.engine.presign(work, now: channel.now, lifetime: 115_000_000)
        }
        channel.run(until: 8000)
        return channel
    }

    @Test func `all that was signed beforehand is sent as it was, in the order of each payer`() throws {
        let channel = try run(signed: 600)
        #expect(channel.engine.source.measurements?.committed == 600)
        #expect(channel.engine.counters.presigned == 600 && channel.engine.counters.signedLate == 0)
        #expect(channel.moments.count == 600)
    }

    @Test func `what was not foreseen is signed when it comes, with numbers that go on`() throws {
        let channel = try run(signed: 300)
        #expect(channel.engine.source.measurements?.committed == 600)
        #expect(channel.engine.counters.presigned == 300)
        #expect((300...599).contains(channel.engine.counters.signedLate))
    }

    @Test func `what comes in another order than was foreseen is signed anew`() throws {
        let channel = try run(signed: 600, shuffled: true)
        #expect(channel.engine.source.measurements?.committed == 600)
        #expect(channel.engine.counters.signedLate > 100)
    }

    @Test func `bundles cannot be foreseen`() {
        let trace = SkewedWorkload(accounts: 20, transfers: 60, seed: 5).trace()
        let keys = AccountKeys(accounts: 20, members: 2, seed: 5)
        let source = TransferSource(
            trace: trace, keys: keys, shardOf: keys.shards(in: ShardMap(shardCount: 2)),
            openingBalances: Funding.openingBalances(of: trace), bundle: 8, extent: .wholeTrace)
        #expect(source.foreseen(0) == nil)
    }
}
