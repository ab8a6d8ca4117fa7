import HostCore
import Messages
import PBFT

/// A whole cluster with its gateway and clients under a virtual clock, network and disk. One thread; the same seed gives
/// the same run, event for event.
public struct Simulation {
    enum Event {
        case tick(host: Int, life: Int)
        case deliver(to: Int, from: HostID, HostMessage)
        case synced(host: Int, life: Int, position: UInt64)
        case flushed(host: Int, life: Int, StateFlush)
        case gatewayTick
        case toGateway(from: Int, HostReply)
        case fromGateway(to: Int, GatewayMessage, session: SessionID)
        case fault
        case restart(host: Int)
        case heal
    }

    struct Host {
        var core: HostCore?
        var disk = SimulatedDisk()
        /// Counts restarts: events of an earlier life are void.
        var life = 0
        var isSyncing = false
        var clockSkew: Int64
    }

    let options: SimulationOptions
    let manifest: Manifest
    var rng: SplitMix64
    var now: UInt64 = 0
    var events = EventQueue<Event>()
    var hosts: [Host] = []
    var gateway: GatewayCore
    var clients: ClientModel
    var verifier: Verifier<StandInScheme>
    /// Cut links, from × to.
    var cut: [[Bool]]
    var checks = Checks()
    var isHealed = false
    var session = SessionID(1)
    public internal(set) var log: [String] = []
    public private(set) var steps = 0

    public init(_ options: SimulationOptions) {
        self.options = options
        rng = SplitMix64(seed: options.seed)
        let keys = (0..<options.replicas).map { StandInSigner(UInt64($0)) }
        let issuer = StandInSigner(999)
        manifest = Manifest(
            cluster: ClusterID(StandInSigner(options.seed).publicKey.value), epoch: Epoch(1),
            hosts: keys.enumerated().map { .init(address: "simulated", port: $0.offset, publicKey: $0.element.publicKey) },
            shards: Array(repeating: (0..<options.replicas).map { HostID(UInt16($0)) }, count: options.shards),
            issuer: issuer.publicKey)
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        gateway = GatewayCore(manifest: manifest, options: .init(), seed: options.seed)
        clients = ClientModel(manifest: manifest, issuer: issuer, options: options)
        cut = Array(repeating: Array(repeating: false, count: options.replicas), count: options.replicas)
        for _ in 0..<options.replicas { hosts.append(Host(clockSkew: Int64(rng.below(UInt64(200_000))) - 100_000)) }
    }

    var f: Int { (options.replicas - 1) / 3 }

    func instant(_ host: Int? = nil) -> Instant {
        let skew = host.map { hosts[$0].clockSkew } ?? 0
        return Instant(uptime: now + 1, wall: Timestamp(UInt64(Int64(1_700_000_000_000_000 + now / 1000) + skew)))
    }

    /// Runs to the end. Throws what broke.
    public mutating func run() throws -> Summary {
        for i in hosts.indices { try start(i) }
        var ready = GatewayReady()
        for i in hosts.indices { gateway.step(.hostConnected(HostID(UInt16(i))), now: instant(), into: &ready) }
        events.insert(.gatewayTick, at: 0)
        if options.hasCrashes || options.hasPartitions { events.insert(.fault, at: 200_000_000) }
        events.insert(.heal, at: options.faultyUntil)
        while let (time, event) = events.popFirst() {
            now = time
            steps += 1
            try handle(event)
            if !isHealed, clients.isDone { try heal() }
            if isHealed, clients.isDone, try isQuiet() { return try finish() }
            if now > options.deadline {
                throw failure("not everything is answered and equal by the end: \(describeState())")
            }
        }
        throw failure("no events left")
    }

    public struct Summary: Sendable {
        public let seed: UInt64
        public let steps: Int
        public let simulatedNanoseconds: UInt64
        public let committed: Int
        public let aborted: Int
        public let viewChanges: Int
        public let restarts: Int
        public let stateTransfers: Int
        public let fingerprint: Digest
    }

    func failure(_ what: String) -> SimulationFailure {
        SimulationFailure(seed: options.seed, time: now, what: what, log: log)
    }

    mutating func note(_ line: String) { log.append("\(now / 1000) µs  \(line)") }

    // MARK: Hosts

    mutating func start(_ i: Int) throws {
        let host = HostID(UInt16(i))
        for shard in manifest.shards(of: host) where hosts[i].disk.stores[shard] == nil { hosts[i].disk.stores[shard] = MemoryStore() }
        hosts[i].life += 1
        hosts[i].isSyncing = false
        do {
            hosts[i].core = try HostCore(
                manifest: manifest, host: host, signer: StandInSigner(UInt64(i)), options: options.host,
                stores: hosts[i].disk.stores, records: hosts[i].disk.records, now: instant(i))
        } catch { throw failure("host \(i) does not start: \(error)") }
        if options.keepsLog { note("host \(i) starts, life \(hosts[i].life), \(hosts[i].disk.records.count) records") }
        events.insert(.tick(host: i, life: hosts[i].life), at: now + 1 + rng.below(UInt64(10_000_000)))
        for peer in hosts.indices where peer != i && hosts[peer].core != nil {
            try step(i, .peerConnected(HostID(UInt16(peer))))
            try step(peer, .peerConnected(host))
        }
    }

