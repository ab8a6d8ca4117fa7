import Randomness
import Cores
import Messages

/// What goes wrong, by the seed.
enum Fault: Equatable {
    case crash
    case crashOfAll
    /// More than f hosts lose power at once: nothing can be decided for a while.
    case crashOfMany
    case partition
    case slowLinks
    /// A client disappears, perhaps with a request in flight, and comes back and asks again.
    case clientLeaves
    /// The gateway's sessions with the hosts end; perhaps the gateway has forgotten everything too.
    case gatewayReconnects
    /// A write, a sync or the flush of a state fails, or the disk is full: the host stops voting (R7).
    case diskFails
    /// A byte of the journal changes, and the host starts again; of at most f hosts, as everything that forgets.
    case rot
    /// A host starts again with an empty disk.
    case wipe
}

/// Something that went wrong on purpose. Numbers count from 0; what fault k is depends on the seed and k alone, so that
/// leaving one out (`SimulationOptions.suppressed`) leaves the others what they were.
public struct InjectedFault: Sendable, Equatable {
    /// By which `SimulationOptions.suppressed` leaves it out.
    public let number: Int
    /// Nanoseconds.
    public let time: UInt64
    /// In words, with the hosts or the client that it hit.
    public let what: String

    /// What was, or would be, injected under this number.
    public init(number: Int, time: UInt64, what: String) {
        (self.number, self.time, self.what) = (number, time, what)
    }
}

/// Which fault comes when, by the seed, and those that came.
struct FaultPlan {
    /// Of the fault that is being injected.
    var chance: SplitMix64
    private var count = 0
    /// Suppressed ones are not among them.
    private(set) var injected: [InjectedFault] = []
    /// What may go wrong in this run, with weights.
    private let possible: [(fault: Fault, weight: Int)]

    init(_ options: SimulationOptions) {
        chance = ChanceStream.faults.generator(seed: options.seed)
        possible = Self.possible(options)
    }

    private static func possible(_ options: SimulationOptions) -> [(fault: Fault, weight: Int)] {
        var faults: [(Fault, Int)] = []
        if options.hasCrashes { faults += [(.crash, 36), (.crashOfAll, 4), (.diskFails, 3)] }
        if options.profile == .beyond { faults += [(.crashOfMany, 30)] }
        if options.hasPartitions { faults += [(.partition, 30)] }
        if options.isLossy { faults += [(.slowLinks, 12)] }
        if options.profile != .calm { faults += [(.clientLeaves, 6), (.gatewayReconnects, 4)] }
        if options.hasCrashes, options.allowsLostRecords { faults += [(.rot, 2), (.wipe, 2)] }
        return faults
    }

    /// Draws the next one, and when another one follows.
    /// - Returns: nil if this one is suppressed.
    mutating func next(_ world: inout World) -> Fault? {
        let number = count
        count += 1
        chance = ChanceStream.faults.generator(seed: world.options.seed, number: number)
        world.events.insert(.fault, at: world.now + 50_000_000 + chance.below(UInt64(550_000_000)))
        guard world.options.allows(fault: number) else { return nil }
        var left = chance.below(possible.reduce(1) { $0 + $1.weight })
        for (fault, weight) in possible {
            if left < weight { return fault }
            left -= weight
        }
        return nil
    }

    /// Remembers what was done, for the account of a failure.
    /// - Parameter number: nil for the one that was drawn last.
    mutating func record(_ what: String, number: Int? = nil, _ world: inout World) {
        let number = number ?? count - 1
        injected.append(InjectedFault(number: number, time: world.now, what: what))
        if world.options.keepsLog { world.note("fault \(number): \(what)") }
    }
}

extension Simulation {
    mutating func injectFault() throws {
        guard !world.isHealed, let fault = plan.next(&world) else { return }
        let host = plan.chance.below(hosts.all.count)
        switch fault {
        case .crash:
            let losesPower = plan.chance.chance(perMille: 700)
            guard hosts.all[host].isUp else { return }
            plan.record("host \(host) \(losesPower ? "loses power" : "is killed")", &world)
            try stop(host, losesPower: losesPower)
        case .crashOfAll:
            plan.record("all hosts lose power", &world)
            for i in hosts.all.indices { try stop(i, losesPower: true) }
        case .crashOfMany: try crashMany()
        case .partition:
            let cut = world.network.cutLinks(using: &plan.chance)
            plan.record(cut, &world)
        case .slowLinks:
            world.network.slowDown(now: world.now, using: &plan.chance)
            plan.record("links become slow", &world)
        case .clientLeaves:
            let client = plan.chance.below(gateway.clients.pending.count)
            let until = world.now + 50_000_000 + plan.chance.below(UInt64(1_000_000_000))
            let ended = gateway.clients.leave(client, until: until)
            plan.record("client \(client) leaves", &world)
            try gateway.step(.clientClosed(ended), &world)
        case .gatewayReconnects: try reconnectGateway()
        case .diskFails:
            let kind = SimulatedDisk.Failure.allCases[plan.chance.below(SimulatedDisk.Failure.allCases.count)]
            hosts.all[host].disk.fail(kind)
            plan.record("the disk of host \(host) will fail: \(kind)", &world)
        case .rot, .wipe:
            guard hosts.all[host].isUp, hosts.mayDamage(host, f: world.f) else { return }
            try stop(host, losesPower: false)
            if fault == .rot { hosts.all[host].disk.rot(using: &plan.chance) } else { hosts.all[host].disk.wipe() }
            plan.record("the disk of host \(host) suffers \(fault)", &world)
        }
    }

    private mutating func stop(_ i: Int, losesPower: Bool) throws {
        try hosts.stop(i, losesPower: losesPower, using: &plan.chance, &world)
    }

    private mutating func crashMany() throws {
        var others = Array(world.network.hosts)
        var hit: [Int] = []
        for _ in 0...world.f + plan.chance.below(others.count - world.f) {
            hit.append(others.remove(at: plan.chance.below(others.count)))
        }
        plan.record("hosts \(hit.sorted().map(String.init).joined(separator: " ")) lose power", &world)
        for i in hit { try stop(i, losesPower: true) }
    }

    private mutating func reconnectGateway() throws {
        for i in hosts.all.indices where hosts.all[i].isUp { try hosts.step(i, .gatewayClosed(world.session), &world) }
        world.session = SessionID(world.session.number + 1)
        if plan.chance.chance(perMille: 500) {
            gateway.restart(world)
        } else {
            for i in world.network.hosts { try gateway.step(.hostDisconnected(HostID(UInt16(i))), &world) }
        }
        plan.record("gateway session \(world.session.number)", &world)
        for i in world.network.hosts { try gateway.step(.hostConnected(HostID(UInt16(i))), &world) }
    }
}
