import Cores
import Messages

/// A message on its way, with the bytes of its frame. One for all who get it.
final class Note<Value: Sendable>: Sendable {
    let value: Value
    let kind: FrameKind
    let bytes: Int

    init(_ value: Value, _ kind: FrameKind, bytes: Int) { (self.value, self.kind, self.bytes) = (value, kind, bytes) }
}

/// A request on its way from the load, by the load's own number.
struct Issued: Sendable {
    let id: UInt64
    let channel: Int
    let request: SignedRequest
}

/// What threads do. A host has one for its sockets, one for its protocol, one for its journal, one for its stores, and
/// verifiers; a gateway one for sockets and core, and a verifier; each channel of the load has one.
enum Job {
    // A host's sockets.
    case peerFrame(from: Int, Note<HostMessage>)
    case gatewayFrame(from: Int, Note<GatewayMessage>)
    case hostSends([HostReady.Outgoing], [HostReady.Reply])
    // Its verifiers.
    case checkPeer(from: Int, Note<HostMessage>)
    case checkGateway(from: Int, Note<GatewayMessage>)
    case check(HostCheck)
    // Its protocol.
    case input(HostInput)
    // Its journal. `position` is the last one's.
    case append(bytes: Int, count: Int, position: UInt64)
    // Its stores.
    case archive(bytes: Int)
    case flush(StateFlush)
    case stage(BucketStaging)
    // A gateway's sockets and core.
    case submit(Issued, Note<SignedRequest>)
    case hostFrame(from: Int, Note<HostReply>)
    case gatewayInput(GatewayInput)
    // Its verifier.
    case checkReply(from: Int, Note<HostReply>)
    case checkRequest(GatewayCheck)
    // The load.
    case issue([Issued])
    case answer(id: UInt64, Note<GatewayReply>)
}

/// How large frames are. Where a message carries its own bytes nothing is encoded to find out.
enum FrameSize {
    /// Of a frame's length.
    private static let header = 4

    static func note(_ message: HostMessage) -> Note<HostMessage> {
        switch message {
        case .pbft(_, .prePrepare(let proposal)):
            Note(message, .prePrepare, bytes: header + 64 + proposal.batch.bytes.count)
        // 1 kind, 2 shard, 1 kind, 8 view, 8 sequence, 32 digest; what a PREPARE says of requests is a few bytes more.
        case .pbft(_, .prepare), .pbft(_, .commit): Note(message, .vote, bytes: header + 60)
        case .push: Note(message, .push, bytes: header + message.encoded().count)
        case .forward(_, .request(let request)): Note(message, .submit, bytes: header + 72 + request.bytes.count)
        case .pbft, .stateTransfer, .forward: Note(message, .other, bytes: header + message.encoded().count)
        }
    }

    static func note(_ message: GatewayMessage) -> Note<GatewayMessage> {
        switch message {
        case .submit(let shards, let request):
            Note(message, .submit, bytes: header + 73 + 2 * shards.count + request.bytes.count)
        case .decides: Note(message, .decides, bytes: header + message.encoded().count)
        case .evidence, .account, .status, .audit, .read, .stamps, .archive, .observe:
            Note(message, .other, bytes: header + message.encoded().count)
        }
    }

    static func note(_ reply: HostReply) -> Note<HostReply> {
        switch reply {
        case .attestation(let attestation):
            // Digest, counted entries with a leg and its status, and whether there is a call.
            Note(
                reply, .attestation,
                bytes: attestation.leaves.reduce(header + 240) { $0 + 37 + 4 * $1.entries.count })
        case .refused: Note(reply, .refusal, bytes: header + 60)
        case .account, .status, .audit, .read, .stamps, .archive, .observation:
            Note(reply, .other, bytes: header + reply.encoded().count)
        }
    }

    static func note(_ reply: GatewayReply) -> Note<GatewayReply> {
        switch reply {
        case .receipt(_, let receipt, _, _):
            Note(
                reply, .receipt,
                bytes: receipt.certificates.reduce(header + 90 + receipt.request.bytes.count) {
                    $0 + 224 + 37 + 4 * $1.leaf.entries.count + 65 * $1.signatures.count
                        + 32 * $1.path.siblings.count
                })
        case .rejected, .account, .status, .read, .stamps: Note(reply, .other, bytes: header + 32)
        }
    }

    static func note(_ request: SignedRequest) -> Note<SignedRequest> {
        Note(request, .submit, bytes: header + 73 + request.bytes.count)
    }
}

/// What the costs of a step are counted in.
extension StepKind {
    static func of(_ input: HostInput) -> (kind: StepKind, units: Int) {
        switch input {
        case .peer(_, let message):
            switch message.value {
            case .pbft(_, .prePrepare(let proposal)): (.prePrepare, proposal.batch.items.count)
            case .pbft(_, .prepare): (.prepare, 0)
            case .pbft(_, .commit): (.commit, 0)
            case .pbft(_, .checkpoint): (.checkpoint, 0)
            case .pbft, .stateTransfer: (.otherPBFT, 0)
            case .push: (.push, 0)
            case .forward: (.forward, 0)
            }
        case .gateway(_, let message):
            switch message.value {
            case .submit: (.submit, 0)
            case .decides(_, let decides): (.decides, decides.count)
            case .evidence, .account, .status, .audit, .read, .stamps, .archive, .observe: (.question, 0)
            }
        case .unchecked, .unsigned, .submissionChecked: (.submit, 0)
        case .checked: (.checked, 0)
        case .persisted: (.persisted, 0)
        case .flushed: (.flushed, 0)
        case .tick: (.hostTick, 0)
        case .forged, .gatewayClosed, .peerConnected, .peerDisconnected, .staged, .storageFailed, .stateDamaged:
            (.otherPBFT, 0)
        }
    }

    static func of(_ input: GatewayInput) -> (kind: StepKind, units: Int) {
        switch input {
        case .submitted, .client: (.request, 0)
        case .checked, .checkDropped: (.answerChecked, 0)
        case .host(_, let reply):
            if case .attestation(let attestation) = reply.value {
                (.attestation, attestation.leaves.count)
            } else {
                (.refusal, 0)
            }
        case .tick: (.gatewayTick, 0)
        case .clientClosed, .hostConnected, .hostDisconnected: (.refusal, 0)
        }
    }
}
