import Messages
import PBFT
import TestSignatures

/// One shard's replicas with a network, journals and a clock that the test holds in its hands. The state machine is a
/// chain of digests: the state after n batches is the hash of their digests in order.
///
/// After every step it checks what must always hold: the replica's invariants; one batch a sequence number over all
/// replicas and all lives; no word that contradicts an earlier one; and nothing sent before it was durable (R3).
struct TestGroup {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Packet {
        let from: Int
        let to: Int
        let message: PBFTMessage
    }

    struct Node {
        var replica: Replica?
        var durable: [JournalRecord] = []
        var volatile: [JournalRecord] = []
        /// Waits until so many records of this life are durable.
        var held: [(position: Int, message: PBFTMessage)] = []
        var appended = 0
        /// What left in any life, in order, with the number of durable records that it rested on.
        var said: [(position: Int, message: PBFTMessage)] = []
        /// What a restart starts from: the store's state.
        var base: Checkpoint
        /// The state after each batch that this life executed.
        var states: [SequenceNumber: Digest]
        var executed: [SequenceNumber] = []
        var waitingSince: Instant?
        var primaryReachable = true
        var drops: [(ReplicaIndex, DropReason)] = []
        var sent: [ReplicaReady.Outgoing] = []
        /// What it wanted to have checked, in any life.
        var checks: [SignatureCheck] = []
        /// What of the batches that it executed it left out.
        var skipped: [SequenceNumber: [UInt32]] = [:]
        var needsState: SequenceNumber?
        var halt: String?
    }

    private struct Word: Hashable {
        let replica: Int
        let kind: Int
        let view: View
        let sequence: SequenceNumber
    }

    static let shard = ShardID(0)
    static let cluster = ClusterID(TestSigner(77).publicKey.value)

    let group: ReplicaGroup
    let limits: ReplicaConfiguration.Limits
    let manifest: Manifest
    var verifier: Verifier<TestScheme>
    var nodes: [Node]
    var network: [Packet] = []
    /// from × to
    var isCut: [[Bool]]
    var loses: @Sendable (Packet) -> Bool = { _ in false }
    var uptime: UInt64 = 1
    /// Of everybody's wall clock, in microseconds.
    var wallAhead: Int64 = 0
    /// Every record is durable as soon as it is written, and every stable checkpoint is in the store.
    var syncsAtOnce = true
    var flushesAtOnce = true
    /// Who is not the primary checks its share of a proposal only.
    var sharesChecks = false
    /// What a replica wants to have checked is checked at once.
    var answersChecks = true
    /// The batch that was executed at each sequence number, by anyone, ever.
    private(set) var agreed: [SequenceNumber: Digest] = [:]
    /// What was left out of it.
    private var agreedSkipped: [SequenceNumber: [UInt32]] = [:]
    private var words: [Word: Digest] = [:]
    private var batchCount: UInt64 = 0

    init(n: Int = 4, _ change: (inout ReplicaConfiguration.Limits) -> Void = { _ in }) {
        group = ReplicaGroup(n: n)
        var limits = ReplicaConfiguration.Limits()
        (limits.checkpointInterval, limits.window, limits.pipelineDepth) = (4, 16, 8)
        change(&limits)
        self.limits = limits
        manifest = Manifest(
            cluster: Self.cluster, epoch: Epoch(1),
            hosts: (0..<n).map { .init(address: "test", port: $0, publicKey: TestSigner($0).publicKey) },
            shards: [(0..<n).map { HostID(UInt16($0)) }], issuer: TestSigner(999).publicKey)
        verifier = Verifier(manifest: manifest, scheme: TestScheme())
        let base = Checkpoint(sequence: .zero, digest: .null)
        nodes = Array(repeating: Node(base: base, states: [.zero: .null]), count: n)
        isCut = Array(repeating: Array(repeating: false, count: n), count: n)
        for i in 0..<n { nodes[i].replica = Replica(configuration: configuration(i), base: base, now: now) }
    }

    var n: Int { group.n }
    var now: Instant {
        Instant(uptime: uptime, wall: Timestamp(UInt64(1_700_000_000_000_000 + Int64(uptime / 1000) + wallAhead)))
    }

