import Messages
import PBFT
import Testing

/// Pre-prepare, prepare, commit (PBFT, OSDI '99 §4.2).
@Suite struct NormalCaseTests {
    private let shard = TestGroup.shard

    @Test(arguments: [4, 7, 10])
    func aBatchIsExecutedByAllInThreePhases(n: Int) throws {
        var group = TestGroup(n: n)
        let batch = try group.propose(0)
        try group.deliver()
        for i in 0..<n {
            #expect(group.nodes[i].executed == [SequenceNumber(1)])
            #expect(group.nodes[i].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
        }
        // One PRE-PREPARE; n PREPAREs, one by the primary; n COMMITs.
        let said = group.nodes.flatMap { $0.said.map(\.message) }
        #expect(said.count { if case .prePrepare = $0 { true } else { false } } == 1)
        #expect(said.count { if case .prepare = $0 { true } else { false } } == n)
        #expect(said.count { if case .commit = $0 { true } else { false } } == n)
    }

    @Test(arguments: [4, 7, 10])
    func fSilentReplicasStopNothingAndOneMoreStopsEverything(n: Int) throws {
        var group = TestGroup(n: n)
        for i in 0..<group.group.f { group.cut(n - 1 - i) }
        try group.propose(0)
        try group.deliver()
        #expect(group.lastExecuted(0) == 1)
        group.cut(n - 1 - group.group.f)
        try group.propose(0)
        try group.deliver()
        #expect((0..<n).allSatisfy { group.lastExecuted($0) <= 1 })
    }

