import Messages
import PBFT
import TestSignatures
import Testing

/// When a replica leaves its view, and when not (PBFT, OSDI '99 §4.4, §4.5.2).
@Suite struct SuspicionTests {
    @Test(arguments: [4, 7, 10])
    func fSuspectsDoNothingAndOneMorePullsAlong(n: Int) throws {
        var group = TestGroup(n: n)
        let f = group.group.f
        for from in 2..<2 + f {
            #expect(try group.receive(1, from: from, .suspect(View(0))).held.isEmpty)
        }
        #expect(!group.isChangingView(1))
        let ready = try group.receive(1, from: 2 + f, .suspect(View(0)))
        #expect(group.isChangingView(1) && group.view(1) == 1)
        // R3: VIEW-CHANGE waits for its record.
        #expect(ready.held.count == 1 && ready.records.count == 1 && ready.sends.isEmpty)
    }

    @Test func oneSuspectThatRepeatsItselfIsStillOne() throws {
        var group = TestGroup()
        for _ in 0..<10 { try group.receive(1, from: 2, .suspect(View(0))) }
        #expect(!group.isChangingView(1))
    }

    @Test func suspicionsExpire() throws {
        var group = TestGroup()
        try group.receive(1, from: 2, .suspect(View(0)))
        group.uptime += 2 * group.limits.progressTimeout + 1
        try group.receive(1, from: 3, .suspect(View(0)))
        #expect(!group.isChangingView(1))
        group.uptime += 2 * group.limits.progressTimeout
        try group.receive(1, from: 2, .suspect(View(0)))
        #expect(group.isChangingView(1))
    }

    @Test func whoHasLeftTheViewSuspectsItForAsLongAsItIsAway() throws {
        var group = TestGroup()
        // Replica 2 leaves with two suspicions; what it said of them is long forgotten when replica 1 comes to suspect.
        try group.receive(2, from: 0, .suspect(View(0)))
        let left = try group.receive(2, from: 3, .suspect(View(0)))
        let message = try #require(left.held.first)
        group.uptime += 100 * group.limits.progressTimeout
        try group.receive(1, from: 2, message)
        #expect(!group.isChangingView(1))
        try group.receive(1, from: 3, .suspect(View(0)))
        #expect(group.isChangingView(1) && group.view(1) == 1)
    }

    /// When a lone replica says SUSPECT, in milliseconds after the beginning; nil if it does not within the time.
    private func firstSuspect(
        within milliseconds: UInt64, progressEach: UInt64? = nil, _ prepare: (inout TestGroup) -> Void
    ) throws -> UInt64? {
        var group = TestGroup()
        group.nodes[1].waitingSince = group.now
        prepare(&group)
        for passed in stride(from: UInt64(0), to: milliseconds, by: 10) {
            group.uptime = 1 + passed * 1_000_000
            if let progressEach, passed.isMultiple(of: progressEach) {
                try group.propose(0)
                try group.deliver()
            }
            let ready = try group.step(
                1, .tick(oldestPending: group.nodes[1].waitingSince, primaryReachable: group.nodes[1].primaryReachable))
            if ready.sends.contains(where: { if case .suspect = $0.message { true } else { false } }) { return passed }
        }
        return nil
    }

    @Test func thePrimaryIsSuspectedAfterTheTimeoutWithoutProgress() throws {
        #expect(try firstSuspect(within: 3000) { _ in } == 1010)
    }

    @Test func anIdleGroupSuspectsNobody() throws {
        #expect(try firstSuspect(within: 60_000) { $0.nodes[1].waitingSince = nil } == nil)
    }

    @Test func anUnreachablePrimaryIsSuspectedSooner() throws {
        #expect(try firstSuspect(within: 3000) { $0.nodes[1].primaryReachable = false } == 160)
    }

    /// Backups finish without it what it had proposed.
    @Test func progressIsNoSignOfLifeOfAnUnreachablePrimary() throws {
        #expect(try firstSuspect(within: 3000, progressEach: 100) { $0.nodes[1].primaryReachable = false } == 160)
    }

