import HostRuntime
import Messages
import StrictInput

extension HostKeeper {
    /// A host that knows its shard to be further by more batches than this is not ready. Fewer are on their way: what
    /// peers say of themselves is as old as their last status.
    private static let allowedLag: UInt64 = 64

    /// Why this host is not ready, in a line for each reason: it has a replica that does not take part, or is behind.
    func problems() async -> [String] {
        guard let health = await health() else { return ["the host is stopped, or waits for room on its disk"] }
        return health.replicas.compactMap { replica in
            let status = replica.status
            let peers = cluster.manifest.hosts(of: status.shard).filter { $0 != id }
            let missing = peers.filter { health.connected[$0] != true }
            let needed = cluster.manifest.group(of: status.shard).quorum - 1
            if peers.count - missing.count < needed {
                let names = missing.map { "host \($0)" }.joined(separator: ", ")
                return
                    "shard \(status.shard): connected to \(peers.count - missing.count) of \(peers.count) other hosts, \(needed) are needed; not to \(names)"
            }
            if !status.halted.isEmpty { return "shard \(status.shard): halted: \(Printable.line(status.halted))" }
            if !status.standing.isEmpty { return "shard \(status.shard): \(Printable.line(status.standing))" }
            if status.isChangingView { return "shard \(status.shard): changing its view" }
            guard replica.lag > Self.allowedLag else { return nil }
            return
                "shard \(status.shard): catching up: executed \(status.lastExecuted), the shard is at \(replica.known)"
        }
    }
}

extension GatewayHost {
    /// Why this gateway is not ready, in a line for each shard of which it is connected to fewer hosts than commit.
    package func problems() async -> [String] {
        guard let health = await health() else { return ["the gateway is stopped"] }
        return (0..<manifest.shardCount).compactMap { number in
            let shard = ShardID(UInt16(number))
            let (hosts, needed) = (manifest.hosts(of: shard), manifest.group(of: shard).quorum)
            let missing = hosts.filter { !(health.connected[safe: Int($0.number)] ?? false) }
            guard hosts.count - missing.count < needed else { return nil }
            let names = missing.map { "host \($0)" }.joined(separator: ", ")
            return
                "shard \(shard): connected to \(hosts.count - missing.count) of \(hosts.count) hosts, \(needed) are needed; not to \(names)"
        }
    }
}

extension Array {
    fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
