import Messages

/// Clocks that differ, and shards' times that stand.
enum ClockChecks {
    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        let report = cluster.snapshot.clocks
        let tolerance = Int64(RequestTimes.tolerance)
        var findings: [Finding] = []
        if !report.hosts.isEmpty, report.median.magnitude > UInt64(tolerance) {
            findings.append(
                Finding(
                    .warning, .clockWrong,
                    "this machine's clock is \(ClockReport.seconds(report.median)) \(report.median > 0 ? "behind" : "ahead of") the clocks of the cluster's hosts",
                    affects:
                        "nobody: commands here go by the shards' time; but the times on this page are this clock's",
                    advice: "set this machine's clock", commands: ["timedatectl status"]))
        }
        for host in report.hosts {
            let ahead = host.ahead - report.median
            guard ahead.magnitude > UInt64(tolerance) else { continue }
            findings.append(
                Finding(
                    .warning, .clockWrong, host: Int(host.host.number),
                    "the clock of host \(host.host) is \(ClockReport.seconds(ahead)) \(ahead > 0 ? "ahead of" : "behind") most hosts' clocks",
                    affects:
                        "while it leads a shard, its proposals are refused, and a new primary is chosen; a wrong clock is outvoted",
                    advice: "set the clock of its machine, and have NTP keep it", commands: ["timedatectl status"]))
        }
        for shard in report.shards {
            guard let standing = report.standing(shard) else { continue }
            findings.append(
                Finding(
                    .notice, .shardTimeAhead, shard: Int(shard.shard.number),
                    "shard \(shard.shard)'s time is \(ClockReport.seconds(standing)) ahead of its hosts' clocks, which were ahead before: it stands still until they have caught up",
                    affects: "transactions that wait for their deadline wait so much longer; all others go on",
                    advice: "nothing: it mends itself. See that the hosts' clocks are right now",
                    commands: [cluster.command("cluster status")]))
        }
        return findings
    }
}
