import Messages

/// What a process has counted between two answers.
struct CounterRise {
    /// Nil if there is nothing to compare with: then nothing has risen.
    let earlier: [MetricSample]?
    let latest: [MetricSample]

    /// What has risen of one name, by the value of a label; the label's value is empty without one. Ascending by value.
    /// A process that started again meanwhile counts from zero.
    func rises(of name: String, by label: String?) -> [(label: String, count: UInt64)] {
        guard let earlier else { return [] }
        func counts(_ samples: [MetricSample]) -> [String: UInt64] {
            var counts: [String: UInt64] = [:]
            for sample in samples where sample.name == name {
                let value = label.map { label in sample.labels.first { $0.name == label }?.value ?? "" } ?? ""
                // What a process says of itself may be anything.
                let sum = counts[value, default: 0].addingReportingOverflow(sample.value)
                counts[value] = sum.overflow ? .max : sum.partialValue
            }
            return counts
        }
        let before = counts(earlier)
        return counts(latest).compactMap { value, count in
            let known = before[value, default: 0]
            let rise = count >= known ? count - known : count
            return rise > 0 ? (value, rise) : nil
        }.sorted { $0.label < $1.label }
    }
}

/// What hosts and gateways drop and refuse while they are looked at. What happened before says nothing of now.
enum CounterChecks {
    /// Somebody is at fault for these.
    private static let faults: Set<String> = [
        "unverified", "unsigned", "undecodable", "conflicting_pre_prepare", "conflicting_vote", "malformed_view_change",
        "malformed_new_view", "wrong_selection", "wrong_state", "improper_push", "not_a_peer", "no_such_shard",
        "too_large", "time_out_of_bounds",
    ]
    /// These mean too much load.
    private static let overload: Set<String> = [
        "inbound_full", "outbound_full", "unfinished", "pool_full", "in_vain",
    ]

    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        let hosts = cluster.snapshot.hosts.flatMap { host in
            findings(
                "host \(host.number)",
                CounterRise(earlier: host.answer.earlier?.metrics, latest: host.answer.latest?.metrics ?? []),
                cluster, host: host.number)
        }
        let gateways = cluster.snapshot.gateways.flatMap { gateway in
            findings(
                "gateway \(gateway.number)",
                CounterRise(earlier: gateway.answer.earlier?.metrics, latest: gateway.answer.latest?.metrics ?? []),
                cluster, gateway: gateway.number)
        }
        return hosts + gateways
    }

    private static func findings(
        _ name: String, _ counts: CounterRise, _ cluster: DiagnosedCluster, host: Int? = nil, gateway: Int? = nil
    ) -> [Finding] {
        let dropped = counts.rises(of: "quorate_dropped_total", by: "reason")
        let within = Words.time(cluster.snapshot.interval)
        let logs = cluster.logs(host.map { "\($0)" } ?? "gateway \(gateway ?? 0)")
        func words(_ reasons: Set<String>) -> String? {
            let found = dropped.filter { reasons.contains($0.label) }
            return found.isEmpty ? nil : Words.list(found.map { "\($0.count) \($0.label)" })
        }
        var findings: [Finding] = []
        if let words = words(faults) {
            findings.append(
                Finding(
                    .warning, .messagesBad, host: host, gateway: gateway,
                    "\(name) has dropped messages within \(within) that somebody is at fault for: \(words)",
                    affects: "nobody, while no more than f hosts send such; whoever sends them wastes its time",
                    advice:
                        "docs/OPERATION.md says what each reason means. A client with a wrong key, another build or a lying host sends such",
                    commands: logs))
        }
        if let words = words(overload) {
            findings.append(
                Finding(
                    .warning, .messagesDropped, host: host, gateway: gateway,
                    "\(name) has dropped messages within \(within) because it gets more than it can take: \(words)",
                    affects: "whoever sent them repeats them, and waits so much longer",
                    advice: "send less, or give the machine more processors",
                    commands: [cluster.command("cluster status")]))
        }
        let refused = counts.rises(of: "quorate_sessions_refused_total", by: nil).reduce(0) { $0 + $1.count }
        if refused > 0 {
            findings.append(
                Finding(
                    .notice, .sessionsRefused, host: host, gateway: gateway,
                    "\(name) has refused \(refused) \(refused == 1 ? "connection" : "connections") within \(within)",
                    affects: "whoever tried to connect",
                    advice: "its log says whom and why: another build, another cluster.json, or a stranger",
                    commands: logs))
        }
        return findings
    }
}
