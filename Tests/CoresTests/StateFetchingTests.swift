import Cores
import Messages
import PBFT
import ShardState
import Testing

/// One replica of four that lacks a state: what it asks for, and what it makes of the answers.
private struct Fetcher {
    var fetching: StateFetching
    /// What was handed over is there at once.
    var confirms = true
    /// What was handed over, in order, and what of it was not confirmed.
    var staged: [BucketSummary] = []
    var unconfirmed: [BucketSummary] = []
    var now: UInt64 = 0
    var executed = SequenceNumber(0)
    var own = SomeState.emptyBuckets
    /// What it asked of whom and did not get yet.
    var questions: [(peer: Int, buckets: [Int])] = []
    var rounds = 0
    var drops: [MessageDrop] = []
    var installs: FetchedState?
    var installed: InstalledState?

    init(_ change: (inout HostOptions) -> Void = { _ in }) {
        var options = HostOptions()
        change(&options)
        fetching = StateFetching(group: SomeState.group, options: options)
    }

    mutating func confirm() {
        let due = unconfirmed
        unconfirmed = []
        for summary in due { step(.staged(bucket: summary.bucket, summary.digest)) }
    }

    mutating func step(_ input: StateFetching.Input) {
        var ready = StateFetching.Ready()
        fetching.step(input, now: moment(now), into: &ready)
        for (to, message) in ready.sends {
            switch (to, message) {
            case (.others, .fetchCheckpoint): rounds += 1
            case (.one(let peer), .fetchBuckets(_, let buckets)):
                questions.append((peer.index, buckets.map { Int($0) }))
            default: Issue.record("\(message)")
            }
        }
        drops += ready.drops
        staged += ready.stages.map(\.summary)
        unconfirmed += ready.stages.map(\.summary)
        if confirms { confirm() }
        if ready.wantsOwnBuckets { step(.ownBuckets(own, executed: executed)) }
        if let state = ready.installs { installs = state }
        if let state = ready.installed { installed = state }
    }

    mutating func offer(_ state: SomeState, from peer: UInt8) {
        step(
            .offer(
                from: ReplicaIndex(peer), sequence: state.checkpoint.sequence, metadata: state.metadata,
                buckets: state.buckets))
    }

    /// - Parameter claims: by replica.
    mutating func tick(after milliseconds: UInt64, claims: [[Checkpoint]] = [[], [], [], []]) {
        now += milliseconds
        step(.tick(executed: executed, claims: claims))
    }

    /// Peers answer what they were asked.
    mutating func answer(_ state: SomeState, butNot silent: Set<Int> = []) throws {
        while let place = questions.firstIndex(where: { !silent.contains($0.peer) }) {
            let (peer, buckets) = questions.remove(at: place)
            for bucket in buckets { try give(bucket, of: state, from: peer) }
        }
    }

    mutating func give(_ bucket: Int, of state: SomeState, from peer: Int) throws {
        let part = BucketPart(
            sequence: state.checkpoint.sequence, bucket: bucket, number: 0, isLast: true,
            entries: try state.entries(of: bucket))
        step(.bucket(from: ReplicaIndex(UInt8(peer)), part))
    }
}

