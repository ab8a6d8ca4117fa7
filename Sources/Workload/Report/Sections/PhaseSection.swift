import StrictInput

extension ReportSection {
    /// Where the time of requests goes, as bars of one scale, and a table a run.
    static let phases = ReportSection(id: "phases", title: "Phases") { context in
        let traced = context.namedRuns.filter { ($0.run.phases.map { $0.intra_count + $0.cross_count } ?? 0) > 0 }
        guard !traced.isEmpty else { return "" }
        var rows: [StackedBars.Row] = []
        for (name, run) in traced {
            guard let phases = run.phases else { continue }
            for (kind, figures) in [("intra-shard", phases.intra), ("cross-shard", phases.cross)] where !figures.isEmpty
            {
                let parts = Phase.path.compactMap { phase -> StackedBars.Part? in
                    guard let mean = figures.first(where: { $0.phase == phase })?.mean_us, mean > 0 else { return nil }
                    return StackedBars.Part(
                        name: phase.rawValue, value: mean / 1000, style: phase.group.style,
                        label: "\((Phase.path.firstIndex(of: phase) ?? 0) + 1)")
                }
                rows.append(StackedBars.Row(name: "\(name), \(kind)\(run.flagWords)", parts: parts))
            }
        }
        let bars = StackedBars(title: "Where the time goes", unit: "ms", digits: 2, rows: rows)
        var out = "<figure class=\"card wide\"><figcaption><h2>Where the time goes</h2>"
        out +=
            "<p class=\"muted\">Mean milliseconds by phase, one after the other, of the requests that were traced. The numbers in the bars are those of the phases</p>"
        let shown = context.points.filter { point in point.runs.contains { $0.phases != nil } }
        out += context.badges(shown) + "</figcaption>\(legend)\(bars.html())"
        for (name, run) in traced {
            guard let phases = run.phases else { continue }
            let of =
                "\(HTML.grouped(phases.intra_count)) intra-shard and \(HTML.grouped(phases.cross_count)) cross-shard requests, \(HTML.number(phases.rate * 100)) % of all"
            out +=
                "<details class=\"figures\"><summary>Figures: \(Markup.escape(name))</summary>\(HTML.table(PhaseTable.page(phases), caption: "Milliseconds by phase, of \(of)"))</details>\n"
        }
        return out + "</figure>\n"
    }

    private static var legend: String {
        let groups = PhaseGroup.allCases.map { group -> String in
            let phases = Phase.path.enumerated().filter { $0.element.group == group }
            let names = phases.map { "\($0.offset + 1) \($0.element.rawValue)" }.joined(separator: ", ")
            return
                "<span><i class=\"chip \(group.style)\"></i><span>\(group.name): <span class=\"muted\">\(names)</span></span></span>"
        }
        return "<div class=\"legend\">\(groups.joined())</div>\n"
    }
}

/// What a phase waits for: few enough that each has a colour that can be told from the others.
enum PhaseGroup: CaseIterable {
    case signatures
    case network
    case queues
    case disk
    case agreement
    case execution

    var name: String {
        switch self {
        case .signatures: "signatures"
        case .network: "to and from the client and the primary"
        case .queues: "waiting its turn"
        case .disk: "disk"
        case .agreement: "agreement"
        case .execution: "execution"
        }
    }

    var style: String { "s\((Self.allCases.firstIndex(of: self) ?? 0))" }
}

extension Phase {
    var group: PhaseGroup {
        switch self {
        case .sign, .gatewayVerify, .hostVerify, .certify, .clientVerify: .signatures
        case .toGateway, .toHost, .toClient: .network
        case .gatewayQueue, .hostQueue, .pool: .queues
        case .prePrepareSync, .preparedSync: .disk
        case .prepare, .commit: .agreement
        case .execute, .total, .decide: .execution
        }
    }
}
