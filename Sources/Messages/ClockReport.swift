/// Which clock of a cluster is wrong, and by how much: the hosts' clocks and the shards' times beside the clock of
/// whoever asks, in microseconds. For people: nothing is decided by it.
public struct ClockReport: Hashable, Sendable {
    /// One host's clock.
    public struct Host: Hashable, Sendable {
        /// The host whose clock it is.
        public let host: HostID
        /// How far its clock is ahead of the asker's, negative if it is behind.
        public let ahead: Int64
    }
    /// One shard's time.
    public struct Shard: Hashable, Sendable {
        /// The shard whose time it is.
        public let shard: ShardID
        /// How far its time is ahead of the asker's clock. An idle shard's time is behind, which means nothing.
        public let ahead: Int64
    }

    /// Ascending.
    public private(set) var hosts: [Host] = []
    /// Ascending; the lower median of what its hosts said of each shard's time. Without those where most say that
    /// nothing was ever ordered.
    public var shards: [Shard] {
        readings.compactMap { reading in
            let sorted = reading.ahead.sorted()
            let median = sorted[(sorted.count - 1) / 2]
            return median == Self.never ? nil : Shard(shard: reading.shard, ahead: median)
        }
    }
    /// What each host said of a shard's time: the lower median lies between what two correct ones say, whatever f
    /// others do. Those who say that nothing was ever ordered there count as well: without them somebody who lies would
    /// be the only one.
    private struct Reading: Hashable, Sendable {
        let shard: ShardID
        /// Never empty; `never` for a time of zero.
        var ahead: [Int64]
    }
    private static let never = Int64.min
    private var readings: [Reading] = []

    /// Nothing is known yet, and nothing is wrong.
    public init() {}

    /// What a host said of its clock, and of the time of one of its shards.
    /// - Parameters:
    ///   - own: the asker's clock at that moment.
    ///   - time: zero if nothing was ever ordered there.
    public mutating func note(_ host: HostID, clock: Timestamp, shard: ShardID, time: Timestamp, own: Timestamp) {
        // A century is for ever: what others say may be anything.
        func ahead(_ time: Timestamp) -> Int64 {
            let century: UInt64 = 3_155_760_000_000_000
            return Int64(min(time.microseconds(since: own), century))
                - Int64(min(own.microseconds(since: time), century))
        }
        if !hosts.contains(where: { $0.host == host }) {
            hosts.append(Host(host: host, ahead: ahead(clock)))
            hosts.sort { $0.host < $1.host }
        }
        let reading = time > .zero ? ahead(time) : Self.never
        if let known = readings.firstIndex(where: { $0.shard == shard }) {
            readings[known].ahead.append(reading)
        } else {
            readings.append(Reading(shard: shard, ahead: [reading]))
            readings.sort { $0.shard < $1.shard }
        }
    }

    /// Of the hosts' clocks, ahead of the asker's.
    public var median: Int64 {
        let sorted = hosts.map(\.ahead).sorted()
        return sorted.isEmpty ? 0 : sorted[(sorted.count - 1) / 2]
    }

    /// How far a shard's time stands ahead of its hosts' clocks; nil if it does not.
    public func standing(_ shard: Shard) -> Int64? {
        let standing = shard.ahead - median
        return standing > Int64(RequestTimes.tolerance) ? standing : nil
    }

    /// What is wrong, one sentence each; none if all clocks agree.
    public var problems: [String] {
        let tolerance = Int64(RequestTimes.tolerance)
        var problems: [String] = []
        if !hosts.isEmpty, abs(median) > tolerance {
            problems.append(
                "this machine's clock is \(Self.seconds(median)) \(median > 0 ? "behind" : "ahead of") the clocks of the cluster's hosts"
            )
        }
        for host in hosts where abs(host.ahead - median) > tolerance {
            let ahead = host.ahead - median
            problems.append(
                "the clock of host \(host.host) is \(Self.seconds(ahead)) \(ahead > 0 ? "ahead of" : "behind") most hosts' clocks"
            )
        }
        for shard in shards {
            guard let standing = standing(shard) else { continue }
            problems.append(
                "shard \(shard.shard)'s time is \(Self.seconds(standing)) ahead of its hosts' clocks, which were ahead before: it stands still until they have caught up. Transactions go on; one that waits for its deadline waits so much longer"
            )
        }
        return problems
    }

    /// Whole seconds where that is exact enough, without a sign.
    public static func seconds(_ microseconds: Int64) -> String {
        let tenths = (microseconds.magnitude + 50_000) / 100_000
        return tenths >= 1000 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
    }
}
