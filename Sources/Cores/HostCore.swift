import DequeModule
import Messages
import PBFT
import ShardState

/// What a host cannot start with.
public enum HostStartError: Error, Sendable, CustomStringConvertible {
    case missingStore(ShardID)
    case badRecord(index: Int, DecodingFailure)
    case state(ShardID, ShardStateError)

    /// Which shard or record, counted from 0, and what was wrong.
    public var description: String {
        switch self {
        case .missingStore(let shard): "no store was opened for shard \(shard)"
        case .badRecord(let index, let failure):
            "journal record \(index) is not readable, so another version wrote it: \(failure)"
        case .state(let shard, let error): "shard \(shard): \(error)"
        }
    }
}

/// One host: a machine for each of its shards, and what these share: the order of the journal, and what may not leave
/// before the journal is durable. One deterministic `step`, no I/O. Confined to the thread that steps it.
public final class HostCore {
    /// One shard of this host, where its machine lies: what is stepped is never copied.
    final class Shard {
        let id: ShardID
        var machine: ShardMachine
        /// Its time after its last step.
        var time: Timestamp
        /// The shards whose time it may follow, itself among them, have the same.
        let family: Int

        init(_ id: ShardID, _ machine: consuming ShardMachine, family: Int) {
            (self.id, self.family) = (id, family)
            time = machine.execution.executor.time
            self.machine = machine
        }
    }

    /// Says which shards this host has a replica of, and who its peers are.
    public let manifest: Manifest
    /// Which of the manifest's hosts this is.
    public let host: HostID
    let options: HostOptions
    /// Ascending.
    let machines: [Shard]
    /// By number; nil where this host has no replica.
    private let byNumber: [Shard?]
    private var gate = DurabilityGate()
    private var compaction: Compaction
    private var connected: [Bool]
    /// What is to be said to shards, the next one first.
    private var queue: Deque<(shard: Shard, input: ShardInput)> = []
    /// What the last step of a shard asked for.
    private var work = ShardReady()
    private var hasStarted = false

    /// - Parameters:
    ///   - stores: one a shard of this host.
    ///   - records: what the journal gave back, in order; empty for a new host.
    ///   - hasLostRecords: votes may be forgotten: every replica of the host starts in quarantine (R4).
    public init(
        manifest: Manifest, host: HostID, signer: any Signer, options: HostOptions,
        stores: [ShardID: any KeyValueStore], records: [[UInt8]], hasLostRecords: Bool = false, now: Instant
    ) throws(HostStartError) {
        (self.manifest, self.host, self.options) = (manifest, host, options)
        connected = Array(repeating: false, count: manifest.hosts.count)
        compaction = Compaction(options: options)
        let decoded = try Self.decode(records, shardCount: manifest.shardCount)
        let own = manifest.shards(of: host)
        let accounts = SourceAccounts(options: options, now: now)
        var machines: [Shard] = []
        for (id, family) in zip(own, Self.families(of: own, in: manifest)) {
            guard let store = stores[id] else { throw .missingStore(id) }
            guard let me = manifest.replica(of: id, on: host) else {
                preconditionFailure("shard \(id) is the host's, and the host has no replica of it")
            }
            let setting = ShardSetting(
                shard: id, me: me, host: host, manifest: manifest, options: options, signer: signer)
            let machine: ShardMachine
            do throws(ShardStateError) {
                machine = try ShardMachine(
                    setting, accounts: accounts, store: store, records: decoded[Int(id.number)], now: now)
            } catch { throw .state(id, error) }
            machines.append(Shard(id, machine, family: family))
        }
        var byNumber: [Shard?] = Array(repeating: nil, count: manifest.shardCount)
        for shard in machines { byNumber[Int(shard.id.number)] = shard }
        (self.machines, self.byNumber) = (machines, byNumber)
        guard hasLostRecords else { return }
        if Mutant.is(.rejoinsWithoutQuarantine) { return }
        for shard in machines { shard.machine.quarantine(now: now) }
    }

