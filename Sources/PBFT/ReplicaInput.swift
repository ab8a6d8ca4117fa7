import Messages

/// What happens to a replica, one at a time.
public enum ReplicaInput: Sendable {
    /// From another replica of the shard: the session authenticated the sender, the signatures inside are checked, of
    /// a proposal at least this replica's share.
    case message(from: ReplicaIndex, Verified<PBFTMessage>)
    /// A PRE-PREPARE of this view and number from another replica holds what nobody signed.
    case forged(from: ReplicaIndex, View, SequenceNumber)
    /// A `SignatureCheck` of `ReplicaReady.checks` was carried out.
    case checked(CheckedSignatures)
    /// A message of `ReplicaReady.held` may leave now, and this replica's own vote in it counts from now on.
    case durable(PBFTMessage)
    /// Orders a batch; only while `canPropose`.
    case propose(Batch)
    /// The state after the checkpoint's sequence number, which this replica has executed, has this digest.
    case checkpointTaken(Checkpoint)
    /// The state up to here is durable in the store; the journal below it is no longer needed.
    case flushed(SequenceNumber)
    /// A state came from peers, was checked against what enough of them vouched for, and is durable in the store.
    /// - Parameter isStable: with this replica, f + 1 correct ones hold it; otherwise one correct one has vouched for
    ///   it.
    case stateInstalled(Checkpoint, isStable: Bool)
    /// At each start: ask the peers what they heard (R4), and then say again what was said before, byte for byte (R3).
    case started
    /// - Parameters:
    ///   - oldestPending: since when the oldest request or certificate that waits to be ordered has waited.
    ///   - pending: how many such wait.
    case tick(oldestPending: Instant?, primaryReachable: Bool, pending: Int = 0)
}
