import Messages
import Randomness

/// Transfers of one unit between accounts drawn at random, each at a moment that was fixed beforehand: an open load. A
/// cluster that stands still is offered no less meanwhile. What had to wait because every client had something in
/// flight is late, and its latency counts from the moment that it was meant for: otherwise the time in which nothing
/// could be sent would be in no figure (coordinated omission).
///
/// All accounts must hold more than they can pay, so that no payment waits for money of another.
public struct ScheduledTransfers: WorkSource {
    private let keys: AccountKeys
    private let figures: SecondFigures
    /// Nanoseconds from one to the next.
    private let interval: Double
    private var random: SplitMix64
    private var start: UInt64?
    private var works = 0
    /// Of works in flight: when they were to begin, and who pays whom.
    private var open: [Int: (meantFor: UInt64, from: Int, to: Int)] = [:]
    /// Of the whole load, latencies from the intended moments, all in the histogram of `intra`; nil before it began.
    public private(set) var measurements: Measurements?
    /// By account, what it has received less what it has paid, as far as receipts prove it.
    public private(set) var net: [Int]
    /// Accounts of which it is not known whether they have paid or received something.
    public private(set) var unproven: Set<Int> = []

    /// - Parameters:
    ///   - rate: transfers a second, above 0.
    ///   - figures: is told of every outcome, and says when to stop.
    /// - Precondition: there are two accounts.
    public init(keys: AccountKeys, rate: Double, figures: SecondFigures, seed: UInt64) {
        precondition(keys.ids.count >= 2 && rate > 0)
        (self.keys, self.figures) = (keys, figures)
        interval = max(1, 1e9 / rate)
        random = SplitMix64(seed: seed, stream: "scheduled transfers")
        net = Array(repeating: 0, count: keys.ids.count)
    }

    /// There is no total.
    public var progress: WorkProgress { WorkProgress(done: measurements?.committed ?? 0, total: nil) }

    /// When it was told to stop. What is in flight then still ends.
    public func isExhausted(now: Instant) -> Bool { figures.isStopped }

    /// The next transfer, if its moment has come. The time begins with the first call.
    public mutating func next(now: Instant) -> Work? {
        guard !figures.isStopped else { return nil }
        if start == nil {
            start = now.uptime
            figures.begin(at: now.uptime)
            measurements = Measurements(start: now.uptime, warmup: 0)
        }
        let meantFor = (start ?? now.uptime) + UInt64(Double(works) * interval)
        guard now.uptime >= meantFor else { return nil }
        let from = random.below(keys.ids.count)
        let drawn = random.below(keys.ids.count - 1)
        let to = drawn < from ? drawn : drawn + 1
        defer { works += 1 }
        open[works] = (meantFor, from, to)
        figures.note(lateBy: now.uptime - meantFor)
        let transfer = Transfer(from: keys.ids[from], to: keys.ids[to], asset: AccountKeys.asset, amount: Amount(1))
        return Work(id: works, principal: keys.owner(of: from), operations: [.transfer(transfer)])
    }

    /// Measured from the moment that it was meant for.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        guard let (meantFor, from, to) = open[work.id] else { return }
        let latency = (now.uptime - min(now.uptime, meantFor)) / 1000
        switch outcome {
        case .committed:
            net[from] -= 1
            net[to] += 1
        case .aborted: break
        case .unknown: unproven.formUnion([from, to])
        }
        measurements?.record(outcome, isCross: false, microseconds: latency, now: now.uptime)
        figures.record(outcome, microseconds: latency, now: now.uptime)
    }

    /// It is no longer in flight.
    public mutating func finished(_ work: Work, now: Instant) { open[work.id] = nil }
}
