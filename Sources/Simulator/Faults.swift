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

extension Simulation {
    /// What may go wrong in this run, with weights.
    private var possibleFaults: [(fault: Fault, weight: Int)] {
        var faults: [(Fault, Int)] = []
        if options.hasCrashes { faults += [(.crash, 36), (.crashOfAll, 4), (.diskFails, 3)] }
        if options.profile == .beyond { faults += [(.crashOfMany, 30)] }
        if options.hasPartitions { faults += [(.partition, 30)] }
        if options.isLossy { faults += [(.slowLinks, 12)] }
        if options.profile != .calm { faults += [(.clientLeaves, 6), (.gatewayReconnects, 4)] }
        if options.hasCrashes, options.allowsLostRecords { faults += [(.rot, 2), (.wipe, 2)] }
        return faults
    }

    /// Something that went wrong on purpose. Numbers count from 0; what fault k is depends on the seed and k alone, so
    /// that leaving one out (`SimulationOptions.suppressed`) leaves the others what they were.
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

    /// Remembers what was done, for the account of a failure.
    private mutating func record(_ what: String) {
        faults.append(InjectedFault(number: faultCount - 1, time: now, what: what))
        if options.keepsLog { note("fault \(faultCount - 1): \(what)") }
    }

    mutating func injectFault() throws {
        guard !isHealed else { return }
        let number = faultCount
        faultCount += 1
        faultChance = ChanceStream.faults.generator(seed: options.seed, number: number)
        events.insert(.fault, at: now + 50_000_000 + faultChance.below(UInt64(550_000_000)))
        guard options.allows(fault: number) else { return }
        let possible = possibleFaults
        var left = faultChance.below(possible.reduce(1) { $0 + $1.weight })
        for (fault, weight) in possible {
            if left < weight { return try inject(fault) }
            left -= weight
        }
    }

    mutating func inject(_ fault: Fault) throws {
        let host = faultChance.below(hosts.count)
        switch fault {
        case .crash:
            let losesPower = faultChance.chance(perMille: 700)
            guard hosts[host].isUp else { return }
            record("host \(host) \(losesPower ? "loses power" : "is killed")")
            try stop(host, losesPower: losesPower)
        case .crashOfAll:
            record("all hosts lose power")
            for i in hosts.indices { try stop(i, losesPower: true) }
        case .crashOfMany:
            var others = Array(cut.indices)
            var hit: [Int] = []
            for _ in 0...f + faultChance.below(cut.count - f) {
                hit.append(others.remove(at: faultChance.below(others.count)))
            }
            record("hosts \(hit.sorted().map(String.init).joined(separator: " ")) lose power")
            for i in hit { try stop(i, losesPower: true) }
        case .partition: cutLinks()
        case .slowLinks:
            network.slowDown(now: now, using: &faultChance)
            record("links become slow")
        case .clientLeaves:
            let client = faultChance.below(clients.pending.count)
            let ended = clients.leave(client, until: now + 50_000_000 + faultChance.below(UInt64(1_000_000_000)))
            record("client \(client) leaves")
            try gatewayStep(.clientClosed(ended))
        case .gatewayReconnects: try reconnectGateway()
        case .diskFails:
            let kind = SimulatedDisk.Failure.allCases[faultChance.below(SimulatedDisk.Failure.allCases.count)]
            hosts[host].disk.fail(kind)
            record("the disk of host \(host) will fail: \(kind)")
        case .rot, .wipe:
            guard hosts[host].isUp, mayDamage(host) else { return }
            try stop(host, losesPower: false)
            if fault == .rot { hosts[host].disk.rot(using: &faultChance) } else { hosts[host].disk.wipe() }
            record("the disk of host \(host) suffers \(fault)")
        }
    }

