import Randomness
import Glibc
import Cores
import WriteAheadLog
import LMDBStore
import Messages
import Simulator

/// Four hosts with real journals and databases, the gateway and the clients, on one thread under a virtual clock: what
/// happens follows from the seed, and every message has its exact place among the writes and syncs.
final class PowerLossCluster {
    /// Wrong on purpose, to see that the test notices.
    enum Mistake {
        case none
        /// Says `persisted` when the sync is asked for.
        case persistedBeforeTheSync
    }

    enum Event {
        case tick(host: Int, life: Int)
        case deliver(to: Int, from: Int, HostMessage)
        case sync(host: Int, life: Int)
        case flush(host: Int, life: Int, StateFlush)
        case stage(host: Int, life: Int, BucketStaging)
        case checked(host: Int, life: Int, HostInput)
        case clientTick
        case toGateway(from: Int, HostReply)
        case fromGateway(to: Int, GatewayMessage)
        case kill(host: Int)
        case start(host: Int)
    }

    final class Host {
        var core: HostCore?
        var journal: Journal<PosixJournalStorage>?
        var writers: [ShardID: LMDBStoreWriter] = [:]
        /// Steps' records that wait for the journal.
        var waiting: [(records: [[UInt8]], compacts: Bool)] = []
        var appended: UInt64 = 0
        var isSyncing = false
        /// Counts starts: events of an earlier life are void.
        var life = 0
    }

    static let hostCount = 4
    static let shardCount = 2
    static let session = SessionID(1)
    static let journalOptions = JournalOptions(segmentSize: 16 << 10)
    static var hostOptions: HostOptions {
        var options = HostOptions()
        // Small, so that checkpoints, flushes, new segments and compactions come every few batches.
        options.replica.checkpointInterval = 4
        options.replica.window = 16
        options.replica.retainedBatches = 24
        options.checkpointsPerFlush = 2
        options.compactionBytes = 40 << 10
        options.recentBatches = 64
        return options
    }

    static let manifest = Manifest(
        cluster: ClusterID(StandInSigner(77).publicKey.value), epoch: Epoch(1),
        hosts: (0..<hostCount).map {
            .init(address: "nowhere", port: $0 + 1, publicKey: StandInSigner(UInt64($0)).publicKey)
        },
        shards: Array(repeating: (0..<hostCount).map { HostID(UInt16($0)) }, count: shardCount),
        issuer: PowerLossClients.issuer.publicKey)

    let folder: String
    private let mistake: Mistake
    /// Where marks go.
    private let note: (Mark) throws -> Void
    private var rng: SplitMix64
    private(set) var now: UInt64
    /// The next one last.
    private var events: [(time: UInt64, event: Event)] = []
    private(set) var hosts: [Host] = (0..<hostCount).map { _ in Host() }
    private var verifier = Verifier(manifest: PowerLossCluster.manifest, scheme: StandInScheme())
    var clients: PowerLossClients

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init(
        folder: String, seed: UInt64, clients: PowerLossClients, startingAt now: UInt64 = 0, mistake: Mistake = .none,
        note: @escaping (Mark) throws -> Void
    ) {
        (self.folder, self.clients, self.now, self.mistake, self.note) = (folder, clients, now, mistake, note)
        rng = SplitMix64(seed: seed)
    }

    static func hostFolder(_ host: Int) -> String { "/host-\(host)" }

    var instant: Instant { Instant(uptime: now + 1, wall: Timestamp(1_700_000_000_000_000 + now / 1000)) }

    // MARK: - Starting

