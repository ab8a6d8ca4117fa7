import HostRuntime
import Messages

extension ClusterProcesses {
    /// The host that leads a shard, once it says so itself in the latest view that anyone has entered.
    func primary(of shard: ShardID, limit: Duration = .seconds(30)) async throws -> (host: Int, view: View) {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            var entered: [(host: Int, status: ReplicaStatus)] = []
            for host in folder.manifest.hosts.indices {
                let replicas = (try? await status(ofHost: host, timeout: .seconds(2))) ?? []
                for status in replicas where status.shard == shard && !status.isChangingView {
                    entered.append((host, status))
                }
            }
            if let latest = entered.map(\.status.view).max(),
                let lead = entered.first(where: { $0.status.view == latest && $0.status.isPrimary })
            {
                return (lead.host, latest)
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ToolError(.noAnswer, "no host leads shard \(shard) after \(limit)")
    }
}
