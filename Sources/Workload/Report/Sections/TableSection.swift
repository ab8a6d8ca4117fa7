import StrictInput

extension ReportSection {
    /// All figures of latency, and what else is known of each run.
    static let tables = ReportSection(id: "runs", title: "All runs") { context in
        guard !context.runs.isEmpty else { return "" }
        return RunTables(context: context).latency + RunTables(context: context).runs
    }
}

private struct RunTables {
    let context: ReportContext

    private func share(_ run: RunResult) -> String { "\(decimal(run.setup.cross_share * 100, 1)) %" }
    private func chip(_ run: RunResult) -> String { "<i class=\"chip \(context.palette.style(run.shards))\"></i>" }

    var latency: String {
        let header = [
            "run", "cross-shard", "kind", "count", "p50", "p90", "p99", "p99.9", "max", "mean",
        ]
        var rows: [[String]] = []
        for (name, run) in context.namedRuns {
            for kind in LatencyKindOnPage.allCases {
                let latency = run[keyPath: kind.latency]
                guard latency.count > 0 else { continue }
                let values = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us]
                rows.append(
                    [name + run.flagWords, share(run), kind.name, HTML.grouped(Int(clamping: latency.count))]
                        + values.map { decimal(Double($0) / 1000, $0 < 100_000 ? 2 : 1) }
                        + [decimal(latency.mean_us / 1000, 2)])
            }
        }
        return
            "<div class=\"card wide\"><h2>Latency</h2>\(HTML.table([header] + rows, caption: "Milliseconds, of what was committed after the warm-up", text: [0, 2]))</div>\n"
    }

    var runs: String {
        let header = [
            "run", "cross-shard", "committed", "aborted", "no answer", "tps", "seconds", "in flight", "resent",
            "retries", "conflicts", "longest gap", "checks",
        ]
        let rows = context.namedRuns.map { name, run -> [String] in
            let bad = run.flags.filter(\.isBad)
            return [
                name + run.flagWords, share(run), HTML.grouped(run.committed), HTML.grouped(run.aborted),
                "\(run.unknown)",
                HTML.grouped(Int(run.throughput_tps.rounded())), decimal(run.elapsed_s, 1),
                decimal(run.in_flight_mean, 1), "\(run.retries.resent)", "\(run.retries.gateway)",
                "\(run.retries.gateway_conflicts)", "\(decimal(run.timeline.max_gap_ms, 1)) ms",
                run.invariants.allHold
                    ? (bad.isEmpty ? "all hold" : "INVALID")
                    : "FAILED: " + run.invariants.failed.joined(separator: ", "),
            ]
        }
        return
            "<div class=\"card wide\"><h2>Runs</h2>\(HTML.table([header] + rows, caption: "What each run did", text: [0, 12]))\(notes)</div>\n"
    }

    /// What the table has no columns for.
    private var notes: String {
        var items: [(text: String, isBad: Bool)] = []
        for (name, run) in context.namedRuns {
            for flag in run.flags { items.append(("\(name): \(flag.text)", flag.isBad)) }
            for problem in run.invariants.problems { items.append(("\(name): \(problem)", true)) }
            for missed in run.missed_events {
                items.append(
                    (
                        "\(name): did not happen, the load had ended: \(missed.what) at \(HTML.number(missed.at_s)) s",
                        true
                    ))
            }
            if let history = run.history {
                items.append(
                    (
                        "\(name): history of \(HTML.grouped(history.transactions)) transactions on \(HTML.grouped(history.lists)) \(history.things ?? "lists"), \(HTML.grouped(history.committed)) committed, \(history.unknown) unknown\(history.is_full ? "; full before the load ended" : "")",
                        false
                    ))
            }
        }
        guard !items.isEmpty else { return "" }
        return "<ul class=\"notes\">"
            + items.map { "<li class=\"\($0.isBad ? "bad" : "muted")\">\(Markup.escape($0.text))</li>" }.joined()
            + "</ul>\n"
    }
}
