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
    private func vote(view: UInt64, sequence: UInt64) -> PBFTMessage {
        .prepare(
            Vote(view: View(view), sequence: SequenceNumber(sequence), digest: Batch(time: .zero, items: []).digest))
    }

    @Test func eachDropIsCountedUnderItsReason() throws {
        let host = try Alone(SomeState.manifest)
        let nothing = StateTransferMessage.checkpoint(sequence: SequenceNumber(1), metadata: [], buckets: [])
        let cases: [(HostMessage, MessageDrop)] = [
            (.pbft(ShardID(0), vote(view: 0, sequence: 1_000_000)), .outsideWatermarks),
            (.pbft(ShardID(0), vote(view: 1_000_000, sequence: 1)), .wrongView),
            (.stateTransfer(ShardID(0), nothing), .stateNotWanted),
        ]
        for (message, reason) in cases {
            try host.step(message, from: 1)
            #expect(host.counts == [.dropped(reason)])
        }
        try host.step(.pbft(ShardID(0), vote(view: 0, sequence: 1)), from: 0)
        #expect(host.counts == [.dropped(.notAPeer)], "it says nothing to itself")
    }
}
