import Messages

/// Which host gets which of the shards that a message is for: one message a host, and hosts with the same shards
/// together, so that the bytes are made once.
struct GatewayRouting: Sendable {
    struct Route: Sendable {
        let hosts: [HostID]
        let shards: [ShardID]
    }

    private static let maxCached = 4096
    let manifest: Manifest
    private var cache: [[ShardID]: [Route]] = [:]
    /// Assumed until the runtime says otherwise.
    private var isConnected: [Bool]

    init(manifest: Manifest) {
        self.manifest = manifest
        isConnected = Array(repeating: true, count: manifest.hosts.count)
    }

    mutating func note(_ host: HostID, isConnected connected: Bool) {
        if Int(host.number) < isConnected.count { isConnected[Int(host.number)] = connected }
    }

    /// Enough of the shard's hosts are connected for a certificate.
    func isReachable(_ shard: ShardID) -> Bool {
        let connected = manifest.hosts(of: shard).count { isConnected[Int($0.number)] }
        return connected >= manifest.group(of: shard).weakQuorum
    }

    /// - Parameter shards: ascending, all in the manifest.
    mutating func routes(to shards: [ShardID]) -> [Route] {
        if let known = cache[shards] { return known }
        var perHost: [[ShardID]] = Array(repeating: [], count: manifest.hosts.count)
        for shard in shards {
            for host in manifest.hosts(of: shard) { perHost[Int(host.number)].append(shard) }
        }
        var lists: [[ShardID]] = []
        var hosts: [[HostID]] = []
        for (host, list) in perHost.enumerated() where !list.isEmpty {
            if let same = lists.firstIndex(of: list) {
                hosts[same].append(HostID(UInt16(host)))
            } else {
                lists.append(list)
                hosts.append([HostID(UInt16(host))])
            }
        }
        let routes = zip(hosts, lists).map { Route(hosts: $0, shards: $1) }
        if cache.count >= Self.maxCached { cache.removeAll(keepingCapacity: true) }
        cache[shards] = routes
        return routes
    }
}
