import Randomness
import Cores
import Messages

/// All hosts of a run with their disks and clocks: carries out what their cores ask for, and holds what correct ones do
/// and say against `Checks`. What liars do instead is in `SimulatedHosts+Liars.swift`.
struct SimulatedHosts {
    /// Twins of liars come after the hosts of the manifest.
    var all: [SimulatedHost] = []
    var byzantine: ByzantineHosts
    let correct: [Int]
    /// Hosts with a bad disk, in order of time.
    private(set) var damaged: [Int] = []
    /// What a correct host refused as from the future in this event, see `ClockFaults`.
    struct FutureRefusal {
        let host: Int
        let refusal: Refusal
        /// Its shard's time before: one step may execute several batches, of which the first has the earliest time.
        let timeBefore: Timestamp
    }
    var refusedAsFuture: [FutureRefusal] = []

    /// - Parameter rng: of the network, disks and clocks.
    init(_ options: SimulationOptions, byzantine: ByzantineHosts, using rng: inout SplitMix64) {
        (self.byzantine, correct) = (byzantine, byzantine.correctHosts)
        let (skew, drift): (UInt64, UInt64) = options.profile == .calm ? (100_000, 0) : (400_000, 20_000)
        for _ in 0..<options.replicas + byzantine.twins.count {
            all.append(
                SimulatedHost(
                    clock: HostClock(
                        skew: Int64(rng.below(2 * skew + 1)) - Int64(skew),
                        drift: Int64(rng.below(2 * drift + 1)) - Int64(drift))))
        }
        // A third of the liars have a slow clock: as primaries they would hold the shard's time back.
        var clocks = ChanceStream.clocks.generator(seed: options.seed)
        for i in byzantine.identities + byzantine.twins where clocks.chance(perMille: 333) {
            all[i].clock.skew = -3_000_000 - Int64(clocks.below(UInt64(6_000_000)))
        }
    }

    func hostID(_ index: Int) -> HostID { HostID(UInt16(byzantine.identity(index))) }

    // MARK: Starts and ends

    mutating func start(_ i: Int, _ world: inout World) throws {
        let host = hostID(i)
        for shard in world.manifest.shards(of: host) where all[i].disk.stores[shard] == nil {
            all[i].disk.stores[shard] = MemoryStore()
        }
        all[i].life += 1
        (all[i].isSyncing, all[i].hasFailedStorage, all[i].stagesUntil) = (false, false, 0)
        let opened: SimulatedDisk.Opened
        do { opened = try all[i].disk.open(using: &world.rng) } catch {
            throw world.failure("the journal of host \(i) does not open: \(error)")
        }
        // A disk that has lost records is a fault of its own, never what a crash leaves behind.
        guard !opened.lostRecords || damaged.contains(i) || byzantine.isByzantine(i) else {
            throw world.failure("host \(i) has lost durable records")
        }
        // A process that starts sees every write that was applied.
        for shard in world.manifest.shards(of: host) { all[i].disk.stores[shard]?.reopen() }
        do {
            all[i].core = try HostCore(
                manifest: world.manifest, host: host, signer: StandInSigner(UInt64(byzantine.identity(i))),
                options: world.options.host,
                stores: all[i].disk.stores, records: opened.records, hasLostRecords: opened.lostRecords,
                now: all[i].clock.instant(at: world.now))
            if opened.lostRecords { world.checks.forget(host: i) }
            if opened.lostSilently { world.checks.exempt(host: i) }
        } catch {
            if byzantine.isByzantine(i) { return }
            throw world.failure("host \(i) does not start: \(error)")
        }
        if world.options.keepsLog {
            let lost = opened.lostRecords ? ", some lost" : ""
            world.note("host \(i) starts, life \(all[i].life), \(opened.records.count) records\(lost)")
        }
        world.events.insert(
            .tick(host: i, life: all[i].life), at: world.now + 1 + world.rng.below(UInt64(10_000_000)))
        for peer in all.indices where hostID(peer) != host && all[peer].isUp {
            try step(i, .peerConnected(hostID(peer)), &world)
            try step(peer, .peerConnected(host), &world)
        }
    }

