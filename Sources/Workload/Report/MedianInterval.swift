/// The median of some runs, and where that of all such runs lies. No distribution is assumed: between the k-th smallest
/// and the k-th largest of n values the median lies with a probability that follows from the binomial distribution
/// alone (Le Boudec, "Performance Evaluation of Computer and Communication Systems", 2010, theorem 2.1 and appendix A).
public struct MedianInterval: Codable, Sendable, Equatable {
    /// The mean of the two in the middle, if they are even.
    public var median: Double
    /// The k-th smallest.
    public var low: Double
    /// The k-th largest.
    public var high: Double
    /// With which probability the median of all such runs is between the two: 0.95 or more, or less where so few runs
    /// do not allow it; then `low` and `high` are the smallest and the largest.
    public var confidence: Double

    /// What is wanted.
    public static let wanted = 0.95

    /// Nil of no values.
    public init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let (sorted, n) = (values.sorted(), values.count)
        median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2
        // Both tails: fewer than k of n fair coins show heads.
        var (k, tail, next) = (1, Self.probability(of: 0, n), 0.0)
        while k < (n + 1) / 2 {
            next = tail + Self.probability(of: k, n)
            guard 1 - 2 * next >= Self.wanted else { break }
            (tail, k) = (next, k + 1)
        }
        (low, high) = (sorted[k - 1], sorted[n - k])
        confidence = max(0, 1 - 2 * tail)
    }

    /// That `heads` of `n` fair coins show heads.
    private static func probability(of heads: Int, _ n: Int) -> Double {
        var value = 1.0
        for _ in 0..<n { value /= 2 }
        for i in 0..<heads { value *= Double(n - i) / Double(i + 1) }
        return value
    }
}
