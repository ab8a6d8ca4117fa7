import CoreMetrics
import Messages
import Meter

/// What kinds of messages leave a process, as its counters name them.
enum SentKind: Int, CaseIterable {
    // Between hosts.
    case prePrepare
    case prepare
    case commit
    case checkpoint
    /// VIEW-CHANGE, NEW-VIEW, suspicions and what a replica says that rejoins.
    case viewChange
    /// STATUS, and what is asked and answered where something went missing.
    case repair
    case push
    case stateTransfer
    case forward
    // From hosts to gateways, and from gateways to clients.
    case attestation
    case refusal
    case receipt
    /// Reads, statuses and other answers to a question.
    case answer
    // From gateways to hosts.
    case submit
    case decide
    case evidence
    case question
}

/// Counts what leaves by kind, and adds it to the process's counters once for all that leaves together. A message
/// counts once for each that it is for, connected or not, with the bytes of its frame before TLS. Lives on the loop of
/// the connections.
struct SentMessages {
    private let messages: [Counter]
    private let bytes: [Counter]
    private var waiting = [(messages: Int, bytes: Int)](repeating: (0, 0), count: SentKind.allCases.count)
    private var isEmpty = true

    init(registry: MetricsRegistry) {
        func counters(_ name: String) -> [Counter] {
            SentKind.allCases.map {
                Counter(label: name, dimensions: [("kind", HostCounters.label("\($0)"))], factory: registry)
            }
        }
        messages = counters("quorate_sent_messages_total")
        bytes = counters("quorate_sent_message_bytes_total")
    }

    /// - Parameters:
    ///   - size: of the frame, in bytes.
    ///   - copies: to how many it goes.
    mutating func note(_ kind: SentKind, size: Int, copies: Int = 1) {
        waiting[kind.rawValue].messages += copies
        waiting[kind.rawValue].bytes += copies * size
        isEmpty = false
    }

    /// Adds what was noted since the last time.
    mutating func flush() {
        guard !isEmpty else { return }
        isEmpty = true
        for kind in waiting.indices where waiting[kind].messages > 0 {
            messages[kind].increment(by: waiting[kind].messages)
            bytes[kind].increment(by: waiting[kind].bytes)
            waiting[kind] = (0, 0)
        }
    }
}

extension HostMessage {
    var sentKind: SentKind {
        switch self {
        case .pbft(_, let message):
            switch message {
            case .prePrepare: .prePrepare
            case .prepare: .prepare
            case .commit: .commit
            case .checkpoint: .checkpoint
            case .suspect, .viewChange, .newView, .resumed, .recollection: .viewChange
            case .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody: .repair
            }
        case .push: .push
        case .stateTransfer: .stateTransfer
        case .forward: .forward
        }
    }
}

extension HostReply {
    var sentKind: SentKind {
        switch self {
        case .attestation: .attestation
        case .refused: .refusal
        case .account, .status, .audit, .read, .stamps, .archive, .observation: .answer
        }
    }
}

extension GatewayMessage {
    var sentKind: SentKind {
        switch self {
        case .submit: .submit
        case .decides: .decide
        case .evidence: .evidence
        case .account, .status, .audit, .read, .stamps, .archive, .observe: .question
        }
    }
}

extension GatewayReply {
    var sentKind: SentKind {
        switch self {
        case .receipt: .receipt
        case .rejected: .refusal
        case .account, .status, .read, .stamps: .answer
        }
    }
}
