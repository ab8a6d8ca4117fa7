import Histogram
import Messages
import Randomness

/// Transactions of a mix as work, for a time: each begins when a client asks for one.
public struct MixSource<Mix: TransactionMix>: MeasuredSource {
    private struct Started: Sendable {
        let kind: Int
        let isCross: Bool
        let plan: Mix.Plan
        var answer: CallAnswer?
    }

    /// Of one kind, in the measured time.
    private struct Figures: Sendable {
        var latencies = Histogram<UInt64>(
            lowestDiscernibleValue: 1, highestTrackableValue: Measurements.maxMicroseconds,
            numberOfSignificantValueDigits: .three)
        var refused = 0
        var failed = 0
        var unknown = 0
    }

    /// With its books.
    public private(set) var mix: Mix
    /// Nil before the first work was asked for.
    public private(set) var measurements: Measurements?
    /// What was said of the first that failed and was not refused.
    public private(set) var firstFailure: String?
    private let signers: Int
    private let duration: UInt64
    private let warmup: UInt64
    private let cooldown: UInt64
    private let isOpen: Bool
    private var random: SplitMix64
    private var figures: [Figures]
    private var started: [Int: Started] = [:]
    private var works = 0
    private var done = 0
    private var start: UInt64?

    /// - Parameters:
    ///   - signers: how many sign in turn what is nobody's in particular.
    ///   - duration: nanoseconds, in which work is begun; the warm-up is a part of it.
    ///   - cooldown: nanoseconds at the end that are left out of the figures.
    ///   - isOpen: transactions belong to the time that they were meant for.
    public init(
        _ mix: Mix, signers: Int, duration: UInt64, warmup: UInt64 = 0, cooldown: UInt64 = 0, isOpen: Bool = false,
        seed: UInt64
    ) {
        precondition(signers >= 1)
        (self.mix, self.signers, self.duration, self.warmup) = (mix, signers, duration, warmup)
        (self.cooldown, self.isOpen) = (cooldown, isOpen)
        random = SplitMix64(seed: seed, stream: "transaction mix")
        figures = mix.kinds.map { _ in Figures() }
    }

    private func isOver(_ now: UInt64) -> Bool { start.map { now >= $0 + duration } ?? false }

    /// There is no total.
    public var progress: WorkProgress { WorkProgress(done: done, total: nil) }

    /// When the time is over. What is in flight then still ends.
    public func isExhausted(now: Instant) -> Bool { isOver(now.uptime) }

    /// The next transaction. The time begins with the first.
    public mutating func next(now: Instant) -> Work? {
        if start == nil {
            start = now.uptime
            measurements = Measurements(
                start: now.uptime, warmup: warmup,
                length: isOpen || cooldown > 0 ? duration - min(duration, cooldown) : nil, isOpen: isOpen)
        }
        guard !isOver(now.uptime) else { return nil }
        let drawn = mix.draw(using: &random)
        defer { works += 1 }
        started[works] = Started(kind: drawn.kind, isCross: drawn.isCross, plan: drawn.plan)
        return Work(
            id: works, principal: drawn.principal ?? works % signers, operations: drawn.operations, isAtomic: true,
            isOrdered: false)
    }

    /// Kept until the outcome comes.
    public mutating func answered(_ work: Work, _ answer: CallAnswer) { started[work.id]?.answer = answer }

    /// Goes into the figures, and into the mix's books.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        guard let transaction = started.removeValue(forKey: work.id) else { return }
        done += 1
        // Kinds are counted over the same time as all together.
        let isCounted =
            measurements?.record(outcome, isCross: transaction.isCross, microseconds: microseconds, now: now.uptime)
            ?? false
        // In place: a copy of a histogram is large.
        let kind = transaction.kind
        let counts = isCounted ? 1 : 0
        switch outcome {
        case .committed:
            if isCounted {
                _ = figures[kind].latencies.record(min(max(1, microseconds), Measurements.maxMicroseconds))
            }
            var result: [UInt8] = []
            if case .returned(let bytes)? = transaction.answer { result = bytes }
            mix.ended(transaction.plan, .committed(result))
        case .aborted(let reason):
            if case .failed(let failure)? = transaction.answer, failure.reason == .procedure {
                figures[kind].refused += counts
            } else {
                figures[kind].failed += counts
                if case .failed(let failure)? = transaction.answer {
                    firstFailure = firstFailure ?? "\(failure)"
                    mix.failed(failure)
                } else {
                    firstFailure = firstFailure ?? "\(reason)"
                }
            }
            mix.ended(transaction.plan, .aborted)
        case .unknown:
            figures[kind].unknown += counts
            mix.ended(transaction.plan, .unknown)
        }
    }

    /// Nothing waits for it.
    public mutating func finished(_ work: Work, now: Instant) {}

    /// By kind.
    public var kinds: [RunResult.Transactions.Kind] {
        zip(mix.kinds, figures).map { name, figures in
            RunResult.Transactions.Kind(
                name: name, committed: Int(figures.latencies.totalCount), refused: figures.refused,
                failed: figures.failed, unknown: figures.unknown, latency: RunResult.Latency(figures.latencies))
        }
    }
}
