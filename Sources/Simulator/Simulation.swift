import Histories
import Cores
import Messages

/// A whole cluster with its gateway and clients under a virtual clock, network and disk. One thread; the same seed
/// gives the same run, event for event. Takes one event after the other to whom it is for; what it is made of are the
/// hosts, the gateway with its clients, and the world that they share.
public struct Simulation {
    /// What a run that broke nothing was made of.
    public typealias Summary = SimulationSummary
    /// Something that went wrong on purpose.
    public typealias InjectedFault = Simulator.InjectedFault

    var world: World
    var hosts: SimulatedHosts
    var gateway: SimulatedGateway
    var plan: FaultPlan
    var clockFaults: ClockFaults
    /// Events that were handled so far.
    public private(set) var steps = 0

    /// What happened, a line an event with its time in microseconds; empty unless `keepsLog`.
    public var log: [String] { world.log }
    /// Injected so far, suppressed ones not counted.
    public var faults: [InjectedFault] { plan.injected }

    /// Draws what follows from the seed before the first event: keys, clocks, the network, who lies.
    public init(_ options: SimulationOptions) {
        let keys = (0..<options.replicas).map { StandInSigner(UInt64($0)) }
        let issuer = StandInSigner(999)
        let manifest = Manifest(
            cluster: ClusterID(StandInSigner(options.seed).publicKey.value), epoch: Epoch(1),
            hosts: keys.enumerated().map {
                .init(address: "simulated", port: $0.offset, publicKey: $0.element.publicKey)
            },
            shards: Array(repeating: (0..<options.replicas).map { HostID(UInt16($0)) }, count: options.shards),
            issuer: issuer.publicKey, compliance: FreezeWorkload.authority.publicKey)
        let byzantine = ByzantineHosts(manifest: manifest, options: options)
        world = World(options, manifest: manifest, liars: byzantine.identities)
        hosts = SimulatedHosts(options, byzantine: byzantine, using: &world.rng)
        gateway = SimulatedGateway(options, manifest: manifest, issuer: issuer)
        plan = FaultPlan(options)
        clockFaults = ClockFaults(options)
        clockFaults.setLiars(&hosts)
    }

    /// Some thousand are usual: hosts that answer each other without end reach any limit.
    private static let maxWaiting = 100_000

    /// Runs to the end. Throws what broke.
    public mutating func run() throws -> Summary {
        let options = world.options
        for i in hosts.all.indices { try hosts.start(i, &world) }
        gateway.connect(&world)
        world.events.insert(.gatewayTick, at: 0)
        if options.profile != .calm { world.events.insert(.fault, at: 100_000_000) }
        if clockFaults.exists { world.events.insert(.clocks, at: 150_000_000) }
        world.events.insert(.heal, at: options.faultyUntil)
        while let (time, event) = world.events.popFirst() {
            world.now = time
            steps += 1
            try handle(event)
            if !hosts.refusedAsFuture.isEmpty { try checkRefusals() }
            if !world.isHealed, gateway.clients.isDone { try heal() }
            if world.isHealed, gateway.clients.isDone, try isAtRest(), try isEpilogueOver() { return try finish() }
            if let limit = options.steps, steps >= limit { return summary(fingerprint: .null) }
            if world.events.count > Self.maxWaiting {
                throw world.failure("\(world.events.count) events wait: messages multiply")
            }
            if world.isHealed, clockFaults.exists {
                try clockFaults.checkGoesOn(gateway.clients, world) { describeState() }
            }
            if world.now > options.deadline + clockFaults.standing * 1000 {
                throw world.failure("not everything is answered and equal by the end: \(describeState())")
            }
        }
        throw world.failure("no events left")
    }

