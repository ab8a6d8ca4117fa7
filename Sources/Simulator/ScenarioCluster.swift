import Randomness
import Cores
import Messages
import PBFT

/// Whole hosts under a script's clock: every message takes one millisecond, every sync a fifth of one, and a client
/// talks to all hosts itself, without a gateway. Nothing is random, so that a trace is the same each time.
struct ScenarioCluster {
    private enum Event {
        case tick(host: Int, life: Int)
        case deliver(to: Int, from: Int, HostMessage)
        case submitted(to: Int, GatewayMessage)
        case reply(from: Int, HostReply)
        case synced(host: Int, life: Int, position: UInt64)
        case flushed(host: Int, life: Int, StateFlush)
        case staged(host: Int, life: Int, BucketStaging)
        case checked(host: Int, life: Int, HostInput)
    }

    private struct Host {
        var core: HostCore?
        var disk = SimulatedDisk()
        /// Counts restarts: events of an earlier life are void.
        var life = 0
        var isSyncing = false
        var executed: [ShardID: SequenceNumber] = [:]
        /// Of its clock, in microseconds ahead of the right time.
        var ahead: Int64 = 0
    }

    struct Problem: Error {
        let what: String
    }

    static let delay: UInt64 = 1_000_000
    static let syncTime: UInt64 = 200_000
    static let flushTime: UInt64 = 5_000_000
    static let stagingTime: UInt64 = 1_000_000
    static let checkTime: UInt64 = 100_000
    static let tickInterval: UInt64 = 20_000_000

    let manifest: Manifest
    private(set) var now: UInt64 = 0
    private var events = EventQueue<Event>()
    private var hosts: [Host]
    private var verifier: Verifier<StandInScheme>
    private var checks = Checks()
    /// Which side of a partition each host is on.
    private var sides: [Int]
    private var rng = SplitMix64(seed: 1)
    private let session = SessionID(1)
    private var attested: [AttestationStatement: [ReplicaIndex]] = [:]
    private var statuses: [Digest: [ShardID: Leaf]] = [:]
    var tracing = ScenarioCommand.Trace.off
    private(set) var trace: [String] = []
    /// The same for the eye, from `isDrawing` on; knows what was lost.
    var isDrawing = false
    private(set) var drawing: [SequenceDiagram.Step] = []

    init(shards: Int, replicas: Int) throws {
        let keys = (0..<replicas).map { StandInSigner(UInt64($0)) }
        manifest = Manifest(
            cluster: ClusterID(StandInSigner(4711).publicKey.value), epoch: Epoch(1),
            hosts: keys.enumerated().map {
                .init(address: "simulated", port: $0.offset, publicKey: $0.element.publicKey)
            },
            shards: Array(repeating: (0..<replicas).map { HostID(UInt16($0)) }, count: shards),
            issuer: StandInSigner(999).publicKey)
        hosts = Array(repeating: Host(), count: replicas)
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        sides = Array(repeating: 0, count: replicas)
        for i in hosts.indices { try start(i) }
    }

    var hostCount: Int { hosts.count }
    var live: [Int] { hosts.indices.filter { hosts[$0].core != nil } }
    var instant: Instant { Instant(uptime: now + 1, wall: Timestamp(1_700_000_000_000_000 + now / 1000)) }
    /// As a host's clock has it.
    func instant(_ i: Int) -> Instant {
        Instant(uptime: now + 1, wall: Timestamp(UInt64(Int64(instant.wall.number) + hosts[i].ahead)))
    }
    func core(_ i: Int) -> HostCore? { hosts[i].core }

    /// What replicas that are up say of their time and clocks.
    func shardClocks() -> [ShardClock] {
        let clocks = live.map { instant($0).wall }.sorted()
        guard !clocks.isEmpty else { return [] }
        return manifest.shards.indices.map { shard in
            let times = live.compactMap { core($0)?.progress()[shard].time }
            return ShardClock(
                shard: ShardID(UInt16(shard)), time: times.max() ?? .zero, clock: clocks[clocks.count / 2])
        }
    }

    mutating func setClocks(_ chosen: [Int], ahead: Int64) {
        for i in chosen { hosts[i].ahead = ahead }
        let whose =
            chosen.count == hosts.count ? "of all hosts" : "of " + chosen.map(String.init).joined(separator: " ")
        let size = "\(abs(ahead) / 1000) ms \(ahead > 0 ? "ahead" : "behind")"
        note("clocks", "\(whose) are \(ahead == 0 ? "right" : size)", isDrawn: false)
    }

    // MARK: What a script does

    mutating func run(until end: UInt64) throws {
        while let (time, event) = events.popFirst() {
            guard time <= end else {
                events.insert(event, at: time)
                break
            }
            now = time
            try handle(event)
        }
        now = end
    }