    mutating func step(_ i: Int, _ input: HostInput) throws {
        guard hosts[i].core != nil else { return }
        var ready = HostReady()
        let moment = instant(i)
        hosts[i].core?.step(input, now: moment, into: &ready)
        do {
            try hosts[i].core?.checkInvariants()
            if let core = hosts[i].core { try checks.observe(core, host: i) }
        } catch { throw failure("host \(i): \(error)") }
        if let (shard, reason) = ready.halts.first { throw failure("host \(i) shard \(shard) halted: \(reason)") }
        hosts[i].disk.append(ready.records, compacts: ready.compacts)
        startSync(i)
        for outgoing in ready.toHosts {
            for to in outgoing.to { try send(outgoing.message, from: i, to: Int(to.number)) }
        }
        for reply in ready.toGateways where reply.to.contains(session) {
            if case .attestation(let attestation) = reply.reply {
                do { try checks.observe(attestation, from: i) } catch { throw failure("host \(i): \(error)") }
            }
            guard !isLost() else { continue }
            events.insert(.toGateway(from: i, reply.reply), at: now + delay())
        }
        for flush in ready.flushes {
            events.insert(.flushed(host: i, life: hosts[i].life, flush), at: now + 1_000_000 + rng.below(UInt64(20_000_000)))
        }
    }

    private mutating func startSync(_ i: Int) {
        guard !hosts[i].isSyncing, let position = hosts[i].disk.unsynced else { return }
        hosts[i].isSyncing = true
        events.insert(.synced(host: i, life: hosts[i].life, position: position), at: now + 50_000 + rng.below(UInt64(2_000_000)))
    }

    mutating func send(_ message: HostMessage, from: Int, to: Int) throws {
        do { try checks.observe(message, from: from) } catch { throw failure("host \(from) contradicts itself: \(error)") }
        guard !cut[from][to], !isLost() else { return }
        events.insert(.deliver(to: to, from: HostID(UInt16(from)), message), at: now + delay())
        if options.isLossy, !isHealed, rng.chance(perMille: 20) {
            events.insert(.deliver(to: to, from: HostID(UInt16(from)), message), at: now + 10 * delay())
        }
    }

    private mutating func isLost() -> Bool { options.isLossy && !isHealed && rng.chance(perMille: 50) }

    private mutating func delay() -> UInt64 {
        let base = 20_000 + rng.below(UInt64(1_000_000))
        return options.isLossy && !isHealed && rng.chance(perMille: 30) ? base + rng.below(UInt64(400_000_000)) : base
    }

    // MARK: Events

    private mutating func handle(_ event: Event) throws {
        switch event {
        case .tick(let i, let life):
            guard hosts[i].life == life, hosts[i].core != nil else { return }
            try step(i, .tick)
            events.insert(.tick(host: i, life: life), at: now + 20_000_000)
        case .deliver(let to, let from, let message):
            guard hosts[to].core != nil else { return }
            // Over the wire and back: what is sent must be what is read.
            guard let decoded = try? HostMessage(decoding: message.encoded()) else { throw failure("\(message) cannot be read back") }
            guard let verified = try? verifier.verify(decoded) else { throw failure("\(message) from \(from) is refused") }
            if options.keepsLog { note("\(from) -> \(to) \(Self.describe(message))") }
            try step(to, .peer(from, verified))
        case .synced(let i, let life, let position):
            guard hosts[i].life == life, hosts[i].core != nil else { return }
            hosts[i].disk.sync(upTo: position)
            hosts[i].isSyncing = false
            try step(i, .persisted(JournalPosition(position)))
            startSync(i)
        case .flushed(let i, let life, let flush):
            guard hosts[i].life == life, hosts[i].core != nil else { return }
            try hosts[i].disk.stores[flush.shard]?.apply(flush.writes, metadata: flush.metadata, clearing: flush.clearing)
            try step(i, .flushed(flush.shard, flush.sequence))
        case .gatewayTick:
            try gatewayTick()
            events.insert(.gatewayTick, at: now + 10_000_000)
        case .toGateway(let from, let reply):
            guard let decoded = try? HostReply(decoding: reply.encoded()), let verified = try? verifier.verify(decoded) else {
                throw failure("reply from host \(from) cannot be read back: \(reply)")
            }
            try gatewayStep(.host(HostID(UInt16(from)), verified))
        case .fromGateway(let to, let message, let session):
            guard hosts[to].core != nil, let verified = try? verifier.verify(message) else { return }
            try step(to, .gateway(session, verified))
        case .fault: try injectFault()
        case .restart(let i): if hosts[i].core == nil { try start(i) }
        case .heal: try heal()
        }
    }

    // MARK: Gateway and clients

    private mutating func gatewayTick() throws {
        try gatewayStep(.tick)
        for client in clients.pending.indices {
            guard let request = clients.next(client: client, now: instant(), using: &rng) else { continue }
            guard let verified = try? verifier.verify(ClientMessage.submit(id: UInt64(client), request)) else {
                throw failure("a client's request is refused")
            }
            if options.keepsLog { note("client \(client) submits \(request.digest.short)") }
            try gatewayStep(.client(SessionID(UInt64(client)), verified))
        }
    }

    private mutating func gatewayStep(_ input: GatewayInput) throws {
        var ready = GatewayReady()
        gateway.step(input, now: instant(), into: &ready)
        for outgoing in ready.toHosts {
            for to in outgoing.to where !isLost() {
                events.insert(.fromGateway(to: Int(to.number), outgoing.message, session: session), at: now + delay())
            }
        }
        for (session, reply) in ready.toClients {
            let client = Int(session.number)
            switch reply {
            case .receipt(_, let receipt, _, _):
                guard (try? verifier.verify(receipt)) != nil else { throw failure("client \(client) got a receipt that does not verify") }
                if options.keepsLog { note("client \(client) has \(receipt.request.digest.short)") }
                if let problem = clients.receive(receipt, client: client) { throw failure(problem) }
            case .rejected(_, let reason, _):
                if options.keepsLog { note("client \(client) rejected: \(reason)") }
                clients.rejected(client: client)
            case .account, .status: break
            }
        }
    }
}
