import StrictInput

extension ReportSection {
    /// What a committed transfer cost, by role and by kind of message.
    static let costs = ReportSection(id: "costs", title: "Costs") { context in
        CostCards(context: context).html()
    }
}

private struct CostCards {
    let context: ReportContext

    /// Empty if no run was sampled.
    func html() -> String {
        let table = CostTable(runs: context.runs).rows
        guard !table.isEmpty else { return "" }
        let rows = context.namedRuns.compactMap { name, run -> StackedBars.Row? in
            guard let costs = run.costs else { return nil }
            let parts = [("hosts", costs.hosts, "s0"), ("gateways", costs.gateways, "s2"), ("load", costs.load, "s3")]
                .compactMap { name, role, style in
                    role?.cpu_us.map { StackedBars.Part(name: name, value: $0, style: style, label: name) }
                }
            return StackedBars.Row(name: name + run.flagWords, parts: parts)
        }
        let bars = StackedBars(title: "Processor time by role", unit: "µs", digits: 0, rows: rows)
        let sampled = context.points.filter { point in point.runs.contains { $0.costs != nil } }
        var out =
            "<figure class=\"card wide\"><figcaption><h2>Costs</h2><p class=\"muted\">Processor time of a committed transfer after the warm-up, over all processes of a role. The load is the process of the bench: clients that sign and verify</p>"
        out += context.badges(sampled) + "</figcaption>\(legend)\(bars.html())"
        out += HTML.figures(
            HTML.table(
                [CostTable.header] + table,
                caption: "Per committed transfer. A dash: a process was started or ended meanwhile, or did not answer"))
        return out + "</figure>\n" + kinds()
    }

    private var legend: String {
        let items = [("hosts", "s0"), ("gateways", "s2"), ("load", "s3")].map {
            "<span><i class=\"chip \($0.1)\"></i>\($0.0)</span>"
        }
        return "<div class=\"legend\">\(items.joined())</div>\n"
    }

    /// One column a run, so that runs can be compared.
    private func kinds() -> String {
        let sampled = context.namedRuns.filter { $0.run.costs?.by_kind != nil }
        let kinds = Set(sampled.flatMap { ($0.run.costs?.by_kind ?? [:]).keys }).sorted()
        guard !kinds.isEmpty else { return "" }
        let rows = kinds.map { kind -> [String] in
            [kind]
                + sampled.flatMap { named -> [String] in
                    let sent = named.run.costs?.by_kind?[kind]
                    return [CostTable.text(sent?.messages, 2), CostTable.text(sent?.bytes, 0)]
                }
        }
        let header = ["kind"] + sampled.flatMap { ["\($0.name)\($0.run.flagWords)", "bytes"] }
        return
            "<div class=\"card wide\"><h2>Messages</h2>\(HTML.table([header] + rows, caption: "Per committed transfer: messages, and bytes of their frames before TLS"))</div>\n"
    }
}
