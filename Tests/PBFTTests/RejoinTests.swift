import Messages
import PBFT
import TestSignatures
import Testing

/// R4: a replica that may have forgotten votes takes no part until nothing that it could have voted for is open, and
/// its peers do not count it meanwhile.
@Suite struct RejoinTests {
    /// Replica 3 has voted for five batches, has lost its journal and has started again.
    private func groupWithForgetfulReplica() throws -> TestGroup {
        var group = TestGroup()
        for _ in 0..<5 { try group.propose(0) }
        try group.deliver()
        group.crash(3)
        group.nodes[3].said = []
        group.uptime += 1_000_000_000
        try group.restart(3, losingJournal: true)
        return group
    }

    private func standing(_ group: TestGroup, _ i: Int) -> Standing? { group.nodes[i].replica?.standing }

    /// As a host does with an idle shard: the primary orders something while a peer waits for it.
    private func orderWhatIsAwaited(_ group: inout TestGroup) throws {
        for _ in 0..<500 {
            try group.run(milliseconds: 100)
            guard let primary = group.primary, group.nodes[primary].replica?.isAwaited(now: group.now) == true else {
                continue
            }
            try group.propose(primary)
            try group.deliver()
        }
    }

    @Test func aReplicaThatForgotIsSilentUntilTheShardIsBeyondWhateverItVotedFor() throws {
        var group = try groupWithForgetfulReplica()
        #expect(standing(group, 3) == .quarantined(until: nil))
        try group.run(milliseconds: 1000)
        // The others' stable checkpoint is 4: it voted for nothing above 4 + 2 L.
        #expect(standing(group, 3) == .quarantined(until: SequenceNumber(36)))
        for number in UInt64(6)...39 {
            try group.propose(0)
            try group.run(milliseconds: 100)
            let spoke = group.nodes[3].said.contains { if case .recollection = $0.message { false } else { true } }
            if number < 36 {
                #expect(!spoke && group.nodes[3].replica?.mayAttest == false, "at \(number)")
                #expect(standing(group, 3)?.isQuarantined == true)
            }
        }
        #expect(standing(group, 3) == .full && group.nodes[3].replica?.mayAttest == true)
        // It is a member again: with another one gone, nothing is ordered without it.
        group.cut(2)
        try group.propose(0)
        try group.run(milliseconds: 1000)
        #expect(group.lastExecuted(0) == 40 && group.lastExecuted(3) == 40)
    }

    @Test func anIdlePrimaryMovesTheShardOnForIt() throws {
        var group = try groupWithForgetfulReplica()
        #expect(group.nodes[0].replica?.isAwaited(now: group.now) == false)
        try orderWhatIsAwaited(&group)
        #expect(standing(group, 3) == .full)
        #expect(group.lastExecuted(0) >= 36 && group.lastExecuted(0) < 44, "no further than needed")
        #expect(group.nodes[0].replica?.isAwaited(now: group.now) == false)
    }

    /// Two of seven are faulty: one forgot, and the primary sees that it waits and orders nothing. Nothing else waits.
    @Test func anIdlePrimaryThatMovesNothingIsReplacedThoughNoRequestWaits() throws {
        var group = TestGroup(n: 7)
        for _ in 0..<5 { try group.propose(0) }
        try group.deliver()
        group.crash(6)
        group.uptime += 1_000_000_000
        try group.restart(6, losingJournal: true)
        try group.run(milliseconds: 7000)
        #expect((0..<6).allSatisfy { group.view($0) == 0 }, "a primary has time to hear of it")
        try group.run(milliseconds: 3000)
        #expect((0..<6).allSatisfy { group.view($0) == 1 })
        try orderWhatIsAwaited(&group)
        #expect(standing(group, 6) == .full)
        // Who waits for nothing makes nobody suspect anybody.
        try group.run(milliseconds: 20_000)
        #expect((0..<7).allSatisfy { group.view($0) == 1 })
    }

    @Test func aPrimaryThatTakesNoPartIsReplacedByOneThatMovesTheShardOn() throws {
        // Nothing waits to be ordered: what it awaits is what the others suspect it for.
        var group = TestGroup()
        for _ in 0..<5 { try group.propose(0) }
        try group.deliver()
        group.crash(0)
        try group.restart(0, losingJournal: true)
        try orderWhatIsAwaited(&group)
        #expect((0..<4).allSatisfy { group.view($0) == 1 })
        #expect(standing(group, 0) == .full)
    }

