import Messages
import Meter

extension HostKeeper {
    /// What a scrape gets: what was counted, and what is looked at now. `MetricTable` has every name.
    public func points() async -> [MetricPoint] {
        let health = await health()
        var points = ProcessMetrics.points + instance(of: cluster.manifest, "host", Int(id.number))
        points.append(MetricPoint("quorate_host_running", [], health != nil))
        points += ProcessMetrics.disk(of: (try? cluster.host(id))?.path ?? cluster.path)
        points += metrics?.points ?? []
        for shard in cluster.manifest.shards(of: id) { points.append(quorum(of: shard, cluster.manifest)) }
        guard let health else { return points }
        for (host, isConnected) in health.connected.sorted(by: { $0.key < $1.key }) {
            points.append(connected(host, isConnected))
        }
        return points + health.replicas.flatMap(\.points)
    }
}

extension GatewayHost {
    /// What a scrape gets: what was counted, and what is looked at now. `MetricTable` has every name.
    /// - Parameter number: the gateway's, where several of one cluster are watched.
    public func points(number: Int = 0) async -> [MetricPoint] {
        var points = ProcessMetrics.points + instance(of: manifest, "gateway", number) + metrics.points
        for shard in 0..<manifest.shardCount { points.append(quorum(of: ShardID(UInt16(shard)), manifest)) }
        guard let health = await health() else { return points }
        points += [
            MetricPoint("quorate_clients_connected", [], health.clients),
            MetricPoint("quorate_queued_requests", [], health.status.queued),
            MetricPoint("quorate_in_flight_requests", [], health.status.inFlight),
            MetricPoint("quorate_admitted_total", [], health.status.admitted),
            MetricPoint("quorate_completed_total", [], health.status.completed),
        ]
        for (host, isConnected) in health.connected.enumerated() {
            points.append(connected(HostID(UInt16(host)), isConnected))
        }
        for (shard, isOpen) in health.openBreakers.enumerated() {
            points.append(MetricPoint("quorate_breaker_open", [label(of: ShardID(UInt16(shard)))], isOpen))
        }
        return points
    }
}

extension ReplicaHealth {
    fileprivate var points: [MetricPoint] {
        let labels = [label(of: status.shard)]
        let ahead = Double(status.time.microseconds(since: .zero)) - Double(status.clock.microseconds(since: .zero))
        return [
            MetricPoint("quorate_replica_voting", labels, isVoting),
            MetricPoint("quorate_replica_halted", labels, !status.halted.isEmpty),
            MetricPoint("quorate_replica_primary", labels, status.isPrimary),
            MetricPoint("quorate_replica_changing_view", labels, status.isChangingView),
            MetricPoint("quorate_replica_view", labels, status.view.number),
            MetricPoint("quorate_replica_executed_sequence", labels, status.lastExecuted.number),
            MetricPoint("quorate_replica_known_sequence", labels, known.number),
            MetricPoint("quorate_replica_stable_sequence", labels, status.stable.number),
            MetricPoint("quorate_replica_flushed_sequence", labels, status.flushed.number),
            MetricPoint("quorate_replica_waiting_items", labels, status.pendingRequests),
            MetricPoint("quorate_replica_undecided_legs", labels, status.undecided),
            MetricPoint(
                "quorate_replica_oldest_undecided_seconds", labels, .real(Double(status.oldestUndecided) / 1e6)),
            MetricPoint("quorate_replica_open_records", labels, status.open),
            MetricPoint("quorate_replica_time_ahead_seconds", labels, .real(ahead / 1e6)),
        ]
    }
}

private func label(of shard: ShardID) -> MetricLabel { MetricLabel(name: "shard", value: "\(shard.number)") }

private func quorum(of shard: ShardID, _ manifest: Manifest) -> MetricPoint {
    MetricPoint("quorate_shard_quorum_replicas", [label(of: shard)], manifest.group(of: shard).quorum)
}

private func connected(_ host: HostID, _ isConnected: Bool) -> MetricPoint {
    MetricPoint("quorate_host_connected", [MetricLabel(name: "host", value: "\(host.number)")], isConnected)
}

private func instance(of manifest: Manifest, _ role: String, _ number: Int) -> [MetricPoint] {
    let labels = [("cluster_id", manifest.cluster.short), ("role", role), ("number", "\(number)")]
    return [
        MetricPoint("quorate_instance_info", labels.map { MetricLabel(name: $0, value: $1) }, 1),
        MetricPoint("quorate_clock_seconds", [], .real(Double(Clock.now().wall.microseconds(since: .zero)) / 1e6)),
    ]
}
