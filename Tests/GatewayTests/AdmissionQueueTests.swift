import Randomness
import Gateway
import Messages
import Testing

@Suite struct AdmissionQueueTests {
    func key(_ n: UInt8) -> PublicKey { PublicKey(Hasher256.hash(.manifest, [n]).value) }
    func digest(_ n: Int) -> Digest { Hasher256.hash(.request, [UInt8(n & 255), UInt8(n >> 8)]) }
    func at(_ milliseconds: UInt64) -> Instant {
        Instant(uptime: milliseconds * 1_000_000, wall: Timestamp(1_000_000 + milliseconds * 1000))
    }
    let far: UInt64 = .max

    func queue(window: Int = 2, queue: Int = 4, perPrincipal: Int = 100, shards: Int = 3) -> AdmissionQueue {
        AdmissionQueue(
            shardCount: shards, limits: AdmissionLimits(window: window, queue: queue, perPrincipal: perPrincipal))
    }
    func departures(_ queue: inout AdmissionQueue) -> [AdmissionQueue.Departure] {
        var all: [AdmissionQueue.Departure] = []
        while let next = queue.next() { all.append(next) }
        return all
    }
    func submit(
        _ queue: inout AdmissionQueue, _ n: Int, by principal: UInt8 = 1, on shards: [Int] = [0],
        startBy: UInt64? = nil,
        at time: UInt64 = 0
    ) -> AdmissionQueue.Verdict {
        queue.submit(
            digest(n), principal: key(principal), shards: shards.map { ShardID(UInt16($0)) }, startBy: startBy ?? far,
            now: at(time))
    }