    /// A peer that lies tells everybody but the primary that it waits for an idle shard to move.
    @Test func whoPretendsToWaitForTheShardToMoveMakesNoWaitLonger() throws {
        var group = TestGroup()
        for _ in 0..<5 { try group.propose(0) }
        try group.deliver()
        group.loses = { packet in
            guard packet.from == 3, case .status = packet.message else { return false }
            return true
        }
        for _ in 0..<300 {
            try group.run(milliseconds: 200)
            let view = View(group.view(0))
            let lie = Status(
                view: view, isChangingView: false, lastExecuted: SequenceNumber(5), stable: SequenceNumber(4),
                awaits: SequenceNumber(20))
            for i in 0..<3 where group.group.primary(of: view, in: TestGroup.shard).index != i {
                try group.receive(i, from: 3, .status(lie))
            }
        }
        #expect(group.view(0) >= 2, "it costs a view change now and then")
        group.loses = { _ in false }
        try group.run(milliseconds: 3000)
        let primary = group.group.primary(of: View(group.view(0)), in: TestGroup.shard).index
        try #require(group.primary == primary)
        group.crash(primary)
        group.everybodyWaits()
        let other = (0..<4).first { $0 != primary } ?? 0
        for _ in 0..<125 where group.lastExecuted(other) == 5 {
            try group.run(milliseconds: 20)
            if let next = group.primary { try group.propose(next) }
            try group.deliver()
        }
        #expect(group.lastExecuted(other) > 5, "a dead primary is replaced as fast as ever")
    }

