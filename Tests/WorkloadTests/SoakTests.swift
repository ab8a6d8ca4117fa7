import Foundation
import Messages
import Testing
import Workload

struct FlatnessTests {
    private static let allowance = Flatness.Allowance(share: 0.1, amount: 5)

    private func samples(_ value: (Double) -> Double) -> [(at: Double, value: Double)] {
        (0...300).map { (Double($0), value(Double($0))) }
    }

    @Test func whatOnlyGrowsWhileItWarmsUpIsFlat() throws {
        let flat = try #require(
            Flatness(samples { min($0, 90) + 100 }, ofRunUntil: 300, allowance: Self.allowance))
        #expect(flat.is_flat && abs(flat.slope_per_hour) < 1e-6 && flat.mean == 190 && flat.seconds == 200)
    }

    @Test func aLeakIsFoundWithItsSlope() throws {
        let leak = try #require(Flatness(samples { 100 + $0 }, ofRunUntil: 300, allowance: Self.allowance))
        #expect(!leak.is_flat)
        #expect(abs(leak.slope_per_hour - 3600) < 1e-6 && abs(leak.growth - 200) < 1e-6)
    }

    @Test func whatFallsOrSwingsIsFlat() throws {
        let falling = try #require(Flatness(samples { 1000 - $0 }, ofRunUntil: 300, allowance: Self.allowance))
        #expect(falling.is_flat && falling.growth < 0)
        let saw = try #require(
            Flatness(
                samples { 100 + $0.truncatingRemainder(dividingBy: 20) }, ofRunUntil: 300, allowance: Self.allowance))
        #expect(saw.is_flat)
    }

    @Test func ofTooShortATimeNothingIsSaid() {
        #expect(Flatness([], ofRunUntil: 300, allowance: Self.allowance) == nil)
        #expect(
            Flatness((0...20).map { (280 + Double($0), 1) }, ofRunUntil: 300, allowance: Self.allowance) == nil)
    }
}

struct SoakScheduleTests {
    @Test func faultsAreOnTheGridAndNotTwiceInARowOnOneHost() {
        var schedule = SoakSchedule(hosts: 4, every: 20, seed: 1)
        var (now, hosts, acts) = (0.0, [Int](), Set<SoakSchedule.Act>())
        for _ in 0..<100 {
            let fault = schedule.next(now: now)
            #expect(fault.at >= now && fault.at >= 20)
            #expect(abs((fault.at / 20).rounded() * 20 - fault.at) < 1e-9)
            #expect(fault.away >= 2.5 && fault.away <= 5.1 && (0..<4).contains(fault.host))
            #expect(hosts.last != fault.host)
            hosts.append(fault.host)
            acts.insert(fault.act)
            now = fault.at + 7
        }
        #expect(Set(hosts) == [0, 1, 2, 3] && acts == Set(SoakSchedule.Act.allCases))
    }

    @Test func onlyWhatIsAskedForIsDone() {
        var schedule = SoakSchedule(hosts: 4, every: 20, acts: [.cut], seed: 1)
        for i in 0..<20 {
            let fault = schedule.next(now: Double(i) * 20)
            #expect(fault.act == .cut && fault.act.past == "cut off")
        }
    }

    @Test func aLongRecoveryPutsTheNextFaultOff() {
        var schedule = SoakSchedule(hosts: 4, every: 20, seed: 1)
        let (first, second) = (schedule.next(now: 0), schedule.next(now: 61))
        #expect(first.at == 20 && second.at == 80)
    }

    @Test func aSeedRepeatsIt() {
        var (one, other) = (SoakSchedule(hosts: 7, every: 5, seed: 3), SoakSchedule(hosts: 7, every: 5, seed: 3))
        for i in 0..<50 {
            let (a, b) = (one.next(now: Double(i)), other.next(now: Double(i)))
            #expect(a == b)
        }
    }
}

struct TCPTableTests {
    private static let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1BBC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41001 1 0 100 0 0 10 0
           1: 0100007F:D2F0 0100007F:1BBD 01 00000000:00000000 00:00000000 00000000  1000        0 41002 1 0 20 4 30 10 -1
           2: 0100007F:D2F1 0100007F:1BBD 01 00000000:00000000 00:00000000 00000000  1000        0 41003 1 0 20 4 30 10 -1
           3: garbage

