import Randomness
import Cores

/// What a simulated run is made of. Everything else follows from the seed. A flat list, as the options of the command
/// line and the shrinker's steps are.
public struct SimulationOptions: Sendable {
    /// What goes wrong. The names are those of `quorate simulate --profile`.
    public enum Profile: String, Sendable, CaseIterable {
        /// No faults; only random delays.
        case calm
        /// Messages lost, repeated and late.
        case lossy
        /// Hosts cut off from each other for a while.
        case partitions
        /// Hosts lose power, one at a time or all at once, and start again.
        case crashes
        /// Up to f hosts that lie, on a network that loses little, and a client that tells every host something else.
        case byzantine
        /// More than f hosts without power at once, and partitions: progress may stop, safety may not.
        case beyond
        /// All of it. Hosts that lie and hosts whose disk forgets are together at most f; any may lose power and keep
        /// its disk.
        case everything
    }

    /// Of everything that is drawn.
    public var seed: UInt64
    /// Which faults there are.
    public var profile: Profile
    /// Each on all hosts.
    public var shards = 2
    /// Hosts, and replicas of each shard: 3f + 1.
    public var replicas = 4
    /// Divided among the clients in turn, all of one asset.
    public var accounts = 8
    /// Those that make transfers; the issuer, who opens and fills the accounts, is one more.
    public var clients = 4
    /// How many of a thousand requests are root calls of procedures.
    public var callsPerMille = 350
    /// Transfers that each client makes, one after the other.
    public var transfersPerClient: Int
    /// Transfers that a client has under way at most, each after the one before (`Request.follows`): more than one in a
    /// third of the runs.
    public var pipeline = 1
    /// How long faults go on; afterwards the network is healed and every host up. Nanoseconds.
    public var faultyUntil: UInt64
    /// By then everything must be answered and equal.
    public var deadline: UInt64 = 180_000_000_000
    /// The run ends after so many steps, without the checks of the end; nil for no limit.
    public var steps: Int?
    /// Disks of up to f hosts may rot or be replaced by empty ones.
    public var allowsLostRecords = false
    /// Hosts' clocks jump (`ClockFaults`): of `everything`, in a quarter of the runs.
    public var jumpsClocks: Bool
    /// Faults that do not happen, by their numbers (`InjectedFault`). The rest of the run draws the same as
    /// with them, so that a failing run can be made smaller.
    public var suppressed: Set<Int> = []
    /// No injected fault with a greater number happens. Says nothing about losses.
    public var lastFault: Int?
    /// What liars are about all the time; nil: by chance, one after the other.
    public var liarsPlan: [ByzantineAct]?
    /// Each message and fault is written to `Simulation.log`.
    public var keepsLog = false
    /// Of the gateway.
    public var gateway = GatewayOptions()
    /// Of every host. Windows and waits are short, so that rare things happen in a short run.
    public var host = HostOptions()