    @Test func quarantineOutlivesARestart() throws {
        var group = try groupWithForgetfulReplica()
        try group.run(milliseconds: 1000)
        group.crash(3)
        try group.restart(3)
        #expect(standing(group, 3)?.isQuarantined == true)
        try orderWhatIsAwaited(&group)
        #expect(standing(group, 3) == .full)
        let incarnation = try #require(
            group.nodes[3].durable.compactMap {
                if case .quarantine(let incarnation, true) = $0 { incarnation } else { nil }
            }.last)
        // And so does its end.
        group.crash(3)
        try group.restart(3)
        #expect(standing(group, 3) == .resuming)
        #expect(
            group.nodes[3].replica?.liveRecords().contains(.quarantine(incarnation: incarnation, isOver: true)) == true)
        // The others remember its incarnation over a restart and a compaction.
        #expect(
            group.nodes[1].replica?.liveRecords().contains(
                .peerIncarnation(group.declaration(by: 3, incarnation: incarnation))) == true)
    }

    // MARK: What peers say to one that starts

    /// Replica 3 with a journal of its own, started, and the nonce of its question.
    private func resumingReplica(batches: Int = 5, records: Int? = nil) throws -> (TestGroup, UInt64) {
        var group = TestGroup()
        for _ in 0..<batches { try group.propose(0) }
        try group.deliver()
        group.crash(3)
        if let records {
            group.nodes[3].durable = Array(group.nodes[3].durable.prefix(records))
            group.nodes[3].base = Checkpoint(sequence: .zero, digest: .null)
        }
        group.nodes[3].sent = []
        group.uptime += 1_000_000_000
        try group.restart(3)
        group.network = []
        return (group, try nonce(group))
    }

    private func nonce(_ group: TestGroup) throws -> UInt64 {
        try #require(
            group.nodes[3].sent.compactMap {
                if case .resumed(let question) = $0.message { question.nonce } else { nil }
            }.last)
    }

    private func recollection(
        _ nonce: UInt64, about: Int = 3, heard: UInt64 = 0, checkpoint: UInt64 = 0,
        declaration: IncarnationDeclaration? = nil, refuses: Bool = false
    ) -> PBFTMessage {
        .recollection(
            Recollection(
                about: ReplicaIndex(UInt8(about)), nonce: nonce, heard: SequenceNumber(heard),
                checkpoint: SequenceNumber(checkpoint),
                declaration: declaration, refuses: refuses))
    }

    @Test func anOlderBackupThatNobodyDeclaredHalts() throws {
        // Two votes are left of five: f + 1 peers heard more, so one that does not lie did.
        var (group, nonce) = try resumingReplica(records: 2)
        try group.receive(3, from: 1, recollection(nonce, heard: 5))
        #expect(group.nodes[3].halt == nil && standing(group, 3) == .resuming)
        try group.receive(3, from: 2, recollection(nonce, heard: 4))
        let reason = try #require(group.nodes[3].halt)
        #expect(reason.contains("up to 4") && reason.contains("restore-host"))
        #expect(group.nodes[3].replica?.isHalted == true)
    }

    @Test func oneLiarCannotHaltAReplicaThatForgotNothing() throws {
        var (group, nonce) = try resumingReplica()
        try group.receive(3, from: 1, recollection(nonce, heard: .max))
        try group.receive(3, from: 2, recollection(nonce, heard: 5))
        #expect(group.nodes[3].halt == nil && standing(group, 3) == .full)
    }

    @Test func answersToAnotherStartSayNothing() throws {
        var (group, nonce) = try resumingReplica()
        for from in 0..<3 {
            let ready = try group.receive(3, from: from, recollection(nonce - 1, heard: 9))
            #expect(ready.drops.map(\.1) == [.notAsked])
        }
        #expect(group.nodes[3].halt == nil && standing(group, 3) == .resuming)
    }

    @Test func howFarItMayHaveVotedIsEstimatedPastOneLiar() throws {
        for lie in [UInt64.max, 0] {
            var group = try groupWithForgetfulReplica()
            group.network = []
            let (nonce, incarnation) = (try nonce(group), group.now.wall.number)
            let declaration = group.declaration(by: 3, incarnation: incarnation)
            let honest = recollection(nonce, checkpoint: 8, declaration: declaration)
            try group.receive(3, from: 0, recollection(nonce, checkpoint: lie, declaration: declaration))
            try group.receive(3, from: 1, honest)
            #expect(standing(group, 3) == .quarantined(until: nil), "two answers are not 2f + 1")
            try group.receive(3, from: 2, honest)
            #expect(standing(group, 3) == .quarantined(until: SequenceNumber(8 + 32)))
            // Each estimate is a bound, so the goal does not run ahead of who waits for it while the shard moves on.
            for from in [1, 2] {
                try group.receive(3, from: from, recollection(nonce, checkpoint: 100, declaration: declaration))
            }
            #expect(standing(group, 3) == .quarantined(until: SequenceNumber(8 + 32)))
        }
    }

    @Test func whereTooManyLieNothingIsEstimatedAndNothingOverflows() throws {
        var group = try groupWithForgetfulReplica()
        group.network = []
        let (nonce, incarnation) = (try nonce(group), group.now.wall.number)
        for from in 0..<3 {
            try group.receive(
                3, from: from,
                recollection(nonce, checkpoint: .max, declaration: group.declaration(by: 3, incarnation: incarnation)))
        }
        #expect(standing(group, 3) == .quarantined(until: nil))
    }

    @Test func aClockThatWentBackIsOutlived() throws {
        var group = try groupWithForgetfulReplica()
        group.network = []
        let (nonce, incarnation) = (try nonce(group), group.now.wall.number)
        // Its own signature says that it forgot later than its clock says now: one peer that has it is enough.
        let ready = try group.receive(
            3, from: 1,
            recollection(nonce, checkpoint: 8, declaration: group.declaration(by: 3, incarnation: incarnation + 10)))
        #expect(ready.records == [.quarantine(incarnation: incarnation + 11, isOver: false)])
        // What was said of the earlier incarnation counts no more.
        for from in 0..<3 {
            #expect(standing(group, 3) == .quarantined(until: nil))
            try group.receive(
                3, from: from,
                recollection(nonce, checkpoint: 8, declaration: group.declaration(by: 3, incarnation: incarnation + 11))
            )
        }
        #expect(standing(group, 3) == .quarantined(until: SequenceNumber(40)))
    }

    // MARK: Its peers

    /// Replica 1, with what replica 3 remembers of what it said at 1; all others' votes for 1 and 2 are here.
    private func peerOfForgetful(remembers: UInt64?, isQuarantined: Bool = false) throws -> (TestGroup, Digest) {
        var group = TestGroup()
        let batches = [group.freshBatch(), group.freshBatch()]
        for (i, batch) in batches.enumerated() {
            try group.receive(
                1, from: 0,
                .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(UInt64(i) + 1), batch: batch)))
        }
        let votes = batches.enumerated().map {
            Vote(view: View(0), sequence: SequenceNumber(UInt64($0) + 1), digest: $1.digest)
        }
        for vote in votes { for from in [0, 2] { try group.receive(1, from: from, .prepare(vote.vouched)) } }
        for from in [0, 2, 3] { try group.receive(1, from: from, .commit(votes[0])) }
        #expect(group.lastExecuted(1) == 1)
        if let remembers {
            let question = Resumption(
                nonce: 9, remembers: SequenceNumber(remembers), isQuarantined: isQuarantined,
                declaration: isQuarantined ? group.declaration(by: 3, incarnation: 9) : nil)
            try group.receive(1, from: 3, .resumed(question))
        }
        try group.receive(1, from: 2, .commit(votes[1]))
        try group.receive(1, from: 3, .commit(votes[1]))
        return (group, votes[1].digest)
    }

    @Test func aPeerThatForgotWhatWasHeardOfItIsNotCountedAndIsTold() throws {
        var (group, digest) = try peerOfForgetful(remembers: 0)
        #expect(group.lastExecuted(1) == 1, "its vote for 2 was counted")
        let told = group.nodes[1].sent.compactMap {
            if case .recollection(let answer) = $0.message { answer } else { nil }
        }
        #expect(told.map(\.refuses) == [true] && told.map(\.heard) == [SequenceNumber(1)])
        // It may not have heard it: it is told again whenever it says where it stands.
        group.uptime += 1_000_000_000
        let status = Status(view: View(0), isChangingView: false, lastExecuted: .zero, stable: .zero)
        let ready = try group.receive(1, from: 3, .status(status))
        let complaints = ready.sends.compactMap {
            if case .recollection(let complaint) = $0.message { complaint } else { nil }
        }
        #expect(complaints.map(\.refuses) == [true] && complaints.map(\.nonce) == [9])
        // A copy of the question changes nothing; a later start that remembers enough does.
        try group.receive(
            1, from: 3, .resumed(Resumption(nonce: 10, remembers: SequenceNumber(1), isQuarantined: false)))
        try group.receive(1, from: 3, .resumed(Resumption(nonce: 9, remembers: .zero, isQuarantined: false)))
        try group.receive(1, from: 3, .commit(Vote(view: View(0), sequence: SequenceNumber(2), digest: digest)))
        #expect(group.lastExecuted(1) == 2)
    }

    @Test func aPeerThatRemembersEverythingIsCounted() throws {
        #expect(try peerOfForgetful(remembers: 1).0.lastExecuted(1) == 2)
        #expect(try peerOfForgetful(remembers: nil).0.lastExecuted(1) == 2)
    }

    @Test func aPeerThatDeclaresWhatItForgotIsNotRefused() throws {
        // Declared, its later votes are of a new incarnation, and it makes none before nothing old is open.
        let (group, _) = try peerOfForgetful(remembers: 0, isQuarantined: true)
        #expect(group.lastExecuted(1) == 2)
        #expect(group.nodes[1].durable.contains(.peerIncarnation(group.declaration(by: 3, incarnation: 9))))
    }

    @Test func aRefusedReplicaThatForgotNothingSaysSoAgain() throws {
        // It spoke before its question arrived, or the copy of an older one came late.
        var (group, nonce) = try resumingReplica()
        for from in 1...2 { try group.receive(3, from: from, recollection(nonce, heard: 5)) }
        #expect(standing(group, 3) == .full)
        let ready = try group.receive(3, from: 0, recollection(nonce, heard: 5, refuses: true))
        let again = ready.sends.compactMap { outgoing -> Resumption? in
            if case .resumed(let question) = outgoing.message, outgoing.to == .one(ReplicaIndex(0)) {
                question
            } else {
                nil
            }
        }
        #expect(again.map(\.remembers) == [SequenceNumber(5)] && again.map(\.isQuarantined) == [false])
        // Seldom: the peer answers that too, and if it still refuses, the two would talk without end.
        #expect(try group.receive(3, from: 0, recollection(nonce, heard: 5, refuses: true)).sends.isEmpty)
        group.uptime += group.limits.statusInterval
        #expect(try group.receive(3, from: 0, recollection(nonce, heard: 5, refuses: true)).sends.count == 1)
    }

    /// Clocks were an hour ahead when the peer refused an earlier start; they are right now, so this start looks older
    /// than that one.
    @Test func aRefusalFromBeforeAClockWentBackIsAnsweredByALaterStart() throws {
        var (group, nonce) = try resumingReplica()
        for from in 1...2 { try group.receive(3, from: from, recollection(nonce, heard: 5)) }
        let ready = try group.receive(3, from: 0, recollection(nonce + 3_600_000_000, heard: 5, refuses: true))
        let again = ready.sends.compactMap { if case .resumed(let question) = $0.message { question } else { nil } }
        #expect(again.map(\.nonce) == [nonce + 3_600_000_001] && again.map(\.remembers) == [SequenceNumber(5)])
        // Whose answer is that to a start of which it knows nothing? It takes part already.
        #expect(standing(group, 3) == .full)
        // A liar gains nothing by the largest number.
        group.uptime += group.limits.statusInterval
        let largest = try group.receive(3, from: 0, recollection(.max, heard: 5, refuses: true)).sends
        #expect(
            largest.compactMap { if case .resumed(let question) = $0.message { question.nonce } else { nil } } == [
                nonce
            ])
    }

    @Test func aJournalFromBeforeAQuarantineHaltsWhenItIsShown() throws {
        // One peer is enough: the declaration has this replica's own signature.
        var (group, nonce) = try resumingReplica()
        for from in 1...2 { try group.receive(3, from: from, recollection(nonce, heard: 5)) }
        #expect(standing(group, 3) == .full)
        let shown = recollection(nonce, declaration: group.declaration(by: 3, incarnation: 7), refuses: true)
        #expect(try group.receive(3, from: 0, shown).sends.isEmpty)
        #expect(group.nodes[3].halt?.contains("restore-host") == true)
    }

    @Test func nobodyCanDeclareAnothersLife() throws {
        let group = TestGroup()
        let forged = IncarnationDeclaration(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, replica: ReplicaIndex(3),
            incarnation: 7, signer: TestSigner(0))
        #expect(throws: Refused.badSignature) { try group.verified(recollection(1, declaration: forged)) }
        // Nor pass one off as said of somebody else.
        #expect(throws: Refused.badProof) {
            try group.verified(recollection(1, about: 2, declaration: group.declaration(by: 3, incarnation: 7)))
        }
    }

    @Test func whatIsSaidOfAnotherIsNoAnswer() throws {
        // A liar asks under the number of somebody else's question, and correct peers answer so that everybody hears
        // it.
        var (group, nonce) = try resumingReplica()
        for from in 1...2 { try group.receive(3, from: from, recollection(nonce, heard: 5)) }
        #expect(standing(group, 3) == .full)
        let aboutLiar = recollection(
            nonce, about: 0, heard: 99, declaration: group.declaration(by: 0, incarnation: .max))
        for from in 1...2 { try group.receive(3, from: from, aboutLiar) }
        #expect(group.nodes[3].halt == nil && standing(group, 3) == .full)
        // What it does say is that the liar forgot.
        #expect(group.nodes[3].durable.contains(.peerIncarnation(group.declaration(by: 0, incarnation: .max))))
    }

    @Test func questionsInARowAreAnsweredSeldom() throws {
        var group = TestGroup()
        for incarnation in 1...50 as ClosedRange<UInt64> {
            let question = Resumption(
                nonce: 9, remembers: .zero, isQuarantined: true,
                declaration: group.declaration(by: 3, incarnation: incarnation))
            try group.receive(1, from: 3, .resumed(question))
        }
        #expect(group.nodes[1].durable.count == 1)
    }

    @Test func aPrimaryBuildsOnThoseWhoNeverForgotAndWaitsForThem() throws {
        var group = TestGroup()
        let primary = group.group.primary(of: View(1), in: TestGroup.shard).index
        let liar = (0..<4).last { $0 != primary } ?? 3
        let others = (0..<4).filter { $0 != primary && $0 != liar }
        let question = Resumption(
            nonce: 9, remembers: .zero, isQuarantined: true, declaration: group.declaration(by: liar, incarnation: 9))
        try group.receive(primary, from: liar, .resumed(question))
        try group.receive(primary, from: liar, .viewChange(group.viewChange(by: liar, to: 1, incarnation: 9)))
        try group.receive(primary, from: others[0], .viewChange(group.viewChange(by: others[0], to: 1)))
        #expect(group.isChangingView(primary), "2f + 1, but one of them said once that it forgot")
        try group.receive(primary, from: others[1], .viewChange(group.viewChange(by: others[1], to: 1)))
        #expect(!group.isChangingView(primary))
        let newView = try #require(group.newViewSaid(by: primary))
        #expect(!newView.viewChanges.contains { $0.replica.index == liar })
    }

    @Test func aPrimaryThatWaitedLongEnoughBuildsOnWhoForgot() throws {
        var group = TestGroup()
        let primary = group.group.primary(of: View(1), in: TestGroup.shard).index
        let forgetful = (0..<4).last { $0 != primary } ?? 3
        let other = (0..<4).first { $0 != primary && $0 != forgetful } ?? 0
        let question = Resumption(
            nonce: 9, remembers: .zero, isQuarantined: true,
            declaration: group.declaration(by: forgetful, incarnation: 9))
        try group.receive(primary, from: forgetful, .resumed(question))
        try group.receive(primary, from: forgetful, .viewChange(group.viewChange(by: forgetful, to: 1, incarnation: 9)))
        try group.receive(primary, from: other, .viewChange(group.viewChange(by: other, to: 1)))
        #expect(group.isChangingView(primary))
        group.uptime += group.limits.progressTimeout
        try group.step(primary, .tick(oldestPending: nil, primaryReachable: true))
        #expect(group.newViewSaid(by: primary)?.viewChanges.contains { $0.replica.index == forgetful } == true)
    }

    @Test func viewChangesOfAForgottenLifeDoNotCount() throws {
        var group = TestGroup()
        try group.receive(1, from: 3, .viewChange(group.viewChange(by: 3, to: 1)))
        try group.receive(
            1, from: 3,
            .resumed(
                Resumption(
                    nonce: 9, remembers: .zero, isQuarantined: true,
                    declaration: group.declaration(by: 3, incarnation: 9))))
        // What it had said is gone, and what comes late is refused.
        let late = try group.receive(1, from: 3, .viewChange(group.viewChange(by: 3, to: 1)))
        #expect(late.drops.map(\.1) == [.malformedViewChange(ReplicaIndex(3))])
        try group.receive(1, from: 2, .viewChange(group.viewChange(by: 2, to: 1)))
        #expect(!group.isChangingView(1), "a VIEW-CHANGE and a forgotten one are not f + 1")
        #expect(group.view(1) == 0)
        try group.receive(1, from: 0, .viewChange(group.viewChange(by: 0, to: 1)))
        #expect(group.view(1) == 1)
    }

    @Test func aNewViewThatRestsOnAForgottenLifeIsRefusedAndWhatTheOthersSaidLeadsOn() throws {
        var group = TestGroup()
        let primary = group.group.primary(of: View(1), in: TestGroup.shard).index
        let backup = (0..<4).first { $0 != primary && $0 != 3 } ?? 0
        let viewChanges = (0..<4).filter { $0 != backup }.map { group.viewChange(by: $0, to: 1) }
        try group.receive(
            backup, from: 3,
            .resumed(
                Resumption(
                    nonce: 9, remembers: .zero, isQuarantined: true,
                    declaration: group.declaration(by: 3, incarnation: 9))))
        let ready = try group.receive(backup, from: primary, .newView(group.newView(1, from: viewChanges)))
        #expect(ready.drops.map(\.1).contains(.malformedNewView(View(1))))
        // Everybody is shown why, so that the next primary knows.
        let shown = ready.sends.compactMap {
            if case .recollection(let word) = $0.message, $0.to == .others { word } else { nil }
        }
        #expect(shown.map(\.about) == [ReplicaIndex(3)] && shown.map(\.incarnation) == [9])
        // Two others want view 1: it joins them.
        #expect(group.view(backup) == 1 && group.isChangingView(backup))
    }

    // MARK: A journal without its state

    /// Replica 3 with the journal as compacted at 12 or later, and an empty store.
    private func rebuildingReplica() throws -> TestGroup {
        var group = TestGroup()
        for _ in 0..<14 {
            try group.propose(0)
            try group.deliver()
        }
        let records = try #require(group.nodes[3].replica).liveRecords()
        group.crash(3)
        group.nodes[3].durable = records
        group.nodes[3].base = Checkpoint(sequence: .zero, digest: .null)
        group.nodes[3].said = []
        try group.restart(3)
        return group
    }

    @Test func aReplicaWithoutItsStateWaitsForOneAndRemembersItsVotes() throws {
        var group = try rebuildingReplica()
        #expect(standing(group, 3) == .rebuilding(from: SequenceNumber(12)))
        #expect(
            group.nodes[3].replica?.liveRecords() == group.nodes[3].durable,
            "a compaction would forget what it waits for")
        try group.propose(0)
        try group.run(milliseconds: 500)
        #expect(group.nodes[3].needsState == SequenceNumber(12))
        #expect(group.nodes[3].said.isEmpty && group.nodes[3].replica?.mayAttest == false)
        #expect(group.nodes[3].replica?.status().awaits == SequenceNumber(12 + 32))
        // Its question says what it voted for, not what it executed.
        let asked = group.nodes[3].sent.compactMap {
            if case .resumed(let question) = $0.message { question.remembers } else { nil }
        }
        #expect(asked.allSatisfy { $0 == SequenceNumber(14) } && !asked.isEmpty)

        try group.installState(3)
        #expect(standing(group, 3) == .resuming)
        try group.run(milliseconds: 2000)
        #expect(standing(group, 3) == .full && group.lastExecuted(3) == 15)
        #expect(group.nodes[3].halt == nil)
        group.cut(2)
        try group.propose(0)
        try group.run(milliseconds: 1000)
        #expect(group.lastExecuted(0) == 16 && group.lastExecuted(3) == 16)
    }

    @Test func theJournalsBatchesFollowOnTheStateFromPeers() throws {
        // Nothing is flushed, so that the journal has the batches, and the store is lost before its first state.
        var group = TestGroup()
        group.flushesAtOnce = false
        for _ in 0..<14 {
            try group.propose(0)
            try group.deliver()
        }
        // The first four bodies are gone: a compaction after a flush of 4.
        group.crash(3)
        group.nodes[3].durable.removeAll {
            switch $0 {
            case .prePrepared(_, let sequence, _), .prepared(_, let sequence, _), .committed(let sequence, _, _):
                sequence <= SequenceNumber(4)
            default: false
            }
        }
        try group.restart(3)
        #expect(standing(group, 3) == .rebuilding(from: SequenceNumber(4)))
        group.nodes[0].base = Checkpoint(
            sequence: SequenceNumber(8), digest: try #require(group.nodes[0].states[SequenceNumber(8)]))
        (group.nodes[1].base, group.nodes[2].base) = (group.nodes[0].base, group.nodes[0].base)
        try group.installState(3)
        // 9 to 14 are executed from the journal, with nobody's help.
        #expect(
            group.lastExecuted(3) == 14 && group.nodes[3].executed.suffix(6) == (9...14).map { SequenceNumber($0) }[...]
        )
    }

    @Test func aReplicaWithoutItsStateIsDeafToOrdering() throws {
        var group = try rebuildingReplica()
        let batch = group.freshBatch()
        for message in [
            PBFTMessage.prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(15), batch: batch)),
            .suspect(View(0)),
            .commit(Vote(view: View(0), sequence: SequenceNumber(15), digest: batch.digest)), .fetchBatch(batch.digest),
            .checkpoint(Checkpoint(sequence: SequenceNumber(16), digest: .null)),
            .viewChange(group.viewChange(by: 0, to: 5)),
            .fetchCommitted(FetchCommitted(from: SequenceNumber(1), count: 9, bodies: true)),
        ] {
            let ready = try group.receive(3, from: 0, message)
            #expect(
                ready.records.isEmpty && ready.held.isEmpty && ready.sends.isEmpty && ready.executes.isEmpty,
                "\(message)")
        }
        #expect(group.view(3) == 0)
    }

    @Test func howAReplicaStandsIsSaidInWords() {
        let standings: [Standing] = [
            .full, .resuming, .rebuilding(from: SequenceNumber(7)), .quarantined(until: nil),
            .quarantined(until: SequenceNumber(9)),
        ]
        #expect(
            standings.map(\.description) == [
                "takes part", "resuming: asks its peers what they heard from it",
                "rebuilding: fetches a state of 7 or later",
                "quarantined: asks its peers where they stand", "quarantined until 9",
            ])
        #expect(standings.map(\.isQuarantined) == [false, false, false, true, true])
    }
}
