import Cores
import HostRuntime
import Messages
import Meter
import PBFT
import Testing

/// What a host notes of its batches. Host 0 leads view 0; four replicas.
struct BatchTimesTests {
    private static let manifest = Manifest(
        cluster: ClusterID(Digest.null.value), epoch: Epoch(1),
        hosts: (0..<4).map {
            Manifest.Host(
                address: "127.0.0.1", port: 7100 + $0,
                publicKey: PublicKey(Hasher256.hash(.manifest, [UInt8($0)]).value))
        },
        shards: [(0..<4).map { HostID($0) }], issuer: PublicKey(Digest.null.value))
    private let registry = MetricsRegistry()
    private let shard = ShardID(0)

    private func times(of host: UInt16) -> BatchTimes {
        BatchTimes(manifest: Self.manifest, host: HostID(host), registry: registry)
    }

    private func vote(_ sequence: UInt64, view: UInt64 = 0) -> Vote {
        Vote(view: View(view), sequence: SequenceNumber(sequence), digest: Hasher256.hash(.batch, [1]))
    }
    private func prepare(_ sequence: UInt64, view: UInt64 = 0) -> HostMessage {
        .pbft(shard, .prepare(Prepare(vote(sequence, view: view), vouches: true)))
    }
    private func prePrepare(_ sequence: UInt64) -> HostMessage {
        let batch = Batch(time: Timestamp(1), items: [])
        return .pbft(shard, .prePrepare(PrePrepare(view: View(0), sequence: SequenceNumber(sequence), batch: batch)))
    }
    private func sent(_ message: HostMessage) -> [HostReady.Outgoing] {
        [HostReady.Outgoing(to: [HostID(1), HostID(2), HostID(3)], message: message)]
    }

    private func moments(_ times: BatchTimes) -> [BatchMoment] {
        times.answer(.init(since: 0, isSampled: false), now: Instant(uptime: 1, wall: Timestamp(1))).moments
    }

    private func count(_ name: String, _ label: String) -> UInt64 {
        registry.points.reduce(0) { sum, point in
            guard point.name == name, point.labels.contains(where: { $0.value == label }),
                case .distribution(let counts) = point.value
            else { return sum }
            return sum + counts.count
        }
    }

    @Test func `a backup notes when it has a batch and when it has executed it, and of sampled ones PREPAREs`() {
        let times = times(of: 1)
        for sequence in [7, 8] as [UInt64] {
            times.noteRead([.peer(HostID(0), prePrepare(sequence))])
            times.noteSent(sent(prepare(sequence)))
            times.noteRead([.peer(HostID(2), prepare(sequence)), .peer(HostID(3), prepare(sequence))])
            let record = JournalRecord.committed(sequence: SequenceNumber(sequence), vote(sequence).digest)
            times.noteExecuted([HostRecord(shard: shard, record: record)][...])
        }
        let found = moments(times)
        #expect(found.filter { $0.sequence == SequenceNumber(7) }.map(\.kind) == [.received, .executed])
        #expect(
            found.filter { $0.sequence == SequenceNumber(8) }.map(\.kind) == [
                .received, .prepareSent, .prepareRead, .prepareRead, .executed,
            ])
        #expect(found.map(\.from.number) == [0, 1, 0, 1, 2, 3, 1])
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.at <= $1.at })
        #expect(count("quorate_prepare_round_trip_seconds", "2") == 0, "only a primary waits for PREPAREs")
    }

    @Test func `a primary counts how long PREPAREs take to come back, once each, and how late the last is`() {
        let times = times(of: 0)
        times.noteSent(sent(prePrepare(7)))
        // To one host again.
        times.noteSent([HostReady.Outgoing(to: [HostID(2)], message: prePrepare(7))])
        #expect(moments(times).map(\.kind) == [.proposed])
        times.noteRead([.peer(HostID(1), prepare(7)), .peer(HostID(1), prepare(7))])
        times.noteRead([.peer(HostID(2), prepare(7, view: 3)), .peer(HostID(2), prepare(7))])
        #expect(count("quorate_last_prepare_lag_seconds", "0") == 0)
        times.noteRead([.peer(HostID(3), prepare(7))])
        for host in ["1", "2", "3"] { #expect(count("quorate_prepare_round_trip_seconds", host) == 1) }
        #expect(count("quorate_last_prepare_lag_seconds", "0") == 1)
        // It is over.
        times.noteRead([.peer(HostID(3), prepare(7)), .peer(HostID(3), prepare(9))])
        #expect(count("quorate_prepare_round_trip_seconds", "3") == 1)
    }

    @Test func `a shard or host that there is not is no trouble`() {
        let times = times(of: 0)
        let strange = HostMessage.pbft(ShardID(900), .prepare(Prepare(vote(7), vouches: true)))
        times.noteRead([.peer(HostID(900), strange), .peer(HostID(900), prepare(7)), .peerConnected(HostID(2))])
        #expect(moments(times).isEmpty)
    }
}
