import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

@Suite struct ProposerTests {
    private static let (anna, ben) = (SessionID(1), SessionID(2))

    private static func options(_ change: (inout HostOptions) -> Void = { _ in }) -> HostOptions {
        var options = HostOptions()
        change(&options)
        return options
    }

    private static func request(_ number: UInt64) -> SignedRequest {
        TwoShards.request(number, .open(TwoShards.account(on: 0)))
    }

    private static func numbers(_ items: [BatchItem]) -> [UInt64] {
        items.compactMap { if case .request(let request) = $0 { request.request.number.number } else { nil } }
    }

    private static func decide(_ number: UInt64) -> TransactionDecide {
        TransactionDecide(
            principal: TwoShards.issuer.publicKey, number: RequestNumber(number), request: request(number).digest,
            certificates: [])
    }

    @Test func sourcesTakeTurnsAndNothingIsTakenTwice() throws {
        var proposer = Proposer(options: Self.options { $0.maxBatchItems = 4 }, view: View(0))
        var accepted: [Bool] = []
        func insert(_ number: UInt64, from session: SessionID) {
            accepted.append(proposer.insert(Self.request(number), from: .gateway(session), now: moment(0)))
        }
        for number in 1...4 as ClosedRange<UInt64> { insert(number, from: Self.anna) }
        // It is there already.
        insert(1, from: Self.ben)
        insert(9, from: Self.ben)
        #expect(accepted.allSatisfy { $0 })
        let executor = try TwoShards().executors[0]
        #expect(proposer.count == 5)
        let batches = [Self.numbers(proposer.take(executor)), Self.numbers(proposer.take(executor))]
        #expect(batches == [[1, 9, 2, 3], [4]])
        let isMore = proposer.hasUnproposed
        #expect(!isMore && proposer.count == 5, "they wait until they are executed")
        proposer.remove(Self.request(9).digest)
        #expect(proposer.count == 4)
    }

    /// Several threads check signatures, and connections differ in speed: what was overtaken goes first all the same.
    @Test func whatFollowsComesBehindWhatItFollowsIfBothWait() throws {
        var proposer = Proposer(options: Self.options { $0.maxBatchItems = 3 }, view: View(0))
        func insert(
            _ number: UInt64, after predecessor: UInt64?, on shard: UInt16 = 0, from session: SessionID = Self.anna
        ) {
            var request = Self.request(number).request
            request.follows =
                predecessor.map {
                    [Predecessor(shard: ShardID(shard), number: RequestNumber($0), deadline: request.deadline)]
                } ?? []
            let signed = SignedRequest(request, signedBy: TwoShards.issuer)
            let waits = proposer.insert(signed, from: .gateway(session), now: moment(0))
            #expect(waits)
        }
        insert(4, after: 3)
        insert(2, after: 1)
        insert(7, after: nil)
        // On another shard the order is another one.
        insert(8, after: 7, on: 1)
        insert(3, after: 2)
        insert(1, after: nil, from: Self.ben)
        // Of what is nowhere nobody knows when it comes.
        insert(6, after: 5, from: Self.ben)
        let executor = try TwoShards().executors[0]
        var taken: [UInt64] = []
        while proposer.hasUnproposed { taken += Self.numbers(proposer.take(executor)) }
        #expect(taken.sorted() == [1, 2, 3, 4, 6, 7, 8])
        let places = [1, 2, 3, 4].compactMap { taken.firstIndex(of: $0) }
        #expect(places.count == 4 && places == places.sorted(), "\(taken)")
        #expect(proposer.count == 7)
    }

    @Test func whatFollowsItselfOrWaitsInACircleIsProposedOnce() throws {
        var proposer = Proposer(options: Self.options(), view: View(0))
        for (number, predecessor) in [(1, 1), (2, 3), (3, 2)] as [(UInt64, UInt64)] {
            var request = Self.request(number).request
            request.follows = [
                Predecessor(shard: ShardID(0), number: RequestNumber(predecessor), deadline: request.deadline)
            ]
            _ = proposer.insert(
                SignedRequest(request, signedBy: TwoShards.issuer), from: .gateway(Self.anna), now: moment(0))
        }
        let items = try proposer.take(TwoShards().executors[0])
        #expect(Self.numbers(items).sorted() == [1, 2, 3], "they are malformed, which execution says")
    }

