import Cores
import Messages

/// What a gateway's clients were answered in the last two minutes, second by second, in memory that does not grow: some
/// 300 KB.
package struct ActivityLog: Sendable {
    /// How far back it goes.
    package static let seconds = 120
    /// Requests that are remembered one by one.
    package static let maxRecent = 32
    /// Traffic is told apart by so many shards; what is above counts as one more.
    package static let maxTrafficShards = 32
    /// Traffic is counted over so many seconds, in steps of ten.
    package static let trafficSeconds = 60

    /// One second.
    package struct Slot: Sendable {
        /// Of the uptime.
        fileprivate var second: UInt64 = 0
        /// Requests with an outcome.
        package var committed: UInt32 = 0
        /// By place in `AbortCause.all`.
        package var aborts = [UInt32](repeating: 0, count: AbortCause.all.count)
        /// By place in `GatewayRejection.allCases`; reads too.
        package var refusals = [UInt32](repeating: 0, count: GatewayRejection.allCases.count)
        /// How long requests of one shard took, from their arrival to the answer.
        package var intra = LatencyBuckets()
        /// Those of several.
        package var cross = LatencyBuckets()

        /// Requests that were certified to be aborted.
        package var aborted: UInt32 { aborts.reduce(0, &+) }
        /// Requests and reads without an outcome.
        package var refused: UInt32 { refusals.reduce(0, &+) }

        fileprivate mutating func begin(_ second: UInt64) {
            (self.second, committed) = (second, 0)
            for place in aborts.indices { aborts[place] = 0 }
            for place in refusals.indices { refusals[place] = 0 }
            intra.removeAll()
            cross.removeAll()
        }
    }

    /// One request that was answered.
    package struct Recent: Sendable, Equatable {
        package let request: Digest
        /// Nil if it is committed.
        package let abort: AbortCause?
        /// Uptime of the answer, in nanoseconds.
        package let at: UInt64
        /// From its arrival here to the answer; nil if that is not known.
        package let microseconds: UInt64?
        /// That it concerns, ascending, as far as its first operations say.
        package let shards: [ShardID]
    }

    /// What somebody who looks gets.
    package struct View: Sendable {
        /// Whole seconds, the oldest first; the last one ended when it was looked.
        package var slots: [Slot]
        /// Since the process started.
        package var committed: UInt64
        /// By place in `AbortCause.all`, since the process started.
        package var aborts: [UInt64]
        /// By place in `GatewayRejection.allCases`, since the process started.
        package var refusals: [UInt64]
        /// Rows are where it comes from. One more row and column than there are shards if not all are told apart.
        package var traffic: [[UInt64]]
        /// The newest first.
        package var recent: [Recent]
        /// Requests that wait for their answers.
        package var pending: Int
    }

    private let map: ShardMap
    private let sampling: TraceSampling
    private var slots = [Slot](repeating: Slot(), count: ActivityLog.seconds + 1)
    private var committed: UInt64 = 0
    private var aborts = [UInt64](repeating: 0, count: AbortCause.all.count)
    private var refusals = [UInt64](repeating: 0, count: GatewayRejection.allCases.count)
    /// Side of the square of traffic.
    private let side: Int
    /// Squares of ten seconds each.
    private var traffic: [(decade: UInt64, counts: [UInt32])]
    private var recent: [Recent] = []
    private var nextRecent = 0

    /// - Parameter sampling: if anything is traced, only that is remembered one by one.
    package init(map: ShardMap, sampling: TraceSampling = .off) {
        (self.map, self.sampling) = (map, sampling)
        side = min(map.shardCount, Self.maxTrafficShards + 1)
        let squares = Self.trafficSeconds / 10 + 1
        traffic = Array(repeating: (0, [UInt32](repeating: 0, count: side * side)), count: squares)
    }

    // MARK: What happens

    /// A request or a read was given up.
    package mutating func note(_ reason: GatewayRejection, at uptime: UInt64) {
        let place = Int(reason.rawValue) - 1
        refusals[place] += 1
        withSlot(at: uptime) { $0.refusals[place] &+= 1 }
    }

    /// - Parameter microseconds: from its arrival, if that is known.
    package mutating func note(_ request: AnsweredRequest, microseconds: UInt64?, at uptime: UInt64) {
        if let abort = request.abort { aborts[abort.place] += 1 } else { committed += 1 }
        withSlot(at: uptime) { slot in
            if let abort = request.abort { slot.aborts[abort.place] &+= 1 } else { slot.committed &+= 1 }
            guard let microseconds else { return }
            if request.isCross {
                slot.cross.add(microseconds: microseconds)
            } else {
                slot.intra.add(microseconds: microseconds)
            }
        }
        noteTraffic(request.steps, at: uptime)
        if !sampling.isOn || sampling.takes(request.request) { remember(request, microseconds, at: uptime) }
    }

    private mutating func withSlot(at uptime: UInt64, _ change: (inout Slot) -> Void) {
        let second = uptime / 1_000_000_000
        let place = Int(second % UInt64(slots.count))
        if slots[place].second != second { slots[place].begin(second) }
        change(&slots[place])
    }

    private mutating func noteTraffic(_ steps: [AnsweredRequest.Step], at uptime: UInt64) {
        let decade = uptime / 10_000_000_000
        let place = Int(decade % UInt64(traffic.count))
        if traffic[place].decade != decade {
            traffic[place].decade = decade
            for cell in traffic[place].counts.indices { traffic[place].counts[cell] = 0 }
        }
        for step in steps {
            let (row, column) = (min(Int(step.from.number), side - 1), min(Int(step.to.number), side - 1))
            traffic[place].counts[row * side + column] &+= 1
        }
    }

    private mutating func remember(_ request: AnsweredRequest, _ microseconds: UInt64?, at uptime: UInt64) {
        let shards = Set(request.steps.flatMap { [$0.from, $0.to] }).sorted()
        let new = Recent(
            request: request.request, abort: request.abort, at: uptime, microseconds: microseconds, shards: shards)
        if recent.count < Self.maxRecent { recent.append(new) } else { recent[nextRecent] = new }
        nextRecent = (nextRecent + 1) % Self.maxRecent
    }

    // MARK: What is seen of it

    /// The second that has begun is not in it.
    /// - Parameter pending: requests that wait for their answers.
    package func view(at uptime: UInt64, pending: Int = 0) -> View {
        let now = uptime / 1_000_000_000
        let seconds = (now - min(now, UInt64(Self.seconds)))..<now
        let empty = Slot()
        let found = seconds.map { second in
            let slot = slots[Int(second % UInt64(slots.count))]
            return slot.second == second ? slot : empty
        }
        let decade = uptime / 10_000_000_000
        let first = decade - min(decade, UInt64(traffic.count - 1))
        var sums = [[UInt64]](repeating: [UInt64](repeating: 0, count: side), count: side)
        for square in traffic where (first...decade).contains(square.decade) {
            for cell in square.counts.indices { sums[cell / side][cell % side] += UInt64(square.counts[cell]) }
        }
        let newest = (0..<recent.count).map { recent[(nextRecent + recent.count - 1 - $0) % recent.count] }
        return View(
            slots: found, committed: committed, aborts: aborts, refusals: refusals, traffic: sums, recent: newest,
            pending: pending)
    }
}
