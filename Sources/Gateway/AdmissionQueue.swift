import DequeModule
import Messages

/// What a gateway takes on at once: for a shard, and of a principal.
public struct AdmissionLimits: Sendable {
    /// Requests in flight on one shard.
    public var window: Int
    /// Requests that wait for one shard.
    public var queue: Int
    /// Requests of one principal, waiting and in flight. A shard accepts only 1,024 numbers at a time anyway (R11).
    public var perPrincipal: Int

    /// - Precondition: each is at least 1.
    public init(window: Int = 512, queue: Int = 4096, perPrincipal: Int = 1024) {
        precondition(window > 0 && queue > 0 && perPrincipal > 0)
        (self.window, self.queue, self.perPrincipal) = (window, queue, perPrincipal)
    }
}

/// The gateway's bounded queue: a lane per shard, fair between principals. A request counts in the lane of every
/// participant. It takes its places in flight lane by lane in ascending order, keeping those that it has: so neither
/// deadlock nor starvation of requests over several shards is possible.
///
/// Being full is an answer (`rejected`), and what has passed its deadline is dropped, not sent.
public struct AdmissionQueue: Sendable {
    /// Whether a request was taken.
    public enum Verdict: Hashable, Sendable {
        /// It is in the queue, and perhaps started already: see `next`.
        case admitted
        /// - retryAfter: nanoseconds, from the rate at which the fullest lane drains.
        case rejected(retryAfter: UInt64)
    }

    /// What leaves the queue.
    public enum Departure: Hashable, Sendable {
        /// It has its place in every lane: send it. Call `finish` when it is answered.
        case start(Digest)
        /// Its deadline passed while it waited; it holds nothing any more.
        case expired(Digest)
    }

    private struct Item: Sendable {
        let principal: PublicKey
        let shards: [ShardID]
        let startBy: UInt64
        /// It has its place in shards[..<held], and waits in the lane of shards[held], if there is one.
        var held = 0
    }

    private struct Lane: Sendable {
        var inFlight = 0
        /// Everything that still needs a place here, wherever it waits at the moment.
        var needing = 0
        var waiting: [PublicKey: Deque<Digest>] = [:]
        /// Principals with something in `waiting`, in the order of their turns.
        var turns = Deque<PublicKey>()
        /// Positions in `waiting` of requests that are gone, and of requests that are not.
        var gone = 0
        var present = 0
        var rate = DrainRate()
    }

    /// As they were given.
    public let limits: AdmissionLimits
    private var lanes: [Lane]
    private var items: [Digest: Item] = [:]
    private var perPrincipal: [PublicKey: Int] = [:]
    private var departures = Deque<Departure>()
    /// Lanes that may have a free place and someone to give it to. A work list instead of recursion, which could go as
    /// deep as the queue is long.
    private var toServe = Deque<Int>()
    /// Requests that have not started.
    public private(set) var queued = 0
    /// Requests that have started and not finished.
    public private(set) var inFlight = 0

    /// Empty, with a lane for each of `shardCount` shards.
    public init(shardCount: Int, limits: AdmissionLimits = .init()) {
        self.limits = limits
        lanes = Array(repeating: Lane(), count: shardCount)
    }

    /// Requests that still need a place in flight on this shard, wherever they wait now.
    public func queued(on shard: ShardID) -> Int { lanes[Int(shard.number)].needing }
    /// Requests that hold a place in flight on this shard, also while they wait for one on another.
    public func inFlight(on shard: ShardID) -> Int { lanes[Int(shard.number)].inFlight }

    /// Whether a request would take no place that is scarce: of the second half of a shard's or of its principal's.
    public func startsAtOnce(principal: PublicKey, shards: [ShardID]) -> Bool {
        guard perPrincipal[principal, default: 0] < limits.perPrincipal / 2 else { return false }
        return shards.allSatisfy { shard in
            let lane = lanes[Int(shard.number)]
            return lane.needing == 0 && lane.inFlight < (limits.window + 1) / 2
        }
    }

    /// - Parameters:
    ///   - shards: the participants, ascending, at least one.
    ///   - startBy: by the monotonic clock, in nanoseconds; after it the request is dropped, if it still waits.
    /// - Precondition: the request is not in the queue, and the shards exist.
    public mutating func submit(
        _ request: Digest, principal: PublicKey, shards: [ShardID], startBy: UInt64, now: Instant
    ) -> Verdict {
        precondition(!shards.isEmpty && items[request] == nil)
        let held = perPrincipal[principal, default: 0]
        if held >= limits.perPrincipal {
            return .rejected(retryAfter: shards.map { lanes[Int($0.number)].rate.time(toDrain: held) }.max() ?? 0)
        }
        var retryAfter: UInt64?
        for shard in shards where lanes[Int(shard.number)].needing >= limits.queue {
            let lane = lanes[Int(shard.number)]
            // Half of the queue, so that those who were sent away do not come back to one free place.
            retryAfter = max(retryAfter ?? 0, lane.rate.time(toDrain: lane.needing / 2 + 1))
        }
        if let retryAfter { return .rejected(retryAfter: retryAfter) }

        perPrincipal[principal] = held + 1
        for shard in shards { lanes[Int(shard.number)].needing += 1 }
        queued += 1
        items[request] = Item(principal: principal, shards: shards, startBy: startBy)
        wait(request)
        serve(now: now)
        return .admitted
    }