    func configuration(_ i: Int) -> ReplicaConfiguration {
        ReplicaConfiguration(
            cluster: Self.cluster, epoch: Epoch(1), shard: Self.shard, group: group, me: ReplicaIndex(UInt8(i)),
            signer: TestSigner(i), limits: limits)
    }

    /// A batch unlike any other of this run.
    mutating func freshBatch() -> Batch {
        batchCount += 1
        return Batch(time: now.wall.adding(microseconds: batchCount), items: [])
    }

    func verified(_ message: PBFTMessage) throws -> Verified<PBFTMessage> {
        var verifier = verifier
        return try verifier.verify(message, shard: Self.shard)
    }

    // MARK: Steps

    /// Steps a replica and carries out what it asks; returns what it asked.
    @discardableResult
    mutating func step(_ i: Int, _ input: ReplicaInput) throws -> ReplicaReady {
        var ready = ReplicaReady()
        guard nodes[i].replica != nil else { return ready }
        let now = now
        nodes[i].replica?.step(input, now: now, into: &ready)
        try nodes[i].replica?.checkInvariants()
        try carryOut(ready, i)
        return ready
    }

    @discardableResult
    mutating func receive(_ i: Int, from: Int, _ message: PBFTMessage) throws -> ReplicaReady {
        let sender = ReplicaIndex(UInt8(from))
        guard sharesChecks else { return try step(i, .message(from: sender, try verified(message))) }
        do {
            let reader = ReplicaIndex(UInt8(i))
            return try step(i, .message(from: sender, try verifier.verify(message, shard: Self.shard, by: reader)))
        } catch let refused as Refused {
            guard case .prePrepare(let proposal) = message else { throw refused }
            return try step(i, .forged(from: sender, proposal.view, proposal.sequence))
        }
    }

    @discardableResult
    mutating func propose(_ i: Int, _ batch: Batch? = nil) throws -> Batch {
        let batch = batch ?? freshBatch()
        try step(i, .propose(batch))
        return batch
    }

    private mutating func carryOut(_ ready: ReplicaReady, _ i: Int) throws {
        var ready = ready
        let checks = ready.checks
        while true {
            let followUp = try carryOutOnce(ready, i)
            if followUp.records.isEmpty, followUp.held.isEmpty, followUp.sends.isEmpty, followUp.executes.isEmpty {
                break
            }
            ready = followUp
        }
        if syncsAtOnce { try sync(i) }
        if flushesAtOnce { try flush(i) }
        nodes[i].checks += checks
        guard answersChecks else { return }
        for check in checks { try step(i, .checked(verifier.check(check))) }
    }

    /// Returns what taking checkpoints asks for.
    private mutating func carryOutOnce(_ ready: ReplicaReady, _ i: Int) throws -> ReplicaReady {
        nodes[i].volatile += ready.records
        nodes[i].appended += ready.records.count
        for message in ready.held { nodes[i].held.append((nodes[i].appended, message)) }
        for outgoing in ready.sends {
            try checkIsDurable(outgoing.message, i)
            nodes[i].sent.append(outgoing)
            switch outgoing.to {
            case .others: broadcast(outgoing.message, from: i)
            case .one(let to): send(outgoing.message, from: i, to: to.index)
            }
        }
        nodes[i].drops += ready.drops
        nodes[i].needsState = ready.needsState ?? nodes[i].needsState
        nodes[i].halt = ready.halt ?? nodes[i].halt
        var followUp = ReplicaReady()
        let now = now
        for ordered in ready.executes {
            let sequence = ordered.sequence
            nodes[i].skipped[sequence] = ordered.skipped.isEmpty ? nil : ordered.skipped
            if let other = agreedSkipped[sequence], other != ordered.skipped {
                throw Failure(description: "replica \(i) leaves out \(ordered.skipped) at \(sequence), not \(other)")
            }
            agreedSkipped[sequence] = ordered.skipped
            try execute(ordered.batch, at: sequence, i)
            if nodes[i].replica?.isCheckpoint(sequence) == true, let state = nodes[i].states[sequence] {
                let checkpoint = Checkpoint(sequence: sequence, digest: state)
                nodes[i].replica?.step(.checkpointTaken(checkpoint), now: now, into: &followUp)
            }
        }
        return followUp
    }

