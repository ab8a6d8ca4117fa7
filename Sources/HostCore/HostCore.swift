import Messages
import PBFT
import ShardState
import TwoPhaseCommit

/// What a host cannot start with.
public enum HostStartError: Error, Sendable, CustomStringConvertible {
    case missingStore(ShardID)
    case badRecord(index: Int, DecodingFailure)
    case state(ShardID, ShardStateError)

    public var description: String {
        switch self {
        case .missingStore(let shard): "no store was opened for shard \(shard)"
        case .badRecord(let index, let failure): "journal record \(index) is not readable: \(failure)"
        case .state(let shard, let error): "shard \(shard): \(error)"
        }
    }
}

/// One host: a replica of each of its shards, their state, the journal's order, recovery. One deterministic `step`, no I/O.
public struct HostCore {
    public let manifest: Manifest
    public let host: HostID
    let options: HostOptions
    let signer: any Signer
    /// Ascending by shard.
    var nodes: [ShardNode]
    /// nodes' index by shard number; -1 where this host has no replica.
    private let nodeIndex: [Int]
    /// By node, the nodes whose time it may follow.
    let kin: [[Int]]
    var gate = DurabilityGate()
    var sessions: Set<SessionID> = []
    var ledger: SourceLedger
    /// What peers may ask.
    var questions: SourceLedger
    var connected: [Bool]
    var bytesSinceCompaction = 0
    var compactionThreshold: Int
    private var hasStarted = false
    /// Dropped messages by reason, for metrics.
    public internal(set) var droppedMessages: UInt64 = 0
    /// The wall clock at the latest step.
    var wall = Timestamp.zero

    /// - Parameters:
    ///   - stores: one a shard of this host.
    ///   - records: what the journal gave back, in order; empty for a new host.
    ///   - hasLostRecords: votes may be forgotten: every replica of the host starts in quarantine (R4).
    public init(
        manifest: Manifest, host: HostID, signer: any Signer, options: HostOptions, stores: [ShardID: any KeyValueStore],
        records: [[UInt8]], hasLostRecords: Bool = false, now: Instant
    ) throws(HostStartError) {
        (self.manifest, self.host, self.signer, self.options) = (manifest, host, signer, options)
        connected = Array(repeating: false, count: manifest.hosts.count)
        compactionThreshold = options.compactionBytes
        var vain = SourceLedger.Limits()
        (vain.burst, vain.perSecond) = (options.vainBurst, options.vainPerSecond)
        ledger = SourceLedger(limits: vain, now: now.uptime)
        (vain.burst, vain.perSecond) = (options.questionBurst, options.questionsPerSecond)
        questions = SourceLedger(limits: vain, now: now.uptime)
        let shards = manifest.shards(of: host)
        var index = Array(repeating: -1, count: manifest.shardCount)
        for (i, shard) in shards.enumerated() { index[Int(shard.number)] = i }
        nodeIndex = index
        kin = Self.kin(of: shards, in: manifest)
        var decoded: [[JournalRecord]] = Array(repeating: [], count: shards.count)
        for (i, bytes) in records.enumerated() {
            do {
                var reader = ByteReader(bytes)
                let shard: ShardID = try reader.value()
                let record: JournalRecord = try reader.value()
                try reader.finish()
                guard Int(shard.number) < index.count, index[Int(shard.number)] >= 0 else { continue }
                decoded[index[Int(shard.number)]].append(record)
            } catch { throw .badRecord(index: i, error) }
        }
        nodes = []
        for (shard, records) in zip(shards, decoded) {
            guard let store = stores[shard], let me = manifest.replica(of: shard, on: host) else { throw .missingStore(shard) }
            do {
                nodes.append(
                    try Self.restore(
                        shard: shard, me: me, store: store, records: records, manifest: manifest, signer: signer, options: options, now: now))
            } catch let error as HostStartError {
                throw error
            } catch let error as ShardStateError {
                throw .state(shard, error)
            } catch { throw .missingStore(shard) }
        }
        shareTimes()
        guard hasLostRecords else { return }
        #if MUTANTS
        if Mutant.is(.rejoinsWithoutQuarantine) { return }
        #endif
        for i in nodes.indices { nodes[i].quarantine(now: now) }
    }

