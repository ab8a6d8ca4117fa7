import Cores
import HostRuntime
import Messages
import Meter
import Testing

private let now = Instant(uptime: 500_000_000_000, wall: Timestamp(1_700_000_000_000_000))

struct ClusterPictureTests {
    private let manifest = Manifest(
        cluster: ClusterID(Digest.null.value), epoch: Epoch(1),
        hosts: (0..<4).map {
            Manifest.Host(
                address: "127.0.0.1", port: 7100 + $0,
                publicKey: PublicKey(Hasher256.hash(.manifest, [UInt8($0)]).value))
        },
        shards: [(0..<4).map { HostID($0) }, (0..<4).map { HostID($0) }], issuer: PublicKey(Digest.null.value))

    private func replica(
        _ shard: UInt16, _ index: UInt8, executed: UInt64 = 100, isChangingView: Bool = false, halted: String = "",
        standing: String = ""
    ) -> ReplicaStatus {
        ReplicaStatus(
            shard: ShardID(shard), replica: ReplicaIndex(index), view: View(UInt64(index == 3 ? 9 : 2)),
            isChangingView: isChangingView, isPrimary: index == 2, lastExecuted: SequenceNumber(executed),
            stable: SequenceNumber(64), flushed: SequenceNumber(32), pendingRequests: 1, undecided: UInt32(index),
            open: 5, oldestUndecided: 7000, halted: halted, standing: standing)
    }

    private func sighting(_ replicas: [ReplicaStatus]) -> HostSighting {
        HostSighting(
            answer: .init(replicas: replicas, metrics: [], roundTrip: 300, own: now.wall), since: now.wall,
            shortestRoundTrip: 250)
    }

    private let silent = HostSighting(answer: nil, why: "the session with host 0 was lost", since: Timestamp(5_000_000))

    private func picture(
        _ sightings: [HostSighting], log: ActivityLog = ActivityLog(map: ShardMap(shardCount: 2)),
        gateway: GatewayLook? = GatewayLook()
    ) -> ClusterPicture {
        ClusterPicture(
            manifest: manifest, sightings: sightings, gateway: gateway, activity: log.view(at: now.uptime),
            traces: .off, now: now)
    }

    private func all(_ change: (UInt8, ReplicaStatus) -> ReplicaStatus = { $1 }) -> [HostSighting] {
        (0..<4).map { host in sighting([change(host, replica(0, host)), replica(1, host)]) }
    }

    @Test func `all replicas of a healthy cluster vote`() {
        let found = picture(all())
        #expect(found.shards.allSatisfy { $0.commits && $0.voting == 4 && $0.needed == 3 && $0.why.isEmpty })
        #expect(found.replicas.count == 8 && found.replicas.allSatisfy { $0.standing == .votes && $0.lag == 0 })
        #expect(found.replicas.filter { $0.role == .primary }.map(\.replica) == [2, 2])
        #expect(found.hosts.map(\.round_trip_us) == [300, 300, 300, 300] && found.hosts.allSatisfy(\.answers))
    }

    @Test func `a host that does not answer is named, and a shard without quorum cannot commit`() {
        var sightings = all()
        sightings[0] = silent
        let one = picture(sightings)
        #expect(one.shards.allSatisfy { $0.commits && $0.voting == 3 && $0.why == ["host 0 does not answer"] })
        #expect(!one.hosts[0].answers && one.hosts[0].since_ms == 5000 && one.hosts[0].why == silent.why)
        let gone = one.replicas.first { $0.host == 0 }
        #expect(gone?.standing == .no_answer && gone?.role == .unknown && gone?.view == nil)
        sightings[1] = silent
        #expect(picture(sightings).shards.allSatisfy { !$0.commits && $0.voting == 2 })
    }

    @Test func `who claims to be far ahead lets nobody lag`() {
        let found = picture(all { host, status in host == 3 ? replica(0, 3, executed: .max) : status })
        #expect(found.replicas.filter { $0.shard == 0 }.map(\.lag) == [0, 0, 0, 0])
        #expect(found.shards[0].executed == 100 && found.shards[0].view == 2)
    }

    @Test func `who is behind two others lags`() {
        let found = picture(all { host, status in host == 1 ? replica(0, 1, executed: 90) : status })
        #expect(found.replicas.filter { $0.shard == 0 }.map(\.lag) == [0, 10, 0, 0])
    }

    @Test func `a replica that halted, does not vote yet or changes its view says so`() {
        let found = picture(
            all { host, status in
                switch host {
                case 0: replica(0, 0, halted: "its \u{1b}[31mstate is damaged")
                case 1: replica(0, 1, standing: "resuming")
                case 2: replica(0, 2, isChangingView: true)
                default: status
                }
            })
        let mine = found.replicas.filter { $0.shard == 0 }
        #expect(mine.map(\.standing) == [.halted, .not_voting, .changing_view, .votes])
        // Nothing that a terminal or a page would obey.
        #expect(mine[0].detail == "its \\u{1b}[31mstate is damaged" && mine[1].detail == "resuming")
        #expect(found.shards[0].voting == 2 && !found.shards[0].commits && found.shards[0].why.count == 2)
        #expect(found.shards[1].commits)
    }

    @Test func `a host that leaves a replica out is no host that votes`() {
        var sightings = all()
        sightings[2] = sighting([replica(1, 2)])
        let found = picture(sightings)
        #expect(found.shards.map(\.voting) == [3, 4])
        #expect(found.replicas.first { $0.shard == 0 && $0.host == 2 }?.detail == "its host does not say how it is")
    }

