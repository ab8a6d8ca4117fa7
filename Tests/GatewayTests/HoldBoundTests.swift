import Cores
import Testing

/// The figures of docs/ARCHITECTURE.md, "How long a lock can stay". Who changes a constant changes them there too.
@Suite struct HoldBoundTests {
    @Test func theDefaultsGiveThePublishedBounds() {
        let bound = HoldBound()
        #expect(bound.scan(openRecords: 0) == 110_000_000)
        #expect(bound.scan(openRecords: 256) == 110_000_000)
        #expect(bound.scan(openRecords: 257) == 220_000_000)
        #expect(bound.pushed(openRecords: 256) == 11_970_000_000)
        #expect(bound.voted(openRecords: 256) == 12_970_000_000)
        #expect(bound.oneShot(untilDeadline: 0, openRecords: 256) == 16_470_000_000)
        #expect(bound.call(untilDeadline: 0, openRecords: 256) == 26_580_000_000)
        #expect(bound.rest(untilDeadline: 0, openRecords: 256) == 40_550_000_000)
        let lifetime =
            (bound.options.shard.maxLifetimeMicroseconds + bound.options.shard.futureToleranceMicroseconds) * 1000
        #expect(bound.oneShot(untilDeadline: lifetime, openRecords: 256) == 141_470_000_000)
        #expect(bound.call(untilDeadline: lifetime, openRecords: 256) == 151_580_000_000)
        // A shard's time stands still for an hour: so much longer, and where all have voted not at all.
        let hour: UInt64 = 3_600_000_000_000
        #expect(bound.oneShot(untilDeadline: lifetime, standing: hour, openRecords: 256) == 141_470_000_000 + hour)
        #expect(bound.rest(untilDeadline: 0, standing: hour, openRecords: 256) == 40_550_000_000 + hour)
    }
}
