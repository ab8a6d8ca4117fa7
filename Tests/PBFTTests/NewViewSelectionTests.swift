import Messages
import PBFT
import TestSignatures
import Testing

/// Conditions A1, A2 and B (TOCS 20(4) 2002, §4.4) as a pure function of the VIEW-CHANGE messages.
@Suite struct NewViewSelectionTests {
    private let group = TestGroup()
    private let d = Digest(TestSigner(1).publicKey.value)
    private let e = Digest(TestSigner(2).publicKey.value)

    private func entry(_ digest: Digest, view: UInt64 = 0, at number: UInt64 = 1) -> PQEntry {
        PQEntry(sequence: SequenceNumber(number), digest: digest, view: View(view))
    }

    /// A VIEW-CHANGE for view 4 with these P and Q.
    private func viewChange(
        _ i: Int, p: [PQEntry] = [], q: [PQEntry] = [], low: UInt64 = 0, checkpoints: [Checkpoint]? = nil
    ) -> ViewChange {
        group.viewChange(by: i, to: 4, low: low, checkpoints: checkpoints, prepared: p, prePrepared: q)
    }

    /// The same whatever the order of S.
    private func select(_ viewChanges: [ViewChange]) -> NewViewSelection? {
        let selection = NewViewSelection(viewChanges, group: group.group, window: group.limits.window)
        #expect(NewViewSelection(viewChanges.reversed(), group: group.group, window: group.limits.window) == selection)
        return selection
    }

    // The histories of the model vc.py: n = 4, one sequence number, view 0. Each shows which weaker rule would break.

    @Test func aWipedReplicaThatVotesMakesAnExecutedBatchDisappear() {
        // r1 committed d; r0 was wiped, r2 never prepared, r3 lies. The null request wins over what r1 has executed: so
        // a replica that may have lost records must stay silent (R4).
        #expect(select([viewChange(0), viewChange(2), viewChange(3)])?.digests == [])
        // With r0's records kept, the committed batch survives whatever r3 says.
        let kept = viewChange(0, p: [entry(d)], q: [entry(d)])
        #expect(select([kept, viewChange(2), viewChange(3)]) == nil)
        #expect(
            select([kept, viewChange(1, p: [entry(d)], q: [entry(d)]), viewChange(2), viewChange(3)])?.digests == [d])
    }

    @Test func anUnsyncedPrePrepareCanStopTheGroup() {
        // r1 prepared d with the help of a faulty r2, which is silent now; r0 forgot that it had pre-prepared d; r3 is
        // empty.
        let prepared = viewChange(1, p: [entry(d)], q: [entry(d)])
        #expect(select([viewChange(0), prepared, viewChange(3)]) == nil, "neither A nor B ever comes true")
        // R3: had r0 kept its pre-prepare, A2 would hold.
        #expect(select([viewChange(0, q: [entry(d)]), prepared, viewChange(3)])?.digests == [d])
    }

    @Test func signingBeforeLocalCommitWouldProveWhatAViewChangeDrops() {
        // f + 1 = r1, r3 signed at "prepared"; r0 has d in Q only, r2 nothing, r3 lies: null is selected. So an
        // attestation is given only after local commit (R1).
        let selection = select([viewChange(0, q: [entry(d)]), viewChange(2), viewChange(3)])
        #expect(selection?.digests == [])
    }

    @Test func aBatchThatCommittedIsSelectedFromEveryQuorum() {
        // r0, r1, r2 prepared d in view 2; r3 lies in every way that is correct in form. No quorum selects anything
        // else, and the quorum of the correct selects it.
        let correct = (0..<3).map { viewChange($0, p: [entry(d, view: 2)], q: [entry(d, view: 2)]) }
        #expect(select(correct)?.digests == [d])
        var lies: [ViewChange] = []
        for p in [[], [entry(d, view: 0)], [entry(e, view: 1)], [entry(e, view: 2)], [entry(e, view: 3)]] {
            for q in [[], [entry(e, view: 3)], [entry(e, view: 1)]] { lies.append(viewChange(3, p: p, q: q)) }
        }
        for lie in lies {
            for absent in 0..<3 {
                let selection = select(correct.filter { $0.replica.index != absent } + [lie])
                #expect(selection == nil || selection?.digests == [d])
            }
            #expect(select(correct + [lie])?.digests == [d])
        }
    }

    @Test func aLiarsPSelectsNothingThatNoCorrectReplicaPrePrepared() {
        // A2: f + 1 entries in Q contain a correct replica's.
        let lie = viewChange(3, p: [entry(e, view: 3)], q: [entry(e, view: 3)])
        #expect(select([viewChange(0), viewChange(1), lie]) == nil)
        #expect(select([viewChange(0), viewChange(1), viewChange(2), lie])?.digests == [.null])
    }

    @Test func theLatestViewWins() {
        let old = entry(d, view: 1)
        let new = entry(e, view: 3)
        let selection = select([
            viewChange(0, p: [old], q: [old]), viewChange(1, p: [new], q: [new]),
            viewChange(2, p: [old], q: [old, new].sorted()),
        ])
        #expect(selection?.digests == [e])
    }

    @Test func gapsBecomeNullRequests() {
        let third = entry(d, at: 3)
        let all = (0..<3).map { viewChange($0, p: [third], q: [third]) }
        #expect(select(all)?.digests == [.null, .null, d])
    }

    @Test func fewerThanAQuorumSelectsNothing() {
        #expect(select([viewChange(0), viewChange(1)]) == nil)
        #expect(select([]) == nil)
    }

    @Test func theViewStartsFromTheHighestCheckpointThatAWeakQuorumHoldsAndAQuorumReaches() {
        let zero = Checkpoint(sequence: .zero, digest: .null)
        let four = Checkpoint(sequence: SequenceNumber(4), digest: d)
        let wrong = Checkpoint(sequence: SequenceNumber(4), digest: e)
        // Stable at one, taken at another: two hold it, all can reach it.
        let a = viewChange(0, low: 4, checkpoints: [four])
        let b = viewChange(1, checkpoints: [zero, four])
        #expect(select([a, b, viewChange(2)])?.start == four)
        // One alone may be a liar, and only two reach 0.
        #expect(select([a, viewChange(1), viewChange(2)]) == nil)
        #expect(select([a, viewChange(1), viewChange(2), viewChange(3)])?.start == zero)
        // Another digest at the same number does not count with it.
        #expect(select([a, viewChange(1, checkpoints: [zero, wrong]), viewChange(2), viewChange(3)])?.start == zero)
    }

    @Test func aLiarsWatermarkCannotMakeTheSelectionGrow() {
        // Correct in form: an entry within (h, h + L] of an h that nobody else has. What committed anywhere lies within
        // L of where the view starts, so nothing beyond is ever selected.
        for low in [UInt64(1_000), 100_000] {
            let far = entry(d, at: low + 1)
            let lie = viewChange(3, p: [far], q: [far], low: low)
            let selection = select([viewChange(0), viewChange(1), viewChange(2), lie])
            #expect((selection?.digests.count ?? 0) <= Int(group.limits.window))
        }
    }
}
