import Messages
import PBFT
import TestSignatures
import Testing

/// A primary that is just fast enough for the timers is replaced, a fair one is not (Aardvark, NSDI '09 §4.3).
///
/// With 100 requests that wait all the time, a shard taken to do 100 a second and a wait of 0.1 s excused, a fair
/// primary orders 100 / (0.1 s + 100 / 100 s) = 91 a second, and a quarter of that, 22.7, is the floor.
@Suite struct ThroughputFloorTests {
    /// All four replicas, with a primary of whichever view that orders so many requests in every 100 ms.
    private struct Load {
        var group: TestGroup
        var pending: Int
        var requests: Int
        /// In milliseconds, when a view was entered.
        private(set) var entered: [UInt64] = []
        private var number: UInt64 = 0

        init(pending: Int, requests: Int, _ change: (inout ReplicaConfiguration.Limits) -> Void = { _ in }) {
            group = TestGroup {
                $0.floorWindow = 400_000_000
                change(&$0)
            }
            (self.pending, self.requests) = (pending, requests)
        }

        private mutating func batch() -> Batch {
            let items = (0..<requests).map { _ in
                number += 1
                let request = Request(
                    cluster: TestGroup.cluster, epoch: Epoch(1), principal: TestSigner(500).publicKey,
                    number: RequestNumber(number),
                    acknowledgedBelow: RequestNumber(0), issuedAt: group.now.wall,
                    deadline: group.now.wall.adding(microseconds: 1), mode: .atomic,
                    operations: [])
                return BatchItem.request(SignedRequest(request, signedBy: TestSigner(500)))
            }
            return Batch(time: group.now.wall, items: items)
        }

        mutating func run(milliseconds: UInt64) throws {
            for passed in stride(from: UInt64(0), to: milliseconds, by: 20) {
                group.uptime += 20_000_000
                let view = group.view(0)
                for i in 0..<4 {
                    // What waits is always fresh: nothing is censored.
                    try group.step(
                        i, .tick(oldestPending: pending > 0 ? group.now : nil, primaryReachable: true, pending: pending)
                    )
                }
                try group.deliver()
                if group.view(0) > view { entered.append(group.uptime / 1_000_000) }
                if passed.isMultiple(of: 100), let primary = group.primary {
                    let batch = batch()
                    try group.propose(primary, batch)
                    try group.deliver()
                }
            }
        }
    }

    @Test func aPrimaryBelowTheFloorIsReplacedAfterTwoMeasurements() throws {
        var load = Load(pending: 100, requests: 1)
        try load.run(milliseconds: 780)
        #expect(load.group.view(0) == 0, "one slow measurement may be chance")
        try load.run(milliseconds: 200)
        for i in 0..<4 { #expect(load.group.view(i) == 1 && !load.group.isChangingView(i)) }
    }

    @Test func aPrimaryAboveTheFloorIsKept() throws {
        var load = Load(pending: 100, requests: 3)
        try load.run(milliseconds: 20_000)
        #expect(load.group.view(0) == 0)
    }

    @Test func fewClientsDoNotMakeAFairPrimaryLookSlow() throws {
        // One client that waits for its answer: ten a second are all that can be.
        var load = Load(pending: 1, requests: 1)
        try load.run(milliseconds: 20_000)
        #expect(load.group.view(0) == 0)
    }

    @Test func whereNothingWaitsNothingIsMeasured() throws {
        var load = Load(pending: 0, requests: 0)
        try load.run(milliseconds: 20_000)
        #expect(load.group.view(0) == 0)
    }

    @Test func whatTheShardWasSeenToDoIsExpectedOfItsNextPrimaries() throws {
        // 40 a second are fair for a shard that never did more, and less than a quarter of what one does that did 1000.
        var load = Load(pending: 100, requests: 100)
        try load.run(milliseconds: 2000)
        #expect(load.group.view(0) == 0)
        load.requests = 4
        try load.run(milliseconds: 2000)
        #expect(load.group.view(0) >= 1)
    }

    @Test func eachReplacementDoublesTheExcuseUntilTheSlowShardKeepsItsPrimary() throws {
        // The whole shard does ten a second now: it must not change views for ever. With a wait of 1.6 s excused, ten a
        // second are enough.
        var load = Load(pending: 100, requests: 1)
        try load.run(milliseconds: 40_000)
        #expect(load.entered.count == 4)
        let waits = zip([0] + load.entered, load.entered).map { $1 - $0 }
        for (wait, measurements) in zip(waits, [800, 1600, 3200, 6400] as [UInt64]) {
            #expect(wait >= measurements && wait < measurements + 200, "waited \(waits)")
        }
    }

    @Test func goodMeasurementsTakeTheExcuseBack() throws {
        for good in [16_000, 28_000] as [UInt64] {
            var load = Load(pending: 100, requests: 1)
            try load.run(milliseconds: 1000)
            #expect(load.group.view(0) == 1)
            // 32 good measurements of 0.8 s are 25.6 s.
            load.requests = 3
            try load.run(milliseconds: good)
            #expect(load.group.view(0) == 1)
            load.requests = 1
            try load.run(milliseconds: 1300)
            #expect(load.group.view(0) == (good > 25_600 ? 2 : 1), "after \(good) ms")
        }
    }

    @Test func numbersOfAnySizeAreHarmless() throws {
        var load = Load(pending: .max, requests: 1) { ($0.assumedThroughput, $0.floorLatency) = (0, .max / 64) }
        try load.run(milliseconds: 3000)
        #expect(load.group.view(0) == 0)
    }
}
