import CoreMetrics
import Cores
import Messages
import Meter
import Synchronization

/// From what the transport delivers to what the protocol takes: messages that carry signatures pass the verifiers,
/// the others go straight on. What the protocol wants to have checked itself passes them too.
final class HostInbound: Sendable {
    private enum Work: Sendable {
        case event(TransportEvent)
        case check(HostCheck)
    }
    private typealias Stage = VerifyingStage<Work, HostInput>
    /// Whether they are quiet: none of them needs anything done at once.
    typealias Deliver = @Sendable ([HostInput], Bool) -> Void

    private let stage: Stage
    private let host: HostID
    private let primaries: PrimaryHints
    private let counters: RuntimeCounters
    private let deliver: Deliver
    /// Nil unless requests are traced.
    private let ring: StampRing?
    private let rule: CheckingRule
    /// For what costs no signature: it carries none, or only such as the verifiers have checked already.
    private let unsigned: Remembering
    private let votes: Mutex<QuietVotes>
    private let batchTimes: BatchTimes

    /// - Parameter deliver: from several threads.
    init(
        manifest: Manifest, host: HostID, options: HostOptions, threads: RuntimeThreads, sessions: Int,
        counters: RuntimeCounters, ring: StampRing?, batchTimes: BatchTimes, deliver: @escaping Deliver
    ) {
        self.batchTimes = batchTimes
        (self.host, self.counters, self.deliver, self.ring) = (host, counters, deliver, ring)
        let primaries = PrimaryHints(manifest)
        let rule = CheckingRule(manifest: manifest, host: host, options: options)
        (self.primaries, self.rule) = (primaries, rule)
        votes = Mutex(QuietVotes(manifest: manifest, host: host, options: options))
        let unsigned = Remembering(Verifier(manifest: manifest, scheme: Ed25519Scheme()))
        self.unsigned = unsigned
        stage = Stage(
            manifest: manifest, on: threads.verifiers,
            sources: .init(urgent: manifest.hosts.count, ordinary: manifest.hosts.count + sessions), counters: counters,
            check: { verifier, _, work in
                switch work {
                case .check(let check): return check.carryOut(by: &verifier)
                case .event(let event):
                    let input = Self.check(event, rule, primaries, &verifier)
                    if input?.isGenuine != true { counters.unverified.increment() }
                    if let ring, case .gateway(_, let verified)? = input { ring.note(.verified, verified.value) }
                    return input
                }
            },
            deliver: { inputs in
                unsigned.note(inputs)
                deliver(inputs, inputs.allSatisfy { $0.isQuiet(at: host, manifest, primaries) })
            })
    }

    /// What is written down, as the protocol's thread has it now: votes that come later for it are not needed.
    func note(_ records: [HostRecord]) {
        if !records.isEmpty { votes.withLock { $0.note(records) } }
    }

    /// Who leads, as the protocol's thread has it now: what gateways submit is checked accordingly.
    func note(_ primary: ReplicaIndex, of shard: ShardID) { primaries.note(primary, of: shard) }

    /// What the protocol's thread asks for.
    func check(_ checks: [HostCheck]) {
        guard !checks.isEmpty else { return }
        var urgent: [Stage.Entry] = []
        var ordinary: [Stage.Entry] = []
        for check in checks {
            let source = check.session.map { Self.source($0) } ?? UInt64(host.number)
            let entry = Stage.Entry(item: .check(check), source: source, weight: check.weight)
            if check.isUrgent { urgent.append(entry) } else { ordinary.append(entry) }
        }
        stage.submit(urgent: urgent, ordinary: ordinary)
    }

    private static func source(_ session: SessionID) -> UInt64 { 1 << 32 | session.number }

    func stop() { stage.stop() }

    func receive(_ events: [TransportEvent]) {
        batchTimes.noteRead(events)
        var urgent: [Stage.Entry] = []
        var ordinary: [Stage.Entry] = []
        var direct: [HostInput] = []
        var isQuiet = true
        for event in events {
            switch event {
            case .peer(let host, let message):
                if message.passesVerifiers, !unsigned.knows(message) {
                    let entry = Stage.Entry(item: .event(event), source: UInt64(host.number), weight: message.weight)
                    if message.isUrgent { urgent.append(entry) } else { ordinary.append(entry) }
                } else if let input = unsigned.verifier.withLock({ Self.check(event, rule, primaries, &$0) }) {
                    direct.append(input)
                    if !votes.withLock({ $0.isQuiet(message, from: host) }) { isQuiet = false }
                }
            case .gateway(let session, let message):
                ring?.note(.received, message)
                // Through the same lane even where nothing is to be checked: `gatewayClosed` must come last.
                ordinary.append(.init(item: .event(event), source: Self.source(session), weight: message.weight))
            case .gatewayClosed(let session):
                ordinary.append(.init(item: .event(event), source: Self.source(session), weight: 0))
            case .peerConnected(let host):
                direct.append(.peerConnected(host))
                isQuiet = false
            case .peerDisconnected(let host):
                direct.append(.peerDisconnected(host))
                isQuiet = false
            }
        }
        if !direct.isEmpty { deliver(direct, isQuiet) }
        stage.submit(urgent: urgent, ordinary: ordinary)
    }

