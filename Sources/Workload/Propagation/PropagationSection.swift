import Meter
import StrictInput

#if canImport(Glibc)
import Glibc
#endif

/// How batches travelled, as the page shows it: for each run its steps as a strip, the links as a matrix, and both over
/// time.
struct PropagationSection {
    let runs: [RunResult]
    let palette: Palette

    /// Empty if nothing is known.
    func html() -> String { runs.map(section).joined() }

    private func section(_ run: RunResult) -> String {
        guard let propagation = run.propagation else { return "" }
        let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
        let title = "\(shards), \(decimal(run.setup.cross_share * 100, 0)) % cross-shard"
        let style = palette.style(run.shards)
        var out =
            "<section class=\"card wide\"><h2><i class=\"chip \(style)\"></i>Propagation delay: \(title)</h2><p class=\"muted\">Milliseconds after a batch's PRE-PREPARE left its primary, of \(HTML.grouped(Int(propagation.batches))) batches\(propagation.incomplete > 0 ? "; \(HTML.grouped(Int(propagation.incomplete))) did not reach all replicas within 3 s" : ""). The bars begin at the median and end at p99, with a line at p90; logarithmic</p>\n"
        out += "<div class=\"\(style)\">\(strip(propagation))\(heat(propagation))</div>" + overTime(propagation, style)
        return out + "</section>\n"
    }

    // MARK: Steps

    private func strip(_ propagation: RunResult.Propagation) -> String {
        let steps = propagation.steps
        guard let low = steps.map(\.p50_us).min(), let high = steps.map(\.p99_us).max() else { return "" }
        let axis = Axis(low: max(1, low), high: max(2, high))
        var out =
            "<table class=\"strip\">\n<tr><th class=\"text\">until</th><th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th class=\"text\">\(axis.caption)</th></tr>\n"
        for (cells, step) in zip(PropagationTable.rows(propagation), steps) {
            out += "<tr>" + PropagationTable.named(cells).map { "<td\($1)>\(Markup.escape($0))</td>" }.joined()
            let (from, middle, to) = (axis.place(step.p50_us), axis.place(step.p90_us), axis.place(step.p99_us))
            out += "<td class=\"text bar\"><div><i style=\"left:\(decimal(from, 2))%;"
            out += "width:\(decimal(max(0.6, to - from), 2))%\"></i>"
            out += "<b style=\"left:\(decimal(middle, 2))%\"></b></div></td></tr>\n"
        }
        return out + "</table>\n"
    }

    /// Microseconds as shares of a width, by their logarithms.
    private struct Axis {
        let low: Double
        let high: Double

        func place(_ us: Double) -> Double {
            let span = max(1e-9, log10(high / low))
            return min(98, max(0, log10(max(us, low) / low) / span * 98))
        }

        var caption: String {
            "\(PropagationTable.milliseconds(low)) to \(PropagationTable.milliseconds(high)) ms"
        }
    }

    // MARK: Links

    /// A cell is the darker the longer a message took.
    private func heat(_ propagation: RunResult.Propagation) -> String {
        let hosts = 0..<propagation.hosts
        let most = max(1, propagation.links.map(\.p50_us).max() ?? 1)
        var out =
            "<p class=\"muted matrixname\">From host (row) to host (column): median, p99 below it. \(Markup.escape(PropagationTable.source(propagation))). Empty: nothing was sent</p>\n"
        out += "<table class=\"matrix\">\n<tr><th></th>" + hosts.map { "<th>host \($0)</th>" }.joined() + "</tr>\n"
        for from in hosts {
            out += "<tr><th>host \(from)</th>"
            for to in hosts {
                guard let link = propagation.cell(from: from, to: to) else {
                    out += "<td class=\"none\"></td>"
                    continue
                }
                let share = Int((8 + 52 * link.p50_us / most).rounded())
                let kind = link.message == .prePrepare ? "PRE-PREPAREs" : "PREPAREs"
                let words =
                    "\(link.count) \(kind)"
                    + (link.error_us > 0 ? ", known to ±\(PropagationTable.milliseconds(link.error_us)) ms" : "")
                out +=
                    "<td style=\"background: color-mix(in srgb, var(--k) \(share)%, transparent)\" title=\"\(words)\">\(PropagationTable.milliseconds(link.p50_us))\(link.message == .prePrepare ? "" : "*")<small>\(PropagationTable.milliseconds(link.p99_us))</small></td>"
            }
            out += "</tr>\n"
        }
        return out + "</table>\n"
    }

    // MARK: Over time

    private func overTime(_ propagation: RunResult.Propagation, _ style: String) -> String {
        let seconds = propagation.over_time
        guard seconds.count > 1, let end = seconds.last?.at_s else { return "" }
        func line(
            _ name: String, _ style: String, _ dash: Int, _ value: (RunResult.Propagation.Second) -> Double?
        ) -> Chart.Series {
            Chart.Series(
                name: name,
                points: seconds.compactMap { second in
                    value(second).map { (x: Double(second.at_s) + 0.5, y: max($0, 1) / 1000) }
                },
                style: style, dash: dash)
        }
        let step = Chart.niceStep(max(1, Double(end + 1) / 6))
        let chart = Chart(
            title: "Propagation over time", xTitle: "seconds", yTitle: "milliseconds (log)", yAxis: .logarithmic,
            xTicks: stride(from: 0.0, through: Double(end + 1), by: step).map {
                Chart.Tick(position: $0, label: HTML.number($0))
            },
            series: [
                line("a link, p50", "neutral", 0) { $0.link_p50_us },
                line("a link, p99", "neutral", 1) { $0.link_p99_us },
                line("all have it, p50", style, 0) { $0.last_p50_us },
                line("all have it, p99", style, 1) { $0.last_p99_us },
            ].filter { !$0.points.isEmpty }, isWide: true)
        return chart.legend() + chart.html()
    }

    static let css = """
        .strip .bar { width: 34%; min-width: 120px; } .strip .bar div { position: relative; height: 14px; }
        .strip .bar i { position: absolute; top: 2px; height: 10px; border-radius: 3px; background: var(--k); opacity: 0.55; }
        .strip .bar b { position: absolute; top: 0; height: 14px; width: 2px; background: var(--text); }
        .matrixname { margin-top: 14px; } .matrix { width: auto; } .matrix td, .matrix th { border: 1px solid var(--rule); }
        .matrix td { min-width: 76px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
        .matrix td small { display: block; opacity: 0.8; } .matrix .none { background: none; }
        """
}

extension PropagationTable {
    /// The first cell to the left, without what aligns it in a terminal.
    fileprivate static func named(_ cells: [String]) -> [(String, String)] {
        cells.enumerated().map { place, cell in
            place == 0 ? (String(cell.reversed().drop { $0 == " " }.reversed()), " class=\"text\"") : (cell, "")
        }
    }
}
