import Messages
import PBFT
import TestSamples
import TestSignatures
import Testing

/// What one part of a replica takes: nobody else is there.
private struct Alone {
    let group: TestGroup
    let configuration: ReplicaConfiguration
    let now: Instant

    init(_ me: Int = 1, _ change: (inout ReplicaConfiguration.Limits) -> Void = { _ in }) {
        group = TestGroup(n: 4, change)
        (configuration, now) = (group.configuration(me), group.now)
    }

    func later(milliseconds: UInt64) -> Instant {
        Instant(uptime: now.uptime + milliseconds * 1_000_000, wall: now.wall.adding(microseconds: milliseconds * 1000))
    }

    func viewChange(_ view: UInt64, by replica: Int, incarnation: UInt64 = 0) -> ViewChange {
        ViewChange(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: View(view),
            replica: peer(replica), incarnation: incarnation,
            lowWatermark: .zero, checkpoints: [Checkpoint(sequence: .zero, digest: .null)], prepared: [],
            prePrepared: [],
            signer: TestSigner(replica))
    }

    func newView(_ view: UInt64, selecting digests: [Digest] = []) -> NewView {
        NewView(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: View(view),
            replica: peer(Int(view % 4)),
            viewChanges: (0..<3).map { viewChange(view, by: $0) }, start: Checkpoint(sequence: .zero, digest: .null),
            selection: digests, signer: TestSigner(Int(view % 4)))
    }
}

private func peer(_ i: Int) -> ReplicaIndex { ReplicaIndex(UInt8(i)) }
private func batch(_ number: UInt64) -> Batch { Batch(time: Timestamp(number), items: []) }
private func checkpoint(_ sequence: UInt64, _ state: UInt64 = 0) -> Checkpoint {
    Checkpoint(sequence: SequenceNumber(sequence), digest: batch(sequence + 1000 * state).digest)
}

@Suite struct CheckpointsPartTests {
    private let base = Checkpoint(sequence: .zero, digest: .null)

    private func checkpoints(own: [Checkpoint], claims: [(Int, Checkpoint)]) -> Checkpoints {
        var checkpoints = Checkpoints(configuration: Alone().configuration, base: base)
        for checkpoint in own { #expect(checkpoints.take(checkpoint) == true) }
        for (replica, checkpoint) in claims { #expect(checkpoints.claim(checkpoint, by: peer(replica)) == true) }
        return checkpoints
    }

    @Test func aQuorumWithTheOwnClaimMakesItStable() {
        let claims = [(0, checkpoint(4)), (1, checkpoint(4)), (2, checkpoint(4))]
        #expect(checkpoints(own: [checkpoint(4)], claims: claims).verdict(isSilent: false) == .stable(checkpoint(4)))
        #expect(
            checkpoints(own: [checkpoint(4)], claims: Array(claims.prefix(2))).verdict(isSilent: false) == .undecided)
    }

    @Test func theOthersSufficeForASilentReplicaAlone() {
        let parts = checkpoints(
            own: [checkpoint(4)], claims: [(0, checkpoint(4)), (2, checkpoint(4)), (3, checkpoint(4))])
        #expect(parts.verdict(isSilent: false) == .undecided && parts.verdict(isSilent: true) == .stable(checkpoint(4)))
    }

    @Test func whatAQuorumSaysOtherwiseIsADivergence() {
        let other = checkpoint(4, 1)
        let parts = checkpoints(own: [checkpoint(4)], claims: [(0, other), (2, other), (3, other)])
        #expect(parts.verdict(isSilent: false) == .diverged(own: checkpoint(4), certified: other))
    }

    @Test func nobodyClaimsANumberTwiceAndWhatIsStableIsForgotten() {
        var parts = checkpoints(own: [checkpoint(4), checkpoint(8)], claims: [(0, checkpoint(4)), (0, checkpoint(8))])
        #expect(parts.claim(checkpoint(4, 1), by: peer(0)) == false)
        #expect(parts.claim(checkpoint(5), by: peer(0)) == false, "no checkpoint")
        parts.advance(to: checkpoint(4))
        #expect(parts.own == [checkpoint(8)] && parts.stable == checkpoint(4))
        #expect(parts.take(checkpoint(4)) == false)
    }
}

@Suite struct PacemakerPartTests {
    private let alone = Alone()
    private var pacemaker: Pacemaker { Pacemaker(configuration: alone.configuration, now: alone.now) }

