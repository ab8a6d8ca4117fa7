import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

@Suite struct PushesTests {
    private static func push(_ request: SignedRequest, _ executed: ExecutedBatch, by host: UInt64, asks: Bool = true)
        throws -> RecoveryPush
    {
        RecoveryPush(request: request, attested: try #require(executed.attested(request, by: host)), asks: asks)
    }

    private static func verified(_ push: RecoveryPush) throws -> Verified<RecoveryPush> {
        var verifier = Verifier(manifest: TwoShards.manifest, scheme: StandInScheme())
        let message = try verifier.verify(HostMessage.push(ShardID(1), push))
        return try #require(message.push)
    }

    /// When the pushes of an open record leave, in milliseconds.
    @Test func anOpenRecordIsPushedEverMoreRarely() throws {
        var shards = try TwoShards()
        let setting = TwoShards.setting(host: 1)
        var answering = Answering(options: TwoShards.options)
        var pushes = Pushes(setting)
        let request = TwoShards.across(4)
        let executed = try shards.execute(request, on: 0)
        answering.note(executed.statement, executed.leaves)
        var times: [UInt64] = []
        var ready = ShardReady()
        for time in stride(from: 0 as UInt64, to: 20_000, by: 50) {
            ready.removeAll()
            let again = try pushes.push(shards.executors[0], &answering, now: moment(time), into: &ready)
            #expect(again.isEmpty, "it is attested")
            guard case .push(let shard, let push)? = ready.toHosts.first?.message else { continue }
            #expect(shard == ShardID(1) && push.asks && push.request == request)
            #expect(ready.toHosts.first?.to == [HostID(0), HostID(2), HostID(3)], "not to its own host")
            times.append(time)
        }
        let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
        #expect(times.count >= 4 && zip(gaps.dropFirst(), gaps).allSatisfy { $0 >= $1 })
        #expect(gaps.last.map { $0 >= 2 * (gaps.first ?? 0) } ?? false)
        #expect(pushes.oldestUndecided(now: moment(20_000)) >= 19_000_000_000)
        let undecided = pushes.undecided(limit: 16, now: moment(20_000))
        #expect(undecided.map(\.request) == [request.digest] && undecided.map(\.shard) == [ShardID(0)])
        #expect(undecided.first?.waitsFor == [ShardID(1)] && undecided[0].age >= 19_000_000)
        pushes.note(Self.word(4, .committed), now: moment(20_000))
        #expect(pushes.undecided(limit: 16, now: moment(20_000)).isEmpty, "it is decided")
    }

    @Test func theOldestUndecidedAreNamedFirstAndNoMoreThanAskedFor() {
        var pushes = Pushes(TwoShards.setting(host: 1))
        for number in 1...40 as ClosedRange<UInt64> {
            pushes.note(Self.word(number, .votedYes), now: moment(100 * number))
        }
        let found = pushes.undecided(limit: UndecidedRecord.maxOfShard, now: moment(5000))
        #expect(found.map(\.age) == (1...16).map { 5_000_000 - 100_000 * $0 })
        #expect(found.first?.request == TwoShards.across(1).digest && found.allSatisfy { $0.waitsFor.isEmpty })
    }

    private static func word(_ number: UInt64, _ status: LegStatus) -> Leaf {
        Leaf(request: TwoShards.across(number).digest, entries: [.init(leg: 0, status: status)])
    }

    /// So many decisions, each so many milliseconds after its vote.
    private static func decide(_ count: UInt64, after milliseconds: UInt64, _ pushes: inout Pushes) {
        for number in 1...count {
            pushes.note(word(100 + number, .votedYes), now: moment(0))
            pushes.note(word(100 + number, .committed), learns: true, now: moment(milliseconds))
        }
    }

    /// What is under way is not pushed, and whatever was seen, what is not is pushed in time.
    @Test func patienceFollowsHowLongDecisionsTake() {
        var pushes = Pushes(TwoShards.setting(host: 1))
        let options = TwoShards.options
        #expect(pushes.patience == options.pushAfter)
        Self.decide(40, after: 20, &pushes)
        #expect(pushes.patience == options.pushAfter, "never less")
        Self.decide(60, after: 1200, &pushes)
        #expect((2_300_000_000..<2_500_000_000).contains(pushes.patience), "\(pushes.patience)")
        Self.decide(60, after: 3_600_000, &pushes)
        #expect(pushes.patience == options.pushAfterAtMost)
        #expect(2 * pushes.patience <= options.maxPushInterval, "so the bound of HoldBound stands")
        Self.decide(80, after: 20, &pushes)
        #expect(pushes.patience == options.pushAfter)
        // Nothing is learned of what was decided when it was first seen, nor of what no gateway has decided.
        for number in 1...40 as ClosedRange<UInt64> {
            pushes.note(Self.word(500 + number, .committed), learns: true, now: moment(90_000))
            pushes.note(Self.word(600 + number, .votedYes), now: moment(0))
            pushes.note(Self.word(600 + number, .committed), now: moment(90_000))
        }
        #expect(pushes.patience == options.pushAfter)
    }

    /// Where decisions take 1.2 s, one that is not decided is pushed after 2.4 s, and one that is has as long again for
    /// the others to be done.
    @Test(arguments: [false, true]) func theFirstPushWaitsForWhatIsUnderWay(isDecided: Bool) throws {
        var shards = try TwoShards()
        var answering = Answering(options: TwoShards.options)
        var pushes = Pushes(TwoShards.setting(host: 1))
        Self.decide(60, after: 1200, &pushes)
        let request = TwoShards.across(4)
        let executed = try shards.execute(request, on: 0)
        answering.note(executed.statement, executed.leaves)
        for leaf in executed.leaves { pushes.note(leaf, now: moment(10_000)) }
        var first: UInt64?
        var ready = ShardReady()
        for time in stride(from: 10_000 as UInt64, to: 20_000, by: 50) where first == nil {
            if isDecided, time == 11_200 { pushes.note(Self.word(4, .committed), now: moment(time)) }
            _ = try pushes.push(shards.executors[0], &answering, now: moment(time), into: &ready)
            if !ready.toHosts.isEmpty { first = time - 10_000 }
        }
        let expected: Range<UInt64> = isDecided ? 3500..<3900 : 2300..<2700
        #expect(expected.contains(try #require(first)), "\(first ?? 0)")
    }

    /// After a restart nothing that was executed before is at hand: it has to be ordered again.
    @Test func whatCannotBeAttestedIsToBeOrderedAgain() throws {
        var shards = try TwoShards()
        var answering = Answering(options: TwoShards.options)
        var pushes = Pushes(TwoShards.setting(host: 1))
        let request = TwoShards.across(4)
        _ = try shards.execute(request, on: 0)
        var again: [SignedRequest] = []
        var ready = ShardReady()
        for time in stride(from: 0 as UInt64, to: 3000, by: 100) {
            again += try pushes.push(shards.executors[0], &answering, now: moment(time), into: &ready)
        }
        #expect(again.contains(request) && ready.toHosts.isEmpty)
    }

    @Test func aPushIsItsSendersOwnWordOfAShardThatTakesPart() throws {
        var shards = try TwoShards()
        let request = TwoShards.across(4)
        let push = try Self.push(request, shards.execute(request, on: 0), by: 2)
        let manifest = TwoShards.manifest
        #expect(Pushes.isProper(push, from: HostID(2), to: ShardID(1), manifest))
        #expect(!Pushes.isProper(push, from: HostID(3), to: ShardID(1), manifest), "somebody else's word")
        #expect(!Pushes.isProper(push, from: HostID(2), to: ShardID(0), manifest), "of the shard itself")
        let own = TwoShards.request(5, .open(TwoShards.account(on: 0)))
        let other = try Self.push(own, shards.execute(own, on: 0), by: 2)
        #expect(!Pushes.isProper(other, from: HostID(2), to: ShardID(1), manifest), "it takes no part")
    }

    /// f + 1 equal words of the other shard certify its vote, and the own host's counts among them.
    @Test func fPlusOneWordsMakeACertificate() throws {
        var shards = try TwoShards()
        let request = TwoShards.across(4)
        let executed = try shards.execute(request, on: 0)
        var pushes = Pushes(TwoShards.setting(host: 1, shard: 1))
        pushes.receive(own: try Self.verified(Self.push(request, executed, by: 1)))
        let decide = try pushes.decide(by: Self.verified(Self.push(request, executed, by: 3)))
        #expect(decide?.request == request.digest && decide?.certificates.count == 1)
        var alone = Pushes(TwoShards.setting(host: 1, shard: 1))
        for _ in 0..<3 {
            let decide = try alone.decide(by: Self.verified(Self.push(request, executed, by: 3)))
            #expect(decide == nil, "one replica's word, however often")
        }
    }

    /// To certify again costs a batch: f + 1 have to ask, and only where nothing is at hand.
    @Test func oneThatAsksDoesNotMakeTheShardOrder() throws {
        var shards = try TwoShards()
        let request = TwoShards.across(4)
        let executed = try shards.execute(request, on: 0)
        var pushes = Pushes(TwoShards.setting(host: 1, shard: 1))
        var answering = Answering(options: TwoShards.options)
        var ready = ShardReady()
        func ask(_ host: UInt64, at time: UInt64) throws -> Bool {
            try pushes.answer(
                Self.push(request, executed, by: host), from: HostID(UInt16(host)), mayAttest: true, &answering,
                now: moment(time), into: &ready)
        }
        let ofOne = try [ask(2, at: 0), ask(2, at: 10)]
        #expect(ofOne == [false, false])
        #expect(!pushes.isNeeded(request, answering, time: moment(0).wall, now: moment(10)))
        let ofTwo = try ask(3, at: 20)
        #expect(ofTwo)
        #expect(pushes.isNeeded(request, answering, time: moment(0).wall, now: moment(20)))
        pushes.noteOrdered(request.digest, now: moment(20))
        let whileUnderWay = try ask(3, at: 30)
        #expect(!whileUnderWay)
        #expect(ready.toHosts.isEmpty)
        // What comes of it goes to both.
        let recorded = try shards.execute(request, on: 1)
        answering.note(recorded.statement, recorded.leaves)
        pushes.pushBack(recorded.leaves, &answering, into: &ready)
        #expect(ready.toHosts.map(\.to) == [[HostID(2), HostID(3)]])
        guard case .push(ShardID(0), let answer)? = ready.toHosts.first?.message else {
            Issue.record("no push")
            return
        }
        #expect(!answer.asks)
        // And now it is at hand: whoever asks hears it, and nothing is ordered.
        ready.removeAll()
        let atHand = try ask(0, at: 5000)
        #expect(!atHand)
        #expect(ready.toHosts.map(\.to) == [[HostID(0)]])
    }
}