    /// Others go on with it.
    @Test func whoOnlyLostItsWayToThePrimaryDoesNotSuspectIt() throws {
        #expect(try firstSuspect(within: 3000, progressEach: 40) { $0.nodes[1].primaryReachable = false } == nil)
    }

    @Test func progressResetsTheTimer() throws {
        #expect(try firstSuspect(within: 7000, progressEach: 500) { _ in } == nil)
    }

    /// Its requests came in the proposal alone; nothing else waits at this host.
    @Test func aProposalThatIsNotExecutedIsWaitedForToo() throws {
        let suspectedAt = try firstSuspect(within: 3000) { group in
            group.nodes[1].waitingSince = nil
            let proposal = PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: group.freshBatch())
            _ = try? group.receive(1, from: 0, .prePrepare(proposal))
        }
        #expect(suspectedAt == 1010)
        #expect(try firstSuspect(within: 20_000, progressEach: 500) { $0.nodes[1].waitingSince = nil } == nil)
    }

    @Test func aRequestThatWaitsForEverIsCensoredWhateverElseMakesProgress() throws {
        #expect(try firstSuspect(within: 20_000, progressEach: 500) { _ in } == 8010)
    }

    @Test func aReplicaThatWasStoppedAndContinuesChangesNobodysView() throws {
        // Its clock has jumped and everything that it waits for is old; the others do not share its suspicion.
        var group = TestGroup()
        group.nodes[3].waitingSince = group.now
        group.uptime += 3_600_000_000_000
        for _ in 0..<200 {
            group.uptime += 20_000_000
            try group.tick(3)
            try group.propose(0)
            try group.deliver()
        }
        #expect(group.nodes[3].sent.contains { if case .suspect = $0.message { true } else { false } })
        for i in 0..<4 {
            #expect(group.view(i) == 0 && !group.isChangingView(i))
            #expect(group.lastExecuted(i) == 200)
        }
    }

    @Test func waitsForANewViewDoubleUpToTheCap() throws {
        // TOCS '02 §4.4: a replica that waits for view v + 1 in vain waits twice as long for v + 2.
        var group = TestGroup(n: 7)
        var waits: [UInt64] = []
        // Something waits here: the first view was fruitless too.
        group.nodes[6].waitingSince = group.now
        try group.tick(6)
        for view in UInt64(1)...5 {
            for from in 0..<4 { try group.receive(6, from: from, .viewChange(group.viewChange(by: from, to: view))) }
            #expect(group.view(6) == view)
            let start = group.uptime
            while group.view(6) == view {
                group.uptime += 10_000_000
                try group.tick(6)
            }
            waits.append((group.uptime - start) / 1_000_000)
        }
        #expect(waits == [2010, 4010, 8010, 10010, 10010])
    }

    @Test func withoutAQuorumForTheViewNobodyIsBlamed() throws {
        var group = TestGroup()
        for from in [2, 3] { try group.receive(1, from: from, .suspect(View(0))) }
        for _ in 0..<1000 {
            group.uptime += 100_000_000
            try group.tick(1)
        }
        #expect(group.view(1) == 1 && group.isChangingView(1))
    }

    @Test func aWaitAfterAFruitlessViewIsDoubledAndProgressResetsIt() throws {
        for (isOrdered, hasWaited) in [(false, true), (true, true), (false, false)] {
            var group = TestGroup()
            // A view in which nothing waited was not fruitless.
            try group.step(3, .tick(oldestPending: hasWaited ? group.now : nil, primaryReachable: true))
            for from in [2, 3] { try group.receive(1, from: from, .suspect(View(0))) }
            for from in [1, 3] { try group.receive(2, from: from, .suspect(View(0))) }
            try group.deliver()
            #expect((0..<4).allSatisfy { group.view($0) == 1 && !group.isChangingView($0) })
            if isOrdered {
                try group.propose(1)
                try group.deliver()
                #expect(group.lastExecuted(3) == 1)
            }
            try group.step(3, .tick(oldestPending: nil, primaryReachable: true))
            let (start, waiting) = (group.uptime, group.now)
            var wait: UInt64?
            while wait == nil, group.uptime < start + 30_000_000_000 {
                group.uptime += 10_000_000
                let ready = try group.step(3, .tick(oldestPending: waiting, primaryReachable: true))
                if ready.sends.contains(where: { if case .suspect = $0.message { true } else { false } }) {
                    wait = (group.uptime - start) / 1_000_000
                }
            }
            #expect(wait == (isOrdered || !hasWaited ? 1020 : 2020))
        }
    }

    /// Who pretends that he waits for an idle shard to move is primary in his turn, and installs nothing: that doubles
    /// waits too, but only until the next view is installed, or some minutes of it would make every failover slow.
    @Test func viewsThatNobodyInstalledAfterAnIdleOneLengthenNoLaterWait() throws {
        var group = TestGroup()
        for i in [0, 2, 3] { (group.isCut[1][i], group.isCut[i][1]) = (true, true) }
        for i in [0, 2, 3] {
            for from in [0, 2, 3] where from != i { try group.receive(i, from: from, .suspect(View(0))) }
        }
        try group.deliver()
        #expect([0, 2, 3].allSatisfy { group.view($0) == 1 && group.isChangingView($0) })
        while group.isChangingView(3), group.uptime < 30_000_000_000 {
            group.uptime += 10_000_000
            for i in [0, 2, 3] { try group.step(i, .tick(oldestPending: nil, primaryReachable: true)) }
            try group.deliver()
        }
        #expect([0, 2, 3].allSatisfy { group.view($0) == 2 && !group.isChangingView($0) })
        let (start, waiting) = (group.uptime, group.now)
        var wait: UInt64?
        while wait == nil, group.uptime < start + 30_000_000_000 {
            group.uptime += 10_000_000
            let ready = try group.step(3, .tick(oldestPending: waiting, primaryReachable: true))
            if ready.sends.contains(where: { if case .suspect = $0.message { true } else { false } }) {
                wait = (group.uptime - start) / 1_000_000
            }
        }
        #expect(wait == 1020)
    }
}

