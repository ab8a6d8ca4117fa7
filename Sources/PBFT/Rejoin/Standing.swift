import Messages

/// Whether a replica takes part. All but `full` are silent in ordering and view changes; one that rebuilds or is
/// quarantined is silent in attestations and answers to reads too (R4, docs/decisions/0015).
public enum Standing: Hashable, Sendable, CustomStringConvertible {
    case full
    /// Started, and not yet told by enough peers that it forgot nothing.
    case resuming
    /// The state is lost, the votes are not: waits for a state of at least this number from peers.
    case rebuilding(from: SequenceNumber)
    /// Votes may be lost: waits until a stable checkpoint lies beyond all that it could have voted for. Nil until
    /// enough peers have said where they stand.
    case quarantined(until: SequenceNumber?)

    /// Votes may be lost, whether or not it is known yet what to wait for.
    public var isQuarantined: Bool { if case .quarantined = self { true } else { false } }
    var isRebuilding: Bool { if case .rebuilding = self { true } else { false } }

    var mayAttest: Bool {
        switch self {
        case .full, .resuming: true
        case .rebuilding, .quarantined: false
        }
    }

    /// Where the shard must get before the replica takes part again; zero if that does not depend on the shard.
    func awaits(window: UInt64) -> SequenceNumber {
        switch self {
        case .full, .resuming, .quarantined(nil): .zero
        // Peers hand out states that are written down, which happens every few checkpoints.
        case .rebuilding(let minimum): SequenceNumber(minimum.number + 2 * window)
        case .quarantined(let until?): until
        }
    }

    /// As `quorate cluster status` and the log show it.
    public var description: String {
        switch self {
        case .full: "takes part"
        case .resuming: "resuming: asks its peers what they heard from it"
        case .rebuilding(let minimum): "rebuilding: fetches a state of \(minimum) or later"
        case .quarantined(nil): "quarantined: asks its peers where they stand"
        case .quarantined(let until?): "quarantined until \(until)"
        }
    }
}