    /// - Parameter seed: it also draws how long faults last, how much each client does and whether clocks jump; all of
    ///   that may be changed afterwards.
    public init(seed: UInt64, profile: Profile) {
        (self.seed, self.profile) = (seed, profile)
        // Of another sequence than the run's own, so that changing one of them by hand changes nothing else.
        var rng = SplitMix64(seed: ~seed)
        allowsLostRecords = profile == .crashes || profile == .everything
        var jumps = ChanceStream.jumps.generator(seed: seed)
        jumpsClocks = profile == .everything && jumps.chance(perMille: 250)
        faultyUntil = 2_000_000_000 + rng.below(UInt64(2_500_000_000))
        transfersPerClient = 2 + rng.below(3)
        var pipelines = ChanceStream.pipelines.generator(seed: seed)
        if pipelines.chance(perMille: 333) {
            pipeline = 2 + pipelines.below(5)
            transfersPerClient += 4
        }
        // Small windows and short waits, so that checkpoints, truncation, flushes, compaction, view changes and state
        // transfer happen in a short run.
        host.replica.checkpointInterval = 4
        host.replica.window = 16
        host.replica.retainedBatches = 8
        host.replica.progressTimeout = 400_000_000
        host.replica.floorLatency = 150_000_000
        host.replica.floorWindow = 500_000_000
        host.replica.unreachableTimeout = 100_000_000
        host.replica.censorshipTimeout = 3_000_000_000
        host.replica.maxTimeout = 3_000_000_000
        host.replica.statusInterval = 300_000_000
        host.replica.fetchTimeout = 120_000_000
        host.pushScanInterval = 200_000_000
        host.forwardAfter = 120_000_000
        host.pushAfter = 600_000_000
        host.pushAfterAtMost = 1_200_000_000
        host.maxPushInterval = 3_000_000_000
        host.stateTransferTimeout = 200_000_000
        host.checkpointsPerFlush = 2
        host.bucketPartBytes = 64
        // Half of the states are read as a large one is: for the most part while the host serves.
        if !seed.isMultiple(of: 2) { (host.entriesCheckedAtStart, host.entriesCheckedAtOnce) = (10, 10) }
        // A third hash ahead of their checkpoints, as large states are.
        if seed.isMultiple(of: 3) {
            host.hashingAhead.entriesPerBucket = 0
            (host.hashingAhead.placedChanges, host.hashingAhead.changes, host.hashingAhead.nodes) = (2, 5, 3)
        }
        // A third check all that they are given.
        host.sharesChecks = seed % 3 != 2
        host.procedures = SimulatedProcedures.registry
        // Clients bring little, so two thirds of the gateways trust them soon; the others check all.
        gateway.trustAfter = seed.isMultiple(of: 3) ? .max : 1
        gateway.trustAfterForgery = 2
        host.compactionBytes = 8 << 10
        host.recentBatches = 64
        (host.vainBurst, host.vainPerSecond) = (128, 16)
        // Impatient: late messages and one liar's suspicion then change the view often, which is where lies matter
        // most.
        if profile == .byzantine, !seed.isMultiple(of: 2) { host.replica.progressTimeout = 200_000_000 }
    }

    var isLossy: Bool { profile == .lossy || profile == .byzantine || profile == .everything }
    /// At most, on any link.
    var lossPerMille: Int { profile == .byzantine ? 20 : 100 }
    var hasPartitions: Bool { profile == .partitions || profile == .beyond || profile == .everything }
    var hasCrashes: Bool { profile == .crashes || profile == .beyond || profile == .everything }
    var hasByzantineHosts: Bool { profile == .byzantine || profile == .everything }

    /// Whether an injected fault happens.
    func allows(fault: Int) -> Bool { fault <= (lastFault ?? .max) && !suppressed.contains(fault) }
    /// Whether messages may be lost, repeated and late at this moment: each tenth of a second is a fault of its own.
    func allowsLoss(at time: UInt64) -> Bool {
        suppressed.isEmpty || !suppressed.contains(Self.firstLoss + Int(time / Self.lossWindow))
    }
    /// The number of the first window's losses; injected faults are numbered below.
    public static let firstLoss = 10_000
    /// Nanoseconds.
    static let lossWindow: UInt64 = 100_000_000
}

/// Where the chance of one subject comes from. What one subject draws does not change what another draws.
enum ChanceStream: UInt64 {
    case clients = 0xC11E_2275
    case faults = 0xFA17_1735
    case reads = 0x5EAD_0063
    case coordinator = 0xC00D_1E55
    case lifetimes = 0x11FE_71E5
    case clocks = 0xC10C_4500
    case jumps = 0x10CC_3A9D
    case pipelines = 0x919E_11E5
    case forgers = 0xF046_E45
    case checks = 0xC4EC_C5

    func generator(seed: UInt64, number: Int = 0) -> SplitMix64 {
        var mixer = SplitMix64(
            seed: seed ^ (rawValue &* 0x9E37_79B9_7F4A_7C15) &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
        return SplitMix64(seed: mixer.next())
    }
}

/// What broke, and what repeats it.
public struct SimulationFailure: Error, CustomStringConvertible {
    /// Of the run that failed.
    public let seed: UInt64
    /// Simulated nanoseconds.
    public let time: UInt64
    /// Which invariant broke, with the evidence; `kind` is made of its words.
    public let what: String
    /// `Simulation.log` up to the failure; empty unless it was kept.
    public let log: [String]

    /// A failure of a run at one simulated moment.
    public init(seed: UInt64, time: UInt64, what: String, log: [String]) {
        (self.seed, self.time, self.what, self.log) = (seed, time, what, log)
    }

    /// Seed, time and what broke, then the last 60 lines of the log.
    public var description: String {
        "seed \(seed) at \(time / 1_000_000) ms: \(what)"
            + (log.isEmpty ? "" : "\n" + log.suffix(60).joined(separator: "\n"))
    }
}
