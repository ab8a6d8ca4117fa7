extension ReportSection {
    /// Percentiles over shard counts, a picture for each mix and kind.
    static let latency = ReportSection(id: "latency", title: "Latency") { context in
        var cards = ""
        for group in context.groups {
            for kind in LatencyKindOnPage.allCases {
                cards += LatencyCard(context: context, mix: group.name, points: group.points, kind: kind).html()
            }
        }
        return context.palette.legend + "<div class=\"cards\">\n\(cards)</div>\n"
    }
}

/// Whether a transaction concerns one shard or several.
enum LatencyKindOnPage: CaseIterable {
    case intra
    case cross

    var name: String { self == .intra ? "intra-shard" : "cross-shard" }
    var title: String { self == .intra ? "Intra-shard" : "Cross-shard" }
    var latency: KeyPath<RunResult, RunResult.Latency> { self == .intra ? \.intra : \.cross }
}

/// Latency per shard count of one mix.
private struct LatencyCard {
    let context: ReportContext
    let mix: String
    let points: [RepeatedRuns]
    let kind: LatencyKindOnPage

    private static var percentiles: [(name: String, value: KeyPath<RunResult.Latency, UInt64>, Chart.Marker)] {
        [("p50", \.p50_us, .circle), ("p99", \.p99_us, .square), ("p99.9", \.p999_us, .ring)]
    }

    func html() -> String {
        let shown = points.filter { point in point.runs.contains { $0[keyPath: kind.latency].count > 0 } }
        // One shard alone, of a mix of several, is drawn with another mix.
        let isOnlyBeside = points.contains { $0.shards > 1 } && !shown.contains { $0.shards > 1 }
        guard !shown.isEmpty, !(isOnlyBeside && context.groups.count > 1) else { return "" }
        let title =
            "\(kind.title) latency per shard count" + (context.groups.count > 1 ? ", \(mix)" : "")
        let series = Self.percentiles.enumerated().map { i, percentile in
            context.series(
                percentile.name, shown, style: i == 0 ? "strong" : "neutral", dash: i, marker: percentile.2
            ) { $0[keyPath: kind.latency].milliseconds(percentile.value) }
        }
        var chart = Chart(
            title: title, xTitle: "shards", yTitle: "milliseconds (log)", yAxis: .logarithmic,
            xTicks: context.shardTicks, series: series)
        chart.summary = summary(shown)
        return ChartCard(
            chart: chart,
            note: [span(shown), context.intervalNote(shown)].filter {
                !$0.isEmpty
            }.joined(separator: ". "),
            badges: context.badges(shown), table: table(shown)
        ).html()
    }

    /// From what to what it is.
    private func span(_ points: [RepeatedRuns]) -> String {
        let isOpen = points.contains { $0.runs.contains { $0.load?.rate_tps != nil } }
        let begin = isOpen ? "The moment that a request was meant for" : "First submit"
        return "\(begin) to verified receipt, retries included"
    }

    /// How p50 and p99 go from the fewest shards to the most.
    private func summary(_ points: [RepeatedRuns]) -> String {
        guard let first = points.first, let last = points.last else { return "" }
        func value(_ point: RepeatedRuns, _ path: KeyPath<RunResult.Latency, UInt64>) -> String {
            point.median { $0[keyPath: kind.latency].milliseconds(path) }.map(Headline.time) ?? "-"
        }
        guard first.shards != last.shards else {
            return "p50 \(value(first, \.p50_us)), p99 \(value(first, \.p99_us))"
        }
        return
            "p50 from \(value(first, \.p50_us)) on \(ReportContext.shards(first.shards)) to \(value(last, \.p50_us)) on \(last.shards), p99 from \(value(first, \.p99_us)) to \(value(last, \.p99_us))"
    }

    private func table(_ points: [RepeatedRuns]) -> [[String]] {
        var header = ["shards", "runs"]
        for (name, _, _) in Self.percentiles { header += ["\(name) ms", "from", "to"] }
        return [header]
            + points.map { point in
                var row = ["\(point.shards)", "\(point.runs.count)"]
                for (_, path, _) in Self.percentiles {
                    let value = { (run: RunResult) in run[keyPath: kind.latency].milliseconds(path) }
                    row.append(point.median(value).map { decimal($0, 2) } ?? "-")
                    let range = point.range(value)
                    row += [
                        range.map { decimal($0.lowerBound, 2) } ?? "-", range.map { decimal($0.upperBound, 2) } ?? "-",
                    ]
                }
                return row
            }
    }
}