    /// Opens the state where the store has it and executes again what the journal knows to be committed above it.
    private static func restore(
        shard: ShardID, me: ReplicaIndex, store: any KeyValueStore, records: [JournalRecord], manifest: Manifest, signer: any Signer,
        options: HostOptions, now: Instant
    ) throws -> ShardNode {
        var executor = try ShardExecutor(shard: shard, manifest: manifest, store: store, limits: options.shard, procedures: options.procedures)
        let base = Checkpoint(sequence: executor.lastExecuted, digest: try executor.checkpointDigest())
        // What is read is what was written, whatever the disk has done to it since.
        if let seal = try executor.storedSeal(), seal != base.digest {
            throw ShardStateError.digestMismatch(got: base.digest, expected: seal)
        }
        let configuration = ReplicaConfiguration(
            cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, group: manifest.group(of: shard), me: me,
            signer: signer, limits: options.replica)
        var ready = ReplicaReady()
        let replica = Replica(configuration: configuration, base: base, records: records, now: now, into: &ready)
        var node = ShardNode(
            shard: shard, me: me, hosts: manifest.hosts(of: shard), replica: replica, executor: executor,
            manifest: manifest, options: options)
        for case .stable(let checkpoint) in records where checkpoint.sequence == base.sequence && checkpoint.digest != base.digest {
            throw ShardStateError.digestMismatch(got: base.digest, expected: checkpoint.digest)
        }
        // A flush that the crash came before is due again: peers that lag can fetch a state only where f + 1 hold the same.
        let due = ready.executes.map(\.sequence).filter { isFlushDue(at: $0, options) }
        let freezesAt = due.last { $0 <= replica.stable.sequence } ?? due.first
        var checkpoints: [Checkpoint] = []
        for (sequence, batch) in ready.executes {
            let executed = try node.executor.execute(batch, sequence: sequence)
            node.recent.append(executed.statement, executed.leaves)
            if replica.isCheckpoint(sequence) {
                checkpoints.append(Checkpoint(sequence: sequence, digest: try node.executor.checkpointDigest()))
            }
            if sequence == freezesAt { node.frozen = node.executor.freeze() }
        }
        node.taken = checkpoints
        for checkpoint in checkpoints { node.step(.checkpointTaken(checkpoint), now: now) }
        return node
    }

    public var shards: [ShardID] { nodes.map(\.shard) }
    /// - Parameter now: nil leaves out for how long records have been undecided.
    public func status(now: Instant? = nil) -> [ReplicaStatus] { nodes.map { $0.status(now: now) } }

    func node(_ shard: ShardID) -> Int? {
        guard Int(shard.number) < nodeIndex.count, nodeIndex[Int(shard.number)] >= 0 else { return nil }
        return nodeIndex[Int(shard.number)]
    }

    public mutating func step(_ input: HostInput, now: Instant, into ready: inout HostReady) {
        wall = now.wall
        if !hasStarted {
            hasStarted = true
            for i in nodes.indices { feed(i, .started, now: now, into: &ready) }
        }
        switch input {
        case .peer(let from, let message): receive(message, from: from, now: now, into: &ready)
        case .gateway(let session, let message): receive(message, from: session, now: now, into: &ready)
        case .gatewayClosed(let session):
            sessions.remove(session)
            ledger.forget(.gateway(session))
            forgetReads(of: session)
        case .peerConnected(let peer): setConnected(peer, true)
        case .peerDisconnected(let peer): setConnected(peer, false)
        case .persisted(let position):
            gate.persisted(position)
            release(now: now, into: &ready)
        case .flushed(let shard, let sequence): flushed(shard, sequence, now: now, into: &ready)
        case .storageFailed(let reason):
            for i in nodes.indices { halt(i, "storage failed: \(reason)", into: &ready) }
        case .tick: tick(now: now, into: &ready)
        }
    }

    // Functions of the host and not of its node: asking a node would copy it.
    private func replica(_ i: Int, on host: HostID) -> ReplicaIndex? {
        nodes[i].hosts.firstIndex(of: host).map { ReplicaIndex(UInt8($0)) }
    }

    private func oldestPending(_ i: Int) -> Instant? {
        switch (nodes[i].requests.oldest, nodes[i].decides.oldest) {
        case (let a?, let b?): a.uptime <= b.uptime ? a : b
        case (let a?, nil): a
        case (nil, let b): b
        }
    }

    private mutating func setConnected(_ peer: HostID, _ isConnected: Bool) {
        if Int(peer.number) < connected.count { connected[Int(peer.number)] = isConnected }
    }

