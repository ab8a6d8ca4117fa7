import Messages
import Meter
import Testing

private func moment(_ sequence: UInt64, _ kind: BatchMomentKind = .received) -> BatchMoment {
    BatchMoment(
        shard: ShardID(1), view: View(2), sequence: SequenceNumber(sequence), kind: kind, from: HostID(3),
        at: sequence * 10)
}

private let now = Instant(uptime: 5000, wall: Timestamp(17))
private func all(_ since: UInt64) -> ObservationQuery { ObservationQuery(since: since, isSampled: false) }

struct BatchMomentRingTests {
    @Test func `a full ring keeps the newest, and grows no more`() {
        let ring = BatchMomentRing(capacity: 10)
        #expect(ring.answer(all(0), now: now).moments.isEmpty)
        for sequence in 0..<25 as Range<UInt64> { ring.add([moment(sequence)]) }
        let (found, next) = ring.answer(all(0), now: now)
        #expect(found.map(\.sequence.number) == Array(15..<25) && next == 25)
    }

    @Test func `whoever goes on where the last answer ended gets each moment once`() {
        let ring = BatchMomentRing(capacity: 10_000)
        ring.add((0..<5000 as Range<UInt64>).map { moment($0) })
        var (place, seen): (UInt64, [UInt64]) = (0, [])
        for expected in [2048, 2048, 904, 0] {
            let (found, next) = ring.answer(all(place), now: now)
            #expect(found.count == expected && found.count <= HostObservation.maxMoments)
            seen += found.map(\.sequence.number)
            place = next
        }
        #expect(seen == Array(0..<5000))
        // Only where it is; and of another life of the process.
        #expect(ring.answer(all(.max), now: now).moments.isEmpty && ring.answer(all(.max), now: now).next == 5000)
    }

    @Test func `of sampled batches there is everything, of others nothing`() {
        let ring = BatchMomentRing()
        for sequence in 1...16 as ClosedRange<UInt64> {
            ring.add([moment(sequence), moment(sequence, .executed)])
            if BatchMoment.isSampled(SequenceNumber(sequence)) { ring.add([moment(sequence, .prepareRead)]) }
        }
        let (found, next) = ring.answer(ObservationQuery(since: 0, isSampled: true), now: now)
        #expect(found.map(\.sequence.number) == [8, 8, 8, 16, 16, 16] && next == 34)
        #expect(ring.answer(all(0), now: now).moments.count == 34)
    }

    @Test func `whoever asks without end gets nothing until the next second, and misses nothing`() {
        let ring = BatchMomentRing()
        ring.add([moment(1)])
        for _ in 0..<BatchMomentRing.answersPerSecond { #expect(ring.answer(all(0), now: now).moments.count == 1) }
        let (found, next) = ring.answer(all(0), now: now)
        #expect(found.isEmpty && next == 0)
        let later = Instant(uptime: now.uptime + 1_000_000_000, wall: now.wall)
        #expect(ring.answer(all(0), now: later).moments.count == 1)
    }
}
