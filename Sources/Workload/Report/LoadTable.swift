/// How loads were offered, which runs are not valid, and what repeated runs and searches for a knee came to, as rows of
/// tables.
struct LoadTable {
    let report: BenchReport

    static let header = [
        "shards", "cross", "offered/s", "arrivals", "offered", "achieved", "late", "unstarted", "lag p99 ms",
        "in flight",
        "client cores", "idle", "steal",
    ]

    /// None if every load was closed.
    var rows: [[String]] {
        report.runs.compactMap { run in
            guard let load = run.load, let rate = load.rate_tps else { return nil }
            return [
                "\(run.shards)", "\(decimal(run.setup.cross_share * 100, 0)) %", decimal(rate, 0), load.arrivals ?? "-",
                Self.text(load.offered), Self.text(load.achieved), Self.text(load.late_starts),
                Self.text(load.unstarted), Self.milliseconds(load.send_lag?.p99_us), Self.text(load.in_flight_max),
                CostTable.text(load.client_cores, 2), Self.percent(load.machine_idle), Self.percent(load.machine_steal),
            ]
        }
    }

    static let repeatHeader = [
        "shards", "cross", "runs", "tps", "interval", "confidence", "variation", "kind", "p50 ms", "interval", "p99 ms",
        "interval", "p99.9 ms", "interval", "confidence",
    ]

    /// Two for each combination; none if none was repeated.
    var repeatRows: [[String]] {
        (report.repeats ?? []).flatMap { summary in
            [("intra", summary.intra), ("cross", summary.cross)].map { kind, latencies in
                let isFirst = kind == "intra"
                let mix = summary.combination
                let start =
                    isFirst
                    ? [
                        "\(summary.shards)", mix, "\(summary.runs)", decimal(summary.throughput_tps.median, 0),
                        Self.interval(summary.throughput_tps, scale: 1, 0),
                        Self.percent(summary.throughput_tps.confidence),
                        "\(decimal(summary.throughput_variation * 100, 1)) %",
                    ] : Array(repeating: "", count: 7)
                let values = [latencies?.p50_us, latencies?.p99_us, latencies?.p999_us].flatMap { value in
                    [
                        value.map { decimal($0.median / 1000, 2) } ?? "-",
                        value.map { Self.interval($0, scale: 1000, 2) } ?? "-",
                    ]
                }
                return start + [kind] + values + [Self.percent(latencies?.p50_us.confidence)]
            }
        }
    }

    /// Under the table of repeated runs; empty if there is none.
    var repeatNote: String {
        guard let least = report.repeats?.map(\.throughput_tps.confidence).min() else { return "" }
        if least >= MedianInterval.wanted {
            return "intervals hold the median with a confidence of \(decimal(least * 100, 1)) %"
        }
        return
            "so few runs give no 95 % interval: smallest and largest, which hold the median with a confidence of \(decimal(least * 100, 1)) %"
    }

    static let kneeHeader = ["shards", "cross", "offered/s", "tps", "p99 ms", "borne", "why not"]

    /// One for each rate that was tried.
    var kneeRows: [[String]] {
        (report.knees ?? []).flatMap { knee in
            knee.steps.map { step in
                [
                    "\(knee.shards)", knee.cross_shard_percent.map { "\($0) %" } ?? "natural",
                    decimal(step.rate_tps, 0), decimal(step.throughput_tps, 0), decimal(step.p99_ms, 1),
                    step.is_met ? "yes" : "no", step.reasons.first ?? "",
                ]
            }
        }
    }

    /// One for each search.
    var kneeLines: [String] {
        (report.knees ?? []).map { knee in
            let name = knee.shards == 1 ? "1 shard" : "\(knee.shards) shards"
            let mix = knee.cross_shard_percent.map { ", \($0) % cross" } ?? ""
            let limit = "p99 up to \(decimal(knee.p99_limit_ms, 0)) ms"
            guard let rate = knee.rate_tps else {
                return "knee, \(name)\(mix): no rate that was tried was borne (\(limit))"
            }
            let above = knee.not_met_tps.map { ", not \(decimal($0, 0)): \(knee.reasons.first ?? "")" } ?? ""
            return "knee, \(name)\(mix): \(decimal(rate, 0)) a second (\(limit))\(above)"
        }
    }

