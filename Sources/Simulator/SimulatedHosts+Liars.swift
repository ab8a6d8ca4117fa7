import Cores
import Messages

/// A Byzantine host runs the production code; its outputs are bent on the way out. It is held to nothing.
extension SimulatedHosts {
    mutating func stepByzantine(_ i: Int, _ m: Int, _ input: HostInput, _ world: inout World) throws {
        // At rest liars are mute: the others must come to rest without them, and answer nobody who goes on lying.
        guard all[i].isUp, !world.rest.isWatching else { return }
        if case .peer(_, let message) = input { byzantine.overhear(message.value, by: m) }
        if !byzantine.members[m].does(.mute), let lie = falseRead(input, core: i, by: m, &world) {
            return answer(lie, from: i, &world)
        }
        var ready = HostReady()
        let moment = all[i].clock.instant(at: world.now)
        all[i].core?.step(input, now: moment, into: &ready)
        // A host that stopped is only mute.
        if !ready.halts.isEmpty, !all[i].hasFailedStorage {
            all[i].core = nil
            return
        }
        all[i].disk.append(ready.records.map { $0.encoded() }, compacts: ready.compacts)
        startSync(i, &world)
        byzantine.changeMind(m, now: world.now)
        for outgoing in ready.toHosts {
            for to in outgoing.to { say(outgoing.message, by: m, core: i, to: Int(to.number), &world) }
        }
        for reply in ready.toGateways where reply.to.contains(world.session) {
            for distorted in byzantine.distort(reply.reply, by: m) { answer(distorted, from: i, &world) }
        }
        for check in ready.checks { insert(check, of: i, &world) }
        for bucket in ready.stages { insert(bucket, of: i, &world) }
        for flush in ready.flushes { insert(flush, of: i, &world) }
        if case .tick = input {
            // The twin would only repeat it.
            guard i == byzantine.members[m].identity else { return }
            for (to, distorted) in byzantine.invent(by: m, status: all[i].core?.status() ?? []) {
                post(distorted, from: i, to: to, &world)
            }
        }
    }

    private mutating func answer(_ distorted: DistortedReply, from i: Int, _ world: inout World) {
        let from = byzantine.identity(i)
        guard let time = world.arrival(from: from, to: world.gatewayEndpoint, isRead: distorted.reply.isRead) else {
            return
        }
        world.events.insert(.byzantineReply(from: i, Box(distorted), session: world.session), at: time)
    }

    private mutating func say(_ message: HostMessage, by m: Int, core i: Int, to: Int, _ world: inout World) {
        guard byzantine.isHeard(i, by: to) else { return }
        byzantine.members[m].remember(message)
        for distorted in byzantine.distort(message, by: m, to: to) {
            var distorted = distorted
            if distorted.act == nil, i != byzantine.members[m].identity { distorted.act = .twins }
            post(distorted, from: i, to: to, &world)
        }
    }

    private mutating func post(_ distorted: Distorted, from i: Int, to: Int, _ world: inout World) {
        let from = byzantine.identity(i)
        guard !world.network.isCut(from: from, to: to) else { return }
        for core in byzantine.cores(of: to, from: i) where core != i {
            let (first, again) = world.arrivals(from: from, to: to)
            let box = Box(distorted)
            for time in [first, again] {
                if let time {
                    world.events.insert(
                        .byzantine(to: core, from: HostID(UInt16(from)), box), at: time + distorted.delay)
                }
            }
        }
    }

    mutating func deliver(_ distorted: Distorted, from: HostID, to: Int, _ world: inout World) throws {
        guard all[to].isUp, let input = world.wire.open(distorted, from: from, at: hostID(to)) else { return }
        if let act = distorted.act, !byzantine.isByzantine(to) { byzantine.effects.count(act) }
        if world.options.keepsLog {
            let act = distorted.act.map { " [\($0)]" } ?? ""
            world.note("\(from)! -> \(to) \(distorted.message.brief)\(act)")
        }
        try step(to, input, &world)
    }

    // MARK: Reads

    /// What a Byzantine host says of an account instead of the truth: mostly what the correct host that is furthest
    /// behind still believes, which is the lie that others may confirm.
    private mutating func falseRead(
        _ input: HostInput, core i: Int, by m: Int, _ world: inout World
    ) -> DistortedReply? {
        guard case .gateway(_, let message) = input,
            case .read(let id, .account(let account), let nonce) = message.value
        else { return nil }
        let shard = world.manifest.shardMap.shard(of: account)
        guard let replica = world.manifest.replica(of: shard, on: hostID(i)), world.readRng.chance(perMille: 800) else {
            return nil
        }
        var furthest: (sequence: SequenceNumber, view: AccountView?)?
        for host in correct {
            guard let sequence = all[host].core?.progress().first(where: { $0.shard == shard })?.sequence else {
                continue
            }
            if furthest.map({ sequence < $0.sequence }) ?? true {
                furthest = (sequence, all[host].core?.view(of: account))
            }
        }
        guard var view = furthest?.view else { return nil }
        var answered = (nonce: nonce, replica: replica)
        switch world.readRng.below(10) {
        case 0: view = Self.bent(view, posted: view.posted.number + 1)
        case 1: answered.nonce = world.readRng.digest()
        case 2: answered.replica = ReplicaIndex(UInt8(world.readRng.below(world.options.replicas)))
        default: view = Self.bent(view, posted: view.posted.number)
        }
        let statement = ReadStatement(
            cluster: world.manifest.cluster, epoch: world.manifest.epoch, shard: shard, nonce: answered.nonce,
            account: account, view: view)
        // Any times: nothing that has to be equal.
        let (time, clock) = (Timestamp(world.readRng.next()), Timestamp(world.readRng.next()))
        let signature = ReplicaSignature(
            replica: answered.replica,
            signature: byzantine.members[m].signer.sign(ReadAnswer.signingBytes(statement, time: time, clock: clock)))
        let answer = ReadAnswer(statement: statement, time: time, clock: clock, signature: signature)
        return DistortedReply(reply: .read(id: id, answer), act: .falseRead)
    }

    private static func bent(_ view: AccountView, posted: UInt128) -> AccountView {
        AccountView(
            owner: view.owner, asset: view.asset, posted: Amount(posted), pendingDebits: .zero, pendingCredits: .zero)
    }
}
