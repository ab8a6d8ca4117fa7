import StrictInput

#if canImport(Glibc)
import Glibc
#endif

/// A page that needs nothing but itself: latency per shard count, throughput, distributions, time lines, tables.
struct HTMLReport {
    private let report: BenchReport
    private let title: String
    private let palette: Palette

    init(_ report: BenchReport, title: String) {
        (self.report, self.title) = (report, title)
        palette = Palette(report.runs)
    }

    private var runs: [RunResult] { report.runs }

    /// Runs that differ only in their number of shards, in order of first appearance.
    private var groups: [(name: String, runs: [RunResult])] {
        var groups: [(name: String, runs: [RunResult])] = []
        // One shard has nothing to cross: its runs belong to every mix.
        let mixes = runs.filter { $0.shards > 1 }.map(mix)
        for name in mixes.isEmpty ? runs.map(mix) : mixes where !groups.contains(where: { $0.name == name }) {
            let members = runs.filter { mix($0) == name || $0.shards == 1 }
            groups.append((name, members.sorted { $0.shards < $1.shards }))
        }
        return groups
    }

    private func mix(_ run: RunResult) -> String {
        run.setup.cross_shard_percent.map { "\($0) % cross-shard" } ?? "natural mix"
    }

    private func name(_ run: RunResult) -> String {
        let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
        return groups.count > 1 && run.shards > 1 ? "\(shards), \(mix(run))" : shards
    }

    func text() -> String {
        var body = SimulationTable(runs: runs).html() + facts() + palette.legend + "<div class=\"cards\">\n"
        for group in groups { body += latencyCard(group.name, group.runs) }
        body += throughputCard()
        body += distributionCard(cross: false)
        if runs.contains(where: { $0.cross.count > 0 }) { body += distributionCard(cross: true) }
        body += "</div>\n"
        body += latencyTable() + PhaseSection(runs: runs, palette: palette).html()
        body += CostSection(runs: runs, palette: palette).html() + runTable()
        body += "<div class=\"lines\">\n" + runs.map(timelineCard).joined() + "</div>\n"
        body += notes()
        let css = palette.css + "\n" + PhaseSection.css
        return HTML.page(title: SimulationTable(runs: runs).isEmpty ? title : "SIMULATED: \(title)", subtitle: subtitle, provenance: report.made, css: css, body: body)
    }

    private var subtitle: String {
        guard let setup = runs.first?.setup else { return "no run" }
        let keys =
            setup.principals.map { "\($0) principals signing bundles of up to \(setup.bundle)" }
            ?? "a key for every account, every transfer signed"
        let network = setup.network.map { ", over the emulated network \($0)" } ?? ""
        return
            "\(setup.replicas) hosts, durability \(setup.durability), \(setup.clients) clients over \(setup.gateways == 1 ? "1 gateway" : "\(setup.gateways) gateways") in \(setup.client_tls == true ? "TLS 1.3" : "plain TCP")\(network), \(keys). "
            + "Workload: \(setup.workload) (\(HTML.grouped(setup.rows)) rows, \(HTML.grouped(setup.accounts)) accounts, seed \(setup.seed))."
    }

    private func facts() -> String {
        let committed = runs.reduce(0) { $0 + $1.committed }
        let best = runs.map(\.throughput_tps).max() ?? 0
        let holds = runs.allSatisfy(\.invariants.allHold)
        var facts = [
            ("\(HTML.grouped(committed))", "transfers committed"),
            ("\(HTML.grouped(Int(best)))", "transfers a second, best run"),
        ]
        if let run = runs.filter({ $0.intra.count > 0 }).min(by: { $0.intra.p50_us < $1.intra.p50_us }) {
            facts.append((milliseconds(run.intra.p50_us) + " ms", "intra-shard p50, best run"))
        }
        if let run = runs.filter({ $0.cross.count > 0 }).min(by: { $0.cross.p50_us < $1.cross.p50_us }) {
            facts.append((milliseconds(run.cross.p50_us) + " ms", "cross-shard p50, best run"))
        }
        var out = "<div class=\"facts\">\n"
        for (value, label) in facts { out += "<div class=\"fact\"><b>\(value)</b><span>\(label)</span></div>\n" }
        out +=
            "<div class=\"fact\"><b class=\"\(holds ? "good" : "bad")\">\(holds ? "hold" : "FAILED")</b><span>invariants, all replicas</span></div>\n"
        return out + "</div>\n"
    }

    private func card(_ chart: Chart, note: String) -> String {
        "<section class=\"card\"><h2>\(Markup.escape(chart.title))</h2><p class=\"muted\">\(Markup.escape(note))</p>\(chart.legend())\(chart.html())</section>\n"
    }

