import Randomness
import Messages

/// Transfers of one unit between accounts drawn at random, for a time: how a cluster bears much load, or load on one
/// account. All accounts must hold more than they can pay, so that no payment waits for money of another.
public struct RandomTransfers: WorkSource {
    /// Who pays whom.
    public enum Shape: Hashable, Sendable {
        /// All accounts are equally popular.
        case uniform
        /// Everybody pays this account.
        case into(Int)
        /// This account pays everybody; its owner signs every request.
        case outOf(Int)
    }

    private let keys: AccountKeys
    private let shape: Shape
    private let duration: UInt64
    private let warmup: UInt64
    private var random: SplitMix64
    private var start: UInt64?
    private var works = 0
    /// What ended within the time, after the warm-up; all in one histogram, that of `intra`.
    public private(set) var measurements: Measurements?
    /// What ended after the time: it was admitted before.
    public private(set) var committedLate = 0
    /// What was admitted within the time and aborted after it.
    public private(set) var abortedLate = 0
    /// What was admitted within the time and given up after it.
    public private(set) var unknownLate = 0

    /// - Parameters: nanoseconds; the warm-up is a part of the duration.
    public init(keys: AccountKeys, shape: Shape, duration: UInt64, warmup: UInt64, seed: UInt64) {
        precondition(keys.ids.count >= 2 && warmup < duration)
        (self.keys, self.shape, self.duration, self.warmup) = (keys, shape, duration, warmup)
        random = SplitMix64(seed: seed, stream: "random transfers")
    }

    /// Over the time that is measured.
    public var throughput: Double { Double(measurements?.committed ?? 0) / (Double(duration - warmup) / 1e9) }

    /// Only commits that are measured count; there is no total.
    public var progress: WorkProgress { WorkProgress(done: measurements?.committed ?? 0, total: nil) }

    private func isOver(_ now: UInt64) -> Bool { start.map { now >= $0 + duration } ?? false }

    /// When the time is over. What is in flight then still ends.
    public func isExhausted(now: Instant) -> Bool { isOver(now.uptime) }

    /// A new transfer of one unit. The time begins with the first.
    public mutating func next(now: Instant) -> Work? {
        if start == nil {
            start = now.uptime
            measurements = Measurements(start: now.uptime, warmup: warmup)
        }
        guard !isOver(now.uptime) else { return nil }
        let (from, to) = draw()
        let transfer = Transfer(from: keys.ids[from], to: keys.ids[to], asset: AccountKeys.asset, amount: Amount(1))
        defer { works += 1 }
        return Work(id: works, principal: keys.owner(of: from), operations: [.transfer(transfer)])
    }

    private mutating func draw() -> (from: Int, to: Int) {
        switch shape {
        case .uniform:
            let from = random.below(keys.ids.count)
            return (from, other(than: from))
        case .into(let account): return (other(than: account), account)
        case .outOf(let account): return (account, other(than: account))
        }
    }

    private mutating func other(than account: Int) -> Int {
        let drawn = random.below(keys.ids.count - 1)
        return drawn < account ? drawn : drawn + 1
    }

    /// Measured while the time lasts, only counted afterwards.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        guard isOver(now.uptime) else {
            measurements?.record(outcome, isCross: false, microseconds: microseconds, now: now.uptime)
            return
        }
        switch outcome {
        case .committed: committedLate += 1
        case .aborted: abortedLate += 1
        case .unknown: unknownLate += 1
        }
    }

    /// Nothing waits for it.
    public mutating func finished(_ work: Work, now: Instant) {}
}
