import Cores
import HostRuntime
import Messages

/// A gateway's threads: its core shares the one of its sockets.
enum GatewayThread { case io, verifier }

/// One gateway: the core's own code, and what `GatewayEngine` and `GatewayInbound` do around it. Confined to its world's
/// thread. Its one client is a channel of the load.
final class ForecastGateway {
    let number: Int
    let place: Int
    private(set) var io = 0
    private var verifierThread = 0
    private var core: GatewayCore
    private let scheme = CountedScheme()
    private var verifier: Verifier<CountedScheme>
    private var filter: ReplyFilter
    private var ready = GatewayReady()
    private(set) var tally = Tally()
    private static let client = SessionID(1)

    init(_ number: Int, in world: ForecastWorld, machine: Int, options: GatewayOptions, seed: UInt64) {
        self.number = number
        place = world.addPlace(machine: machine, region: world.network.region(ofGateway: number))
        core = GatewayCore(
            manifest: world.manifest, options: options, seed: seed &+ UInt64(number) &* 0x9E37_79B9)
        verifier = Verifier(manifest: world.manifest, scheme: scheme)
        filter = ReplyFilter(manifest: world.manifest)
        io = world.addThread(.gateway(number, .io), on: machine, limit: 256)
        verifierThread = world.addThread(.gateway(number, .verifier), on: machine, limit: 16, urgentLimit: 64)
    }

    var allThreads: [Int] { [io, verifierThread] }

    func run(_ role: GatewayThread, _ jobs: [Job], _ turn: inout ForecastWorld.Turn, in world: ForecastWorld) {
        switch role {
        case .io:
            for job in jobs { take(job, &turn, world) }
            carryOut(&turn, world)
        case .verifier: for job in jobs { check(job, &turn, world) }
        }
    }

    private func take(_ job: Job, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let costs = world.costs
        switch job {
        case .submit(let issued, let note):
            if turn.touches(world.channels[issued.channel].place) { turn.cost += costs.machine.read_ns }
            turn.cost += costs.frame(bytes: note.bytes) + costs.decode(note.kind, bytes: note.bytes)
            step(.submitted(Self.client, id: issued.id, issued.request), &turn, world)
        case .hostFrame(let from, let note):
            if turn.touches(world.hosts[from].place) { turn.cost += costs.machine.read_ns }
            turn.cost += costs.frame(bytes: note.bytes) + costs.decode(note.kind, bytes: note.bytes)
            turn.post(.checkReply(from: from, note), to: verifierThread, isUrgent: true)
        case .gatewayInput(let input): step(input, &turn, world)
        default: break
        }
    }

    private func step(_ input: GatewayInput, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let begin = world.meter?.begin()
        core.step(input, now: turn.now, into: &ready)
        let (kind, units) = StepKind.of(input)
        if let begin { world.meter?.end(begin, [.init(kind: kind, units: units)]) }
        turn.cost += world.costs.step(kind, units)
    }

    private func check(_ job: Job, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        switch job {
        case .checkReply(let from, let note):
            let begin = world.meter?.begin()
            var leaves = 0
            var verified: Verified<HostReply>?
            if case .attestation(let attestation) = note.value {
                let (isNeeded, key) = filter.admits(attestation, now: turn.now.uptime)
                if isNeeded {
                    leaves = attestation.leaves.count
                    verified = try? verifier.verify(note.value)
                    if verified != nil { filter.verified(attestation, key: key) }
                }
            } else {
                verified = try? verifier.verify(note.value)
            }
            if let begin { world.meter?.end(begin, [.init(kind: .checkReply, units: leaves)]) }
            turn.cost += world.costs.step(.checkReply, leaves)
            turn.cost += Double(scheme.take()) * world.costs.model.verify_ns
            if let verified { turn.post(.gatewayInput(.host(HostID(UInt16(from)), verified)), to: io) }
        case .checkRequest(let check):
            let verified = try? verifier.verify(check.request)
            turn.cost += world.costs.step(.checkSubmission, 1)
            turn.cost += Double(scheme.take()) * world.costs.model.verify_ns
            turn.post(.gatewayInput(.checked(check, verified)), to: io)
        default: break
        }
    }

    private func carryOut(_ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let costs = world.costs
        for outgoing in ready.toHosts {
            let note = FrameSize.note(outgoing.message)
            world.meter?.note(note)
            turn.cost += costs.encode(note.kind, bytes: note.bytes)
            tally.sent(note.kind, copies: outgoing.to.count, bytes: note.bytes)
            for to in outgoing.to {
                let host = world.hosts[Int(to.number)]
                if turn.touches(-1 - host.place) { turn.cost += costs.machine.write_ns }
                turn.cost += costs.frame(bytes: note.bytes)
                turn.effects.append(
                    .send(
                        from: place, to: host.place, thread: host.sockets, .gatewayFrame(from: number, note),
                        bytes: note.bytes))
            }
        }
        for (_, reply) in ready.toClients {
            let note = FrameSize.note(reply)
            world.meter?.note(note)
            turn.cost += costs.encode(note.kind, bytes: note.bytes)
            tally.sent(note.kind, copies: 1, bytes: note.bytes)
            let channel = world.channels[number]
            if turn.touches(-1 - channel.place) { turn.cost += costs.machine.write_ns }
            turn.cost += costs.frame(bytes: note.bytes)
            turn.effects.append(
                .send(
                    from: place, to: channel.place, thread: channel.thread, .answer(id: reply.id, note),
                    bytes: note.bytes))
        }
        for check in ready.checks { turn.post(.checkRequest(check), to: verifierThread) }
        ready.removeAll()
    }
}

extension GatewayReply {
    var id: UInt64 {
        switch self {
        case .receipt(let id, _, _, _), .rejected(let id, _, _), .account(let id, _, _), .status(let id, _),
            .read(let id, _), .stamps(let id, _):
            id
        }
    }
}
