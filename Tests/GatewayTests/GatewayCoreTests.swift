import Cores
import Messages
import Testing

@Suite struct GatewayCoreTests {
    @Test func aSingleShardRequestIsAnsweredAfterFPlusOneAttestations() throws {
        var h = try Harness()
        let request = h.request(1, 1)
        try h.submit(request, session: 7, id: 42)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
        try h.attest(request, .committed, shard: 1, sequence: 1, replicas: [2])
        #expect(h.answers().isEmpty)
        try h.attest(request, .committed, shard: 1, sequence: 1, replicas: [2])
        #expect(h.answers().isEmpty, "one replica twice is one replica")
        try h.attest(request, .committed, shard: 1, sequence: 1, replicas: [0])
        let answers = h.answers()
        #expect(answers.map(\.session) == [7])
        guard case .receipt(42, let receipt, 0, 0)? = answers.first?.reply else {
            Issue.record("no receipt: \(answers)")
            return
        }
        _ = try h.verifier.verify(receipt)
        #expect(receipt.decision(ofLeg: 0, in: h.manifest.shardMap) == .commit)
        // Nothing is left: no decide, nothing held.
        #expect(h.sent().isEmpty)
        #expect(h.gateway.heldRequests == 0)
        #expect(h.gateway.status.completed == 1)
        // The rest of the attestations is no news.
        try h.attest(request, .committed, shard: 1, sequence: 1, replicas: [1, 3])
        #expect(h.answers().isEmpty)
    }

    @Test func aCrossShardRequestIsAnsweredWithTheVotesAndThenDecidedAndForgotten() throws {
        var h = try Harness()
        let request = h.request(0, 1)
        try h.submit(request)
        #expect(h.sent() == ["submit [0, 1] to [0, 1, 2, 3]"])
        try h.attest(request, .votedYes, shard: 1, sequence: 3)
        #expect(h.answers().isEmpty && h.sent().isEmpty)
        try h.attest(request, .votedYes, shard: 0, sequence: 8)
        #expect(h.answers().first?.reply.receipt?.decision(ofLeg: 0, in: h.manifest.shardMap) == .commit)
        // Who is paid first, and who pays with the word that the other is done.
        #expect(h.sent() == ["decide [1] with 1 to [0, 1, 2, 3]"])
        #expect(h.gateway.heldRequests == 1)
        try h.attest(request, .committed, shard: 1, sequence: 4)
        #expect(h.sent() == ["decide [0] with 1 to [0, 1, 2, 3]"])
        // A lost decide is repeated to whoever has not certified it.
        h.advance(by: 700)
        #expect(h.sent() == ["decide [0] with 1 to [0, 1, 2, 3]"])
        try h.attest(request, .committed, shard: 0, sequence: 9)
        #expect(h.sent() == ["decide [1] with 1 to [0, 1, 2, 3]"])
        #expect(h.gateway.heldRequests == 0)
        #expect(h.answers().isEmpty)
    }

