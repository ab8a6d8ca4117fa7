import Randomness
#if canImport(Glibc)
import Glibc
#endif

/// The built-in workload: transfers between accounts whose popularity follows Zipf's law. The default exponent is
/// the slope that was measured over the 1,000 busiest accounts of a real Ethereum trace (0.89).
public struct SkewedWorkload: Sendable {
    /// At least 2, named by their popularity: `0` is drawn most often.
    public var accounts: Int
    /// Rows of the trace, at least 1.
    public var transfers: Int
    /// Of Zipf's law; 0 makes all accounts equally popular.
    public var exponent: Double
    /// In place of Zipf's law with `exponent`.
    public var skew: Skew?
    /// Of who pays whom, and how much: 1 to 1,000 minor units, evenly.
    public var seed: UInt64

    /// - Precondition: two accounts or more, and a transfer.
    public init(accounts: Int = 10_000, transfers: Int = 50_000, exponent: Double = 0.9, seed: UInt64) {
        precondition(accounts >= 2 && transfers >= 1)
        (self.accounts, self.transfers, self.exponent, self.seed) = (accounts, transfers, exponent, seed)
    }

    /// The same rows for the same seed, on every machine.
    public func trace() -> Trace {
        var random = SplitMix64(seed: seed, stream: "skewed workload")
        let popularity = SkewedChoice(skew ?? .zipf(exponent), count: accounts)
        var rows: [Trace.Row] = []
        rows.reserveCapacity(transfers)
        while rows.count < transfers {
            let from = popularity.sample(&random)
            var to = popularity.sample(&random)
            if from == to {
                // Of Zipf's law the next pair, as always; another skew may hardly have one that differs.
                guard skew != nil, let other = popularity.sample(&random, where: { $0 != from }) else { continue }
                to = other
            }
            rows.append(Trace.Row(from: from, to: to, amount: UInt64(random.below(1000)) + 1))
        }
        return Trace(accounts: (0..<accounts).map(String.init), rows: rows)
    }
}

/// Rank r of `count` is drawn with probability proportional to 1 / (r + 1)^exponent.
public struct ZipfDistribution: Sendable {
    private let cumulative: [Double]

    /// - Parameter count: how many ranks there are, at least 1.
    public init(count: Int, exponent: Double) {
        precondition(count > 0)
        var sum = 0.0
        var cumulative: [Double] = []
        cumulative.reserveCapacity(count)
        for rank in 1...count {
            sum += pow(Double(rank), -exponent)
            cumulative.append(sum)
        }
        self.cumulative = cumulative.map { $0 / sum }
    }

    /// A rank from 0 until before `count`; draws one number.
    public func sample(_ random: inout SplitMix64) -> Int {
        let target = random.unit()
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] <= target { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