    private mutating func receive(_ message: Verified<HostMessage>, from: HostID, now: Instant, into ready: inout HostReady) {
        switch message.value {
        case .pbft(let shard, let pbft):
            guard let i = node(shard), let sender = replica(i, on: from), sender != nodes[i].me else {
                droppedMessages += 1
                return
            }
            feed(i, .message(from: sender, message.map { _ in pbft }), now: now, into: &ready)
        case .push(let shard, let push):
            guard let i = node(shard) else { return droppedMessages += 1 }
            receive(push: push, message, from: from, at: i, now: now, into: &ready)
        case .stateTransfer(let shard, let transfer):
            guard let i = node(shard), let sender = replica(i, on: from), sender != nodes[i].me else {
                return droppedMessages += 1
            }
            receive(transfer, from: sender, at: i, now: now, into: &ready)
        case .forward(let shard, let item):
            // For the primary only: a sender that is in another view would have this replica wait for what it cannot propose.
            guard let i = node(shard), replica(i, on: from) != nil, nodes[i].replica.isPrimary else { return droppedMessages += 1 }
            receive(forwarded: item, from: from, at: i, now: now, into: &ready)
        }
    }

    // MARK: A replica's step and what follows from it

    mutating func feed(_ i: Int, _ input: ReplicaInput, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        nodes[i].step(input, now: now)
        settle(i, now: now, into: &ready)
        release(now: now, into: &ready)
    }

    /// Carries out what the replica asks until it asks for nothing more, then proposes.
    mutating func settle(_ i: Int, now: Instant, into ready: inout HostReady) {
        while nodes[i].halted == nil {
            carryOut(i, now: now, into: &ready)
            guard nodes[i].halted == nil else { return }
            if nodes[i].replica.view != nodes[i].proposedIn, !nodes[i].replica.isChangingView {
                nodes[i].proposedIn = nodes[i].replica.view
                nodes[i].requests.enterView()
                nodes[i].decides.enterView()
            }
            guard let batch = nextProposal(i, now: now) else { return }
            nodes[i].step(.propose(batch), now: now)
        }
    }

    private mutating func carryOut(_ i: Int, now: Instant, into ready: inout HostReady) {
        let shard = nodes[i].shard
        while true {
            let work = nodes[i].ready
            nodes[i].ready = ReplicaReady()
            for record in work.records { append(record, of: shard, into: &ready) }
            for message in work.held { gate.hold(message, of: shard) }
            for outgoing in work.sends { send(outgoing, from: i, into: &ready) }
            droppedMessages += UInt64(work.drops.count)
            for case (let from, .timeOutOfBounds(let got, let local)) in work.drops {
                noteRefusedProposal(i, of: from, got: got, local: local, now: now, into: &ready)
            }
            if let reason = work.halt { return halt(i, reason, into: &ready) }
            for (sequence, batch) in work.executes { execute(batch, at: sequence, i, now: now, into: &ready) }
            if let minimum = work.needsState { fetchState(i, atLeast: minimum, now: now, into: &ready) }
            flushIfStable(i, into: &ready)
            if work.executes.isEmpty { return }
        }
    }

    private mutating func append(_ record: JournalRecord, of shard: ShardID, into ready: inout HostReady) {
        var writer = ByteWriter(reserving: 128)
        writer.put(shard)
        writer.put(record)
        bytesSinceCompaction += writer.bytes.count
        ready.records.append(writer.bytes)
        gate.appendRecord()
    }

    private func send(_ outgoing: ReplicaReady.Outgoing, from i: Int, into ready: inout HostReady) {
        let to: [HostID] =
            switch outgoing.to {
            case .others: nodes[i].others
            case .one(let replica): [nodes[i].hosts[replica.index]]
            }
        ready.toHosts.append(.init(to: to, message: .pbft(nodes[i].shard, outgoing.message)))
    }

    /// Lets go what has become durable: to the others, and to the own replica, whose vote counts from now on.
    mutating func release(now: Instant, into ready: inout HostReady) {
        while let (shard, message) = gate.next() {
            guard let i = node(shard), nodes[i].halted == nil else { continue }
            send(.init(to: .others, message: message), from: i, into: &ready)
            nodes[i].step(.durable(message), now: now)
            settle(i, now: now, into: &ready)
        }
    }

    mutating func halt(_ i: Int, _ reason: String, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        nodes[i].halted = reason
        ready.halts.append((nodes[i].shard, reason))
    }

    // MARK: Time

