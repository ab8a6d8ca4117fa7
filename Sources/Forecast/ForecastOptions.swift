import Networks
import Workload

/// What is simulated.
public struct ForecastOptions: Sendable {
    /// Who shares a machine.
    public enum Placement: String, Sendable, CaseIterable {
        /// Each replica, each gateway and each gateway's clients have a machine of their own.
        case apart
        /// All processes are on one machine, and each host has a replica of each shard: what `quorate bench` starts.
        case together
    }

    /// How its clients go on.
    public enum Load: Sendable, Equatable {
        /// So many in all; each has one request in flight.
        case closed(clients: Int)
        /// So many transfers a second in all, whatever is answered.
        case open(perSecond: Double, arrivals: Arrivals = .poisson)
    }

    /// 1 to 4,096.
    public var shards: Int
    /// Of each shard: 3f + 1.
    public var replicas: Int
    /// Each with clients of its own.
    public var gateways: Int
    /// Of each machine.
    public var cores: Int
    /// Who shares a machine.
    public var placement: Placement
    /// How clients go on.
    public var load: Load
    /// Seconds of load, warm-up included.
    public var duration: Double
    /// Seconds at its start that are not measured.
    public var warmup: Double
    /// The same at its end.
    public var cooldown: Double
    /// What lies between machines.
    public var network: NetworkProfile
    /// Everything is drawn from it.
    public var seed: UInt64
    /// What things cost.
    public var costs: CostModel

    /// A gateway for each shard if they are apart, else one.
    public init(
        shards: Int, replicas: Int = 4, gateways: Int? = nil, cores: Int = 4, placement: Placement = .apart, load: Load,
        duration: Double, warmup: Double, cooldown: Double = 0, network: NetworkProfile = .lan, seed: UInt64 = 1,
        costs: CostModel
    ) {
        (self.shards, self.replicas, self.cores, self.placement) = (shards, replicas, cores, placement)
        self.gateways = gateways ?? (placement == .apart ? shards : 1)
        (self.load, self.duration, self.warmup, self.cooldown) = (load, duration, warmup, cooldown)
        (self.network, self.seed, self.costs) = (network, seed, costs)
    }
}

/// What its clients do.
public struct ForecastWorkload: Sendable {
    /// As reports call it.
    public var name: String
    /// Transfers, of which the wanted share crosses shards already.
    public var trace: Trace
    /// Who owns the accounts.
    public var keys: AccountKeys
    /// As it was asked for; nil for as it falls out.
    public var crossShardPercent: Int?
    /// Transfers under one signature at most.
    public var bundle: Int
    /// Who sign them; nil: each account has a key of its own.
    public var principals: Int?
    /// As reports tell it; nil where nothing was said of it.
    public var parameters: WorkloadParameters?

    /// - Parameter trace: rows between accounts of `keys`.
    public init(
        name: String, trace: Trace, keys: AccountKeys, crossShardPercent: Int?, bundle: Int = 1, principals: Int? = nil
    ) {
        (self.name, self.trace, self.keys, self.crossShardPercent) = (name, trace, keys, crossShardPercent)
        (self.bundle, self.principals) = (bundle, principals)
    }
}

/// Why there is no result.
public enum ForecastError: Error, Sendable, CustomStringConvertible {
    /// Opening and funding accounts did not end.
    case notFunded(String)
    /// The load had not ended when simulated time was over.
    case neverEnds(seconds: Double)
    /// Nothing was measured.
    case nothingMeasured
    /// A replica halted.
    case halted(String)

    /// In a sentence.
    public var description: String {
        switch self {
        case .notFunded(let why): "the accounts could not be opened and funded: \(why)"
        case .neverEnds(let seconds): "after \(seconds) simulated seconds requests were still without an outcome"
        case .nothingMeasured: "nothing was committed after the warm-up; simulate a longer time"
        case .halted(let what): "a replica halted: \(what)"
        }
    }
}
