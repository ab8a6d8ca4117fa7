/// What the runs of one combination, repeated on clusters of their own, have in common.
public struct RepeatSummary: Codable, Sendable, Equatable {
    /// Of latencies of one kind, microseconds.
    public struct Latencies: Codable, Sendable, Equatable {
        /// Of the runs' medians.
        public var p50_us: MedianInterval
        /// Of the runs' 99th percentiles.
        public var p99_us: MedianInterval
        /// Of the runs' 99.9th percentiles.
        public var p999_us: MedianInterval

        /// Nil if no run has any.
        init?(_ latencies: [RunResult.Latency]) {
            let some = latencies.filter { $0.count > 0 }
            func interval(_ value: KeyPath<RunResult.Latency, UInt64>) -> MedianInterval? {
                MedianInterval(some.map { Double($0[keyPath: value]) })
            }
            guard let p50 = interval(\.p50_us), let p99 = interval(\.p99_us), let p999 = interval(\.p999_us) else {
                return nil
            }
            (p50_us, p99_us, p999_us) = (p50, p99, p999)
        }
    }

    /// As in the runs' `setup`.
    public var shards: Int
    /// As in the runs' `setup`; null as it falls out of the workload.
    public var cross_shard_percent: Int?
    /// Values by axis, of runs of a grid.
    public var grid: [String: String]?
    /// How many runs there are.
    public var runs: Int
    /// Of these: for themselves valid. All are in the figures.
    public var valid_runs: Int
    /// Of the runs' throughputs.
    public var throughput_tps: MedianInterval
    /// Standard deviation of the throughputs (that of a sample), as a share of their mean.
    public var throughput_variation: Double
    /// Null if no run has any.
    public var intra: Latencies?
    /// Null if no run has any.
    public var cross: Latencies?
    /// Whether the runs, together, say something.
    public var validity: RunResult.Validity

    /// Nil of no run.
    /// - Parameter gate: above this variation of the throughput the runs are not valid; in an open loop also of p50 and
    ///   p99, as throughput is the rate there however slow the cluster is.
    public init?(_ runs: [RunResult], gate: Double) {
        guard let first = runs.first, let throughput = MedianInterval(runs.map(\.throughput_tps)) else { return nil }
        (shards, cross_shard_percent) = (first.shards, first.setup.cross_shard_percent)
        grid = first.grid?.values
        (self.runs, throughput_tps) = (runs.count, throughput)
        valid_runs = runs.count { $0.validity?.valid ?? true }
        throughput_variation = Self.variation(runs.map(\.throughput_tps))
        (intra, cross) = (Latencies(runs.map(\.intra)), Latencies(runs.map(\.cross)))
        var reasons = Self.tooVaried(runs, gate: gate).map {
            "\($0.what) varies by \(decimal($0.variation * 100, 1)) % over \(runs.count) runs, more than \(decimal(gate * 100, 1)) %"
        }
        if valid_runs < runs.count {
            reasons.append("\(runs.count - valid_runs) of \(runs.count) runs are not valid")
        }
        validity = RunResult.Validity(reasons: reasons)
    }

    /// Above that variation of the throughput, nothing said, runs are not valid.
    public static let usualGate = 0.15

    func covers(_ run: RunResult) -> Bool {
        run.shards == shards && run.setup.cross_shard_percent == cross_shard_percent && run.grid?.values == grid
    }

    /// Beside the number of shards.
    var combination: String {
        guard let grid else { return cross_shard_percent.map { "\($0) %" } ?? "natural" }
        let others = grid.filter { $0.key != "shards" }.sorted { $0.key < $1.key }
        return others.isEmpty ? "-" : others.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// What varies by more than the gate, and how much.
    static func tooVaried(_ runs: [RunResult], gate: Double) -> [(what: String, variation: Double)] {
        var all = [("throughput", variation(runs.map(\.throughput_tps)))]
        if !runs.isEmpty, runs.allSatisfy({ $0.load?.shape == "open" }) {
            // Of the kind of which there is more: a few requests' percentiles vary by themselves.
            func count(_ kind: KeyPath<RunResult, RunResult.Latency>) -> UInt64 {
                runs.reduce(0) { $0 + $1[keyPath: kind].count }
            }
            let kind = count(\.cross) > count(\.intra) ? \RunResult.cross : \RunResult.intra
            all.append(("p50", variation(runs.map { Double($0[keyPath: kind].p50_us) })))
            all.append(("p99", variation(runs.map { Double($0[keyPath: kind].p99_us) })))
        }
        return all.filter { $0.1 > gate }
    }

    static func variation(_ values: [Double]) -> Double {
        guard values.count > 1 else { return 0 }
        let mean = values.reduce(0, +) / Double(values.count)
        guard mean > 0 else { return 0 }
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (squares / Double(values.count - 1)).squareRoot() / mean
    }

    /// One for each combination of shard count and mix, and of a grid's other values, in the order of their first runs.
    public static func all(of runs: [RunResult], gate: Double) -> [RepeatSummary] {
        var groups: [[RunResult]] = []
        for run in runs {
            let place = groups.firstIndex {
                $0[0].shards == run.shards && $0[0].setup.cross_shard_percent == run.setup.cross_shard_percent
                    && $0[0].grid?.values == run.grid?.values
            }
            if let place { groups[place].append(run) } else { groups.append([run]) }
        }
        return groups.compactMap { RepeatSummary($0, gate: gate) }
    }
}