    mutating func submit(_ request: SignedRequest) throws {
        note("client", "submits \(request.digest.short)", isDrawn: false)
        if isDrawing {
            drawing.append(
                SequenceDiagram.Step(
                    time: time,
                    .message(
                        from: SequenceDiagram.client, to: Array(hosts.indices),
                        lost: hosts.indices.filter { hosts[$0].core == nil },
                        label: "REQUEST \(request.digest.short)")))
        }
        let message = GatewayMessage.submit(request.request.participants(in: manifest.shardMap), request)
        for i in hosts.indices { events.insert(.submitted(to: i, message), at: now + Self.delay) }
    }

    mutating func start(_ i: Int) throws {
        guard hosts[i].core == nil else { throw Problem(what: "host \(i) is up") }
        let host = HostID(UInt16(i))
        for shard in manifest.shards(of: host) where hosts[i].disk.stores[shard] == nil {
            hosts[i].disk.stores[shard] = MemoryStore()
        }
        hosts[i].life += 1
        (hosts[i].isSyncing, hosts[i].executed) = (false, [:])
        do {
            let opened = try hosts[i].disk.open(using: &rng)
            for shard in manifest.shards(of: host) { hosts[i].disk.stores[shard]?.reopen() }
            hosts[i].core = try HostCore(
                manifest: manifest, host: host, signer: StandInSigner(UInt64(i)), options: HostOptions(),
                stores: hosts[i].disk.stores, records: opened.records, now: instant(i))
        } catch { throw Problem(what: "host \(i) does not start: \(error)") }
        note("host \(i)", "starts")
        events.insert(.tick(host: i, life: hosts[i].life), at: now + Self.tickInterval)
        for peer in hosts.indices where peer != i && hosts[peer].core != nil {
            try step(i, .peerConnected(HostID(UInt16(peer))))
            try step(peer, .peerConnected(host))
        }
    }

    mutating func crash(_ i: Int) throws {
        guard hosts[i].core != nil else { throw Problem(what: "host \(i) is down") }
        hosts[i].core = nil
        hosts[i].life += 1
        hosts[i].disk.losePower(using: &rng)
        checks.crashed()
        note("host \(i)", "crashes")
        for peer in live { try step(peer, .peerDisconnected(HostID(UInt16(i)))) }
    }

    /// Hosts that no side names stand together.
    mutating func partition(_ groups: [[Int]]) {
        sides = Array(repeating: 0, count: hosts.count)
        for (side, members) in groups.enumerated() { for i in members { sides[i] = side + 1 } }
        note(
            "network",
            groups.isEmpty
                ? "is whole"
                : "is cut: " + groups.map { $0.map(String.init).joined(separator: " ") }.joined(separator: " | "))
    }

    /// What f + 1 attestations of each participant decide; nil while they decide nothing.
    func decision(_ request: SignedRequest) -> Decision? {
        Decision(
            request.request.participants(ofLeg: 0, in: manifest.shardMap).map { shard in
                statuses[request.digest]?[shard]?.status(ofLeg: 0)
            })
    }

    // MARK: Steps

    private mutating func step(_ i: Int, _ input: HostInput) throws {
        guard hosts[i].core != nil else { return }
        var ready = HostReady()
        let moment = instant(i)
        hosts[i].core?.step(input, now: moment, into: &ready)
        try hosts[i].core?.checkInvariants()
        if let core = hosts[i].core { try checks.observe(core, host: i) }
        if let (shard, reason) = ready.halts.first { throw Problem(what: "host \(i) shard \(shard) halts: \(reason)") }
        noteExecution(i)
        hosts[i].disk.append(ready.records.map { $0.encoded() }, compacts: ready.compacts)
        if ready.awaitsSync || ready.compacts { startSync(i) }
        for outgoing in ready.toHosts { try send(outgoing, from: i) }
        for reply in ready.toGateways where reply.to.contains(session) {
            noteReply(reply.reply, from: i)
            events.insert(.reply(from: i, reply.reply), at: now + Self.delay)
        }
        try checks.observe(ready)
        for check in ready.checks {
            let input = check.carryOut(by: &verifier)
            events.insert(.checked(host: i, life: hosts[i].life, input), at: now + Self.checkTime)
        }
        for bucket in ready.stages {
            events.insert(.staged(host: i, life: hosts[i].life, bucket), at: now + Self.stagingTime)
        }
        for flush in ready.flushes {
            events.insert(.flushed(host: i, life: hosts[i].life, flush), at: now + Self.flushTime)
        }
    }

    private mutating func startSync(_ i: Int) {
        guard !hosts[i].isSyncing, let position = hosts[i].disk.unsynced else { return }
        hosts[i].isSyncing = true
        events.insert(.synced(host: i, life: hosts[i].life, position: position), at: now + Self.syncTime)
    }

