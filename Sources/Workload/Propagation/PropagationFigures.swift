import Histogram
import Messages
import Meter

/// Gathers what is known of the batches of a run.
public struct PropagationFigures: Sendable {
    private struct Direction: Hashable, Sendable {
        let from: HostID
        let to: HostID
        let message: LinkDelay.Message
    }

    private struct OpenSecond: Sendable {
        var batches: UInt64 = 0
        var links = PropagationFigures.histogram(.two)
        var last = PropagationFigures.histogram(.two)
    }

    /// What one answer has brought.
    private struct Waiting: Sendable {
        let moments: [BatchMoment]
        let host: HostID
        let clock: ClockEstimate
        let answered: UInt64
    }

    private let manifest: Manifest
    private let measureFrom: UInt64
    private let origin: UInt64
    private var join: BatchJoin
    /// Put together when there are many, or at the end: a load shares its processors with what it measures.
    private var waiting: [Waiting] = []
    private var waitingCount = 0
    private var clocks: [HostID: ClockTrack] = [:]
    private var clockErrors: [HostID: UInt64] = [:]
    private var steps: [PropagationStep: Histogram<UInt64>] = [:]
    private var links: [Direction: Histogram<UInt64>] = [:]
    private var open: [Int: OpenSecond] = [:]
    private var seconds: [RunResult.Propagation.Second] = []
    private var (batches, incomplete, withoutStart, negative): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// What is not heard of a batch within this, after the first word of it, is not waited for.
    public static let patience: UInt64 = 3_000_000_000
    private static let margin: UInt64 = 1_000_000_000
    private static let maxSeconds = 3600
    /// Moments, of some 50 bytes.
    private static let maxWaiting = 500_000
    private static let most: UInt64 = 120_000_000_000

    /// - Parameters:
    ///   - measureFrom: batches that were proposed before are left out, by the own monotonic clock.
    ///   - origin: when the load began.
    public init(_ manifest: Manifest, measureFrom: UInt64, origin: UInt64) {
        (self.manifest, self.measureFrom, self.origin) = (manifest, measureFrom, min(origin, measureFrom))
        join = BatchJoin(manifest)
    }

    private static func histogram(_ digits: SignificantDigits) -> Histogram<UInt64> {
        Histogram<UInt64>(
            lowestDiscernibleValue: 1, highestTrackableValue: most, numberOfSignificantValueDigits: digits)
    }

    private static func record(_ nanoseconds: UInt64, in histogram: inout Histogram<UInt64>) {
        histogram.record(min(max(1, nanoseconds), most))
    }

    /// An answer of a host.
    /// - Parameters:
    ///   - asked, answered: by the own monotonic clock.
    public mutating func note(_ answer: HostObservation, of host: HostID, asked: UInt64, answered: UInt64) {
        clocks[host, default: ClockTrack()].note(asked: asked, there: answer.now.uptime, answered: answered)
        guard let clock = clocks[host]?.estimate(at: answered) else { return }
        guard !answer.moments.isEmpty else { return }
        clockErrors[host] = max(clockErrors[host] ?? 0, clock.error)
        waiting.append(Waiting(moments: answer.moments, host: host, clock: clock, answered: answered))
        waitingCount += answer.moments.count
    }

    private mutating func joinWaiting() {
        var last = waiting.first?.answered ?? 0
        for part in waiting {
            // As if it were done while the answers came.
            if part.answered > last + Self.patience {
                last = part.answered
                take(join.settle(before: last - Self.patience))
            }
            for moment in part.moments {
                join.note(moment.moved(to: part.clock.own(moment.at)), by: part.host, now: part.answered)
            }
        }
        (waiting, waitingCount) = ([], 0)
    }

    /// Puts together what has come, if that is much.
    /// - Parameter now: by the own monotonic clock; nil when nothing more comes.
    public mutating func settle(now: UInt64?) {
        guard now == nil || waitingCount >= Self.maxWaiting else { return }
        joinWaiting()
        take(join.settle(before: now.map { $0 - min($0, Self.patience) }))
        close(before: now.map { second($0 - min($0, 3 * Self.patience)) } ?? .max)
    }

    private mutating func take(_ settled: BatchJoin.Settled) {
        // What was proposed before it was measured is not missed.
        withoutStart += UInt64(settled.withoutStart.count { $0 >= measureFrom + Self.margin })
        for batch in settled.batches where batch.start >= measureFrom { take(batch) }
        for link in settled.links where link.start >= measureFrom { take(link) }
    }

    private func second(_ at: UInt64) -> Int { Int((at - min(at, origin)) / 1_000_000_000) }