    @Test func onlyViewsInWhichSomethingWaitedMakeTheWaitLonger() {
        var pacemaker = pacemaker
        let first = pacemaker.timeout
        pacemaker.leaveView(isChanging: false)
        #expect(pacemaker.timeout == first)
        _ = pacemaker.isAtFault(.init(oldestPending: alone.now), now: alone.now)
        pacemaker.leaveView(isChanging: false)
        #expect(pacemaker.timeout == 2 * first)
        for _ in 0..<30 { pacemaker.leaveView(isChanging: true) }
        #expect(pacemaker.timeout == alone.configuration.limits.maxTimeout)
        pacemaker.progressed(ordered: 1, isFruit: true, now: alone.now)
        #expect(pacemaker.timeout == first)
    }

    @Test func aLoneSuspicionLeavesNothingAndTwoDo() {
        var pacemaker = pacemaker
        func isSuspected(_ now: Instant) -> Bool { pacemaker.isSuspected(View(3), hasLeft: { _ in false }, now: now) }
        pacemaker.note(suspicionOf: View(3), by: peer(0), now: alone.now)
        #expect(!isSuspected(alone.now))
        #expect(pacemaker.isSuspected(View(3), hasLeft: { $0 == peer(2) }, now: alone.now), "who has left suspects it")
        pacemaker.note(suspicionOf: View(3), by: peer(2), now: alone.now)
        #expect(isSuspected(alone.now) && !isSuspected(alone.later(milliseconds: 2001)), "a suspicion goes stale")
    }

    @Test func suspectIsSaidOnce() {
        var pacemaker = pacemaker
        let said = [0, 900].map { pacemaker.suspect(View(0), now: alone.later(milliseconds: $0)) }
        #expect(said == [true, false])
        #expect(pacemaker.suspects(View(0)) && !pacemaker.suspects(View(1)))
    }

    @Test func aPrimaryIsAtFaultWhenWhatWaitsMakesNoProgress() {
        var pacemaker = pacemaker
        let waiting = Pacemaker.Observation(oldestPending: alone.now)
        #expect(pacemaker.isAtFault(waiting, now: alone.now) == false)
        #expect(pacemaker.isAtFault(waiting, now: alone.later(milliseconds: 1000)) == false)
        #expect(pacemaker.isAtFault(waiting, now: alone.later(milliseconds: 1001)) == true)
        #expect(pacemaker.isAtFault(.init(oldestPending: nil), now: alone.later(milliseconds: 1001)) == false)
    }
}

@Suite struct CatchUpPartTests {
    private let alone = Alone()
    private let digests = (1...3).map { batch($0).digest }

    private func claims(_ digests: [Digest]) -> CommittedClaims {
        CommittedClaims(from: SequenceNumber(1), digests: digests)
    }

