import Messages
import Randomness

/// How unevenly the things of a workload are used.
public enum Skew: Hashable, Sendable, CustomStringConvertible {
    /// All alike.
    case uniform
    /// Rank r in proportion to 1 / (r + 1)^exponent.
    case zipf(Double)
    /// The first so many get this share of all, evenly; the others the rest.
    case hot(Int, share: Double)

    /// What `--skew` and files of procedures take: `uniform`, `zipf:0.9`, `hot:1000:0.9`.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("uniform", 1): self = .uniform
        case ("zipf", 2):
            guard let exponent = Double(parts[1]), (0...10).contains(exponent) else { return nil }
            self = .zipf(exponent)
        case ("hot", 3):
            guard let count = Int(parts[1]), count >= 1, let share = Double(parts[2]), (0...1).contains(share) else {
                return nil
            }
            self = .hot(count, share: share)
        default: return nil
        }
    }

    /// What `init` takes, for messages.
    public static let forms = "uniform, zipf:EXPONENT (0 to 10) or hot:COUNT:SHARE (a share from 0 to 1)"

    /// As `init` takes it.
    public var description: String {
        switch self {
        case .uniform: "uniform"
        case .zipf(let exponent): "zipf:\(exponent)"
        case .hot(let count, let share): "hot:\(count):\(share)"
        }
    }
}

/// Draws one of so many things by a skew. The things are numbered by how much they are used, the most used first.
public struct SkewedChoice: Sendable {
    private enum Way: Sendable {
        case uniform
        case zipf(ZipfDistribution)
        case hot(Int, share: Double)
    }

    /// How many there are.
    public let count: Int
    private let way: Way

    /// - Parameter count: at least 1.
    public init(_ skew: Skew, count: Int) {
        precondition(count >= 1)
        self.count = count
        way =
            switch skew {
            case .uniform: .uniform
            case .zipf(let exponent): .zipf(ZipfDistribution(count: count, exponent: exponent))
            // If all are hot, none is cold.
            case .hot(let hot, let share): hot >= count ? .uniform : .hot(hot, share: share)
            }
    }

    /// From 0 until before `count`.
    public func sample(_ random: inout SplitMix64) -> Int {
        switch way {
        case .uniform: random.below(count)
        case .zipf(let distribution): distribution.sample(&random)
        case .hot(let hot, let share):
            random.unit() < share ? random.below(hot) : hot + random.below(count - hot)
        }
    }

    /// Draws until one is accepted; if none of many is, takes the next in turn that is.
    /// - Returns: nil if there is none at all.
    public func sample(_ random: inout SplitMix64, where isAccepted: (Int) -> Bool) -> Int? {
        for _ in 0..<512 {
            let drawn = sample(&random)
            if isAccepted(drawn) { return drawn }
        }
        let start = random.below(count)
        return (0..<count).lazy.map { (start + $0) % count }.first(where: isAccepted)
    }
}

/// Draws a second thing beside a first one.
struct PairChoice: Sendable {
    let choice: SkewedChoice
    /// How many of a hundred pairs are over two shards; nil: as it comes.
    let crossPercent: Int?

    /// - Parameter shard: of each thing.
    func other(than first: Int, _ random: inout SplitMix64, shard: (Int) -> ShardID) -> Int {
        let wantsCross = crossPercent.map { random.below(100) < $0 }
        let home = shard(first)
        let drawn = choice.sample(&random) { candidate in
            guard candidate != first else { return false }
            guard let wantsCross else { return true }
            return (shard(candidate) != home) == wantsCross
        }
        // Few things need not have one that fits: then anything else.
        return drawn ?? (first == 0 ? 1 : 0)
    }
}

/// Draws kinds by their weights.
public struct WeightedChoice: Sendable {
    private let cumulative: [Int]

    /// Nil unless some weight is above zero, none is below, and they add up to a million at most.
    public init?(_ weights: [Int]) {
        guard weights.allSatisfy({ (0...1_000_000).contains($0) }) else { return nil }
        var sum = 0
        cumulative = weights.map {
            sum += $0
            return sum
        }
        guard (1...1_000_000).contains(sum) else { return nil }
    }

    /// An index into the weights.
    public func sample(_ random: inout SplitMix64) -> Int {
        let drawn = random.below(cumulative[cumulative.count - 1])
        return cumulative.firstIndex { drawn < $0 } ?? 0
    }
}