    @Test func `figures are those of what was answered`() {
        var log = ActivityLog(map: manifest.shardMap)
        for place in 0..<20 {
            let request = AnsweredRequest(
                request: .null, abort: place < 5 ? .certified(.insufficientFunds) : nil,
                steps: [.init(from: ShardID(0), to: ShardID(1))], isCross: true)
            log.note(request, microseconds: 1000, at: now.uptime - 1_000_000_000)
        }
        let found = picture(all(), log: log)
        #expect(found.series.committed.last == 15 && found.series.aborted.last == 5)
        #expect(found.cross.count == 20 && found.intra.count == 0 && found.intra.p50_us == nil)
        let funds = found.aborts.first { $0.reason == "insufficient_funds" }
        #expect(funds?.last_minute == 5 && funds?.total == 5)
        #expect(found.traffic.labels == ["0", "1"] && found.traffic.cells == [[0, 20], [0, 0]])
        #expect(found.recent.count == 20 && !found.recent[0].traced)
    }

    // MARK: What hosts observe

    private func observed(_ undecided: [UndecidedRecord] = [], _ moments: [BatchMoment] = []) -> HostSighting {
        let observation = HostObservation(now: now, moments: moments, undecided: undecided)
        return HostSighting(
            answer: .init(
                replicas: [], metrics: [], roundTrip: 300, own: now.wall,
                observed: .init(observation, asked: now.uptime - 1000, answered: now.uptime + 1000)),
            since: now.wall)
    }

    private func record(_ request: UInt8, _ shard: UInt16, age: UInt64, waits: [UInt16] = []) -> UndecidedRecord {
        UndecidedRecord(
            shard: ShardID(shard), request: Hasher256.hash(.batch, [request]), age: age,
            waitsFor: waits.map { ShardID($0) })
    }

    @Test func `undecided records are told for all gateways, with the shards that they wait for`() {
        // Shard 0 has recorded both, and shard 1 the second: all of its votes are there.
        let both = [record(1, 0, age: 9_000_000, waits: [1]), record(2, 0, age: 4_000_000, waits: [1])]
        let second = record(2, 1, age: 5_000_000, waits: [0])
        let found = picture((0..<4).map { _ in observed(both + [second]) })
        #expect(found.records.map(\.age_ms) == [9000, 5000])
        #expect(found.records.map(\.shards) == [[0], [0, 1]] && found.records.map(\.waits_for) == [[1], []])
        #expect(found.records.first?.request == Hasher256.hash(.batch, [1]).hex)
    }

    @Test func `what one host says alone is no record, and no age, and no shard that is waited for`() {
        let lie = [record(9, 0, age: .max, waits: [1]), record(1, 0, age: .max, waits: [1, 77])]
        let truth = [record(1, 0, age: 2_000_000, waits: [1])]
        let found = picture([observed(lie + lie), observed(truth), observed(truth), observed(truth)])
        #expect(found.records.map(\.age_ms) == [2000] && found.records.map(\.waits_for) == [[1]])
        // If nobody else answers there is nobody else to ask.
        #expect(picture([observed(truth), silent, silent, silent]).records.count == 1)
    }

    @Test func `as many records are told as there is room for, the oldest first`() {
        let many =
            (0..<16).map { record(UInt8($0), 0, age: UInt64($0) * 1_000_000) }
            + (16..<32).map { record(UInt8($0), 1, age: UInt64($0) * 1_000_000) }
        let found = picture((0..<4).map { _ in observed(many) })
        #expect(found.records.map(\.age_ms) == (12..<32).reversed().map { UInt64($0) * 1000 })
    }

    @Test func `links and steps of the last minute are told, and then forgotten`() {
        func moment(_ kind: BatchMomentKind, _ after: UInt64) -> BatchMoment {
            BatchMoment(
                shard: ShardID(0), view: View(0), sequence: SequenceNumber(8), kind: kind, from: HostID(0),
                at: now.uptime - 5_000_000 + after * 1000)
        }
        var window = PropagationWindow(manifest)
        var sightings = [observed([], [moment(.proposed, 0), moment(.executed, 900)])]
        for host in 1...3 as ClosedRange<UInt64> {
            sightings.append(observed([], [moment(.received, host * 100), moment(.executed, 1000 + host * 100)]))
        }
        window.note(sightings, now: now.uptime)
        #expect(window.view(now: now.uptime).links.isEmpty, "more may come")
        let later = now.uptime + 4_000_000_000
        window.note([], now: later)
        let found = window.view(now: later)
        #expect(found.links.map(\.to) == [1, 2, 3] && found.links.allSatisfy { $0.from == 0 && $0.error_us == 0 })
        #expect(found.links.map(\.count) == [1, 1, 1] && found.links.allSatisfy { $0.message == "pre_prepare" })
        for (link, expected) in zip(found.links, [100.0, 200, 300]) {
            #expect(abs(Double(link.p50_us ?? 0) - expected) <= expected / 16)
        }
        #expect(found.steps.map(\.step) == PropagationStep.allCases.dropLast().map(\.rawValue))
        let muchLater = later + UInt64(PropagationWindow.seconds + 20) * 1_000_000_000
        window.note([], now: muchLater)
        #expect(window.view(now: muchLater).links.isEmpty && window.view(now: muchLater).steps.isEmpty)
    }

    @Test func `a gateway that stops has no figures, and the rest is there`() {
        let found = picture(all(), gateway: nil)
        #expect(found.gateway == nil && found.doubts.isEmpty && found.shards.count == 2)
    }
}
