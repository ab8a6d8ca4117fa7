import StrictInput

/// What the report says, in the sentences that somebody reads who reads no more.
struct Headline {
    private let context: ReportContext

    init(_ context: ReportContext) { self.context = context }

    func html() -> String {
        guard let first = context.runs.first else { return "<p class=\"headline\">No run was finished.</p>\n" }
        var out = "<p class=\"headline\">\(Markup.escape(sentences.joined(separator: " ")))</p>\n"
        out += "<p class=\"muted\">\(Markup.escape(setup(first)))</p>\n"
        out += context.badges(context.points)
        if let partial = context.report.partial {
            out += "<span class=\"badge bad\">partial: \(Markup.escape(partial))</span>"
        }
        return out + "\n"
    }

    /// What, where, how fast, how it goes with shards, and whether it is valid.
    var sentences: [String] {
        // Of several mixes the first stands for all.
        guard let group = context.groups.first, let last = group.points.last else { return [] }
        var out = [speed(last, group.name)]
        if let first = group.points.first, first.shards != last.shards { out.append(growth(first, last)) }
        return out + [validity]
    }

    private func speed(_ point: RepeatedRuns, _ mix: String) -> String {
        let rate = point.median { $0.throughput_tps } ?? 0
        var parts: [String] = []
        for (kind, words) in [(\RunResult.intra, "within a shard"), (\RunResult.cross, "across shards")] {
            guard let half = point.median({ $0[keyPath: kind].milliseconds(\.p50_us) }),
                let most = point.median({ $0[keyPath: kind].milliseconds(\.p99_us) })
            else { continue }
            parts.append("\(words) \(Self.time(half)) at p50 and \(Self.time(most)) at p99")
        }
        let cores = context.report.made.map { " on \($0.cores == 1 ? "1 core" : "\($0.cores) cores")" } ?? ""
        let machine = point.flags.contains { $0.word == RunFlag.simulated } ? " in simulation" : cores
        let shown = context.groups.count > 1 ? ", \(mix)" : ""
        return
            "\(ReportContext.shards(point.shards))\(shown)\(machine): \(HTML.grouped(Int(rate.rounded()))) transactions a second"
            + (parts.isEmpty ? "." : "; " + parts.joined(separator: ", ") + ".")
    }

    private func growth(_ first: RepeatedRuns, _ last: RepeatedRuns) -> String {
        let (from, to) = (first.median { $0.throughput_tps } ?? 0, last.median { $0.throughput_tps } ?? 0)
        var out = "From \(first.shards) to \(last.shards) shards"
        let times = Double(last.shards) / Double(first.shards)
        if from > 0 {
            let share = decimal(to / from / times * 100, 0)
            out +=
                " throughput is \(HTML.number((to / from * 100).rounded() / 100)) times as high, \(share) % of linear"
        }
        let before = first.median { $0.intra.milliseconds(\.p50_us) }
        let after = last.median { $0.intra.milliseconds(\.p50_us) }
        if let before, let after, before > 0 {
            let change = (after / before - 1) * 100
            let words =
                abs(change) < 0.5
                ? "the same" : "\(decimal(abs(change), 0)) % \(change > 0 ? "longer" : "shorter")"
            out += "\(from > 0 ? ", and" : "") latency within a shard is \(words) at p50"
        }
        return out + "."
    }

    private var validity: String {
        let (all, bad) = (context.runs.count, context.runs.count { $0.flags.contains(where: \.isBad) })
        guard bad > 0 else {
            // Nobody asks how busy the machine was on which it was simulated.
            let isSimulated = context.runs.allSatisfy { $0.setup.simulated == true }
            let held = isSimulated ? "every check of the simulation held" : "every check held"
            return all == 1 ? "The run is valid: \(held)." : "All \(all) runs are valid: \(held)."
        }
        return bad == all
            ? (all == 1 ? "THE RUN IS NOT VALID." : "NONE OF THE \(all) RUNS IS VALID.")
            : "\(bad) OF \(all) RUNS \(bad == 1 ? "IS" : "ARE") NOT VALID."
    }

    private func setup(_ run: RunResult) -> String {
        let setup = run.setup
        let keys =
            setup.principals.map {
                setup.bundle > 1 ? "\($0) principals signing bundles of up to \(setup.bundle)" : "\($0) principals"
            } ?? "a key for every account, every transfer signed"
        // In an open loop nobody waits.
        let load =
            run.load?.rate_tps.map { "\(HTML.grouped(Int($0.rounded()))) operations a second (open loop)" }
            ?? "\(setup.clients) clients"
        let sizes = [(setup.rows, "rows"), (setup.accounts, "accounts")].filter { $0.0 > 0 }.map {
            "\(HTML.grouped($0.0)) \($0.1), "
        }.joined()
        let gateways = setup.gateways == 1 ? "1 gateway" : "\(setup.gateways) gateways"
        return
            "\(setup.replicas) hosts, durability \(setup.durability), \(load) over \(gateways) in \(setup.client_tls == true ? "TLS 1.3" : "plain TCP"), \(keys). "
            + "Workload: \(setup.workload) (\(sizes)seed \(setup.seed))."
    }

    /// Milliseconds with as many digits as say something.
    static func time(_ milliseconds: Double) -> String {
        "\(decimal(milliseconds, milliseconds < 10 ? 2 : milliseconds < 100 ? 1 : 0)) ms"
    }
}
