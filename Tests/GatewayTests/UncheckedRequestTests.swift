import Cores
import Messages
import Testing

/// What a gateway sends to the hosts without having looked at its signature (docs/decisions/0042).
@Suite struct UncheckedRequestTests {
    static func harness(trustAfter: Int = 1, window: Int = 512) throws -> Harness {
        var options = GatewayOptions()
        (options.trustAfter, options.trustAfterForgery) = (trustAfter, 3)
        options.limits.window = window
        return try Harness(options: options)
    }

    static func forged(_ h: Harness, number: UInt64) throws -> SignedRequest {
        SignedRequest(h.request(1, 1, number: number).request, signedBy: try Harness.signer(77))
    }

    @Test func aNewSessionIsCheckedUntilWhatItBroughtIsAnswered() throws {
        var h = try Self.harness(trustAfter: 2)
        h.trust(number: 1)
        h.bring(h.request(1, 1, number: 2))
        #expect(h.carryOut() == 1 && h.sent().count == 1)
        h.bring(h.request(1, 1, number: 3))
        #expect(h.sent().isEmpty && h.carryOut() == 1, "the one before has no answer")
        try h.attest(h.request(1, 1, number: 2), .committed, shard: 1, sequence: 1)
        _ = h.sent()
        h.bring(h.request(1, 1, number: 4))
        #expect(h.carryOut() == 0 && h.sent().count == 1)
        // Another's is not.
        h.bring(h.request(1, 1, number: 5), session: 2)
        #expect(h.sent().isEmpty && h.carryOut() == 1)
    }

    /// Whoever repeats one request has brought one.
    @Test func repetitionsEarnNothing() throws {
        var h = try Self.harness(trustAfter: 2)
        h.trust(number: 1)
        for _ in 0..<5 { h.bring(h.request(0, 0, number: 1)) }
        h.carryOut()
        for _ in 0..<5 { h.bring(h.request(1, 1, number: 2)) }
        #expect(h.carryOut() == 5)
        h.bring(h.request(1, 1, number: 3))
        #expect(h.carryOut() == 1)
    }

    @Test func itBringsNoMoreUncheckedThanItHasBroughtBefore() throws {
        var h = try Self.harness()
        h.trust(number: 1)
        h.bring(h.request(1, 1, number: 2))
        #expect(h.carryOut() == 0)
        h.bring(h.request(1, 1, number: 3))
        #expect(h.carryOut() == 1, "one is under way already, and one was answered")
        try h.attest(h.request(1, 1, number: 2), .committed, shard: 1, sequence: 1)
        h.bring(h.request(1, 1, number: 4))
        #expect(h.carryOut() == 0)
    }

    @Test func whatIsForgedIsRefusedOnOneHostsWordAndEndsTheTrust() throws {
        var h = try Self.harness()
        h.trust()
        let forged = try Self.forged(h, number: 2)
        h.bring(forged, id: 9)
        #expect(h.carryOut() == 0 && h.sent().count == 1)
        try h.refuse(forged, .unsigned, shard: 1, hosts: [3, 2])
        #expect(h.carryOut() == 1, "looked at once")
        let answers = h.answers()
        #expect(answers.map(\.reply.rejection) == [.invalid] && h.gateway.heldRequests == 0)
        for number in 3...5 as ClosedRange<UInt64> { h.trust(number: number) }
        h.bring(h.request(1, 1, number: 6))
        #expect(h.carryOut() == 0, "it has earned it again")
    }

    /// All sessions come to the hosts as one, which pays for what is in vain.
    @Test func forgeriesOfManySessionsHaveOneBudget() throws {
        var h = try Self.harness()
        var unchecked = 0
        for session in 1...100 as ClosedRange<UInt64> {
            h.trust(session: session, number: session)
            h.bring(try Self.forged(h, number: 1000 + session), session: session)
            if h.ready.checks.isEmpty { unchecked += 1 }
            h.carryOut()
            h.advance(by: 700)
            h.carryOut()
            (_, _) = (h.sent(), h.answers())
        }
        #expect(unchecked >= 60 && unchecked <= 68)
    }

    /// What nobody has signed opens no breaker, and does not use up the attempts at a shard that was silent.
    @Test func aShardOwesNoAnswerToWhatNobodyHasSigned() throws {
        var h = try Self.harness()
        for round in 1...8 as ClosedRange<UInt64> {
            h.trust(session: round, number: round)
            h.bring(try Self.forged(h, number: 100 + round), session: round)
            try h.refuse(try Self.forged(h, number: 100 + round), .unsigned, shard: 1, hosts: [0])
            h.carryOut()
            h.advance(by: 3000)
        }
        (_, _) = (h.sent(), h.answers())
        h.bring(h.request(1, 1, number: 200), session: 99)
        h.carryOut()
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
    }

