import Gateway
import Cores
import Messages
import Testing

@Suite struct FairQueueTests {
    @Test func sourcesTakeTurnsAndEachKeepsItsOrder() {
        var queue = FairQueue<Int, String>()
        for i in 0..<1000 { queue.append("a\(i)", from: 1) }
        queue.append("b0", from: 2)
        queue.append("b1", from: 2)
        let first = (0..<5).map { _ in queue.popFirst()?.element }
        #expect(first == ["a0", "b0", "a1", "b1", "a2"])
        #expect(queue.count == 997)
    }

    @Test func whatMayNotGoHoldsBackOnlyItsOwnSource() {
        var queue = FairQueue<Int, Int>()
        for (source, element) in [(1, 9), (1, 1), (2, 2), (3, 8)] { queue.append(element, from: source) }
        let (first, second) = (queue.popFirst { $0 < 5 }?.element, queue.popFirst { $0 < 5 }?.element)
        #expect(first == 2 && second == nil && queue.count == 3)
        let rest = (0..<3).map { _ in queue.popFirst()?.element }
        #expect(rest == [8, 9, 1])
    }

    @Test func aSourceThatGoesLeavesTheOthersTheirTurns() {
        var queue = FairQueue<Int, Int>()
        for i in 0..<6 { queue.append(i, from: i % 3) }
        let removed = queue.removeAll(from: 1)
        #expect(removed == [1, 4])
        queue.append(7, from: 1)
        let rest = (0..<6).map { _ in queue.popFirst()?.element }
        #expect(rest == [0, 2, 7, 3, 5, nil])
        #expect(queue.isEmpty)
    }
}

@Suite struct FairShareTests {
    @Test func whoeverHoldsNothingHasRoomHoweverGreedyTheOthersAre() {
        var share = FairShare<Int>(limit: 2200, holders: 11)
        // One after the other, each as much as it gets.
        for greedy in 0..<10 { while share.take(1, for: greedy) {} }
        let held = (0..<10).map { share.held(by: $0) }
        #expect(held[0] == 100 + 550 && held.allSatisfy { $0 >= 100 } && share.total <= 2200)
        let fits = share.take(100, for: 10)
        #expect(fits && share.total <= 2200)
    }

    @Test func moreHoldersThanExpectedAreBoundedToo() {
        var share = FairShare<Int>(limit: 100, holders: 2)
        for holder in 0..<50 { while share.take(7, for: holder) {} }
        #expect(share.total <= 100)
        for holder in 0..<50 { share.giveBackAll(from: holder) }
        #expect(share.total == 0)
        let again = share.take(50, for: 1)
        #expect(again)
    }

    @Test func whatIsLargerThanTheBoundPassesAloneAndNothingFitsIntoNothing() {
        var share = FairShare<Int>(limit: 20, holders: 1, perHolder: 4)
        let large = [share.take(25, for: 1), share.take(1, for: 2)]
        #expect(large == [true, false])
        share.giveBackAll(from: 1)
        let small = [share.take(3, for: 1), share.take(2, for: 1), share.take(1, for: 1)]
        #expect(small == [true, false, true])
        let set = [share.set(2, for: 1), share.set(9, for: 1)]
        #expect(set == [true, false] && share.held(by: 1) == 2 && share.total == 2)
        var none = FairShare<Int>(limit: 0, holders: 1)
        let nothing = none.take(1, for: 1)
        #expect(!nothing)
    }
}

/// One client's questions and bytes are not another's wait.
@Suite struct GatewayFairnessTests {
    private let nonce = Hasher256.hash(.request, [1])

    /// Hosts' ids of the reads that were passed on since the last call.
    private func passedOn(_ h: inout Harness) -> [UInt64] {
        defer { h.ready.toHosts = [] }
        return h.ready.toHosts.compactMap { if case .read(let id, _, _) = $0.message { id } else { nil } }
    }

    private func read(_ h: inout Harness, session: UInt64, id: UInt64, shard: Int = 0) throws {
        h.step(
            .client(
                SessionID(session),
                try h.verifier.verify(ClientMessage.read(id: id, .account(h.account(on: shard)), nonce: nonce))))
    }

