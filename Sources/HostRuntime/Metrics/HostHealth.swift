import Messages

/// One replica as it is now, and what it knows of its shard.
public struct ReplicaHealth: Sendable {
    /// What it says of itself.
    public let status: ReplicaStatus
    /// Up to where it knows that a correct replica has executed: not below what it has executed itself.
    public let known: SequenceNumber

    /// How many batches it is behind, as far as it knows.
    public var lag: UInt64 { known.number - min(known.number, status.lastExecuted.number) }
    /// It takes part in ordering.
    public var isVoting: Bool { status.halted.isEmpty && status.standing.isEmpty }
}

/// A host as it is now.
public struct HostHealth: Sendable {
    /// Ascending by shard.
    public let replicas: [ReplicaHealth]
    /// Of each other host, whether messages to it leave.
    public let connected: [HostID: Bool]
}

/// A gateway as it is now.
public struct GatewayHealth: Sendable {
    /// Its counters.
    public let status: GatewayStatus
    /// Connections of clients.
    public let clients: Int
    /// By host, whether messages to it leave.
    public let connected: [Bool]
    /// By shard, whether requests are kept from it because it has certified nothing for long.
    public let openBreakers: [Bool]
}
