/// What named faults came to, a row a run that had one.
struct FaultTable {
    let runs: [RunResult]

    static let header = [
        "shards", "cross", "fault", "of", "from s", "to s", "tps before", "in it", "after", "s without commit",
        "longest gap ms", "at s",
    ]

    var rows: [[String]] {
        runs.compactMap { run in
            guard let fault = run.fault, let effect = run.faultEffect else { return nil }
            func text(_ value: Double?, _ digits: Int) -> String { value.map { decimal($0, digits) } ?? "-" }
            return [
                "\(run.shards)", "\(decimal(run.setup.cross_share * 100, 0)) %", fault.name,
                fault.target
                    + (fault.stopped_share.map { ", still \(decimal($0 * 100, 0)) % of the time" } ?? ""),
                text(fault.from_s, 1), fault.to_s.map { decimal($0, 1) } ?? "end", text(effect.before, 0),
                text(effect.during, 0), text(effect.after, 0), text(effect.without, 1),
                text(run.timeline.max_gap_ms, 0), text(run.timeline.max_gap_at_s, 1),
            ]
        }
    }

    /// As a terminal shows it; empty without a fault.
    var text: String {
        let rows = rows
        return rows.isEmpty ? "" : "faults:\n" + TextTable.aligned([Self.header] + rows)
    }
}

extension ReportSection {
    /// What named faults came to.
    static let faults = ReportSection(id: "faults", title: "Faults") { context in
        let rows = FaultTable(runs: context.runs).rows
        guard !rows.isEmpty else { return "" }
        let table = HTML.table(
            [FaultTable.header] + rows,
            caption: "What was done to the processes of a run, and what committed a second before, in and after it",
            text: [2, 3])
        return """
            <div class="card wide"><h2>Faults</h2>\(table)<p class="muted">Seconds without a commit are counted from the \
            fault's beginning to the end of the load. All invariants were checked afterwards, as without a fault</p></div>

            """
    }
}