    /// No replica may say anything about the account: the read is over.
    private func end(_ h: inout Harness, _ id: UInt64) throws {
        for host in 0..<4 { try h.reply(.read(id: id, nil), from: host) }
    }

    @Test func aReadWaitsForAFewReadsOfASessionThatAskedForThousands() throws {
        var options = GatewayOptions()
        (options.maxQueries, options.maxAsked) = (8192, 4)
        var h = try Harness(options: options)
        for id in 0..<2500 as Range<UInt64> { try read(&h, session: 1, id: id) }
        try read(&h, session: 2, id: 7)
        var asked = passedOn(&h)
        #expect(asked.count == 4)
        var ended = 0
        while !h.answers().contains(where: { $0.session == 2 }) {
            try end(&h, asked.removeFirst())
            ended += 1
            asked += passedOn(&h)
            #expect(asked.count == 4)
        }
        // Those that were with the hosts already, one of the first session in its turn, and its own.
        #expect(ended <= 6)
    }

    @Test func readsOfAShardThatIsSilentDoNotHoldBackAnother() throws {
        var options = GatewayOptions()
        options.maxAsked = 2
        var h = try Harness(options: options)
        for id in 0..<100 as Range<UInt64> { try read(&h, session: 1, id: id, shard: 0) }
        #expect(passedOn(&h).count == 2)
        try read(&h, session: 1, id: 200, shard: 1)
        #expect(passedOn(&h).count == 1)
    }

    @Test func aSessionCannotTakeAllPlacesAndWhatDoesNotFitIsRefused() throws {
        var options = GatewayOptions()
        (options.maxQueries, options.maxAsked, options.maxSessions) = (100, 4, 5)
        var h = try Harness(options: options)
        // Ten are its own, and a half of what is shared.
        for id in 0..<100 as Range<UInt64> { try read(&h, session: 1, id: id) }
        #expect(h.answers().map(\.reply.rejection) == Array(repeating: .queueFull, count: 100 - 35))
        for id in 0..<10 as Range<UInt64> { try read(&h, session: 2, id: id) }
        #expect(h.answers().isEmpty)
        // Of a session that closes nothing more is asked, and its places are free.
        let asked = passedOn(&h)
        h.step(.clientClosed(SessionID(1)))
        for id in asked { try end(&h, id) }
        #expect(passedOn(&h).count == 4)
        for id in 0..<100 as Range<UInt64> { try read(&h, session: 3, id: id) }
        #expect(h.answers().count == 100 - 35)
    }

    @Test func aReadThatWaitsTooLongIsRefused() throws {
        var options = GatewayOptions()
        (options.maxAsked, options.questionPatience) = (1, 1_000_000_000)
        var h = try Harness(options: options)
        for id in 0..<20 as Range<UInt64> { try read(&h, session: 1, id: id) }
        // The shard does not answer: each that is passed on is over after 300 ms.
        h.advance(by: 1500)
        let answers = h.answers()
        #expect(answers.count == 20)
        #expect(answers.filter { $0.reply.rejection == .queueFull }.count == 16)
    }

    @Test func bytesThatWaitAreBoundedOverAllSessionsAndASmallRequestStillFits() throws {
        var options = GatewayOptions()
        let bytes = try Harness().request(0, 1).bytes.count
        (options.maxHeldBytes, options.maxSessions) = (40 * bytes, 5)
        var h = try Harness(options: options)
        var refused = 0
        for number in 1...60 as ClosedRange<UInt64> {
            for session in 1...3 as ClosedRange<UInt64> {
                try h.submit(h.request(0, 1, number: 3 * number + session), session: session, id: number)
                refused += h.answers().filter { $0.reply.rejection == .queueFull }.count
            }
        }
        #expect(refused >= 140 && h.gateway.heldBytes <= 40 * bytes && h.gateway.heldBytes >= 20 * bytes)
        let small = h.request(0, 1, number: 1000)
        try h.submit(small, session: 9)
        #expect(h.answers().isEmpty)
        // An answer gives the bytes back.
        let before = h.gateway.heldBytes
        try h.attest(small, .votedYes, shard: 0, sequence: 1)
        try h.attest(small, .votedYes, shard: 1, sequence: 1)
        #expect(h.gateway.heldBytes == before - bytes)
    }
}