    /// - Parameters:
    ///   - losesPower: otherwise the process dies, and what it wrote is kept.
    ///   - chance: of what is left on the disk, and of when it starts again.
    mutating func stop(_ i: Int, losesPower: Bool, using chance: inout SplitMix64, _ world: inout World) throws {
        guard all[i].isUp else { return }
        all[i].core = nil
        all[i].life += 1
        all[i].disk.stop(losesPower: losesPower, using: &chance)
        world.checks.crashed()
        if world.options.keepsLog { world.note("host \(i) \(losesPower ? "loses power" : "is killed")") }
        for peer in all.indices where all[peer].isUp { try step(peer, .peerDisconnected(hostID(i)), &world) }
        world.events.insert(.restart(host: i), at: world.now + 10_000_000 + chance.below(UInt64(1_200_000_000)))
    }

    /// A host whose storage failed, or that has to be told that it forgot, is stopped.
    mutating func replace(_ i: Int, life: Int, using chance: inout SplitMix64, _ world: inout World) throws {
        guard all[i].life == life else { return }
        try stop(i, losesPower: false, using: &chance, &world)
        if all[i].isToBeDeclared { all[i].disk.declareLost() }
        all[i].isToBeDeclared = false
    }

    /// Disks work, and every host is up.
    mutating func heal(_ world: inout World) throws {
        for i in all.indices {
            all[i].disk.heal()
            if !all[i].isUp { try start(i, &world) }
        }
    }

    /// Hosts whose disk forgets are faulty: with those that lie, which may forget too, at most f of one run.
    mutating func mayDamage(_ host: Int, f: Int) -> Bool {
        if damaged.contains(host) || byzantine.isByzantine(host) { return true }
        guard damaged.count + byzantine.members.count < f else { return false }
        damaged.append(host)
        return true
    }

    /// Says what the disk said. The host is started again later, with what is durable.
    private mutating func storageFailed(_ i: Int, _ what: String, _ world: inout World) throws {
        guard !all[i].hasFailedStorage else { return }
        all[i].hasFailedStorage = true
        if world.options.keepsLog { world.note("host \(i): storage failed: \(what)") }
        world.checks.storageFailed()
        try step(i, .storageFailed(what), &world)
        world.events.insert(
            .replaced(host: i, life: all[i].life),
            at: world.now + 100_000_000 + world.rng.below(UInt64(1_000_000_000)))
    }

    // MARK: Steps

    mutating func step(_ i: Int, _ input: HostInput, _ world: inout World) throws {
        if let m = byzantine.member(i) { return try stepByzantine(i, m, input, &world) }
        guard all[i].isUp else { return }
        var ready = HostReady()
        let moment = all[i].clock.instant(at: world.now)
        let before = world.options.jumpsClocks ? all[i].core?.progress() : nil
        all[i].core?.step(input, now: moment, into: &ready)
        world.checks.times.noteClock(moment.wall, ahead: world.options.host.replica.timeAhead, now: world.now)
        do { try all[i].core?.examine(after: input, host: i, &world.checks) } catch {
            throw world.failure("host \(i): \(error)")
        }
        if !all[i].hasFailedStorage, let (shard, reason) = ready.halts.first {
            // Rot at the journal's end looks like a tail that was never synced; the peers know better, and an operator
            // reads it.
            guard damaged.contains(i),
                reason.hasPrefix("peers heard votes") || reason.hasPrefix("a peer shows that this replica forgot")
            else {
                throw world.failure("host \(i) shard \(shard) halted: \(reason)")
            }
            (all[i].hasFailedStorage, all[i].isToBeDeclared) = (true, true)
            world.events.insert(.replaced(host: i, life: all[i].life), at: world.now + 100_000_000)
        }
        do { try world.checks.observe(ready) } catch { throw world.failure("host \(i): \(error)") }
        world.rest.watch(ready, now: world.now)
        if let problem = world.epilogue.watch(ready, from: i) { throw world.failure(problem) }
        all[i].disk.append(ready.records.map { $0.encoded() }, compacts: ready.compacts)
        if ready.awaitsSync || ready.compacts { startSync(i, &world) }
        for outgoing in ready.toHosts {
            do { try world.checks.observe(outgoing.message, from: i) } catch {
                throw world.failure("host \(i) contradicts itself: \(error)")
            }
            let parcel = Parcel(outgoing.message)
            for to in outgoing.to { send(parcel, from: i, to: Int(to.number), &world) }
        }
        for reply in ready.toGateways where reply.to.contains(world.session) {
            try answer(reply.reply, from: i, before ?? [], &world)
        }
        for check in ready.checks { insert(check, of: i, &world) }
        for bucket in ready.stages { insert(bucket, of: i, &world) }
        for flush in ready.flushes {
            do { try world.checks.observe(flush) } catch { throw world.failure("host \(i): \(error)") }
            insert(flush, of: i, &world)
        }
    }