    /// One for each run or combination that is not valid, and each reason.
    var invalidLines: [String] {
        func name(_ shards: Int, _ mix: Int?) -> String {
            (shards == 1 ? "1 shard" : "\(shards) shards") + (mix.map { ", \($0) % cross" } ?? "")
        }
        let runs = report.runs.flatMap { run in
            let which = run.repetition.map { ", run \($0)" } ?? ""
            return (run.validity?.reasons ?? []).map {
                "INVALID, \(name(run.shards, run.setup.cross_shard_percent))\(which): \($0)"
            }
        }
        let repeated = (report.repeats ?? []).flatMap { summary in
            summary.validity.reasons.map {
                let cell = summary.grid == nil ? "" : ", " + summary.combination
                return "INVALID, \(name(summary.shards, summary.cross_shard_percent))\(cell), all runs: \($0)"
            }
        }
        return runs + repeated
    }

    /// As a terminal shows it; empty if there is nothing to show.
    var text: String {
        var parts: [String] = []
        if !rows.isEmpty { parts.append("open loop:\n" + TextTable.aligned([Self.header] + rows)) }
        if !repeatRows.isEmpty {
            let table = TextTable.aligned([Self.repeatHeader] + repeatRows)
            parts.append("medians of repeated runs; \(repeatNote):\n\(table)")
        }
        if !kneeRows.isEmpty {
            parts.append(TextTable.aligned([Self.kneeHeader] + kneeRows))
            parts.append(kneeLines.joined(separator: "\n"))
        }
        if !invalidLines.isEmpty { parts.append(invalidLines.joined(separator: "\n")) }
        return parts.joined(separator: "\n\n")
    }

    private static func interval(_ value: MedianInterval, scale: Double, _ digits: Int) -> String {
        "\(decimal(value.low / scale, digits)) .. \(decimal(value.high / scale, digits))"
    }

    private static func text(_ value: Int?) -> String { value.map { "\($0)" } ?? "-" }

    private static func milliseconds(_ value: UInt64?) -> String { value.map { decimal(Double($0) / 1000, 2) } ?? "-" }

    private static func percent(_ value: Double?) -> String { value.map { "\(decimal($0 * 100, 1)) %" } ?? "-" }

    /// Behind those of `BenchReport.csv`.
    static var columns: [(String, (RunResult) -> String)] {
        [
            ("valid", { $0.validity.map { "\($0.valid)" } ?? "" }),
            ("invalid_reasons", { $0.validity?.reasons.joined(separator: "; ") ?? "" }),
            ("load", { $0.load?.shape ?? "" }), ("rate_tps", { $0.load?.rate_tps.map { decimal($0, 3) } ?? "" }),
            ("arrivals", { $0.load?.arrivals ?? "" }), ("offered", { $0.load?.offered.map { "\($0)" } ?? "" }),
            ("achieved", { $0.load?.achieved.map { "\($0)" } ?? "" }),
            ("late_starts", { $0.load?.late_starts.map { "\($0)" } ?? "" }),
            ("send_lag_p99_us", { $0.load?.send_lag.map { "\($0.p99_us)" } ?? "" }),
            ("client_cores", { $0.load?.client_cores.map { decimal($0, 3) } ?? "" }),
            ("machine_idle", { $0.load?.machine_idle.map { decimal($0, 4) } ?? "" }),
            ("machine_steal", { $0.load?.machine_steal.map { decimal($0, 4) } ?? "" }),
            ("never_begun", { $0.load?.never_begun.map { "\($0)" } ?? "" }),
        ]
    }
}