    @Test func whatAnOldPrimaryProposedIsProposedAgainInTheNextView() throws {
        var proposer = Proposer(options: Self.options(), view: View(0))
        _ = proposer.insert(Self.request(1), from: .gateway(Self.anna), now: moment(0))
        let executor = try TwoShards().executors[0]
        _ = proposer.take(executor)
        proposer.enter(View(0))
        let isInSameView = proposer.hasUnproposed
        #expect(!isInSameView)
        proposer.enter(View(1))
        let items = proposer.take(executor)
        #expect(Self.numbers(items) == [1])
    }

    /// Decides come first, and yet leave requests a share of the batch's bytes.
    @Test func decidesComeFirstAndRequestsKeepAShare() throws {
        let size = Self.decide(1).maxSize
        let options = Self.options { ($0.maxBatchBytes, $0.maxDecidesPerBatch) = (max(4 * size, 4096), 100) }
        var proposer = Proposer(options: options, view: View(0))
        _ = proposer.insert(Self.request(500), from: .gateway(Self.anna), now: moment(0))
        for number in 1...100 as ClosedRange<UInt64> {
            _ = proposer.insert(Self.decide(number), from: .gateway(Self.anna), now: moment(0))
        }
        let items = try proposer.take(TwoShards().executors[0])
        let decides = items.prefix { if case .decide = $0 { true } else { false } }
        #expect(decides.count == options.maxBatchBytes / size)
        #expect(Self.numbers(items) == [500], "behind as many decides as there was room for")
    }

    /// A batch for them alone costs as much as one that somebody waits for.
    @Test func decidesWaitALittleForARequestToRideWith() throws {
        let options = Self.options { $0.decidesAlone = 10_000_000 }
        var proposer = Proposer(options: options, view: View(0))
        let executor = try TwoShards().executors[0]
        func due(at milliseconds: [UInt64]) -> [Bool] { milliseconds.map { proposer.isDue(now: moment($0)) } }
        #expect(due(at: [0, 50]) == [false, false])
        _ = proposer.insert(Self.decide(1), from: .gateway(Self.anna), now: moment(100))
        _ = proposer.insert(Self.decide(2), from: .gateway(Self.anna), now: moment(105))
        #expect(due(at: [105, 109, 110]) == [false, false, true], "the first one's wait counts")
        _ = proposer.insert(Self.request(500), from: .gateway(Self.anna), now: moment(106))
        #expect(due(at: [106]) == [true], "a request does not wait")
        #expect(proposer.take(executor).count == 3)
        // Nothing is left: what comes next waits anew.
        #expect(due(at: [200]) == [false])
        _ = proposer.insert(Self.decide(3), from: .gateway(Self.anna), now: moment(200))
        #expect(due(at: [201, 210]) == [false, true])
        // What an old primary proposed has waited long enough.
        _ = proposer.take(executor)
        proposer.enter(View(1))
        #expect(due(at: [201]) == [true])
    }

    @Test func otherWordsOnARequestAreFoundAsLongAsTheyAreNotOnTheirWay() throws {
        let certificate = Certificate(
            statement: AttestationStatement(
                cluster: TwoShards.manifest.cluster, epoch: Epoch(1), shard: ShardID(1), sequence: SequenceNumber(1),
                previousHistory: .null, batch: .null, leavesRoot: .null),
            leaf: Leaf(request: Self.request(1).digest, entries: []),
            path: MerklePath(index: 0, count: 1, siblings: []), signatures: [])
        let (one, other) = (
            Self.decide(1),
            TransactionDecide(
                principal: TwoShards.issuer.publicKey, number: RequestNumber(1), request: Self.request(1).digest,
                certificates: [certificate])
        )
        var proposer = Proposer(options: Self.options { $0.maxDecidesPerBatch = 1 }, view: View(0))
        for decide in [one, other] { _ = proposer.insert(decide, from: .gateway(Self.anna), now: moment(0)) }
        func waiting() -> [TransactionDecide] { proposer.unproposedDecides(of: Self.request(1).digest) }
        #expect(waiting() == [one, other])
        _ = try proposer.take(TwoShards().executors[0])
        #expect(waiting() == [other])
        proposer.remove(one.digest)
        proposer.remove(other.digest)
        #expect(waiting().isEmpty && proposer.count == 0)
    }