    private mutating func tick(now: Instant, into ready: inout HostReady) {
        shareTimes()
        for i in nodes.indices where nodes[i].halted == nil {
            let primary = nodes[i].hosts[nodes[i].replica.primary.index]
            let reachable = primary == host || connected[Int(primary.number)]
            let pending = nodes[i].requests.count + nodes[i].decides.count
            feed(i, .tick(oldestPending: oldestPending(i), primaryReachable: reachable, pending: pending), now: now, into: &ready)
            guard nodes[i].halted == nil else { continue }
            forwardToPrimary(i, now: now, into: &ready)
            pushUnforgotten(i, now: now, into: &ready)
            tickStateTransfer(i, now: now, into: &ready)
            proposeEmptyIfAwaited(i, now: now, into: &ready)
            watchClock(i, now: now, into: &ready)
        }
        fillReads(now: now, into: &ready)
        compactIfDue(into: &ready)
    }

    /// Hands the primary what has waited for long, and drops what will never be ordered.
    private mutating func forwardToPrimary(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard !nodes[i].replica.isPrimary || nodes[i].replica.isChangingView, now.uptime > options.forwardAfter else { return }
        // Without the state it cannot be known what was executed: ordered again, it would be one more batch to run after.
        guard nodes[i].fetching.isIdle, now.uptime >= nodes[i].forwardsFrom else {
            return
        }
        let before = now.uptime - options.forwardAfter
        guard let oldest = oldestPending(i), oldest.uptime <= before else { return }
        let items =
            nodes[i].decides.takeForForwarding(waitingSince: before, now: now.uptime, atMost: 32)
            + nodes[i].requests.takeForForwarding(waitingSince: before, now: now.uptime, atMost: 32)
        let primary = nodes[i].hosts[nodes[i].replica.orderingPrimary.index]
        for (item, times) in items where isStillWanted(item, forwarded: times, i, now: now, into: &ready) && primary != host {
            ready.toHosts.append(.init(to: [primary], message: .forward(nodes[i].shard, item)))
        }
    }

    /// What came after its own execution, or was overtaken by other certificates, will never be ordered: it must not make
    /// this replica suspect the primary.
    private mutating func isStillWanted(
        _ item: BatchItem, forwarded times: Int, _ i: Int, now: Instant, into ready: inout HostReady
    ) -> Bool {
        do { if try wants(item, forwarded: times, i, now: now) { return true } } catch {
            halt(i, "reading what is recorded of what waits: \(error)", into: &ready)
        }
        nodes[i].decides.remove(item.key)
        nodes[i].requests.remove(item.key)
        return false
    }

    /// How often what would change nothing is handed on, unless it is needed here.
    private static let maxVainForwards = 4

    private func wants(_ item: BatchItem, forwarded times: Int, _ i: Int, now: Instant) throws(ShardStateError) -> Bool {
        switch item {
        case .request(let request):
            if let leaf = nodes[i].recent.leaf(for: request.digest), isComplete(leaf, request, i) { return false }
            if times <= Self.maxVainForwards { return true }
            if isNeeded(request, i, now: now) { return true }
            // Past its deadline it has no effect any more. Who alone holds it under a mute primary would suspect that one for ever.
            guard max(now.wall, nodes[i].executor.time) <= request.request.deadline else { return false }
            return try !nodes[i].executor.isAnswered(request)
        case .decide(let decide):
            return switch try nodes[i].executor.effect(of: decide) {
            case .notes, .decides: true
            // The vote that it waited for was refused; whoever votes again is pushed again.
            case .noRecord: nodes[i].requests.contains(decide.request)
            case .nothing: false
            }
        case .evidence(let evidence):
            return switch try nodes[i].executor.effect(of: evidence, wall: now.wall) {
            case .changes: true
            case .question: times <= Self.maxVainForwards || isNeeded(evidence.root, i, now: now)
            case .nothing: false
            }
        }
    }

    /// Writes everything that a restart needs forward, so that the journal's older segments can go.
    private mutating func compactIfDue(into ready: inout HostReady) {
        guard bytesSinceCompaction > compactionThreshold, !ready.compacts else { return }
        bytesSinceCompaction = 0
        for i in nodes.indices {
            for record in nodes[i].replica.liveRecords() { append(record, of: nodes[i].shard, into: &ready) }
        }
        ready.compacts = true
        // What could not be left behind this time must not be rewritten at once again.
        compactionThreshold = max(options.compactionBytes, 2 * bytesSinceCompaction)
        bytesSinceCompaction = 0
    }
}