    mutating func execute(_ batch: Batch, at sequence: SequenceNumber, _ i: Int) throws {
        let before = SequenceNumber(sequence.number - 1)
        guard let state = nodes[i].states[before] else {
            throw Failure(description: "replica \(i) executes \(sequence) out of order")
        }
        var hasher = Hasher256(.history)
        hasher.update(state)
        hasher.update(batch.digest)
        nodes[i].states[sequence] = hasher.finish()
        nodes[i].executed.append(sequence)
        if let other = agreed[sequence], other != batch.digest {
            throw Failure(
                description:
                    "replica \(i) executes \(batch.digest.short) at \(sequence), where \(other.short) was executed")
        }
        agreed[sequence] = batch.digest
    }

    /// Everything written so far is durable; what waited for it leaves.
    mutating func sync(_ i: Int) throws {
        nodes[i].durable += nodes[i].volatile
        nodes[i].volatile = []
        let durable = nodes[i].appended
        while let first = nodes[i].held.first, first.position <= durable {
            nodes[i].held.removeFirst()
            try say(first.message, i)
            broadcast(first.message, from: i)
            try step(i, .durable(first.message))
        }
    }

    /// The stable state reaches the store.
    mutating func flush(_ i: Int) throws {
        guard let stable = nodes[i].replica?.stable, stable.sequence > nodes[i].base.sequence else { return }
        nodes[i].base = stable
        try step(i, .flushed(stable.sequence))
    }

    mutating func tick(_ i: Int) throws {
        try step(i, .tick(oldestPending: nodes[i].waitingSince, primaryReachable: nodes[i].primaryReachable))
    }

    // MARK: Words

    private mutating func say(_ message: PBFTMessage, _ i: Int) throws {
        nodes[i].said.append((nodes[i].durable.count, message))
        guard let (kind, view, sequence, digest) = Self.content(of: message) else { return }
        let word = Word(replica: i, kind: kind, view: view, sequence: sequence)
        if let earlier = words[word], earlier != digest {
            throw Failure(description: "replica \(i) contradicts itself in view \(view) at \(sequence), kind \(kind)")
        }
        words[word] = digest
    }

    /// What `sends` repeats must have left by `held` before. A PRE-PREPARE binds nobody and may leave at once; another one
    /// in its place would be a contradiction all the same.
    private mutating func checkIsDurable(_ message: PBFTMessage, _ i: Int) throws {
        guard let (kind, view, sequence, digest) = Self.content(of: message) else { return }
        if case .prePrepare = message { return try say(message, i) }
        if case .newView(let newView) = message, newView.replica.index != i { return }
        if case .checkpoint(let checkpoint) = message, checkpoint == nodes[i].replica?.stable { return }
        guard words[Word(replica: i, kind: kind, view: view, sequence: sequence)] == digest else {
            throw Failure(description: "replica \(i) sends before it is durable: \(message)")
        }
    }

    private static func content(of message: PBFTMessage) -> (Int, View, SequenceNumber, Digest)? {
        switch message {
        case .prePrepare(let m): (1, m.view, m.sequence, m.batch.digest)
        // Whether it vouches too.
        case .prepare(let m): (2, m.view, m.sequence, Hasher256.hash(.viewChange, m.encoded()))
        case .commit(let m): (3, m.view, m.sequence, m.digest)
        case .viewChange(let m): (4, m.view, .zero, Hasher256.hash(.viewChange, m.encoded()))
        case .newView(let m): (5, m.view, .zero, Hasher256.hash(.newView, m.encoded()))
        case .checkpoint(let m): (6, View(0), m.sequence, m.digest)
        case .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
            .recollection:
            nil
        }
    }

    // MARK: Network

    mutating func broadcast(_ message: PBFTMessage, from: Int) {
        for to in 0..<n where to != from { send(message, from: from, to: to) }
    }

