import Randomness
import Cores
import Messages

/// The gateway of a run with its clients, and those that lie beside it.
struct SimulatedGateway {
    private var core: GatewayCore
    var clients: ClientModel
    private(set) var liars: LiarsBesideTheGateway
    private var clientChance: SplitMix64

    init(_ options: SimulationOptions, manifest: Manifest, issuer: StandInSigner) {
        core = GatewayCore(manifest: manifest, options: .init(), seed: options.seed)
        liars = LiarsBesideTheGateway(manifest: manifest, options: options)
        clients = ClientModel(
            manifest: manifest, issuer: issuer, options: options,
            others: options.hasByzantineHosts ? liars.client.accounts : [])
        clientChance = ChanceStream.clients.generator(seed: options.seed)
    }

    /// It has forgotten everything.
    mutating func restart(_ world: World) {
        core = GatewayCore(
            manifest: world.manifest, options: .init(), seed: world.options.seed &+ world.session.number)
    }

    /// - Parameter clocks: what shards say of their time.
    mutating func tick(_ clocks: [ShardClock], _ world: inout World) throws {
        try step(.tick, &world)
        if clients.isSetUp { liars.tick(&world) }
        clients.clocks = clocks
        for client in clients.pending.indices {
            // Several at once only where clients pipeline.
            while let request = clients.next(client: client, now: world.instant, using: &clientChance) {
                // Sessions tell clients apart.
                let message = ClientMessage.submit(id: request.request.number.number, request)
                guard let verified = try? world.wire.verifier.verify(message) else {
                    throw world.failure("a client's request is refused")
                }
                if world.options.keepsLog { world.note("client \(client) submits \(request.digest.short)") }
                liars.coordinator.heard(request)
                try step(.client(clients.session(of: client), verified), &world)
            }
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