    /// The journal's records by shard. Those of shards that this host no longer has are left out by who asks.
    private static func decode(_ records: [[UInt8]], shardCount: Int) throws(HostStartError) -> [[JournalRecord]] {
        var decoded: [[JournalRecord]] = Array(repeating: [], count: shardCount)
        for (i, bytes) in records.enumerated() {
            do {
                let entry = try HostRecord(decoding: bytes)
                if Int(entry.shard.number) < shardCount { decoded[Int(entry.shard.number)].append(entry.record) }
            } catch { throw .badRecord(index: i, error) }
        }
        return decoded
    }

    /// By shard, a number that it shares with the shards that are on the same hosts, and no others: while at most f of
    /// its own hosts are faulty, no more are of theirs. More than f, one of them on another host, could make any time
    /// of their shard final by a view change. Their time it may follow (R2, docs/decisions/0027).
    public static func families(of shards: [ShardID], in manifest: Manifest) -> [Int] {
        var numbers: [[HostID]: Int] = [:]
        return shards.map { shard in
            let (hosts, next) = (manifest.hosts(of: shard).sorted(), numbers.count)
            let number = numbers[hosts] ?? next
            numbers[hosts] = number
            return number
        }
    }

    /// Takes what has happened, and adds to `ready` what it asks for.
    public func step(_ input: HostInput, now: Instant, into ready: inout HostReady) {
        if !hasStarted {
            hasStarted = true
            let times = certainTimes()
            for shard in machines { say(.started(certainTime: times[shard.family]), to: shard) }
            drain(now: now, into: &ready)
        }
        switch input {
        case .peer(let from, let message): route(message, from: from, into: &ready)
        case .gateway(let session, let message): route(message, from: session, now: now, into: &ready)
        case .unchecked(let session, let ids, let request):
            say(.unchecked(from: session, request), to: ids, into: &ready)
        // One shard says it.
        case .unsigned(let session, let ids, let digest):
            if let shard = ids.lazy.compactMap({ self.shard($0) }).first {
                say(.unsigned(from: session, digest), to: shard)
            }
        case .forged(let peer, let id, let view, let sequence):
            if let shard = shard(id) { say(.forged(by: peer, view, sequence), to: shard) }
        case .checked(let id, let checked): if let shard = shard(id) { say(.checked(checked), to: shard) }
        case .submissionChecked(let id, let session, let digest, let verified):
            if let shard = shard(id) { say(.submissionChecked(from: session, digest, verified), to: shard) }
        case .gatewayClosed(let session): for shard in machines { say(.sessionClosed(session), to: shard) }
        case .peerConnected(let peer): setConnected(peer, true)
        case .peerDisconnected(let peer): setConnected(peer, false)
        case .persisted(let position): gate.persisted(position)
        case .flushed(let id, let sequence): if let shard = shard(id) { say(.flushed(sequence), to: shard) }
        case .staged(let id, let bucket, let digest):
            if let shard = shard(id) { say(.staged(bucket: bucket, digest), to: shard) }
        case .storageFailed(let reason): for shard in machines { say(.storageFailed(reason), to: shard) }
        case .stateDamaged(let id, let reason): if let shard = shard(id) { say(.stateDamaged(reason), to: shard) }
        case .tick:
            let times = certainTimes()
            for shard in machines { say(.tick(connected: connected, certainTime: times[shard.family]), to: shard) }
        }
        drain(now: now, into: &ready)
        if case .tick = input { compactIfDue(into: &ready) }
        if gate.asksForSync() { ready.awaitsSync = true }
    }

    /// Whether this host's replica of a shard may sign what it has executed (R4).
    public func mayAttest(_ shard: ShardID) -> Bool {
        guard let machine = self.shard(shard) else { return false }
        return machine.machine.halted == nil && machine.machine.replica.mayAttest
    }

    /// Something waits for records that are not durable.
    public var isSyncAwaited: Bool { gate.isHolding }

    private func setConnected(_ peer: HostID, _ isConnected: Bool) {
        if Int(peer.number) < connected.count { connected[Int(peer.number)] = isConnected }
    }

    /// By family, the latest time that is known to be certain.
    private func certainTimes() -> [Timestamp] {
        var times: [Timestamp] = []
        for shard in machines {
            while times.count <= shard.family { times.append(.zero) }
            times[shard.family] = max(times[shard.family], shard.time)
        }
        return times
    }

