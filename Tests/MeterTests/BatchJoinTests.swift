import Messages
import Meter
import Testing

/// Four hosts with a replica each of two shards.
private let manifest = Manifest(
    cluster: ClusterID(Digest.null.value), epoch: Epoch(1),
    hosts: (0..<5).map {
        Manifest.Host(
            address: "127.0.0.1", port: 7100 + $0, publicKey: PublicKey(Hasher256.hash(.manifest, [UInt8($0)]).value))
    },
    shards: [(0..<4).map { HostID($0) }, (0..<4).map { HostID($0) }], issuer: PublicKey(Digest.null.value))

private struct Joined {
    var join = BatchJoin(manifest)

    mutating func note(
        _ kind: BatchMomentKind, by host: UInt16, from: UInt16 = 0, at: UInt64, sequence: UInt64 = 8, view: UInt64 = 0,
        shard: UInt16 = 0, now: UInt64 = 0
    ) {
        let moment = BatchMoment(
            shard: ShardID(shard), view: View(view), sequence: SequenceNumber(sequence), kind: kind,
            from: HostID(from), at: at)
        join.note(moment, by: HostID(host), now: now)
    }

    /// Proposed by host 0 at `start`, read by host n n × 10 later, executed another 100 later.
    mutating func noteAll(_ start: UInt64, hosts: [UInt16] = [3, 1, 2], sequence: UInt64 = 8, view: UInt64 = 0) {
        note(.proposed, by: 0, at: start, sequence: sequence, view: view)
        note(.executed, by: 0, at: start + 100, sequence: sequence)
        for host in hosts {
            note(.received, by: host, at: start + UInt64(host) * 10, sequence: sequence, view: view)
            note(.executed, by: host, at: start + 100 + UInt64(host) * 10, sequence: sequence)
        }
    }

    mutating func settle() -> BatchJoin.Settled { join.settle(before: nil) }
}

struct BatchJoinTests {
    @Test func `a batch that all have is told step by step`() throws {
        var joined = Joined()
        joined.noteAll(1000)
        let settled = joined.settle()
        let batch = try #require(settled.batches.first)
        #expect(settled.batches.count == 1 && settled.withoutStart.isEmpty && batch.isComplete)
        #expect(batch.start == 1000 && batch.received == [0, 10, 20, 30] && batch.executed == [100, 110, 120, 130])
        // The primary has it from the start: with two backups it is three, which is 2f + 1. f + 1 is two.
        let steps = PropagationStep.allCases.map { batch[$0] }
        #expect(steps == [10, 20, 30, 100, 110, 130, nil])
        #expect(joined.join.openCount == 0)
    }

    @Test func `who is missing leaves only the last one unknown`() throws {
        var joined = Joined()
        joined.noteAll(1000, hosts: [1, 2])
        let batch = try #require(joined.settle().batches.first)
        #expect(!batch.isComplete && batch[.quorumReceived] == 20 && batch[.lastReceived] == nil)
        #expect(batch[.quorumExecuted] == 110 && batch[.lastExecuted] == nil)
    }

    @Test func `what is said twice counts once`() throws {
        var joined = Joined()
        joined.noteAll(1000)
        joined.note(.proposed, by: 0, at: 1500)
        joined.note(.received, by: 1, at: 1600)
        joined.note(.executed, by: 1, at: 1700)
        let settled = joined.settle()
        #expect(settled.batches.map(\.received) == [[0, 10, 20, 30]] && settled.links.count == 3)
        #expect(settled.batches.map(\.executed) == [[100, 110, 120, 130]])
    }