    @Test func theWindowStartsAtOnceTheQueueWaitsAndTheRestIsRejected() {
        var queue = queue()
        for n in 0..<6 { #expect(submit(&queue, n) == .admitted) }
        #expect(departures(&queue) == [.start(digest(0)), .start(digest(1))])
        #expect((queue.queued, queue.inFlight) == (4, 2))
        guard case .rejected(let retryAfter) = submit(&queue, 6) else {
            Issue.record("admitted beyond the bound")
            return
        }
        #expect(retryAfter >= 1_000_000)
        // Another shard's lane is not concerned.
        #expect(submit(&queue, 7, on: [1]) == .admitted)
        #expect(departures(&queue) == [.start(digest(7))])
        queue.finish(digest(0), now: at(1))
        #expect(departures(&queue) == [.start(digest(2))])
        #expect(submit(&queue, 8) == .admitted)
    }

    @Test func principalsTakeTurnsAndEachIsServedInOrder() {
        var queue = queue(window: 1, queue: 100)
        #expect(submit(&queue, 0) == .admitted)
        for n in 1...4 { #expect(submit(&queue, n, by: 1) == .admitted) }
        for n in 11...12 { #expect(submit(&queue, n, by: 2) == .admitted) }
        #expect(submit(&queue, 21, by: 3) == .admitted)
        var order: [AdmissionQueue.Departure] = departures(&queue)
        while case .start(let request)? = order.last, queue.queued > 0 {
            queue.finish(request, now: at(1))
            order += departures(&queue)
        }
        #expect(order == [0, 1, 11, 21, 2, 12, 3, 4].map { .start(digest($0)) })
    }

    @Test func aPrincipalHasAQuotaOfWhatWaitsAndIsInFlight() {
        var queue = queue(window: 2, queue: 100, perPrincipal: 3)
        for n in 0..<3 { #expect(submit(&queue, n) == .admitted) }
        guard case .rejected = submit(&queue, 3) else {
            Issue.record("admitted beyond the quota")
            return
        }
        #expect(submit(&queue, 4, by: 2) == .admitted)
        _ = departures(&queue)
        queue.finish(digest(0), now: at(1))
        #expect(submit(&queue, 3) == .admitted)
    }

    @Test func whatPassedItsDeadlineIsDroppedInsteadOfSent() {
        var queue = queue(window: 1)
        #expect(submit(&queue, 0) == .admitted)
        #expect(submit(&queue, 1, startBy: at(5).uptime) == .admitted)
        #expect(submit(&queue, 2, startBy: at(500).uptime) == .admitted)
        _ = departures(&queue)
        queue.finish(digest(0), now: at(10))
        #expect(departures(&queue) == [.expired(digest(1)), .start(digest(2))])
        #expect((queue.queued, queue.inFlight) == (0, 1))
        // What was dropped does not count any more.
        #expect(queue.queued(on: ShardID(0)) == 0)
    }

    @Test func aRequestOverSeveralShardsNeedsAPlaceInEachAndCannotBeStarved() {
        var queue = queue(window: 1, queue: 100)
        #expect(submit(&queue, 0, on: [0]) == .admitted)
        #expect(submit(&queue, 1, on: [1]) == .admitted)
        #expect(submit(&queue, 2, on: [0, 1]) == .admitted)
        for n in 10..<20 { #expect(submit(&queue, n, by: 2, on: [n % 2]) == .admitted) }
        #expect(departures(&queue) == [.start(digest(0)), .start(digest(1))])
        queue.finish(digest(0), now: at(1))
        // It holds its place on shard 0 and waits for shard 1.
        #expect(departures(&queue).isEmpty)
        #expect(queue.inFlight(on: ShardID(0)) == 1)
        queue.finish(digest(1), now: at(2))
        // The round robin of shard 1 may serve the other principal first, once.
        let next = departures(&queue)
        if next == [.start(digest(11))] {
            queue.finish(digest(11), now: at(3))
            #expect(departures(&queue) == [.start(digest(2))])
        } else {
            #expect(next == [.start(digest(2))])
        }
        queue.finish(digest(2), now: at(4))
        #expect(departures(&queue).count == 2)
    }

    @Test func cancellingFreesThePlaceWhereverTheRequestIs() {
        var queue = queue(window: 1, queue: 1000, perPrincipal: 2000)
        #expect(submit(&queue, 0) == .admitted)
        _ = departures(&queue)
        // A lane that does not drain is refilled over and over: it must not grow.
        for n in 1...3000 {
            #expect(submit(&queue, n) == .admitted)
            queue.cancel(digest(n), now: at(1))
        }
        #expect((queue.queued, queue.inFlight, queue.queued(on: ShardID(0))) == (0, 1, 0))
        #expect(submit(&queue, 4000) == .admitted)
        queue.cancel(digest(0), now: at(2))
        #expect(departures(&queue) == [.start(digest(4000))])
    }

    @Test func retryAfterFollowsTheRateAtWhichTheLaneDrains() {
        func retryAfter(millisecondsEach: UInt64) -> UInt64 {
            var queue = queue(window: 1, queue: 10)
            var now: UInt64 = 0
            for n in 0..<11 { _ = submit(&queue, n) }
            for n in 0..<500 {
                now += millisecondsEach
                queue.finish(digest(n), now: at(now))
                _ = submit(&queue, n + 11, at: now)
            }
            _ = submit(&queue, 2000, at: now)
            guard case .rejected(let retryAfter) = submit(&queue, 2001, at: now) else { return 0 }
            return retryAfter
        }
        let (fast, slow) = (retryAfter(millisecondsEach: 2), retryAfter(millisecondsEach: 20))
        #expect(fast > 8_000_000 && fast < 20_000_000, "half of ten at 2 ms each")
        #expect(slow > 80_000_000 && slow < 200_000_000, "half of ten at 20 ms each")
    }

    /// Random traffic: counts stay consistent, bounds hold, everything leaves exactly once.
    @Test(arguments: 1...20) func randomTrafficKeepsItsBounds(seed: Int) {
        var rng = SplitMix64(seed: UInt64(seed))
        var queue = queue(window: 3, queue: 10, perPrincipal: 12)
        var waiting: Set<Digest> = []
        var flying: [Digest] = []
        for n in 0..<3000 {
            let time = UInt64(n)
            switch Int.random(in: 0..<5, using: &rng) {
            case 0, 1, 2:
                let shards = [0, 1, 2].filter { _ in Bool.random(using: &rng) }
                let startBy = at(time + UInt64.random(in: 1...60, using: &rng)).uptime
                let principal = UInt8.random(in: 0..<4, using: &rng)
                if submit(&queue, n, by: principal, on: shards.isEmpty ? [1] : shards, startBy: startBy, at: time)
                    == .admitted
                {
                    waiting.insert(digest(n))
                }
            case 3:
                if let i = flying.indices.randomElement(using: &rng) {
                    queue.finish(flying.remove(at: i), now: at(time))
                }
            default:
                if let some = waiting.sorted().randomElement(using: &rng) {
                    waiting.remove(some)
                    queue.cancel(some, now: at(time))
                }
            }
            for departure in departures(&queue) {
                switch departure {
                case .start(let request):
                    #expect(waiting.remove(request) != nil)
                    flying.append(request)
                case .expired(let request): #expect(waiting.remove(request) != nil)
                }
            }
            #expect((queue.queued, queue.inFlight) == (waiting.count, flying.count), "seed \(seed), step \(n)")
            for shard in 0..<3 {
                #expect(
                    queue.inFlight(on: ShardID(UInt16(shard))) <= 3 && queue.queued(on: ShardID(UInt16(shard))) <= 10)
            }
        }
        while !flying.isEmpty || !waiting.isEmpty {
            if flying.isEmpty {
                Issue.record("stuck with \(waiting.count) waiting, seed \(seed)")
                return
            }
            queue.finish(flying.removeFirst(), now: at(3000))
            for departure in departures(&queue) {
                switch departure {
                case .start(let request):
                    waiting.remove(request)
                    flying.append(request)
                case .expired(let request): waiting.remove(request)
                }
            }
        }
        #expect((queue.queued, queue.inFlight) == (0, 0))
    }
}
