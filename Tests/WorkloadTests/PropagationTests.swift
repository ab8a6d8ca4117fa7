import Foundation
import Messages
import Meter
import Testing
import Workload

private let manifest = Manifest(
    cluster: ClusterID(Digest.null.value), epoch: Epoch(1),
    hosts: (0..<4).map {
        Manifest.Host(
            address: "127.0.0.1", port: 7100 + $0, publicKey: PublicKey(Hasher256.hash(.manifest, [UInt8($0)]).value))
    },
    shards: [(0..<4).map { HostID($0) }], issuer: PublicKey(Digest.null.value))

private let second: UInt64 = 1_000_000_000
/// The load began ten seconds after the machine, and was warm after one more.
private let (origin, warm) = (10 * second, 11 * second)

/// What the hosts say of batches of host 0 that reach host n after n × 100 µs, and are executed 1 ms later. Host 3's
/// clock is an hour ahead.
private struct Cluster {
    var figures = PropagationFigures(manifest, measureFrom: warm, origin: origin)
    private var moments: [UInt16: [BatchMoment]] = [:]
    private static let ahead = 3600 * second

    /// - Parameter hosts: that get it.
    mutating func order(_ sequence: UInt64, at: UInt64, by primary: UInt16 = 0, hosts: [UInt16] = [0, 1, 2, 3]) {
        for host in hosts {
            let clock = host == 3 ? Self.ahead : 0
            func note(_ kind: BatchMomentKind, _ after: UInt64, from: UInt16) {
                moments[host, default: []].append(
                    BatchMoment(
                        shard: ShardID(0), view: View(0), sequence: SequenceNumber(sequence), kind: kind,
                        from: HostID(from), at: at + after + clock))
            }
            let distance = UInt64(host) * 100_000
            note(host == primary ? .proposed : .received, distance, from: primary)
            note(.executed, distance + 1_000_000, from: host)
            guard BatchMoment.isSampled(SequenceNumber(sequence)) else { continue }
            if host != primary { note(.prepareSent, distance + 200_000, from: host) }
            for other in hosts where other != host && other != primary {
                note(.prepareRead, UInt64(other) * 100_000 + 250_000, from: other)
            }
        }
    }

    /// All hosts are asked once, 400 µs there and back.
    mutating func tell(at: UInt64) {
        for host in 0..<4 as Range<UInt16> {
            let there = at + 200_000 + (host == 3 ? Self.ahead : 0)
            let answer = HostObservation(
                now: Instant(uptime: there, wall: Timestamp(1)), moments: moments[host] ?? [], undecided: [])
            figures.note(answer, of: HostID(host), asked: at, answered: at + 400_000)
        }
        moments = [:]
    }

    mutating func result() -> RunResult.Propagation? {
        figures.settle(now: nil)
        return figures.result()
    }
}

private func near(_ value: Double?, _ expected: Double) -> Bool {
    value.map { abs($0 - expected) <= max(0.02, expected * 0.01) } ?? false
}

struct PropagationTests {
    private func measured() throws -> RunResult.Propagation {
        var cluster = Cluster()
        // One in the warm-up, and then five a second.
        cluster.order(1, at: warm - 1)
        for number in 0..<20 as Range<UInt64> { cluster.order(number + 2, at: warm + number * second / 5) }
        cluster.tell(at: 20 * second)
        let result = cluster.result()
        return try #require(result)
    }

    @Test func `steps are those of the batches after the warm-up`() throws {
        let found = try measured()
        #expect(found.batches == 20 && found.incomplete == 0 && found.without_start == 0 && found.negative == 0)
        #expect(found.hosts == 4 && found.replicas == 4 && found.received_quorum == 3 && found.executed_quorum == 2)
        #expect(found.steps.map(\.step) == Array(PropagationStep.allCases.dropLast()))
        #expect(found.steps.allSatisfy { $0.count == 20 })
        for (step, expected) in zip(found.steps, [100.0, 200, 300, 1000, 1100, 1300]) {
            #expect(near(step.p50_us, expected) && near(step.p99_us, expected) && near(step.max_us, expected))
        }
    }

    @Test func `the primary's row is of PRE-PREPAREs, the others' of PREPAREs, and nothing else is told`() throws {
        let found = try measured()
        for to in 1...3 {
            let cell = try #require(found.cell(from: 0, to: to))
            #expect(cell.message == .prePrepare && cell.count == 20 && near(cell.p50_us, Double(to) * 100))
        }
        for from in 1...3 {
            for to in 0...3 where to != from {
                let cell = try #require(found.cell(from: from, to: to))
                // 8 and 16 of them are sampled.
                #expect(cell.message == .prepare && cell.count == 2 && near(cell.p50_us, 50))
            }
        }
        #expect((0...3).allSatisfy { found.cell(from: $0, to: $0) == nil })
    }

