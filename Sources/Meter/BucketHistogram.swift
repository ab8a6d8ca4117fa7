import CoreMetrics
import Synchronization

/// Which numbers a histogram tells apart.
public struct HistogramScale: Hashable, Sendable {
    /// Ascending. What is not above the first of them is in its bucket; what is above the last is in one without a
    /// bound. Durations in nanoseconds.
    public let upperBounds: [UInt64]
    /// How many of what is recorded make one of what is shown: 1e9 nanoseconds make a second.
    public let divisor: Double

    /// - Precondition: the bounds ascend.
    public init(upperBounds: [UInt64], divisor: Double) {
        precondition(zip(upperBounds, upperBounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds ascend")
        (self.upperBounds, self.divisor) = (upperBounds, divisor)
    }

    private static func microseconds(_ bounds: [UInt64]) -> HistogramScale {
        HistogramScale(upperBounds: bounds.map { $0 * 1000 }, divisor: 1e9)
    }

    /// Of a disk: 100 µs to 10 s.
    public static let storage = microseconds([
        100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000,
    ])

    /// Of what somebody waits for: 1 ms to 30 s, closer to each other where most transactions are.
    public static let latency = microseconds([
        1000, 2500, 5000, 10_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000, 30_000_000,
    ])

    /// Of things that are counted: 1 to 4,096.
    public static let items = HistogramScale(upperBounds: (0...12).map { UInt64(1) << UInt64($0) }, divisor: 1)
}

/// What a histogram held at about one moment.
public struct HistogramCounts: Hashable, Sendable {
    /// How much was not above a bound.
    public struct Bucket: Hashable, Sendable {
        /// In the unit that is shown.
        public let upperBound: Double
        /// What lower buckets hold is in it too.
        public let count: UInt64
        /// Both as they are.
        public init(upperBound: Double, count: UInt64) { (self.upperBound, self.count) = (upperBound, count) }
    }

    /// Ascending; without the one that has no bound, which holds `count`.
    public let buckets: [Bucket]
    /// How often something was recorded.
    public let count: UInt64
    /// Of all that was recorded, in the unit that is shown.
    public let sum: Double

    /// Checks nothing.
    public init(buckets: [Bucket], count: UInt64, sum: Double) {
        (self.buckets, self.count, self.sum) = (buckets, count, sum)
    }
}

/// Counts by size. To record costs a search among some bounds and two atomics: no lock, no memory, whatever comes.
public final class BucketHistogram: TimerHandler, RecorderHandler {
    /// One more than there are bounds.
    private let cells: [HistogramCell]
    private let sum = Atomic<UInt64>(0)
    private let scale: HistogramScale

    /// Empty.
    public init(_ scale: HistogramScale) {
        self.scale = scale
        cells = (0...scale.upperBounds.count).map { _ in HistogramCell() }
    }

    private func add(_ value: UInt64) {
        let bounds = scale.upperBounds
        var (low, high) = (0, bounds.count)
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        cells[low].count.wrappingAdd(1, ordering: .relaxed)
        sum.wrappingAdd(value, ordering: .relaxed)
    }

    /// The numbers are not taken at one moment, but fit each other: `count` is the sum of all buckets.
    public var counts: HistogramCounts {
        let sum = Double(sum.load(ordering: .relaxed)) / scale.divisor
        var total: UInt64 = 0
        let buckets = zip(scale.upperBounds, cells).map { bound, cell in
            total += cell.count.load(ordering: .relaxed)
            return HistogramCounts.Bucket(upperBound: Double(bound) / scale.divisor, count: total)
        }
        total += cells[cells.count - 1].count.load(ordering: .relaxed)
        return HistogramCounts(buckets: buckets, count: total, sum: sum)
    }

    /// A duration that is negative, because somebody set a clock, counts as none.
    public func recordNanoseconds(_ duration: Int64) { add(UInt64(clamping: duration)) }
    /// What is negative counts as nothing.
    public func record(_ value: Int64) { add(UInt64(clamping: value)) }
    /// Rounded; what is negative or no number counts as nothing.
    public func record(_ value: Double) { add(UInt64(exactly: value.rounded()) ?? (value > 0 ? .max : 0)) }
}

private final class HistogramCell: Sendable {
    let count = Atomic<UInt64>(0)
}
