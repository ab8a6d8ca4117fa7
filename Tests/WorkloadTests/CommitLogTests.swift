import Messages
import Testing
import Workload

struct CommitLogTests {
    private func log(_ entries: [(start: UInt64, end: UInt64, isCommitted: Bool)]) -> CommitLog {
        let log = CommitLog()
        for entry in entries { log.end(startedAt: entry.start, at: entry.end, isCommitted: entry.isCommitted) }
        return log
    }

    @Test func `the longest gap lies between commits and the moments that bound it`() {
        let log = log([(0, 10, true), (5, 20, true), (15, 90, true), (80, 100, true)])
        #expect(log.longestGap(from: 12, to: 200) == .init(start: 100, end: 200))
        #expect(log.longestGap(from: 12, to: 110) == .init(start: 20, end: 90))
        #expect(log.longestGap(from: 30, to: 60) == .init(start: 30, end: 60))
        #expect(log.longestGap(from: 90, to: 90) == .init(start: 90, end: 90))
    }

    @Test func `an abort ends no gap`() {
        #expect(
            log([(0, 10, true), (5, 20, false), (6, 30, true)]).longestGap(from: 5, to: 31) == .init(start: 10, end: 30)
        )
    }

    @Test func `commits are counted from the first moment up to the second`() {
        let log = log([(0, 10, true), (0, 20, true), (0, 20, false), (0, 30, true)])
        #expect(log.commits(from: 10, to: 30) == 2)
        #expect(log.commits(from: 11, to: 31) == 2)
        #expect(log.commits(from: 31, to: 90) == 0)
        #expect(log.firstCommit(from: 11) == 20)
        #expect(log.firstCommit(from: 31) == nil)
    }

    @Test func `only what was under way meanwhile counts for its latency`() {
        let log = log([(0, 10, true), (8, 25, false), (12, 40, true), (30, 90, true)])
        #expect(log.longestLatency(underWayFrom: 20, to: 20) == 28)
        #expect(log.longestLatency(underWayFrom: 9, to: 9) == 17)
        #expect(log.longestLatency(underWayFrom: 20, to: 30) == 60)
        #expect(log.longestLatency(underWayFrom: 95, to: 99) == nil)
    }

    @Test func `a work is unfinished until all its operations have their outcome`() {
        let log = CommitLog()
        log.begin(1, at: 5)
        log.begin(2, at: 9)
        #expect(log.unfinished(startedBy: 5) == 1)
        #expect(log.unfinished(startedBy: 9) == 2)
        log.finish(1)
        #expect(log.unfinished(startedBy: 9) == 1)
    }
}
