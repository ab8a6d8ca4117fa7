import Messages

/// What a run that broke nothing was made of, so that it can be told whether it tried what it should. A flat list of
/// numbers, which a sweep goes through by their key paths.
public struct SimulationSummary: Sendable {
    /// The run's, as it was asked for.
    public let seed: UInt64
    /// Events that were handled.
    public let steps: Int
    /// How long the run took by the simulated clock.
    public let simulatedNanoseconds: UInt64
    /// Legs that clients have receipts for, setting up included.
    public let committed: Int
    /// Legs of which a receipt says that they never happened.
    public let aborted: Int
    /// Root calls among them.
    public let committedCalls: Int
    /// Root calls among `aborted`; one that died and was tried again counts each time.
    public let abortedCalls: Int
    /// Views after the first in which a correct replica was, over all shards, each once.
    public let viewChanges: Int
    /// Times that a host was stopped, by whatever fault, to be started again.
    public let restarts: Int
    /// Whole states that were fetched and installed.
    public let stateTransfers: Int
    /// CHECKPOINTs that correct hosts said.
    public let checkpoints: Int
    /// Own states that correct hosts had written down; those that were fetched are not among them.
    public let flushes: Int
    /// Times that a correct host wrote its journal anew.
    public let compactions: Int
    /// Times that a host's disk refused something, and the host stopped voting.
    public let storageFailures: Int
    /// Answered by a quorum, and in order.
    public let quorumReads: Int
    /// Reads that came through the order because replicas found no agreement on the account.
    public let orderedReads: Int
    /// Hosts that lied, f at most.
    public let byzantineHosts: Int
    /// What their lies led to, act by act.
    public let byzantineEffects: ByzantineEffects
    /// Requests that followed another one, on each shard on which they were recorded.
    public let followers: Int
    /// What correct hosts refused because something that it follows was not there.
    public let outOfOrder: Int
    /// Freezes that were ordered, as far as they were attested; zero if the run was stopped by `steps`.
    public let freezes: Int
    /// Legs that were aborted because an account is frozen, and calls that failed for it.
    public let refusedAsFrozen: Int
    /// Views of a slow primary that correct replicas left.
    public let replacedSlowPrimaries: Int
    /// From the moment that all was answered and healed to the last that anybody did.
    public let nanosecondsToRest: UInt64
    /// Of the states at the end; null if the run was stopped by `steps`.
    public let fingerprint: Digest
}