    private static func decide(_ number: UInt64, of shard: UInt16, at sequence: UInt64, _ status: LegStatus)
        -> TransactionDecide
    {
        let leaf = Leaf(request: request(1).digest, entries: [.init(leg: 0, status: status)])
        let statement = AttestationStatement(
            cluster: TwoShards.manifest.cluster, epoch: Epoch(1), shard: ShardID(shard),
            sequence: SequenceNumber(sequence), previousHistory: .null, batch: .null, leavesRoot: leaf.hash)
        return TransactionDecide(
            principal: TwoShards.issuer.publicKey, number: RequestNumber(number), request: request(1).digest,
            certificates: [
                Certificate(
                    statement: statement, leaf: leaf, path: MerklePath(index: 0, count: 1, siblings: []), signatures: []
                )
            ])
    }

    /// Certificates of one vote come from several batches, and from a gateway and pushes.
    @Test func whatIsUnderWayIsNotOrderedInOtherWords() throws {
        var proposer = Proposer(options: Self.options(), view: View(0))
        func insert(_ decide: TransactionDecide) -> Int {
            let reason = proposer.insert(decide, from: .peer(HostID(1)), now: moment(0))
            #expect(reason == nil)
            return proposer.count
        }
        let vote = Self.decide(1, of: 1, at: 1, .votedYes)
        #expect(insert(vote) == 1)
        #expect(insert(Self.decide(1, of: 1, at: 2, .votedYes)) == 1, "the same of another batch")
        #expect(try proposer.take(TwoShards().executors[0]) == [.decide(vote)])
        #expect(insert(Self.decide(1, of: 1, at: 2, .votedYes)) == 1, "nor while it is on its way")
        // What says more, of another shard, or under another number, which finds no record, is not the same.
        #expect(insert(Self.decide(1, of: 1, at: 3, .committed)) == 2)
        #expect(insert(Self.decide(1, of: 2, at: 1, .votedYes)) == 3)
        #expect(insert(Self.decide(2, of: 1, at: 2, .votedYes)) == 4)
        // It was executed, and was not enough.
        proposer.remove(vote.digest)
        #expect(insert(Self.decide(1, of: 1, at: 4, .votedNo(.malformed))) == 4, "it contradicts, and has room")
    }

    @Test func aDecideCoversWhatSaysNoMore() {
        let vote = Self.decide(1, of: 1, at: 1, .votedYes)
        let done = Self.decide(1, of: 1, at: 3, .committed)
        let both = TransactionDecide(
            principal: vote.principal, number: vote.number, request: vote.request,
            certificates: vote.certificates + Self.decide(1, of: 2, at: 3, .aborted(.malformed)).certificates)
        #expect(done.covers(vote) && !vote.covers(done))
        #expect(both.covers(vote) && !vote.covers(both) && !done.covers(both))
        // A yes vote does not stand for what was never voted yes on.
        #expect(!Self.decide(1, of: 1, at: 1, .noRecordAbort).covers(vote))
        #expect(!Self.decide(1, of: 1, at: 1, .acknowledged).covers(vote))
        #expect(!Self.decide(1, of: 1, at: 1, .aborted(.malformed)).covers(done))
        // Not all are compared with all: of many certificates only the very same is covered.
        let many = TransactionDecide(
            principal: vote.principal, number: vote.number, request: vote.request,
            certificates: (1...5).flatMap { Self.decide(1, of: 1, at: $0, .votedYes).certificates })
        #expect(!many.covers(vote) && many.covers(many))
    }

