import Messages
import PBFT
import TestSignatures
import Testing

/// Checkpoints and truncation (PBFT, OSDI '99 §4.3).
@Suite struct CheckpointTests {
    /// Four batches ordered, with every checkpoint message but a replica's own lost.
    private func groupAtCheckpoint(n: Int) throws -> (TestGroup, Checkpoint) {
        var group = TestGroup(n: n)
        for _ in 0..<4 { try group.propose(0) }
        try group.deliver { if case .checkpoint = $0.message { false } else { true } }
        let digest = try #require(group.nodes[1].states[SequenceNumber(4)])
        return (group, Checkpoint(sequence: SequenceNumber(4), digest: digest))
    }

    @Test(arguments: [4, 7, 10])
    func aCheckpointIsStableOnlyWithAQuorum(n: Int) throws {
        // R1: f + 1 prove a result; truncating the log needs 2f + 1, so that a quorum holds the checkpoint.
        var (group, checkpoint) = try groupAtCheckpoint(n: n)
        for from in 2..<n {
            let claims = from  // Its own and those of 2, 3, …, from.
            let ready = try group.receive(1, from: from, .checkpoint(checkpoint))
            let isQuorum = claims == group.group.quorum
            #expect((ready.records == [.stable(checkpoint)]) == isQuorum)
            #expect((group.nodes[1].replica?.stable == checkpoint) == (claims >= group.group.quorum))
        }
    }

    @Test func theOwnClaimCountsOnlyWhenItIsDurable() throws {
        var group = TestGroup()
        for _ in 0..<4 { try group.propose(0) }
        var held: [TestGroup.Packet] = []
        try group.deliver { packet in
            if case .checkpoint = packet.message { return false }
            if packet.to == 1, case .commit = packet.message {
                held.append(packet)
                return false
            }
            return true
        }
        group.syncsAtOnce = false
        for packet in held { try group.receive(1, from: packet.from, packet.message) }
        let digest = try #require(group.nodes[1].states[SequenceNumber(4)])
        let checkpoint = Checkpoint(sequence: SequenceNumber(4), digest: digest)
        for from in [0, 2, 3] { try group.receive(1, from: from, .checkpoint(checkpoint)) }
        #expect(group.nodes[1].replica?.stable.sequence == .zero)
        try group.sync(1)
        #expect(group.nodes[1].replica?.stable == checkpoint)
    }

    @Test func aStableCheckpointMovesTheWatermarks() throws {
        var (group, checkpoint) = try groupAtCheckpoint(n: 4)
        func vote(_ number: UInt64) -> PBFTMessage {
            .prepare(Vote(view: View(0), sequence: SequenceNumber(number), digest: .null).vouched)
        }
        #expect(try group.receive(1, from: 2, vote(17)).drops.count == 1)
        for from in 2..<4 { try group.receive(1, from: from, .checkpoint(checkpoint)) }
        #expect(try group.receive(1, from: 2, vote(20)).drops.isEmpty)
        #expect(
            try group.receive(1, from: 2, vote(21)).drops.map(\.1) == [
                .outsideWatermarks(got: SequenceNumber(21), low: SequenceNumber(4), high: SequenceNumber(20))
            ])
    }

    @Test func theWindowNeverClosesWhileAQuorumLives() throws {
        var group = TestGroup()
        group.cut(3)
        for _ in 0..<100 {
            try group.propose(0)
            try group.deliver()
        }
        for i in 0..<3 {
            #expect(group.lastExecuted(i) == 100)
            #expect(group.nodes[i].replica?.stable.sequence == SequenceNumber(100))
        }
    }

    @Test func theWindowClosesWithoutAQuorumOfCheckpoints() throws {
        var group = TestGroup()
        for _ in 0..<16 {
            try group.propose(0)
            try group.deliver { if case .checkpoint = $0.message { false } else { true } }
        }
        #expect(group.lastExecuted(0) == 16)
        #expect(group.nodes[0].replica?.canPropose == false)
    }

    @Test func aReplicaWhoseStateDiffersFromAQuorumsHalts() throws {
        var (group, checkpoint) = try groupAtCheckpoint(n: 4)
        let other = Checkpoint(sequence: checkpoint.sequence, digest: Digest(TestSigner(5).publicKey.value))
        for from in [0, 2] { #expect(try group.receive(1, from: from, .checkpoint(other)).halt == nil) }
        let last = try group.receive(1, from: 3, .checkpoint(other))
        #expect(last.halt != nil && last.hasDiverged)
        #expect(group.nodes[1].replica?.isHalted == true)
        // For good: it says nothing any more.
        let prePrepare = PrePrepare(view: View(0), sequence: SequenceNumber(5), batch: group.freshBatch())
        let ready = try group.receive(1, from: 0, .prePrepare(prePrepare))
        #expect(ready.held.isEmpty && ready.sends.isEmpty && ready.records.isEmpty)
    }

    /// Whoever comes by late finds a later checkpoint certified, and yet asks what a quorum says of this one.
    @Test func aLaggardWhoseStateDiffersDoesNotCallItStable() throws {
        for isWrong in [false, true] {
            var group = TestGroup()
            for _ in 0..<4 { try group.propose(0) }
            var held: [TestGroup.Packet] = []
            try group.deliver { packet in
                if case .checkpoint = packet.message { return false }
                guard packet.to == 1, case .commit = packet.message else { return true }
                held.append(packet)
                return false
            }
            let right = try #require(group.nodes[2].states[SequenceNumber(4)])
            let claimed = isWrong ? Digest(TestSigner(5).publicKey.value) : right
            let checkpoint = Checkpoint(sequence: SequenceNumber(4), digest: claimed)
            let later = Checkpoint(sequence: SequenceNumber(8), digest: Digest(TestSigner(6).publicKey.value))
            for from in [0, 2, 3] {
                try group.receive(1, from: from, .checkpoint(checkpoint))
                try group.receive(1, from: from, .checkpoint(later))
            }
            for packet in held { try group.receive(1, from: packet.from, packet.message) }
            #expect(group.nodes[1].replica?.isHalted == isWrong)
            #expect(group.nodes[1].replica?.stable.sequence == SequenceNumber(isWrong ? 0 : 4))
        }
    }

    @Test func aReplicaClaimsOnceForASequenceNumber() throws {
        var (group, checkpoint) = try groupAtCheckpoint(n: 7)
        // Replica 6 claims something else first; its second claim is not heard.
        let other = Checkpoint(sequence: checkpoint.sequence, digest: Digest(TestSigner(5).publicKey.value))
        try group.receive(1, from: 6, .checkpoint(other))
        try group.receive(1, from: 6, .checkpoint(checkpoint))
        for from in 2..<5 { try group.receive(1, from: from, .checkpoint(checkpoint)) }
        #expect(group.nodes[1].replica?.stable.sequence == .zero)
        try group.receive(1, from: 5, .checkpoint(checkpoint))
        #expect(group.nodes[1].replica?.stable == checkpoint)
    }

    @Test func claimsBetweenCheckpointsAndFarAheadAreHarmless() throws {
        var (group, checkpoint) = try groupAtCheckpoint(n: 4)
        for number in [1, 2, 3, 5, 400, 4_000_000, UInt64.max - 3] {
            for from in [0, 2, 3] {
                try group.receive(
                    1, from: from, .checkpoint(Checkpoint(sequence: SequenceNumber(number), digest: .null)))
            }
        }
        for from in 2..<4 { try group.receive(1, from: from, .checkpoint(checkpoint)) }
        #expect(group.nodes[1].replica?.stable == checkpoint)
    }
}
