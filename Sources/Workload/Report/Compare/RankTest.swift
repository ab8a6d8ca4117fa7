/// Whether two small samples come from one distribution: the Mann-Whitney U test (H. B. Mann, D. R. Whitney, 1947),
/// exact for any number of values, ties included, because it counts all ways to deal the ranks out. It asks nothing of
/// how values are distributed.
public struct RankTest: Sendable, Equatable {
    /// How likely it is that ranks lie so far apart or further, either way, if nothing but chance parts the samples.
    public let p: Double
    /// The smallest `p` that samples of these sizes can have: of ranks that do not mix.
    public let smallestP: Double

    /// Nil if either sample is empty, or they are too large to be counted.
    public init?(_ a: [Double], _ b: [Double]) {
        let count = a.count + b.count
        guard !a.isEmpty, !b.isEmpty, count <= 200, (a + b).allSatisfy(\.isFinite) else { return nil }
        let ranks = Self.doubledRanks(a + b)
        let ways = Self.ways(toChoose: a.count, of: ranks)
        let all = ways.reduce(0, +)
        let observed = ranks.prefix(a.count).reduce(0, +)
        // The distribution is symmetric about its mean: as far off on either side counts.
        let mean = a.count * (count + 1)
        let distance = abs(observed - mean)
        var asFar = 0.0
        for (sum, number) in ways.enumerated() where abs(sum - mean) >= distance { asFar += number }
        p = min(1, asFar / all)
        smallestP = min(1, 2 / all)
    }

    /// The ranks from 1 on, times two, so that equal values can share theirs and it stays a whole number.
    static func doubledRanks(_ values: [Double]) -> [Int] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Int](repeating: 0, count: values.count)
        var first = 0
        while first < order.count {
            var last = first
            while last + 1 < order.count, values[order[last + 1]] == values[order[first]] { last += 1 }
            for i in first...last { ranks[order[i]] = first + last + 2 }
            first = last + 1
        }
        return ranks
    }

    /// In how many ways so many of the ranks have each sum.
    private static func ways(toChoose wanted: Int, of ranks: [Int]) -> [Double] {
        let most = ranks.sorted(by: >).prefix(wanted).reduce(0, +)
        var ways = [[Double]](repeating: [Double](repeating: 0, count: most + 1), count: wanted + 1)
        ways[0][0] = 1
        for rank in ranks {
            for chosen in stride(from: wanted, to: 0, by: -1) {
                for sum in stride(from: most, through: rank, by: -1) where ways[chosen - 1][sum - rank] > 0 {
                    ways[chosen][sum] += ways[chosen - 1][sum - rank]
                }
            }
        }
        return ways[wanted]
    }
}