    @Test func `only clocks of other machines have an error, which is half of the round trip`() throws {
        let found = try measured()
        #expect(near(found.clock_error_us, 200))
        #expect(found.cell(from: 0, to: 1)?.error_us == 0 && near(found.cell(from: 0, to: 3)?.error_us, 200))
        #expect(near(found.cell(from: 3, to: 0)?.error_us, 200))
    }

    @Test func `each second has its own figures`() throws {
        let found = try measured()
        #expect(found.over_time.map(\.at_s) == [1, 2, 3, 4] && found.over_time.allSatisfy { $0.batches == 5 })
        #expect(found.over_time.allSatisfy { near($0.last_p50_us, 300) && near($0.link_p50_us, 200) })
    }

    @Test func `a host that is away makes batches incomplete, and its links empty`() throws {
        var cluster = Cluster()
        for number in 1...8 as ClosedRange<UInt64> { cluster.order(number, at: warm + number, hosts: [0, 1, 3]) }
        cluster.tell(at: 20 * second)
        let result = cluster.result()
        let found = try #require(result)
        #expect(found.batches == 8 && found.incomplete == 8)
        #expect(!found.steps.contains { $0.step == .lastReceived || $0.step == .lastExecuted })
        #expect(found.steps.contains { $0.step == .quorumReceived })
        #expect(found.cell(from: 0, to: 2) == nil && found.cell(from: 2, to: 0) == nil)
        // And one of which the primary's moments are gone.
        var other = Cluster()
        other.order(1, at: warm + 5 * second)
        other.order(2, at: warm + 5 * second, hosts: [1, 2, 3])
        other.tell(at: 20 * second)
        let second = other.result()
        #expect(second?.without_start == 1)
    }

    @Test func `nothing is known where nobody says anything`() {
        var cluster = Cluster()
        cluster.tell(at: 20 * second)
        let result = cluster.result()
        #expect(result == nil)
    }

    @Test func `a client knows when it has verified the receipt of a traced request`() throws {
        var cluster = Cluster()
        cluster.order(9, at: warm)
        cluster.tell(at: 20 * second)
        let request = Hasher256.hash(.batch, [1])
        func entry(_ source: RequestTrace.Source, _ kind: StampKind, _ after: UInt64) -> RequestTrace.Entry {
            let isBatch = kind == .prePrepared || kind == .executed
            return RequestTrace.Entry(
                source,
                Stamp(
                    request: request, kind: kind, shard: isBatch ? ShardID(0) : nil, number: isBatch ? 9 : 0,
                    at: warm + after))
        }
        let trace = RequestTrace(
            of: request,
            [
                entry(.host(0), .prePrepared, 0), entry(.host(1), .prePrepared, 100_000),
                entry(.host(0), .executed, 1_000_000), entry(.client, .receiptVerified, 2_500_000),
            ])
        let unanswered = RequestTrace(of: request, [entry(.host(0), .prePrepared, 0), entry(.host(0), .executed, 9)])
        cluster.figures.note(clients: [trace, unanswered])
        let result = cluster.result()
        let step = try #require(result?.steps.last)
        #expect(step.step == .clientKnows && step.count == 1 && near(step.p50_us, 2500))
    }

    @Test func `table, page and JSON show it, and a run without it shows nothing`() throws {
        var report = sampleReport(shards: [2])
        let without = report.table()
        #expect(!without.contains("propagation"))
        report.runs[0].propagation = try measured()
        let table = report.table()
        #expect(table.hasPrefix(without) && table.contains("3 of 4 have it"))
        #expect(table.contains("2 of 4 have executed it"))
        #expect(table.contains("clocks known to ±0.200 ms each") && table.contains("0.050 / 0.050*"))
        let json = try report.json()
        let read = try JSONDecoder().decode(BenchReport.self, from: Data(json.utf8))
        #expect(read.runs[0].propagation == report.runs[0].propagation)
        for key in ["quorum_received", "over_time", "clock_error_us", "pre_prepare"] { #expect(json.contains(key)) }
        let folder = FileManager.default.temporaryDirectory.appending(path: "quorate-propagation-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path(percentEncoded: false)
        _ = try report.write(to: ReportFolder(path), title: "Quorate")
        let page = try String(contentsOfFile: "\(path)/report.html", encoding: .utf8)
        #expect(page.occurrences(of: "Propagation delay: 2 shards") == 1)
        #expect(page.occurrences(of: "<td class=\"none\"></td>") == 4, "no host sends to itself")
        #expect(page.occurrences(of: "color-mix") == 12)
    }
}
