import Cores
import HostRuntime
import Messages
import PBFT
import Simulator

/// A host's threads, as `RuntimeThreads` has them; a verifier has a number.
enum HostThread { case sockets, protocolLoop, journal, stores, verifier }

/// One host: the cores' own code, and what `HostEngine`, `HostInbound`, the transport and the writers do around it, with
/// what that costs. Confined to its world's thread.
final class ForecastHost {
    let number: Int
    let core: HostCore
    let place: Int
    private(set) var threads: [HostThread: Int] = [:]
    private let scheme = CountedScheme()
    private let signer: CountedSigner
    private var verifier: Verifier<CountedScheme>
    private let rule: CheckingRule
    private var votes: QuietVotes
    private var primaries: [ShardID: ReplicaIndex] = [:]
    private let stores: [ShardID: MemoryStore]
    private var ready = HostReady()
    /// Records that the core has given, and those of them that nobody waits for and no job has.
    private var appended: UInt64 = 0
    private var unawaited = (count: 0, bytes: 0, since: UInt64(0))
    private var unarchived = (count: 0, bytes: 0)
    private var wasBusyAtTick = false
    private let checkpointInterval: UInt64
    private var sinceCheckpoint = 0
    private(set) var tally = Tally()

    private static let laziness: UInt64 = 20_000_000
    private static let archivedTogether = 64
    /// Of requests and of attestations: more than are under way between a submission and its proposal.
    private static let remembered = 8192

    init(_ number: Int, in world: ForecastWorld, machine: Int, options: HostOptions) throws {
        let (manifest, id) = (world.manifest, HostID(UInt16(number)))
        self.number = number
        place = world.addPlace(machine: machine, region: world.network.region(ofHost: number))
        signer = CountedSigner(manifest.hosts[number].publicKey)
        verifier = Verifier(manifest: manifest, scheme: scheme, remembered: Self.remembered)
        rule = CheckingRule(manifest: manifest, host: id, options: options)
        checkpointInterval = options.replica.checkpointInterval
        votes = QuietVotes(manifest: manifest, host: id, options: options)
        var stores: [ShardID: MemoryStore] = [:]
        for shard in manifest.shards(of: id) { stores[shard] = MemoryStore() }
        self.stores = stores
        core = try HostCore(
            manifest: manifest, host: id, signer: signer, options: options, stores: stores, records: [],
            now: ForecastWorld.instant(0))
        var primaries: [ShardID: ReplicaIndex] = [:]
        core.forEachPrimary { primaries[$0] = $1 }
        self.primaries = primaries
        threads = [
            .sockets: world.addThread(.host(number, .sockets), on: machine, limit: 256),
            .protocolLoop: world.addThread(.host(number, .protocolLoop), on: machine, limit: 256),
            .journal: world.addThread(.host(number, .journal), on: machine, limit: .max),
            .stores: world.addThread(.host(number, .stores), on: machine, limit: 64),
            .verifier: world.addThread(.host(number, .verifier), on: machine, limit: 16, urgentLimit: 64),
        ]
    }

    var allThreads: [Int] { threads.values.sorted() }
    var sockets: Int { threads[.sockets] ?? 0 }
    private var protocolLoop: Int { threads[.protocolLoop] ?? 0 }

    /// Its peers are there.
    func connect(_ peers: [HostID]) {
        for peer in peers { core.step(.peerConnected(peer), now: ForecastWorld.instant(0), into: &ready) }
    }

    /// - Returns: whether the last tick found something to do.
    func tick(in world: ForecastWorld) -> Bool {
        world.post(.input(.tick), to: protocolLoop)
        return wasBusyAtTick
    }

    func run(_ role: HostThread, _ jobs: [Job], _ turn: inout ForecastWorld.Turn, in world: ForecastWorld) throws {
        switch role {
        case .sockets: for job in jobs { carry(job, &turn, world) }
        case .verifier: check(jobs, &turn, world)
        case .protocolLoop: step(jobs, &turn, world)
        case .journal: write(jobs, &turn, world)
        case .stores: try store(jobs, &turn, world)
        }
    }

    // MARK: Sockets