    /// Who leads each shard of this host, or is to, as its replica here has it. Changes are in `HostReady.primaries`.
    public func forEachPrimary(_ body: (ShardID, ReplicaIndex) -> Void) {
        for shard in machines { body(shard.id, shard.machine.replica.primary) }
    }

    // MARK: Routing

    func shard(_ id: ShardID) -> Shard? { Int(id.number) < byNumber.count ? byNumber[Int(id.number)] : nil }

    private func say(_ input: ShardInput, to shard: Shard) { queue.append((shard, input)) }

    /// To those of them that are on this host.
    private func say(_ input: ShardInput, to ids: [ShardID], into ready: inout HostReady) {
        for id in ids {
            if let shard = shard(id) { say(input, to: shard) } else { ready.counts.append(.dropped(.noSuchShard)) }
        }
    }

    private func route(_ message: Verified<HostMessage>, from host: HostID, into ready: inout HostReady) {
        guard let shard = shard(message.value.shard) else { return ready.counts.append(.dropped(.noSuchShard)) }
        switch message.value {
        case .pbft: if let pbft = message.pbft { say(.message(from: host, pbft), to: shard) }
        case .stateTransfer(_, let transfer): say(.stateTransfer(from: host, transfer), to: shard)
        case .forward(_, let item): say(.forwarded(from: host, item), to: shard)
        case .push: if let push = message.push { route(push, from: host, to: shard, into: &ready) }
        }
    }

    private func route(
        _ push: Verified<RecoveryPush>, from host: HostID, to shard: Shard, into ready: inout HostReady
    ) {
        guard shard.machine.halted == nil else { return }
        guard Pushes.isProper(push.value, from: host, to: shard.id, manifest) else {
            return ready.counts.append(.dropped(.improperPush))
        }
        // Nobody pushes to himself. With one host mute and one without the leaf, the replica of that shard on this host
        // is needed too.
        if let sender = self.shard(push.value.attested.statement.shard) { say(.sayOwn(to: shard.id, push), to: sender) }
        say(.push(from: host, push), to: shard)
    }

    /// They are trusted with nothing.
    private func route(
        _ message: Verified<GatewayMessage>, from session: SessionID, now: Instant, into ready: inout HostReady
    ) {
        switch message.value {
        case .submit(let ids, let request):
            say(.request(from: session, request), to: ids, into: &ready)
        case .decides(let ids, let decides):
            say(.decides(from: session, decides), to: ids, into: &ready)
        case .evidence(let ids, let evidence):
            say(.evidence(from: session, evidence), to: ids, into: &ready)
        case .read(let id, let subject, let nonce):
            guard let shard = shard(subject.shard(in: manifest.shardMap)) else {
                return ready.counts.append(.dropped(.noSuchShard))
            }
            say(.read(from: session, id: id, subject, nonce: nonce), to: shard)
        case .account(let id, let account):
            guard let shard = shard(manifest.shardMap.shard(of: account)) else {
                return ready.toGateways.append(.init(to: [session], reply: .account(id: id, nil)))
            }
            say(.account(from: session, id: id, account), to: shard)
        case .status(let id):
            ready.toGateways.append(.init(to: [session], reply: .status(id: id, status(now: now))))
        // Stamps are the runtime's, which knows a clock.
        case .stamps(let id, _): ready.toGateways.append(.init(to: [session], reply: .stamps(id: id, .off)))
        // So is the archive, which is on the disk.
        case .archive(let id, _): ready.toGateways.append(.init(to: [session], reply: .archive(id: id, .init(.off))))
        // How batches travelled is the runtime's too.
        case .observe(let id, let query):
            let observation = HostObservation(now: now, undecided: query.wantsRecords ? undecided(now: now) : [])
            ready.toGateways.append(.init(to: [session], reply: .observation(id: id, observation)))
        case .audit(let id):
            var audits: [ShardAudit] = []
            for shard in machines {
                if let audit = shard.machine.audit(now: now, into: &work) { audits.append(audit) }
                takeOver(from: shard, into: &ready)
            }
            ready.toGateways.append(.init(to: [session], reply: .audit(id: id, audits)))
        }
    }