@Suite struct StateFetchingTests {
    @Test func whatAWeakQuorumOffersIsFetchedFromAllWhoOfferItAndInstalled() throws {
        let state = try SomeState(batches: 8)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(5)))
        #expect(fetcher.rounds == 1)
        fetcher.offer(state, from: 1)
        #expect(fetcher.questions.isEmpty, "one peer may lie")
        fetcher.offer(state, from: 2)
        #expect(Set(fetcher.questions.map(\.peer)) == [1, 2])
        #expect(fetcher.questions.allSatisfy { $0.buckets.count == 1 }, "how large they are is not known yet")
        try fetcher.answer(state)
        let installs = try #require(fetcher.installs)
        #expect(installs.checkpoint == state.checkpoint && installs.buckets.map(\.bucket) == state.filled)
        #expect(fetcher.staged.sorted { $0.bucket < $1.bucket } == installs.buckets)
        #expect(installs.buckets.allSatisfy { $0.digest == state.buckets[$0.bucket] })
        fetcher.step(.installing)
        #expect(fetcher.fetching.installing == state.checkpoint)
        fetcher.step(.flushed(state.checkpoint.sequence))
        #expect(fetcher.installed?.checkpoint == state.checkpoint && fetcher.installed?.isStable == true)
        #expect(fetcher.fetching.isIdle && fetcher.drops.isEmpty)
    }

    @Test func anOfferThatIsTooOldOrDoesNotHashToItsDigestsIsRefused() throws {
        let state = try SomeState(batches: 4)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(5)))
        fetcher.offer(state, from: 1)
        let buckets = Array(state.buckets.dropLast())
        fetcher.step(
            .offer(from: ReplicaIndex(2), sequence: SequenceNumber(4), metadata: state.metadata, buckets: buckets))
        #expect(fetcher.drops.count == 2 && fetcher.fetching.offered.isEmpty)
    }

    @Test func aWrongBucketIsRefusedAndFetchedFromSomebodyElse() throws {
        let state = try SomeState(batches: 1)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        let asked = try #require(fetcher.questions.first)
        let forged = BucketPart(
            sequence: state.checkpoint.sequence, bucket: asked.buckets[0], number: 0, isLast: true,
            entries: [.init(key: [1], value: [2])])
        fetcher.step(.bucket(from: ReplicaIndex(UInt8(asked.peer)), forged))
        #expect(fetcher.drops == [.wrongState] && fetcher.staged.isEmpty)
        let robbed = BucketPart(
            sequence: state.checkpoint.sequence, bucket: asked.buckets[0], number: 0, isLast: true, entries: [])
        fetcher.step(.bucket(from: ReplicaIndex(UInt8(asked.peer)), robbed))
        #expect(fetcher.drops == [.wrongState, .stateNotWanted] && fetcher.staged.isEmpty, "hashed in vain once")
        try fetcher.answer(state, butNot: [asked.peer])
        #expect(fetcher.installs?.checkpoint == state.checkpoint)
    }

    @Test func whoNoLongerHasTheStateIsAskedForNothingMore() throws {
        let state = try SomeState(batches: 6)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        fetcher.step(.gone(from: ReplicaIndex(1), state.checkpoint.sequence))
        try fetcher.answer(state, butNot: [1])
        #expect(fetcher.installs?.checkpoint == state.checkpoint)
        #expect(fetcher.questions.filter { $0.peer == 1 }.count == 1, "the first question only")
    }

    @Test func whatPeersClaimVouchesForAnOfferWhenTheyHoldDifferentStates() throws {
        let (early, late) = (try SomeState(batches: 2), try SomeState(batches: 3))
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        fetcher.offer(early, from: 1)
        fetcher.offer(late, from: 2)
        #expect(fetcher.fetching.offered == [early.checkpoint, late.checkpoint])
        fetcher.tick(after: 600, claims: [[], [], [early.checkpoint], []])
        try fetcher.answer(early)
        #expect(fetcher.installs?.checkpoint == early.checkpoint)
    }

    @Test func whatTooFewVouchForIsAskedForAgain() throws {
        let (early, late) = (try SomeState(batches: 2), try SomeState(batches: 3))
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        fetcher.offer(early, from: 1)
        fetcher.offer(late, from: 2)
        fetcher.tick(after: 600)
        #expect(fetcher.rounds == 2 && fetcher.questions.isEmpty && fetcher.fetching.offered.isEmpty)
    }

    @Test func whatCameStaysForTheNextCheckpoint() throws {
        let (early, late) = (try SomeState(batches: 40), try SomeState(batches: 41))
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(early, from: peer) }
        try fetcher.answer(early, butNot: [2])
        for peer in 1...2 as ClosedRange<UInt8> {
            fetcher.step(.gone(from: ReplicaIndex(peer), early.checkpoint.sequence))
        }
        #expect(fetcher.rounds == 2)
        let fetched = early.filled.filter { bucket in !fetcher.questions.contains { $0.buckets.contains(bucket) } }
        fetcher.questions = []
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(late, from: peer) }
        let asked = Set(fetcher.questions.flatMap(\.buckets))
        #expect(fetched.contains { early.buckets[$0] == late.buckets[$0] })
        for bucket in fetched { #expect(asked.contains(bucket) == (early.buckets[bucket] != late.buckets[bucket])) }
    }

    @Test func whenBatchesComeAfterAllNothingIsFetched() throws {
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(5)))
        fetcher.executed = SequenceNumber(5)
        fetcher.tick(after: 1)
        #expect(fetcher.fetching.isIdle)
    }

    @Test func whatWasStagedInVainIsThereWhenAStateIsNeededAgain() throws {
        let state = try SomeState(batches: 40)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        let asked = try #require(fetcher.questions.first { $0.peer == 1 })
        for bucket in asked.buckets { try fetcher.give(bucket, of: state, from: 1) }
        fetcher.executed = SequenceNumber(1)
        fetcher.tick(after: 1)
        #expect(fetcher.fetching.isIdle)
        fetcher.questions = []
        fetcher.step(.needed(atLeast: SequenceNumber(2)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        let again = Set(fetcher.questions.flatMap(\.buckets))
        #expect(!again.isEmpty && again.isDisjoint(with: asked.buckets))
    }

    /// So no more of a state is in memory than the disk is behind.
    @Test func whileTheDiskIsBehindNobodyIsAskedForMore() throws {
        let state = try SomeState(batches: 40)
        var fetcher = Fetcher { $0.maxStagingBytes = 1 }
        fetcher.confirms = false
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        #expect(fetcher.questions.map(\.buckets.count) == [1, 1], "one is all that there is room for")
        try fetcher.answer(state)
        #expect(fetcher.unconfirmed.count == 2 && fetcher.questions.isEmpty)
        fetcher.tick(after: 5)
        #expect(fetcher.questions.isEmpty)
        var turns = 0
        while !fetcher.unconfirmed.isEmpty, turns < 100 {
            turns += 1
            #expect(fetcher.unconfirmed.count <= 2 && fetcher.installs == nil)
            fetcher.confirm()
            try fetcher.answer(state)
        }
        #expect(turns == (state.filled.count + 1) / 2)
        #expect(fetcher.installs?.buckets.map(\.bucket) == state.filled)
    }

    @Test func whatIsNotStagedYetIsNotInstalled() throws {
        let state = try SomeState(batches: 4)
        var fetcher = Fetcher()
        fetcher.confirms = false
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        try fetcher.answer(state)
        let last = fetcher.unconfirmed.removeLast()
        fetcher.confirm()
        fetcher.step(.staged(bucket: last.bucket, .null))
        fetcher.tick(after: 5)
        #expect(fetcher.installs == nil)
        fetcher.step(.staged(bucket: last.bucket, last.digest))
        #expect(fetcher.installs?.checkpoint == state.checkpoint)
    }

    /// What is empty in the chosen state need not be fetched, but nothing may be moved to its place.
    @Test func whatIsStagedOfAnEarlierChoiceGoesWhereTheNextOneIsEmpty() throws {
        let (first, second) = (try SomeState(batches: 41), try SomeState(batches: 40))
        let emptied = first.filled.filter { !second.filled.contains($0) }
        try #require(!emptied.isEmpty)
        var fetcher = Fetcher()
        fetcher.confirms = false
        // Of the own state something is in these buckets too.
        for bucket in emptied { fetcher.own[bucket] = Digest.null }
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(first, from: peer) }
        try fetcher.answer(first)
        for peer in 1...2 as ClosedRange<UInt8> {
            fetcher.step(.gone(from: ReplicaIndex(peer), first.checkpoint.sequence))
        }
        fetcher.tick(after: 5)
        fetcher.confirm()
        fetcher.staged = []
        fetcher.installs = nil
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(second, from: peer) }
        #expect(fetcher.staged.map(\.bucket).sorted() == emptied && fetcher.staged.allSatisfy { $0.count == 0 })
        try fetcher.answer(second)
        #expect(fetcher.installs == nil)
        fetcher.confirm()
        let installs = try #require(fetcher.installs)
        #expect(installs.checkpoint == second.checkpoint)
        #expect(installs.buckets.filter { emptied.contains($0.bucket) }.allSatisfy { $0.count == 0 })
    }

    @Test func aStateThatCannotBeWrittenDownNowIsComparedAgainAtTheNextTick() throws {
        let state = try SomeState(batches: 2)
        var fetcher = Fetcher()
        fetcher.step(.needed(atLeast: SequenceNumber(1)))
        for peer in 1...2 as ClosedRange<UInt8> { fetcher.offer(state, from: peer) }
        try fetcher.answer(state)
        fetcher.installs = nil
        fetcher.tick(after: 5)
        #expect(fetcher.installs?.checkpoint == state.checkpoint)
    }
}