    /// - Parameter before: where the host's shards stood before the step.
    private mutating func answer(
        _ reply: HostReply, from i: Int, _ before: [HostCore.Progress], _ world: inout World
    ) throws {
        if case .attestation(let attestation) = reply {
            do { try world.checks.observe(attestation, from: i) } catch { throw world.failure("host \(i): \(error)") }
        }
        if case .refused(let refusal) = reply { world.checks.order.refuse(refusal) }
        if case .refused(let refusal) = reply, refusal.reason == .fromTheFuture {
            let time = before.first { $0.shard == refusal.shard }?.time ?? .zero
            refusedAsFuture.append(FutureRefusal(host: i, refusal: refusal, timeBefore: time))
        }
        guard let time = world.arrival(from: i, to: world.gatewayEndpoint, isRead: reply.isRead) else { return }
        world.events.insert(.toGateway(from: i, Box(reply), session: world.session), at: time)
    }

    /// A verifier is quick, and now and then it has much to do.
    mutating func insert(_ check: HostCheck, of i: Int, _ world: inout World) {
        let isLate = world.rng.chance(perMille: 30)
        let time = world.now + 20_000 + world.rng.below(UInt64(isLate ? 100_000_000 : 1_000_000))
        world.events.insert(
            .checked(host: i, life: all[i].life, Box(check.carryOut(by: &world.wire.verifier))), at: time)
    }

    mutating func checked(_ i: Int, life: Int, _ input: HostInput, _ world: inout World) throws {
        if isLiving(i, life) { try step(i, input, &world) }
    }

    /// In their order: one thread does it.
    mutating func insert(_ bucket: BucketStaging, of i: Int, _ world: inout World) {
        let time = max(world.now, all[i].stagesUntil) + 20_000 + world.rng.below(UInt64(500_000))
        all[i].stagesUntil = time
        world.events.insert(.staged(host: i, life: all[i].life, Box(bucket)), at: time)
    }

    mutating func insert(_ flush: StateFlush, of i: Int, _ world: inout World) {
        world.events.insert(
            .flushed(host: i, life: all[i].life, Box(flush)),
            at: world.now + 1_000_000 + world.rng.below(UInt64(20_000_000)))
    }

    mutating func startSync(_ i: Int, _ world: inout World) {
        guard !all[i].isSyncing, let position = all[i].disk.unsynced else { return }
        all[i].isSyncing = true
        world.events.insert(
            .synced(host: i, life: all[i].life, position: position),
            at: world.now + 50_000 + world.rng.below(UInt64(2_000_000)))
    }

    private mutating func send(_ parcel: Parcel, from: Int, to: Int, _ world: inout World) {
        guard !world.network.isCut(from: from, to: to) else {
            return world.noteLoss(parcel.message, from: from, to: to)
        }
        for core in byzantine.cores(of: to, from: from) {
            let (first, again) = world.arrivals(from: from, to: to)
            if let first {
                world.events.insert(.deliver(to: core, from: HostID(UInt16(from)), parcel), at: first)
            } else {
                world.noteLoss(parcel.message, from: from, to: to)
            }
            if let again { world.events.insert(.deliver(to: core, from: HostID(UInt16(from)), parcel), at: again) }
        }
    }

    // MARK: Events

    /// Whether an event of this life still means the host.
    private func isLiving(_ i: Int, _ life: Int) -> Bool { all[i].life == life && all[i].isUp }

    mutating func tick(_ i: Int, life: Int, _ world: inout World) throws {
        guard isLiving(i, life) else { return }
        try step(i, .tick, &world)
        // What nobody waits for.
        startSync(i, &world)
        world.events.insert(.tick(host: i, life: life), at: world.now + 40_000_000)
    }

    mutating func deliver(_ parcel: Parcel, from: HostID, to: Int, _ world: inout World) throws {
        guard all[to].isUp else { return }
        let input: HostInput
        do { input = try world.wire.open(parcel, from: from, at: hostID(to)) } catch {
            throw world.failure(error.description)
        }
        if case .peer(_, let verified) = input, case .pbft(_, .prePrepare(let prePrepare)) = verified.value {
            world.checks.order.hear(prePrepare.batch)
        }
        if world.options.keepsLog { world.note("\(from) -> \(to) \(parcel.message.brief)") }
        try step(to, input, &world)
    }