    // MARK: The loop

    /// Lets go what has become durable, and says to shards what is to be said to them, until there is nothing left of
    /// either.
    private func drain(now: Instant, into ready: inout HostReady) {
        repeat { release(now: now, into: &ready) } while sayNext(now: now, into: &ready)
    }

    /// To the others, and to the own replica, whose vote counts from now on.
    private func release(now: Instant, into ready: inout HostReady) {
        while let (id, message) = gate.next() {
            guard let shard = shard(id), shard.machine.halted == nil else { continue }
            ready.toHosts.append(.init(to: shard.machine.setting.others, message: .pbft(id, message)))
            step(shard, .durable(message), now: now, into: &ready)
        }
    }

    private func sayNext(now: Instant, into ready: inout HostReady) -> Bool {
        guard let (shard, input) = queue.popFirst() else { return false }
        step(shard, input, now: now, into: &ready)
        return true
    }

    private func step(_ shard: Shard, _ input: ShardInput, now: Instant, into ready: inout HostReady) {
        shard.machine.step(input, now: now, into: &work)
        shard.time = work.time
        takeOver(from: shard, into: &ready)
    }

    /// In the order of `ShardReady`.
    private func takeOver(from shard: Shard, into ready: inout HostReady) {
        if work.isEmpty { return }
        let before = gate.appended
        for record in work.records { append(record, of: shard.id, into: &ready) }
        for held in work.held { gate.hold(held.message, of: shard.id, position: before + UInt64(held.after)) }
        ready.toHosts += work.toHosts
        ready.reply(work.toGateways)
        for (id, word) in work.words { if let other = self.shard(id) { queue.prepend((other, .word(word))) } }
        ready.checks += work.checks
        ready.stages += work.stages
        ready.executed += work.executed
        ready.flushes += work.flushes
        for session in work.pauses where !ready.pauses.contains(session) { ready.pauses.append(session) }
        if work.viewChanges > 0 { ready.primaries.append((shard.id, shard.machine.replica.primary)) }
        if work.isDamaged { ready.damaged.append(shard.id) }
        if let reason = work.halt { ready.halts.append((shard.id, reason)) }
        ready.notices += work.notices
        count(work, of: shard.id, into: &ready)
        work.removeAll()
    }

    private func count(_ work: ShardReady, of shard: ShardID, into ready: inout HostReady) {
        for reason in work.drops { ready.counts.append(.dropped(reason)) }
        for _ in 0..<work.viewChanges { ready.counts.append(.viewChange(shard)) }
        for _ in 0..<work.stateFetches { ready.counts.append(.stateFetch(shard)) }
    }

    // MARK: The journal

    private func append(_ record: JournalRecord, of shard: ShardID, into ready: inout HostReady) {
        let record = HostRecord(shard: shard, record: record)
        compaction.bytes += record.encodedSize
        ready.records.append(record)
        gate.appendRecord()
    }

    /// Writes everything that a restart needs forward, so that the journal's older segments can go.
    private func compactIfDue(into ready: inout HostReady) {
        guard compaction.isDue, !ready.compacts else { return }
        compaction.begin()
        for shard in machines {
            for record in shard.machine.liveRecords() { append(record, of: shard.id, into: &ready) }
        }
        ready.compacts = true
        compaction.end(options: options)
    }
}

/// When the journal is to be written anew.
struct Compaction: Sendable {
    /// Appended since the last time.
    var bytes = 0
    private var threshold: Int

    init(options: HostOptions) { threshold = options.compactionBytes }

    var isDue: Bool { bytes > threshold }

    mutating func begin() { bytes = 0 }

    /// What could not be left behind this time must not be rewritten at once again.
    mutating func end(options: HostOptions) {
        threshold = max(options.compactionBytes, 2 * bytes)
        bytes = 0
    }
}

extension HostMessage {
    /// Whose replicas it is for.
    var shard: ShardID {
        switch self {
        case .pbft(let shard, _), .push(let shard, _), .stateTransfer(let shard, _), .forward(let shard, _): shard
        }
    }
}
