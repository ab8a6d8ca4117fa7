import Messages
import PBFT
import Testing

/// R3: what was said before a crash is said again, byte for byte, and nothing contradicts it.
@Suite struct RestartTests {
    /// A history with batches, a stable checkpoint, a view change, null requests and unfinished work. States are not
    /// flushed, so every prefix of a journal is a place to start from.
    private func eventfulGroup() throws -> TestGroup {
        var group = TestGroup()
        group.flushesAtOnce = false
        for _ in 0..<6 { try group.propose(0) }
        try group.deliver()
        // 7 is lost, 8 prepares: the new view orders a null request at 7.
        try group.propose(0)
        group.network = []
        try group.propose(0)
        try group.deliver { if case .commit = $0.message { false } else { true } }
        group.cut(0)
        group.everybodyWaits()
        try group.run(milliseconds: 3000)
        group.nobodyWaits()
        for _ in 0..<3 {
            try group.propose(1)
            try group.deliver()
        }
        try group.propose(1)
        try group.deliver { if case .commit = $0.message { false } else { true } }
        return group
    }

    private func restart(_ group: TestGroup, _ i: Int, base: Checkpoint? = nil, _ records: [JournalRecord]) throws -> (
        Replica, [PBFTMessage]
    ) {
        var ready = ReplicaReady()
        let base = base ?? Checkpoint(sequence: .zero, digest: .null)
        var replica = Replica(
            configuration: group.configuration(i), base: base, records: records, now: group.now, into: &ready)
        try replica.checkInvariants()
        ready.removeAll()
        try start(&replica, group, &ready)
        return (replica, ready.held)
    }

