import Foundation
import Messages
import StrictInput

/// Whether shards commit, whether their replicas take part and keep up, and what they have not ended.
enum ShardChecks {
    /// So many batches behind the others are more than a moment's: a checkpoint's interval.
    static let batchesBehind: UInt64 = 128
    /// A transaction over several shards is decided within its deadline, which is some seconds.
    static let longUndecided: Double = 10
    /// Of one replica.
    static let manyOpen: UInt32 = 1000

    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        cluster.shards.flatMap { shard in
            [quorum(shard, cluster)].compactMap { $0 } + standings(shard, cluster) + progress(shard, cluster)
                + views(shard, cluster) + records(shard, cluster) + states(shard, cluster)
        }
    }

    private static func quorum(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> Finding? {
        guard !shard.commits else { return nil }
        let missing = shard.missing.map { cluster.snapshot.hosts[$0] }
        let reasons = missing.map { host in
            guard let replica = DiagnosedCluster.replica(of: host, in: shard.number) else {
                return HostChecks.why(host)
            }
            return replica.halted.isEmpty
                ? "host \(host.number) does not vote yet (\(Printable.line(replica.standing)))"
                : "host \(host.number) is halted"
        }
        // It was lost with the last one that it could not do without.
        let times = missing.map { lost(on: $0, shard: shard.number) }
        let known = times.compactMap { $0 }.sorted { date($0) < date($1) }
        let tolerated = shard.replicas - shard.needed
        let since = known.count == times.count && tolerated < known.count ? known[tolerated] : nil
        return Finding(
            .critical, .noQuorum, shard: shard.number,
            "shard \(shard.number) commits nothing: \(shard.voting.count) of \(shard.replicas) replicas vote, \(shard.needed) are needed; \(Words.list(reasons))",
            since: since,
            affects:
                "everybody with an account on shard \(shard.number), and who sends to one; transactions of other shards that need its vote wait",
            advice: "bring back at least \(shard.needed - shard.voting.count) of the replicas that are missing",
            commands: remedies(missing, shard: shard.number, cluster))
    }

    private static func remedies(
        _ missing: [ClusterSnapshot.Host], shard: Int, _ cluster: DiagnosedCluster
    ) -> [String] {
        var commands: [String] = []
        for host in missing {
            let remedy: [String] =
                if let process = host.process, process.isStopped {
                    ["kill -CONT \(process.pid)"]
                } else if host.process == nil, host.isHere {
                    cluster.up()
                } else if DiagnosedCluster.replica(of: host, in: shard)?.halted.isEmpty == false {
                    cluster.restart(host.number)
                } else {
                    []
                }
            commands += remedy.filter { !commands.contains($0) }
        }
        return commands
    }

    private static func date(_ since: Finding.Since) -> Date {
        switch since {
        case .at(let date), .after(let date): date
        }
    }

    private static func lost(on host: ClusterSnapshot.Host, shard: Int) -> Finding.Since? {
        guard let replica = DiagnosedCluster.replica(of: host, in: shard) else { return HostChecks.since(host) }
        return since(replica, host)
    }

    /// A host that has halted said so in its log; one that does not vote yet has not since its start.
    private static func since(_ replica: ReplicaStatus, _ host: ClusterSnapshot.Host) -> Finding.Since? {
        if !replica.halted.isEmpty { return host.log.complaint.map { .at($0.at) } }
        return host.process?.started.map { .at($0) }
    }

    private static func standings(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> [Finding] {
        cluster.replicas(of: shard.number).compactMap { host, earlier, replica in
            let sight = cluster.snapshot.hosts[host]
            let affects = cluster.consequence(ofLosing: host)
            if !replica.halted.isEmpty {
                return Finding(
                    .warning, .replicaHalted, shard: shard.number, host: host,
                    "host \(host)'s replica of shard \(shard.number) has halted: \(Printable.line(replica.halted))",
                    since: since(replica, sight), affects: affects,
                    advice: cluster.onItsMachine("mend what it names, then restart the host"),
                    commands: cluster.logs("\(host)") + cluster.restart(host))
            }
            guard !replica.standing.isEmpty else { return nil }
            let isQuarantined = replica.standing.hasPrefix("quarantined")
            // A host that has just started asks its peers first, for less than a second.
            let isLong = earlier.map { !$0.standing.isEmpty } ?? false
            return Finding(
                isLong ? .warning : .notice, isQuarantined ? .replicaQuarantined : .replicaNotVoting,
                shard: shard.number, host: host,
                "host \(host)'s replica of shard \(shard.number) does not vote yet: \(Printable.line(replica.standing)); the shard is at \(newest(shard, cluster))",
                since: since(replica, sight), affects: affects,
                advice: isQuarantined
                    ? "nothing, if the shard commits: it votes again when the shard has moved beyond all that it may have forgotten. Transactions bring it there"
                    : "nothing, if the other hosts of the shard run: it goes on by itself",
                commands: [cluster.command("cluster status", "--watch")])
        }
    }

    private static func newest(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> UInt64 {
        cluster.replicas(of: shard.number).map(\.latest.lastExecuted.number).max() ?? 0
    }

    /// Behind the others, and no nearer to where they were a moment ago.
    private static func progress(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> [Finding] {
        let replicas = cluster.replicas(of: shard.number)
        let before = replicas.compactMap { $0.earlier?.lastExecuted.number }.max() ?? 0
        let now = newest(shard, cluster)
        return replicas.compactMap { host, earlier, replica in
            guard replica.halted.isEmpty, replica.standing.isEmpty, let earlier else { return nil }
            let own = replica.lastExecuted.number
            let behind = now - own
            let isStuck = own == earlier.lastExecuted.number && own < before
            guard isStuck || behind > batchesBehind && before - min(before, earlier.lastExecuted.number) > batchesBehind
            else { return nil }
            return Finding(
                .warning, .replicaBehind, shard: shard.number, host: host,
                "host \(host)'s replica of shard \(shard.number) is \(behind) batches behind the others\(isStuck ? ", and executes nothing" : ", though it executes")",
                affects: "nobody, while enough others are up to date; a shard that has to wait for it is slow",
                advice: "it fetches what it lacks by itself. If it does not come nearer, see its log, then restart it",
                commands: cluster.logs("\(host)") + cluster.restart(host))
        }
    }

    private static func views(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> [Finding] {
        let changing = cluster.replicas(of: shard.number).filter {
            $0.latest.isChangingView && $0.earlier?.isChangingView == true
        }
        guard !changing.isEmpty else { return [] }
        let all = changing.count >= shard.replicas - shard.needed + 1
        let view = changing.map(\.latest.view.number).max() ?? 0
        return [
            Finding(
                all ? .critical : .warning, .viewChangeLong, shard: shard.number,
                "shard \(shard.number): \(Words.hosts(changing.map(\.host))) \(changing.count == 1 ? "has" : "have") been waiting for the new primary of view \(view) for longer than \(Words.time(cluster.snapshot.interval))",
                affects: all
                    ? "everybody who needs shard \(shard.number): it commits nothing meanwhile"
                    : "nobody, while the others order without them",
                advice:
                    "see that the hosts of the shard reach each other and that their clocks agree; a primary that stays silent is passed over by itself",
                commands: [cluster.command("cluster status", "--watch")])
        ]
    }

    private static func records(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> [Finding] {
        var findings: [Finding] = []
        let replicas = cluster.replicas(of: shard.number)
        if let oldest = replicas.max(by: { $0.latest.oldestUndecided < $1.latest.oldestUndecided })?.latest,
            Double(oldest.oldestUndecided) / 1e6 > longUndecided
        {
            let stuck = cluster.shards.filter { !$0.commits && $0.number != shard.number }.map(\.number)
            let seconds = Double(oldest.oldestUndecided) / 1e6
            findings.append(
                Finding(
                    .warning, .undecidedLong, shard: shard.number,
                    "shard \(shard.number) has \(oldest.undecided) undecided \(oldest.undecided == 1 ? "transaction" : "transactions"), the oldest for \(Words.time(seconds))"
                        + (stuck.isEmpty
                            ? ""
                            : "; the vote of \(Words.shards(stuck)) is missing, which \(stuck.count == 1 ? "commits" : "commit") nothing"),
                    since: .at(cluster.snapshot.taken.addingTimeInterval(-seconds)),
                    affects: "the accounts in them: what they have reserved cannot be used before they are decided",
                    advice: stuck.isEmpty
                        ? "the hosts ask the other shards by themselves; if the time grows, see which shard does not answer"
                        : "bring \(Words.shards(stuck)) back; then they are decided by themselves",
                    commands: [cluster.command("cluster status", "--watch")]))
        }
        let piling = replicas.filter { _, earlier, latest in
            latest.open >= manyOpen && earlier.map { $0.open <= latest.open } ?? false
        }
        if let most = piling.max(by: { $0.latest.open < $1.latest.open })?.latest {
            findings.append(
                Finding(
                    .warning, .recordsOpen, shard: shard.number,
                    "shard \(shard.number) has \(most.open) records of which another shard may not know the end, and they do not become fewer",
                    affects: "nobody yet; they take room in the state, and hosts push them again and again",
                    advice: "a shard that takes part in them does not confirm: see that all shards commit",
                    commands: [cluster.command("cluster status")]))
        }
        return findings
    }

    /// Replicas whose whole states were asked for, and differ at the same number.
    private static func states(_ shard: DiagnosedCluster.Shard, _ cluster: DiagnosedCluster) -> [Finding] {
        var seen: [UInt64: [(host: Int, audit: ShardAudit)]] = [:]
        for host in cluster.snapshot.hosts {
            for audit in host.audits where Int(audit.shard.number) == shard.number {
                seen[audit.sequence.number, default: []].append((host.number, audit))
            }
        }
        return seen.sorted { $0.key < $1.key }.compactMap { sequence, audits in
            guard let first = audits.first else { return nil }
            let others = audits.filter {
                $0.audit.stateDigest != first.audit.stateDigest || $0.audit.history != first.audit.history
            }
            guard !others.isEmpty else { return nil }
            let counts = Dictionary(grouping: audits) { $0.audit.stateDigest }.mapValues(\.count)
            let most = counts.values.max() ?? 0
            let odd = audits.filter { counts[$0.audit.stateDigest, default: 0] < most }.map(\.host)
            return Finding(
                .critical, .statesDiffer, shard: shard.number,
                "replicas of shard \(shard.number) have different states after batch \(sequence): "
                    + (odd.isEmpty
                        ? "no state is most hosts'"
                        : "\(Words.hosts(odd)) differ\(odd.count == 1 ? "s" : "") from most"),
                affects:
                    "who reads from one replica alone; receipts stay right, because f + 1 replicas must sign the same",
                advice: cluster.onItsMachine(
                    "stop the host that differs, put its state aside (rename state/shard-\(shard.number) in its folder, remove nothing: whoever looks for the cause needs it), and restart it: it fetches another one"
                ),
                commands: cluster.snapshot.isForManyMachines
                    ? [] : odd.map { cluster.command("cluster kill-host", "\($0)") })
        }
    }
}