    /// A started request is answered, or given up: its places are free.
    public mutating func finish(_ request: Digest, now: Instant) {
        guard let item = items[request] else { return }
        for shard in item.shards.prefix(item.held) { lanes[Int(shard.number)].rate.noteCompletion(now: now) }
        cancel(request, now: now)
    }

    /// Takes a request out, wherever it is.
    public mutating func cancel(_ request: Digest, now: Instant) {
        remove(request, leavesPosition: true)
        serve(now: now)
    }

    /// What has left the queue, oldest first; nil when nothing has since. To be asked until nil after every change.
    public mutating func next() -> Departure? { departures.popFirst() }

    // MARK: Lanes

    /// Lets a request wait in the lane that it needs next, or start.
    private mutating func wait(_ request: Digest) {
        guard let item = items[request] else { return }
        guard item.held < item.shards.count else {
            queued -= 1
            inFlight += 1
            return departures.append(.start(request))
        }
        let lane = Int(item.shards[item.held].number)
        if lanes[lane].waiting[item.principal] == nil {
            lanes[lane].waiting[item.principal] = Deque()
            lanes[lane].turns.append(item.principal)
        }
        lanes[lane].waiting[item.principal]?.append(request)
        lanes[lane].present += 1
        toServe.append(lane)
    }

    private mutating func serve(now: Instant) {
        while let lane = toServe.popFirst() { serve(lane, now: now) }
    }

    /// Gives free places to whose turn it is.
    private mutating func serve(_ lane: Int, now: Instant) {
        while lanes[lane].inFlight < limits.window, let request = takeNext(lane) {
            guard var item = items[request] else { continue }
            if now.uptime > item.startBy {
                remove(request, leavesPosition: false)
                departures.append(.expired(request))
                continue
            }
            lanes[lane].inFlight += 1
            lanes[lane].needing -= 1
            item.held += 1
            items[request] = item
            wait(request)
        }
    }

    /// Round robin between principals, first in first out for each. Skips what is gone.
    private mutating func takeNext(_ lane: Int) -> Digest? {
        while let principal = lanes[lane].turns.popFirst() {
            guard var queue = lanes[lane].waiting.removeValue(forKey: principal) else { continue }
            var found: Digest?
            while found == nil, let request = queue.popFirst() {
                if isWaiting(request, in: lane) { found = request } else { lanes[lane].gone -= 1 }
            }
            if !queue.isEmpty {
                lanes[lane].waiting[principal] = queue
                lanes[lane].turns.append(principal)
            }
            if let found {
                lanes[lane].present -= 1
                return found
            }
        }
        return nil
    }

    private func isWaiting(_ request: Digest, in lane: Int) -> Bool {
        guard let item = items[request], item.held < item.shards.count else { return false }
        return Int(item.shards[item.held].number) == lane
    }

    /// - Parameter leavesPosition: its position in the lane where it waits has not been taken.
    private mutating func remove(_ request: Digest, leavesPosition: Bool) {
        guard let item = items.removeValue(forKey: request) else { return }
        let count = perPrincipal[item.principal, default: 0]
        perPrincipal[item.principal] = count > 1 ? count - 1 : nil
        if item.held == item.shards.count { inFlight -= 1 } else { queued -= 1 }
        for shard in item.shards.dropFirst(item.held) { lanes[Int(shard.number)].needing -= 1 }
        for shard in item.shards.prefix(item.held) { lanes[Int(shard.number)].inFlight -= 1 }
        if item.held < item.shards.count, leavesPosition {
            let lane = Int(item.shards[item.held].number)
            lanes[lane].present -= 1
            lanes[lane].gone += 1
            compact(lane)
        }
        for shard in item.shards.prefix(item.held) { toServe.append(Int(shard.number)) }
    }

    /// A lane that does not drain must not fill with the positions of requests that are gone.
    private mutating func compact(_ lane: Int) {
        guard lanes[lane].gone > lanes[lane].present + 64 else { return }
        let old = lanes[lane].waiting
        var turns = lanes[lane].turns
        lanes[lane].waiting = [:]
        lanes[lane].turns = Deque()
        lanes[lane].gone = 0
        while let principal = turns.popFirst() {
            guard var queue = old[principal] else { continue }
            queue.removeAll { !isWaiting($0, in: lane) }
            if queue.isEmpty { continue }
            lanes[lane].waiting[principal] = queue
            lanes[lane].turns.append(principal)
        }
    }
}