    /// Hosts whose disk forgets are faulty: with those that lie, which may forget too, at most f of one run.
    private mutating func mayDamage(_ host: Int) -> Bool {
        if damaged.contains(host) || byzantine.isByzantine(host) { return true }
        guard damaged.count + byzantine.members.count < f else { return false }
        damaged.append(host)
        return true
    }

    mutating func losePower(_ i: Int) throws { try stop(i, losesPower: true) }

    /// - Parameter losesPower: otherwise the process dies, and what it wrote is kept.
    mutating func stop(_ i: Int, losesPower: Bool) throws {
        guard hosts[i].isUp else { return }
        hosts[i].core = nil
        hosts[i].isUp = false
        hosts[i].life += 1
        hosts[i].disk.stop(losesPower: losesPower, using: &faultChance)
        checks.crashed(host: i)
        if options.keepsLog { note("host \(i) \(losesPower ? "loses power" : "is killed")") }
        for peer in hosts.indices where hosts[peer].isUp { try step(peer, .peerDisconnected(hostID(i))) }
        events.insert(.restart(host: i), at: now + 10_000_000 + faultChance.below(UInt64(1_200_000_000)))
    }

    /// Says what the disk said. The host is started again later, with what is durable.
    mutating func storageFailed(_ i: Int, _ what: String) throws {
        guard !hosts[i].hasFailedStorage else { return }
        hosts[i].hasFailedStorage = true
        if options.keepsLog { note("host \(i): storage failed: \(what)") }
        checks.storageFailed()
        try step(i, .storageFailed(what))
        events.insert(.replaced(host: i, life: hosts[i].life), at: now + 100_000_000 + rng.below(UInt64(1_000_000_000)))
    }

    private mutating func reconnectGateway() throws {
        for i in hosts.indices where hosts[i].isUp { try step(i, .gatewayClosed(session)) }
        session = SessionID(session.number + 1)
        if faultChance.chance(perMille: 500) {
            gateway = GatewayCore(manifest: manifest, options: .init(), seed: options.seed &+ session.number)
        } else {
            for i in cut.indices { try gatewayStep(.hostDisconnected(HostID(UInt16(i)))) }
        }
        record("gateway session \(session.number)")
        for i in cut.indices { try gatewayStep(.hostConnected(HostID(UInt16(i)))) }
    }

    private mutating func cutLinks() {
        for from in cut.indices { for to in cut.indices { cut[from][to] = false } }
        switch faultChance.below(6) {
        case 0, 1:
            record("links are whole")
        case 2:
            // One host is cut off, perhaps in one direction only.
            let host = faultChance.below(cut.count)
            let (out, back) = (!faultChance.chance(perMille: 250), !faultChance.chance(perMille: 250))
            for peer in cut.indices where peer != host {
                cut[host][peer] = out
                cut[peer][host] = back
            }
            record("host \(host) is cut off (out \(out), in \(back))")
        case 3:
            // Single directions of single links.
            for from in cut.indices {
                for to in cut.indices where from != to { cut[from][to] = faultChance.chance(perMille: 250) }
            }
            record(
                "links are cut: "
                    + cut.indices.flatMap { from in
                        cut.indices.filter { cut[from][$0] }.map { "\(from)>\($0)" }
                    }.joined(separator: " "))
        default:
            let side = cut.indices.map { _ in faultChance.chance(perMille: 500) }
            for from in cut.indices { for to in cut.indices { cut[from][to] = side[from] != side[to] } }
            record(
                "network is cut: "
                    + [false, true].map { group in
                        side.indices.filter { side[$0] == group }.map(String.init).joined(separator: " ")
                    }.joined(separator: " | "))
        }
    }

    mutating func heal() throws {
        guard !isHealed else { return }
        if options.keepsLog { note("healed") }
        isHealed = true
        noteHealedClocks()
        for from in cut.indices { for to in cut.indices { cut[from][to] = false } }
        for i in hosts.indices {
            hosts[i].disk.heal()
            if !hosts[i].isUp { try start(i) }
        }
    }
}