    @Test func aHostThatLiesAboutASignatureChangesNothing() throws {
        var h = try Self.harness()
        h.trust()
        let request = h.request(1, 1, number: 2)
        h.bring(request)
        _ = h.sent()
        try h.refuse(request, .unsigned, shard: 1, hosts: [0, 1, 2, 3])
        #expect(h.carryOut() == 1 && h.answers().isEmpty && h.sent().isEmpty)
        try h.refuse(request, .unsigned, shard: 1, hosts: [0, 1, 2, 3])
        #expect(h.carryOut() == 0)
        try h.attest(request, .committed, shard: 1, sequence: 1)
        #expect(h.answers().first?.reply.receipt != nil)
    }

    @Test func nothingIsSentTwiceUnchecked() throws {
        var h = try Self.harness()
        h.trust()
        let (forged, request) = (try Self.forged(h, number: 2), h.request(1, 1, number: 2))
        h.bring(forged)
        #expect(h.sent().count == 1)
        h.advance(by: 700)
        #expect(h.sent().isEmpty && h.carryOut() == 1 && h.sent().isEmpty)
        #expect(h.answers().map(\.reply.rejection) == [.invalid])
        // What is genuine is sent again as soon as it is known to be.
        h.trust(session: 2, number: 10)
        h.bring(request, session: 2)
        _ = h.sent()
        h.advance(by: 700)
        #expect(h.sent().isEmpty && h.carryOut() == 1)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
    }

    @Test func whoHasSignedItIsAnsweredThoughAnotherHasBroughtItForged() throws {
        var h = try Self.harness()
        h.trust()
        let request = h.request(1, 1, number: 2)
        h.bring(try Self.forged(h, number: 2), session: 1, id: 5)
        #expect(h.carryOut() == 0)
        h.bring(request, session: 2, id: 6)
        _ = h.sent()
        #expect(h.carryOut() == 1, "the same request, and another signature")
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"], "the hosts have the forged one")
        try h.attest(request, .committed, shard: 1, sequence: 1)
        let answers = h.answers()
        #expect(answers.map(\.session).sorted() == [1, 2])
        for answer in answers { _ = try h.verifier.verify(try #require(answer.reply.receipt)) }
        h.bring(h.request(1, 1, number: 3), session: 1)
        #expect(h.carryOut() == 1, "whoever brought the other signature is trusted no more")
        // And of what is over.
        h.bring(try Self.forged(h, number: 2), session: 3, id: 7)
        #expect(h.carryOut() == 1 && h.answers().map(\.reply.rejection) == [.invalid])
    }

    @Test func whatIsOverIsAnsweredWithTheSignatureThatIsRight() throws {
        var h = try Self.harness()
        h.trust()
        let request = h.request(1, 1, number: 2)
        h.bring(try Self.forged(h, number: 2), session: 1)
        // Another gateway has brought it as it was signed.
        try h.attest(request, .committed, shard: 1, sequence: 1)
        _ = h.answers()
        h.bring(request, session: 2)
        #expect(h.carryOut() == 1)
        _ = try h.verifier.verify(try #require(h.answers().first?.reply.receipt))
    }

    @Test func whoWouldTakeAPlaceFromAnotherIsChecked() throws {
        var h = try Self.harness(window: 1)
        h.trust()
        h.bring(h.request(1, 1, number: 2))
        #expect(h.carryOut() == 0)
        h.bring(h.request(1, 1, number: 3), session: 2)
        h.carryOut()
        h.trust(session: 3, number: 4)
        h.bring(h.request(1, 1, number: 5), session: 3)
        #expect(h.carryOut() == 1)
    }

    @Test func aCheckWithoutRoomIsRefusedAsAFullQueueIs() throws {
        var h = try Self.harness()
        h.bring(h.request(1, 1), id: 3)
        let check = try #require(h.ready.checks.first)
        h.ready.checks = []
        h.step(.checkDropped(check))
        #expect(h.answers().map(\.reply.rejection) == [.queueFull] && h.gateway.heldRequests == 0)
    }

    @Test func aClosedSessionLeavesNothing() throws {
        var h = try Self.harness()
        h.bring(h.request(1, 1))
        h.step(.clientClosed(SessionID(1)))
        #expect(h.carryOut() == 1 && h.sent().isEmpty && h.answers().isEmpty && h.gateway.heldRequests == 0)
    }
}

extension Harness {
    /// By a session that may be new.
    mutating func bring(_ request: SignedRequest, session: UInt64 = 1, id: UInt64 = 1) {
        step(.submitted(SessionID(session), id: id, request))
    }

    /// One request that is genuine, from beginning to end.
    mutating func trust(session: UInt64 = 1, number: UInt64 = 1) {
        let request = request(0, 0, number: number)
        bring(request, session: session)
        carryOut()
        try? attest(request, .committed, shard: 0, sequence: 100 + number)
        (_, _) = (sent(), answers())
    }

    /// - Returns: how many signatures the gateway wanted to know about.
    @discardableResult
    mutating func carryOut() -> Int {
        let checks = ready.checks
        ready.checks = []
        for check in checks { step(.checked(check, try? verifier.verify(check.request))) }
        return checks.count
    }
}
