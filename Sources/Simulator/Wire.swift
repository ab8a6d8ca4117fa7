import Cores
import Messages

/// What becomes of a message on its way: whether it can be read, and what the reader's verifier says of it.
struct Wire {
    /// What a correct sender's message must never be.
    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    var verifier: Verifier<StandInScheme>
    /// By host of the manifest.
    private let rules: [CheckingRule]
    /// Messages that were looked at.
    private var opened = 0

    init(manifest: Manifest, options: HostOptions) {
        verifier = Verifier(manifest: manifest, scheme: StandInScheme())
        rules = manifest.hosts.indices.map {
            CheckingRule(manifest: manifest, host: HostID(UInt16($0)), options: options)
        }
    }

    private func rule(of host: HostID) -> CheckingRule { rules[Int(host.number)] }

    /// Over the wire and back: what is sent must be what is read. Coding all that is sent would take most of a run's
    /// time, so it is one message in sixteen, and each of the kinds that are rare.
    mutating func open(_ parcel: Parcel, from: HostID, at to: HostID) throws(Unreadable) -> HostInput {
        if let verified = parcel.verified { return .peer(from, verified) }
        var message = parcel.message
        opened += 1
        if opened.isMultiple(of: 16) || parcel.message.isRare {
            guard let decoded = try? HostMessage(decoding: message.encoded()), decoded == message else {
                throw Unreadable(description: "\(message) cannot be read back")
            }
            message = decoded
        }
        let input = rule(of: to).verify(message, from: from, by: &verifier)
        guard case .peer(_, let verified)? = input else {
            throw Unreadable(description: "\(message) from \(from) is refused")
        }
        // Of a proposal each has a share of its own.
        if verified.pbft?.prePrepare == nil { parcel.verified = verified }
        return .peer(from, verified)
    }

    mutating func open(_ reply: HostReply, from: Int) throws(Unreadable) -> Verified<HostReply> {
        var reply = reply
        opened += 1
        if opened.isMultiple(of: 16) {
            guard let decoded = try? HostReply(decoding: reply.encoded()) else {
                throw Unreadable(description: "reply from host \(from) cannot be read back: \(reply)")
            }
            reply = decoded
        }
        guard let verified = try? verifier.verify(reply) else {
            throw Unreadable(description: "reply from host \(from) is refused: \(reply)")
        }
        return verified
    }

    /// What a liar says: what cannot be read or is refused is dropped, as the transport does.
    mutating func open(_ distorted: Distorted, from: HostID, at to: HostID) -> HostInput? {
        guard let decoded = try? HostMessage(decoding: distorted.message.encoded()) else { return nil }
        return rule(of: to).verify(decoded, from: from, by: &verifier)
    }

    /// What the gateway or another says to a host; what cannot be read is dropped.
    mutating func open(
        _ message: GatewayMessage, from session: SessionID, at to: HostID, primary: (ShardID) -> ReplicaIndex?
    ) -> HostInput? {
        var message = message
        opened += 1
        var isShared = false
        if case .decides(_, let decides) = message { isShared = decides.count > 1 }
        if opened.isMultiple(of: 16) || isShared {
            guard let decoded = try? GatewayMessage(decoding: message.encoded()), decoded == message else { return nil }
            message = decoded
        }
        return rule(of: to).verify(message, from: session, by: &verifier, primary: primary)
    }

    mutating func open(_ distorted: DistortedReply) -> Verified<HostReply>? {
        guard let decoded = try? HostReply(decoding: distorted.reply.encoded()) else { return nil }
        return try? verifier.verify(decoded)
    }
}

/// What a Byzantine host sends instead of what its core asked for.
struct Distorted {
    var message: HostMessage
    var delay: UInt64 = 0
    /// Nil while the message is what the core said.
    var act: ByzantineAct?
}

struct DistortedReply {
    var reply: HostReply
    var act: ByzantineAct?
}

extension HostMessage {
    /// Of a kind that too few are sent of to leave most of them out.
    var isRare: Bool {
        switch self {
        case .pbft(_, let message):
            switch message {
            case .prePrepare, .prepare, .commit, .checkpoint, .status: false
            case .suspect, .viewChange, .newView, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody,
                .resumed, .recollection:
                true
            }
        case .push: false
        case .stateTransfer(_, let message): if case .checkpoint = message { false } else { true }
        case .forward: true
        }
    }
}