    mutating func synced(_ i: Int, life: Int, position: UInt64, _ world: inout World) throws {
        guard isLiving(i, life) else { return }
        all[i].disk.sync(upTo: position)
        all[i].isSyncing = false
        if let what = all[i].disk.failure { return try storageFailed(i, what, &world) }
        try step(i, .persisted(JournalPosition(position)), &world)
        if all[i].core?.isSyncAwaited == true { startSync(i, &world) }
    }

    mutating func staged(_ i: Int, life: Int, _ bucket: BucketStaging, _ world: inout World) throws {
        guard isLiving(i, life) else { return }
        do { try all[i].disk.stores[bucket.shard]?.stage([bucket.part]) } catch {
            return try storageFailed(i, "\(error)", &world)
        }
        try step(i, bucket.staged, &world)
    }

    mutating func flushed(_ i: Int, life: Int, _ flush: StateFlush, _ world: inout World) throws {
        guard isLiving(i, life) else { return }
        do { if let store = all[i].disk.stores[flush.shard] { try flush.apply(to: store) } } catch {
            return try storageFailed(i, "\(error)", &world)
        }
        try step(i, .flushed(flush.shard, flush.sequence), &world)
    }

    /// From the gateway, or from whoever else speaks to the hosts.
    mutating func hear(_ message: GatewayMessage, on session: SessionID, to: Int, _ world: inout World) throws {
        // Whoever else speaks to the hosts has a session of its own.
        let others = [ByzantineClient.session, ByzantineGateway.session, Epilogue.session]
        guard session == world.session || others.contains(session) else { return }
        for core in byzantine.cores(of: to, from: nil) {
            var primaries: [ShardID: ReplicaIndex] = [:]
            all[core].core?.forEachPrimary { primaries[$0] = $1 }
            let input = world.wire.open(message, from: session, at: hostID(core)) { primaries[$0] }
            if let input { try step(core, input, &world) }
        }
    }

    // MARK: Their states

    /// Every replica of a shard stands at the same place with nothing undecided.
    func isQuiet() -> Bool {
        var first: [ShardID: Digest] = [:]
        for i in correct {
            guard all[i].isUp else { return false }
            for progress in all[i].core?.progress() ?? [] {
                if progress.undecided > 0 { return false }
                if let known = first[progress.shard], known != progress.history { return false }
                first[progress.shard] = progress.history
            }
        }
        return true
    }

    /// What would still have to be ordered or pushed, by shard and host.
    var unfinished: [String] {
        var found: [String] = []
        for i in correct {
            for activity in all[i].core?.activity() ?? [] where !activity.isNothing {
                found.append(
                    "host \(i) shard \(activity.shard): \(activity.pending) to be ordered, \(activity.open) to be pushed"
                )
            }
        }
        return found
    }

    /// A line for each replica.
    var description: [String] {
        var lines: [String] = []
        for i in all.indices {
            for s in all[i].core?.status() ?? [] {
                lines.append(
                    "host \(i) shard \(s.shard): view \(s.view)\(s.isChangingView ? " (changing)" : "") executed \(s.lastExecuted) stable \(s.stable) flushed \(s.flushed) pending \(s.pendingRequests) undecided \(s.undecided) \(s.standing)"
                )
            }
        }
        return lines
    }

    // MARK: Their times

    /// How far the shard that is furthest ahead stands ahead of the right time, in microseconds.
    func standing(_ right: Timestamp) -> UInt64 {
        correct.flatMap { all[$0].core?.progress() ?? [] }.map { $0.time.microseconds(since: right) }.max() ?? 0
    }

    /// What a quorum of signed answers would tell a client, from correct hosts.
    func shardClocks(_ manifest: Manifest, now: UInt64) -> [ShardClock] {
        let up = correct.filter { all[$0].isUp }
        let clocks = up.map { all[$0].clock.instant(at: now).wall }.sorted()
        guard !clocks.isEmpty else { return [] }
        var times: [ShardID: Timestamp] = [:]
        for i in up {
            for progress in all[i].core?.progress() ?? [] {
                times[progress.shard] = max(times[progress.shard] ?? .zero, progress.time)
            }
        }
        return manifest.shards.indices.map { shard in
            let shard = ShardID(UInt16(shard))
            return ShardClock(shard: shard, time: times[shard] ?? .zero, clock: clocks[clocks.count / 2])
        }
    }
}
