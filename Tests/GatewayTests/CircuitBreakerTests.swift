import Gateway
import Cores
import Messages
import Testing

@Suite struct CircuitBreakerTests {
    /// Not in an expectation, which cannot change what it looks at.
    private func opens(_ breaker: inout CircuitBreaker, _ milliseconds: UInt64) -> Bool {
        breaker.tick(now: at(milliseconds))
    }

    private func at(_ milliseconds: UInt64) -> Instant { Instant(uptime: milliseconds * 1_000_000, wall: .zero) }

    @Test func itOpensWhenAnAnswerIsOwedForLongAndLetsOneProbePassAtATime() {
        var breaker = CircuitBreaker(limits: .init(openAfter: 1_000_000_000, probeInterval: 200_000_000))
        let opensUnasked = opens(&breaker, 5000)
        #expect(!opensUnasked, "nothing was asked, so nothing is owed")
        breaker.noteSent(now: at(5000))
        breaker.noteSent(now: at(5900))
        let opened = [5999, 6000, 6001].map { opens(&breaker, $0) }
        #expect(opened == [false, true, false], "it opens once")
        #expect(!breaker.isClosed && breaker.delay(now: at(6150)) == 50_000_000)
        #expect(breaker.delay(now: at(6200)) == 0)
        breaker.pass(now: at(6250))
        #expect(breaker.delay(now: at(6251)) == 199_000_000, "the probe is on its way")
        // No answer: another probe, no sooner.
        #expect(breaker.delay(now: at(6450)) == 0)
        breaker.pass(now: at(6450))
        breaker.noteHeard()
        #expect(breaker.isClosed && breaker.delay(now: at(6451)) == 0)
        let opensAgain = opens(&breaker, 60_000)
        #expect(!opensAgain)
    }

    @Test func hearingFromTheShardStartsTheTimeAgain() {
        var breaker = CircuitBreaker(limits: .init(openAfter: 1_000_000_000, probeInterval: 200_000_000))
        for moment in stride(from: UInt64(0), to: 20_000, by: 900) {
            breaker.noteSent(now: at(moment))
            let isOpen = opens(&breaker, moment + 899)
            #expect(!isOpen)
            breaker.noteHeard()
        }
    }

    @Test func aHostThatIsBackIsReasonToTryAtOnce() {
        var breaker = CircuitBreaker(limits: .init(openAfter: 1_000_000_000, probeInterval: 60_000_000_000))
        breaker.noteReconnected(now: at(1))
        #expect(breaker.isClosed)
        breaker.noteSent(now: at(1))
        let isOpen = opens(&breaker, 2000)
        #expect(isOpen)
        #expect(breaker.delay(now: at(3000)) > 0)
        breaker.noteReconnected(now: at(3000))
        #expect(!breaker.isClosed && breaker.delay(now: at(3000)) == 0)
    }

    /// A window of two places a shard, both taken by transfers that wait for shard 1.
    private func stuck() throws -> Harness {
        var options = GatewayOptions()
        options.limits = .init(window: 2, queue: 10, perPrincipal: 100)
        var h = try Harness(options: options)
        for number in 1...2 as ClosedRange<UInt64> {
            let request = h.request(0, 1, number: number, deadline: 60_000)
            try h.submit(request, id: number)
            try h.attest(request, .votedYes, shard: 0, sequence: number)
        }
        #expect(h.sent() == Array(repeating: "submit [0, 1] to [0, 1, 2, 3]", count: 2))
        return h
    }

    @Test func whatIsStuckOnASilentShardGivesItsPlacesOnOthersBack() throws {
        var h = try stuck()
        try h.submit(h.request(0, 0, number: 3, deadline: 60_000), id: 3)
        h.advance(by: 9900)
        #expect(!h.sent().contains { $0.hasPrefix("submit [0] ") }, "the window of shard 0 is full")
        h.advance(by: 200)
        #expect(h.sent() == ["submit [0] to [0, 1, 2, 3]"])
        #expect(h.answers().isEmpty, "what was sent may have happened: it waits for its outcome")
        #expect(h.gateway.heldRequests == 3)
    }

    @Test func whatWasNotSentToASilentShardIsRefusedAndOtherShardsGoOn() throws {
        var h = try stuck()
        try h.submit(h.request(0, 1, number: 3, deadline: 60_000), id: 3)
        #expect(h.answers().isEmpty)
        h.advance(by: 10_000)
        guard case .rejected(3, .shardUnavailable, let retryAfter)? = h.answers().first?.reply else {
            Issue.record("the queued request was not refused")
            return
        }
        #expect(retryAfter > 1_000_000 && retryAfter <= 2_000_000)
        _ = h.sent()
        try h.submit(h.request(1, 1, number: 4, deadline: 60_000), id: 4)
        try h.submit(h.request(0, 1, number: 5, deadline: 60_000), id: 5)
        #expect(h.answers().map(\.reply.rejection) == [.shardUnavailable, .shardUnavailable])
        #expect(h.sent().isEmpty)
        let well = h.request(0, 0, number: 6, deadline: 60_000)
        try h.submit(well, id: 6)
        #expect(h.sent() == ["submit [0] to [0, 1, 2, 3]"])
        try h.attest(well, .committed, shard: 0, sequence: 9)
        #expect(h.answers().first?.reply.receipt != nil)
    }

    @Test func probesGoOneAtATimeAndACertificateClosesTheBreaker() throws {
        var h = try stuck()
        h.advance(by: 10_000)
        _ = h.sent()
        // Both transfers would be sent again after 12.2 s.
        h.advance(by: 2150)
        #expect(h.sent().isEmpty)
        h.advance(by: 200)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
        h.advance(by: 1800)
        #expect(h.sent().isEmpty)
        h.advance(by: 600)
        #expect(h.sent() == ["submit [1] to [0, 1, 2, 3]"])
        try h.attest(h.request(0, 1, number: 1, deadline: 60_000), .votedYes, shard: 1, sequence: 1)
        #expect(h.answers().first?.reply.receipt?.decision(ofLeg: 0, in: h.manifest.shardMap) == .commit)
        _ = h.sent()
        try h.submit(h.request(1, 1, number: 7, deadline: 60_000), id: 7)
        try h.submit(h.request(1, 1, number: 8, deadline: 60_000), id: 8)
        #expect(h.sent() == Array(repeating: "submit [1] to [0, 1, 2, 3]", count: 2))
        #expect(h.answers().isEmpty)
    }

    /// Replicas of a shard without quorum can still say that they are overloaded, and one liar can say anything.
    @Test func onlyWhatAQuorumMustHaveOrderedCountsAsLife() throws {
        var h = try stuck()
        let request = h.request(0, 1, number: 1, deadline: 60_000)
        h.advance(by: 9000)
        try h.refuse(request, .conflict, shard: 1, hosts: [2], legs: [0])
        // Correct, and without a quorum: the liar's word and this one are two, but not two that say that it was
        // ordered.
        try h.refuse(request, .overloaded, shard: 1, hosts: [1])
        h.advance(by: 1000)
        try h.submit(h.request(1, 1, number: 3, deadline: 60_000), id: 3)
        #expect(h.answers().map(\.reply.rejection) == [.shardUnavailable])

        var other = try stuck()
        other.advance(by: 9000)
        try other.refuse(request, .overloaded, shard: 1, hosts: [2, 3], legs: [0])
        other.advance(by: 1000)
        try other.submit(other.request(1, 1, number: 3, deadline: 60_000), id: 3)
        #expect(other.answers().isEmpty)
    }
}