    /// It asks its peers what they heard, says nothing until enough of them have answered, and then all of it.
    private func start(_ replica: inout Replica, _ group: TestGroup, _ ready: inout ReplicaReady) throws {
        let asks = replica.standing == .resuming
        replica.step(.started, now: group.now, into: &ready)
        if asks { #expect(ready.held.isEmpty) }
        let questions = ready.sends
        for question in questions {
            guard case .resumed(let resumption) = question.message, case .one(let peer) = question.to else {
                Issue.record("says \(question.message) before it is told what it said")
                continue
            }
            let answer = Recollection(
                about: replica.configuration.me, nonce: resumption.nonce, heard: resumption.remembers, checkpoint: .zero
            )
            replica.step(.message(from: peer, try group.verified(.recollection(answer))), now: group.now, into: &ready)
        }
        #expect(replica.standing == .full)
    }

    @Test(arguments: 0..<4)
    func everyPrefixOfAJournalSaysAgainWhatItRests(i: Int) throws {
        let group = try eventfulGroup()
        let node = group.nodes[i]
        #expect(group.view(2) == 1 && group.lastExecuted(2) >= 11)
        for length in 0...node.durable.count {
            let (replica, held) = try restart(group, i, Array(node.durable.prefix(length)))
            let before = node.said.filter { $0.position <= length }.map(\.message)
            for message in before where isOfNow(message, replica) {
                #expect(held.contains(message), "replica \(i), \(length) records: \(message) is not said again")
            }
            for message in held { try expectNoContradiction(message, before, "replica \(i), \(length) records") }
        }
    }

    /// Whether a message belongs to the view and the window of a replica: others need it no more.
    private func isOfNow(_ message: PBFTMessage, _ replica: Replica) -> Bool {
        switch message {
        case .prePrepare(let m):
            !replica.isChangingView && m.view == replica.view && m.sequence > replica.stable.sequence
        case .prepare(let m):
            !replica.isChangingView && m.view == replica.view && m.sequence > replica.stable.sequence
        case .commit(let m):
            !replica.isChangingView && m.view == replica.view && m.sequence > replica.stable.sequence
        case .viewChange(let m): replica.isChangingView && m.view == replica.view
        case .newView(let m): !replica.isChangingView && m.view == replica.view
        case .checkpoint, .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
            .recollection:
            false
        }
    }

    private func expectNoContradiction(_ message: PBFTMessage, _ before: [PBFTMessage], _ what: String) throws {
        for earlier in before {
            switch (message, earlier) {
            case (.prePrepare(let a), .prePrepare(let b)) where a.view == b.view && a.sequence == b.sequence:
                #expect(a == b, "\(what)")
            case (.prepare(let a), .prepare(let b)) where a.view == b.view && a.sequence == b.sequence:
                #expect(a == b, "\(what)")
            case (.commit(let a), .commit(let b)) where a.view == b.view && a.sequence == b.sequence:
                #expect(a == b, "\(what)")
            case (.viewChange(let a), .viewChange(let b)) where a.view == b.view: #expect(a == b, "\(what)")
            case (.newView(let a), .newView(let b)) where a.view == b.view: #expect(a == b, "\(what)")
            default: continue
            }
        }
    }

    @Test func whatWasCommittedIsExecutedAgainInOrder() throws {
        let group = try eventfulGroup()
        for i in 0..<4 {
            var ready = ReplicaReady()
            let replica = Replica(
                configuration: group.configuration(i), base: Checkpoint(sequence: .zero, digest: .null),
                records: group.nodes[i].durable, now: group.now, into: &ready)
            #expect(ready.executes.map(\.sequence) == group.nodes[i].executed)
            for ordered in ready.executes { #expect(group.agreed[ordered.sequence] == ordered.batch.digest) }
            #expect(replica.lastExecuted == group.nodes[i].replica?.lastExecuted)
            #expect(replica.stable == group.nodes[i].replica?.stable)
        }
    }

    @Test func liveRecordsRestoreTheSameReplica() throws {
        // Compaction writes these and forgets all that came before.
        for isFlushed in [false, true] {
            var group = try eventfulGroup()
            if isFlushed { for i in 0..<4 { try group.flush(i) } }
            for i in 0..<4 {
                let node = group.nodes[i]
                let live = try #require(node.replica).liveRecords()
                #expect(isFlushed == (live.count < node.durable.count) || live.count < node.durable.count)
                let (whole, saidByWhole) = try restart(group, i, base: node.base, node.durable)
                let (compacted, saidByCompacted) = try restart(group, i, base: node.base, live)
                #expect(saidByWhole == saidByCompacted)
                #expect(whole.status() == compacted.status() && whole.stable == compacted.stable)
                #expect(whole.liveRecords() == compacted.liveRecords())
                // Who led its view, 0 or 1, has left it.
                #expect(i < 2 ? whole.isChangingView : whole.liveRecords() == live)
                #expect(try viewChange(group, whole) == viewChange(group, compacted), "P, Q or C differ")
            }
        }
    }

    /// The VIEW-CHANGE that a replica sends when f + 1 suspect its primary: P, Q and C as others would see them.
    private func viewChange(_ group: TestGroup, _ replica: Replica) throws -> PBFTMessage? {
        var replica = replica
        var ready = ReplicaReady()
        for from in 0..<3 where ReplicaIndex(UInt8(from)) != replica.configuration.me {
            let suspect = try group.verified(.suspect(replica.view))
            replica.step(.message(from: ReplicaIndex(UInt8(from)), suspect), now: group.now, into: &ready)
        }
        return ready.held.last
    }

    @Test func aPowerCutForAllLosesNothingThatWasExecuted() throws {
        var group = try eventfulGroup()
        let executed = group.lastExecuted(1)
        for i in 0..<4 { group.crash(i) }
        group.network = []
        group.cut(0, false)
        for i in 0..<4 { try group.restart(i) }
        try group.deliver()
        try group.run(milliseconds: 2000)
        for i in 0..<4 {
            #expect(group.view(i) == 2, "the primary of view 1 does not lead it on")
            #expect(group.lastExecuted(i) >= executed)
            #expect(group.lastExecuted(i) == group.lastExecuted(0))
        }
    }

    /// Its record is lost, and its PRE-PREPARE is not: it reached some backups, none of them, or all.
    @Test(arguments: 0..<8)
    func aPrimaryThatForgotAProposalLeavesItsView(heardBy backups: Int) throws {
        var group = TestGroup()
        try group.propose(0)
        try group.deliver()
        group.syncsAtOnce = false
        let lost = try group.propose(0)
        let heard = group.network
        #expect(heard.count == 3 && group.nodes[0].volatile.count == 1)
        group.crash(0)
        group.syncsAtOnce = true
        for packet in heard where backups >> (packet.to - 1) & 1 == 1 {
            try group.receive(packet.to, from: 0, packet.message)
        }
        try group.deliver()
        try group.restart(0)
        try group.run(milliseconds: 100)
        // Nobody waited for a timeout, and nobody holds the forgotten proposal against it.
        for i in 0..<4 { #expect(group.view(i) == 1 && !group.isChangingView(i), "replica \(i)") }
        #expect(group.nodes[0].replica?.standing == .full && group.nodes[0].halt == nil)
        // What all three backups prepared is committed without it; otherwise the number is free.
        if backups == 7 { #expect(group.agreed[SequenceNumber(2)] == lost.digest) }
        try group.propose(try #require(group.primary))
        try group.deliver()
        for i in 0..<4 { #expect(group.lastExecuted(i) == (backups == 7 ? 3 : 2), "replica \(i)") }
    }

    @Test func aPrimaryThatForgotNothingLeavesItsViewToo() throws {
        // It cannot tell.
        var group = TestGroup()
        try group.propose(0)
        try group.deliver()
        group.crash(0)
        try group.restart(0)
        #expect(group.nodes[0].replica?.canPropose == false)
        try group.run(milliseconds: 100)
        for i in 0..<4 { #expect(group.view(i) == 1 && !group.isChangingView(i), "replica \(i)") }
        #expect(group.primary == 1)
    }

    @Test func theFirstProposalsOfAViewWaitForWhatTellsWhoLedIt() throws {
        // Without NEW-VIEW in its journal a replica does not know that it led the view, and would lead it once more.
        var group = TestGroup()
        group.syncsAtOnce = false
        for i in [2, 3] { try group.receive(1, from: i, .viewChange(group.viewChange(by: i, to: 1))) }
        try group.sync(1)
        #expect(group.view(1) == 1 && !group.isChangingView(1))
        func proposalLeaves() throws -> (early: Bool, held: Bool) {
            let ready = try group.step(1, .propose(group.freshBatch()))
            func isProposal(_ message: PBFTMessage) -> Bool { if case .prePrepare = message { true } else { false } }
            return (ready.sends.map(\.message).contains(where: isProposal), ready.held.contains(where: isProposal))
        }
        #expect(try proposalLeaves() == (early: false, held: true))
        try group.sync(1)
        #expect(try proposalLeaves() == (early: true, held: false))
    }

    @Test func aPrimaryThatForgotAProposalThatNeverLeftProposesAnotherInItsPlace() throws {
        // The first one of a new shard: with an empty journal it is as if it had never started.
        var group = TestGroup()
        group.syncsAtOnce = false
        try group.propose(0)
        #expect(group.network.isEmpty)
        group.crash(0)
        group.syncsAtOnce = true
        try group.restart(0)
        let batch = try group.propose(0)
        try group.deliver()
        #expect(group.agreed[SequenceNumber(1)] == batch.digest)
    }

    @Test func aNullRequestWhoseRecordWasLostIsTakenUpAgain() throws {
        // NEW-VIEW reached the new primary's disk, the pre-prepares of what it selects did not.
        let full = try eventfulGroup()
        let journal = full.nodes[1].durable
        let index = try #require(journal.firstIndex { if case .newView = $0 { true } else { false } })
        var ready = ReplicaReady()
        var replica = Replica(
            configuration: full.configuration(1), base: Checkpoint(sequence: .zero, digest: .null),
            records: Array(journal.prefix(index + 1)), now: full.now, into: &ready)
        try start(&replica, full, &ready)
        for _ in 0..<20 { replica.step(.tick(oldestPending: nil, primaryReachable: true), now: full.now, into: &ready) }
        let seventh =
            ready.records.contains {
                if case .prePreparedAgain(_, SequenceNumber(7), .null) = $0 { true } else { false }
            }
            || ready.records.contains {
                if case .prePrepared(_, SequenceNumber(7), let batch) = $0 { batch.isNull } else { false }
            }
        #expect(seventh)
    }
}
