import StrictInput

/// Runs of one set-up, which differ in nothing but chance: one point of a picture.
struct RepeatedRuns {
    /// In the order in which they were made; never empty.
    let runs: [RunResult]

    var shards: Int { runs[0].shards }
    /// What is to be known of any of them, each once.
    var flags: [RunFlag] { runs.flatMap(\.flags).reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }

    /// The median over the runs in which there is a value; nil if there is none.
    func median(_ value: (RunResult) -> Double?) -> Double? { Statistics.median(runs.compactMap(value)) }

    /// From the smallest to the largest; nil where there are not two.
    func range(_ value: (RunResult) -> Double?) -> ClosedRange<Double>? {
        let values = runs.compactMap(value)
        guard values.count > 1, let low = values.min(), let high = values.max() else { return nil }
        return low...high
    }
}

/// What every section of a report draws from.
struct ReportContext {
    let report: BenchReport
    let palette: Palette
    /// Runs that differ only in their number of shards, each with a mix of its own, in order of first appearance. One
    /// shard has nothing to cross: its runs belong to every mix.
    let groups: [(name: String, points: [RepeatedRuns])]
    /// All runs, as many together as differ in nothing, in the order in which they appeared.
    let points: [RepeatedRuns]

    var runs: [RunResult] { report.runs }

    init(_ report: BenchReport) {
        self.report = report
        palette = Palette(report.runs)
        let runs = report.runs
        func same(_ a: RunResult, _ b: RunResult) -> Bool {
            var (one, other) = (a.setup, b.setup)
            // The seed is chance, and what follows from it.
            (one.seed, one.cross_share) = (0, 0)
            (other.seed, other.cross_share) = (0, 0)
            // Of a search the rate is no part of the set-up.
            return one == other && a.load?.rate_tps == b.load?.rate_tps
        }
        var points: [[RunResult]] = []
        for run in runs {
            if let i = points.firstIndex(where: { same($0[0], run) }) {
                points[i].append(run)
            } else {
                points.append([run])
            }
        }
        self.points = points.map { RepeatedRuns(runs: $0) }
        var groups: [(name: String, points: [RepeatedRuns])] = []
        let mixes = runs.filter { $0.shards > 1 }.map(Self.mix)
        for name in mixes.isEmpty ? runs.map(Self.mix) : mixes where !groups.contains(where: { $0.name == name }) {
            // Of a grid only where nothing else differs.
            let kind = runs.first { Self.mix($0) == name }?.grid?.uncrossed
            let members = self.points.filter {
                Self.mix($0.runs[0]) == name || $0.shards == 1 && $0.runs[0].grid?.uncrossed == kind
            }
            groups.append((name, members.sorted { $0.shards < $1.shards }))
        }
        self.groups = groups
    }

    static func mix(_ run: RunResult) -> String {
        run.grid?.variant ?? run.setup.cross_shard_percent.map { "\($0) % cross-shard" } ?? "natural mix"
    }

    static func shards(_ count: Int) -> String { count == 1 ? "1 shard" : "\(count) shards" }

    /// What a run is called where all runs are: its shards, and what else sets it apart.
    func name(_ run: RunResult) -> String {
        groups.count > 1 && (run.shards > 1 || run.grid != nil)
            ? "\(Self.shards(run.shards)), \(Self.mix(run))" : Self.shards(run.shards)
    }

    /// All runs with their names; those that were repeated are numbered.
    var namedRuns: [(name: String, run: RunResult)] {
        points.flatMap { point in
            point.runs.enumerated().map { i, run in
                (name(run) + (point.runs.count > 1 ? ", run \(i + 1) of \(point.runs.count)" : ""), run)
            }
        }
    }

    /// The marks of runs, for a picture in which they are.
    func badges(_ points: [RepeatedRuns]) -> String {
        let badges = points.flatMap { point in
            point.flags.map { flag -> String in
                let count = point.runs.count { $0.flags.contains(flag) }
                let which = point.runs.count > 1 ? "\(count) of \(point.runs.count) runs" : ""
                let name = [name(point.runs[0]), which].filter { !$0.isEmpty }.joined(separator: ", ")
                return
                    "<span class=\"badge \(flag.style)\">\(flag.sign) \(Markup.escape("\(name): \(flag.text)"))</span>"
            }
        }
        // Many of one kind are one line.
        guard badges.count <= 8 else { return badges.prefix(7).joined() + more(badges.count - 7) }
        return badges.joined()
    }

    private func more(_ count: Int) -> String { "<span class=\"badge caution\">and \(count) more</span>" }

    // MARK: Shard counts as an axis

    /// Shard counts are categories: 1, 2, 4, 16 stand at equal distances.
    var shardTicks: [Chart.Tick] {
        palette.shards.enumerated().map { Chart.Tick(position: Double($0.offset), label: "\($0.element)") }
    }

    /// One line over the shard counts, of a value of each run.
    func series(
        _ name: String, _ points: [RepeatedRuns], style: String = "neutral", dash: Int = 0, marker: Chart.Marker?,
        _ value: (RunResult) -> Double?
    ) -> Chart.Series {
        let shown = points.compactMap { point in point.median(value).map { (point, $0) } }
        return Chart.Series(
            name: name,
            points: shown.map {
                (x: Double(palette.shards.firstIndex(of: $0.0.shards) ?? 0), y: $0.1)
            },
            style: style, markerStyles: shown.map { palette.style($0.0.shards) }, dash: dash, marker: marker,
            intervals: shown.map { $0.0.range(value) }, flags: shown.map { $0.0.flags.first })
    }

    /// What bars at points are, if there are any.
    func intervalNote(_ points: [RepeatedRuns]) -> String {
        let most = points.map(\.runs.count).max() ?? 0
        return most > 1
            ? "Points are medians of repeated runs (\(most) at most); bars go from the lowest to the highest" : ""
    }
}

/// What is said of repeated runs.
enum Statistics {
    /// Nil of nothing.
    static func median(_ values: [Double]) -> Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
}

extension RunResult.Latency {
    /// Milliseconds; nil if nothing was committed.
    func milliseconds(_ value: KeyPath<RunResult.Latency, UInt64>) -> Double? {
        count > 0 ? Double(self[keyPath: value]) / 1000 : nil
    }
}
