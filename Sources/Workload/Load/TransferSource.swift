import DequeModule
import Messages

/// Transfers of a trace as work, in the order that `RowOrder` allows.
public struct TransferSource: ForeseenSource, MeasuredSource {
    /// When to stop starting transfers.
    public enum Extent: Sendable, Equatable {
        /// After the last row.
        case wholeTrace
        /// After so many nanoseconds; the trace starts over as often as needed.
        case nanoseconds(UInt64)
    }

    private struct Leg: Sendable {
        let row: Int
        var moved = false
    }

    private let trace: Trace
    private let keys: AccountKeys
    private let shardOf: [ShardID]
    private let bundle: Int
    private let extent: Extent
    private let warmup: UInt64
    private let cooldown: UInt64
    private let isOpen: Bool
    private let maxRows: Int

    private var order: RowOrder
    /// Rows that may run, by the principal who signs them; without bundles all in one queue.
    private var ready: [Deque<Int>]
    private var readyCount = 0
    private var nextQueue = 0
    private var legsOf: [Int: [Leg]] = [:]
    private var works = 0
    private var given = 0
    private var done = 0
    private var start: UInt64?
    /// Nil before the first work was asked for.
    public private(set) var measurements: Measurements?

    /// - Parameters:
    ///   - openingBalances: by account, as funded.
    ///   - bundle: the largest number of transfers under one signature.
    ///   - warmup: nanoseconds at the start that are left out of the figures.
    ///   - cooldown: the same at the end, where the extent is a time.
    ///   - isOpen: the load is an open loop, see `Measurements`.
    ///   - passes: how many replays of the trace the accounts are funded for; the source stops there.
    ///   - lookAhead: rows that are considered beyond the oldest unfinished one.
    public init(
        trace: Trace, keys: AccountKeys, shardOf: [ShardID], openingBalances: [UInt128], bundle: Int, extent: Extent,
        warmup: UInt64 = 0, cooldown: UInt64 = 0, isOpen: Bool = false, passes: Int = 1, lookAhead: Int = 16_384
    ) {
        precondition(bundle >= 1 && bundle <= Request.maxOperations && passes >= 1 && lookAhead >= 1)
        (self.trace, self.keys, self.shardOf) = (trace, keys, shardOf)
        (self.bundle, self.extent, self.warmup) = (bundle, extent, warmup)
        (self.cooldown, self.isOpen) = (cooldown, isOpen)
        maxRows = extent == .wholeTrace ? trace.rows.count : trace.rows.count * passes
        order = RowOrder(openingBalances: openingBalances, window: lookAhead)
        ready = Array(repeating: Deque(), count: bundle == 1 ? 1 : keys.signers.count)
    }

    private func row(_ ordinal: Int) -> Trace.Row { trace.rows[ordinal % trace.rows.count] }

    private func queue(of ordinal: Int) -> Int { bundle == 1 ? 0 : keys.owner(of: Int(row(ordinal).from)) }

    private func timeIsUp(_ now: Instant) -> Bool {
        guard case .nanoseconds(let limit) = extent, let start else { return false }
        return now.uptime >= start + limit
    }

    /// Transfers that have an outcome; a total only where the whole trace is replayed once.
    public var progress: WorkProgress { WorkProgress(done: done, total: extent == .wholeTrace ? maxRows : nil) }

    /// When the time is over, or all rows were given and have ended.
    public func isExhausted(now: Instant) -> Bool {
        timeIsUp(now) || (order.admitted == maxRows && readyCount == 0 && !order.unfinished)
    }

    /// When the time is over, or all rows were given.
    public func hasGivenAll(now: Instant) -> Bool { timeIsUp(now) || given == maxRows }

    /// Of an open loop the end is fixed; of a closed one that has no cool-down the last outcome is.
    private var measuredLength: UInt64? {
        guard case .nanoseconds(let limit) = extent, isOpen || cooldown > 0 else { return nil }
        return limit - min(limit, cooldown)
    }

    /// Rows that one member signs, of the next queue in turn that fills a bundle, or else of the longest. The time
    /// begins with the first call.
    public mutating func next(now: Instant) -> Work? {
        if start == nil {
            start = now.uptime
            measurements = Measurements(start: now.uptime, warmup: warmup, length: measuredLength, isOpen: isOpen)
        }
        guard !timeIsUp(now) else { return nil }
        // Bundles fill better with everything in view; a single row needs only one that is ready.
        while order.hasRoom, order.admitted < maxRows, bundle > 1 || readyCount == 0 {
            let ordinal = order.admitted
            if order.admit(row(ordinal)) { makeReady(ordinal) }
        }
        guard readyCount > 0 else { return nil }
        let queue = fullestQueue()
        var rows: [Int] = []
        while rows.count < bundle, let first = ready[queue].popFirst() {
            readyCount -= 1
            order.take(first)
            rows.append(first)
            while rows.count < bundle, let follower = order.takeFollower(of: rows[rows.count - 1]) {
                rows.append(follower)
            }
            // In its turn: other accounts wait in the same queue.
            if let next = order.next(after: first) { makeReady(next) }
        }
        let work = Work(id: works, principal: keys.owner(of: Int(row(rows[0]).from)), operations: rows.map(operation))
        works += 1
        given += rows.count
        legsOf[work.id] = rows.map { Leg(row: $0) }
        return work
    }

    /// In the order of the trace. Which rows make a bundle is not known beforehand.
    public func foreseen(_ place: Int) -> Work? {
        guard bundle == 1, place < maxRows else { return nil }
        return Work(id: place, principal: keys.owner(of: Int(row(place).from)), operations: [operation(place)])
    }

    private mutating func makeReady(_ ordinal: Int) {
        ready[queue(of: ordinal)].append(ordinal)
        readyCount += 1
    }

    /// The next queue in turn that fills a bundle, or else the one with the most.
    private mutating func fullestQueue() -> Int {
        var best = nextQueue
        for i in 0..<ready.count {
            let candidate = (nextQueue + i) % ready.count
            if ready[candidate].count > ready[best].count { best = candidate }
            if ready[best].count >= bundle { break }
        }
        nextQueue = (best + 1) % ready.count
        return best
    }

    private func operation(_ ordinal: Int) -> Operation {
        let row = row(ordinal)
        return .transfer(
            Transfer(
                from: keys.ids[Int(row.from)], to: keys.ids[Int(row.to)], asset: AccountKeys.asset,
                amount: Amount(UInt128(row.amount))))
    }

    /// A transfer counts as crossing if its two accounts are on different shards.
    public mutating func completed(_ work: Work, leg: Int, outcome: LegOutcome, microseconds: UInt64, now: Instant) {
        guard let ordinal = legsOf[work.id]?[leg].row else { return }
        if outcome == .committed { legsOf[work.id]?[leg].moved = true }
        done += 1
        let row = row(ordinal)
        measurements?.record(
            outcome, isCross: shardOf[Int(row.from)] != shardOf[Int(row.to)], microseconds: microseconds,
            now: now.uptime)
    }

    /// Lets the rows run that waited for the money or the order of these.
    public mutating func finished(_ work: Work, now: Instant) {
        var released: [Int] = []
        for leg in legsOf.removeValue(forKey: work.id) ?? [] {
            order.finish(leg.row, moved: leg.moved) { released.append($0) }
        }
        for next in released { makeReady(next) }
    }
}
