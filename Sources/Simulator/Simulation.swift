import Randomness
import Cores
import Messages
import PBFT

/// A whole cluster with its gateway and clients under a virtual clock, network and disk. One thread; the same seed
/// gives the same run, event for event.
public struct Simulation {
    /// Small, because the heap moves it about: what is large lies in a box.
    enum Event {
        case tick(host: Int, life: Int)
        case deliver(to: Int, from: HostID, Parcel)
        case synced(host: Int, life: Int, position: UInt64)
        case flushed(host: Int, life: Int, Box<StateFlush>)
        case staged(host: Int, life: Int, Box<BucketStaging>)
        case gatewayTick
        case toGateway(from: Int, Box<HostReply>, session: SessionID)
        case fromGateway(to: Int, Box<GatewayMessage>, session: SessionID)
        case fault
        case clocks
        case restart(host: Int)
        /// A host whose storage failed is stopped, and started later.
        case replaced(host: Int, life: Int)
        case heal
        case byzantine(to: Int, from: HostID, Box<Distorted>)
        case byzantineReply(from: Int, Box<DistortedReply>, session: SessionID)
    }

    final class Box<Value> {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    /// One message on its way to one or many hosts, which all verify the same bytes.
    final class Parcel {
        let message: HostMessage
        var verified: Verified<HostMessage>?
        init(_ message: HostMessage) { self.message = message }
    }

    struct Host {
        var core: HostCore?
        /// Whether there is a core.
        var isUp = false
        var disk = SimulatedDisk()
        /// Counts restarts: events of an earlier life are void.
        var life = 0
        var isSyncing = false
        /// The last of what is to be staged will be.
        var stagesUntil: UInt64 = 0
        /// The storage of this life failed: its replicas have halted.
        var hasFailedStorage = false
        var isToBeDeclared = false
        /// Of its wall clock, in microseconds.
        var clockSkew: Int64
        /// Of both its clocks, in parts of a million.
        var drift: Int64
        /// A jump of its wall clock that is not put right yet, in microseconds.
        var jump: Int64 = 0
    }

    let options: SimulationOptions
    let manifest: Manifest
    /// The network, the disks and the clocks. Clients and faults have chances of their own (`ChanceStream`).
    var rng: SplitMix64
    private var clientChance: SplitMix64
    /// Of the fault that is being injected.
    var faultChance: SplitMix64
    var now: UInt64 = 0
    var events = EventQueue<Event>()
    var hosts: [Host] = []
    var gateway: GatewayCore
    var clients: ClientModel
    var verifier: Verifier<StandInScheme>
    /// Cut links, from × to.
    var cut: [[Bool]]
    var checks: Checks
    var byzantine: ByzantineHosts
    let correctHosts: [Int]
    var byzantineClient = ByzantineClient()
    var byzantineGateway: ByzantineGateway
    var byzantineRng: SplitMix64
    /// Of all that has to do with reads, see `ReadBook`.
    var readRng: SplitMix64
    var isHealed = false
    var rest = RestWatch()
    var epilogue = Epilogue()
    var network: Network
    /// Hosts with a bad disk, in order of time.
    var damaged: [Int] = []
    var session = SessionID(1)
    /// Messages that were looked at.
    private var opened = 0
    /// What happened, a line an event with its time in microseconds; empty unless `keepsLog`.
    public internal(set) var log: [String] = []
    /// Events that were handled so far.
    public private(set) var steps = 0
    /// Injected so far, suppressed ones not counted.
    public internal(set) var faults: [InjectedFault] = []
    var faultCount = 0
    var clockFaults: ClockFaults