    @Test func twoClaimsAreCertainAndOneIsNot() {
        var catchUp = CatchUp(configuration: alone.configuration)
        #expect(catchUp.receive(claims(digests), from: peer(0), executed: .zero) == false, "nobody asked")
        #expect(catchUp.ask(after: .zero, now: alone.now).map(\.peer) == [peer(0), peer(2), peer(3)])
        #expect(catchUp.receive(claims(digests), from: peer(0), executed: .zero) == true)
        #expect(
            catchUp.receive(claims(digests.reversed()), from: peer(0), executed: .zero) == false,
            "one answer a question")
        #expect(catchUp.certainDigest(at: SequenceNumber(1)) == nil)
        #expect(catchUp.receive(claims([digests[0], .null]), from: peer(2), executed: .zero) == true)
        #expect(catchUp.certainDigest(at: SequenceNumber(1)) == digests[0])
        #expect(
            catchUp.certainDigest(at: SequenceNumber(2)) == nil && catchUp.certainDigest(at: SequenceNumber(4)) == nil)
    }

    @Test func onlyBodiesThatSomebodyNamedAreTaken() {
        var catchUp = CatchUp(configuration: alone.configuration)
        _ = catchUp.ask(after: .zero, now: alone.now)
        #expect(catchUp.receive(claims(digests), from: peer(0), executed: SequenceNumber(1)) == true)
        #expect(catchUp.receive(body: batch(1)) == false, "executed already")
        let taken = [2, 2, 9].map { catchUp.receive(body: batch($0)) }
        #expect(taken == [true, false, false])
    }

    @Test func aStateIsNeededWhenTheBatchesAreGoneAtTwoPeers() {
        var catchUp = CatchUp(configuration: alone.configuration)
        _ = catchUp.ask(after: .zero, now: alone.now)
        let gone = CommittedClaims(from: SequenceNumber(50), digests: [])
        for (from, isNeeded) in [(0, false), (2, true)] {
            #expect(catchUp.receive(gone, from: peer(from), executed: .zero) == true)
            #expect(catchUp.isStateNeeded(after: .zero) == isNeeded)
        }
    }

    @Test func twoPeersFurtherOnAreCertain() {
        var peers = Peers(configuration: alone.configuration)
        func status(_ executed: UInt64) -> Status {
            Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(executed), stable: .zero)
        }
        let now = alone.later(milliseconds: 1000)
        #expect(peers.note(status(9), from: peer(0), now: now) == true)
        #expect(peers.certainlyExecuted == .zero)
        #expect(peers.note(status(5), from: peer(2), now: now) == true)
        #expect(peers.certainlyExecuted == SequenceNumber(5))
        #expect(peers.note(status(8), from: peer(2), now: now) == false, "a faulty peer gets few repairs")
    }

    @Test func aPeerIsServedARangeOnceAndBodiesWithinItsAllowance() {
        let alone = Alone { $0.bodyBytesPerSecond = batch(1).bytes.count * 2 }
        var serving = Serving(configuration: alone.configuration)
        var retained = RetainedBatches(after: .zero)
        for number in 1...3 { retained.append(batch(UInt64(number))) }
        let request = FetchCommitted(from: SequenceNumber(1), count: 3, bodies: true)
        let answer = serving.answer(request, to: peer(0), from: retained, now: alone.now)
        #expect(answer?.claims == claims(Array(digests.prefix(2))) && answer?.bodies == [batch(1), batch(2)])
        let again = serving.answer(request, to: peer(0), from: retained, now: alone.now)
        #expect(again?.claims == nil)
    }

    /// Of what is flushed only bytes are kept; nobody who asks sees a difference.
    @Test func whatIsFlushedIsKeptAsItWas() {
        var samples = Samples(seed: 3)
        let batches =
            [Batch.null]
            + (0..<5).map { number in
                Batch(
                    time: Timestamp(UInt64(number)),
                    items: (0..<3).map { _ in BatchItem.request(samples.signedRequest()) })
            }
        var retained = RetainedBatches(after: SequenceNumber(10))
        for batch in batches { retained.append(batch, skipping: batch.isNull ? [] : [1]) }
        let bytes = retained.bytes
        func check(_ comment: Comment) {
            for (offset, batch) in batches.enumerated() {
                let sequence = SequenceNumber(11 + UInt64(offset))
                #expect(retained[sequence] == batch && retained[sequence]?.items == batch.items, comment)
                #expect(
                    retained.sequence(of: batch.digest, upTo: retained.last, within: 100) == sequence, comment)
                #expect(retained.digest(at: sequence) == batch.digest, comment)
                #expect(retained.byteCount(at: sequence) == batch.bytes.count, comment)
                #expect(retained.skipped(at: sequence) == (batch.isNull ? [] : [1]), comment)
            }
            #expect(retained.after(SequenceNumber(12)).map(\.0.number) == [13, 14, 15, 16], comment)
            #expect(retained.after(SequenceNumber(12)).map(\.1) == Array(batches.dropFirst(2)), comment)
            #expect(retained.bytes == bytes, comment)
        }
        var limits = ReplicaConfiguration.Limits()
        check("whole")
        for sequence in [9, 13, 13, 16] as [UInt64] {
            retained.trim(upTo: SequenceNumber(sequence), limits)
            check("packed up to \(sequence)")
        }
        limits.retainedBatches = 2
        retained.trim(upTo: SequenceNumber(16), limits)
        #expect(retained.first == SequenceNumber(15) && retained[SequenceNumber(15)] == batches[4])
        retained.append(batches[1])
        #expect(retained.last == SequenceNumber(17) && retained[SequenceNumber(17)] == batches[1])
    }
}

