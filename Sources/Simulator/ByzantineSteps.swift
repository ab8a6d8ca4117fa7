import Cores
import Messages

/// What a Byzantine host sends instead of what its core asked for.
struct Distorted {
    var message: HostMessage
    var delay: UInt64 = 0
    /// Nil while the message is what the core said.
    var act: ByzantineAct?
}

struct DistortedReply {
    var reply: HostReply
    var act: ByzantineAct?
}

/// A Byzantine host runs the production code; its outputs are bent on the way out. It is held to nothing.
extension Simulation {
    func hostID(_ index: Int) -> HostID { HostID(UInt16(byzantine.identity(index))) }

    mutating func stepByzantine(_ i: Int, _ m: Int, _ input: HostInput) throws {
        // At rest liars are mute: the others must come to rest without them, and answer nobody who goes on lying.
        guard hosts[i].isUp, !rest.isWatching else { return }
        if case .peer(_, let message) = input { byzantine.overhear(message.value, by: m) }
        if !byzantine.members[m].does(.mute), let lie = falseRead(input, core: i, by: m) {
            if let time = arrival(from: byzantine.identity(i), to: gatewayEndpoint, isRead: true) {
                events.insert(.byzantineReply(from: i, Box(lie), session: session), at: time)
            }
            return
        }
        var ready = HostReady()
        let moment = instant(i)
        hosts[i].core?.step(input, now: moment, into: &ready)
        // A host that stopped is only mute.
        if !ready.halts.isEmpty, !hosts[i].hasFailedStorage {
            (hosts[i].core, hosts[i].isUp) = (nil, false)
            return
        }
        hosts[i].disk.append(ready.records.map { $0.encoded() }, compacts: ready.compacts)
        startSync(i)
        byzantine.changeMind(m, now: now)
        for outgoing in ready.toHosts {
            for to in outgoing.to { say(outgoing.message, by: m, core: i, to: Int(to.number)) }
        }
        for reply in ready.toGateways where reply.to.contains(session) {
            for distorted in byzantine.distort(reply.reply, by: m) {
                guard let time = arrival(from: byzantine.identity(i), to: gatewayEndpoint, isRead: reply.reply.isRead)
                else { continue }
                events.insert(.byzantineReply(from: i, Box(distorted), session: session), at: time)
            }
        }
        for bucket in ready.stages { insert(bucket, of: i) }
        for flush in ready.flushes { insert(flush, of: i) }
        if case .tick = input {
            // The twin would only repeat it.
            guard i == byzantine.members[m].identity else { return }
            for (to, distorted) in byzantine.invent(by: m, status: hosts[i].core?.status() ?? []) {
                post(distorted, from: i, to: to)
            }
        }
    }

    private mutating func say(_ message: HostMessage, by m: Int, core i: Int, to: Int) {
        guard byzantine.isHeard(i, by: to) else { return }
        byzantine.members[m].remember(message)
        for distorted in byzantine.distort(message, by: m, to: to) {
            var distorted = distorted
            if distorted.act == nil, i != byzantine.members[m].identity { distorted.act = .twins }
            post(distorted, from: i, to: to)
        }
    }

    private mutating func post(_ distorted: Distorted, from i: Int, to: Int) {
        let from = byzantine.identity(i)
        guard !cut[from][to] else { return }
        for core in byzantine.cores(of: to, from: i) where core != i {
            let (first, again) = network.arrivals(from: from, to: to, now: now, isHealed: isCalm, using: &rng)
            let box = Box(distorted)
            for time in [first, again] {
                if let time {
                    events.insert(.byzantine(to: core, from: HostID(UInt16(from)), box), at: time + distorted.delay)
                }
            }
        }
    }

    mutating func deliver(_ distorted: Distorted, from: HostID, to: Int) throws {
        guard hosts[to].isUp else { return }
        // What cannot be read or is refused is dropped, as the transport does.
        guard let decoded = try? HostMessage(decoding: distorted.message.encoded()),
            let verified = try? verifier.verify(decoded)
        else { return }
        if let act = distorted.act, !byzantine.isByzantine(to) { byzantine.effects.count(act) }
        if options.keepsLog {
            let act = distorted.act.map { " [\($0)]" } ?? ""
            note("\(from)! -> \(to) \(Self.describe(distorted.message))\(act)")
        }
        try step(to, .peer(from, verified))
    }

    mutating func deliver(_ distorted: DistortedReply, from i: Int) throws {
        guard let decoded = try? HostReply(decoding: distorted.reply.encoded()),
            let verified = try? verifier.verify(decoded)
        else { return }
        if let act = distorted.act { byzantine.effects.count(act) }
        try gatewayStep(.host(hostID(i), verified))
    }
}
