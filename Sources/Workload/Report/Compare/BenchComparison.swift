/// Two reports of benches, side by side: what differs in how they were made, and in what they measured.
public struct BenchComparison: Codable, Sendable, Equatable {
    /// Something that is not the same on both sides.
    public struct Difference: Codable, Sendable, Equatable {
        /// `setup.clients`, or `made.cpu`.
        public var key: String
        /// Of the first; empty if it does not say.
        public var a: String
        /// Of the second.
        public var b: String
    }

    /// Runs of one set-up on both sides.
    public struct Row: Codable, Sendable, Equatable {
        /// In words: `4 shards, 10 % cross-shard`.
        public var name: String
        /// Of these runs.
        public var shards: Int
        /// Null: as it falls out of the workload.
        public var cross_shard_percent: Int?
        /// How many there are in the first.
        public var runs_a: Int
        /// How many there are in the second.
        public var runs_b: Int
        /// Whether any of them is not valid.
        public var is_invalid: Bool
        /// Each that both sides have.
        public var figures: [FigureComparison]
    }

    /// The version of the JSON's keys.
    public var schema = 1
    /// Where the first was read.
    public var a: String
    /// Where the second was read.
    public var b: String
    /// What is to be known first. Empty if both were made alike.
    public var differences: [Difference]
    /// In the order of the first.
    public var rows: [Row]
    /// Runs of the first that the second has none of, in words.
    public var only_a: [String]
    /// The reverse.
    public var only_b: [String]

    /// - Parameters:
    ///   - a: what the second is compared with.
    ///   - names: what they are called: paths.
    public init(_ a: BenchReport, _ b: BenchReport, names: (a: String, b: String)) throws {
        (self.a, self.b) = names
        let (one, other) = (try Self.setups(a), try Self.setups(b))
        let apart = Self.keysThatPart(one).union(Self.keysThatPart(other)).union(["shards", "cross_shard_percent"])
        func key(_ setup: [String: String]) -> [String: String] { setup.filter { apart.contains($0.key) } }

        differences = Self.differences(a, b, one, other, apart)
        (rows, only_a, only_b) = ([], [], [])
        var done: [[String: String]] = []
        for (i, setup) in one.enumerated() where !done.contains(key(setup)) {
            let wanted = key(setup)
            done.append(wanted)
            let these = zip(a.runs, one).filter { key($0.1) == wanted }.map(\.0)
            let those = zip(b.runs, other).filter { key($0.1) == wanted }.map(\.0)
            let name = Self.name(a.runs[i], wanted)
            guard !those.isEmpty else {
                only_a.append(name)
                continue
            }
            rows.append(
                Row(
                    name: name, shards: a.runs[i].shards, cross_shard_percent: a.runs[i].setup.cross_shard_percent,
                    runs_a: these.count, runs_b: those.count,
                    is_invalid: (these + those).contains { $0.flags.contains(where: \.isBad) },
                    figures: FigureComparison.all(these, those)))
        }
        for (run, setup) in zip(b.runs, other) where !done.contains(key(setup)) {
            done.append(key(setup))
            only_b.append(Self.name(run, key(setup)))
        }
    }

    /// The second is worse in something, and that is no chance.
    public var isWorse: Bool { rows.contains { $0.figures.contains { $0.verdict == .worse } } }

    // MARK: What is alike

    /// What a run is by chance, and what follows from it.
    private static let chance: Set<String> = ["seed", "cross_share"]

    private static func setups(_ report: BenchReport) throws -> [[String: String]] {
        try report.runs.map { run in
            let members = try FlatJSON(of: run.setup).members().filter { !chance.contains($0.name) }
            return Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
        }
    }

    /// In which the runs of one report differ: what its pictures are drawn over. What is one and the same in a report
    /// may be another in the other: it is what the two are compared for.
    private static func keysThatPart(_ setups: [[String: String]]) -> Set<String> {
        let keys = Set(setups.flatMap(\.keys))
        return keys.filter { key in Set(setups.map { $0[key] ?? "" }).count > 1 }
    }

    private static func differences(
        _ a: BenchReport, _ b: BenchReport, _ one: [[String: String]], _ other: [[String: String]], _ apart: Set<String>
    ) -> [Difference] {
        var out: [Difference] = []
        func compare(_ key: String, _ a: String?, _ b: String?) {
            if a ?? "" != b ?? "" { out.append(Difference(key: key, a: a ?? "", b: b ?? "")) }
        }
        compare("made.cpu", a.made?.cpu, b.made?.cpu)
        compare("made.cores", a.made.map { "\($0.cores)" }, b.made.map { "\($0.cores)" })
        let (here, there) = (a.made?.environment, b.made?.environment)
        compare("made.environment.kernel", here?.kernel, there?.kernel)
        compare(
            "made.environment.memory_bytes", here?.memory_bytes.map(String.init), there?.memory_bytes.map(String.init))
        compare("made.environment.file_system", here?.file_system, there?.file_system)
        compare("made.environment.disk", here?.disk, there?.disk)
        compare("made.environment.governor", here?.governor, there?.governor)
        compare("made.version", a.made?.version, b.made?.version)
        guard let first = one.first, let second = other.first else { return out }
        for key in Set(one.flatMap(\.keys)).union(other.flatMap(\.keys)).subtracting(apart).sorted() {
            compare("setup.\(key)", first[key], second[key])
        }
        return out
    }

    private static func name(_ run: RunResult, _ key: [String: String]) -> String {
        let mix = run.shards == 1 ? "" : ", \(ReportContext.mix(run))"
        let rest = key.filter { !["shards", "cross_shard_percent"].contains($0.key) && !$0.value.isEmpty }
            .sorted { $0.key < $1.key }.map { ", \($0.key) \($0.value)" }.joined()
        return ReportContext.shards(run.shards) + mix + rest
    }
}