    /// What one attestation decides goes in one message, which has what the certificates share once.
    @Test func whatIsDecidedTogetherTravelsTogether() throws {
        var h = try Harness()
        let requests = (1...20 as ClosedRange<UInt64>).map { h.request(0, 1, number: $0) }
        for request in requests { try h.submit(request) }
        _ = h.sent()
        try h.attest(requests, .votedYes, shard: 0, sequence: 1)
        try h.attest(Array(requests.prefix(12)), .votedYes, shard: 1, sequence: 1, replicas: [0])
        #expect(h.sent().isEmpty)
        try h.attest(Array(requests.prefix(12)), .votedYes, shard: 1, sequence: 1, replicas: [3])
        try #require(h.ready.toHosts.count == 1)
        guard case .decides(_, let decides) = h.ready.toHosts[0].message else { return }
        #expect(decides.map(\.request) == requests.prefix(12).map(\.digest).sorted())
        let message = h.ready.toHosts[0].message
        #expect(try GatewayMessage(decoding: message.encoded()) == message)
        _ = try h.verifier.verify(message)
        #expect(message.encoded().count < 12 * 220, "\(message.encoded().count)")
        _ = h.sent()
        // The others, and what is for another choice of shards, go by themselves.
        try h.attest(Array(requests.dropFirst(12)), .votedYes, shard: 1, sequence: 2)
        #expect(
            h.sent() == [
                "decide [1] with " + Array(repeating: "1", count: 8).joined(separator: " and ")
                    + " to [0, 1, 2, 3]"
            ])
    }

    @Test func hostsGetTheShardsThatTheyRunAndEqualMessagesGoTogether() throws {
        // Shard 0 on hosts 0-3, shard 1 on hosts 1-4.
        var h = try Harness(shards: 2, hostCount: 5)
        try h.submit(h.request(0, 1))
        #expect(h.sent() == ["submit [0] to [0]", "submit [0, 1] to [1, 2, 3]", "submit [1] to [4]"])
    }

    @Test func participantsThatNeverCertifyTheirDecisionAreLeftToTheHosts() throws {
        var h = try Harness()
        let request = h.request(0, 1)
        try h.submit(request)
        try h.attest(request, .votedYes, shard: 0, sequence: 1)
        try h.attest(request, .votedYes, shard: 1, sequence: 1)
        _ = h.sent()
        h.advance(by: 60_000, tickEvery: 50)
        #expect(h.sent() == Array(repeating: "decide [0, 1] with 2 to [0, 1, 2, 3]", count: 4))
        #expect(h.gateway.heldRequests == 0)
    }

    @Test func aConflictIsRetriedSoonAndOneLiarCannotCauseIt() throws {
        var h = try Harness()
        let request = h.request(0, 1)
        try h.submit(request)
        _ = h.sent()
        try h.attest(request, .votedYes, shard: 0, sequence: 1)
        try h.refuse(request, .conflict, shard: 1, hosts: [3, 3, 3])
        // Nor can a refusal for a shard that has voted.
        try h.refuse(request, .conflict, shard: 0, hosts: [0, 1])
        h.advance(by: 300)
        #expect(h.sent().isEmpty)
        try h.refuse(request, .conflict, shard: 1, hosts: [0])
        h.advance(by: 10)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"], "only to the shard that refused")
        try h.attest(request, .votedYes, shard: 1, sequence: 9)
        guard case .receipt(_, _, retries: 1, conflicts: 1)? = h.answers().first?.reply else {
            Issue.record("no receipt with its counts")
            return
        }
        #expect(h.gateway.status.conflicts == 1 && h.gateway.status.retransmissions == 0)
        #expect(h.ready.counts == [.retried(.conflict)])
    }

    /// One by one, each after a pause of its own, they would come in any order again.
    @Test func whatWaitsInAChainIsSentAgainTogetherWhenItsFirstIsThere() throws {
        var h = try Harness()
        let requests = (1...6).map { number in
            // The fifth has no predecessor, and the sixth one that nobody has brought here.
            h.request(0, 0, number: number, after: number == 5 ? [:] : [0: number == 6 ? 77 : number - 1])
        }
        for request in requests { try h.submit(request) }
        _ = h.sent()
        for number in [4, 3, 2, 6] {
            try h.refuse(requests[number - 1], .outOfOrder, shard: 0, hosts: [0, 1], legs: [0])
        }
        try h.attest(requests[0], .committed, shard: 0, sequence: 1)
        #expect(h.submitted(requests) == [2, 3, 4])
        try h.attest(requests[4], .committed, shard: 0, sequence: 2)
        #expect(h.submitted(requests).isEmpty)
        // Refused again, the first is tried again soon and the others when it is there.
        for number in [2, 3, 4] {
            try h.refuse(requests[number - 1], .outOfOrder, shard: 0, hosts: [0, 1], legs: [0])
        }
        h.advance(by: 100)
        let soon = h.submitted(requests)
        #expect(Set(soon) == [2, 6] && soon.count == 2)
        try h.attest(requests[1], .aborted(.insufficientFunds), shard: 0, sequence: 3)
        #expect(h.submitted(requests) == [3, 4])
        for (place, number) in [3, 4, 6].enumerated() {
            try h.attest(requests[number - 1], .committed, shard: 0, sequence: UInt64(4 + place))
        }
        h.advance(by: 2000)
        #expect(h.submitted(requests).isEmpty && h.gateway.heldRequests == 0)
    }

    /// R8: what a client signs about its order is its own affair, but not what the gateway does in vain.
    @Test func aCircleOfFollowersIsTriedAgainUntilItsDeadlines() throws {
        var h = try Harness()
        let requests = [h.request(0, 0, number: 1, after: [0: 2]), h.request(0, 0, number: 2, after: [0: 1])]
        for request in requests { try h.submit(request) }
        for request in requests { try h.refuse(request, .outOfOrder, shard: 0, hosts: [0, 1], legs: [0]) }
        let other = h.request(0, 0, number: 3)
        try h.submit(other)
        _ = h.sent()
        try h.attest(other, .committed, shard: 0, sequence: 1)
        h.advance(by: 19_900, tickEvery: 50)
        #expect(h.submitted(requests).isEmpty)
        h.advance(by: 1500, tickEvery: 50)
        #expect(Set(h.submitted(requests)) == [1, 2], "for a certified abort")
        h.advance(by: 60_000, tickEvery: 50)
        #expect(h.gateway.heldRequests == 0)
        #expect(h.answers().compactMap(\.reply.rejection).count == 2)
    }

    /// What they follow may need a place itself, or wait for another shard that is sick.
    @Test func whatIsOutOfOrderLeavesItsPlaceToOthers() throws {
        var options = GatewayOptions()
        options.limits = .init(window: 2)
        var h = try Harness(options: options)
        let followers = [2, 3].map { h.request(0, 0, number: $0, after: [0: $0 - 1]) }
        for request in followers { try h.submit(request) }
        #expect(h.sent().count == 2)
        let first = h.request(0, 0)
        try h.submit(first)
        #expect(h.sent().isEmpty, "its lane is full")
        for request in followers { try h.refuse(request, .outOfOrder, shard: 0, hosts: [0, 1], legs: [0]) }
        #expect(h.submitted([first]) == [1])
        try h.attest(first, .committed, shard: 0, sequence: 1)
        #expect(h.submitted(followers) == [1, 2], "by place")
        for (place, request) in followers.enumerated() {
            try h.attest(request, .committed, shard: 0, sequence: UInt64(2 + place))
        }
        #expect(h.gateway.heldRequests == 0)
        #expect(h.gateway.status.inFlight == 0 && h.gateway.status.queued == 0)
    }

    /// A name costs nothing: whoever follows what never comes must not have the shard refuse him without end.
    @Test func whatFollowsNothingThatComesIsTriedAgainWithinTheBudget() throws {
        var h = try Harness()
        let requests = (1...300).map { h.request(0, 0, number: $0) }
        for request in requests { try h.submit(request) }
        _ = h.sent()
        var sent = 0
        for _ in 1...40 {
            for request in requests { try h.refuse(request, .outOfOrder, shard: 0, hosts: [0, 1], legs: [0]) }
            h.advance(by: 250)
            sent += h.sent().count
        }
        #expect((300..<1500).contains(sent), "\(sent) in ten seconds")
        #expect(h.gateway.status.conflicts == 0)
    }

    @Test func silenceIsFollowedByRetransmissionEverLessOften() throws {
        var h = try Harness()
        let request = h.request(1, 1, deadline: 60_000)
        try h.submit(request)
        _ = h.sent()
        h.advance(by: 595)
        #expect(h.sent().isEmpty)
        h.advance(by: 10)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
        // After 0.6 s, 1.2 s, 2.4 s, 4 s, 4 s, …: 0.6, 1.8, 4.2, 8.2, 12.2, 16.2, 20.2.
        h.advance(by: 19_700)
        #expect(h.sent().count == 6)
        try h.attest(request, .committed, shard: 1, sequence: 1)
        #expect(h.answers().first?.reply.receipt != nil)
        #expect(h.gateway.status.retransmissions == 7)
        #expect(h.ready.counts.count { $0 == .retried(.silence) } == 7)
    }

    /// What is repeated while it is under way makes all slower.
    @Test func whereAnswersTakeLongARequestIsRepeatedLater() throws {
        var h = try Harness()
        let slow = h.request(1, 1)
        try h.submit(slow)
        h.advance(by: 500)
        try h.attest(slow, .committed, shard: 1, sequence: 1)
        let other = h.request(0, 0, number: 2)
        let next = h.request(1, 1, number: 3)
        for request in [other, next] { try h.submit(request) }
        _ = h.sent()
        // Of shard 0 nothing is known.
        h.advance(by: 700)
        #expect(h.sent() == ["submit [0] to [0, 1, 2, 3]"])
        try h.attest(other, .committed, shard: 0, sequence: 1)
        // Twice the half second, and four times half of it.
        h.advance(by: 1400)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
    }

    @Test func afterTheDeadlineTheRequestIsSentAgainForACertifiedAbort() throws {
        var h = try Harness()
        let request = h.request(0, 1, deadline: 1000)
        try h.submit(request)
        try h.attest(request, .votedYes, shard: 0, sequence: 1)
        _ = h.sent()
        h.advance(by: 1100)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"], "silence, before the deadline")
        h.advance(by: 60)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"], "just after the deadline")
        try h.attest(request, .noRecordAbort, shard: 1, sequence: 5)
        #expect(
            h.answers().first?.reply.receipt?.decision(ofLeg: 0, in: h.manifest.shardMap) == .abort(.participantAborted)
        )
        #expect(h.sent() == ["decide [0] with 1 to [0, 1, 2, 3]"])
    }

    @Test func withoutAnyAnswerTheGatewayGivesUpTenSecondsAfterTheDeadline() throws {
        var h = try Harness()
        try h.submit(h.request(0, 1, deadline: 1000))
        h.advance(by: 10_900)
        #expect(h.answers().isEmpty)
        h.advance(by: 200)
        #expect(h.answers().map(\.reply.rejection) == [.deadlinePassed])
        #expect(h.gateway.heldRequests == 0 && h.gateway.status.inFlight == 0)
    }

    @Test func theSameRequestJoinsTheOneInFlightAndLaterIsAnsweredFromMemory() throws {
        var h = try Harness()
        let request = h.request(1, 1)
        try h.submit(request, session: 1, id: 10)
        try h.submit(request, session: 2, id: 20)
        try h.submit(request, session: 2, id: 20)
        #expect(h.sent().count == 1)
        try h.attest(request, .committed, shard: 1, sequence: 1)
        #expect(h.answers().map(\.session) == [1, 2])
        try h.submit(request, session: 3, id: 30)
        #expect(h.sent().isEmpty)
        let answers = h.answers()
        #expect(answers.map(\.session) == [3] && answers.first?.reply.receipt != nil)
        #expect(h.gateway.status.admitted == 1)
    }

    @Test func theAnswerOfAClientThatLeftIsDroppedAndItsRequestGoesOn() throws {
        var h = try Harness()
        let request = h.request(0, 1)
        try h.submit(request, session: 1)
        try h.submit(request, session: 2)
        h.step(.clientClosed(SessionID(1)))
        try h.attest(request, .votedYes, shard: 0, sequence: 1)
        try h.attest(request, .votedYes, shard: 1, sequence: 1)
        #expect(h.answers().map(\.session) == [2])
        #expect(h.sent().count == 2)
    }

    @Test func garbageIsIgnored() throws {
        var options = GatewayOptions()
        options.acceptedLateness = 86_400_000_000
        var h = try Harness(shards: 2, hostCount: 5, options: options)
        let (request, unknown) = (h.request(0, 0), h.request(0, 1, number: 9))
        try h.submit(request)
        _ = h.sent()
        // Attestations and refusals of nobody's request, of shards that take no part, from hosts without a replica.
        try h.attest(unknown, .committed, shard: 0, sequence: 1)
        try h.attest(request, .committed, shard: 1, sequence: 1)
        try h.refuse(unknown, .conflict, shard: 0, hosts: [0, 1, 2])
        try h.refuse(request, .numberTooHigh, shard: 1, hosts: [1, 2, 3])
        try h.refuse(request, .numberTooHigh, shard: 0, hosts: [4, 4])
        try h.refuse(request, .numberTooHigh, shard: 77, hosts: [0, 1])
        try h.reply(.account(id: 12, nil), from: 0)
        try h.reply(.status(id: 1, []), from: 99)
        h.step(.hostDisconnected(HostID(999)))
        h.step(.clientClosed(SessionID(999)))
        h.advance(by: 100)
        #expect(h.answers().isEmpty && h.sent().isEmpty)
        #expect(h.gateway.heldRequests == 1)
        // The verifier lets no other cluster's request through; the gateway would not either.
        #expect(throws: Refused.wrongCluster) {
            try h.submit(h.request(0, 0, number: 3, cluster: ClusterID(FixedBytes32())))
        }
        // Far past its deadline.
        h.advance(by: 86_490_000, tickEvery: 1_000_000)
        try h.submit(h.request(0, 0, number: 2, deadline: 1000))
        #expect(h.answers().map(\.reply.rejection) == [.deadlinePassed, .deadlinePassed])
    }

    /// Whoever was interrupted may come back for the outcome whenever he likes.
    @Test func anOutcomeCanBeAskedForHoweverLongAgoTheDeadlineWas() throws {
        var h = try Harness()
        h.advance(by: 864_000_000, tickEvery: 1_000_000)
        try h.submit(h.request(0, 0, number: 2, deadline: 1000))
        #expect(!h.sent().isEmpty && h.answers().isEmpty)
    }

    @Test func whatOnlyTheClientCanMendIsRejectedOnceFPlusOneSayIt() throws {
        var h = try Harness()
        let request = h.request(1, 1)
        try h.submit(request)
        try h.refuse(request, .numberTooHigh, shard: 1, hosts: [0])
        try h.refuse(request, .conflict, shard: 1, hosts: [1])
        #expect(h.answers().isEmpty, "one of two is not enough to end a request")
        h.advance(by: 10)
        try h.refuse(request, .numberTooHigh, shard: 1, hosts: [2, 3])
        #expect(h.answers().map(\.reply.rejection) == [.refused])
        #expect(h.gateway.heldRequests == 0 && h.gateway.status.inFlight == 0)
    }

    @Test func aFullLaneIsAnAnswer() throws {
        var options = GatewayOptions()
        options.limits = .init(window: 1, queue: 2, perPrincipal: 100)
        var h = try Harness(options: options)
        let requests = (1...4).map { h.request(1, 1, number: $0) }
        for request in requests { try h.submit(request, id: request.request.number.number) }
        guard case .rejected(4, .queueFull, let retryAfter)? = h.answers().first?.reply else {
            Issue.record("the fourth was not rejected")
            return
        }
        #expect(retryAfter >= 1000)
        #expect(h.sent().count == 1)
        try h.attest(requests[0], .committed, shard: 1, sequence: 1)
        #expect(h.sent().count == 1, "the next of the queue starts")
        #expect((h.gateway.status.queued, h.gateway.status.inFlight, h.gateway.status.rejected) == (1, 1, 1))
        #expect(h.ready.counts == [.rejected(.queueFull)])
    }

    @Test func aQueuedRequestIsDroppedAfterItsDeadlineEvenIfNothingMoves() throws {
        var options = GatewayOptions()
        options.limits = .init(window: 1, queue: 10, perPrincipal: 100)
        var h = try Harness(options: options)
        try h.submit(h.request(1, 1, number: 1, deadline: 60_000))
        try h.submit(h.request(1, 1, number: 2, deadline: 1500), id: 2)
        h.advance(by: 2100)
        #expect(h.answers().map(\.reply) == [.rejected(id: 2, .deadlinePassed, retryAfterMicroseconds: 0)])
        #expect(h.gateway.status.queued == 0)
    }

    @Test func withoutEnoughConnectionsNothingIsSentUntilTheyAreBack() throws {
        var h = try Harness()
        let request = h.request(1, 1, deadline: 60_000)
        try h.submit(request)
        _ = h.sent()
        for host in 0..<3 { h.step(.hostDisconnected(HostID(UInt16(host)))) }
        h.advance(by: 10_000)
        #expect(h.sent().isEmpty)
        h.step(.hostConnected(HostID(1)))
        h.advance(by: 700)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
    }

    @Test func retriesDoNotStormWhenNothingAnswers() throws {
        var h = try Harness()
        for number in 1...300 as ClosedRange<UInt64> {
            try h.submit(h.request(1, 1, number: number, deadline: 60_000), id: number)
        }
        #expect(h.sent().count == 300)
        h.advance(by: 10_000, tickEvery: 10)
        // A fifth of the fresh requests, twenty to start with and twenty a second.
        let retries = h.sent().count
        #expect(retries <= 60 + 20 + 200 && retries >= 200, "\(retries) retransmissions of 300 requests in ten seconds")
    }

    @Test func anAccountIsAnsweredByAgreementOrByWhatIsThere() throws {
        var h = try Harness()
        let account = h.account(on: 1)
        let view = AccountView(
            owner: h.principal.publicKey, asset: AssetID(1), posted: Amount(9), pendingDebits: .zero,
            pendingCredits: .zero)
        let lie = AccountView(
            owner: h.principal.publicKey, asset: AssetID(1), posted: Amount(900), pendingDebits: .zero,
            pendingCredits: .zero)
        func id() throws -> UInt64 {
            let asked = h.ready.toHosts.compactMap {
                if case .account(let id, account) = $0.message { id } else { nil }
            }
            return try #require(asked.last)
        }
        try h.ask(account, id: 5)
        let first = try id()
        #expect(h.sent() == ["account to [0, 1, 2, 3]"])
        try h.reply(.account(id: first, lie), from: 0)
        try h.reply(.account(id: first, lie), from: 0)
        try h.reply(.account(id: first, view), from: 1)
        #expect(h.answers().isEmpty)
        try h.reply(.account(id: first, view), from: 3)
        #expect(h.answers().map(\.reply) == [.account(id: 5, view, agreeing: 2)])

        try h.ask(account, id: 6)
        try h.reply(.account(id: try id(), view), from: 2)
        h.advance(by: 305)
        #expect(h.answers().map(\.reply) == [.account(id: 6, view, agreeing: 1)])

        try h.ask(account, id: 7)
        h.advance(by: 305)
        #expect(h.answers().map(\.reply) == [.account(id: 7, nil, agreeing: 0)])
    }

    /// One seed, one behaviour: the output of two gateways with the same input is the same.
    @Test func equalInputsGiveEqualOutputs() throws {
        func run() throws -> [String] {
            var h = try Harness()
            var lines: [String] = []
            for number in 1...40 as ClosedRange<UInt64> {
                let request = h.request(Int(number % 2), 1, number: number)
                try h.submit(request, id: number)
                if number % 3 == 0 { try h.refuse(request, .conflict, shard: 1, hosts: [0, 1]) }
                h.advance(by: 50)
                if number % 2 == 0 { try h.attest(request, .votedYes, shard: 1, sequence: number, replicas: [0, 1]) }
                lines += h.sent()
                lines += h.answers().map { "\($0.session): \($0.reply)" }
            }
            return lines
        }
        #expect(try run() == run())
    }
}
