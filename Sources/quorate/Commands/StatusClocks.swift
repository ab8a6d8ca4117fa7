import Messages

/// Of `cluster status`: every host's clock and each shard's time, beside the clock of this machine.
struct StatusClocks: Encodable, Sendable {
    struct Host: Encodable, Sendable {
        var host: Int
        /// How far its clock is ahead of this machine's; negative if it is behind.
        var ahead_ms: Int64
    }
    struct Shard: Encodable, Sendable {
        var shard: Int
        /// How far its time is ahead of its hosts' clocks; negative after it was idle for so long, which is as it
        /// should be.
        var ahead_ms: Int64
        /// It stands still until the clocks have caught up.
        var stands: Bool
    }
    var hosts: [Host] = []
    var shards: [Shard] = []
    /// What is wrong, in words; empty if all clocks agree.
    var problems: [String] = []

    private var report = ClockReport()

    private enum CodingKeys: CodingKey { case hosts, shards, problems }

    init() {}

    /// - Parameter own: this machine's clock half-way between question and answer.
    mutating func note(host: Int, _ replicas: [ReplicaStatus], own: Timestamp) {
        for replica in replicas where replica.clock > .zero {
            report.note(HostID(UInt16(host)), clock: replica.clock, shard: replica.shard, time: replica.time, own: own)
        }
        hosts = report.hosts.map { Host(host: Int($0.host.number), ahead_ms: $0.ahead / 1000) }
        shards = report.shards.map { shard in
            let ahead = shard.ahead - report.median
            return Shard(shard: Int(shard.shard.number), ahead_ms: ahead / 1000, stands: report.standing(shard) != nil)
        }
        problems = report.problems
    }

    /// For a person.
    var lines: [String] {
        guard !hosts.isEmpty else { return [] }
        let clocks = hosts.map { "host \($0.host) \(Self.signed($0.ahead_ms))" }
        var lines = ["clocks, ahead of this machine's:  \(clocks.joined(separator: "  "))"]
        if !shards.isEmpty {
            let times = shards.map { shard in
                "shard \(shard.shard) \(Self.signed(shard.ahead_ms))"
                    + (shard.stands ? " (stands still)" : shard.ahead_ms < -1000 ? " (idle)" : "")
            }
            lines.append("shards' times, ahead of the hosts' clocks:  \(times.joined(separator: "  "))")
        }
        return lines + problems.map { "WRONG TIME: \($0)" }
    }

    /// Milliseconds as seconds, with a sign.
    private static func signed(_ milliseconds: Int64) -> String {
        let (whole, rest) = (milliseconds.magnitude / 1000, milliseconds.magnitude % 1000)
        let fraction = String(repeating: "0", count: 3 - String(rest).count) + String(rest)
        return "\(milliseconds < 0 ? "-" : "+")\(whole).\(fraction) s"
    }
}