        """

    @Test func portsAreThoseOfTheSocketsAskedFor() {
        #expect(TCPTable.localPorts(Self.table, of: [41002]) == [0xd2f0])
        #expect(TCPTable.localPorts(Self.table, of: [41001, 41003, 7]) == [7100, 0xd2f1])
        #expect(TCPTable.localPorts(Self.table, of: []).isEmpty)
        #expect(TCPTable.localPorts("", of: [41002]).isEmpty)
    }

    @Test func onlySocketsHaveAnInode() {
        #expect(TCPTable.inode("socket:[41002]") == 41002)
        #expect(TCPTable.inode("pipe:[41002]") == nil && TCPTable.inode("/dev/null") == nil)
        #expect(TCPTable.inode("socket:[]") == nil)
    }
}

@Suite struct SoakTransfersTests {
    private func moment(_ milliseconds: UInt64) -> Instant {
        Instant(uptime: 1_000_000_000 + milliseconds * 1_000_000, wall: Timestamp(0))
    }

    @Test func aStoppedLoadBeginsNothingMore() {
        let figures = SecondFigures()
        var source = SoakTransfers(keys: AccountKeys(accounts: 10, seed: 1), figures: figures, seed: 1)
        let ids = [source.next(now: moment(0))?.id, source.next(now: moment(0))?.id]
        #expect(ids == [0, 1] && !source.isExhausted(now: moment(0)))
        figures.stop()
        let isNothing = source.next(now: moment(2000)) == nil
        #expect(isNothing && source.isExhausted(now: moment(2000)) && source.hasGivenAll(now: moment(2000)))
    }

    @Test func whatReceiptsProveOfAccountsIsKept() throws {
        let figures = SecondFigures()
        var source = SoakTransfers(keys: AccountKeys(accounts: 2, seed: 1), figures: figures, seed: 1)
        let (earlier, later) = (source.next(now: moment(0)), source.next(now: moment(501)))
        let first = try #require(earlier)
        let second = try #require(later)
        source.completed(second, leg: 0, outcome: .committed, microseconds: 600_000, now: moment(601))
        source.finished(second, now: moment(601))
        source.completed(first, leg: 0, outcome: .unknown("lost"), microseconds: 700_000, now: moment(700))
        source.finished(first, now: moment(700))
        let seconds = figures.seconds(now: moment(1000).uptime)
        #expect(seconds.count == 1)
        #expect(seconds.first?.p50_ms == 600 && seconds.first?.committed == 1 && seconds.first?.unknown == 1)
        #expect(source.net.reduce(0, +) == 0 && source.net.map(abs) == [1, 1])
        #expect(source.unproven == [0, 1])
    }
}

struct PlotTests {
    @Test func linesOfOneNameAreOneInTheLegendAndMarksAreListed() {
        let made = Provenance(date: "2026-11-29T10:00:00Z", version: "0.1.0", command: "quorate", cpu: nil, cores: 2)
        let lines: [DrillPage.Plot.Line] = [
            .init(name: "host 0", points: [(0, 10), (1, 11)], colour: 0),
            .init(name: "host 1", points: [(0, 20), (2, 21)], colour: 1),
            // After a restart.
            .init(name: "host 0", points: [(3, 9), (4, 9)], colour: 0),
        ]
        let page = DrillPage(
            title: "Quorate drill: soak", subtitle: "", made: made, facts: [], invariants: nil, problems: [],
            findings: "", comparisons: [], timeline: nil, events: [],
            plots: [
                .init(
                    title: "Resident memory", yTitle: "MB", lines: lines,
                    marks: [.init(atSeconds: 2, what: "kill -9 host 0")])
            ]
        ).text()
        #expect(page.components(separatedBy: "</svg>host 0</span>").count == 2)
        #expect(page.contains("</svg>host 1</span>") && page.contains("2.0 s: kill -9 host 0"))
        #expect(page.contains("not checked") && page.contains(".k1 { --k: var(--k1); }"))
    }
}
