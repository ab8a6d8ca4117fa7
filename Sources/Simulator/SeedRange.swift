/// A list of seeds without gaps: `7` or `1..100`, both ends included.
public struct SeedRange: Equatable, Sendable, CustomStringConvertible {
    /// The lowest seed.
    public let first: UInt64
    /// How many, at least one.
    public let count: Int

    /// - Precondition: `count` > 0, and the last seed can be represented.
    public init(first: UInt64, count: Int) {
        precondition(count > 0 && first <= UInt64.max - UInt64(count - 1))
        (self.first, self.count) = (first, count)
    }

    /// Nil for what is no range, runs backwards or has more than 2^31 seeds.
    public init?(_ text: String) {
        guard let (low, high) = Self.bounds(text), high - low < 1 << 31 else { return nil }
        self.init(first: low, count: Int(high - low) + 1)
    }

    /// Seeds that belong to a day: 2026-11-23 begins at 20261123000000, so that days do not overlap.
    public init?(year: Int, month: Int, day: Int, count: Int) {
        guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
            (1...1_000_000).contains(count)
        else { return nil }
        self.init(first: UInt64((year * 100 + month) * 100 + day) * 1_000_000, count: count)
    }

    /// The highest seed, which is one of them.
    public var last: UInt64 { first + UInt64(count - 1) }
    /// - Parameter index: from 0 until before `count`; not checked.
    public subscript(index: Int) -> UInt64 { first + UInt64(index) }
    /// As `init(_:)` reads it.
    public var description: String { count == 1 ? "\(first)" : "\(first)..\(last)" }

    static func bounds(_ text: String) -> (UInt64, UInt64)? {
        // UInt64 would take a sign.
        func number(_ digits: Substring) -> UInt64? { digits.allSatisfy(\.isNumber) ? UInt64(digits) : nil }
        guard let dots = text.firstRange(of: "..") else { return number(text[...]).map { ($0, $0) } }
        guard let low = number(text[..<dots.lowerBound]), let high = number(text[dots.upperBound...]), low <= high
        else { return nil }
        return (low, high)
    }
}

/// Numbers of faults: `3,5..9,10000`.
public struct FaultList: Equatable, Sendable, CustomStringConvertible {
    /// Below 1,000,000 where they come from text. From `SimulationOptions.firstLoss` on they are windows of losses.
    public let numbers: Set<Int>

    /// The faults with these numbers.
    public init(_ numbers: Set<Int>) { self.numbers = numbers }

    /// Nil for what is no list.
    public init?(_ text: String) {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let (low, high) = SeedRange.bounds(String(part)), high < 1_000_000 else { return nil }
            numbers.formUnion(Int(low)...Int(high))
        }
        self.numbers = numbers
    }

    /// Ascending, neighbours put together to ranges; as `init(_:)` reads it.
    public var description: String {
        var runs: [(low: Int, high: Int)] = []
        for number in numbers.sorted() {
            if let last = runs.last, last.high + 1 == number {
                runs[runs.count - 1].high = number
            } else {
                runs.append((number, number))
            }
        }
        return runs.map { $0.low == $0.high ? "\($0.low)" : "\($0.low)..\($0.high)" }.joined(separator: ",")
    }
}