    /// Draws what follows from the seed before the first event: keys, clocks, the network, who lies.
    public init(_ options: SimulationOptions) {
        self.options = options
        rng = SplitMix64(seed: options.seed)
        clientChance = ChanceStream.clients.generator(seed: options.seed)
        faultChance = ChanceStream.faults.generator(seed: options.seed)
        let keys = (0..<options.replicas).map { StandInSigner(UInt64($0)) }
        let issuer = StandInSigner(999)
        manifest = Manifest(
            cluster: ClusterID(StandInSigner(options.seed).publicKey.value), epoch: Epoch(1),
            hosts: keys.enumerated().map {
                .init(address: "simulated", port: $0.offset, publicKey: $0.element.publicKey)
            },
            shards: Array(repeating: (0..<options.replicas).map { HostID(UInt16($0)) }, count: options.shards),
            issuer: issuer.publicKey)
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        gateway = GatewayCore(manifest: manifest, options: .init(), seed: options.seed)
        clockFaults = ClockFaults(options)
        byzantineGateway = ByzantineGateway(manifest: manifest, seed: options.seed)
        byzantine = ByzantineHosts(manifest: manifest, options: options)
        byzantineRng = SplitMix64(seed: ~options.seed)
        readRng = ChanceStream.reads.generator(seed: options.seed)
        checks = Checks(byzantine: Set(byzantine.identities), manifest: manifest, window: options.host.replica.window)
        clients = ClientModel(
            manifest: manifest, issuer: issuer, options: options,
            others: options.hasByzantineHosts ? byzantineClient.accounts : [])
        cut = Array(repeating: Array(repeating: false, count: options.replicas), count: options.replicas)
        network = Network(
            endpoints: options.replicas + 1, isLossy: options.isLossy, lossPerMille: options.lossPerMille, using: &rng)
        let (skew, drift): (UInt64, UInt64) = options.profile == .calm ? (100_000, 0) : (400_000, 20_000)
        for _ in 0..<options.replicas + byzantine.twins.count {
            hosts.append(
                Host(
                    clockSkew: Int64(rng.below(2 * skew + 1)) - Int64(skew),
                    drift: Int64(rng.below(2 * drift + 1)) - Int64(drift)))
        }
        correctHosts = byzantine.correctHosts
        // A third of the liars have a slow clock: as primaries they would hold the shard's time back.
        var clocks = ChanceStream.clocks.generator(seed: options.seed)
        for i in byzantine.identities + byzantine.twins where clocks.chance(perMille: 333) {
            hosts[i].clockSkew = -3_000_000 - Int64(clocks.below(UInt64(6_000_000)))
        }
        setLiarsClocks()
    }

    var f: Int { (options.replicas - 1) / 3 }

    func instant(_ host: Int? = nil) -> Instant {
        guard let host else { return Instant(uptime: now + 1, wall: Timestamp(1_700_000_000_000_000 + now / 1000)) }
        let passed = Int64(now) + Int64(now) / 1_000_000 * hosts[host].drift
        // Wall clocks are put right now and then: however fast they run, they are not off by more and more.
        let late = min(max((passed - Int64(now)) / 1000, -Self.mostDrifted), Self.mostDrifted)
        return Instant(
            uptime: UInt64(passed) + 1,
            wall: Timestamp(
                UInt64(1_700_000_000_000_000 + Int64(now) / 1000 + late + hosts[host].clockSkew + hosts[host].jump)))
    }

    /// Microseconds.
    private static let mostDrifted: Int64 = 600_000

    /// Some thousand are usual: hosts that answer each other without end reach any limit.
    private static let maxWaiting = 100_000

    /// Runs to the end. Throws what broke.
    public mutating func run() throws -> Summary {
        for i in hosts.indices { try start(i) }
        var ready = GatewayReady()
        for i in cut.indices { gateway.step(.hostConnected(HostID(UInt16(i))), now: instant(), into: &ready) }
        events.insert(.gatewayTick, at: 0)
        if options.profile != .calm { events.insert(.fault, at: 100_000_000) }
        if clockFaults.exists { events.insert(.clocks, at: 150_000_000) }
        events.insert(.heal, at: options.faultyUntil)
        while let (time, event) = events.popFirst() {
            now = time
            steps += 1
            try handle(event)
            if !isHealed, clients.isDone { try heal() }
            if isHealed, clients.isDone, try isAtRest(), try isEpilogueOver() { return try finish() }
            if let limit = options.steps, steps >= limit { return summary(fingerprint: .null) }
            if events.count > Self.maxWaiting { throw failure("\(events.count) events wait: messages multiply") }
            try checkGoesOn()
            if now > options.deadline + clockFaults.standing * 1000 {
                throw failure("not everything is answered and equal by the end: \(describeState())")
            }
        }
        throw failure("no events left")
    }