@Suite struct ViewChangerPartTests {
    private let alone = Alone()
    private var changer: ViewChanger { ViewChanger(configuration: alone.configuration) }

    @Test func twoAheadPullAlongToTheLowerView() {
        var changer = changer
        #expect(changer.take(alone.viewChange(5, by: 0)) == true)
        #expect(changer.viewToJoin == nil)
        #expect(changer.take(alone.viewChange(3, by: 2)) == true)
        #expect(changer.viewToJoin == View(3))
        #expect(changer.take(alone.viewChange(4, by: 0)) == false, "not its latest")
        changer.forget(of: peer(0), before: 1)
        #expect(changer.viewToJoin == nil, "what was forgotten does not count")
    }

    @Test func theWaitForNewViewBeginsWhenAQuorumWantsIt() {
        var changer = changer
        changer.leave(for: View(2), now: alone.now)
        for i in 0..<3 {
            changer.noteQuorum(Peers(configuration: alone.configuration), now: alone.now)
            #expect(!changer.isOverdue(timeout: 10, now: alone.later(milliseconds: 1)), "with \(i)")
            _ = changer.take(alone.viewChange(2, by: i))
        }
        changer.noteQuorum(Peers(configuration: alone.configuration), now: alone.now)
        #expect(!changer.isOverdue(timeout: 1_000_000, now: alone.later(milliseconds: 1)))
        #expect(changer.isOverdue(timeout: 999_999, now: alone.later(milliseconds: 1)))
    }

    @Test func whoForgotComesLastIntoS() {
        var changer = ViewChanger(configuration: Alone(2).configuration)
        changer.leave(for: View(2), now: alone.now)
        for i in 0..<3 { _ = changer.take(alone.viewChange(2, by: i)) }
        func senders(_ forgettings: [Int]) -> [ReplicaIndex]? {
            changer.select(forgettings: forgettings, timeout: 1000, now: alone.now)?.viewChanges.map(\.replica)
        }
        #expect(senders([0, 0, 0, 0]) == [0, 1, 2].map(peer))
        #expect(senders([1, 0, 0, 0]) == nil, "another may still come")
        _ = changer.take(alone.viewChange(2, by: 3))
        #expect(senders([1, 0, 0, 0]) == [1, 2, 3].map(peer))
    }

    @Test func aNewViewIsInstalledAndTheReasonOfARefusalToldOnce() {
        var changer = changer
        let newView = alone.newView(2)
        #expect(
            changer.isWellFormed(newView) && changer.isRight(newView)
                && !changer.isRight(alone.newView(2, selecting: [.null])))
        let isToBeTold = (0..<2).map { _ in changer.refuse(newView) }
        #expect(isToBeTold == [true, false])
        changer.enter(newView)
        #expect(changer.installed?.number == View(2) && changer.installed?.primary == peer(2) && !changer.isChanging)
        #expect(!changer.isAhead(View(2)) && changer.isAhead(View(3)))
    }

    @Test func messagesOfALaterViewWaitWithinABound() throws {
        let alone = Alone { ($0.futureMessagesPerPeer, $0.pipelineDepth) = (5, 1) }
        var changer = ViewChanger(configuration: alone.configuration)
        let vote = Vote(view: View(1), sequence: SequenceNumber(1), digest: .null)
        let proposal = PrePrepare(view: View(1), sequence: SequenceNumber(1), batch: batch(1))
        let (first, second) = (try alone.group.verified(.prePrepare(proposal)), try alone.group.verified(.commit(vote)))
        let proposals = (0..<3).map { _ in changer.postpone(first, from: peer(0)) }
        let votes = (0..<4).map { _ in changer.postpone(second, from: peer(0)) }
        #expect(proposals == [true, true, false] && votes == [true, true, true, false])
        let waiting = changer.takeFuture()
        #expect(waiting.count == 5)
    }
}

@Suite struct RejoinPartTests {
    private let alone = Alone()

    private func declaration(_ incarnation: UInt64, by replica: Int) -> IncarnationDeclaration {
        alone.group.declaration(by: replica, incarnation: incarnation)
    }

    private func resumption(_ nonce: UInt64, remembers: UInt64, incarnation: UInt64? = nil, isQuarantined: Bool = false)
        -> Resumption
    {
        Resumption(
            nonce: nonce, remembers: SequenceNumber(remembers), isQuarantined: isQuarantined,
            declaration: incarnation.map { declaration($0, by: 0) })
    }

