import Messages

/// Who brought what waits: what he may keep waiting is bounded, and he is answerable for what was ordered in vain.
package enum Source: Hashable, Sendable {
    /// This replica, for a record of its own.
    case own
    case gateway(SessionID)
    case peer(HostID)
}

extension BatchItem {
    /// Its name among what waits.
    var key: Digest {
        switch self {
        case .request(let request): request.digest
        case .decide(let decide): decide.digest
        case .evidence(let evidence): evidence.contentDigest
        }
    }
}