    /// What a run that broke nothing was made of, so that it can be told whether it tried what it should.
    public struct Summary: Sendable {
        /// The run's, as it was asked for.
        public let seed: UInt64
        /// Events that were handled.
        public let steps: Int
        /// How long the run took by the simulated clock.
        public let simulatedNanoseconds: UInt64
        /// Legs that clients have receipts for, setting up included.
        public let committed: Int
        /// Legs of which a receipt says that they never happened.
        public let aborted: Int
        /// Root calls among them.
        public let committedCalls: Int
        /// Root calls among `aborted`; one that died and was tried again counts each time.
        public let abortedCalls: Int
        /// Views after the first in which a correct replica was, over all shards, each once.
        public let viewChanges: Int
        /// Times that a host was stopped, by whatever fault, to be started again.
        public let restarts: Int
        /// Whole states that were fetched and installed.
        public let stateTransfers: Int
        /// CHECKPOINTs that correct hosts said.
        public let checkpoints: Int
        /// Own states that correct hosts had written down; those that were fetched are not among them.
        public let flushes: Int
        /// Times that a correct host wrote its journal anew.
        public let compactions: Int
        /// Times that a host's disk refused something, and the host stopped voting.
        public let storageFailures: Int
        /// Answered by a quorum, and in order.
        public let quorumReads: Int
        /// Reads that came through the order because replicas found no agreement on the account.
        public let orderedReads: Int
        /// Hosts that lied, f at most.
        public let byzantineHosts: Int
        /// What their lies led to, act by act.
        public let byzantineEffects: ByzantineEffects
        /// Views of a slow primary that correct replicas left.
        public let replacedSlowPrimaries: Int
        /// From the moment that all was answered and healed to the last that anybody did.
        public let nanosecondsToRest: UInt64
        /// Of the states at the end; null if the run was stopped by `steps`.
        public let fingerprint: Digest
    }

    func summary(fingerprint: Digest) -> Summary {
        Summary(
            seed: options.seed, steps: steps, simulatedNanoseconds: now, committed: clients.committed,
            aborted: clients.aborted,
            committedCalls: clients.committedCalls, abortedCalls: clients.abortedCalls,
            viewChanges: checks.views.count, restarts: checks.restarts, stateTransfers: checks.stateTransfers,
            checkpoints: checks.checkpoints, flushes: checks.flushes, compactions: checks.compactions,
            storageFailures: checks.storageFailures, quorumReads: clients.reads.answered,
            orderedReads: clients.reads.ordered,
            byzantineHosts: byzantine.members.count, byzantineEffects: byzantine.effects,
            replacedSlowPrimaries: byzantine.slowViews.count { checks.hasLeft($0.view, of: $0.shard) },
            nanosecondsToRest: rest.began.map { rest.lastActivity - $0 } ?? 0, fingerprint: fingerprint)
    }

    func failure(_ what: String) -> SimulationFailure {
        SimulationFailure(seed: options.seed, time: now, what: what, log: log)
    }

    mutating func note(_ line: String) { log.append("\(now / 1000) µs  \(line)") }

    // MARK: Hosts