extension TestGroup {
    /// A VIEW-CHANGE of a replica that has nothing but what is given.
    func viewChange(
        by i: Int, to view: UInt64, incarnation: UInt64 = 0, low: UInt64 = 0, checkpoints: [Checkpoint]? = nil,
        prepared: [PQEntry] = [],
        prePrepared: [PQEntry] = []
    ) -> ViewChange {
        ViewChange(
            cluster: Self.cluster, epoch: Epoch(1), shard: Self.shard, view: View(view),
            replica: ReplicaIndex(UInt8(i)), incarnation: incarnation,
            lowWatermark: SequenceNumber(low),
            checkpoints: checkpoints ?? [Checkpoint(sequence: SequenceNumber(low), digest: .null)],
            prepared: prepared, prePrepared: prePrepared, signer: TestSigner(i))
    }

    func declaration(by i: Int, incarnation: UInt64) -> IncarnationDeclaration {
        IncarnationDeclaration(
            cluster: Self.cluster, epoch: Epoch(1), shard: Self.shard, replica: ReplicaIndex(UInt8(i)),
            incarnation: incarnation, signer: TestSigner(i))
    }

    /// The last NEW-VIEW that a replica has said.
    func newViewSaid(by i: Int) -> NewView? {
        nodes[i].said.compactMap { if case .newView(let newView) = $0.message { newView } else { nil } }.last
    }

    func newView(
        _ view: UInt64, by i: Int? = nil, from viewChanges: [ViewChange], start: Checkpoint? = nil,
        selection: [Digest] = []
    ) -> NewView {
        let primary = i ?? group.primary(of: View(view), in: Self.shard).index
        return NewView(
            cluster: Self.cluster, epoch: Epoch(1), shard: Self.shard, view: View(view),
            replica: ReplicaIndex(UInt8(primary)),
            viewChanges: viewChanges, start: start ?? Checkpoint(sequence: .zero, digest: .null), selection: selection,
            signer: TestSigner(primary))
    }
}
