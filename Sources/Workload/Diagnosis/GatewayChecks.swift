import Messages

/// Gateways that do not answer, or turn clients away.
enum GatewayChecks {
    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        let gateways = cluster.snapshot.gateways
        var findings: [Finding] = []
        if !gateways.contains(where: { $0.answer.latest != nil }) {
            findings.append(none(cluster))
        }
        for gateway in gateways { findings += self.findings(gateway, cluster) }
        return findings
    }

    private static func none(_ cluster: DiagnosedCluster) -> Finding {
        let gateways = cluster.snapshot.gateways
        guard cluster.snapshot.isForManyMachines else {
            return Finding(
                .critical, .noGateway, gateways.isEmpty ? "no gateway runs" : "no gateway answers",
                affects: "all clients: nobody can submit anything", advice: "start one", commands: cluster.up())
        }
        guard !gateways.isEmpty else {
            return Finding(
                .warning, .noGateway, "no gateway is known: the folder has no gateways.json that lists one",
                affects: "clients that find gateways by this folder; whether any runs cannot be seen from here",
                advice: "use the folder or public part that has the list")
        }
        return Finding(
            .critical, .noGateway, "no gateway that gateways.json lists answers from here",
            affects: "all clients that come from here: they can submit nothing",
            advice: "see on the gateways' machines whether they run, and whether they listen where gateways.json says"
        )
    }

    private static func findings(_ gateway: ClusterSnapshot.Gateway, _ cluster: DiagnosedCluster) -> [Finding] {
        guard let status = gateway.answer.latest else { return [absence(of: gateway, cluster)] }
        var findings: [Finding] = []
        let counts = CounterRise(earlier: gateway.answer.earlier?.metrics, latest: status.metrics)
        let rejected = counts.rises(of: "quorate_rejected_total", by: "reason")
        // What the client alone is at fault for says nothing of the cluster.
        let ours = rejected.filter { $0.label != "invalid" }
        if !ours.isEmpty {
            let words = Words.list(ours.map { "\($0.count) \(reason($0.label))" })
            findings.append(
                Finding(
                    .warning, .gatewayRejects, gateway: gateway.number,
                    "gateway \(gateway.number) has turned requests away within \(Words.time(cluster.snapshot.interval)): \(words)",
                    affects: "the clients that sent them; they are told when to come back",
                    advice: ours.contains { $0.label == "queue_full" }
                        ? "more is sent than the shards commit: send less, or spread the load"
                        : "see which shard does not answer",
                    commands: [cluster.command("cluster status")]))
        }
        let opened = counts.rises(of: "quorate_breakers_opened_total", by: nil).reduce(0) { $0 + $1.count }
        if opened > 0 {
            findings.append(
                Finding(
                    .warning, .breakersOpen, gateway: gateway.number,
                    "gateway \(gateway.number) has stopped sending to \(opened == 1 ? "a shard" : "\(opened) shards") that certified nothing for 10 s",
                    affects: "who needs that shard is told at once that it is not available",
                    advice: "see which shard does not commit; the gateway tries again by itself",
                    commands: [cluster.command("cluster status")]))
        }
        return findings
    }

    private static func absence(of gateway: ClusterSnapshot.Gateway, _ cluster: DiagnosedCluster) -> Finding {
        let number = gateway.number
        func finding(_ code: Finding.Code, _ what: String, _ advice: String, _ commands: [String]) -> Finding {
            Finding(
                .warning, code, gateway: number, what, since: gateway.log.lastWord.map { .after($0) },
                affects: "clients that know only this gateway; others go on at another one", advice: advice,
                commands: commands)
        }
        guard gateway.isHere || gateway.process != nil else {
            return finding(
                .gatewaySilent, "gateway \(number) at \(gateway.address) does not answer",
                "see on its machine whether it runs, whether it listens at that address and not on loopback alone, and whether the network lets connections through",
                [])
        }
        guard let process = gateway.process else {
            let word = gateway.log.complaint.map { ". Its last complaint: \($0.text)" } ?? ""
            return finding(
                .gatewayDown, "gateway \(number) ended without being told to\(word)", "start it",
                cluster.up("--gateways \(cluster.snapshot.gateways.count)"))
        }
        if process.isStopped {
            return finding(
                .gatewayStopped, "gateway \(number) is stopped: its process \(process.pid) is under SIGSTOP",
                "let it go on", ["kill -CONT \(process.pid)"])
        }
        return finding(
            .gatewaySilent, "gateway \(number) runs (process \(process.pid)) and does not answer on \(gateway.address)",
            "see its log; if it does not come back, end it and start it again",
            cluster.logs("gateway \(number)") + ["kill \(process.pid)"] + cluster.up())
    }

    private static func reason(_ label: String) -> String {
        switch label {
        case "queue_full": "because its queue is full"
        case "retries_exhausted": "after all retries"
        case "deadline_passed": "whose deadline passed"
        case "refused": "that shards refused"
        case "shutting_down": "because it stops"
        case "shard_unavailable": "because a shard is not available"
        default: label
        }
    }
}
