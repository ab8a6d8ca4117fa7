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

private func answer(_ ring: StampRing, _ query: StampQuery) throws -> StampAnswer {
    try #require(ring.answer(query, now: now))
}

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
        #expect(try answer(ring, .since(0)).stamps.isEmpty)
        for at in 0..<25 { ring.add(stamp(UInt8(at % 2), at: UInt64(at))) }
        let found = try answer(ring, .since(0))
        #expect(found.stamps.map(\.at) == Array(15..<25) && found.next == 25)
        #expect(found.now == now && found.sampling == TraceSampling(rate: 1))
        #expect(try answer(ring, .of(digest(1))).stamps.map(\.at) == [15, 17, 19, 21, 23])
        #expect(try answer(ring, .of(digest(9))).stamps.isEmpty)
    }

    @Test func `whoever goes on where the last answer ended gets each stamp once`() throws {
        let ring = try #require(StampRing(TraceSampling(rate: 1), capacity: 5000))
        for at in 0..<2500 { ring.add(stamp(1, at: UInt64(at))) }
        var (place, seen): (UInt64, [UInt64]) = (0, [])
        for expected in [1024, 1024, 452, 0] {
            let found = try answer(ring, .since(place))
            #expect(found.stamps.count == expected && found.stamps.count <= StampAnswer.maxStamps)
            seen += found.stamps.map(\.at)
            place = found.next
        }
        #expect(seen == Array(0..<2500))
        ring.add(stamp(1, at: 9))
        #expect(try answer(ring, .since(place)).stamps.map(\.at) == [9])
        // A place that never was: of another life of the process.
        #expect(try answer(ring, .since(.max)).stamps.isEmpty)
        #expect(try answer(ring, .since(.max)).next == 2501)
        #expect(try answer(ring, .of(digest(1))).stamps.count == StampAnswer.maxStamps)
    }

    @Test func `whoever asks without end gets no answer until the next second`() throws {
        let ring = try #require(StampRing(TraceSampling(rate: 1)))
        ring.add(stamp(1, at: 3))
        for _ in 0..<StampRing.answersPerSecond { #expect(ring.answer(.since(0), now: now) != nil) }
        #expect(ring.answer(.since(0), now: now) == nil)
        let later = Instant(uptime: now.uptime + 1_000_000_000, wall: now.wall)
        #expect(ring.answer(.of(digest(1)), now: later)?.stamps.count == 1)
    }
}
