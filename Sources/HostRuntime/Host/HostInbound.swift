import CoreMetrics
import Cores
import Messages
import Meter
import Synchronization

/// From what the transport delivers to what the protocol takes: messages that carry signatures pass the verifiers,
/// the others go straight on.
final class HostInbound: Sendable {
    private typealias Stage = VerifyingStage<TransportEvent, HostInput>

    private let stage: Stage
    private let counters: RuntimeCounters
    private let deliver: @Sendable ([HostInput]) -> Void
    /// Nil unless requests are traced.
    private let ring: StampRing?
    /// For what carries no signature, so it needs no memory.
    private let unsigned: Mutex<Verifier<Ed25519Scheme>>

    /// - Parameter deliver: from several threads.
    init(
        manifest: Manifest, threads: RuntimeThreads, sessions: Int, counters: RuntimeCounters, ring: StampRing?,
        deliver: @escaping @Sendable ([HostInput]) -> Void
    ) {
        (self.counters, self.deliver, self.ring) = (counters, deliver, ring)
        unsigned = Mutex(Verifier(manifest: manifest, scheme: Ed25519Scheme(), remembered: 2))
        stage = Stage(
            manifest: manifest, on: threads.verifiers,
            sources: .init(urgent: manifest.hosts.count, ordinary: manifest.hosts.count + sessions), counters: counters,
            check: { verifier, _, event in
                guard let input = Self.check(event, &verifier) else {
                    counters.unverified.increment()
                    return nil
                }
                if let ring, case .gateway(_, let message) = event { ring.note(.verified, message) }
                return input
            },
            deliver: deliver)
    }

    func stop() { stage.stop() }

    func receive(_ events: [TransportEvent]) {
        var urgent: [Stage.Entry] = []
        var ordinary: [Stage.Entry] = []
        var direct: [HostInput] = []
        for event in events {
            switch event {
            case .peer(let host, let message):
                if message.passesVerifiers {
                    let entry = Stage.Entry(item: event, source: UInt64(host.number), weight: message.weight)
                    if message.isUrgent { urgent.append(entry) } else { ordinary.append(entry) }
                } else if let input = unsigned.withLock({ Self.check(event, &$0) }) {
                    direct.append(input)
                }
            case .gateway(let session, let message):
                ring?.note(.received, message)
                // Through the same lane even where nothing is to be checked: `gatewayClosed` must come last.
                ordinary.append(.init(item: event, source: 1 << 32 | session.number, weight: message.weight))
            case .gatewayClosed(let session):
                ordinary.append(.init(item: event, source: 1 << 32 | session.number, weight: 0))
            case .peerConnected(let host): direct.append(.peerConnected(host))
            case .peerDisconnected(let host): direct.append(.peerDisconnected(host))
            }
        }
        if !direct.isEmpty { deliver(direct) }
        stage.submit(urgent: urgent, ordinary: ordinary)
    }

    private static func check(_ event: TransportEvent, _ verifier: inout Verifier<Ed25519Scheme>) -> HostInput? {
        switch event {
        case .peer(let host, let message): (try? verifier.verify(message)).map { .peer(host, $0) }
        case .gateway(let session, let message): (try? verifier.verify(message)).map { .gateway(session, $0) }
        case .gatewayClosed(let session): .gatewayClosed(session)
        case .peerConnected(let host): .peerConnected(host)
        case .peerDisconnected(let host): .peerDisconnected(host)
        }
    }
}

extension HostMessage {
    /// Whether checking it costs signatures, or it may be large: the verifiers' lanes are bounded in bytes for each
    /// source.
    var passesVerifiers: Bool {
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
    var isUrgent: Bool {
        switch self {
        case .pbft, .push, .stateTransfer: true
        case .forward: false
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .pbft(_, .prePrepare(let prePrepare)): prePrepare.batch.bytes.count + 256
        case .pbft(_, .batch(let batch)), .pbft(_, .committedBody(let batch)): batch.bytes.count + 256
        case .pbft(_, .viewChange): 64 << 10
        case .pbft(_, .newView): 512 << 10
        case .pbft(_, .committed(let claims)): claims.digests.count * 32 + 512
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
        case .decide(_, let decide): decide.certificates.count * 4096 + 256
        case .evidence(_, let evidence): evidence.root.bytes.count + evidence.certificates.count * 4096 + 256
        case .account, .status, .audit, .read, .stamps: 256
        }
    }
}