    private mutating func send(_ outgoing: HostReady.Outgoing, from i: Int) throws {
        try checks.observe(outgoing.message, from: i)
        let to = outgoing.to.map { Int($0.number) }
        noteMessage(outgoing.message, from: i, to: to)
        for peer in to where sides[peer] == sides[i] && hosts[peer].core != nil {
            events.insert(.deliver(to: peer, from: i, outgoing.message), at: now + Self.delay)
        }
    }

    private mutating func handle(_ event: Event) throws {
        switch event {
        case .tick(let i, let life):
            guard hosts[i].life == life else { return }
            try step(i, .tick)
            startSync(i)
            events.insert(.tick(host: i, life: life), at: now + Self.tickInterval)
        case .deliver(let to, let from, let message):
            // A sender's crash does not take back what it has sent.
            guard hosts[to].core != nil else { return }
            let decoded = try HostMessage(decoding: message.encoded())
            let input = rule(of: to).verify(decoded, from: HostID(UInt16(from)), by: &verifier)
            guard case .peer? = input else { throw Problem(what: "\(decoded) from host \(from) is refused") }
            if let input { try step(to, input) }
        case .submitted(let to, let message):
            var primaries: [ShardID: ReplicaIndex] = [:]
            hosts[to].core?.forEachPrimary { primaries[$0] = $1 }
            let input = rule(of: to).verify(message, from: session, by: &verifier) { primaries[$0] }
            if let input { try step(to, input) }
        case .checked(let i, let life, let input): if hosts[i].life == life { try step(i, input) }
        case .reply(let from, let reply):
            if case .attestation(let attestation) = reply {
                try checks.observe(attestation, from: from)
                receive(try verifier.verify(attestation).value)
            }
        case .synced(let i, let life, let position):
            guard hosts[i].life == life else { return }
            hosts[i].disk.sync(upTo: position)
            hosts[i].isSyncing = false
            try step(i, .persisted(JournalPosition(position)))
            if hosts[i].core?.isSyncAwaited == true { startSync(i) }
        case .staged(let i, let life, let bucket):
            guard hosts[i].life == life else { return }
            try hosts[i].disk.stores[bucket.shard]?.stage([bucket.part])
            try step(i, bucket.staged)
        case .flushed(let i, let life, let flush):
            guard hosts[i].life == life else { return }
            if let store = hosts[i].disk.stores[flush.shard] { try flush.apply(to: store) }
            try step(i, .flushed(flush.shard, flush.sequence))
        }
    }

    private func rule(of i: Int) -> CheckingRule {
        CheckingRule(manifest: manifest, host: HostID(UInt16(i)), options: HostOptions())
    }

    private mutating func receive(_ attestation: BatchAttestation) {
        let (statement, replica) = (attestation.statement, attestation.signature.replica)
        if attested[statement]?.contains(replica) != true { attested[statement, default: []].append(replica) }
        guard attested[statement]?.count == manifest.group(of: statement.shard).weakQuorum else { return }
        for leaf in attestation.leaves {
            statuses[leaf.request, default: [:]][statement.shard] = leaf
            note(
                "client",
                "has \(leaf.request.short) of shard \(statement.shard): \(leaf.entries.map { "\($0.status)" }.joined(separator: ", "))"
            )
        }
    }

    // MARK: The trace

    /// What a script asks for, or what happened to it.
    private mutating func note(_ who: String, _ what: String, lost: [Int] = [], isDrawn: Bool = true) {
        guard tracing != .off || isDrawing else { return }
        let time = time
        let line = String(repeating: " ", count: max(0, 10 - time.count)) + "\(time)  \(who) \(what)"
        if tracing != .off { trace.append(line) }
        if isDrawing, isDrawn, let step = SequenceDiagram.Step(line: line, lost: lost) { drawing.append(step) }
    }

    /// Milliseconds.
    private var time: String {
        let microseconds = now / 1000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }

    private mutating func noteMessage(_ message: HostMessage, from i: Int, to: [Int]) {
        if case .pbft(_, .status) = message, tracing != .all { return }
        note(
            "\(i) -> \(to.map(String.init).joined(separator: " "))", " " + message.brief,
            lost: to.filter { sides[$0] != sides[i] || hosts[$0].core == nil })
    }

    private mutating func noteReply(_ reply: HostReply, from i: Int) {
        switch reply {
        case .attestation(let attestation):
            note("\(i) -> client", " s\(attestation.statement.shard) ATTESTATION n\(attestation.statement.sequence)")
        case .refused(let refusal): note("\(i) -> client", " s\(refusal.shard) REFUSED \(refusal.reason)")
        case .account, .status, .audit, .read, .stamps, .archive, .observation: break
        }
    }

    private mutating func noteExecution(_ i: Int) {
        guard let core = hosts[i].core else { return }
        for progress in core.progress() where hosts[i].executed[progress.shard] != progress.sequence {
            if progress.sequence > .zero { note("\(i)", "executes s\(progress.shard) n\(progress.sequence)") }
            hosts[i].executed[progress.shard] = progress.sequence
        }
    }
}
