extension ReportSection {
    /// Commits over time with what was done meanwhile, a picture a run.
    static let timeLines = ReportSection(id: "time", title: "Over time") { context in
        let cards = context.namedRuns.filter { !$0.run.timeline.committed.isEmpty }.map { name, run in
            var chart = TimeLine(run.timeline, events: run.events, warmup: run.setup.warmup_s).chart(
                title: "Time line: \(name)\(run.flagWords)", style: context.palette.style(run.shards))
            chart.summary = ""
            let since = run.timeline.max_gap_at_s.map { ", from \(decimal($0, 1)) s on" } ?? ""
            return ChartCard(
                chart: chart, chip: "<i class=\"chip \(context.palette.style(run.shards))\"></i>",
                note: "Longest time without a commit: \(decimal(run.timeline.max_gap_ms, 1)) ms\(since)"
                    + (run.setup.warmup_s > 0 ? ". Grey: the warm-up, which no figure counts" : ""),
                badges: context.badges([RepeatedRuns(runs: [run])])
            ).html()
        }
        // With more than a few nobody looks at all of them.
        let few = 8
        guard cards.count > few else { return cards.isEmpty ? "" : "<div class=\"lines\">\n\(cards.joined())</div>\n" }
        return
            "<div class=\"lines\">\n\(cards.prefix(few).joined())</div>\n<details><summary>Time lines of \(cards.count - few) more runs</summary><div class=\"lines\">\n\(cards.dropFirst(few).joined())</div></details>\n"
    }
}