    /// Makes everything that `startAll` finds, durably.
    static func create(_ folder: String, seed: UInt64) throws {
        var rng = SplitMix64(seed: seed)
        for host in 0..<hostCount {
            let path = folder + hostFolder(host)
            guard mkdir(path, 0o700) == 0 else { throw Failure(description: "cannot make \(path): \(errno)") }
            _ = try Journal.create(
                PosixJournalStorage(directory: path + "/journal"), options: journalOptions, using: &rng)
            for shard in manifest.shards(of: HostID(UInt16(host))) {
                _ = try LMDBEnvironment(path: "\(path)/shard-\(shard)")
            }
        }
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw Failure(description: "cannot sync \(folder): \(errno)")
        }
    }

    static func openHost(_ host: Int, below folder: String, now: Instant) throws -> (
        core: HostCore, journal: Journal<PosixJournalStorage>, writers: [ShardID: LMDBStoreWriter], records: [[UInt8]]
    ) {
        let path = folder + hostFolder(host)
        let (journal, records) = try Journal.open(
            PosixJournalStorage(directory: path + "/journal"), options: journalOptions)
        var stores: [ShardID: LMDBStore] = [:]
        var writers: [ShardID: LMDBStoreWriter] = [:]
        for shard in manifest.shards(of: HostID(UInt16(host))) {
            let environment = try LMDBEnvironment(path: "\(path)/shard-\(shard)", options: .init(mapSize: 64 << 20))
            stores[shard] = try LMDBStore(environment)
            writers[shard] = LMDBStoreWriter(environment)
        }
        let core = try HostCore(
            manifest: manifest, host: HostID(UInt16(host)), signer: StandInSigner(UInt64(host)), options: hostOptions,
            stores: stores,
            records: records, now: now)
        return (core, journal, writers, records)
    }

    func startAll() throws {
        for i in hosts.indices { try start(i) }
        insert(.clientTick, after: 0)
    }

    private func start(_ i: Int) throws {
        let host = hosts[i]
        let opened = try Self.openHost(i, below: folder, now: instant)
        (host.core, host.journal, host.writers) = (opened.core, opened.journal, opened.writers)
        (host.waiting, host.appended, host.isSyncing) = ([], 0, false)
        host.life += 1
        insert(.tick(host: i, life: host.life), after: 1 + rng.below(UInt64(10_000_000)))
        for peer in hosts.indices where peer != i && hosts[peer].core != nil {
            try step(i, .peerConnected(HostID(UInt16(peer))))
            try step(peer, .peerConnected(HostID(UInt16(i))))
        }
    }

    /// As `kill -9` does: what was handed to the kernel stays there.
    private func kill(_ i: Int) throws {
        let host = hosts[i]
        (host.core, host.journal, host.writers) = (nil, nil, [:])
        host.life += 1
        for peer in hosts.indices where hosts[peer].core != nil { try step(peer, .peerDisconnected(HostID(UInt16(i)))) }
    }

    // MARK: - Running

    /// Until `isDone`, looked at now and then.
    func run(deadline: UInt64, until isDone: (PowerLossCluster) throws -> Bool) throws {
        while true {
            guard let (time, event) = events.popLast() else { throw Failure(description: "nothing happens any more") }
            now = max(now, time)
            if now > deadline { throw Failure(description: "not finished by the end: \(describe())") }
            if case .clientTick = event {
                try clientTick()
                if try isDone(self) { return }
                insert(.clientTick, after: 10_000_000)
            } else {
                try handle(event)
            }
        }
    }

    func killHost(_ host: Int, at time: UInt64, for duration: UInt64) {
        insert(.kill(host: host), after: time - now)
        insert(.start(host: host), after: time - now + duration)
    }

    private func handle(_ event: Event) throws {
        switch event {
        case .tick(let i, let life):
            guard hosts[i].life == life else { return }
            try step(i, .tick)
            // What nobody waits for.
            try startSync(i)
            insert(.tick(host: i, life: life), after: 20_000_000)
        case .deliver(let to, let from, let message):
            guard hosts[to].core != nil else { return }
            let decoded = try HostMessage(decoding: message.encoded())
            let input = rule(of: to).verify(decoded, from: HostID(UInt16(from)), by: &verifier)
            guard let input, case .peer = input else { throw Failure(description: "\(decoded) is refused") }
            try step(to, input)
        case .sync(let i, let life): if hosts[i].life == life { try sync(i) }
        case .flush(let i, let life, let flush):
            guard hosts[i].life == life, let writer = hosts[i].writers[flush.shard] else { return }
            try flush.apply(to: writer)
            try step(i, .flushed(flush.shard, flush.sequence))
        case .stage(let i, let life, let bucket):
            guard hosts[i].life == life, let writer = hosts[i].writers[bucket.shard] else { return }
            try writer.stage([bucket.part])
            try step(i, bucket.staged)
        case .checked(let i, let life, let input): if hosts[i].life == life { try step(i, input) }
        case .clientTick: return
        case .toGateway(_, let reply):
            try gatewayReceives(try verifier.verify(try HostReply(decoding: reply.encoded())).value)
        case .fromGateway(let to, let message):
            var primaries: [ShardID: ReplicaIndex] = [:]
            hosts[to].core?.forEachPrimary { primaries[$0] = $1 }
            let input = rule(of: to).verify(message, from: Self.session, by: &verifier) { primaries[$0] }
            if let input { try step(to, input) }
        case .kill(let i): if hosts[i].core != nil { try kill(i) }
        case .start(let i): if hosts[i].core == nil { try start(i) }
        }
    }

    private func rule(of i: Int) -> CheckingRule {
        CheckingRule(manifest: Self.manifest, host: HostID(UInt16(i)), options: HostOptions())
    }

    private func step(_ i: Int, _ input: HostInput) throws {
        guard hosts[i].core != nil else { return }
        var ready = HostReady()
        hosts[i].core?.step(input, now: instant, into: &ready)
        try hosts[i].core?.checkInvariants()
        if let (shard, reason) = ready.halts.first {
            throw Failure(description: "host \(i) shard \(shard) halted: \(reason)")
        }
        if !ready.records.isEmpty || ready.compacts {
            hosts[i].waiting.append((ready.records.map { $0.encoded() }, ready.compacts))
            hosts[i].appended += UInt64(ready.records.count)
        }
        if ready.awaitsSync || ready.compacts { try startSync(i) }
        for outgoing in ready.toHosts {
            try noteSent(outgoing.message, i)
            for to in outgoing.to { insert(.deliver(to: Int(to.number), from: i, outgoing.message), after: delay()) }
        }
        for reply in ready.toGateways {
            if case .attestation(let attestation) = reply.reply {
                try note(.attested(host: UInt16(i), attestation.statement))
            }
            insert(.toGateway(from: i, reply.reply), after: delay())
        }
        for progress in hosts[i].core?.progress() ?? [] where progress.sequence > .zero {
            try note(.executed(shard: progress.shard, progress.sequence, history: progress.history))
        }
        for check in ready.checks {
            insert(.checked(host: i, life: hosts[i].life, check.carryOut(by: &verifier)), after: 200_000)
        }
        for bucket in ready.stages {
            insert(.stage(host: i, life: hosts[i].life, bucket), after: 1_000_000)
        }
        for flush in ready.flushes {
            insert(.flush(host: i, life: hosts[i].life, flush), after: 1_000_000 + rng.below(UInt64(20_000_000)))
        }
    }

    private func noteSent(_ message: HostMessage, _ i: Int) throws {
        switch message {
        case .pbft(let shard, let pbft):
            let own = Self.manifest.replica(of: shard, on: HostID(UInt16(i)))
            if let (said, digest) = Said.of(pbft, shard, own: own) { try note(.sent(host: UInt16(i), said, digest)) }
        case .push(_, let push): try note(.attested(host: UInt16(i), push.attested.statement))
        case .stateTransfer, .forward: return
        }
    }

    // MARK: - Disk

    private func startSync(_ i: Int) throws {
        let host = hosts[i]
        guard !host.isSyncing, !host.waiting.isEmpty else { return }
        host.isSyncing = true
        insert(.sync(host: i, life: host.life), after: 50_000 + rng.below(UInt64(2_000_000)))
        if mistake == .persistedBeforeTheSync { try step(i, .persisted(JournalPosition(host.appended))) }
    }

    /// As the runtime's journal thread does it: everything that has queued up, then one sync.
    private func sync(_ i: Int) throws {
        let host = hosts[i]
        let (jobs, position) = (host.waiting, host.appended)
        host.waiting = []
        for job in jobs {
            if job.compacts { try host.journal?.beginCompaction() }
            for record in job.records { try host.journal?.append(record) }
            if job.compacts { try host.journal?.finishCompaction() }
        }
        try host.journal?.sync()
        host.isSyncing = false
        try step(i, .persisted(JournalPosition(position)))
        if hosts[i].core?.isSyncAwaited == true { try startSync(i) }
    }

    // MARK: - Clients

    private func clientTick() throws {
        for (client, request) in clients.due(instant, using: &rng) {
            try note(.submitted(client: UInt16(client), request))
            let shards = request.request.participants(in: Self.manifest.shardMap)
            for i in hosts.indices { insert(.fromGateway(to: i, .submit(shards, request)), after: delay()) }
        }
    }

    private func gatewayReceives(_ reply: HostReply) throws {
        guard case .attestation(let attestation) = reply else { return }
        for answer in clients.receive(attestation) {
            if let legs = answer.legs { try note(.answered(answer.request, legs)) }
            let shards = answer.participants
            for i in hosts.indices { insert(.fromGateway(to: i, .decides(shards, [answer.decide])), after: delay()) }
        }
    }

    // MARK: - Time

    private func delay() -> UInt64 { 20_000 + rng.below(UInt64(1_000_000)) }

    private func insert(_ event: Event, after delay: UInt64) {
        let time = now + delay
        // Of two at one time the older comes first.
        var at = events.endIndex
        while at > 0, events[at - 1].time <= time { at -= 1 }
        events.insert((time, event), at: at)
    }

    private func describe() -> String {
        var lines = ["waiting: \(clients.waitingCount) requests"]
        for (i, host) in hosts.enumerated() {
            for s in host.core?.status() ?? [] {
                lines.append(
                    "host \(i) shard \(s.shard): view \(s.view)\(s.isChangingView ? " (changing)" : "") executed \(s.lastExecuted) stable \(s.stable) flushed \(s.flushed) pending \(s.pendingRequests) undecided \(s.undecided)"
                )
            }
        }
        return lines.joined(separator: "\n  ")
    }
}
