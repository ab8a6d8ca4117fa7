import Cores
import Messages
import Simulator
import Testing

/// A host's core with no peers around it.
private final class Alone {
    private let core: HostCore
    private(set) var counts: [HostCount] = []

    init(_ manifest: Manifest) throws {
        let stores = Dictionary(
            uniqueKeysWithValues: manifest.shards(of: HostID(0)).map { ($0, MemoryStore() as any KeyValueStore) })
        core = try HostCore(
            manifest: manifest, host: HostID(0), signer: StandInSigner(0), options: HostOptions(), stores: stores,
            records: [], now: moment(0))
    }

    /// `counts` is what this step counts.
    func step(_ message: HostMessage, from host: UInt16) throws {
        var verifier = Verifier(manifest: SomeState.manifest, scheme: StandInScheme(), remembered: 2)
        var ready = HostReady()
        core.step(.peer(HostID(host), try verifier.verify(message)), now: moment(0), into: &ready)
        counts = ready.counts
    }
}

@Suite struct CountTests {
    /// - Parameter time: votes for batches of different times contradict each other.
    private func vote(_ sequence: UInt64, time: UInt64 = 0) -> HostMessage {
        let digest = Batch(time: Timestamp(time), items: []).digest
        let vote = Vote(view: View(0), sequence: SequenceNumber(sequence), digest: digest)
        return .pbft(ShardID(0), .prepare(Prepare(vote, vouches: true)))
    }

    @Test func eachDropIsCountedUnderItsReason() throws {
        let host = try Alone(SomeState.manifest)
        let nothing = StateTransferMessage.checkpoint(sequence: SequenceNumber(1), metadata: [], buckets: [])
        let cases: [(HostMessage, MessageDrop?)] = [
            (vote(1_000_000), .outsideWatermarks), (vote(1), nil), (vote(1, time: 7), .conflictingVote),
            (.stateTransfer(ShardID(0), nothing), .stateNotWanted),
        ]
        for (message, reason) in cases {
            try host.step(message, from: 1)
            #expect(host.counts == (reason.map { [.dropped($0)] } ?? []))
        }
        try host.step(vote(1), from: 0)
        #expect(host.counts == [.dropped(.notAPeer)], "it says nothing to itself")
    }
}
