import Simulator
import Testing

@Suite struct SeedRangeTests {
    @Test func oneNumberOrTwoWithDotsAreARange() throws {
        let one = try #require(SeedRange("7"))
        #expect((one.first, one.last, one.count) == (7, 7, 1))
        let many = try #require(SeedRange("1..100000"))
        #expect((many.first, many.last, many.count) == (1, 100_000, 100_000))
        #expect(many[99] == 100)
        #expect(many.description == "1..100000" && one.description == "7")
        #expect(SeedRange("18446744073709551615")?.last == .max)
    }

    @Test(arguments: [
        "", "..", "1..", "..5", "5..1", "1...5", "1..2..3", "-1", "+1", "1..+5", "a", "1 .. 2",
        "0..18446744073709551615",
        "18446744073709551616",
    ])
    func anythingElseIsNoRange(text: String) { #expect(SeedRange(text) == nil) }

    @Test func aDaysSeedsCarryItsDate() throws {
        let day = try #require(SeedRange(year: 2026, month: 11, day: 23, count: 300))
        #expect(day.description == "20261123000000..20261123000299")
        #expect(SeedRange(year: 0, month: 0, day: 0, count: 1) == nil)
        #expect(SeedRange(year: 2026, month: 11, day: 23, count: 1_000_001) == nil)
    }

    @Test func aListOfFaultsReadsBack() throws {
        let list = try #require(FaultList("9,3,5..7,8,10000..10019"))
        #expect(list.description == "3,5..9,10000..10019")
        #expect(FaultList(list.description) == list)
        for text in ["", "3,", "5..3", "x", "-1"] { #expect(FaultList(text) == nil) }
    }
}