    private mutating func take(_ batch: BatchSpread) {
        batches += 1
        if !batch.isComplete { incomplete += 1 }
        for step in PropagationStep.allCases {
            if let took = batch[step] { note(step, took) }
        }
        let last = batch[.lastReceived]
        withSecond(of: batch.start) { second in
            second.batches += 1
            if let last { Self.record(last, in: &second.last) }
        }
    }

    private mutating func take(_ link: LinkDelay) {
        // A clock that is known exactly says nothing below zero.
        if link.delay < 0 { negative += 1 }
        let delay = UInt64(max(0, link.delay))
        let direction = Direction(from: link.from, to: link.to, message: link.message)
        Self.record(delay, in: &links[direction, default: Self.histogram(.two)])
        guard link.message == .prePrepare else { return }
        withSecond(of: link.start) { Self.record(delay, in: &$0.links) }
    }

    private mutating func note(_ step: PropagationStep, _ took: UInt64) {
        Self.record(took, in: &steps[step, default: Self.histogram(.three)])
    }

    private mutating func withSecond(of at: UInt64, _ change: (inout OpenSecond) -> Void) {
        let second = second(at)
        // One that was closed is not opened again.
        guard second < Self.maxSeconds, second > seconds.last?.at_s ?? -1 else { return }
        change(&open[second, default: OpenSecond()])
    }

    private mutating func close(before limit: Int) {
        for second in open.keys.sorted() where second < limit {
            guard let figures = open.removeValue(forKey: second) else { continue }
            let (links, last) = (figures.links, figures.last)
            seconds.append(
                RunResult.Propagation.Second(
                    at_s: second, batches: figures.batches, link_p50_us: Self.microseconds(links, 50),
                    link_p99_us: Self.microseconds(links, 99), last_p50_us: Self.microseconds(last, 50),
                    last_p99_us: Self.microseconds(last, 99)))
        }
    }

    private static func microseconds(_ histogram: Histogram<UInt64>, _ percentile: Double) -> Double? {
        histogram.totalCount > 0 ? Double(histogram.valueAtPercentile(percentile)) / 1000 : nil
    }

    /// Of requests that were traced, from the first PRE-PREPARE of a batch with it to the client's word.
    public mutating func note(clients traces: [RequestTrace]) {
        for trace in traces {
            guard let known = trace.first(.receiptVerified) else { continue }
            let proposed = trace.shards.compactMap { shard -> UInt64? in
                guard let primary = trace.primary(of: shard), let batch = trace.batch(of: shard) else { return nil }
                return trace.first(.prePrepared, shard: shard, at: primary, number: batch)
            }
            guard let start = proposed.min(), start >= measureFrom, known >= start else { continue }
            note(.clientKnows, known - start)
        }
    }

    /// Nil if no batch is known.
    public func result() -> RunResult.Propagation? {
        guard batches > 0 else { return nil }
        let group = manifest.group(of: ShardID(0))
        let figures = PropagationStep.allCases.compactMap { step -> RunResult.Propagation.Figures? in
            guard let histogram = steps[step], histogram.totalCount > 0 else { return nil }
            func at(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1000 }
            return RunResult.Propagation.Figures(
                step: step, count: histogram.totalCount, p50_us: at(50), p90_us: at(90), p99_us: at(99),
                p999_us: at(99.9), max_us: Double(histogram.max) / 1000)
        }
        let links = self.links.map { direction, histogram in
            let error = (clockErrors[direction.from] ?? 0) + (clockErrors[direction.to] ?? 0)
            return RunResult.Propagation.Link(
                from: Int(direction.from.number), to: Int(direction.to.number), message: direction.message,
                count: histogram.totalCount, p50_us: Double(histogram.valueAtPercentile(50)) / 1000,
                p99_us: Double(histogram.valueAtPercentile(99)) / 1000, error_us: Double(error) / 1000)
        }
        return RunResult.Propagation(
            hosts: manifest.hosts.count, replicas: group.n, received_quorum: group.quorum,
            executed_quorum: group.weakQuorum, batches: batches, incomplete: incomplete,
            without_start: withoutStart, negative: negative,
            clock_error_us: Double(clockErrors.values.max() ?? 0) / 1000, steps: figures,
            links: links.sorted {
                ($0.from, $0.to, $0.message.rawValue) < ($1.from, $1.to, $1.message.rawValue)
            },
            over_time: seconds)
    }
}

extension PropagationStep {
    /// As a table says it.
    func words(_ propagation: RunResult.Propagation) -> String {
        let n = propagation.replicas
        return switch self {
        case .firstReceived: "first backup has it"
        case .quorumReceived: "\(propagation.received_quorum) of \(n) have it"
        case .lastReceived: "all \(n) have it"
        case .firstExecuted: "first has executed it"
        case .quorumExecuted: "\(propagation.executed_quorum) of \(n) have executed it"
        case .lastExecuted: "all \(n) have executed it"
        case .clientKnows: "a client knows"
        }
    }
}
