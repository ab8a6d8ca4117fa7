import Messages
import PBFT
import TestSignatures
import Testing

/// R3 and R4 where they are kept: what binds is recorded before it is said, and who may have forgotten votes says
/// nothing that binds.
@Suite struct PromisesTests {
    private static let silences: [Standing] = [
        .resuming, .rebuilding(from: SequenceNumber(7)), .quarantined(until: nil),
        .quarantined(until: SequenceNumber(9)),
    ]

    private let batch = Batch(time: Timestamp(1), items: [])
    private let view = View(3)
    private let sequence = SequenceNumber(5)
    private var vote: Vote { Vote(view: view, sequence: sequence, digest: batch.digest) }
    private var checkpoint: Checkpoint { Checkpoint(sequence: sequence, digest: batch.digest) }

    private func viewChange() -> ViewChange {
        ViewChange(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: view, replica: ReplicaIndex(0),
            lowWatermark: .zero, checkpoints: [Checkpoint(sequence: .zero, digest: .null)], prepared: [],
            prePrepared: [],
            signer: TestSigner(0))
    }

    private func newView() -> NewView {
        NewView(
            cluster: TestGroup.cluster, epoch: Epoch(1), shard: TestGroup.shard, view: view, replica: ReplicaIndex(3),
            viewChanges: [], start: Checkpoint(sequence: SequenceNumber(4), digest: .null), selection: [batch.digest],
            signer: TestSigner(3))
    }

    private func everyPromise() -> [(record: JournalRecord, message: PBFTMessage)] {
        let prePrepared = JournalRecord.prePrepared(view: view, sequence: sequence, batch)
        let (viewChange, newView) = (viewChange(), newView())
        return [
            (prePrepared, .prepare(vote.vouched)),
            (.prePreparedAgain(view: view, sequence: sequence, batch.digest), .prepare(Prepare(vote, vouches: false))),
            (.prepared(view: view, sequence: sequence, batch.digest), .commit(vote)),
            (.viewChange(viewChange), .viewChange(viewChange)),
            (.newView(newView), .newView(newView)),
        ]
    }

    private func recollection() -> PBFTMessage {
        .recollection(Recollection(about: ReplicaIndex(1), nonce: 1, heard: .zero, checkpoint: .zero))
    }

    private func promises(_ standing: Standing) -> Promises {
        var promises = Promises()
        if standing != .full { promises.fallSilent(standing) }
        return promises
    }

    @Test func whoTakesPartRecordsEachPromiseAndHoldsItUntilThatIsDurable() {
        for (record, message) in everyPromise() {
            var ready = ReplicaReady()
            #expect(Promises().promise(record, thenSay: message, into: &ready))
            #expect(ready.records == [record] && ready.held == [message] && ready.sends.isEmpty, "\(message)")
        }
    }

    @Test(arguments: silences) func whoIsSilentCannotBindHimself(standing: Standing) {
        let promises = promises(standing)
        for (record, message) in everyPromise() {
            var ready = ReplicaReady()
            #expect(!promises.promise(record, thenSay: message, into: &ready), "\(message)")
            #expect(!promises.sayOnceDurable(message, into: &ready), "\(message)")
            promises.send(message, to: .others, into: &ready)
            #expect(ready.records == [record] && ready.held.isEmpty && ready.sends.isEmpty, "\(message)")
        }
    }

    @Test(arguments: silences) func whoIsSilentVouchesForNothing(standing: Standing) {
        let promises = promises(standing)
        var ready = ReplicaReady()
        for message in [.checkpoint(checkpoint), .suspect(view), .batch(batch), .committedBody(batch)] as [PBFTMessage]
        {
            #expect(!promises.sayOnceDurable(message, into: &ready))
            promises.send(message, to: .others, into: &ready)
        }
        promises.send(.committed(CommittedClaims(from: sequence, digests: [batch.digest])), to: .others, into: &ready)
        #expect(ready.held.isEmpty && ready.sends.isEmpty)
    }

    @Test(arguments: silences) func whoIsSilentAsksAndSaysWhereHeIs(standing: Standing) {
        let promises = promises(standing)
        var ready = ReplicaReady()
        let status = Status(view: view, isChangingView: false, lastExecuted: sequence, stable: sequence)
        let resumption = Resumption(nonce: 1, remembers: sequence, isQuarantined: standing.isQuarantined)
        let fetch = FetchCommitted(from: sequence, count: 1, bodies: true)
        for message in [.status(status), .resumed(resumption), .fetchBatch(.null), .fetchCommitted(fetch)]
            as [PBFTMessage]
        {
            promises.send(message, to: .others, into: &ready)
        }
        #expect(ready.sends.count == 4)
    }

    @Test(arguments: silences) func onlyQuarantineForgetsWhatOthersDeclared(standing: Standing) {
        var ready = ReplicaReady()
        let promises = promises(standing)
        promises.send(recollection(), to: .others, into: &ready)
        promises.sayOnceDurable(recollection(), into: &ready)
        #expect(ready.sends.isEmpty == standing.isQuarantined && ready.held.isEmpty == standing.isQuarantined)
    }

    @Test(arguments: silences) func whoTakesPartAgainMaySpeak(standing: Standing) {
        var promises = promises(standing)
        promises.takePart()
        var ready = ReplicaReady()
        #expect(promises.sayOnceDurable(.commit(vote), into: &ready) && ready.held == [.commit(vote)])
    }

    @Test func whatANewViewSelectsNeedsNoSecondWord() {
        var ready = ReplicaReady()
        Promises().promise(.prePrepared(view: view, sequence: sequence, batch), saidBy: newView(), into: &ready)
        #expect(ready.records == [.prePrepared(view: view, sequence: sequence, batch)] && ready.held.isEmpty)
    }

    @Test(arguments: [false, true]) func aProposalBindsByItsPrepareAlone(isEarly: Bool) {
        var ready = ReplicaReady()
        let proposal = PrePrepare(view: view, sequence: sequence, batch: batch)
        Promises().propose(proposal, thenSay: vote.vouched, isEarly: isEarly, into: &ready)
        #expect(ready.records == [.prePrepared(view: view, sequence: sequence, batch)])
        #expect(ready.held.last == .prepare(vote.vouched) && ready.held.contains(.prePrepare(proposal)) != isEarly)
        #expect(ready.sends.map(\.message) == (isEarly ? [.prePrepare(proposal)] : []))
    }

    @Test(arguments: silences + [.full]) func whatBindsNobodyIsAlwaysRemembered(standing: Standing) {
        var ready = ReplicaReady()
        let promises = promises(standing)
        promises.remember(.committedBody(sequence: sequence, batch), into: &ready)
        promises.remember(.stable(checkpoint), into: &ready)
        promises.remember(.quarantine(incarnation: 3, isOver: false), into: &ready)
        #expect(
            ready.records == [
                .committedBody(sequence: sequence, batch), .stable(checkpoint),
                .quarantine(incarnation: 3, isOver: false),
            ])
        #expect(ready.held.isEmpty && ready.sends.isEmpty)
    }
}