    private func shardTicks(_ runs: [RunResult]) -> [Chart.Tick] {
        Set(runs.map(\.shards)).sorted().enumerated().map {
            Chart.Tick(position: Double($0.offset), label: "\($0.element)")
        }
    }

    /// Shard counts are categories: 1, 2, 4, 16 stand at equal distances.
    private func place(_ run: RunResult, among runs: [RunResult]) -> Double {
        Double(Set(runs.map(\.shards)).sorted().firstIndex(of: run.shards) ?? 0)
    }

    /// Which line a mix has, where a colour is a shard count.
    private func dash(_ run: RunResult) -> Int {
        run.shards == 1 ? 0 : groups.firstIndex { $0.name == mix(run) } ?? 0
    }

    private func latencyCard(_ name: String, _ runs: [RunResult]) -> String {
        func series(
            _ label: String, _ style: String, _ dash: Int, _ marker: Chart.Marker,
            _ kind: KeyPath<RunResult, RunResult.Latency>, _ value: KeyPath<RunResult.Latency, UInt64>
        ) -> Chart.Series {
            let shown = runs.filter { $0[keyPath: kind].count > 0 }
            return Chart.Series(
                name: label,
                points: shown.map { (x: place($0, among: runs), y: Double($0[keyPath: kind][keyPath: value]) / 1000) },
                style: style, markerStyles: shown.map { palette.style($0.shards) }, dash: dash, marker: marker)
        }
        let chart = Chart(
            title: "Latency per shard count", xTitle: "shards", yTitle: "milliseconds (log)", yAxis: .logarithmic,
            xTicks: shardTicks(runs),
            series: [
                series("intra-shard p50", "neutral", 0, .circle, \.intra, \.p50_us),
                series("intra-shard p99", "neutral", 1, .ring, \.intra, \.p99_us),
                series("cross-shard p50", "strong", 0, .square, \.cross, \.p50_us),
                series("cross-shard p99", "strong", 1, .frame, \.cross, \.p99_us),
            ])
        return card(
            chart,
            note:
                "\(name.prefix(1).uppercased() + name.dropFirst()); first submit to verified receipt, retries included")
    }

    private func throughputCard() -> String {
        let markers = Chart.Marker.allCases
        let chart = Chart(
            title: "Throughput per shard count", xTitle: "shards", yTitle: "committed transfers / s",
            xTicks: shardTicks(runs),
            series: groups.enumerated().map { i, group in
                Chart.Series(
                    name: group.name, points: group.runs.map { (x: place($0, among: runs), y: $0.throughput_tps) },
                    markerStyles: group.runs.map { palette.style($0.shards) }, dash: i % 4,
                    marker: markers[i % markers.count])
            })
        return card(chart, note: "Closed loop; hosts, gateways and clients share this machine")
    }

    private func distributionCard(cross: Bool) -> String {
        let kind = cross ? "Cross-shard" : "Intra-shard"
        // The number of nines of a percentile: 90 is 1, 99 is 2.
        func nines(_ percentile: Double) -> Double { -log10(max(1e-6, 1 - percentile / 100)) }
        let series = runs.filter { (cross ? $0.cross : $0.intra).count > 0 }.map { run in
            let latency = cross ? run.cross : run.intra
            let points = latency.curve.filter { $0.percentile < 100 && $0.us > 0 }.map {
                (x: nines($0.percentile), y: Double($0.us) / 1000)
            }
            return Chart.Series(name: name(run), points: points, style: palette.style(run.shards), dash: dash(run) % 4)
        }
        let deepest = series.flatMap { $0.points.map(\.x) }.max() ?? 1
        let ticks = [0.0, 50, 90, 99, 99.9, 99.99, 99.999].filter { nines($0) <= deepest + 1e-9 }
        let chart = Chart(
            title: "\(kind) latency distribution", xTitle: "percentile", yTitle: "milliseconds (log)",
            yAxis: .logarithmic,
            xTicks: ticks.map { Chart.Tick(position: nines($0), label: HTML.number($0)) }, series: series)
        return card(chart, note: "Every recorded value; the axis widens towards the tail")
    }

    private func timelineCard(_ run: RunResult) -> String {
        let chart = TimeLine(run.timeline, events: run.events).chart(
            title: "Time line: \(name(run))", style: palette.style(run.shards))
        return
            "<section class=\"card\"><h2><i class=\"chip \(palette.style(run.shards))\"></i>\(Markup.escape(chart.title))</h2><p class=\"muted\">Longest time without a commit: \(decimal(run.timeline.max_gap_ms, 1)) ms\(run.timeline.max_gap_at_s.map { ", from \(decimal($0, 1)) s on" } ?? "")</p>\(chart.html())</section>\n"
    }

    private func milliseconds(_ us: UInt64) -> String { decimal(Double(us) / 1000, us < 100_000 ? 2 : 1) }

