import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

@Suite struct AnsweringTests {
    /// Who brings hundreds of one batch late is sent it once; what has left is sent again to who asks again.
    @Test func anAttestationLeavesOnceForEachSession() throws {
        var shards = try TwoShards()
        let executed = try shards.execute(TwoShards.across(4), on: 0)
        let signature = ReplicaSignature(replica: ReplicaIndex(0), signature: StandInSigner(0).sign([]))
        let attestation = HostReply.attestation(
            BatchAttestation(statement: executed.statement, signature: signature, leaves: executed.leaves))
        let (anna, ben) = (SessionID(1), SessionID(2))
        var ready = HostReady()
        ready.reply([.init(to: [anna], reply: attestation)])
        ready.reply([.init(to: [anna], reply: attestation), .init(to: [anna, ben], reply: attestation)])
        #expect(ready.toGateways.map(\.to) == [[anna], [ben]])
        let view = HostReply.account(id: 1, nil)
        ready.reply([.init(to: [anna], reply: view), .init(to: [anna], reply: view)])
        #expect(ready.toGateways.count == 4, "what is no attestation is not looked at")
        ready.removeAll()
        ready.reply([.init(to: [anna], reply: attestation)])
        #expect(ready.toGateways.map(\.to) == [[anna]])
    }

    private static let (anna, ben) = (SessionID(1), SessionID(2))
    private static let setting = TwoShards.setting(host: 1)

    private static func answers(_ ready: ShardReady) -> [[SessionID]] { ready.toGateways.map(\.to) }

    @Test func whoWaitsAndIsStillThereIsToldOnce() throws {
        var shards = try TwoShards()
        var answering = Answering(options: TwoShards.options)
        let (first, second) = (TwoShards.request(4, .open(TwoShards.account(on: 0))), TwoShards.across(5))
        answering.add(Self.ben, for: first.digest)
        answering.add(Self.anna, for: first.digest)
        answering.add(Self.anna, for: second.digest)
        answering.close(Self.ben)
        #expect(answering.isOpen(Self.anna) && !answering.isOpen(Self.ben))
        let executed = try shards.execute([.request(first), .request(second)], on: 0)
        answering.note(executed.statement, executed.leaves)
        var ready = ShardReady()
        answering.answer(executed, Self.setting, into: &ready)
        #expect(Self.answers(ready) == [[Self.anna]], "one attestation for both leaves")
        #expect(!answering.waits(Self.anna, for: first.digest), "decided")
        #expect(answering.waits(Self.anna, for: second.digest), "a vote is not the end")
    }

    @Test func whatIsAttestedAgainIsTheSameAndHolds() throws {
        var shards = try TwoShards()
        var answering = Answering(options: TwoShards.options)
        let request = TwoShards.across(4)
        let before = answering.attestedLeaf(request.digest, Self.setting)
        #expect(before == nil)
        let executed = try shards.execute(request, on: 0)
        answering.note(executed.statement, executed.leaves)
        let said = answering.attestedLeaf(request.digest, Self.setting)
        let attested = try #require(said)
        #expect(attested == executed.attested(request, by: 1))
        var verifier = Verifier(manifest: TwoShards.manifest, scheme: StandInScheme())
        _ = try verifier.verify(attested)
        var ready = ShardReady()
        answering.attest(request.digest, to: Self.anna, Self.setting, into: &ready)
        #expect(Self.answers(ready) == [[Self.anna]])
    }

    /// The recent batches are a ring: what fell out of it is attested from what was kept, and a newer leaf replaces it.
    @Test func aLeafThatWasSaidOutlivesItsBatch() throws {
        var options = TwoShards.options
        options.recentBatches = 2
        var shards = try TwoShards()
        var answering = Answering(options: options)
        let (kept, lost) = (TwoShards.across(4), TwoShards.across(5))
        let executed = try shards.execute([.request(kept), .request(lost)], on: 0)
        answering.note(executed.statement, executed.leaves)
        let attested = answering.attestedLeaf(kept.digest, Self.setting)
        for number in 6...9 as ClosedRange<UInt64> {
            let other = try shards.execute(TwoShards.request(number, .open(TwoShards.account(on: 0))), on: 0)
            answering.note(other.statement, other.leaves)
        }
        let after = [kept, lost].map { answering.attestedLeaf($0.digest, Self.setting) }
        #expect(attested != nil && after == [attested, nil] && answering.leaf(for: lost.digest) == nil)
        let again = try shards.execute(kept, on: 0)
        answering.note(again.statement, again.leaves)
        let newer = answering.attestedLeaf(kept.digest, Self.setting)
        #expect(newer?.statement == again.statement)
        answering.forgetBatches()
        #expect(answering.leaf(for: kept.digest) == nil)
    }
}