    mutating func start(_ i: Int) throws {
        let host = hostID(i)
        for shard in manifest.shards(of: host) where hosts[i].disk.stores[shard] == nil {
            hosts[i].disk.stores[shard] = MemoryStore()
        }
        hosts[i].life += 1
        (hosts[i].isSyncing, hosts[i].hasFailedStorage, hosts[i].stagesUntil) = (false, false, 0)
        let opened: SimulatedDisk.Opened
        do { opened = try hosts[i].disk.open(using: &rng) } catch {
            throw failure("the journal of host \(i) does not open: \(error)")
        }
        // A disk that has lost records is a fault of its own, never what a crash leaves behind.
        guard !opened.lostRecords || damaged.contains(i) || byzantine.isByzantine(i) else {
            throw failure("host \(i) has lost durable records")
        }
        // A process that starts sees every write that was applied.
        for shard in manifest.shards(of: host) { hosts[i].disk.stores[shard]?.reopen() }
        do {
            hosts[i].core = try HostCore(
                manifest: manifest, host: host, signer: StandInSigner(UInt64(byzantine.identity(i))),
                options: options.host,
                stores: hosts[i].disk.stores, records: opened.records, hasLostRecords: opened.lostRecords,
                now: instant(i))
            if opened.lostRecords { checks.forget(host: i) }
            if opened.lostSilently { checks.exempt(host: i) }
        } catch {
            if byzantine.isByzantine(i) { return }
            throw failure("host \(i) does not start: \(error)")
        }
        hosts[i].isUp = true
        if options.keepsLog {
            let lost = opened.lostRecords ? ", some lost" : ""
            note("host \(i) starts, life \(hosts[i].life), \(opened.records.count) records\(lost)")
        }
        events.insert(.tick(host: i, life: hosts[i].life), at: now + 1 + rng.below(UInt64(10_000_000)))
        for peer in hosts.indices where hostID(peer) != host && hosts[peer].isUp {
            try step(i, .peerConnected(hostID(peer)))
            try step(peer, .peerConnected(host))
        }
    }

    mutating func step(_ i: Int, _ input: HostInput) throws {
        if let m = byzantine.member(i) { return try stepByzantine(i, m, input) }
        guard hosts[i].isUp else { return }
        var ready = HostReady()
        let moment = instant(i)
        hosts[i].core?.step(input, now: moment, into: &ready)
        checks.noteClock(moment.wall, ahead: options.host.replica.timeAhead, now: now)
        do { try hosts[i].core?.examine(after: input, host: i, &checks) } catch { throw failure("host \(i): \(error)") }
        if !hosts[i].hasFailedStorage, let (shard, reason) = ready.halts.first {
            // Rot at the journal's end looks like a tail that was never synced; the peers know better, and an operator
            // reads it.
            guard damaged.contains(i),
                reason.hasPrefix("peers heard votes") || reason.hasPrefix("a peer shows that this replica forgot")
            else {
                throw failure("host \(i) shard \(shard) halted: \(reason)")
            }
            (hosts[i].hasFailedStorage, hosts[i].isToBeDeclared) = (true, true)
            events.insert(.replaced(host: i, life: hosts[i].life), at: now + 100_000_000)
        }
        checks.observe(ready)
        watch(ready, from: i)
        try checkReplay(ready, from: i)
        countAnswers(ready, from: i)
        hosts[i].disk.append(ready.records.map { $0.encoded() }, compacts: ready.compacts)
        startSync(i)
        for outgoing in ready.toHosts {
            do { try checks.observe(outgoing.message, from: i) } catch {
                throw failure("host \(i) contradicts itself: \(error)")
            }
            let parcel = Parcel(outgoing.message)
            for to in outgoing.to { send(parcel, from: i, to: Int(to.number)) }
        }
        for reply in ready.toGateways where reply.to.contains(session) {
            if case .attestation(let attestation) = reply.reply {
                do { try checks.observe(attestation, from: i) } catch { throw failure("host \(i): \(error)") }
            }
            if case .refused(let refusal) = reply.reply, refusal.reason == .fromTheFuture {
                try checkFuture(refusal, from: i)
            }
            guard let time = arrival(from: i, to: gatewayEndpoint, isRead: reply.reply.isRead) else { continue }
            events.insert(.toGateway(from: i, Box(reply.reply), session: session), at: time)
        }
        for bucket in ready.stages { insert(bucket, of: i) }
        for flush in ready.flushes {
            do { try checks.observe(flush) } catch { throw failure("host \(i): \(error)") }
            insert(flush, of: i)
        }
    }

    /// In their order: one thread does it.
    mutating func insert(_ bucket: BucketStaging, of i: Int) {
        let time = max(now, hosts[i].stagesUntil) + 20_000 + rng.below(UInt64(500_000))
        hosts[i].stagesUntil = time
        events.insert(.staged(host: i, life: hosts[i].life, Box(bucket)), at: time)
    }