    private func latencyTable() -> String {
        var out =
            "<section class=\"card wide\"><h2>Latency</h2><p class=\"muted\">Milliseconds, committed transfers</p><table>\n<tr><th>shards</th><th>cross-shard</th><th class=\"text\">kind</th><th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>mean</th></tr>\n"
        for run in runs {
            for (kind, latency) in [("intra-shard", run.intra), ("cross-shard", run.cross)] where latency.count > 0 {
                out +=
                    "<tr><td><i class=\"chip \(palette.style(run.shards))\"></i>\(run.shards)</td><td>\(decimal(run.setup.cross_share * 100, 1)) %</td><td class=\"text\">\(kind)</td><td>\(HTML.grouped(Int(latency.count)))</td>"
                for value in [latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us] {
                    out += "<td>\(milliseconds(value))</td>"
                }
                out += "<td>\(decimal(latency.mean_us / 1000, 2))</td></tr>\n"
            }
        }
        return out + "</table></section>\n"
    }

    private func runTable() -> String {
        var out =
            "<section class=\"card wide\"><h2>Runs</h2><table>\n<tr><th>shards</th><th>cross-shard</th><th>committed</th><th>aborted</th><th>no answer</th><th>tps</th><th>seconds</th><th>in flight</th><th>resent</th><th>retries</th><th>conflicts</th><th>longest gap</th><th class=\"text\">invariants</th></tr>\n"
        func check(_ invariants: RunResult.Invariants) -> String {
            if invariants.allHold { return "<td class=\"text good\">all hold</td>" }
            let failed = [
                (invariants.conservation, "conservation"), (invariants.replicas_agree, "replicas agree"),
                (invariants.no_locks, "no locks"),
                (invariants.strictly_serializable != false, "strict serializability"),
            ]
            return "<td class=\"text bad\">FAILED: \(failed.filter { !$0.0 }.map(\.1).joined(separator: ", "))</td>"
        }
        for run in runs {
            out +=
                "<tr><td><i class=\"chip \(palette.style(run.shards))\"></i>\(run.shards)</td><td>\(decimal(run.setup.cross_share * 100, 1)) %</td><td>\(HTML.grouped(run.committed))</td><td>\(HTML.grouped(run.aborted))</td><td>\(run.unknown)</td>"
            out +=
                "<td>\(HTML.grouped(Int(run.throughput_tps.rounded())))</td><td>\(decimal(run.elapsed_s, 1))</td><td>\(decimal(run.in_flight_mean, 1))</td>"
            out +=
                "<td>\(run.retries.resent)</td><td>\(run.retries.gateway)</td><td>\(run.retries.gateway_conflicts)</td><td>\(decimal(run.timeline.max_gap_ms, 1)) ms</td>"
            out += check(run.invariants) + "</tr>\n"
            if let history = run.history {
                out +=
                    "<tr><td colspan=\"13\" class=\"text muted\">history: \(HTML.grouped(history.transactions)) transactions on \(HTML.grouped(history.lists)) lists, \(HTML.grouped(history.committed)) committed, \(history.unknown) unknown\(history.is_full ? "; full before the load ended" : "")</td></tr>\n"
            }
            for missed in run.missed_events {
                out +=
                    "<tr><td colspan=\"13\" class=\"text bad\">did not happen, the load had ended: \(Markup.escape(missed.what)) at \(HTML.number(missed.at_s)) s</td></tr>\n"
            }
            for problem in run.invariants.problems {
                out += "<tr><td colspan=\"13\" class=\"text bad\">\(Markup.escape(problem))</td></tr>\n"
            }
            for (reason, count) in run.aborts.sorted(by: { $0.key < $1.key }) {
                out +=
                    "<tr><td colspan=\"13\" class=\"text muted\">aborted, \(Markup.escape(reason)): \(HTML.grouped(count))</td></tr>\n"
            }
        }
        return out + "</table></section>\n"
    }

    private func notes() -> String {
        """
        <section class="card wide"><h2>How to read this</h2><p class="muted">
        A client is one signed request in flight. It counts as done when the client itself has verified the certificates that prove its
        outcome (f + 1 replica signatures for each shard involved). An account's payments keep the order of the
        workload, and wait for money that they need, so “in flight” can stay below the number of clients.
        “Resent” counts requests that the client sent again, “retries” those that a gateway sent again, for conflicts or for silence. Under bundles, every transfer has the latency of
        its bundle. After each run every replica was asked for its final state: money is conserved per asset, the replicas of a shard
        have the same digest at the same sequence number, and no reservation is left. A history of transactions that append to lists
        and read them was recorded during the run, beside the transfers or as its load, and some order of them, which respects real
        time, explains all that was read (strict serializability).</p></section>

        """
    }
}