    private func carry(_ job: Job, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let costs = world.costs
        switch job {
        case .peerFrame(let from, let note):
            if turn.touches(from) { turn.cost += costs.machine.read_ns }
            turn.cost += costs.frame(bytes: note.bytes) + costs.decode(note.kind, bytes: note.bytes)
            receive(note, from: from, &turn, world)
        case .gatewayFrame(let from, let note):
            if turn.touches(from) { turn.cost += costs.machine.read_ns }
            turn.cost += costs.frame(bytes: note.bytes) + costs.decode(note.kind, bytes: note.bytes)
            turn.post(.checkGateway(from: from, note), to: threads[.verifier])
        case .hostSends(let messages, let replies):
            for outgoing in messages {
                let note = FrameSize.note(outgoing.message)
                world.meter?.note(note)
                turn.cost += costs.encode(note.kind, bytes: note.bytes)
                tally.sent(note.kind, copies: outgoing.to.count, bytes: note.bytes)
                for to in outgoing.to {
                    let peer = world.hosts[Int(to.number)]
                    if turn.touches(-1 - peer.place) { turn.cost += costs.machine.write_ns }
                    turn.cost += costs.frame(bytes: note.bytes)
                    turn.effects.append(
                        .send(
                            from: place, to: peer.place, thread: peer.sockets, .peerFrame(from: number, note),
                            bytes: note.bytes))
                }
            }
            for reply in replies {
                let note = FrameSize.note(reply.reply)
                world.meter?.note(note)
                turn.cost += costs.encode(note.kind, bytes: note.bytes)
                tally.sent(note.kind, copies: reply.to.count, bytes: note.bytes)
                for session in reply.to {
                    let gateway = world.gateways[Int(session.number) - 1]
                    if turn.touches(-1 - gateway.place) { turn.cost += costs.machine.write_ns }
                    turn.cost += costs.frame(bytes: note.bytes)
                    turn.effects.append(
                        .send(
                            from: place, to: gateway.place, thread: gateway.io, .hostFrame(from: number, note),
                            bytes: note.bytes))
                }
            }
        default: break
        }
    }

    /// As `HostInbound.receive`: what costs no signature goes on at once.
    private func receive(
        _ note: Note<HostMessage>, from: Int, _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld
    ) {
        let (message, peer) = (note.value, HostID(UInt16(from)))
        var isKnown = false
        if case .pbft(_, .prePrepare(let proposal)) = message { isKnown = verifier.remembers(proposal.batch) }
        guard !message.passesVerifiers || isKnown else {
            return turn.post(.checkPeer(from: from, note), to: threads[.verifier], isUrgent: message.isUrgent)
        }
        guard let input = rule.verify(message, from: peer, by: &verifier) else { return }
        turn.cost += Double(scheme.take()) * world.costs.model.verify_ns
        turn.post(.input(input), to: threads[.protocolLoop], wakes: !votes.isQuiet(message, from: peer))
    }

    // MARK: Verifiers

    private func check(_ jobs: [Job], _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        var inputs: [HostInput] = []
        for job in jobs {
            let begin = world.meter?.begin()
            var part: StepMeter.Part?
            var input: HostInput?
            switch job {
            case .checkPeer(let from, let note):
                var items = 0
                if case .pbft(_, .prePrepare(let proposal)) = note.value { items = proposal.batch.items.count }
                part = .init(kind: .checkPeer, units: items)
                input = rule.verify(note.value, from: HostID(UInt16(from)), by: &verifier)
            case .checkGateway(let from, let note):
                var units = 1
                if case .decides(_, let decides) = note.value { units = decides.count }
                part = .init(kind: .checkSubmission, units: units)
                input = rule.verify(note.value, from: SessionID(UInt64(from + 1)), by: &verifier) { primaries[$0] }
            case .check(let check):
                part = .init(kind: .checkSubmission, units: 1)
                input = check.carryOut(by: &verifier)
            default: break
            }
            if let part {
                if let begin { world.meter?.end(begin, [part]) }
                turn.cost += world.costs.step(part.kind, part.units)
            }
            turn.cost += Double(scheme.take()) * world.costs.model.verify_ns
            if let input { inputs.append(input) }
        }
        let isQuiet = inputs.allSatisfy { onlyWaits($0) }
        for input in inputs { turn.post(.input(input), to: threads[.protocolLoop], wakes: !isQuiet) }
    }

    /// A request at a host that leads none of its shards wakes nobody (0043).
    private func onlyWaits(_ input: HostInput) -> Bool {
        let shards: [ShardID]
        switch input {
        case .gateway(_, let message):
            guard case .submit(let all, _) = message.value else { return false }
            shards = all
        case .unchecked(_, let all, _): shards = all
        default: return false
        }
        return shards.allSatisfy { shard in
            guard let primary = primaries[shard] else { return true }
            return core.manifest.replica(of: shard, on: core.host) != primary
        }
    }

    // MARK: Protocol

    private func step(_ jobs: [Job], _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        for case .input(let input) in jobs {
            let before = (executed: ready.executed.count, sends: ready.toHosts.count)
            let begin = world.meter?.begin()
            core.step(input, now: turn.now, into: &ready)
            let (kind, units) = StepKind.of(input)
            var parts = [StepMeter.Part(kind: kind, units: units)]
            for outgoing in ready.toHosts[before.sends...] {
                if case .pbft(_, .prePrepare(let proposal)) = outgoing.message {
                    parts.append(.init(kind: .propose, units: proposal.batch.items.count))
                }
            }
            if ready.executed.count > before.executed {
                let batches = ready.executed[before.executed...]
                let legs = batches.reduce(0) { $1.leaves.reduce($0) { $0 + max(1, $1.entries.count) } }
                parts.append(.init(kind: .execute, times: batches.count, units: legs))
                for batch in batches {
                    sinceCheckpoint += batch.leaves.reduce(0) { $0 + max(1, $1.entries.count) }
                    guard batch.sequence.number.isMultiple(of: checkpointInterval) else { continue }
                    parts.append(.init(kind: .takeCheckpoint, units: sinceCheckpoint))
                    sinceCheckpoint = 0
                }
                tally.batches += batches.count
                tally.items += batches.reduce(0) { $0 + $1.leaves.count }
            }
            if let begin { world.meter?.end(begin, parts) }
            for part in parts { turn.cost += world.costs.step(part.kind, times: part.times, part.units) }
            turn.cost += Double(signer.take()) * world.costs.model.sign_ns
            if case .tick = input {
                wasBusyAtTick = !ready.isEmpty
                if unawaited.count > 0, turn.start >= unawaited.since + Self.laziness { appendUnawaited(&turn) }
            }
        }
        carryOut(&turn)
    }