    private mutating func handle(_ event: SimulationEvent) throws {
        switch event {
        case .tick(let i, let life): try hosts.tick(i, life: life, &world)
        case .deliver(let to, let from, let parcel): try hosts.deliver(parcel, from: from, to: to, &world)
        case .synced(let i, let life, let position): try hosts.synced(i, life: life, position: position, &world)
        case .checked(let i, let life, let box): try hosts.checked(i, life: life, box.value, &world)
        case .staged(let i, let life, let box): try hosts.staged(i, life: life, box.value, &world)
        case .flushed(let i, let life, let box): try hosts.flushed(i, life: life, box.value, &world)
        case .gatewayTick:
            let clocks = clockFaults.exists ? hosts.shardClocks(world.manifest, now: world.now) : []
            try gateway.tick(clocks, &world)
            world.events.insert(.gatewayTick, at: world.now + 25_000_000)
        case .toGateway(let from, let box, let session):
            guard session == world.session else { return }
            try gateway.deliver(box.value, from: from, &world)
        case .fromGateway(let to, let box, let session): try hosts.hear(box.value, on: session, to: to, &world)
        case .fault: try injectFault()
        case .clocks: clockFaults.jump(&hosts, &plan, &world)
        case .restart(let i): if !hosts.all[i].isUp { try hosts.start(i, &world) }
        case .replaced(let i, let life): try hosts.replace(i, life: life, using: &plan.chance, &world)
        case .heal: try heal()
        case .byzantine(let to, let from, let box): try hosts.deliver(box.value, from: from, to: to, &world)
        case .byzantineReply(let from, let box, let session):
            guard session == world.session, let verified = world.wire.open(box.value) else { return }
            if let act = box.value.act { hosts.byzantine.effects.count(act) }
            try gateway.step(.host(hosts.hostID(from), verified), &world)
        }
    }

    /// All that was wrong on purpose is put right.
    private mutating func heal() throws {
        guard !world.isHealed else { return }
        if world.options.keepsLog { world.note("healed") }
        world.isHealed = true
        clockFaults.heal(&hosts, world)
        world.network.mend()
        try hosts.heal(&world)
    }

    /// Once an event is over: what clients have asked for is not the hosts' to know.
    private mutating func checkRefusals() throws {
        for refused in hosts.refusedAsFuture { try clockFaults.check(refused, hosts, gateway.clients, world) }
        hosts.refusedAsFuture = []
    }

    func describeState() -> String {
        let waiting = gateway.clients.pending.indices.filter { !gateway.clients.pending[$0].isEmpty }
        return (["clients waiting: \(waiting)"] + hosts.description).joined(separator: "\n  ")
    }

    // MARK: The end

    private mutating func finish() throws -> Summary {
        do { try SerializabilityChecker.check(gateway.clients.books.history) } catch {
            throw world.failure(error.description)
        }
        do { try world.checks.order.check() } catch { throw world.failure("\(error)") }
        var audit = FinalAudit(
            gateway.clients, liarsAccounts: world.options.hasByzantineHosts ? gateway.liars.client.accounts : [])
        for i in hosts.correct {
            guard let core = hosts.all[i].core else { throw world.failure("host \(i) is down at the end") }
            do { try audit.check(core, host: i) } catch { throw world.failure("\(error)") }
        }
        let fingerprint: Digest
        do { fingerprint = try audit.finish() } catch { throw world.failure("\(error)") }
        if world.options.profile == .calm, !world.checks.views.isEmpty {
            throw world.failure("a primary was replaced although nothing was wrong")
        }
        return summary(fingerprint: fingerprint)
    }

    private func summary(fingerprint: Digest) -> Summary {
        let (books, reads) = (gateway.clients.books, gateway.clients.reads)
        let (checks, byzantine) = (world.checks, hosts.byzantine)
        return Summary(
            seed: world.options.seed, steps: steps, simulatedNanoseconds: world.now, committed: books.committed,
            aborted: books.aborted, committedCalls: books.committedCalls, abortedCalls: books.abortedCalls,
            viewChanges: checks.views.count, restarts: checks.counts.restarts,
            stateTransfers: checks.counts.stateTransfers, checkpoints: checks.counts.checkpoints,
            flushes: checks.counts.flushes, compactions: checks.counts.compactions,
            storageFailures: checks.counts.storageFailures, quorumReads: reads.answered, orderedReads: reads.ordered,
            byzantineHosts: byzantine.members.count, byzantineEffects: byzantine.effects,
            followers: checks.order.followers, outOfOrder: checks.order.refusals,
            freezes: checks.order.freezes, refusedAsFrozen: books.refusedAsFrozen,
            replacedSlowPrimaries: byzantine.slowViews.count { checks.hasLeft($0.view, of: $0.shard) },
            nanosecondsToRest: world.rest.began.map { world.rest.lastActivity - $0 } ?? 0, fingerprint: fingerprint)
    }
}
