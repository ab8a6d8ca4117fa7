/// What every member and every verifier of a cluster agrees on: `cluster.json`.
public struct Manifest: Hashable, Sendable {
    /// Where a host is reached, and by which key it is known.
    public struct Host: Hashable, Sendable {
        /// IP address or name on which the host listens.
        public var address: String
        /// 1 to 65,535; on it hosts and gateways are served alike.
        public var port: Int
        /// Ed25519. One key a host: sessions pin it; attestations and view changes are signed with it.
        public var publicKey: PublicKey

        /// Checks nothing: neither that the address can be reached nor that the key is one.
        public init(address: String, port: Int, publicKey: PublicKey) {
            (self.address, self.port, self.publicKey) = (address, port, publicKey)
        }
    }

    /// Of the file's format. What is not `currentVersion` is refused, and never read as if it were.
    public var version: Int
    /// The cluster that all signatures are bound to.
    public var cluster: ClusterID
    /// The epoch whose keys these are.
    public var epoch: Epoch
    /// By `HostID`: the first is host 0.
    public var hosts: [Host]
    /// shards[s][i] is the host that runs replica i of shard s.
    public var shards: [[HostID]]
    /// May issue money, in any asset.
    public var issuer: PublicKey
    /// May freeze and release accounts; nil if nobody may (docs/decisions/0047).
    public var compliance: PublicKey?

    /// Of the format that this build reads and writes.
    public static let currentVersion = 1

    /// Of the current version. Checks nothing: `validate` does.
    public init(
        cluster: ClusterID, epoch: Epoch, hosts: [Host], shards: [[HostID]], issuer: PublicKey,
        compliance: PublicKey? = nil
    ) {
        version = Self.currentVersion
        (self.cluster, self.epoch, self.hosts, self.shards) = (cluster, epoch, hosts, shards)
        (self.issuer, self.compliance) = (issuer, compliance)
    }

    /// What is wrong with a manifest.
    public enum Problem: Error, Equatable, Sendable, CustomStringConvertible {
        /// Another version than this build reads.
        case version(Int)
        /// None, or more than 4,096.
        case shardCount(Int)
        /// Not 3f + 1, fewer than 4 or more than 64.
        case replicas(shard: Int, count: Int)
        /// A shard names a host that is not in the list.
        case unknownHost(shard: Int, host: HostID)
        /// One host has two replicas of a shard, and would count twice among the f that may fail.
        case hostTwice(shard: Int, host: HostID)
        /// Two hosts with one key: each could speak for the other.
        case keyTwice(HostID, HostID)

        /// What is wrong, and what would be right, in a sentence.
        public var description: String {
            switch self {
            case .version(let version):
                "manifest version \(version); this build reads version \(Manifest.currentVersion)"
            case .shardCount(let count): "the manifest has \(count) shards; 1 to 4096 are possible"
            case .replicas(let shard, let count):
                "shard \(shard) has \(count) replicas; it must have 3f + 1 with f ≥ 1, at most 64 (4, 7, 10, …)"
            case .unknownHost(let shard, let host):
                "shard \(shard) names host \(host), which the manifest does not have"
            case .hostTwice(let shard, let host):
                "shard \(shard) names host \(host) twice; a host runs at most one replica of a shard"
            case .keyTwice(let a, let b): "hosts \(a) and \(b) have the same public key"
            }
        }
    }

    /// That it describes a cluster that can run: without it `group(of:)` and others trap.
    /// - Throws: the first problem, looking at the version, then shard by shard, then at the keys.
    public func validate() throws(Problem) {
        guard version == Self.currentVersion else { throw .version(version) }
        guard !shards.isEmpty, shards.count <= 4096 else { throw .shardCount(shards.count) }
        for (s, replicas) in shards.enumerated() {
            guard replicas.count >= 4, replicas.count <= 64, replicas.count % 3 == 1 else {
                throw .replicas(shard: s, count: replicas.count)
            }
            for (i, host) in replicas.enumerated() {
                guard Int(host.number) < hosts.count else { throw .unknownHost(shard: s, host: host) }
                if replicas[..<i].contains(host) { throw .hostTwice(shard: s, host: host) }
            }
        }
        for i in hosts.indices {
            for j in hosts.indices.dropFirst(i + 1) where hosts[i].publicKey == hosts[j].publicKey {
                throw .keyTwice(HostID(UInt16(i)), HostID(UInt16(j)))
            }
        }
    }

    /// 1 to 4,096, if it is valid.
    public var shardCount: Int { shards.count }
    /// Which shard owns what: it follows from the number of shards alone.
    public var shardMap: ShardMap { ShardMap(shardCount: shards.count) }
    /// Whether there is a shard of that number, which may come from a peer.
    public func hasShard(_ shard: ShardID) -> Bool { Int(shard.number) < shards.count }

    /// - Precondition: the shard exists.
    public func group(of shard: ShardID) -> ReplicaGroup { ReplicaGroup(n: shards[Int(shard.number)].count) }

    /// - Precondition: the shard exists.
    public func hosts(of shard: ShardID) -> [HostID] { shards[Int(shard.number)] }

    /// The replica of `shard` that `host` runs; nil if none.
    public func replica(of shard: ShardID, on host: HostID) -> ReplicaIndex? {
        guard hasShard(shard) else { return nil }
        return shards[Int(shard.number)].firstIndex(of: host).map { ReplicaIndex(UInt8($0)) }
    }

    /// The key of a replica; nil if there is no such shard or replica.
    public func key(of replica: ReplicaIndex, in shard: ShardID) -> PublicKey? {
        guard hasShard(shard) else { return nil }
        let replicas = shards[Int(shard.number)]
        return replica.index < replicas.count ? hosts[Int(replicas[replica.index].number)].publicKey : nil
    }

    /// The shards of which `host` runs a replica, ascending.
    public func shards(of host: HostID) -> [ShardID] {
        shards.indices.filter { shards[$0].contains(host) }.map { ShardID(UInt16($0)) }
    }
}

/// The sizes of one shard's group: n = 3f + 1.
public struct ReplicaGroup: Hashable, Sendable {
    /// 4, 7, 10, … 64.
    public let n: Int

    /// - Precondition: n = 3f + 1, with f from 1 to 21.
    public init(n: Int) {
        precondition(n >= 4 && n % 3 == 1 && n <= 64, "a group has 3f + 1 replicas")
        self.n = n
    }
    /// How many replicas may do anything at all: (n - 1) / 3.
    public var f: Int { (n - 1) / 3 }
    /// 2f + 1: any two quorums share a correct replica (PBFT §4.2).
    public var quorum: Int {
        if Mutant.is(.smallQuorum) { return 2 * f }
        return 2 * f + 1
    }
    /// f + 1: contains a correct replica.
    public var weakQuorum: Int { f + 1 }

    /// Initial primaries rotate by shard, so that one host's death does not stop all shards.
    public func primary(of view: View, in shard: ShardID) -> ReplicaIndex {
        ReplicaIndex(UInt8((view.number % UInt64(n) + UInt64(shard.number) % UInt64(n)) % UInt64(n)))
    }
}