    @Test func whoRemembersLessThanWasHeardIsRefusedUntilHeDeclaresIt() {
        var witness = Witness(configuration: alone.configuration)
        witness.note(voteAt: SequenceNumber(7), of: peer(0))
        witness.judge(resumption(1, remembers: 7), of: peer(0), incarnation: 0)
        #expect(!witness.refuses(peer(0)))
        witness.judge(resumption(2, remembers: 6), of: peer(0), incarnation: 0)
        #expect(witness.refuses(peer(0)))
        #expect(witness.complaint(about: peer(0), checkpoint: .zero, declaration: nil)?.heard == SequenceNumber(7))
        witness.judge(resumption(3, remembers: 0, incarnation: 9, isQuarantined: true), of: peer(0), incarnation: 0)
        #expect(!witness.refuses(peer(0)))
    }

    private func verified(_ declaration: IncarnationDeclaration) throws -> Verified<IncarnationDeclaration> {
        let word = Recollection(
            about: declaration.replica, nonce: 0, heard: .zero, checkpoint: .zero, declaration: declaration)
        let message = try alone.group.verified(.recollection(word))
        return try #require(message.declaration)
    }

    @Test func aLaterDeclarationOutlivesWhatWasSaidBefore() throws {
        var incarnations = Incarnations(configuration: alone.configuration)
        let first = try verified(declaration(5, by: 0))
        let isNews = (0..<2).map { _ in incarnations.adopt(first) }
        #expect(isNews == [true, false])
        let own = try verified(declaration(9, by: 1))
        #expect(incarnations.adopt(own) == false, "of itself it knows best")
        #expect(
            incarnations.outlived(alone.viewChange(1, by: 0, incarnation: 4))
                && !incarnations.outlived(alone.viewChange(1, by: 0, incarnation: 5)))
        #expect(incarnations.forgettings == [1, 0, 0, 0])
    }

    private func oneself(_ standing: Standing, incarnation: UInt64 = 0, remembers: UInt64 = 8) -> Resuming.Oneself {
        Resuming.Oneself(
            standing: standing, incarnation: incarnation, declaration: nil, remembers: SequenceNumber(remembers))
    }

    private func verdicts(
        _ standing: Standing, incarnation: UInt64 = 0, heard: UInt64 = 8, checkpoint: UInt64 = 100, said: UInt64? = nil
    ) -> [Resuming.Verdict] {
        var resuming = Resuming(configuration: alone.configuration)
        resuming.start(now: alone.now)
        return [0, 2, 3].map { i in
            let word = Recollection(
                about: peer(1), nonce: resuming.nonce, heard: SequenceNumber(heard),
                checkpoint: SequenceNumber(checkpoint),
                declaration: said.map { declaration($0, by: 1) })
            return resuming.hear(word, from: peer(i), as: oneself(standing, incarnation: incarnation), now: alone.now)
        }
    }

    @Test func whoForgotNothingIsToldSoByEnough() {
        #expect(verdicts(.resuming).prefix(2) == [.waits, .forgotNothing])
        #expect(verdicts(.full).allSatisfy { $0 == .waits })
    }

    @Test func whoForgotWithoutKnowingStops() {
        let heardMore = verdicts(.resuming, heard: 9)
        #expect(heardMore[0] == .waits)
        guard case .forgot = heardMore[1] else {
            Issue.record("two heard more")
            return
        }
        guard case .forgot = verdicts(.resuming, said: 7)[0] else {
            Issue.record("its own signature")
            return
        }
    }

    @Test func quarantineEndsBeyondAllThatItCouldHaveVotedFor() {
        let end = SequenceNumber(100 + 2 * alone.configuration.limits.window)
        #expect(
            verdicts(.quarantined(until: nil), incarnation: 7, said: 7) == [.waits, .waits, .quarantined(until: end)])
        #expect(verdicts(.quarantined(until: nil), incarnation: 6, said: 7)[0] == .outlive(8))
    }
}

@Suite struct OrderingPartTests {
    private let alone = Alone()
    private let view = InstalledView(number: View(0), primary: peer(0), newView: nil)

    private func promises(_ standing: Standing) -> Promises {
        var promises = Promises()
        if standing != .full { promises.fallSilent(standing) }
        return promises
    }