    mutating func insert(_ flush: StateFlush, of i: Int) {
        events.insert(
            .flushed(host: i, life: hosts[i].life, Box(flush)), at: now + 1_000_000 + rng.below(UInt64(20_000_000)))
    }

    mutating func startSync(_ i: Int) {
        guard !hosts[i].isSyncing, let position = hosts[i].disk.unsynced else { return }
        hosts[i].isSyncing = true
        events.insert(
            .synced(host: i, life: hosts[i].life, position: position), at: now + 50_000 + rng.below(UInt64(2_000_000)))
    }

    /// Messages are not lost, repeated or late now.
    var isCalm: Bool { isHealed || !options.allowsLoss(at: now) }
    /// The gateway's and its clients' place on the network.
    var gatewayEndpoint: Int { options.replicas }

    /// When something arrives that the gateway sends or gets; nil if it does not.
    mutating func arrival(from: Int, to: Int, isRead: Bool) -> UInt64? {
        isRead
            ? network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &readRng).first
            : network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &rng).first
    }

    mutating func send(_ parcel: Parcel, from: Int, to: Int) {
        guard !cut[from][to] else { return noteLoss(parcel, from, to) }
        for core in byzantine.cores(of: to, from: from) {
            let (first, again) = network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &rng)
            if let first {
                events.insert(.deliver(to: core, from: HostID(UInt16(from)), parcel), at: first)
            } else {
                noteLoss(parcel, from, to)
            }
            if let again { events.insert(.deliver(to: core, from: HostID(UInt16(from)), parcel), at: again) }
        }
    }

    private mutating func noteLoss(_ parcel: Parcel, _ from: Int, _ to: Int) {
        if options.keepsLog { note("\(from) -x \(to) \(Self.describe(parcel.message))") }
    }

    /// Over the wire and back: what is sent must be what is read. Coding all that is sent would take most of a run's
    /// time, so it is one message in sixteen, and each of the kinds that are rare.
    private mutating func open(_ parcel: Parcel, from: HostID) throws -> Verified<HostMessage> {
        if let verified = parcel.verified { return verified }
        var message = parcel.message
        opened += 1
        if opened.isMultiple(of: 16) || parcel.message.isRare {
            guard let decoded = try? HostMessage(decoding: message.encoded()), decoded == message else {
                throw failure("\(message) cannot be read back")
            }
            message = decoded
        }
        guard let verified = try? verifier.verify(message) else { throw failure("\(message) from \(from) is refused") }
        parcel.verified = verified
        return verified
    }

    // MARK: Events

    private mutating func handle(_ event: Event) throws {
        switch event {
        case .tick(let i, let life):
            guard hosts[i].life == life, hosts[i].isUp else { return }
            try step(i, .tick)
            events.insert(.tick(host: i, life: life), at: now + 40_000_000)
        case .deliver(let to, let from, let parcel):
            guard hosts[to].isUp else { return }
            let verified = try open(parcel, from: from)
            if options.keepsLog { note("\(from) -> \(to) \(Self.describe(parcel.message))") }
            try step(to, .peer(from, verified))
        case .synced(let i, let life, let position):
            guard hosts[i].life == life, hosts[i].isUp else { return }
            hosts[i].disk.sync(upTo: position)
            hosts[i].isSyncing = false
            if let what = hosts[i].disk.failure { return try storageFailed(i, what) }
            try step(i, .persisted(JournalPosition(position)))
            startSync(i)
        case .staged(let i, let life, let box):
            guard hosts[i].life == life, hosts[i].isUp else { return }
            let bucket = box.value
            do { try hosts[i].disk.stores[bucket.shard]?.stage([bucket.part]) } catch {
                return try storageFailed(i, "\(error)")
            }
            try step(i, bucket.staged)
        case .flushed(let i, let life, let box):
            guard hosts[i].life == life, hosts[i].isUp else { return }
            let flush = box.value
            do { if let store = hosts[i].disk.stores[flush.shard] { try flush.apply(to: store) } } catch {
                return try storageFailed(i, "\(error)")
            }
            try step(i, .flushed(flush.shard, flush.sequence))
        case .gatewayTick:
            try gatewayTick()
            events.insert(.gatewayTick, at: now + 25_000_000)
        case .toGateway(let from, let box, let session):
            guard session == self.session else { return }
            var reply = box.value
            opened += 1
            if opened.isMultiple(of: 16) {
                guard let decoded = try? HostReply(decoding: reply.encoded()) else {
                    throw failure("reply from host \(from) cannot be read back: \(reply)")
                }
                reply = decoded
            }
            guard let verified = try? verifier.verify(reply) else {
                throw failure("reply from host \(from) is refused: \(reply)")
            }
            if case .attestation(let attestation) = reply { byzantineGateway.heard(attestation) }
            try gatewayStep(.host(HostID(UInt16(from)), verified))
        case .fromGateway(let to, let box, let session):
            // Whoever else speaks to the hosts has a session of its own.
            let others = [ByzantineClient.session, ByzantineGateway.session, Epilogue.session]
            guard session == self.session || others.contains(session), let verified = try? verifier.verify(box.value)
            else { return }
            for core in byzantine.cores(of: to, from: nil) { try step(core, .gateway(session, verified)) }
        case .fault: try injectFault()
        case .clocks: jumpClocks()
        case .restart(let i): if !hosts[i].isUp { try start(i) }
        case .replaced(let i, let life):
            guard hosts[i].life == life else { return }
            try stop(i, losesPower: false)
            if hosts[i].isToBeDeclared { hosts[i].disk.declareLost() }
            hosts[i].isToBeDeclared = false
        case .heal: try heal()
        case .byzantine(let to, let from, let box): try deliver(box.value, from: from, to: to)
        case .byzantineReply(let from, let box, let session):
            guard session == self.session else { return }
            try deliver(box.value, from: from)
        }
    }

    // MARK: Gateway and clients

    private mutating func gatewayTick() throws {
        try gatewayStep(.tick)
        byzantineClientTick()
        byzantineGatewayTick()
        clients.clocks = shardClocks()
        for client in clients.pending.indices {
            guard let request = clients.next(client: client, now: instant(), using: &clientChance) else { continue }
            guard let verified = try? verifier.verify(ClientMessage.submit(id: UInt64(client), request)) else {
                throw failure("a client's request is refused")
            }
            if options.keepsLog { note("client \(client) submits \(request.digest.short)") }
            byzantineGateway.heard(request)
            try gatewayStep(.client(clients.session(of: client), verified))
        }
        try readTick()
    }

    mutating func gatewayStep(_ input: GatewayInput) throws {
        var ready = GatewayReady()
        gateway.step(input, now: instant(), into: &ready)
        if !ready.toHosts.isEmpty { rest.note("gateway", now: now) }
        for outgoing in ready.toHosts {
            let box = Box(outgoing.message)
            for to in outgoing.to {
                let time = arrival(from: gatewayEndpoint, to: Int(to.number), isRead: outgoing.message.isRead)
                if let time { events.insert(.fromGateway(to: Int(to.number), box, session: session), at: time) }
            }
        }
        var finished: [(client: Int, request: SignedRequest)] = []
        for (session, reply) in ready.toClients {
            guard let client = clients.client(of: session) else { continue }
            switch reply {
            case .receipt(_, let receipt, _, _):
                guard (try? verifier.verify(receipt)) != nil else {
                    throw failure("client \(client) got a receipt that does not verify")
                }
                if options.keepsLog { note("client \(client) has \(receipt.request.digest.short)") }
                do { try checks.observe(receipt) } catch { throw failure("client \(client): \(error)") }
                if let problem = clients.receive(receipt, client: client, now: now) { throw failure(problem) }
                finished.append((client, receipt.request))
            case .rejected(_, let reason, _):
                if options.keepsLog { note("client \(client) rejected: \(reason)") }
                clients.rejected(client: client)
            case .read(let id, let answers): try take(answers, id: id, client: client)
            case .account, .status: break
            }
        }
        for (client, request) in finished { try maybeRead(client, after: request) }
    }
}