    @Test func beforeThereIsARecordADecideStandsForNoOther() {
        var proposer = Proposer(options: Self.options(), view: View(0))
        let decides = [UInt64(1), 2].map { Self.decide(1, of: 1, at: $0, .votedYes) }
        for decide in decides {
            #expect(proposer.insert(decide, from: .peer(HostID(1)), isEarly: true, now: moment(0)) == nil)
        }
        #expect(proposer.count == 2)
        #expect(proposer.insert(decides[1], from: .peer(HostID(2)), now: moment(0)) == nil && proposer.count == 2)
    }

    @Test func whatDecidesForAsLongAsABatchHasNoRoomDoesNotWaitAgain() throws {
        let options = Self.options { $0.maxDecidesPerBatch = 2 }
        var proposer = Proposer(options: options, view: View(0))
        for number in 1...3 as ClosedRange<UInt64> {
            _ = proposer.insert(Self.decide(number), from: .gateway(Self.anna), now: moment(0))
        }
        #expect(try proposer.take(TwoShards().executors[0]).count == 2)
        let isDue = proposer.isDue(now: moment(0))
        #expect(isDue)
    }

    @Test func oneSourceDoesNotTakeAllTheRoom() {
        var proposer = Proposer(options: Self.options { $0.maxPendingRequests = 8 }, view: View(0))
        let taken = (1...10 as ClosedRange<UInt64>).filter {
            proposer.insert(Self.request($0), from: .gateway(Self.anna), now: moment(0))
        }
        #expect(taken == [1, 2, 3, 4])
        func insert(_ number: UInt64, from source: Source) -> Bool {
            proposer.insert(Self.request(number), from: source, now: moment(0))
        }
        let ofBen = [11, 12, 13].map { insert($0, from: .gateway(Self.ben)) }
        #expect(ofBen == [true, true, false], "a quarter is for peers")
        let ofPeer = insert(13, from: .peer(HostID(1)))
        #expect(ofPeer)
    }

    @Test func whatWaitsForLongIsForwardedOnceInSoLong() {
        let options = Self.options { $0.forwardAfter = 100_000_000 }
        var proposer = Proposer(options: options, view: View(0))
        _ = proposer.insert(Self.request(1), from: .gateway(Self.anna), now: moment(0))
        func forwarded(at milliseconds: UInt64) -> [Int] {
            proposer.takeForForwarding(now: moment(milliseconds)).map(\.times)
        }
        let before = [99, 100, 150, 200].map { forwarded(at: $0) }
        #expect(before == [[], [1], [], [2]])
        // Another replica's state has come: the batches after it may hold what waits here.
        proposer.goOn(now: moment(210))
        let after = [305, 310].map { forwarded(at: $0) }
        #expect(after == [[], [3]])
    }

    @Test func anIdlePrimaryProposesAFewEmptyBatchesAndThenSlowly() {
        let options = Self.options { ($0.maxEmptyBatches, $0.emptyBatchInterval) = (3, 1_000_000_000) }
        var proposer = Proposer(options: options, view: View(0))
        func taken(_ times: [UInt64]) -> [Bool] { times.map { proposer.takeEmpty(now: moment($0)) } }
        let first = taken([0, 1, 2, 3, 4, 1002, 1003])
        #expect(first == [true, true, true, false, false, true, false])
        proposer.noteOrdered(items: 2)
        let second = taken([1004])
        #expect(second == [true], "what is ordered moves the shard as well")
        _ = proposer.insert(Self.request(1), from: .gateway(Self.anna), now: moment(1005))
        let third = taken([9000])
        #expect(third == [false], "there is something to propose")
    }

    @Test func certificatesThatCameEarlyComeBackWithTheirRequest() {
        var proposer = Proposer(options: Self.options(), view: View(0))
        proposer.keepEarly(Self.decide(1), from: .peer(HostID(2)))
        func source(of number: UInt64) -> Source? { proposer.takeEarly(Self.request(number).digest)?.source }
        #expect(proposer.count == 0)
        let sources = [2, 1, 1].map { source(of: $0) }
        #expect(sources == [nil, .peer(HostID(2)), nil])
        proposer.keepEarly(Self.decide(1), from: .peer(HostID(2)))
        proposer.goOn(now: moment(0))
        let gone = source(of: 1)
        #expect(gone == nil, "the state that came may hold it")
    }
}
