import StrictInput

/// Where the time goes, as tables: one a run, a line a phase.
struct PhaseTable {
    let runs: [RunResult]

    /// As a terminal shows it; empty if no request was traced.
    var text: String {
        runs.compactMap { run in
            guard let phases = run.phases, phases.intra_count + phases.cross_count > 0 else { return nil }
            let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
            let title =
                "where the time goes, \(shards), \(decimal(run.setup.cross_share * 100, 0)) % cross: ms by phase, of "
                + "\(phases.intra_count) intra and \(phases.cross_count) cross requests"
            return title + "\n" + TextTable.aligned([Self.header] + Self.rows(phases))
        }.joined(separator: "\n\n")
    }

    private static let width = Phase.allCases.map(\.rawValue.count).max() ?? 0
    private static let header = ["phase".padding(to: width), "intra p50", "p90", "p99", "cross p50", "p90", "p99"]

    static func rows(_ phases: RunResult.Phases) -> [[String]] {
        Phase.allCases.compactMap { phase in
            let (intra, cross) = (phases.intra.first { $0.phase == phase }, phases.cross.first { $0.phase == phase })
            guard intra != nil || cross != nil else { return nil }
            // To the left, in a column that is aligned to the right.
            let name = phase.rawValue.padding(to: width)
            return [name] + cells(intra) + cells(cross)
        }
    }

    private static func cells(_ figures: RunResult.Phases.Figures?) -> [String] {
        guard let figures else { return ["-", "-", "-"] }
        return [figures.p50_us, figures.p90_us, figures.p99_us].map { decimal($0 / 1000, 2) }
    }
}

extension String {
    func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// The same on the page: a bar of the mean times, and the table.
struct PhaseSection {
    let runs: [RunResult]
    let palette: Palette

    /// Empty if no request was traced.
    func html() -> String { runs.map(section).joined() }

    private func section(_ run: RunResult) -> String {
        guard let phases = run.phases, phases.intra_count + phases.cross_count > 0 else { return "" }
        let shards = run.shards == 1 ? "1 shard" : "\(run.shards) shards"
        let title = "\(shards), \(decimal(run.setup.cross_share * 100, 0)) % cross-shard"
        var out =
            "<section class=\"card wide\"><h2><i class=\"chip \(palette.style(run.shards))\"></i>Where the time goes: \(title)</h2>"
        out +=
            "<p class=\"muted\">Milliseconds by phase of \(HTML.grouped(phases.intra_count)) intra-shard and \(HTML.grouped(phases.cross_count)) cross-shard requests, which were traced (\(HTML.number(phases.rate * 100)) % of all). The bars have the means</p>\n"
        for (name, figures) in [("intra-shard", phases.intra), ("cross-shard", phases.cross)] where !figures.isEmpty {
            out += bar(name, figures)
        }
        out += legend() + table(phases)
        return out + "</section>\n"
    }

    private func bar(_ name: String, _ figures: [RunResult.Phases.Figures]) -> String {
        let parts = Phase.path.compactMap { phase in figures.first { $0.phase == phase } }
        let sum = parts.reduce(0) { $0 + $1.mean_us }
        guard sum > 0 else { return "" }
        var out = "<p class=\"muted phasename\">\(name): \(decimal(sum / 1000, 2)) ms</p><div class=\"phasebar\">"
        for part in parts where part.mean_us > 0 {
            let share = decimal(part.mean_us / sum * 100, 3)
            let words = "\(part.phase.rawValue): \(decimal(part.mean_us / 1000, 2)) ms"
            out += "<i class=\"ph\(place(part.phase))\" style=\"width:\(share)%\" title=\"\(words)\"></i>"
        }
        return out + "</div>\n"
    }

    private func place(_ phase: Phase) -> Int { Phase.path.firstIndex(of: phase) ?? 0 }

    private func legend() -> String {
        "<div class=\"legend phaselegend\">"
            + Phase.path.map { "<span><i class=\"chip ph\(place($0))\"></i>\($0.rawValue)</span>" }.joined()
            + "</div>\n"
    }

    private func table(_ phases: RunResult.Phases) -> String {
        var out =
            "<table>\n<tr><th class=\"text\">phase</th><th>intra p50</th><th>p90</th><th>p99</th><th>cross p50</th><th>p90</th><th>p99</th></tr>\n"
        for row in PhaseTable.rows(phases) {
            out += "<tr><td class=\"text\">\(Markup.escape(row[0].trimmed))</td>"
            out += row.dropFirst().map { "<td>\(Markup.escape($0))</td>" }.joined() + "</tr>\n"
        }
        return out + "</table>"
    }

    /// Phases have hues in the order in which they follow each other.
    static let css =
        ".phasebar { display: flex; height: 22px; border-radius: 4px; overflow: hidden; margin: 4px 0 8px; } .phasebar i { display: block; height: 100%; }\n.phasename { margin-top: 10px; } .phaselegend { margin-bottom: 4px; }\n"
        + Phase.path.indices.map {
            ".ph\($0) { background: hsl(\($0 * 360 / Phase.path.count) \($0.isMultiple(of: 2) ? 62 : 42)% 52%); }"
        }.joined(separator: "\n")
}

extension String {
    fileprivate var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}