    /// In the order of `HostReady`, as `HostEngine` does.
    private func carryOut(_ turn: inout ForecastWorld.Turn) {
        if ready.isEmpty { return }
        votes.note(ready.records)
        if unawaited.count == 0, !ready.records.isEmpty { unawaited.since = turn.start }
        for record in ready.records { unawaited.bytes += record.encodedSize }
        unawaited.count += ready.records.count
        appended += UInt64(ready.records.count)
        if ready.awaitsSync || ready.compacts { appendUnawaited(&turn) }
        if !ready.toHosts.isEmpty || !ready.toGateways.isEmpty {
            turn.post(.hostSends(ready.toHosts, ready.toGateways), to: threads[.sockets])
        }
        for check in ready.checks { turn.post(.check(check), to: threads[.verifier], isUrgent: check.isUrgent) }
        for bucket in ready.stages { turn.post(.stage(bucket), to: threads[.stores]) }
        unarchived.count += ready.executed.count
        for batch in ready.executed { unarchived.bytes += batch.roughSize }
        if unarchived.count >= Self.archivedTogether || !ready.flushes.isEmpty, unarchived.count > 0 {
            turn.post(.archive(bytes: unarchived.bytes), to: threads[.stores])
            unarchived = (0, 0)
        }
        for flush in ready.flushes { turn.post(.flush(flush), to: threads[.stores]) }
        for (shard, primary) in ready.primaries {
            primaries[shard] = primary
            tally.viewChanges += 1
        }
        for (shard, reason) in ready.halts { tally.halts.append("shard \(shard) on host \(number): \(reason)") }
        ready.removeAll()
    }

    private func appendUnawaited(_ turn: inout ForecastWorld.Turn) {
        guard unawaited.count > 0 else { return }
        turn.post(
            .append(bytes: unawaited.bytes, count: unawaited.count, position: appended), to: threads[.journal])
        unawaited = (0, 0, 0)
    }

    // MARK: Disk

    /// One sync for all that has queued up.
    private func write(_ jobs: [Job], _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) {
        let machine = world.costs.machine
        var last: UInt64 = 0
        for case .append(let bytes, let count, let position) in jobs {
            turn.cost += machine.record.fixed_ns * Double(count) + machine.record.each_ns * Double(bytes)
            tally.records += count
            tally.journalBytes += bytes
            last = position
        }
        turn.cost += machine.sync_cpu_ns
        turn.blocks = UInt64(machine.sync_wait_ns)
        tally.syncs += 1
        turn.post(.input(.persisted(JournalPosition(last))), to: threads[.protocolLoop])
    }

    private func store(_ jobs: [Job], _ turn: inout ForecastWorld.Turn, _ world: ForecastWorld) throws {
        let machine = world.costs.machine
        for job in jobs {
            switch job {
            case .archive(let bytes): turn.cost += machine.archive_byte_ns * Double(bytes)
            case .flush(let flush):
                turn.cost += machine.flush.of(flush.writes.reduce(0) { count, _ in count + 1 }) + machine.sync_cpu_ns
                turn.blocks += UInt64(machine.sync_wait_ns)
                tally.flushes += 1
                if let store = stores[flush.shard] { try flush.apply(to: store) }
                turn.post(.input(.flushed(flush.shard, flush.sequence)), to: threads[.protocolLoop])
            case .stage(let bucket):
                turn.cost += machine.flush.of(bucket.part.entries.count)
                try stores[bucket.shard]?.stage([bucket.part])
                turn.post(.input(bucket.staged), to: threads[.protocolLoop])
            default: break
            }
        }
    }
}

extension ForecastWorld.Turn {
    mutating func post(_ job: Job, to thread: Int?, isUrgent: Bool = false, wakes: Bool = true) {
        if let thread { effects.append(.post(thread: thread, job, isUrgent: isUrgent, wakes: wakes)) }
    }
}

/// What a process has counted since it started.
struct Tally {
    var messages = [Int](repeating: 0, count: FrameKind.allCases.count)
    var bytes = [Int](repeating: 0, count: FrameKind.allCases.count)
    var syncs = 0
    var flushes = 0
    var records = 0
    var journalBytes = 0
    var batches = 0
    var items = 0
    var viewChanges = 0
    var halts: [String] = []

    mutating func sent(_ kind: FrameKind, copies: Int, bytes size: Int) {
        messages[kind.rawValue] += copies
        bytes[kind.rawValue] += copies * size
    }
}
