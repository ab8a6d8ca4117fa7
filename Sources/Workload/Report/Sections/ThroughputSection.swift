extension ReportSection {
    /// Throughput over shard counts, beside what so many times one shard would be.
    static let throughput = ReportSection(id: "throughput", title: "Throughput") { context in
        guard !context.runs.isEmpty else { return "" }
        return
            "<div class=\"cards\">\n\(ThroughputCard(context: context).html())\(ThroughputCard(context: context).share())</div>\n"
    }
}

private struct ThroughputCard {
    let context: ReportContext

    func html() -> String {
        let markers = Chart.Marker.allCases
        var series = context.groups.enumerated().map { i, group in
            context.series(
                group.name, group.points, style: "strong", dash: i % 4, marker: markers[i % markers.count]
            ) { $0.throughput_tps }
        }
        let linear = linear
        if let linear { series.append(linear) }
        let (low, high) = (context.palette.shards.first ?? 1, context.palette.shards.last ?? 1)
        // Where the ends are far apart, only equal ratios can be seen at both.
        let isWide = Double(high) / Double(max(1, low)) >= 16
        var chart = Chart(
            title: "Throughput per shard count", xTitle: "shards",
            yTitle: "committed / s" + (isWide ? " (log)" : ""), yAxis: isWide ? .logarithmic : .linear,
            xTicks: context.shardTicks, series: series)
        chart.summary = summary
        return ChartCard(
            chart: chart,
            note: [
                "Linear: the rate on \(ReportContext.shards(low)), times the shards",
                context.intervalNote(context.points),
            ]
            .filter { !$0.isEmpty }.joined(separator: ". "),
            badges: context.badges(context.points), table: table
        ).html()
    }

    /// Of linear, in percent: what a shard is worth beside the first.
    func share() -> String {
        guard context.palette.shards.count > 1 else { return "" }
        let markers = Chart.Marker.allCases
        let series = context.groups.enumerated().compactMap { i, group -> Chart.Series? in
            guard let base = base(group.points) else { return nil }
            return context.series(
                group.name, group.points, style: "strong", dash: i % 4, marker: markers[i % markers.count]
            ) { $0.throughput_tps / base / Double($0.shards) * 100 }
        }
        var chart = Chart(
            title: "Share of linear throughput", xTitle: "shards", yTitle: "percent", xTicks: context.shardTicks,
            series: series)
        chart.summary = "What a shard adds, beside a shard of the smallest cluster: 100 % is linear"
        return ChartCard(chart: chart, note: "", badges: context.badges(context.points)).html()
    }

    /// Committed a second and shard, on the fewest shards.
    private func base(_ points: [RepeatedRuns]) -> Double? {
        guard let first = points.first, let rate = first.median({ $0.throughput_tps }), rate > 0 else { return nil }
        return rate / Double(first.shards)
    }

    private var linear: Chart.Series? {
        let counts = context.palette.shards
        guard counts.count > 1, let points = context.groups.first?.points, let base = base(points) else { return nil }
        return Chart.Series(
            name: "linear", points: counts.enumerated().map { (x: Double($0.offset), y: base * Double($0.element)) },
            dash: 2)
    }

    private var summary: String {
        guard let points = context.groups.first?.points, let last = points.last, let base = base(points),
            let rate = last.median({ $0.throughput_tps })
        else { return "" }
        let share = decimal(rate / base / Double(last.shards) * 100, 0)
        let out = "\(HTML.grouped(Int(rate.rounded()))) a second on \(ReportContext.shards(last.shards))"
        return points.count > 1 ? out + ", \(share) % of linear" : out
    }

    private var table: [[String]] {
        let rows = context.groups.flatMap { group -> [[String]] in
            let base = base(group.points)
            return group.points.map { point in
                let rate = point.median { $0.throughput_tps } ?? 0
                let range = point.range { $0.throughput_tps }
                return [
                    "\(point.shards)", group.name, "\(point.runs.count)", decimal(rate, 1),
                    range.map { decimal($0.lowerBound, 1) } ?? "-", range.map { decimal($0.upperBound, 1) } ?? "-",
                    base.map { decimal(rate / $0 / Double(point.shards) * 100, 1) } ?? "-",
                ]
            }
        }
        return [["shards", "mix", "runs", "committed / s", "from", "to", "% of linear"]] + rows
    }
}
