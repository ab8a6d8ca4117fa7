import Histogram
import Messages

/// What a client saw: latencies, outcomes, and when the commits came.
public struct Measurements: Sendable {
    /// Microseconds, 1 µs to 120 s, three digits.
    public private(set) var intra = Self.histogram()
    /// The same, of operations over two shards or more.
    public private(set) var cross = Self.histogram()
    /// Operations with verified certificates that they took effect.
    public private(set) var committed = 0
    /// Operations with verified certificates that they did not.
    public private(set) var aborted = 0
    /// By `AbortReason`, its raw value less 1.
    public private(set) var aborts = [Int](repeating: 0, count: AbortReason.allCases.count)
    /// Operations of which nothing was certified in time.
    public private(set) var unknown = 0
    /// What was said of the first of them; nil while there is none.
    public private(set) var firstUnknown: String?
    /// Commits in each interval since the start, warm-up included.
    public private(set) var timeline: [Int] = []
    /// Commits since the start, warm-up included.
    public private(set) var commits = 0
    /// The longest time without a commit, between the first commit and the last.
    public private(set) var maxGapNanoseconds: UInt64 = 0
    /// With the commit of which moment it began, as nanoseconds since the start; nil while there is none.
    public private(set) var maxGapBegin: UInt64?

    /// 100 ms, in nanoseconds.
    public static let timelineInterval: UInt64 = 100_000_000
    /// What a latency counts at most: 120 s.
    public static let maxMicroseconds: UInt64 = 120_000_000

    /// Everything that ends before is left out, except from the time line; in an open loop everything that was meant to
    /// begin before.
    public let measureFrom: UInt64
    /// The same of the end, exclusive; nil if nothing is left out there.
    public let measureUntil: UInt64?
    /// Commits that came while it was measured: those that `throughput` is of. In an open loop they are others than
    /// `committed`, which counts what was meant for that time, whenever it ended.
    public private(set) var committedWithin = 0
    /// The same of all outcomes.
    public private(set) var endedWithin = 0
    /// Monotonic nanoseconds. Interval 0 of the time line begins here.
    public let start: UInt64
    private var lastCommit: UInt64?
    private var lastOutcome: UInt64
    private let isOpen: Bool

    /// - Parameters:
    ///   - start: monotonic nanoseconds.
    ///   - warmup: nanoseconds that are left out.
    ///   - length: nanoseconds from the start, warm-up included, until which it is measured; nil for all.
    ///   - isOpen: operations belong to the time that they were meant for, and not to that in which they ended. A stall
    ///     at the end would otherwise be in no figure.
    public init(start: UInt64, warmup: UInt64, length: UInt64? = nil, isOpen: Bool = false) {
        (self.start, self.isOpen) = (start, isOpen)
        measureFrom = start + warmup
        measureUntil = length.map { start + max(warmup, $0) }
        lastOutcome = measureFrom
    }

    private static func histogram() -> Histogram<UInt64> {
        Histogram<UInt64>(
            lowestDiscernibleValue: 1, highestTrackableValue: maxMicroseconds, numberOfSignificantValueDigits: .three)
    }

    /// One operation has its outcome.
    /// - Parameters:
    ///   - microseconds: counted as 1 to `maxMicroseconds`.
    ///   - now: monotonic nanoseconds.
    /// - Returns: whether it is in the figures.
    @discardableResult
    public mutating func record(_ outcome: LegOutcome, isCross: Bool, microseconds: UInt64, now: UInt64) -> Bool {
        if outcome == .committed { recordCommit(now: now) }
        if isMeasured(now) {
            endedWithin += 1
            if outcome == .committed { committedWithin += 1 }
        }
        guard isMeasured(isOpen ? now - min(now, microseconds * 1000) : now) else { return false }
        lastOutcome = max(lastOutcome, now)
        let value = min(max(1, microseconds), Self.maxMicroseconds)
        switch outcome {
        case .committed:
            committed += 1
            if isCross { _ = cross.record(value) } else { _ = intra.record(value) }
        case .aborted(let reason):
            aborted += 1
            aborts[Int(reason.rawValue) - 1] += 1
        case .unknown(let why):
            unknown += 1
            firstUnknown = firstUnknown ?? why
        }
        return true
    }

    private func isMeasured(_ moment: UInt64) -> Bool {
        moment >= measureFrom && measureUntil.map { moment < $0 } ?? true
    }

    private mutating func recordCommit(now: UInt64) {
        let slot = Int((now - min(now, start)) / Self.timelineInterval)
        // A day of 100 ms intervals: a bound, not a limit that anyone meets.
        if slot < 864_000 {
            while timeline.count <= slot { timeline.append(0) }
            timeline[slot] += 1
        }
        commits += 1
        if let lastCommit, now > lastCommit, now - lastCommit > maxGapNanoseconds {
            maxGapNanoseconds = now - lastCommit
            maxGapBegin = lastCommit - min(lastCommit, start)
        }
        lastCommit = max(lastCommit ?? 0, now)
    }

    /// From the end of the warm-up to the begin of what is left out at the end, or to the last outcome.
    public var elapsedSeconds: Double {
        let end = measureUntil ?? lastOutcome
        return Double(end - min(end, measureFrom)) / 1e9
    }
    /// Commits a second in that time; 0 if there was none.
    public var throughput: Double { elapsedSeconds > 0 ? Double(committedWithin) / elapsedSeconds : 0 }
}
