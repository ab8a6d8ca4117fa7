import Messages
import Meter
import Testing

private func digest(_ number: UInt8) -> Digest {
    Digest(bytes: [number] + [UInt8](repeating: 7, count: 31)) ?? .null
}

private func stamp(_ request: UInt8, at: UInt64) -> Stamp {
    Stamp(request: digest(request), kind: .executed, shard: ShardID(1), number: 4, at: at)
}

private let now = Instant(uptime: 5000, wall: Timestamp(17))

struct StampRingTests {
    @Test func `whoever traces nothing has no ring`() {
        #expect(StampRing(.off) == nil)
        #expect(StampRing(TraceSampling(rate: 1)) != nil)
    }

    @Test func `the share of requests is chosen by their digests, alike everywhere`() {
        let quarter = TraceSampling(rate: 0.25)
        #expect((0...255).filter { quarter.takes(digest(UInt8($0))) } == Array(0..<64))
        #expect((0...255).allSatisfy { TraceSampling(rate: 1).takes(digest(UInt8($0))) })
        #expect((0...255).allSatisfy { !TraceSampling.off.takes(digest(UInt8($0))) })
        #expect(quarter.rate == 0.25 && quarter.isOn && !TraceSampling(rate: -1).isOn)
        #expect(TraceSampling(rate: 7) == TraceSampling(rate: 1))
    }

    @Test func `a full ring keeps the newest, and grows no more`() throws {
        let ring = try #require(StampRing(TraceSampling(rate: 1), capacity: 10))
        #expect(ring.answer(.since(0), now: now).stamps.isEmpty)
        for at in 0..<25 { ring.add(stamp(UInt8(at % 2), at: UInt64(at))) }
        let answer = ring.answer(.since(0), now: now)
        #expect(answer.stamps.map(\.at) == Array(15..<25) && answer.next == 25)
        #expect(answer.now == now && answer.sampling == TraceSampling(rate: 1))
        #expect(ring.answer(.of(digest(1)), now: now).stamps.map(\.at) == [15, 17, 19, 21, 23])
        #expect(ring.answer(.of(digest(9)), now: now).stamps.isEmpty)
    }

    @Test func `whoever goes on where the last answer ended gets each stamp once`() throws {
        let ring = try #require(StampRing(TraceSampling(rate: 1), capacity: 5000))
        for at in 0..<2500 { ring.add(stamp(1, at: UInt64(at))) }
        var (place, seen): (UInt64, [UInt64]) = (0, [])
        for expected in [1024, 1024, 452, 0] {
            let answer = ring.answer(.since(place), now: now)
            #expect(answer.stamps.count == expected && answer.stamps.count <= StampAnswer.maxStamps)
            seen += answer.stamps.map(\.at)
            place = answer.next
        }
        #expect(seen == Array(0..<2500))
        ring.add(stamp(1, at: 9))
        #expect(ring.answer(.since(place), now: now).stamps.map(\.at) == [9])
        // A place that never was: of another life of the process.
        #expect(ring.answer(.since(.max), now: now).stamps.isEmpty)
        #expect(ring.answer(.since(.max), now: now).next == 2501)
        #expect(ring.answer(.of(digest(1)), now: now).stamps.count == StampAnswer.maxStamps)
    }
}
