import HostRuntime
import Testing

@Suite struct FlushTurnTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func `hosts write one after the other, all in half of the time from flush to flush`() {
        for hosts in [4, 7, 10] {
            var waits: [UInt64] = []
            for place in 0..<hosts {
                var turn = FlushTurn(place: place, of: hosts)
                #expect(turn.wait(now: 5) == 0)
                // 840 is a multiple of 2 · 4, 2 · 7 and 2 · 10.
                waits.append(turn.wait(now: 5 + 840))
            }
            #expect(waits.first == 0)
            #expect(Set(zip(waits, waits.dropFirst()).map { $1 - $0 }) == [420 / UInt64(hosts)])
        }
    }

    @Test func `nobody waits for long because a shard is idle, nor at all because its clock stands`() {
        var turn = FlushTurn(place: 3, of: 4)
        _ = turn.wait(now: 0)
        #expect(turn.wait(now: 3600 * Self.second) == 3 * FlushTurn.longest / 4)
        #expect(turn.wait(now: 3600 * Self.second) == 0)
        #expect(turn.wait(now: 3600 * Self.second - 1) == 0)
    }
}
