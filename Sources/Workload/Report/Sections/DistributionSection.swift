#if canImport(Glibc)
import Glibc
#endif

extension ReportSection {
    /// The distribution of latencies, a line a run.
    static let distributions = ReportSection(id: "distributions", title: "Distributions") { context in
        let cards = LatencyKindOnPage.allCases.map { DistributionCard(context: context, kind: $0).html() }.joined()
        return cards.isEmpty ? "" : "<div class=\"cards\">\n\(cards)</div>\n"
    }
}

/// Every recorded value; the axis widens towards the tail.
private struct DistributionCard {
    let context: ReportContext
    let kind: LatencyKindOnPage

    private static let percentiles = [0.0, 50, 90, 99, 99.9, 99.99, 99.999]

    /// The number of nines of a percentile: 90 is 1, 99 is 2.
    private static func nines(_ percentile: Double) -> Double { -log10(max(1e-6, 1 - percentile / 100)) }

    func html() -> String {
        let shown = context.namedRuns.filter { $0.run[keyPath: kind.latency].count > 0 }
        guard !shown.isEmpty else { return "" }
        let series = shown.enumerated().map { i, named in
            Chart.Series(
                name: named.name + named.run.flagWords,
                points: named.run[keyPath: kind.latency].curve.filter { $0.percentile < 100 && $0.us > 0 }.map {
                    (x: Self.nines($0.percentile), y: Double($0.us) / 1000)
                },
                style: context.palette.style(named.run.shards), dash: dash(named.run, i))
        }
        let deepest = series.flatMap { $0.points.map(\.x) }.max() ?? 1
        let ticks = Self.percentiles.filter { Self.nines($0) <= deepest + 1e-9 }
        let chart = Chart(
            title: "\(kind.title) latency distribution", xTitle: "percent that took no longer",
            yTitle: "milliseconds (log)", yAxis: .logarithmic,
            xTicks: ticks.map { Chart.Tick(position: Self.nines($0), label: HTML.number($0)) }, series: series)
        return ChartCard(
            chart: chart, note: "Every recorded value; the axis widens towards the tail",
            badges: context.badges(context.points.filter { $0.runs.contains { $0[keyPath: kind.latency].count > 0 } }),
            table: table(shown, ticks)
        ).html()
    }

    /// A kind of line for each mix, where a colour is a shard count; else for each shard count, so that neither colour
    /// is needed.
    private func dash(_ run: RunResult, _ place: Int) -> Int {
        if context.groups.count > 1 {
            return run.shards == 1 ? 0 : (context.groups.firstIndex { $0.name == ReportContext.mix(run) } ?? 0) % 4
        }
        return (context.palette.shards.firstIndex(of: run.shards) ?? 0) % 4
    }

    private func table(_ shown: [(name: String, run: RunResult)], _ ticks: [Double]) -> [[String]] {
        let wanted = ticks.filter { $0 > 0 } + [100]
        return [["run"] + wanted.map { $0 == 100 ? "max ms" : "p\(HTML.number($0)) ms" }]
            + shown.map { named in
                let curve = named.run[keyPath: kind.latency].curve
                return [named.name + named.run.flagWords]
                    + wanted.map { percentile in
                        // The first point that is not below it.
                        curve.first { $0.percentile >= percentile - 1e-9 }.map { decimal(Double($0.us) / 1000, 2) }
                            ?? "-"
                    }
            }
    }
}
