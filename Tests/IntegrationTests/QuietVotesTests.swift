import Cores
import HostRuntime
import Messages
import PBFT
import Testing

/// Which votes wake nobody. In each test a host has 2f + 1 = 3 PREPAREs and as many COMMITs to gather, its own among
/// them. Host 0 leads view 0.
@Suite struct QuietVotesTests {
    private let shard = ShardID(0)
    private var votes = QuietVotesTests.votes(of: 1)

    private static func votes(of host: UInt16, sharesChecks: Bool = false) -> QuietVotes {
        let keys = (0..<5).compactMap { PublicKey(bytes: [UInt8](repeating: UInt8($0), count: 32)) }
        let manifest = Manifest(
            cluster: ClusterID(FixedBytes32()), epoch: Epoch(0),
            hosts: (0..<4).map { .init(address: "test", port: $0 + 1, publicKey: keys[$0]) },
            shards: [(0..<4).map { HostID($0) }], issuer: keys[4])
        var options = HostOptions()
        options.sharesChecks = sharesChecks
        return QuietVotes(manifest: manifest, host: HostID(host), options: options)
    }

    private func vote(_ sequence: UInt64, view: UInt64 = 0, batch: UInt8 = 1) -> Vote {
        Vote(view: View(view), sequence: SequenceNumber(sequence), digest: Hasher256.hash(.batch, [batch]))
    }
    private func prepare(_ vote: Vote) -> HostMessage { .pbft(shard, .prepare(Prepare(vote, vouches: true))) }
    private func commit(_ vote: Vote) -> HostMessage { .pbft(shard, .commit(vote)) }

    @Test mutating func theVoteThatMayCompleteAQuorumWakes() {
        // With its own, two other PREPAREs are enough, the primary's among them.
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(0)) == true)
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(2)) == false)
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(0)) == true)
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(2)) == false)
        // Its own may come later than those of all others.
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(3)) == false)
    }

    @Test func thePrimaryWaitsForTwoBackups() {
        var votes = Self.votes(of: 0)
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(2)) == true)
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(1)) == false)
    }

    @Test mutating func whatIsDecidedNeedsNoMoreVotes() {
        let digest = vote(7).digest
        votes.note([
            HostRecord(shard: shard, record: .prepared(view: View(0), sequence: SequenceNumber(7), digest))
        ])
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(2)) == true)
        #expect(votes.isQuiet(prepare(vote(7, view: 2)), from: HostID(3)) == true)
        #expect(votes.isQuiet(prepare(vote(7, view: 2)), from: HostID(0)) == false, "another view has its own")
        votes.note([HostRecord(shard: shard, record: .committed(sequence: SequenceNumber(7), digest))])
        for host in [0, 2, 3] { #expect(votes.isQuiet(commit(vote(7)), from: HostID(UInt16(host))) == true) }
    }

    @Test mutating func whatRepeatsOrContradictsWakes() {
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(0)) == true)
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(0)) == false, "a repair")
        #expect(votes.isQuiet(commit(vote(7, batch: 2)), from: HostID(0)) == false, "for another batch")
        #expect(votes.isQuiet(commit(vote(8)), from: HostID(7)) == false, "nobody of this shard")
    }

    @Test mutating func nobodyMakesAnothersVoteBeForgotten() {
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(0)) == true)
        for number in 1...100 { _ = votes.isQuiet(commit(vote(7 + UInt64(number) * 16)), from: HostID(3)) }
        _ = votes.isQuiet(commit(vote(7, batch: 2)), from: HostID(3))
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(2)) == false)
    }

    @Test func whereChecksAreSharedEachPrepareMayBeNeeded() {
        var votes = Self.votes(of: 0, sharesChecks: true)
        #expect(votes.isQuiet(prepare(vote(7)), from: HostID(2)) == false)
        #expect(votes.isQuiet(commit(vote(7)), from: HostID(2)) == true)
        // The primary's says nothing of what it has checked: PRE-PREPARE did.
        var backup = Self.votes(of: 1, sharesChecks: true)
        #expect(backup.isQuiet(prepare(vote(7)), from: HostID(0)) == true)
        #expect(backup.isQuiet(prepare(vote(7)), from: HostID(2)) == false)
    }

    @Test mutating func nothingElseIsQuiet() {
        #expect(votes.isQuiet(.pbft(shard, .fetchBatch(vote(7).digest)), from: HostID(2)) == false)
        #expect(votes.isQuiet(.pbft(ShardID(9), .commit(vote(7))), from: HostID(2)) == false)
    }
}
