import Cores
import Gateway
import Messages
import Transport

/// The protocol's mailbox, made before the engine that reads it: what arrives earlier is kept.
typealias HostInbox = BoundedMailbox<HostInboxBound>

/// Of the messages from outside that wait for the protocol. What gateways say has a part of the bytes, which their
/// sessions share, so that a flood of questions leaves the peers their room. Peers share the rest, and half of the
/// number: one that says what costs no signature without end leaves the others theirs.
struct HostInboxBound: MailboxBound {
    private let maxInputs: Int
    private let maxBytes: Int
    private var inputs = 0
    private var bytes = 0
    private var gateways: FairShare<SessionID>
    private var peers: (inputs: FairShare<HostID>, bytes: FairShare<HostID>)

    /// - Parameters:
    ///   - inputs: of everything.
    ///   - bytes: of everything.
    ///   - gatewayBytes: of what gateways and tools say.
    ///   - gateways: how many of them there may be.
    ///   - peers: how many other hosts there are.
    init(inputs: Int, bytes: Int, gatewayBytes: Int, gateways: Int, peers: Int) {
        (maxInputs, maxBytes) = (inputs, bytes)
        self.gateways = FairShare(limit: gatewayBytes, holders: gateways)
        self.peers = (
            FairShare(limit: inputs / 2, holders: max(1, peers)),
            FairShare(limit: max(0, bytes - gatewayBytes), holders: max(1, peers))
        )
    }

    mutating func admit(_ input: HostInput) -> Bool {
        // Who is connected must be known whatever the load, and what the disk has done; there are few such events.
        guard input.isMessage else { return true }
        guard inputs < maxInputs, bytes < maxBytes else { return false }
        switch input {
        case .gateway(let session, _), .unchecked(let session, _, _), .unsigned(let session, _, _):
            if !gateways.take(input.shareWeight, for: session) { return false }
        case .peer(let host, _), .forged(let host, _, _, _): if !take(input.weight, for: host) { return false }
        default: break
        }
        inputs += 1
        bytes += input.weight
        return true
    }

    private mutating func take(_ weight: Int, for host: HostID) -> Bool {
        guard peers.inputs.take(1, for: host) else { return false }
        if peers.bytes.take(weight, for: host) { return true }
        peers.inputs.giveBack(1, from: host)
        return false
    }

    mutating func taken(_ input: HostInput) {
        guard input.isMessage else { return }
        inputs -= 1
        bytes -= input.weight
        switch input {
        case .gateway(let session, _), .unchecked(let session, _, _), .unsigned(let session, _, _):
            gateways.giveBack(input.shareWeight, from: session)
        case .peer(let host, _), .forged(let host, _, _, _):
            peers.inputs.giveBack(1, from: host)
            peers.bytes.giveBack(input.weight, from: host)
        default: break
        }
    }
}

extension HostInput {
    fileprivate var isMessage: Bool {
        switch self {
        case .peer, .gateway, .unchecked, .unsigned, .forged: true
        // What the protocol asked for is bounded where it is asked.
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed,
            .stateDamaged, .tick, .checked, .submissionChecked:
            false
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .peer(_, let message): message.value.weight
        case .gateway(_, let message): message.value.weight
        case .unchecked(_, _, let request): request.bytes.count + 256
        case .unsigned: 256
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed,
            .stateDamaged, .tick, .forged, .checked, .submissionChecked:
            0
        }
    }

    /// What a message takes of its session's share: answering the smallest costs more than its bytes.
    fileprivate var shareWeight: Int { max(weight, 2048) }
}
