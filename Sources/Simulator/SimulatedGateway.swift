import Randomness
import Cores
import Messages

/// The gateway of a run with its clients, and those that lie beside it.
struct SimulatedGateway {
    private var core: GatewayCore
    var clients: ClientModel
    private(set) var liars: LiarsBesideTheGateway
    private var clientChance: SplitMix64
    private var forgers: ForgingClients
    /// Signatures that the core wants to know about; some only at the next tick.
    private var checks: [GatewayCheck] = []
    private var checkChance: SplitMix64

    init(_ options: SimulationOptions, manifest: Manifest, issuer: StandInSigner) {
        core = GatewayCore(manifest: manifest, options: options.gateway, seed: options.seed)
        forgers = ForgingClients(options)
        checkChance = ChanceStream.checks.generator(seed: options.seed)
        liars = LiarsBesideTheGateway(manifest: manifest, options: options)
        clients = ClientModel(
            manifest: manifest, issuer: issuer, options: options,
            others: options.hasByzantineHosts ? liars.client.accounts : [])
        clientChance = ChanceStream.clients.generator(seed: options.seed)
    }

    /// It has forgotten everything.
    mutating func restart(_ world: World) {
        core = GatewayCore(
            manifest: world.manifest, options: world.options.gateway, seed: world.options.seed &+ world.session.number)
        checks = []
    }

    /// - Parameter clocks: what shards say of their time.
    mutating func tick(_ clocks: [ShardClock], _ world: inout World) throws {
        try step(.tick, &world)
        try carryOutChecks(&world)
        if clients.isSetUp { liars.tick(&world) }
        clients.clocks = clocks
        for client in clients.pending.indices {
            // Several at once only where clients pipeline.
            while let request = clients.next(client: client, now: world.instant, using: &clientChance) {
                // Sessions tell clients apart.
                if world.options.keepsLog { world.note("client \(client) submits \(request.digest.short)") }
                liars.coordinator.heard(request)
                try step(.submitted(clients.session(of: client), id: request.request.number.number, request), &world)
            }
        }
        if let (client, message) = forgers.next(clients, isHealed: world.isHealed),
            case .submit(let id, let request) = message
        {
            if world.options.keepsLog { world.note("client \(client) forges \(request.digest.short)") }
            try step(.submitted(clients.session(of: client), id: id, request), &world)
        }
        try readTick(&world)
    }

    /// The hosts that the gateway has connections to when a run begins.
    mutating func connect(_ world: inout World) {
        var ready = GatewayReady()
        for i in world.network.hosts {
            core.step(.hostConnected(HostID(UInt16(i))), now: world.instant, into: &ready)
        }
    }

    /// What a host says to the gateway.
    mutating func deliver(_ reply: HostReply, from: Int, _ world: inout World) throws {
        let verified: Verified<HostReply>
        do { verified = try world.wire.open(reply, from: from) } catch { throw world.failure(error.description) }
        if case .attestation(let attestation) = verified.value { liars.coordinator.heard(attestation) }
        try step(.host(HostID(UInt16(from)), verified), &world)
    }

    mutating func step(_ input: GatewayInput, _ world: inout World) throws {
        var ready = GatewayReady()
        core.step(input, now: world.instant, into: &ready)
        if let forged = forgers.note(ready.toHosts) {
            throw world.failure("the gateway sends again what nobody has signed: \(forged.digest.short)")
        }
        if !ready.toHosts.isEmpty { world.rest.note("gateway", now: world.now) }
        for outgoing in ready.toHosts {
            let box = Box(outgoing.message)
            for to in outgoing.to {
                let to = Int(to.number)
                let time = world.arrival(from: world.gatewayEndpoint, to: to, isRead: outgoing.message.isRead)
                if let time { world.events.insert(.fromGateway(to: to, box, session: world.session), at: time) }
            }
        }
        var finished: [(client: Int, request: SignedRequest)] = []
        for (session, reply) in ready.toClients {
            guard let client = clients.client(of: session) else { continue }
            switch reply {
            case .receipt(let id, _, _, _) where id >= ForgingClients.firstID: break
            case .receipt(_, let receipt, _, _):
                try take(receipt, client: client, &world)
                finished.append((client, receipt.request))
            case .rejected(let id, let reason, _):
                if world.options.keepsLog { world.note("client \(client) rejected: \(reason)") }
                clients.rejected(client: client, number: id)
            case .read(let id, let answers): try take(answers, id: id, client: client, &world)
            case .account, .status, .stamps: break
            }
        }
        for (client, request) in finished { try maybeRead(client, after: request, &world) }
        checks += ready.checks
        if !ready.checks.isEmpty, checkChance.chance(perMille: 500) { try carryOutChecks(&world) }
    }

    /// As the verifiers do, a little later.
    private mutating func carryOutChecks(_ world: inout World) throws {
        let due = checks
        checks = []
        for check in due {
            // Now and then there is no room.
            guard !checkChance.chance(perMille: 10) else { try step(.checkDropped(check), &world); continue }
            try step(.checked(check, try? world.wire.verifier.verify(check.request)), &world)
        }
    }

    private mutating func take(_ receipt: Receipt, client: Int, _ world: inout World) throws {
        guard (try? world.wire.verifier.verify(receipt)) != nil else {
            throw world.failure("client \(client) got a receipt that does not verify")
        }
        if world.options.keepsLog { world.note("client \(client) has \(receipt.request.digest.short)") }
        do { try world.checks.observe(receipt) } catch { throw world.failure("client \(client): \(error)") }
        if let problem = clients.receive(receipt, client: client, now: world.now) { throw world.failure(problem) }
    }
}
