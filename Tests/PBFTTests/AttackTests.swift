import Messages
import PBFT
import TestSignatures
import Testing

/// What a faulty member of the group may try; each of these once worked.
@Suite struct AttackTests {
    private let zero = Checkpoint(sequence: .zero, digest: .null)

    @Test func nothingFreshIsAcceptedAtOrBelowWhereTheViewStarts() throws {
        // The new primary proposes other batches at numbers that NEW-VIEW settled: those who executed them there would
        // otherwise vote, and one who lags would execute something else.
        var group = TestGroup()
        let four = Checkpoint(sequence: SequenceNumber(4), digest: Digest(TestSigner(7).publicKey.value))
        let primary = group.group.primary(of: View(1), in: TestGroup.shard).index
        let others = (0..<4).filter { $0 != primary }
        let viewChanges = (0..<3).map {
            group.viewChange(by: $0, to: 1, low: 0, checkpoints: [zero, four], prepared: [], prePrepared: [])
        }
        let newView = NewView(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: View(1),
            replica: ReplicaIndex(UInt8(primary)),
            viewChanges: viewChanges, start: four, selection: [], signer: TestSigner(primary))
        let backup = others[others.count - 1]
        try group.receive(backup, from: primary, .newView(newView))
        for number in 1...4 as ClosedRange<UInt64> {
            let batch = group.freshBatch()
            let ready = try group.receive(
                backup, from: primary,
                .prePrepare(PrePrepare(view: View(1), sequence: SequenceNumber(number), batch: batch)))
            #expect(ready.records.isEmpty && ready.held.isEmpty)
            #expect(ready.drops.contains { $0.1 == .conflictingPrePrepare(SequenceNumber(number)) })
        }
        // Above it, a proposal is a proposal.
        let batch = group.freshBatch()
        let ready = try group.receive(
            backup, from: primary, .prePrepare(PrePrepare(view: View(1), sequence: SequenceNumber(5), batch: batch)))
        #expect(ready.records.contains(.prePrepared(view: View(1), sequence: SequenceNumber(5), batch)))
    }

    @Test func aStatusWithTheLargestNumberDoesNotStopItsReader() throws {
        var group = TestGroup()
        let lie = Status(
            view: View(0), isChangingView: false, lastExecuted: SequenceNumber(.max), stable: SequenceNumber(.max))
        for _ in 0..<4 {
            group.uptime += 500_000_000
            try group.receive(0, from: 3, .status(lie))
            try group.tick(0)
        }
        #expect(group.nodes[0].halt == nil)
    }
}
