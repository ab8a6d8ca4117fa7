import Foundation

/// What a grid has brought: a row for each combination of its axes, with the medians of its repetitions.
public struct GridSummary: Sendable {
    /// One combination.
    struct Row: Sendable {
        var point: [String: String]
        var runs: [RunResult]
    }

    /// Those that are not the same everywhere, shards first.
    let axes: [String]
    /// By shards, then by the other axes; numbers as numbers.
    let rows: [Row]

    /// - Parameter runs: those that are of no grid are passed over.
    public init(runs: [RunResult]) {
        var order: [[String: String]] = []
        var groups: [[String: String]: [RunResult]] = [:]
        for run in runs {
            guard let point = run.grid?.values else { continue }
            if groups[point] == nil { order.append(point) }
            groups[point, default: []].append(run)
        }
        let names = Set(order.flatMap(\.keys)).subtracting(["shards"]).sorted()
        let axes = ["shards"] + names
        self.axes = axes
        rows = order.sorted { a, b in
            for axis in axes where a[axis] != b[axis] { return Self.isBefore(a[axis], b[axis]) }
            return false
        }.map { point in
            let members = groups[point] ?? []
            return Row(point: point, runs: members.sorted { ($0.grid?.repetition ?? 0) < ($1.grid?.repetition ?? 0) })
        }
    }

    /// In the order of the rows.
    public var runs: [RunResult] { rows.flatMap(\.runs) }

    /// Nothing, which is an axis' fallback, before numbers, those before words.
    private static func isBefore(_ a: String?, _ b: String?) -> Bool {
        guard let a, let b else { return a == nil && b != nil }
        switch (Double(a), Double(b)) {
        case (let x?, let y?): return x < y
        case (_?, nil): return true
        case (nil, _?): return false
        case (nil, nil): return a < b
        }
    }

    private typealias Column = (name: String, value: (Row) -> String)

    private static func of(_ row: Row, _ digits: Int, _ value: (RunResult) -> Double?) -> String {
        Statistics.median(row.runs.compactMap(value)).map { decimal($0, digits) } ?? ""
    }

    private static func latency(
        _ kind: KeyPath<RunResult, RunResult.Latency>, _ value: KeyPath<RunResult.Latency, UInt64>, perUnit: Double
    ) -> (RunResult) -> Double? {
        { run in
            let latency = run[keyPath: kind]
            return latency.count == 0 ? nil : Double(latency[keyPath: value]) / perUnit
        }
    }

    private var axisColumns: [Column] {
        axes.map { axis in (axis, { $0.point[axis] ?? "" }) }
    }

    static func holds(_ row: Row) -> Bool { row.runs.allSatisfy { $0.invariants.allHold } }
    /// Whether all its figures say something of the cluster.
    static func isValid(_ row: Row) -> Bool { row.runs.allSatisfy { $0.validity?.valid ?? true } }

    /// For people: medians, the range of the throughput, and whether the invariants hold.
    var table: [[String]] {
        func ms(_ kind: KeyPath<RunResult, RunResult.Latency>, _ value: KeyPath<RunResult.Latency, UInt64>)
            -> (Row) -> String
        {
            { row in
                let text = Self.of(row, 2, Self.latency(kind, value, perUnit: 1000))
                return text.isEmpty ? "-" : text
            }
        }
        let columns: [Column] =
            axisColumns.map { column in (column.name, { column.value($0).isEmpty ? "-" : column.value($0) }) }
            + [
                ("runs", { "\($0.runs.count)" }),
                ("tps", { Self.of($0, 0, \.throughput_tps) }),
                (
                    "from–to",
                    { row in
                        let all = row.runs.map(\.throughput_tps)
                        return all.count < 2 ? "-" : "\(decimal(all.min() ?? 0, 0))–\(decimal(all.max() ?? 0, 0))"
                    }
                ),
                ("intra p50 ms", ms(\.intra, \.p50_us)), ("p99", ms(\.intra, \.p99_us)),
                ("cross p50 ms", ms(\.cross, \.p50_us)), ("p99", ms(\.cross, \.p99_us)),
                ("longest gap ms", { Self.of($0, 0) { $0.timeline.max_gap_ms } }),
                ("valid", { Self.isValid($0) ? "yes" : "NO" }),
                ("invariants", { Self.holds($0) ? "hold" : "FAILED" }),
            ]
        return [columns.map(\.name)] + rows.map { row in columns.map { $0.value(row) } }
    }

    /// As a terminal shows it.
    public var text: String {
        rows.isEmpty
            ? "no cell is finished" : "medians of the runs of each cell:\n" + TextTable.aligned(table)
    }

    /// One line a combination, and a header. Latencies in microseconds; empty where nothing committed.
    public func csv() -> String {
        func us(_ kind: KeyPath<RunResult, RunResult.Latency>, _ value: KeyPath<RunResult.Latency, UInt64>)
            -> (Row) -> String
        {
            { Self.of($0, 0, Self.latency(kind, value, perUnit: 1)) }
        }
        let columns: [Column] =
            axisColumns.map { column in (column.name.replacing("-", with: "_"), column.value) }
            + [
                ("runs", { "\($0.runs.count)" }),
                ("throughput_tps_median", { Self.of($0, 1, \.throughput_tps) }),
                ("throughput_tps_min", { decimal($0.runs.map(\.throughput_tps).min() ?? 0, 1) }),
                ("throughput_tps_max", { decimal($0.runs.map(\.throughput_tps).max() ?? 0, 1) }),
                ("intra_p50_us", us(\.intra, \.p50_us)), ("intra_p99_us", us(\.intra, \.p99_us)),
                ("intra_p999_us", us(\.intra, \.p999_us)),
                ("cross_p50_us", us(\.cross, \.p50_us)), ("cross_p99_us", us(\.cross, \.p99_us)),
                ("cross_p999_us", us(\.cross, \.p999_us)),
                ("cross_share", { Self.of($0, 4, \.setup.cross_share) }),
                ("max_gap_ms_median", { Self.of($0, 1) { $0.timeline.max_gap_ms } }),
                ("max_gap_ms_max", { decimal($0.runs.map(\.timeline.max_gap_ms).max() ?? 0, 1) }),
                ("committed", { "\($0.runs.reduce(0) { $0 + $1.committed })" }),
                ("aborted", { "\($0.runs.reduce(0) { $0 + $1.aborted })" }),
                ("unknown", { "\($0.runs.reduce(0) { $0 + $1.unknown })" }),
                ("valid", { "\(Self.isValid($0))" }),
                ("invariants_hold", { "\(Self.holds($0))" }),
            ]
        let lines = [columns.map(\.name)] + rows.map { row in columns.map { $0.value(row) } }
        return lines.map { $0.map(CSV.quoted).joined(separator: ",") + "\n" }.joined()
    }
}
