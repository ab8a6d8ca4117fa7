import Foundation
import Messages

/// What is wrong with a cluster, as one look at it shows: a function of the snapshot alone.
package struct Diagnosis: Sendable {
    /// The worst first.
    package let findings: [Finding]
    /// One line for who is well.
    package let summary: String
    /// What was looked at, for a person.
    package let checked: [String]

    package init(_ snapshot: ClusterSnapshot) {
        let view = DiagnosedCluster(snapshot)
        let found =
            ShardChecks.findings(view) + HostChecks.findings(view) + ManifestChecks.findings(view)
            + ClockChecks.findings(view) + GatewayChecks.findings(view) + CounterChecks.findings(view)
            + FileChecks.findings(view)
        // Among equals they stay in the order of the checks.
        findings = found.enumerated().sorted { ($0.element.severity, $0.offset) < ($1.element.severity, $1.offset) }
            .map(\.element)
        summary = Self.summary(snapshot)
        checked = Self.checked(snapshot)
    }

    /// Something that stops the cluster from committing.
    package var cannotCommit: Bool { findings.contains { $0.code == .noQuorum } }

    /// A host or gateway does not answer, or is not who it should be.
    package var misses: Bool {
        findings.contains { finding in
            switch finding.code {
            case .hostDown, .hostStopped, .hostSilent, .hostUnreachable, .hostOtherKey, .hostOtherCluster,
                .hostOtherVersion, .portTaken, .noGateway, .gatewayDown, .gatewayStopped, .gatewaySilent:
                true
            default: false
            }
        }
    }

    /// Somebody should act.
    package var needsAttention: Bool { findings.contains { $0.severity < .notice } }

    private static func summary(_ snapshot: ClusterSnapshot) -> String {
        let (shards, hosts) = (snapshot.manifest.shardCount, snapshot.hosts.count)
        let gateways = snapshot.gateways.count
        return
            "all is well: \(shards == 1 ? "the shard commits" : "all \(shards) shards commit") with all replicas, "
            + "\(hosts) hosts and \(gateways) \(gateways == 1 ? "gateway" : "gateways") answer, and the clocks agree"
    }

    private static func checked(_ snapshot: ClusterSnapshot) -> [String] {
        var checked = [
            "quorum of each shard", "standing, view and progress of each replica", "undecided and open records",
            "what manifests they run with", "clocks and shards' times", "gateways' queues, rejections and breakers",
            "dropped messages and refused sessions",
        ]
        if snapshot.hosts.contains(where: \.isHere) { checked.append("processes, ports and descriptors") }
        if snapshot.hosts.contains(where: { $0.folder != nil }) {
            checked.append("folders, keys and procedures of the hosts on this machine")
        }
        if !snapshot.disks.isEmpty { checked.append("room on disks") }
        if !snapshot.certificates.isEmpty { checked.append("certificates") }
        if snapshot.hosts.contains(where: { !$0.audits.isEmpty }) { checked.append("digests of whole states") }
        return checked
    }
}

/// A snapshot with what several checks ask of it.
struct DiagnosedCluster {
    let snapshot: ClusterSnapshot
    let shards: [Shard]

    /// How many replicas of a shard take part.
    struct Shard {
        let number: Int
        let replicas: Int
        let needed: Int
        /// Numbers of hosts.
        let voting: [Int]
        let missing: [Int]

        var commits: Bool { voting.count >= needed }
        /// How many more may go.
        var reserve: Int { voting.count - needed }
    }

    init(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        shards = snapshot.manifest.shards.indices.map { number in
            let members = snapshot.manifest.shards[number].map { Int($0.number) }
            let voting = members.filter { Self.votes(snapshot.hosts[$0], in: number) }
            return Shard(
                number: number, replicas: members.count,
                needed: snapshot.manifest.group(of: ShardID(UInt16(number))).quorum, voting: voting,
                missing: members.filter { !voting.contains($0) })
        }
    }

    private static func votes(_ host: ClusterSnapshot.Host, in shard: Int) -> Bool {
        guard let replica = replica(of: host, in: shard) else { return false }
        return replica.halted.isEmpty && replica.standing.isEmpty
    }

    static func replica(of host: ClusterSnapshot.Host, in shard: Int) -> ReplicaStatus? {
        host.answer.latest?.replicas.first { Int($0.shard.number) == shard }
    }

    /// The replicas that answer, with what they said a moment before.
    func replicas(of shard: Int) -> [(host: Int, earlier: ReplicaStatus?, latest: ReplicaStatus)] {
        snapshot.hosts.compactMap { host in
            guard let latest = Self.replica(of: host, in: shard) else { return nil }
            return (host.number, host.answer.earlier?.replicas.first { $0.shard == latest.shard }, latest)
        }
    }

    /// What it means that a host takes no part, to whom.
    func consequence(ofLosing host: Int) -> String {
        let mine = shards.filter { $0.missing.contains(host) }
        let stuck = mine.filter { !$0.commits }
        guard stuck.isEmpty else {
            return "everybody who needs \(Words.shards(stuck.map(\.number))): too few replicas are left to commit"
        }
        guard let tightest = mine.min(by: { $0.reserve < $1.reserve }) else { return "nobody just now" }
        guard tightest.reserve == 0 else {
            return
                "nobody yet: every shard commits, and \(Words.shards([tightest.number])) can lose \(tightest.reserve) more"
        }
        let tight = mine.filter { $0.reserve == 0 }.map(\.number)
        return "nobody yet: every shard commits, but \(Words.shards(tight)) can lose no other replica"
    }

    /// What starts what is missing; empty where each is started on its own machine: `onItsMachine` says so.
    func up(_ rest: String = "") -> [String] {
        snapshot.isForManyMachines ? [] : [command("cluster up", rest)]
    }

    func restart(_ host: Int, _ rest: String = "") -> [String] {
        snapshot.isForManyMachines ? [] : [command("cluster restart-host", "\(host)\(rest.isEmpty ? "" : " \(rest)")")]
    }

    /// What shows a log; empty where it is on another machine.
    func logs(_ whose: String) -> [String] { snapshot.isForManyMachines ? [] : [command("cluster logs", whose)] }

    /// An advice with where to follow it.
    func onItsMachine(_ advice: String) -> String {
        snapshot.isForManyMachines ? "on its machine, and as it is usually started there: \(advice)" : advice
    }

    /// A line for a shell: `quorate cluster up demo`
    func command(_ words: String, _ rest: String = "") -> String {
        "quorate \(words) \(snapshot.folderWord)\(rest.isEmpty ? "" : " \(rest)")"
    }
}
