import Messages
import PBFT
import ShardState

/// What does not change about one replica while its host runs. Its parts are given it to look at.
package struct ShardSetting: Sendable {
    let shard: ShardID
    let me: ReplicaIndex
    let host: HostID
    /// By replica.
    let hosts: [HostID]
    /// The other replicas' hosts, ascending.
    let others: [HostID]
    let manifest: Manifest
    let options: HostOptions
    let signer: any Signer

    package init(
        shard: ShardID, me: ReplicaIndex, host: HostID, manifest: Manifest, options: HostOptions, signer: any Signer
    ) {
        (self.shard, self.me, self.host, self.manifest) = (shard, me, host, manifest)
        (self.options, self.signer) = (options, signer)
        hosts = manifest.hosts(of: shard)
        others = hosts.filter { $0 != host }.sorted()
    }

    var group: ReplicaGroup { manifest.group(of: shard) }

    /// The replica of this shard on another host.
    func peer(on host: HostID) -> ReplicaIndex? {
        guard let index = hosts.firstIndex(of: host), index != me.index else { return nil }
        return ReplicaIndex(UInt8(index))
    }

    func hosts(_ destination: ReplicaReady.Destination) -> [HostID] {
        switch destination {
        case .others: others
        case .one(let replica): [hosts[replica.index]]
        }
    }

    /// The leaf covers every leg that this shard takes part in.
    func isComplete(_ leaf: Leaf, _ signed: SignedRequest) -> Bool {
        let (request, map) = (signed.request, manifest.shardMap)
        var own = 0
        for leg in 0..<request.legCount where request.participants(ofLeg: leg, in: map).contains(shard) { own += 1 }
        return leaf.entries.count == own
    }
}

/// Why a replica halts: its state could not be read or written, or is not what a quorum certified.
package struct ShardFailure: Error, Sendable {
    package let reason: String
    /// The state on disk is not what was written, or what a quorum has: the next start has to fetch another.
    package let isDamage: Bool

    init(reason: String, isDamage: Bool = false) {
        self.isDamage = isDamage
        self.reason =
            isDamage ? reason + ". Restart the host: it puts the state aside and fetches it from the others" : reason
    }

    /// What was read, and why it could not be.
    init(reading what: String, _ error: any Error) {
        let isDamage = (error as? ShardStateError)?.isDamage ?? (error as? any StoreFailure)?.isDamage
        self.init(reason: "reading \(what): \(error)", isDamage: isDamage ?? false)
    }

    /// What was being done, and why it could not be.
    init(_ what: String, _ error: ShardStateError) { self.init(reason: "\(what): \(error)", isDamage: error.isDamage) }
}
