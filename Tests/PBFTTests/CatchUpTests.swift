import Messages
import PBFT
import Testing

/// Status messages that repair loss, and catching up on committed batches (TOCS '02 §5.2; R1).
@Suite struct CatchUpTests {
    @Test(arguments: [3, 12, 100, 300])
    func aReplicaThatWasCutOffCatchesUpOnTheWordOfFPlusOne(count: Int) throws {
        var group = TestGroup()
        group.cut(3)
        for _ in 0..<count {
            try group.propose(0)
            try group.deliver()
        }
        #expect(group.lastExecuted(3) == 0)
        group.cut(3, false)
        try group.run(milliseconds: 3000)
        #expect(group.lastExecuted(3) == UInt64(count))
        #expect(group.nodes[3].replica?.stable == group.nodes[0].replica?.stable)
        for i in 0..<4 { #expect(group.view(i) == 0) }
        // It takes part again: without another one, it is needed.
        group.cut(2)
        try group.propose(0)
        try group.run(milliseconds: 1000)
        #expect(group.lastExecuted(3) == UInt64(count) + 1)
    }

    /// Replica 1 alone, that knows from two statuses that it is behind and has asked.
    private func fetchingReplica() throws -> (TestGroup, [Batch]) {
        let (group, batches, _) = try fetchingReplicaAndSender()
        return (group, batches)
    }

    private func fetchingReplicaAndSender() throws -> (TestGroup, [Batch], sender: Int) {
        var group = TestGroup()
        group.uptime = 1_000_000_000
        let batches = (0..<5).map { _ in group.freshBatch() }
        let status = Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(5), stable: .zero)
        for from in [2, 3] { try group.receive(1, from: from, .status(status)) }
        group.uptime += 400_000_000
        let ready = try group.step(1, .tick(oldestPending: nil, primaryReachable: true))
        let asked = ready.sends.filter { if case .fetchCommitted = $0.message { true } else { false } }
        #expect(asked.count == 3, "everybody says what is committed")
        let bodies = asked.filter { if case .fetchCommitted(let fetch) = $0.message { fetch.bodies } else { false } }
        #expect(bodies.count == 1, "one sends the bodies")
        guard case .one(let sender)? = bodies.first?.to else {
            throw TestGroup.Failure(description: "nobody sends bodies")
        }
        return (group, batches, sender.index)
    }