    @Test func `of a batch that was proposed again the last proposal counts`() throws {
        var joined = Joined()
        // Host 0 reached host 1 only. Host 1 leads the next view.
        joined.note(.proposed, by: 0, at: 1000)
        joined.note(.received, by: 1, at: 1010)
        joined.note(.proposed, by: 1, at: 5000, view: 1)
        for host in [0, 2, 3] as [UInt16] {
            joined.note(.received, by: host, from: 1, at: 5007 + UInt64(host), view: 1)
            joined.note(.executed, by: host, at: 5100)
        }
        let settled = joined.settle()
        let batch = try #require(settled.batches.first)
        #expect(batch.start == 5000 && batch.received == [0, 7, 9, 10] && batch.executed == [100, 100, 100])
        #expect(settled.links.allSatisfy { $0.from == HostID(1) })
    }

    @Test func `without its proposal a batch is counted, and not told`() {
        var joined = Joined()
        joined.note(.received, by: 1, at: 1010)
        joined.note(.executed, by: 1, at: 1100)
        // What a replica executed of a batch that has settled already is nothing new.
        joined.note(.executed, by: 2, at: 1100, sequence: 9)
        let settled = joined.settle()
        #expect(settled.batches.isEmpty && settled.links.isEmpty && settled.withoutStart == [1010])
    }

    @Test func `links are those of PRE-PREPAREs and PREPAREs, each from its sender`() {
        var joined = Joined()
        joined.noteAll(1000)
        for host in 1...3 as ClosedRange<UInt16> {
            joined.note(.prepareSent, by: host, at: 2000)
            for other in 0...3 as ClosedRange<UInt16> where other != host {
                joined.note(.prepareRead, by: other, from: host, at: 2000 + UInt64(host * 10 + other))
            }
        }
        // Nobody said that this one left.
        joined.note(.prepareRead, by: 0, from: 2, at: 2000, view: 7)
        let links = joined.settle().links
        #expect(links.filter { $0.message == .prePrepare }.map(\.delay).sorted() == [10, 20, 30])
        let prepares = links.filter { $0.message == .prepare }
        #expect(prepares.count == 9 && Set(prepares.map(\.from)) == [HostID(1), HostID(2), HostID(3)])
        #expect(prepares.first { $0.from == HostID(2) && $0.to == HostID(3) }?.delay == 23)
    }

    @Test func `a delay below zero stays visible, and no step is`() throws {
        var joined = Joined()
        joined.note(.proposed, by: 0, at: 1000)
        joined.note(.received, by: 1, at: 990)
        let settled = joined.settle()
        #expect(settled.links.map(\.delay) == [-10] && settled.batches.first?[.firstReceived] == 0)
    }

    @Test func `shards have numbers of their own, and others' words do not count`() {
        var joined = Joined()
        joined.noteAll(1000)
        joined.note(.proposed, by: 1, at: 2000, shard: 1)
        // Host 4 has no replica, and there is no shard 2.
        joined.note(.received, by: 4, at: 2000, shard: 1)
        joined.note(.proposed, by: 0, at: 2000, shard: 2)
        let settled = joined.settle()
        #expect(settled.batches.map(\.shard) == [ShardID(0), ShardID(1)])
        #expect(settled.batches.last?.received == [0])
    }

    @Test func `only what is old enough is taken out`() {
        var joined = Joined()
        joined.note(.proposed, by: 0, at: 1, sequence: 1, now: 100)
        joined.note(.proposed, by: 0, at: .max, sequence: 2, now: 150)
        joined.note(.proposed, by: 0, at: 1, sequence: 3, now: 200)
        #expect(joined.join.settle(before: 200).batches.map(\.sequence.number) == [1, 2])
        #expect(joined.join.openCount == 1)
        #expect(joined.settle().batches.map(\.sequence.number) == [3])
    }

    @Test func `whatever hosts say, memory is bounded`() {
        var joined = Joined()
        for sequence in 0..<70_000 as Range<UInt64> { joined.note(.executed, by: 1, at: 1, sequence: sequence) }
        #expect(joined.join.openCount == 65_536)
        // Of one batch too.
        var other = Joined()
        for view in 0..<9000 as Range<UInt64> { other.note(.prepareSent, by: 1, at: 1, view: view) }
        #expect(other.join.openCount == 1)
    }
}
