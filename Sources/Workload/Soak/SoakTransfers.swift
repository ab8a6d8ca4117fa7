import Messages
import Randomness

/// Transfers of one unit between accounts drawn at random, for an open loop that goes on until somebody stops it. It
/// keeps what receipts prove of each account.
///
/// All accounts must hold more than they can pay, so that no payment waits for money of another.
public struct SoakTransfers: WorkSource {
    private let keys: AccountKeys
    private let figures: SecondFigures
    private var random: SplitMix64
    private var start: UInt64?
    private var works = 0
    /// Of works in flight: who pays whom.
    private var open: [Int: (from: Int, to: Int)] = [:]
    /// Of the whole load, all in the histogram of `intra`; nil before it began.
    public private(set) var measurements: Measurements?
    /// By account, what it has received less what it has paid, as far as receipts prove it.
    public private(set) var net: [Int]
    /// Accounts of which it is not known whether they have paid or received something.
    public private(set) var unproven: Set<Int> = []

    /// - Parameter figures: is told of every outcome, and says when to stop.
    /// - Precondition: there are two accounts.
    public init(keys: AccountKeys, figures: SecondFigures, seed: UInt64) {
        precondition(keys.ids.count >= 2)
        (self.keys, self.figures) = (keys, figures)
        random = SplitMix64(seed: seed, stream: "scheduled transfers")
        net = Array(repeating: 0, count: keys.ids.count)
    }

    /// There is no total.
    public var progress: WorkProgress { WorkProgress(done: measurements?.committed ?? 0, total: nil) }

    /// When it was told to stop. What is in flight then still ends.
    public func isExhausted(now: Instant) -> Bool { figures.isStopped }

    /// A new transfer. The time begins with the first call.
    public mutating func next(now: Instant) -> Work? {
        guard !figures.isStopped else { return nil }
        if start == nil {
            start = now.uptime
            figures.begin(at: now.uptime)
            measurements = Measurements(start: now.uptime, warmup: 0)
        }
        let from = random.below(keys.ids.count)
        let drawn = random.below(keys.ids.count - 1)
        let to = drawn < from ? drawn : drawn + 1
        defer { works += 1 }
        open[works] = (from, to)
        let transfer = Transfer(from: keys.ids[from], to: keys.ids[to], asset: AccountKeys.asset, amount: Amount(1))
        return Work(id: works, principal: keys.owner(of: from), operations: [.transfer(transfer)])
    }

    /// Counted, and kept of the two accounts.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        guard let (from, to) = open[work.id] else { return }
        switch outcome {
        case .committed:
            net[from] -= 1
            net[to] += 1
        case .aborted: break
        case .unknown: unproven.formUnion([from, to])
        }
        measurements?.record(outcome, isCross: false, microseconds: microseconds, now: now.uptime)
        figures.record(outcome, microseconds: microseconds, now: now.uptime)
    }

    /// It is no longer in flight.
    public mutating func finished(_ work: Work, now: Instant) { open[work.id] = nil }
}
