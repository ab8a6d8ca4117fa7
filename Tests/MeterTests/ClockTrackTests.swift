import Meter
import Testing

struct ClockTrackTests {
    @Test func `processes of one machine have one clock, exactly`() {
        var track = ClockTrack()
        #expect(track.estimate(at: 0) == nil)
        for at in stride(from: 1000 as UInt64, to: 100_000, by: 7000) {
            track.note(asked: at, there: at + 300, answered: at + 4000)
        }
        #expect(track.isSame && track.estimate(at: 9_000_000_000) == ClockEstimate(ahead: 0, error: 0))
    }

    @Test func `of another machine the shortest round trip counts, and half of it is the error`() {
        var track = ClockTrack()
        // An hour ahead. The second question came back at once; the others stood in a queue on their way back.
        let ahead: UInt64 = 3_600_000_000_000
        track.note(asked: 1_000_000, there: 1_100_000 + ahead, answered: 9_000_000)
        track.note(asked: 10_000_000, there: 10_100_000 + ahead, answered: 10_200_000)
        track.note(asked: 11_000_000, there: 11_100_000 + ahead, answered: 15_000_000)
        let estimate = track.estimate(at: 15_000_000)
        #expect(!track.isSame && estimate?.ahead == Int128(ahead))
        #expect(estimate.map { $0.error >= 100_000 && $0.error < 101_000 } == true)
        #expect(estimate?.own(20_000_000 + ahead) == 20_000_000)
    }

    @Test func `the truth is never further away than the error`() throws {
        for (out, back) in [(100, 900), (900, 100), (0, 1000), (1000, 0), (500, 500)] as [(UInt64, UInt64)] {
            var track = ClockTrack()
            let behind: UInt64 = 1_000_000_000
            let asked = 5_000_000_000 as UInt64
            track.note(asked: asked, there: asked + out - behind, answered: asked + out + back)
            let estimate = try #require(track.estimate(at: asked + out + back))
            #expect((estimate.ahead + Int128(behind)).magnitude <= UInt128(estimate.error), "\(out) \(back)")
            #expect(estimate.error == 500)
        }
    }

    @Test func `an old look is worth less than a new one that is a little longer`() throws {
        var track = ClockTrack()
        let ahead: UInt64 = 1_000_000_000
        track.note(asked: 0, there: 50 + ahead, answered: 100)
        // A minute later, and drifted by 3 ms.
        let later: UInt64 = 60_000_000_000
        track.note(asked: later, there: later + 1000 + ahead + 3_000_000, answered: later + 2000)
        let estimate = try #require(track.estimate(at: later + 2000))
        #expect(estimate.ahead == Int128(ahead + 3_000_000) && estimate.error == 1000)
    }

    @Test func `whoever answers before it was asked says nothing`() {
        var track = ClockTrack()
        track.note(asked: 10, there: 5, answered: 9)
        #expect(track.estimate(at: 10) == nil)
        // Nothing that a host says of its clock breaks anything.
        track.note(asked: 0, there: .max, answered: 2)
        #expect(track.estimate(at: 2)?.own(0) == 0 && track.estimate(at: 2)?.own(.max) == 1)
    }
}
