import Gateway
import Messages
import PBFT

/// Why a host has dropped a message. Nothing that is dropped is answered: its sender repeats it, or is at fault.
public enum MessageDrop: UInt8, CaseIterable, Sendable {
    // Of PBFT, as `DropReason` has them with their evidence.
    case wrongView
    case outsideWatermarks
    case notFromPrimary
    case conflictingPrePrepare
    case conflictingVote
    case timeOutOfBounds
    case malformedViewChange
    case malformedNewView
    case wrongSelection
    case notAsked
    case changingView

    // Of a shard.
    /// The sender's host has no replica of the shard.
    case notAPeer
    /// Handed on by a backup, to who does not lead.
    case notPrimary
    /// Its source has brought too much in vain.
    case inVain
    /// A request that nobody signed.
    case unsigned
    /// No room among what waits to be ordered.
    case poolFull
    /// No batch could ever hold it, or what follows from it.
    case tooLarge
    /// Of a state that is not being fetched.
    case stateNotWanted
    /// No state that may be taken, or a bucket that is not the one that it says it is.
    case wrongState

    // Of the host.
    /// It has no replica of the shard.
    case noSuchShard
    /// A push that does not come from where it says, or is for another shard.
    case improperPush

    init(_ reason: DropReason) {
        switch reason {
        case .wrongView: self = .wrongView
        case .outsideWatermarks: self = .outsideWatermarks
        case .notFromPrimary: self = .notFromPrimary
        case .conflictingPrePrepare: self = .conflictingPrePrepare
        case .conflictingVote: self = .conflictingVote
        case .timeOutOfBounds: self = .timeOutOfBounds
        case .malformedViewChange: self = .malformedViewChange
        case .malformedNewView: self = .malformedNewView
        case .wrongSelection: self = .wrongSelection
        case .notAsked: self = .notAsked
        case .changingView: self = .changingView
        }
    }
}

/// What a host counts, once for each time that it happens.
public enum HostCount: Hashable, Sendable {
    case dropped(MessageDrop)
    /// The replica has left its view for a later one.
    case viewChange(ShardID)
    /// The replica has begun to fetch a state from its peers.
    case stateFetch(ShardID)
}

/// What a gateway counts, once for each time that it happens.
public enum GatewayCount: Hashable, Sendable {
    /// A request or a read has ended without an outcome.
    case rejected(GatewayRejection)
    /// A request is sent again, or will be after its backoff.
    case retried(RetryCause)
    /// A shard has certified nothing for long.
    case breakerOpened
}
