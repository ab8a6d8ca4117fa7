import Messages
import Workload

/// A load, whatever its source.
protocol LoadDriver: AnyObject {
    func tick(now: Instant)
    func pump(now: Instant)
    func receive(id: UInt64, _ reply: GatewayReply, now: Instant)
    func takeOutbox() -> [Issued]
    /// Signatures that its clients have checked since the last time, and made.
    func takeSignatures() -> (checked: Int, made: Int)
    /// When the next request of an open loop is to be begun.
    var nextDue: UInt64? { get }
    func isDone(now: Instant) -> Bool
}

final class NoLoad: LoadDriver {
    func tick(now: Instant) {}
    func pump(now: Instant) {}
    func receive(id: UInt64, _ reply: GatewayReply, now: Instant) {}
    func takeOutbox() -> [Issued] { [] }
    func takeSignatures() -> (checked: Int, made: Int) { (0, 0) }
    var nextDue: UInt64? { nil }
    func isDone(now: Instant) -> Bool { true }
}

/// The bench's own engine over simulated channels.
final class EngineLoad<Source: WorkSource>: LoadDriver {
    private(set) var engine: RequestEngine<Source>
    private let scheme = CountedScheme()
    private var made = 0

    init(
        _ source: Source, signers: [CountedSigner], manifest: Manifest,
        configuration: RequestEngine<Source>.Configuration, firstNumber: UInt64 = 1
    ) {
        engine = RequestEngine(
            source: source, signers: signers, manifest: manifest,
            checker: Verifier(manifest: manifest, scheme: scheme), configuration: configuration,
            firstNumber: firstNumber)
    }

    func tick(now: Instant) { engine.tick(now: now) }
    func pump(now: Instant) { engine.pump(now: now) }
    func receive(id: UInt64, _ reply: GatewayReply, now: Instant) { engine.receive(id: id, reply, now: now) }

    func takeOutbox() -> [Issued] {
        let outbox = engine.takeOutbox()
        made += outbox.count
        return outbox.map { Issued(id: $0.id, channel: $0.channel, request: $0.request) }
    }

    func takeSignatures() -> (checked: Int, made: Int) {
        defer { made = 0 }
        return (scheme.take(), made)
    }

    var nextDue: UInt64? { engine.nextDue }
    func isDone(now: Instant) -> Bool { engine.isDone(now: now) }
}

/// Clients that share one gateway: a thread that signs, sends, and checks receipts.
final class ForecastChannel {
    let number: Int
    let place: Int
    let thread: Int

    init(_ number: Int, in world: ForecastWorld, machine: Int, thread: Int?) {
        self.number = number
        place = world.addPlace(machine: machine, region: world.network.regionOfClients)
        self.thread = thread ?? world.addThread(.load(number), on: machine, limit: 64)
    }

    func run(_ jobs: [Job], _ turn: inout ForecastWorld.Turn, in world: ForecastWorld) {
        let costs = world.costs
        for job in jobs {
            switch job {
            case .issue(let all): for issued in all { send(issued, &turn, world) }
            case .answer(let id, let note):
                if turn.touches(world.gateways[number].place) { turn.cost += costs.machine.read_ns }
                turn.cost += costs.frame(bytes: note.bytes) + costs.decode(note.kind, bytes: note.bytes)
                receive(id, note.value, &turn, world)
            default: break
            }
        }
    }

    private func receive(
        _ id: UInt64, _ reply: GatewayReply, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld
    ) {
        var certificates = 0
        if case .receipt(_, let receipt, _, _) = reply { certificates = receipt.certificates.count }
        let begin = world.meter?.begin()
        world.load.receive(id: id, reply, now: turn.now)
        let outbox = world.load.takeOutbox()
        if let begin {
            world.meter?.end(
                begin, [.init(kind: .receipt, units: certificates), .init(kind: .begin, times: outbox.count)])
        }
        turn.cost += world.costs.step(.receipt, certificates)
        turn.cost += Double(world.load.takeSignatures().checked) * world.costs.model.verify_ns
        world.scheduleDue()
        for issued in outbox {
            let other = world.channels[issued.channel]
            if other.thread == thread {
                send(issued, &turn, world)
            } else {
                turn.post(.issue([issued]), to: other.thread)
            }
        }
    }

    private func send(_ issued: Issued, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let (costs, note) = (world.costs, FrameSize.note(issued.request))
        let (gateway, channel) = (world.gateways[issued.channel], world.channels[issued.channel])
        turn.cost += costs.step(.begin, 0) + costs.model.sign_ns + costs.encode(note.kind, bytes: note.bytes)
        if turn.touches(-1 - gateway.place) { turn.cost += costs.machine.write_ns }
        turn.cost += costs.frame(bytes: note.bytes)
        turn.effects.append(
            .send(
                from: channel.place, to: gateway.place, thread: gateway.io, .submit(issued, note), bytes: note.bytes))
    }
}