    /// A state for which only f + 1 vouch is right, but perhaps not stable: what was voted for below it may still be
    /// needed.
    @Test func aStateThatIsPerhapsNotStableLeavesTheWatermarksWhereTheyAre() throws {
        var group = TestGroup()
        let batch = group.freshBatch()
        try group.receive(3, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(2), batch: batch)))
        for from in [1, 2] {
            try group.receive(
                3, from: from,
                .prepare(Vote(view: View(0), sequence: SequenceNumber(2), digest: batch.digest).vouched))
        }
        let state = Checkpoint(sequence: SequenceNumber(4), digest: batch.digest)
        group.nodes[3].base = state
        group.nodes[3].states[state.sequence] = state.digest
        try group.step(3, .stateInstalled(state, isStable: false))
        func check(_ group: TestGroup) throws {
            let replica = try #require(group.nodes[3].replica)
            #expect(replica.lastExecuted == SequenceNumber(4) && replica.stable.sequence == .zero)
            #expect(replica.liveRecords().contains(.prepared(view: View(0), sequence: SequenceNumber(2), batch.digest)))
        }
        try check(group)
        // It vouches for the state itself.
        #expect(group.nodes[3].said.contains { $0.message == .checkpoint(state) })
        // A journal that knows of a lower stable checkpoint keeps what lies between over a restart.
        group.nodes[3].durable.insert(.stable(Checkpoint(sequence: .zero, digest: .null)), at: 0)
        group.crash(3)
        try group.restart(3)
        try check(group)
        // 2f + 1 make it stable.
        for from in [0, 1, 2] { try group.receive(3, from: from, .checkpoint(state)) }
        #expect(group.nodes[3].replica?.stable == state)
    }

    private func claims(_ batches: [Batch]) -> PBFTMessage {
        .committed(CommittedClaims(from: SequenceNumber(1), digests: batches.map(\.digest)))
    }

    @Test func aLoneLiarsClaimsAreNotExecuted() throws {
        var (group, batches) = try fetchingReplica()
        let lies = batches.map { _ in group.freshBatch() }
        try group.receive(1, from: 2, claims(lies))
        for batch in lies { try group.receive(1, from: 2, .committedBody(batch)) }
        try group.receive(1, from: 3, claims(batches))
        for batch in batches { try group.receive(1, from: 3, .committedBody(batch)) }
        #expect(group.lastExecuted(1) == 0)
        // Saying it twice does not make the liar two.
        try group.receive(1, from: 2, claims(lies))
        #expect(group.lastExecuted(1) == 0)
        let ready = try group.receive(1, from: 0, claims(batches))
        #expect(ready.executes.map(\.batch) == batches)
        // The journal can rebuild them.
        #expect(ready.records.count { if case .committedBody = $0 { true } else { false } } == 5)
    }

    /// Nobody checked its signatures: it must not stand for a body that was asked for by digest and is voted on.
    @Test func aBodyOfClaimsServesClaimsAlone() throws {
        var (group, batches) = try fetchingReplica()
        try group.receive(1, from: 2, claims(batches))
        for batch in batches {
            #expect(try group.receive(1, from: 2, .batch(batch)).drops.map(\.1) == [.notAsked])
            #expect(try group.receive(1, from: 2, .committedBody(batch)).drops.isEmpty)
        }
        #expect(try group.receive(1, from: 3, claims(batches)).executes.map(\.batch) == batches)
    }

    /// A sender that says something useless now and then does not keep its turn.
    @Test func whoSendsBodiesThatAreOfNoUseLosesItsTurn() throws {
        var (group, batches, sender) = try fetchingReplicaAndSender()
        let lies = batches.map { _ in group.freshBatch() }
        try group.receive(1, from: sender, claims(lies))
        for from in [0, 2, 3] where from != sender { try group.receive(1, from: from, claims(batches)) }
        group.uptime += group.limits.fetchTimeout / 2
        try group.receive(1, from: sender, .committedBody(lies[0]))
        group.uptime += group.limits.fetchTimeout / 2 + 1
        let next = try group.step(1, .tick(oldestPending: nil, primaryReachable: true)).sends.compactMap {
            outgoing -> Int? in
            guard case .fetchCommitted(let fetch) = outgoing.message, fetch.bodies, case .one(let peer) = outgoing.to
            else { return nil }
            return peer.index
        }
        #expect(next.count == 1 && next != [sender])
        // Of no use either: executed by nobody, claimed by one.
        #expect(group.lastExecuted(1) == 0)
    }

    /// A range that the sender's bound on bytes cut short: the rest is asked for as soon as what came is executed.
    @Test func afterAShorterAnswerTheNextQuestionDoesNotWait() throws {
        var (group, batches, sender) = try fetchingReplicaAndSender()
        // The others name more than the one who sends the bodies.
        for from in [0, 2, 3] where from != sender { try group.receive(1, from: from, claims(batches)) }
        try group.receive(1, from: sender, claims(Array(batches.prefix(2))))
        try group.receive(1, from: sender, .committedBody(batches[0]))
        let ready = try group.receive(1, from: sender, .committedBody(batches[1]))
        #expect(group.lastExecuted(1) == 2)
        let next = ready.sends.compactMap { if case .fetchCommitted(let fetch) = $0.message { fetch } else { nil } }
        #expect(next.count == 3 && next.allSatisfy { $0.from == SequenceNumber(3) })
        #expect(next.count(where: \.bodies) == 1)
        // A late answer to the first question is not one to this.
        #expect(try group.receive(1, from: sender, claims(batches)).drops.map(\.1) == [.notAsked])
    }

    @Test func aLoneReplicaThatSaysItIsAheadIsNotFollowed() throws {
        var group = TestGroup()
        let status = Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(.max), stable: .zero)
        try group.receive(1, from: 2, .status(status))
        group.uptime += 10_000_000_000
        let ready = try group.step(1, .tick(oldestPending: nil, primaryReachable: true))
        #expect(!ready.sends.contains { if case .fetchCommitted = $0.message { true } else { false } })
    }

    @Test func whatWasNotAskedForIsDropped() throws {
        var group = TestGroup()
        let batch = group.freshBatch()
        #expect(try group.receive(1, from: 2, .batch(batch)).drops.map(\.1) == [.notAsked])
        #expect(try group.receive(1, from: 2, .committedBody(batch)).drops.map(\.1) == [.notAsked])
        #expect(try group.receive(1, from: 2, claims([batch])).drops.map(\.1) == [.notAsked])
    }

    @Test func claimsOfAnyShapeAreHarmless() throws {
        var (group, batches) = try fetchingReplica()
        let shapes: [CommittedClaims] = [
            .init(from: SequenceNumber(.max), digests: [.null, .null]), .init(from: SequenceNumber(.max), digests: []),
            .init(from: .zero, digests: [.null, .null]), .init(from: SequenceNumber(900), digests: [.null]),
        ]
        for claims in shapes { try group.receive(1, from: 2, .committed(claims)) }
        for fetch in [
            FetchCommitted(from: SequenceNumber(.max), count: .max, bodies: true),
            .init(from: .zero, count: .max, bodies: true),
            .init(from: SequenceNumber(1), count: 0, bodies: true),
        ] {
            group.uptime += 1_000_000_000
            try group.receive(1, from: 2, .fetchCommitted(fetch))
        }
        for from in [0, 3] { try group.receive(1, from: from, claims(batches)) }
        for batch in batches { try group.receive(1, from: 0, .committedBody(batch)) }
        #expect(group.lastExecuted(1) == 5)
    }

    @Test func oneRangeIsAnsweredSeldom() throws {
        // An answer is much larger than a question: a faulty peer gets few.
        var group = TestGroup()
        try group.propose(0)
        try group.deliver()
        let question = PBFTMessage.fetchCommitted(FetchCommitted(from: SequenceNumber(1), count: 9, bodies: true))
        #expect(try group.receive(1, from: 2, question).sends.count == 2)
        for _ in 0..<10 { #expect(try group.receive(1, from: 2, question).sends.isEmpty) }
        group.uptime += group.limits.fetchTimeout
        #expect(try group.receive(1, from: 2, question).sends.count == 2)
    }

    @Test func batchesBeyondTheBoundAreForgottenAndAStateIsFetchedInstead() throws {
        var group = TestGroup { $0.retainedBatches = 6 }
        group.cut(3)
        for _ in 0..<40 {
            try group.propose(0)
            try group.deliver()
        }
        #expect(group.nodes[0].replica?.executedDigest(at: SequenceNumber(34)) == nil)
        #expect(group.nodes[0].replica?.executedDigest(at: SequenceNumber(35)) != nil)
        group.cut(3, false)
        try group.run(milliseconds: 2000)
        #expect(group.lastExecuted(3) == 0)
        #expect(group.nodes[3].needsState == SequenceNumber(1))
        try group.installState(3)
        try group.propose(0)
        try group.run(milliseconds: 2000)
        #expect(group.lastExecuted(3) == 41)
    }

    @Test func whatIsNotInTheStoreIsKeptWhateverTheBound() throws {
        var group = TestGroup { $0.retainedBatches = 6 }
        group.flushesAtOnce = false
        for _ in 0..<40 {
            try group.propose(0)
            try group.deliver()
        }
        let live = try #require(group.nodes[1].replica).liveRecords()
        #expect(live.count { if case .committedBody = $0 { true } else { false } } == 40)
        try group.flush(1)
        #expect(group.nodes[1].replica?.executedDigest(at: SequenceNumber(34)) == nil)
        #expect(try #require(group.nodes[1].replica).liveRecords().count == 1)
    }

    /// Loses the first copies of one kind of message altogether; status messages bring them back.
    @Test(arguments: ["PRE-PREPARE", "PREPARE", "COMMIT", "CHECKPOINT"])
    func statusMessagesRepairLoss(kind: String) throws {
        var group = TestGroup()
        func isLost(_ message: PBFTMessage) -> Bool {
            switch message {
            case .prePrepare: kind == "PRE-PREPARE"
            case .prepare: kind == "PREPARE"
            case .commit: kind == "COMMIT"
            case .checkpoint: kind == "CHECKPOINT"
            case .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted, .committed,
                .committedBody, .resumed, .recollection:
                false
            }
        }
        for _ in 0..<4 { try group.propose(0) }
        try group.deliver { !isLost($0.message) }
        try group.run(milliseconds: 2500)
        for i in 0..<4 {
            #expect(group.lastExecuted(i) == 4)
            #expect(group.nodes[i].replica?.stable.sequence == SequenceNumber(4))
            #expect(group.view(i) == 0)
        }
    }

    @Test(arguments: ["VIEW-CHANGE", "NEW-VIEW"])
    func statusMessagesRepairAViewChange(kind: String) throws {
        var group = TestGroup()
        group.crash(0)
        group.everybodyWaits()
        let end = group.uptime + 1_400_000_000
        while group.uptime < end {
            group.uptime += 20_000_000
            for i in 0..<4 { try group.tick(i) }
            try group.deliver {
                switch $0.message {
                case .viewChange: kind != "VIEW-CHANGE"
                case .newView: kind != "NEW-VIEW"
                default: true
                }
            }
        }
        try group.run(milliseconds: 1000)
        for i in 1..<4 { #expect(group.view(i) == 1 && !group.isChangingView(i)) }
    }
}

extension TestGroup {
    /// The newest state that a peer has in its store, in place of a state transfer.
    mutating func installState(_ i: Int) throws {
        guard let source = live.filter({ $0 != i }).max(by: { nodes[$0].base.sequence < nodes[$1].base.sequence })
        else { return }
        let base = nodes[source].base
        guard base.sequence.number > lastExecuted(i) else { return }
        nodes[i].base = base
        nodes[i].states[base.sequence] = base.digest
        nodes[i].needsState = nil
        try step(i, .stateInstalled(base, isStable: true))
    }
}
