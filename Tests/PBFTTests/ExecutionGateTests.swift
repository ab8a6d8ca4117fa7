import Messages
import PBFT
import TestSignatures
import Testing

/// Between commit and execution (docs/decisions/0040): who must have checked a request before it is executed, and what
/// becomes of one that nobody signed.
@Suite struct ExecutionGateTests {
    /// In view 0 replica 0 leads.
    private static let primary = ReplicaIndex(0)

    private static func request(_ number: Int, by signer: Int = 500) -> SignedRequest {
        let account = AccountSpecification(
            owner: TestSigner(500).publicKey, asset: AssetID(1), index: UInt64(number))
        let request = Request(
            cluster: TestGroup.cluster, epoch: Epoch(1), principal: TestSigner(500).publicKey,
            number: RequestNumber(UInt64(number)), acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1),
            deadline: Timestamp(2), mode: .atomic, operations: [.open(account)])
        return SignedRequest(request, signedBy: TestSigner(signer))
    }

    /// Requests that this backup is to check, genuine or not.
    private static func requests(_ count: Int, for backup: Int, by signer: Int = 500, from: Int = 1) -> [BatchItem] {
        let group = ReplicaGroup(n: 4)
        return (from..<from + 1000).lazy.map { request($0, by: signer) }.filter {
            group.isDesignated(ReplicaIndex(UInt8(backup)), for: $0.digest, under: primary)
        }.prefix(count).map { .request($0) }
    }

    private func group() -> TestGroup {
        var group = TestGroup()
        group.sharesChecks = true
        group.uptime = 1_000_000_000
        return group
    }

    private func batch(_ items: [BatchItem], _ group: TestGroup) -> Batch { Batch(time: group.now.wall, items: items) }

    private static func isPrepare(_ message: PBFTMessage) -> Bool { if case .prepare = message { true } else { false } }

    @Test func whatItsBackupsVouchForIsExecutedWithoutAnotherLook() throws {
        var group = group()
        let items = (1...3).flatMap { Self.requests(4, for: $0) }
        try group.propose(0, batch(items, group))
        try group.deliver()
        for i in 0..<4 {
            #expect(group.lastExecuted(i) == 1)
            #expect(group.nodes[i].checks.isEmpty)
        }
    }

    /// Many proposals that were looked at ahead and never executed take the memory of all but what waits.
    @Test func whatWasFoundInABatchThatWaitsIsNotForgotten() {
        var gate = ExecutionGate(configuration: TestGroup().configuration(1))
        let verifier = TestGroup().verifier
        func vouchers(_ backups: [Int]) -> ExecutionGate.Vouchers {
            .init(primary: Self.primary, backups: ReplicaSet(backups.map { ReplicaIndex(UInt8($0)) }))
        }
        func moment(_ milliseconds: UInt64) -> Instant {
            Instant(uptime: 1_000_000_000 + milliseconds * 1_000_000, wall: Timestamp(1))
        }
        let (view, late) = (View(0), Self.requests(70, for: 3, from: 100))
        // Replica 3 is late.
        let first = Batch(time: Timestamp(1), items: [late[0]])
        _ = gate.admit(first, at: SequenceNumber(1), in: view, vouchers([1, 2]), now: moment(0))
        let asked = gate.admit(first, at: SequenceNumber(1), in: view, vouchers([1, 2]), now: moment(60))
        #expect(asked == .ask([0]))
        gate.executed(first.digest)
        // A forged request is found in its share, and replica 2 is waited for.
        let items = Self.requests(1, for: 3, by: 7) + Self.requests(1, for: 2)
        let batch = Batch(time: Timestamp(2), items: items)
        func admit(_ backups: [Int], _ milliseconds: UInt64) -> ExecutionGate.Verdict {
            gate.admit(batch, at: SequenceNumber(2), in: view, vouchers(backups), now: moment(milliseconds))
        }
        #expect(admit([1], 61) == .ask([0]))
        var copy = verifier
        #expect(gate.take(copy.check(SignatureCheck(batch: batch, places: [0]))) == view)
        #expect(admit([1], 62) == .wait)
        for number in 1..<70 {
            let other = Batch(time: Timestamp(UInt64(number + 10)), items: [late[number]])
            #expect(gate.checkAhead(other, in: view, primary: Self.primary, now: moment(63)) == [0])
        }
        #expect(admit([1, 2], 64) == .execute(skipping: [0]))
    }

    /// The backup's word is lost; who leads and who is designated himself wait for nobody.
    @Test func whatABackupDoesNotVouchForIsCheckedAfterAWhile() throws {
        var group = group()
        group.loses = { $0.from == 3 && Self.isPrepare($0.message) }
        try group.propose(0, batch(Self.requests(5, for: 3) + Self.requests(5, for: 2), group))
        try group.deliver()
        #expect(group.lastExecuted(0) == 1 && group.lastExecuted(3) == 1)
        #expect(group.lastExecuted(1) == 0 && group.lastExecuted(2) == 0)
        group.uptime += 40_000_000
        for i in 1...2 { try group.tick(i) }
        #expect(group.lastExecuted(1) == 0 && group.lastExecuted(2) == 0)
        group.uptime += 20_000_000
        for i in 1...2 { try group.tick(i) }
        #expect(group.lastExecuted(1) == 1 && group.lastExecuted(2) == 1)
        #expect(group.nodes[1].checks.map(\.places) == [[0, 1, 2, 3, 4]], "its share, and no more")
        #expect(group.nodes[0].checks.isEmpty && group.nodes[3].checks.isEmpty)
    }

    @Test func nobodyWaitsLongForWhoWasLateLately() throws {
        var group = group()
        group.loses = { $0.from == 3 && Self.isPrepare($0.message) }
        try group.propose(0, batch(Self.requests(1, for: 3), group))
        try group.deliver()
        group.uptime += 60_000_000
        for i in 1...2 { try group.tick(i) }
        #expect(group.lastExecuted(1) == 1)
        // The next ones are checked while they are agreed on.
        for number in 2...6 {
            try group.propose(0, batch(Self.requests(2, for: 3, from: 1000 * number), group))
            try group.deliver()
            #expect(group.lastExecuted(1) == UInt64(number) && group.lastExecuted(2) == UInt64(number))
        }
        // When it is in time again for some batches, its word is waited for again.
        group.loses = { _ in false }
        for number in 7...16 {
            try group.propose(0, batch(Self.requests(1, for: 3, from: 1000 * number), group))
            try group.deliver()
        }
        let count = group.nodes[1].checks.count
        try group.propose(0, batch(Self.requests(1, for: 3, from: 17_000), group))
        try group.deliver()
        #expect(group.lastExecuted(1) == 17 && group.nodes[1].checks.count == count)
    }

    @Test func anAnswerThatIsLostIsAskedForAgain() throws {
        var group = group()
        group.loses = { $0.from == 3 && Self.isPrepare($0.message) }
        group.answersChecks = false
        try group.propose(0, batch(Self.requests(1, for: 3), group))
        try group.deliver()
        for _ in 0..<10 {
            group.uptime += 60_000_000
            try group.tick(1)
        }
        #expect(group.nodes[1].checks.count == 1 && group.lastExecuted(1) == 0)
        group.answersChecks = true
        group.uptime += 1_000_000_000
        try group.tick(1)
        #expect(group.nodes[1].checks.count == 2 && group.lastExecuted(1) == 1)
    }

    /// A primary that lies: its proposal holds what nobody signed, and it says COMMIT for it. Replica 3, who is to check
    /// that, refuses it; the two others order it.
    private func withForgery(isCommitted: Bool = true, to backups: [Int] = [1, 2, 3]) throws -> (TestGroup, Batch) {
        var group = group()
        group.crash(0)
        let items = Self.requests(1, for: 2) + Self.requests(1, for: 3, by: 8) + Self.requests(1, for: 1)
        let batch = batch(items, group)
        let proposal = PrePrepare(view: View(0), sequence: SequenceNumber(1), batch: batch)
        let vote = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest)
        for i in backups {
            try group.receive(i, from: 0, .prePrepare(proposal))
            try group.receive(i, from: 0, .prepare(vote.vouched))
        }
        guard isCommitted else { return (group, batch) }
        try group.deliver()
        for i in backups { try group.receive(i, from: 0, .commit(vote)) }
        return (group, batch)
    }

    @Test func whatNobodySignedIsLeftOutByAllAndItsPrimaryReplaced() throws {
        var (group, batch) = try withForgery()
        #expect(group.nodes[3].sent.contains { $0.message == .suspect(View(0)) }, "at once")
        group.uptime += 60_000_000
        for i in 1...2 { try group.tick(i) }
        for i in 1...2 {
            #expect(group.nodes[i].skipped[SequenceNumber(1)] == [1])
            #expect(
                group.nodes[i].durable.contains(.committed(sequence: SequenceNumber(1), batch.digest, skipped: [1])))
        }
        try group.run(milliseconds: 5000)
        for i in 1...3 {
            #expect(group.view(i) > 0 && group.lastExecuted(i) >= 1)
            #expect(group.nodes[i].skipped[SequenceNumber(1)] == [1], "who refused it too")
        }
    }

    @Test func aRestartLeavesOutTheSame() throws {
        var (group, _) = try withForgery()
        group.uptime += 60_000_000
        for i in 1...2 { try group.tick(i) }
        group.crash(1)
        group.nodes[1].skipped = [:]
        try group.restart(1)
        #expect(group.nodes[1].skipped[SequenceNumber(1)] == [1])
        let live = group.nodes[1].replica?.liveRecords() ?? []
        #expect(
            live.contains {
                if case .committedBody(_, _, let skipped) = $0 { skipped == [1] } else { false }
            }, "compaction keeps it")
    }

    /// A laggard hears of it from f + 1, with what they left out.
    @Test func aLaggardLeavesOutTheSame() throws {
        var (group, _) = try withForgery(to: [1, 2])
        // Nobody changes the view meanwhile.
        group.loses = {
            switch $0.message {
            case .suspect, .status: true
            default: false
            }
        }
        group.uptime += 60_000_000
        for i in 1...2 { try group.tick(i) }
        #expect(group.lastExecuted(1) == 1 && group.lastExecuted(2) == 1)
        let status = Status(view: View(0), isChangingView: false, lastExecuted: SequenceNumber(1), stable: .zero)
        for i in 1...2 { try group.receive(3, from: i, .status(status)) }
        group.uptime += 400_000_000
        try group.tick(3)
        try group.deliver()
        group.uptime += 400_000_000
        try group.tick(3)
        try group.deliver()
        #expect(group.lastExecuted(3) == 1 && group.nodes[3].skipped[SequenceNumber(1)] == [1])
    }

    /// Votes of a view say nothing about what it inherited: each replica looks itself.
    @Test func whatANewViewSelectsIsCheckedByEachReplicaItself() throws {
        // It prepares, and is committed nowhere, before the view changes.
        var (group, batch) = try withForgery(isCommitted: false)
        try group.deliver()
        #expect((1...3).allSatisfy { group.lastExecuted($0) == 0 })
        try group.changeView(to: 1)
        for i in 1...3 {
            #expect(group.nodes[i].skipped[SequenceNumber(1)] == [1])
            #expect(group.nodes[i].checks.contains { $0.batch == batch && $0.places == [0, 1, 2] })
        }
        #expect(group.agreed[SequenceNumber(1)] == batch.digest, "it had prepared")
        expectNoWordFor(batch.digest, in: 1, group)
        // Nor does anybody vouch for it who says it again after a restart.
        for i in 1...3 {
            group.crash(i)
            try group.restart(i)
            try group.run(milliseconds: 1000)
        }
        expectNoWordFor(batch.digest, in: 1, group)
        for i in 2...3 {
            let ready = try group.step(i, .forged(from: ReplicaIndex(1), View(1), SequenceNumber(1)))
            #expect(ready.sends.isEmpty)
        }
    }

    private func expectNoWordFor(_ digest: Digest, in view: UInt64, _ group: TestGroup) {
        for node in group.nodes {
            for message in node.said.map(\.message) + node.sent.map(\.message) {
                switch message {
                case .prePrepare(let m): #expect(m.view != View(view) || m.batch.digest != digest)
                case .prepare(let m): #expect(m.view != View(view) || m.digest != digest || !m.vouches)
                default: continue
                }
            }
        }
    }

    /// What was said of a fresh proposal is said again after a restart, for what it is worth: the share was checked
    /// before the record was written.
    @Test func whoVouchedForAFreshProposalDoesSoAfterARestart() throws {
        var group = group()
        group.loses = { if case .commit = $0.message { true } else { false } }
        let batch = batch(Self.requests(2, for: 3), group)
        try group.propose(0, batch)
        try group.deliver()
        let prepare = Vote(view: View(0), sequence: SequenceNumber(1), digest: batch.digest).vouched
        let before = group.nodes[3].said.count
        group.crash(3)
        try group.restart(3)
        try group.run(milliseconds: 300)
        #expect(group.nodes[3].said.dropFirst(before).contains { $0.message == .prepare(prepare) })
    }

    /// A faulty primary signs two NEW-VIEWs, both right: by one it selects a batch with what nobody signed, by the other
    /// nothing, and proposes the same batch afresh. Those who have the first prepare it, as they should, and among them
    /// are all that are to check it. Their PREPAREs vouch for nothing, so those who have the second look themselves.
    @Test func votesForWhatOneNewViewSelectedDoNotVouchForWhatIsFreshByAnother() throws {
        var group = TestGroup(n: 7)
        group.sharesChecks = true
        group.uptime = 1_000_000_000
        // 0 leads view 0 and 1 leads view 1; both lie. Of view 1's backups 2 and 3 are to check the forged request, of
        // view 0's 1 and 2.
        let forged = try #require(
            (1...1000).lazy.map { Self.request($0, by: 8) }.first { group.group.firstDesignated(for: $0.digest) == 0 })
        let batch = batch([.request(forged)], group)
        let first = SequenceNumber(1)
        for liar in 0...1 { group.crash(liar) }
        try group.receive(4, from: 0, .prePrepare(PrePrepare(view: View(0), sequence: first, batch: batch)))
        for i in 2...6 { for from in [0, 1, 2 + (i - 1) % 5] { try group.receive(i, from: from, .suspect(View(0))) } }
        var said: [ViewChange] = []
        for i in 2...6 {
            for case .viewChange(let viewChange) in group.nodes[i].said.map(\.message) { said.append(viewChange) }
        }
        #expect(said.map(\.view) == Array(repeating: View(1), count: 5))
        let claim = [PQEntry(sequence: first, digest: batch.digest, view: View(0))]
        func newView(_ liars: [Int], _ correct: ClosedRange<Int>, claims: [PQEntry]) throws -> PBFTMessage {
            let start = Checkpoint(sequence: .zero, digest: .null)
            let lies = liars.map { liar in
                ViewChange(
                    cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: View(1),
                    replica: ReplicaIndex(UInt8(liar)), lowWatermark: .zero, checkpoints: [start], prepared: claims,
                    prePrepared: claims, signer: TestSigner(liar))
            }
            let viewChanges = lies + said.filter { correct.contains($0.replica.index) }
            let selection = try #require(
                NewViewSelection(viewChanges, group: group.group, window: group.limits.window))
            #expect(selection.digests == claims.map(\.digest))
            return .newView(
                NewView(
                    cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: View(1),
                    replica: ReplicaIndex(1), viewChanges: viewChanges, start: selection.start,
                    selection: selection.digests, signer: TestSigner(1)))
        }
        group.network = []
        let selecting = try newView([0, 1], 2...4, claims: claim)
        let bare = try newView([0, 1], 2...4, claims: [])
        for i in 2...3 { try group.receive(i, from: 1, selecting) }
        for i in 4...6 {
            try group.receive(i, from: 1, bare)
            try group.receive(i, from: 1, .prePrepare(PrePrepare(view: View(1), sequence: first, batch: batch)))
        }
        // Fails if one leaves out what another executes.
        try group.deliver()
        group.uptime += 60_000_000
        for i in 2...6 { try group.tick(i) }
        for i in 2...6 { #expect(group.nodes[i].skipped[first] == [0], "\(i)") }
        for i in 4...6 { #expect(group.nodes[i].checks.contains { $0.places == [0] }, "\(i) looks itself") }
    }

    @Test func onlyTheOneWhoLeadsTheViewIsSuspectedForAForgery() throws {
        var group = group()
        for (from, view) in [(1, UInt64(0)), (2, 0), (0, 1), (1, 1)] {
            let ready = try group.step(3, .forged(from: ReplicaIndex(UInt8(from)), View(view), SequenceNumber(1)))
            #expect(ready.sends.isEmpty)
        }
        let ready = try group.step(3, .forged(from: ReplicaIndex(0), View(0), SequenceNumber(1)))
        #expect(ready.sends.map(\.message) == [.suspect(View(0))])
        // It stays so until the view is over, whatever moves.
        for _ in 0..<100 { try group.tick(3) }
        #expect(group.nodes[3].replica?.status().suspects == true)
    }

    /// A host that checks all that it is given needs nobody's word.
    @Test func whoHasCheckedAllOfItWaitsForNobody() throws {
        var group = group()
        group.sharesChecks = false
        group.loses = { $0.from == 3 && Self.isPrepare($0.message) }
        try group.propose(0, batch(Self.requests(5, for: 3), group))
        try group.deliver()
        for i in 0..<4 { #expect(group.lastExecuted(i) == 1 && group.nodes[i].checks.isEmpty) }
    }
}