    private func ordered(as standing: Standing) throws -> ReplicaReady {
        let batch = Batch(time: alone.now.wall, items: [])
        var ordering = Ordering(configuration: alone.configuration, low: .zero)
        var ready = ReplicaReady()
        let proposal = PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)
        let vote = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest)
        let prepare = PBFTMessage.prepare(vote.vouched)
        // Its own comes back when it is durable.
        let words: [(Int, PBFTMessage)] = [(0, .prePrepare(proposal)), (0, prepare), (2, prepare), (3, prepare)]
        let promises = promises(standing)
        let retained = RetainedBatches(after: .zero)
        for (i, word) in words {
            let word = try alone.group.verified(word)
            let refusal = ordering.receive(
                word, from: peer(i), in: view, over: retained, now: alone.now, promises, into: &ready)
            #expect(refusal == nil)
        }
        return ready
    }

    @Test func aBackupPreparesAndCommitsWithThreeOthers() throws {
        let ready = try ordered(as: .full)
        #expect(ready.records.count == 2 && ready.held.count == 2)
        guard case .prepare = ready.held.first, case .commit = ready.held.last else {
            Issue.record("\(ready.held)")
            return
        }
    }

    @Test func aSilentBackupRecordsThatAndSaysNothing() throws {
        let (ready, full) = (try ordered(as: .quarantined(until: nil)), try ordered(as: .full))
        #expect(ready.records == full.records && ready.held.isEmpty && ready.sends.isEmpty)
    }

    @Test func onlyThePrimaryProposesAndOnceForANumber() throws {
        var ordering = Ordering(configuration: alone.configuration, low: .zero)
        var ready = ReplicaReady()
        let retained = RetainedBatches(after: .zero)
        func propose(_ batch: Batch, at sequence: UInt64 = 1, from: Int = 0) throws -> DropReason? {
            let proposal = PrePrepare(view: View(0), sequence: SequenceNumber(sequence), batch: batch)
            let message = try alone.group.verified(.prePrepare(proposal))
            return ordering.receive(
                message, from: peer(from), in: view, over: retained, now: alone.now, Promises(), into: &ready)
        }
        let batch = Batch(time: alone.now.wall, items: [])
        let other = Batch(time: alone.now.wall.adding(microseconds: 1), items: [])
        #expect(try propose(batch, from: 2) == .notFromPrimary(peer(2)))
        for _ in 0..<2 { #expect(try propose(batch) == nil) }
        #expect(try propose(other) == .conflictingPrePrepare(SequenceNumber(1)))
        let late = Batch(time: Timestamp(1), items: [])
        #expect(try propose(late, at: 2) == .timeOutOfBounds(got: Timestamp(1), local: alone.now.wall))
    }
}

@Suite struct ReplayPartTests {
    private let base = Checkpoint(sequence: .zero, digest: .null)

    @Test func whatWasCommittedIsExecutedInOrderUpToTheFirstGap() {
        let replay = Replay(
            [
                .committedBody(sequence: SequenceNumber(2), batch(2)),
                .prePrepared(view: View(0), sequence: SequenceNumber(1), batch(1)),
                .committed(sequence: SequenceNumber(1), batch(1).digest),
                .committedBody(sequence: SequenceNumber(4), batch(4)),
            ], over: base)
        #expect(replay.executed.map(\.batch) == [batch(1), batch(2)])
        #expect(replay.standing(executed: SequenceNumber(2), isNew: false) == .resuming)
    }

    @Test func aJournalWithoutItsStateWaitsForOneOnWhichItsBatchesFollow() {
        let replay = Replay(
            [.committedBody(sequence: SequenceNumber(8), batch(8)), .stable(checkpoint(8))], over: base)
        #expect(replay.executed.isEmpty)
        #expect(replay.standing(executed: .zero, isNew: false) == .rebuilding(from: SequenceNumber(7)))
    }

    @Test func quarantineLastsUntilTheJournalSaysThatItIsOver() {
        let begun = JournalRecord.quarantine(incarnation: 3, isOver: false)
        #expect(Replay([begun], over: base).standing(executed: .zero, isNew: false).isQuarantined)
        let over = Replay([begun, .quarantine(incarnation: 3, isOver: true)], over: base)
        #expect(over.standing(executed: .zero, isNew: false) == .resuming)
    }
}
