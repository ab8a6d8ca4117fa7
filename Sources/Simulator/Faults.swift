import HostCore
import Messages

/// What goes wrong, by the seed.
extension Simulation {
    mutating func injectFault() throws {
        guard !isHealed else { return }
        events.insert(.fault, at: now + 100_000_000 + rng.below(UInt64(2_000_000_000)))
        let crash = options.hasCrashes && (!options.hasPartitions || rng.chance(perMille: 500))
        if crash {
            if rng.chance(perMille: 100) {
                // The power goes for all.
                for i in hosts.indices where hosts[i].core != nil { try losePower(i) }
            } else {
                try losePower(rng.below(hosts.count))
            }
        } else if options.hasPartitions {
            cutLinks()
        }
    }

    mutating func losePower(_ i: Int) throws {
        guard hosts[i].core != nil else { return }
        hosts[i].core = nil
        hosts[i].life += 1
        hosts[i].disk.losePower(using: &rng)
        checks.crashed(host: i)
        if options.keepsLog { note("host \(i) loses power") }
        for peer in hosts.indices where hosts[peer].core != nil { try step(peer, .peerDisconnected(HostID(UInt16(i)))) }
        events.insert(.restart(host: i), at: now + 10_000_000 + rng.below(UInt64(4_000_000_000)))
    }

    private mutating func cutLinks() {
        for from in hosts.indices { for to in hosts.indices { cut[from][to] = false } }
        switch rng.below(4) {
        case 0:
            if options.keepsLog { note("links are whole") }
        case 1:
            // One host is cut off, perhaps in one direction only.
            let host = rng.below(hosts.count)
            let (out, back) = (!rng.chance(perMille: 250), !rng.chance(perMille: 250))
            for peer in hosts.indices where peer != host {
                cut[host][peer] = out
                cut[peer][host] = back
            }
            if options.keepsLog { note("host \(host) is cut off (out \(out), in \(back))") }
        default:
            let side = hosts.indices.map { _ in rng.chance(perMille: 500) }
            for from in hosts.indices { for to in hosts.indices { cut[from][to] = side[from] != side[to] } }
            if options.keepsLog { note("partition \(side)") }
        }
    }

    mutating func heal() throws {
        guard !isHealed else { return }
        if options.keepsLog { note("healed") }
        isHealed = true
        for from in hosts.indices { for to in hosts.indices { cut[from][to] = false } }
        for i in hosts.indices where hosts[i].core == nil { try start(i) }
    }
}
