import StrictInput

extension ReportSection {
    /// Why transactions did not take effect, and what gateways turned away.
    static let aborts = ReportSection(id: "aborts", title: "Aborts") { context in
        let runs = context.namedRuns
        func causes(_ count: (RunResult) -> [String: Int]) -> [String] {
            Set(runs.flatMap { count($0.run).keys }).sorted()
        }
        let (aborts, rejections) = (causes { $0.aborts }, causes { $0.retries.rejections })
        guard !runs.isEmpty else { return "" }
        guard !aborts.isEmpty || !rejections.isEmpty || runs.contains(where: { $0.run.unknown > 0 }) else {
            return
                "<div class=\"card wide\"><h2>Abort causes</h2><p class=\"muted\">No transaction was aborted, and every one has a certified outcome</p></div>\n"
        }
        let bars = StackedBars(
            title: "Abort causes", unit: "aborted", digits: 0,
            rows: runs.map { name, run in
                StackedBars.Row(
                    name: name + run.flagWords,
                    parts: run.aborts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { reason, count in
                        let place = aborts.firstIndex(of: reason) ?? 0
                        return StackedBars.Part(
                            name: reason, value: Double(count), style: "s\(place % 6)", label: reason)
                    })
            })
        let rows = runs.map { name, run -> [String] in
            let all = run.committed + run.aborted + run.unknown
            let share = all > 0 ? decimal(Double(run.aborted) / Double(all) * 100, 2) : "0"
            return [name + run.flagWords, HTML.grouped(run.aborted), share, HTML.grouped(run.unknown)]
                + aborts.map { HTML.grouped(run.aborts[$0] ?? 0) }
                + rejections.map { HTML.grouped(run.retries.rejections[$0] ?? 0) }
        }
        let header = ["run", "aborted", "% of all", "no answer"] + aborts + rejections.map { "refused: \($0)" }
        return
            "<figure class=\"card wide\"><figcaption><h2>Abort causes</h2><p class=\"muted\">Transactions that certainly had no effect, by reason; no answer: nothing was certified in time; refused: a gateway did not take it, and the client tried again</p>"
            + context.badges(context.points) + "</figcaption>\(bars.html())"
            + HTML.table([header] + rows, caption: "After the warm-up; refusals with it") + "</figure>\n"
    }
}
