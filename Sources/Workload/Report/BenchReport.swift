import Foundation
import StrictInput

/// All runs of one bench, in the three forms that are written down.
public struct BenchReport: Codable, Sendable, Equatable {
    /// The version of the JSON's keys.
    public var schema = 1
    /// Null where nobody said.
    public var made: Provenance?
    /// In the order in which they were made.
    public var runs: [RunResult]
    /// Why there are not all runs that were asked for; nil if there are.
    public var partial: String?
    /// What runs of one combination have in common; null if none was repeated.
    public var repeats: [RepeatSummary]?
    /// Where throughput ends; null if nobody looked for it. `runs` has the runs at the knees only.
    public var knees: [Knee]?
    /// How far simulations of the runs were off; null if nobody made any.
    public var predictions: Predictions?

    /// - Parameter partial: why runs are missing, for the report's reader; nil if none is.
    public init(runs: [RunResult], made: Provenance? = nil, partial: String? = nil) {
        (self.runs, self.made, self.partial) = (runs, made, partial)
    }

    /// One object on one line.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Printable.json(String(decoding: try encoder.encode(self), as: UTF8.self))
    }

    /// One line a run, and a header.
    public func csv() -> String {
        func cost(_ value: Double?) -> String { value.map { decimal($0, 3) } ?? "" }
        let columns: [(String, (RunResult) -> String)] = [
            ("shards", { "\($0.shards)" }), ("replicas", { "\($0.replicas)" }), ("clients", { "\($0.clients)" }),
            ("gateways", { "\($0.setup.gateways)" }), ("durability", { $0.durability }),
            ("workload", { $0.setup.workload }),
            ("seed", { "\($0.setup.seed)" }),
            ("cross_shard_percent", { $0.setup.cross_shard_percent.map(String.init) ?? "" }),
            ("cross_share", { decimal($0.setup.cross_share, 4) }),
            ("principals", { $0.setup.principals.map(String.init) ?? "" }),
            ("bundle", { "\($0.setup.bundle)" }), ("elapsed_s", { decimal($0.elapsed_s, 3) }),
            ("committed", { "\($0.committed)" }), ("aborted", { "\($0.aborted)" }), ("unknown", { "\($0.unknown)" }),
            ("throughput_tps", { decimal($0.throughput_tps, 1) }),
            ("intra_count", { "\($0.intra.count)" }), ("intra_p50_us", { "\($0.intra.p50_us)" }),
            ("intra_p90_us", { "\($0.intra.p90_us)" }), ("intra_p99_us", { "\($0.intra.p99_us)" }),
            ("intra_p999_us", { "\($0.intra.p999_us)" }), ("intra_max_us", { "\($0.intra.max_us)" }),
            ("cross_count", { "\($0.cross.count)" }), ("cross_p50_us", { "\($0.cross.p50_us)" }),
            ("cross_p90_us", { "\($0.cross.p90_us)" }), ("cross_p99_us", { "\($0.cross.p99_us)" }),
            ("cross_p999_us", { "\($0.cross.p999_us)" }), ("cross_max_us", { "\($0.cross.max_us)" }),
            ("resent", { "\($0.retries.resent)" }), ("new_attempts", { "\($0.retries.new_attempts)" }),
            ("gateway_retries", { "\($0.retries.gateway)" }),
            ("gateway_conflicts", { "\($0.retries.gateway_conflicts)" }),
            ("in_flight_mean", { decimal($0.in_flight_mean, 2) }),
            ("max_gap_ms", { decimal($0.timeline.max_gap_ms, 1) }),
            ("conservation", { "\($0.invariants.conservation)" }),
            ("replicas_agree", { "\($0.invariants.replicas_agree)" }),
            ("no_locks", { "\($0.invariants.no_locks)" }),
            ("strictly_serializable", { $0.invariants.strictly_serializable.map { "\($0)" } ?? "" }),
            ("history_transactions", { $0.history.map { "\($0.transactions)" } ?? "" }),
            ("max_gap_at_s", { $0.timeline.max_gap_at_s.map { decimal($0, 3) } ?? "" }),
            ("host_cpu_us", { cost($0.costs?.hosts?.cpu_us) }),
            ("gateway_cpu_us", { cost($0.costs?.gateways?.cpu_us) }), ("load_cpu_us", { cost($0.costs?.load?.cpu_us) }),
            ("switches", { cost($0.costs?.switches) }), ("syncs", { cost($0.costs?.syncs) }),
            ("journal_records", { cost($0.costs?.journal_records) }),
            ("journal_bytes", { cost($0.costs?.journal_bytes) }), ("messages", { cost($0.costs?.messages) }),
            ("message_bytes", { cost($0.costs?.message_bytes) }), ("batch_items", { cost($0.costs?.batch_items) }),
            ("workload_consistent", { $0.invariants.workload_consistent.map { "\($0)" } ?? "" }),
            ("kernel", { _ in made?.environment?.kernel ?? "" }),
            ("memory_bytes", { _ in made?.environment?.memory_bytes.map { "\($0)" } ?? "" }),
            ("file_system", { _ in made?.environment?.file_system ?? "" }),
            ("governor", { _ in made?.environment?.governor ?? "" }),
            ("load_average", { _ in made?.environment?.load_average?.first.map { decimal($0, 2) } ?? "" }),
            ("simulated", { $0.setup.simulated == true ? "true" : "" }),
            ("date", { _ in made?.date ?? "" }), ("version", { _ in made?.version ?? "" }),
            ("command", { _ in made?.command ?? "" }),
            ("cpu", { _ in made?.cpu ?? "" }), ("cores", { _ in made.map { "\($0.cores)" } ?? "" }),
        ]
        // What made the report stands last, whatever is added.
        let last = columns.firstIndex { $0.0 == "date" } ?? columns.count
        let all = columns[..<last] + LoadTable.columns + columns[last...]
        var lines = [all.map(\.0).joined(separator: ",")]
        for run in runs { lines.append(all.map { CSV.quoted($0.1(run)) }.joined(separator: ",")) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The tables that a terminal shows.
    public func table() -> String {
        func ms(_ us: UInt64, of count: UInt64) -> String { count == 0 ? "-" : decimal(Double(us) / 1000, 2) }
        var rows = [
            [
                "shards", "cross", "committed", "aborted", "tps", "kind", "count", "p50 ms", "p90 ms", "p99 ms",
                "p99.9 ms", "max ms",
            ]
        ]
        for run in runs {
            for (kind, latency) in [("intra", run.intra), ("cross", run.cross)] {
                let first = kind == "intra"
                rows.append([
                    first ? "\(run.shards)" : "", first ? "\(decimal(run.setup.cross_share * 100, 0)) %" : "",
                    first ? "\(run.committed)" : "", first ? "\(run.aborted)" : "",
                    first ? decimal(run.throughput_tps, 0) : "",
                    kind, "\(latency.count)", ms(latency.p50_us, of: latency.count),
                    ms(latency.p90_us, of: latency.count),
                    ms(latency.p99_us, of: latency.count), ms(latency.p999_us, of: latency.count),
                    ms(latency.max_us, of: latency.count),
                ])
            }
        }
        let tables = [
            SimulationTable(runs: runs).text, TextTable.aligned(rows), TransactionTable(runs: runs).text,
            FaultTable(runs: runs).text,
            CostTable(runs: runs).text, PhaseTable(runs: runs).text, PropagationTable(runs: runs).text,
            LoadTable(report: self).text,
        ]
        return tables.filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    /// What speaks against runs, or all runs of a combination: a line each.
    public var invalidLines: [String] { LoadTable(report: self).invalidLines }

    /// Says what runs of one combination have in common, and of all of them that they are not valid where they vary too
    /// much.
    /// - Parameter gate: see `RepeatSummary`.
    public mutating func summarizeRepeats(gate: Double) {
        let summaries = RepeatSummary.all(of: runs, gate: gate)
        repeats = summaries
        for summary in summaries {
            let places = runs.indices.filter { summary.covers(runs[$0]) }
            let why = RepeatSummary.tooVaried(places.map { runs[$0] }, gate: gate).map {
                "\($0.what) varies by \(decimal($0.variation * 100, 1)) % over the repeated runs"
            }
            guard !why.isEmpty else { continue }
            for i in places { runs[i].validity = RunResult.Validity(reasons: (runs[i].validity?.reasons ?? []) + why) }
        }
    }

    /// Writes `report.json`, `report.csv`, `report.html`, and latencies for HdrHistogram's tools: `latency.hlog`, and one
    /// `latency-….hgrm` a run and kind.
    /// - Returns: the folder, which is another one if there is a report in this one by now.
    public func write(to folder: ReportFolder, title: String) throws -> String {
        try folder.write(
            [
                ("report.json", try json() + "\n"), ("report.csv", csv()),
                ("report.html", HTMLReport(self, title: title).text()), ("latency.hlog", histogramLog()),
            ] + percentileFiles())
    }
}

enum CSV {
    static func quoted(_ field: String) -> String {
        field.contains(where: { ",\"\n\r".contains($0) })
            ? "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\"" : field
    }
}

/// With a point, whatever the locale.
func decimal(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return "0" }
    let scale = (0..<digits).reduce(1.0) { result, _ in result * 10 }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return sign + String(scaled) }
    let fraction = String(scaled % Int64(scale))
    return sign + String(scaled / Int64(scale)) + "." + String(repeating: "0", count: digits - fraction.count)
        + fraction
}