    @Test func batchesAreExecutedInOrderWhateverOrderTheyArriveIn() throws {
        var group = TestGroup()
        for _ in 0..<8 { try group.propose(0) }
        while let packet = group.network.popLast() { try group.receive(packet.to, from: packet.from, packet.message) }
        for i in 0..<4 { #expect(group.nodes[i].executed == (1...8).map { SequenceNumber($0) }) }
    }

    @Test func thePrimaryProposesNoMoreThanThePipelineHolds() throws {
        var group = TestGroup { $0.pipelineDepth = 2 }
        try group.propose(0)
        #expect(group.nodes[0].replica?.canPropose == true)
        try group.propose(0)
        #expect(group.nodes[0].replica?.canPropose == false)
        try group.deliver()
        #expect(group.nodes[0].replica?.canPropose == true)
        #expect(group.nodes[1].replica?.canPropose == false, "a backup never proposes")
    }

    @Test func noVoteLeavesBeforeItsRecord() throws {
        // R3: PREPARE and COMMIT wait for their records, so they are in `held` and never in `sends`. PRE-PREPARE does
        // not, from the second one of a new shard on.
        var group = TestGroup()
        group.syncsAtOnce = false
        let batch = group.freshBatch()
        let first = SequenceNumber(1)
        let vote = Vote(view: View(0), sequence: first, digest: batch.digest)
        let prePrepare = PBFTMessage.prePrepare(PrePrepare(view: View(0), sequence: first, batch: batch))

        let proposed = try group.step(0, .propose(batch))
        #expect(proposed.records == [.prePrepared(view: View(0), sequence: first, batch)])
        #expect(proposed.held == [prePrepare, .prepare(vote.vouched)])
        #expect(proposed.sends.isEmpty)

        let prePrepared = try group.receive(1, from: 0, prePrepare)
        #expect(prePrepared.records == [.prePrepared(view: View(0), sequence: first, batch)])
        #expect(prePrepared.held == [.prepare(vote.vouched)])
        #expect(prePrepared.sends.isEmpty)

        for from in [0, 2] { try group.receive(1, from: from, .prepare(vote.vouched)) }
        let prepared = try group.receive(1, from: 3, .prepare(vote.vouched))
        #expect(prepared.records == [.prepared(view: View(0), sequence: first, batch.digest)])
        #expect(prepared.held == [.commit(vote)])
        #expect(prepared.sends.isEmpty)
        #expect(group.network.isEmpty)
    }

    @Test func aProposalLeavesBesideItsSync() throws {
        var group = TestGroup()
        try group.propose(0)
        try group.deliver()
        group.syncsAtOnce = false
        let batch = group.freshBatch()
        let second = SequenceNumber(2)
        let vote = Vote(view: View(0), sequence: second, digest: batch.digest)
        let proposed = try group.step(0, .propose(batch))
        #expect(
            proposed.sends.map(\.message) == [
                .prePrepare(PrePrepare(view: View(0), sequence: second, batch: batch))
            ])
        #expect(proposed.held == [.prepare(vote.vouched)])
        try group.deliver()
        // Three backups are a quorum without the primary, whose disk is the slowest.
        for i in 1..<4 { try group.sync(i) }
        try group.deliver()
        for i in 1..<4 { try group.sync(i) }
        try group.deliver()
        for i in 0..<4 { #expect(group.lastExecuted(i) == 2, "replica \(i)") }
        #expect(!group.nodes[0].said.contains { $0.message == .prepare(vote.vouched) })
    }

    @Test func theOwnVoteCountsOnlyWhenItIsDurable() throws {
        // R3: a vote that a crash may take back must not complete a quorum on which something already rests.
        var group = TestGroup()
        group.syncsAtOnce = false
        let batch = group.freshBatch()
        let vote = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest)
        try group.receive(1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)))
        // With its own, 2f + 1 prepares; without, one too few.
        #expect(try group.receive(1, from: 0, .prepare(vote.vouched)).held.isEmpty)
        #expect(try group.receive(1, from: 2, .prepare(vote.vouched)).held.isEmpty)
        let prepared = try group.step(1, .durable(.prepare(vote.vouched)))
        #expect(prepared.held == [.commit(vote)])
        // With its own, 2f + 1 commits.
        try group.receive(1, from: 0, .commit(vote))
        #expect(try group.receive(1, from: 2, .commit(vote)).executes.isEmpty)
        #expect(try group.step(1, .durable(.commit(vote))).executes.count == 1)
    }

    @Test func aPrePrepareThatConflictsIsDropped() throws {
        var group = TestGroup()
        let (a, b) = (group.freshBatch(), group.freshBatch())
        let first = SequenceNumber(1)
        try group.receive(1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: first, batch: a)))
        let second = try group.receive(1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: first, batch: b)))
        #expect(second.held.isEmpty && second.records.isEmpty)
        #expect(second.drops.map(\.1) == [.conflictingPrePrepare(first)])
    }

    @Test func onlyThePrimaryPrePrepares() throws {
        var group = TestGroup()
        let prePrepare = PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: group.freshBatch())
        let ready = try group.receive(1, from: 2, .prePrepare(prePrepare))
        #expect(ready.held.isEmpty)
        #expect(ready.drops.map(\.1) == [.notFromPrimary(ReplicaIndex(2))])
    }

    @Test func aPrePrepareIsNoVote() throws {
        // Its record may be lost yet. The primary's PREPARE, which comes when it is not, counts like any other.
        var group = TestGroup()
        let batch = group.freshBatch()
        let vote = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest)
        try group.receive(1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)))
        #expect(try group.receive(1, from: 3, .prepare(vote.vouched)).held.isEmpty, "PRE-PREPARE and two PREPAREs")
        let ready = try group.receive(1, from: 0, .prepare(vote.vouched))
        #expect(ready.drops.isEmpty && ready.held == [.commit(vote)])
    }

    @Test func aSecondVoteForAnotherDigestIsDropped() throws {
        var group = TestGroup()
        let (a, b) = (group.freshBatch().digest, group.freshBatch().digest)
        let first = SequenceNumber(1)
        let votes: [(Vote) -> PBFTMessage] = [{ .prepare($0.vouched) }, { .commit($0) }]
        for message in votes {
            try group.receive(1, from: 2, message(Vote(view: View(0), sequence: first, digest: a)))
            let second = try group.receive(1, from: 2, message(Vote(view: View(0), sequence: first, digest: b)))
            #expect(second.drops.map(\.1) == [.conflictingVote(first, ReplicaIndex(2))])
        }
    }

    /// Equivocation about whether it vouches: the vote counts once, and nobody is held to have voted for two batches.
    @Test(arguments: [false, true]) func whoVouchesAndDoesNotHasVotedOnce(vouchesFirst: Bool) throws {
        var group = TestGroup()
        let batch = group.freshBatch()
        let vote = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest)
        try group.receive(1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)))
        for vouches in [vouchesFirst, !vouchesFirst] {
            let ready = try group.receive(1, from: 3, .prepare(Prepare(vote, vouches: vouches)))
            #expect(ready.drops.isEmpty)
        }
        #expect(!group.nodes[1].said.contains { $0.message == .commit(vote) }, "with its own, two")
        try group.receive(1, from: 2, .prepare(vote.vouched))
        #expect(group.nodes[1].said.contains { $0.message == .commit(vote) }, "with its own, 2f + 1")
    }

    /// Every split of three backups between two proposals, and a primary that commits to both.
    @Test(arguments: 0..<8)
    func anEquivocatingPrimaryCannotGetTwoBatchesCommitted(split: Int) throws {
        var group = TestGroup()
        let batches = [group.freshBatch(), group.freshBatch()]
        let first = SequenceNumber(1)
        group.crash(0)
        for i in 1..<4 {
            let mine = batches[split >> (i - 1) & 1]
            try group.receive(i, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: first, batch: mine)))
        }
        try group.deliver { $0.to != 0 }
        for i in 1..<4 {
            for batch in [batches[split >> (i - 1) & 1], batches[0], batches[1]] {
                try group.receive(i, from: 0, .commit(Vote(view: View(0), sequence: first, digest: batch.digest)))
            }
        }
        // `TestGroup` fails the test if two replicas execute different batches.
        try group.deliver { $0.to != 0 }
        let executed = (1..<4).count { group.lastExecuted($0) == 1 }
        if split == 0 || split == 7 { #expect(executed == 3, "all backups got the same batch") }
        // And a view change does not turn it round.
        group.everybodyWaits()
        try group.run(milliseconds: 3000)
        for i in 1..<4 { #expect(group.view(i) >= 1) }
    }

    @Test func onlySequenceNumbersBetweenTheWatermarksAreAccepted() throws {
        var group = TestGroup()
        func prePrepare(_ number: UInt64) -> PBFTMessage {
            .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(number), batch: group.freshBatch()))
        }
        #expect(try group.receive(1, from: 0, prePrepare(16)).held.count == 1)
        let beyond = try group.receive(1, from: 0, prePrepare(17))
        #expect(beyond.held.isEmpty)
        #expect(
            beyond.drops.map(\.1) == [.outsideWatermarks(got: SequenceNumber(17), low: .zero, high: SequenceNumber(16))]
        )
        #expect(try group.receive(1, from: 0, prePrepare(0)).held.isEmpty)
        #expect(try group.receive(1, from: 0, prePrepare(.max)).held.isEmpty)
        let vote = Vote(view: View(0), sequence: SequenceNumber(.max), digest: .null)
        #expect(try group.receive(1, from: 0, .commit(vote)).drops.count == 1)
    }

    @Test func aFreshProposalsTimeIsBounded() throws {
        // R2: the bound applies to fresh proposals.
        for (offset, isAccepted) in [(5_000_000, true), (5_000_001, false), (-2_500_000, true), (-2_500_001, false)] {
            var group = TestGroup()
            let local = group.now.wall
            let time = Timestamp(UInt64(Int64(local.number) + Int64(offset)))
            let message = PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: Batch(time: time, items: []))
            let ready = try group.receive(1, from: 0, .prePrepare(message))
            #expect(ready.held.isEmpty != isAccepted)
            #expect(ready.drops.map(\.1) == (isAccepted ? [] : [.timeOutOfBounds(got: time, local: local)]))
        }
    }

    /// All clocks were ahead and are put right: the shard's time stands ahead of them (R2, docs/decisions/0027). A
    /// primary proposes its clock, and may propose a time that was executed; not a microsecond more, or it would move
    /// the time on while clocks stand behind it; and its own clock is bounded as ever.
    @Test(arguments: [30_000_000, 3_600_000_000 as Int64])
    func whereTheShardsTimeIsAheadOfTheClocksBatchesGoOn(standing: Int64) throws {
        for (offset, isAccepted) in [
            (0, true), (standing, true), (standing + 1, false), (standing - 1, true), (5_000_000, true),
            (-2_500_000, true),
            (-2_500_001, false),
        ] {
            var group = TestGroup()
            let local = group.now.wall
            func at(_ offset: Int64) -> Timestamp { Timestamp(UInt64(Int64(local.number) + offset)) }
            group.nodes[1].replica?.certainTime = at(standing)
            let message = PrePrepare(
                view: View(0), sequence: SequenceNumber(1), batch: Batch(time: at(offset), items: []))
            let ready = try group.receive(1, from: 0, .prePrepare(message))
            #expect(ready.held.isEmpty != isAccepted, "\(offset)")
            #expect(ready.drops.map(\.1) == (isAccepted ? [] : [.timeOutOfBounds(got: at(offset), local: local)]))
        }
    }

    @Test func clocksThatWereAheadAndArePutRightStopNobody() throws {
        var group = TestGroup()
        group.wallAhead = 3_600_000_000
        try group.propose(0)
        try group.run(milliseconds: 100)
        group.wallAhead = 0
        try group.propose(0)
        try group.run(milliseconds: 100)
        #expect((0..<4).map { group.lastExecuted($0) } == [2, 2, 2, 2])
        try group.run(milliseconds: 5000)
        #expect((0..<4).allSatisfy { group.view($0) == 0 })
    }

    @Test func onlyAViewChangeMakesNullRequests() throws {
        var group = TestGroup()
        let ready = try group.receive(
            1, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: .null)))
        #expect(ready.held.isEmpty && ready.drops.count == 1)
    }

    @Test func messagesOfTheNextViewWaitForItWithinABound() throws {
        var group = TestGroup { $0.futureMessagesPerPeer = 4 }
        // Replica 3 hears nothing of the view change, only of what is ordered in view 1.
        group.crash(0)
        group.everybodyWaits()
        func isForThree(_ packet: TestGroup.Packet) -> Bool { packet.to == 3 }
        try group.step(1, .message(from: ReplicaIndex(3), try group.verified(.suspect(View(0)))))
        try group.step(2, .message(from: ReplicaIndex(3), try group.verified(.suspect(View(0)))))
        for _ in 0..<60 {
            group.uptime += 20_000_000
            for i in 1..<3 { try group.tick(i) }
            try group.deliver { !isForThree($0) }
        }
        #expect(group.view(1) == 1 && group.isChangingView(1))
        // The third VIEW-CHANGE is replica 3's, which also hears the others' now, but not the NEW-VIEW.
        var newView: PBFTMessage?
        for i in 1..<3 {
            guard let viewChange = group.nodes[i].said.last?.message else { continue }
            try group.receive(3, from: i, viewChange)
        }
        try group.deliver { packet in
            if case .newView = packet.message, packet.to == 3 {
                newView = packet.message
                return false
            }
            return true
        }
        let batch = try group.propose(1)
        try group.deliver()
        #expect(group.isChangingView(3) && group.lastExecuted(3) == 0)
        // One PRE-PREPARE, one PREPARE, two COMMITs wait. More from one peer than the bound is dropped.
        for number in 2...9 {
            try group.receive(
                3, from: 2,
                .prepare(Vote(view: View(1), sequence: SequenceNumber(UInt64(number)), digest: .null).vouched))
        }
        #expect(group.nodes[3].drops.map(\.1).contains(.changingView))
        try group.receive(3, from: 1, try #require(newView))
        try group.deliver()
        #expect(group.nodes[3].replica?.executedDigest(at: SequenceNumber(1)) == batch.digest)
    }
}
