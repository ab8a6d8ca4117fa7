import ExampleProcedures
import Messages
import Testing
import Workload

/// Calls and settlements through the engine, answered by the fake ledger.
struct MixSourceTests {
    private typealias Engine<Mix: TransactionMix> = RequestEngine<MixSource<Mix>>

    private struct Scene<Mix: TransactionMix> {
        var ledger: FakeLedger
        var engine: Engine<Mix>
        var now = Instant(uptime: 1_000_000_000, wall: Timestamp(1_700_000_000_000_000))

        init(_ mix: Mix, signers: [Ed25519Signer], ledger: FakeLedger) {
            self.ledger = ledger
            engine = RequestEngine(
                source: MixSource(mix, signers: signers.count, duration: 1_000_000_000, seed: 1), signers: signers,
                manifest: ledger.manifest, configuration: .init(clients: 1, channels: 1))
        }

        mutating func pass(milliseconds: UInt64) -> [Engine<Mix>.Outgoing] {
            now.uptime += milliseconds * 1_000_000
            now.wall = now.wall.adding(microseconds: milliseconds * 1000)
            engine.tick(now: now)
            return engine.takeOutbox()
        }

        mutating func answer(_ item: Engine<Mix>.Outgoing, _ status: LegStatus?) -> [Engine<Mix>.Outgoing] {
            engine.receive(id: item.id, ledger.answer(item.request, status: status), now: now)
            return engine.takeOutbox()
        }
    }

    private func scene() throws -> Scene<SmallBankMix> {
        let ledger = try FakeLedger(shards: 2)
        let mix = SmallBankMix(
            customers: 10, skew: .uniform, weights: [0, 1, 0, 0, 0, 0], map: ledger.manifest.shardMap)
        return Scene(mix, signers: AccountKeys(accounts: 1, seed: 1).signers, ledger: ledger)
    }

    private func failure(_ reason: CallFailure.Reason) -> LegStatus {
        .failed(CallFailure(reason, shard: ShardID(0), procedure: DepositChecking.name))
    }

    private func continued(_ request: SignedRequest) -> RequestNumber? { request.request.continuedCall }

    @Test func `a call that died is tried again after a pause, as old as it was, and counts once`() throws {
        var scene = try scene()
        let first = try #require(scene.pass(milliseconds: 1).first)
        #expect(first.request.request.mode == .atomic && continued(first.request) == nil)
        // Its client waits: nothing else begins.
        #expect(scene.answer(first, failure(.died)).isEmpty)
        let second = try #require(scene.pass(milliseconds: 40).first)
        #expect(continued(second.request) == first.request.request.number)
        #expect(second.request.request.acknowledgedBelow <= first.request.request.number)
        #expect(second.request.request.rootCall == first.request.request.rootCall)
        #expect(scene.engine.counters.deaths == 1)
        let change = SmallBank.Change(checking: 130).encoded()
        let next = try #require(scene.answer(second, .returned(change, consumed: [])).first)
        #expect(continued(next.request) == nil)
        // Both numbers are done with.
        #expect(next.request.request.acknowledgedBelow == next.request.request.number)
        let kinds = scene.engine.source.kinds
        #expect(kinds.map(\.committed).reduce(0, +) == 1 && kinds.map(\.failed).reduce(0, +) == 0)
        #expect(scene.engine.source.measurements?.committed == 1)
        // From the first attempt on.
        #expect(kinds[1].latency.max_us >= 40_000)
    }

    @Test func `what a procedure refuses is counted apart and not tried again`() throws {
        var scene = try scene()
        let first = try #require(scene.pass(milliseconds: 1).first)
        let next = try #require(scene.answer(first, failure(.procedure)).first)
        #expect(continued(next.request) == nil)
        #expect(scene.engine.source.kinds[1].refused == 1 && scene.engine.source.kinds[1].failed == 0)
        _ = scene.answer(next, failure(.badArguments))
        #expect(scene.engine.source.kinds[1].refused == 1 && scene.engine.source.kinds[1].failed == 1)
        #expect(scene.engine.source.measurements?.aborted == 2)
        #expect(scene.engine.source.firstFailure?.contains(DepositChecking.name) == true)
    }

    @Test func `a call that dies for as long as it may live has failed`() throws {
        var scene = try scene()
        var item = try #require(scene.pass(milliseconds: 1).first)
        var attempts = 1
        while attempts < 200 {
            _ = scene.answer(item, failure(.died))
            if scene.engine.source.measurements?.aborted == 1 { break }
            item = try #require(scene.pass(milliseconds: 510).first)
            attempts += 1
        }
        #expect(scene.engine.source.measurements?.aborted == 1 && attempts > 10)
    }

    @Test func `legs of a settlement are one atomic transaction`() throws {
        let ledger = try FakeLedger(shards: 2)
        let keys = AccountKeys(accounts: 20, members: 2, seed: 1)
        let mix = SettlementMix(keys: keys, legs: 3, map: ledger.manifest.shardMap)
        var scene = Scene(mix, signers: keys.signers, ledger: ledger)
        let first = try #require(scene.pass(milliseconds: 1).first)
        #expect(first.request.request.mode == .atomic && first.request.request.operations.count == 3)
        #expect(first.request.request.legCount == 1)
        let next = try #require(scene.answer(first, .committed).first)
        #expect(next.request.request.follows.isEmpty)
        #expect(scene.engine.source.measurements?.committed == 1)
    }

    @Test(arguments: [false, true]) func `kinds are counted over the time over which all is counted`(
        _ isOpen: Bool
    ) throws {
        let map = ShardMap(shardCount: 2)
        var source = MixSource(
            SmallBankMix(customers: 10, skew: .uniform, weights: [0, 1, 0, 0, 0, 0], map: map), signers: 1,
            duration: 1_000_000_000, warmup: 200_000_000, cooldown: 300_000_000, isOpen: isOpen, seed: 1)
        func moment(_ milliseconds: UInt64) -> Instant {
            Instant(
                uptime: 1_000_000_000 + milliseconds * 1_000_000,
                wall: Timestamp(1_700_000_000_000_000).adding(microseconds: milliseconds * 1000))
        }
        // In the warm-up, begun in it and ended after it, within, over its end, and in the cool-down.
        for (begin, end) in [(0, 100), (100, 250), (300, 400), (600, 750), (800, 900)] as [(UInt64, UInt64)] {
            let next = source.next(now: moment(begin))
            let work = try #require(next)
            source.completed(
                work, leg: 0, outcome: .committed, microseconds: (end - begin) * 1000, now: moment(end))
        }
        #expect(source.measurements?.committed == 2)
        #expect(source.kinds[1].committed == 2)
        // A closed loop counts what ends in the time, an open one what was meant for it.
        #expect(source.kinds[1].latency.max_us > 140_000)
    }
}
