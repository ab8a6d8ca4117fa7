import Cores
import Gateway
import Transport

/// The protocol's mailbox, made before the engine that reads it: what arrives earlier is kept.
typealias HostInbox = BoundedMailbox<HostInboxBound>

/// Of the messages from outside that wait for the protocol. What gateways say has a part of the bytes, which their
/// sessions share, so that a flood of questions leaves the peers their room.
struct HostInboxBound: MailboxBound {
    private let maxInputs: Int
    private let maxBytes: Int
    private var inputs = 0
    private var bytes = 0
    private var gateways: FairShare<SessionID>

    /// - Parameters:
    ///   - inputs: of everything.
    ///   - bytes: of everything.
    ///   - gatewayBytes: of what gateways and tools say.
    ///   - gateways: how many of them there may be.
    init(inputs: Int, bytes: Int, gatewayBytes: Int, gateways: Int) {
        (maxInputs, maxBytes) = (inputs, bytes)
        self.gateways = FairShare(limit: gatewayBytes, holders: gateways)
    }

    mutating func admit(_ input: HostInput) -> Bool {
        // Who is connected must be known whatever the load, and what the disk has done; there are few such events.
        guard input.isMessage else { return true }
        guard inputs < maxInputs, bytes < maxBytes else { return false }
        if case .gateway(let session, _) = input, !gateways.take(input.shareWeight, for: session) { return false }
        inputs += 1
        bytes += input.weight
        return true
    }

    mutating func taken(_ input: HostInput) {
        guard input.isMessage else { return }
        inputs -= 1
        bytes -= input.weight
        if case .gateway(let session, _) = input { gateways.giveBack(input.shareWeight, from: session) }
    }
}

extension HostInput {
    fileprivate var isMessage: Bool {
        switch self {
        case .peer, .gateway: true
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed, .tick:
            false
        }
    }

    /// Bytes, roughly.
    var weight: Int {
        switch self {
        case .peer(_, let message): message.value.weight
        case .gateway(_, let message): message.value.weight
        case .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .flushed, .staged, .storageFailed, .tick: 0
        }
    }

    /// What a message takes of its session's share: answering the smallest costs more than its bytes.
    fileprivate var shareWeight: Int { max(weight, 2048) }
}
