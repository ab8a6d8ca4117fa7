import HostCore

/// What a simulated run is made of. Everything else follows from the seed.
public struct SimulationOptions: Sendable {
    public enum Profile: String, Sendable, CaseIterable {
        /// No faults; only random delays.
        case calm
        /// Messages lost, repeated and late.
        case lossy
        /// Hosts cut off from each other for a while.
        case partitions
        /// Hosts lose power, one at a time or all at once, and start again.
        case crashes
        /// All of it.
        case everything
    }

    public var seed: UInt64
    public var profile: Profile
    public var shards = 2
    public var replicas = 4
    public var accounts = 8
    public var clients = 4
    /// Transfers that each client makes, one after the other.
    public var transfersPerClient = 10
    /// How long faults go on; afterwards the network is healed and every host up. Nanoseconds.
    public var faultyUntil: UInt64 = 20_000_000_000
    /// By then everything must be answered and equal.
    public var deadline: UInt64 = 180_000_000_000
    public var keepsLog = false
    public var host = HostOptions()

    public init(seed: UInt64, profile: Profile) {
        (self.seed, self.profile) = (seed, profile)
        // Small windows, so that checkpoints, truncation, flushes and state transfer happen in a short run.
        host.replica.checkpointInterval = 4
        host.replica.window = 16
        host.replica.retainedBatches = 24
        host.replica.progressTimeout = 1_000_000_000
        host.checkpointsPerFlush = 2
        host.compactionBytes = 16 << 10
        host.recentBatches = 64
    }

    var isLossy: Bool { profile == .lossy || profile == .everything }
    var hasPartitions: Bool { profile == .partitions || profile == .everything }
    var hasCrashes: Bool { profile == .crashes || profile == .everything }
}

/// What broke, and what repeats it.
public struct SimulationFailure: Error, CustomStringConvertible {
    public let seed: UInt64
    public let time: UInt64
    public let what: String
    public let log: [String]

    public var description: String {
        "seed \(seed) at \(time / 1_000_000) ms: \(what)" + (log.isEmpty ? "" : "\n" + log.suffix(60).joined(separator: "\n"))
    }
}