    private static func check(
        _ event: TransportEvent, _ rule: CheckingRule, _ primaries: PrimaryHints,
        _ verifier: inout Verifier<Ed25519Scheme>
    ) -> HostInput? {
        switch event {
        case .peer(let host, let message): rule.verify(message, from: host, by: &verifier)
        case .gateway(let session, let message):
            rule.verify(message, from: session, by: &verifier) { primaries[$0] }
        case .gatewayClosed(let session): .gatewayClosed(session)
        case .peerConnected(let host): .peerConnected(host)
        case .peerDisconnected(let host): .peerDisconnected(host)
        }
    }
}

/// What the verifiers have checked of late: a proposal of nothing but that need not pass them, which is the common case
/// where gateways bring each request to all replicas.
private final class Remembering: Sendable {
    let verifier: Mutex<Verifier<Ed25519Scheme>>
    init(_ verifier: Verifier<Ed25519Scheme>) { self.verifier = Mutex(verifier) }

    func note(_ inputs: [HostInput]) {
        verifier.withLock { verifier in
            for case .gateway(_, let message) in inputs {
                if let request = message.submitted { verifier.remember(request) }
            }
        }
    }

    func knows(_ message: HostMessage) -> Bool {
        guard case .pbft(_, .prePrepare(let proposal)) = message else { return false }
        return verifier.withLock { $0.remembers(proposal.batch) }
    }
}

extension HostInput {
    /// Not if it says that something is forged.
    fileprivate var isGenuine: Bool {
        switch self {
        case .forged, .unsigned: false
        default: true
        }
    }

    /// Whether it only waits for what others do: a request at a host that leads none of its shards.
    fileprivate func isQuiet(at host: HostID, _ manifest: Manifest, _ primaries: PrimaryHints) -> Bool {
        let shards: [ShardID]
        switch self {
        case .gateway(_, let message):
            guard case .submit(let all, _) = message.value else { return false }
            shards = all
        case .unchecked(_, let all, _): shards = all
        case .gatewayClosed: return true
        case .peer, .forged, .unsigned, .checked, .submissionChecked, .peerConnected, .peerDisconnected, .persisted,
            .flushed, .staged, .storageFailed, .stateDamaged, .tick:
            return false
        }
        return shards.allSatisfy { shard in
            guard let primary = primaries[shard] else { return true }
            return manifest.replica(of: shard, on: host) != primary
        }
    }
}

/// For each shard who leads it, written by the protocol's thread and read by the verifiers. A wrong one costs a little
/// work: too much is checked, or the shard asks for the check.
final class PrimaryHints: Sendable {
    private final class Hint: Sendable {
        let replica: Atomic<UInt8>
        init(_ replica: ReplicaIndex) { self.replica = Atomic(UInt8(replica.index)) }
    }

    private let hints: [Hint]

    init(_ manifest: Manifest) {
        hints = manifest.shards.indices.map {
            let shard = ShardID(UInt16($0))
            return Hint(manifest.group(of: shard).primary(of: View(0), in: shard))
        }
    }

    func note(_ primary: ReplicaIndex, of shard: ShardID) {
        hints[Int(shard.number)].replica.store(UInt8(primary.index), ordering: .relaxed)
    }

    subscript(shard: ShardID) -> ReplicaIndex? {
        guard Int(shard.number) < hints.count else { return nil }
        return ReplicaIndex(hints[Int(shard.number)].replica.load(ordering: .relaxed))
    }
}

extension HostMessage {
    /// Whether checking it costs signatures, or it may be large: the verifiers' lanes are bounded in bytes for each
    /// source.
    package var passesVerifiers: Bool {
        switch self {
        case .pbft(_, let message):
            switch message {
            case .prePrepare, .batch, .viewChange, .newView, .committed, .committedBody: true
            case .resumed(let resumption): resumption.declaration != nil
            case .recollection(let recollection): recollection.declaration != nil
            case .prepare, .commit, .checkpoint, .suspect, .status, .fetchBatch, .fetchCommitted: false
            }
        case .push, .forward, .stateTransfer: true
        }
    }

    /// Whether it passes what gateways say: ordering does, and what ends undecided transactions (R12).
    package var isUrgent: Bool {
        switch self {
        case .pbft, .push, .stateTransfer: true
        case .forward: false
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .pbft(_, .prePrepare(let prePrepare)): prePrepare.batch.memory + 256
        case .pbft(_, .batch(let batch)), .pbft(_, .committedBody(let batch)): batch.memory + 256
        case .pbft(_, .viewChange): 64 << 10
        case .pbft(_, .newView): 512 << 10
        case .pbft(_, .committed(let claims)):
            claims.skipped.reduce(claims.digests.count * 32 + 512) { $0 + $1.places.count * 4 + 16 }
        case .pbft: 512
        case .stateTransfer(_, .bucket(_, _, _, _, let entries)):
            entries.reduce(512) { $0 + $1.key.count + $1.value.count + 64 }
        case .stateTransfer(_, .checkpoint(_, let metadata, let buckets)): metadata.count + buckets.count * 32 + 512
        case .stateTransfer: 512
        case .push(_, let push): push.request.bytes.count + 1024
        case .forward(_, .request(let request)): request.bytes.count + 256
        case .forward(_, .decide(let decide)): decide.certificates.count * 4096 + 256
        case .forward(_, .evidence(let evidence)): evidence.root.bytes.count + evidence.certificates.count * 4096 + 256
        }
    }
}

extension GatewayMessage {
    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .submit(_, let request): request.bytes.count + 256
        case .decides(_, let decides): decides.reduce(256) { $0 + $1.maxSize }
        case .evidence(_, let evidence): evidence.root.bytes.count + evidence.certificates.count * 4096 + 256
        case .account, .status, .audit, .read, .stamps, .archive, .observe: 256
        }
    }
}