    mutating func send(_ message: PBFTMessage, from: Int, to: Int) {
        if !isCut[from][to] { network.append(Packet(from: from, to: to, message: message)) }
    }

    /// Delivers everything, in order, until nothing is under way.
    mutating func deliver(where isDelivered: (Packet) -> Bool = { _ in true }) throws {
        var steps = 0
        while !network.isEmpty {
            let packet = network.removeFirst()
            if isDelivered(packet), !loses(packet) { try receive(packet.to, from: packet.from, packet.message) }
            steps += 1
            guard steps < 1_000_000 else { throw Failure(description: "the group never falls silent") }
        }
    }

    mutating func cut(_ i: Int, _ cut: Bool = true) {
        for other in 0..<n where other != i { (isCut[i][other], isCut[other][i]) = (cut, cut) }
    }

    /// Ticks everybody each 20 ms and delivers everything between two ticks.
    mutating func run(milliseconds: UInt64) throws {
        let end = uptime + milliseconds * 1_000_000
        while uptime < end {
            uptime += 20_000_000
            for i in 0..<n { try tick(i) }
            try deliver()
        }
    }

    // MARK: Crash and restart

    /// - Parameter surviving: how many of the records that were not synced reached the disk all the same.
    mutating func crash(_ i: Int, surviving: Int = 0) {
        nodes[i].replica = nil
        nodes[i].durable += nodes[i].volatile.prefix(surviving)
        (nodes[i].volatile, nodes[i].held, nodes[i].waitingSince) = ([], [], nil)
        network.removeAll { $0.from == i && $0.to != i || $0.to == i }
    }

    /// - Parameter losingJournal: no record is left, and the replica knows it (R4).
    mutating func restart(_ i: Int, losingJournal: Bool = false) throws {
        var ready = ReplicaReady()
        let now = now
        if losingJournal { nodes[i].durable = [] }
        let node = nodes[i]
        nodes[i].appended = node.durable.count
        var replica = Replica(
            configuration: configuration(i), base: node.base, records: node.durable, now: now, into: &ready)
        if losingJournal { replica.quarantine(now: now, into: &ready) }
        nodes[i].replica = replica
        nodes[i].states = [node.base.sequence: node.base.digest]
        try carryOut(ready, i)
        try nodes[i].replica?.checkInvariants()
        try step(i, .started)
        try sync(i)
    }

    /// Everybody waits for something to be ordered, so that a dead primary is suspected.
    mutating func everybodyWaits() { for i in 0..<n { nodes[i].waitingSince = now } }
    mutating func nobodyWaits() { for i in 0..<n { nodes[i].waitingSince = nil } }

    /// Everybody waits until all live replicas have installed this view or a later one.
    mutating func changeView(to target: UInt64) throws {
        everybodyWaits()
        for _ in 0..<1500 {
            try run(milliseconds: 20)
            if live.allSatisfy({ view($0) >= target && !isChangingView($0) }) {
                nobodyWaits()
                return try run(milliseconds: 1000)
            }
        }
        throw Failure(description: "view \(target) is not installed: \(live.map { view($0) })")
    }

    // MARK: Questions

    func lastExecuted(_ i: Int) -> UInt64 { nodes[i].replica?.lastExecuted.number ?? 0 }
    func view(_ i: Int) -> UInt64 { nodes[i].replica?.view.number ?? 0 }
    func isChangingView(_ i: Int) -> Bool { nodes[i].replica?.isChangingView ?? false }
    var live: [Int] { (0..<n).filter { nodes[$0].replica != nil } }

    /// The primary of the highest view that 2f + 1 live replicas have installed.
    var primary: Int? {
        let installed = live.filter { !isChangingView($0) }.map { view($0) }.sorted(by: >)
        guard installed.count >= group.quorum else { return nil }
        let i = group.primary(of: View(installed[group.quorum - 1]), in: Self.shard).index
        return nodes[i].replica?.canPropose == true ? i : nil
    }
}

extension Vote {
    /// As of a fresh proposal.
    var vouched: Prepare { Prepare(self, vouches: true) }
}
