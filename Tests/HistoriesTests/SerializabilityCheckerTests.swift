import Histories
import Testing

@Suite struct SerializabilityCheckerTests {
    private typealias Operation = ListHistory.Operation

    /// One after the other, unless times are given.
    private func history(_ transactions: [(ListHistory.Outcome, ClosedRange<UInt64>, [Operation])]) -> ListHistory {
        var history = ListHistory()
        for (i, (outcome, time, operations)) in transactions.enumerated() {
            history.add(
                .init(
                    process: i, invokedAt: time.lowerBound, returnedAt: time.upperBound, outcome: outcome,
                    operations: operations))
        }
        return history
    }

    private func violation(_ transactions: [(ListHistory.Outcome, ClosedRange<UInt64>, [Operation])]) -> String? {
        do { try SerializabilityChecker.check(history(transactions)) } catch { return error.description }
        return nil
    }

    @Test func aSerialHistoryHolds() {
        #expect(violation([]) == nil)
        #expect(
            violation([
                (.ok, 0...1, [.append(key: "x", value: 1)]),
                (.ok, 2...3, [.read(key: "x", [1]), .append(key: "x", value: 2)]),
                (.ok, 4...5, [.read(key: "x", [1, 2]), .read(key: "y", [])]),
            ]) == nil)
    }

    @Test func concurrentTransactionsMayBeInAnyOrder() {
        #expect(
            violation([
                (.ok, 0...9, [.append(key: "x", value: 1)]), (.ok, 0...9, [.append(key: "x", value: 2)]),
                (.ok, 10...11, [.read(key: "x", [2, 1])]),
            ]) == nil)
    }

    @Test func whatNobodyKnowsMayHaveHappenedOrNot() {
        let asked: (ListHistory.Outcome, ClosedRange<UInt64>, [Operation]) = (
            .unknown, 0...0, [.append(key: "x", value: 1)]
        )
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [])]), (.ok, 7...8, [.read(key: "x", [1])])]) == nil)
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [1])]), (.ok, 7...8, [.read(key: "x", [])])]) != nil)
    }

    /// It may take effect at any time after it was asked for, and never before.
    @Test func whatNobodyKnowsHappensAfterItWasAskedFor() {
        let late: (ListHistory.Outcome, ClosedRange<UInt64>, [Operation]) = (
            .unknown, 10...10, [.append(key: "x", value: 1)]
        )
        #expect(violation([late, (.ok, 5...6, [.read(key: "x", [1])])]) != nil)
        #expect(violation([late, (.ok, 5...11, [.read(key: "x", [1])])]) == nil)
        // Long after its client has given up.
        #expect(
            violation([late, (.ok, 900...901, [.read(key: "x", [])]), (.ok, 910...911, [.read(key: "x", [1])])]) == nil)
    }

    @Test func whatNobodyKnowsHappensWholeOrNotAtAll() {
        let asked: (ListHistory.Outcome, ClosedRange<UInt64>, [Operation]) = (
            .unknown, 0...0, [.append(key: "x", value: 1), .append(key: "y", value: 2)]
        )
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [1]), .read(key: "y", [2])])]) == nil)
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", []), .read(key: "y", [])])]) == nil)
        // Half of it, though the other half is never seen: before a read, after one, and beside another append.
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [1]), .read(key: "y", [])])]) != nil)
        #expect(violation([asked, (.ok, 5...6, [.read(key: "y", [])]), (.ok, 3...4, [.read(key: "x", [1])])]) != nil)
        #expect(
            violation([
                asked, (.ok, 5...6, [.read(key: "x", [1]), .read(key: "y", [])]), (.ok, 7...8, [.read(key: "y", [2])]),
            ]) != nil)
    }

    /// What an unknown transaction would have read is not known, and says nothing.
    @Test func whatNobodyKnowsHasReadNothing() {
        #expect(
            violation([
                (.ok, 0...1, [.append(key: "x", value: 1)]),
                (.unknown, 2...2, [.read(key: "x", nil), .append(key: "x", value: 2)]),
                (.ok, 3...4, [.read(key: "x", [1, 2])]),
            ]) == nil)
    }

    @Test func anAppendThatHappenedTwiceIsFound() {
        let found = violation([(.ok, 0...1, [.append(key: "x", value: 1)]), (.ok, 2...3, [.read(key: "x", [1, 1])])])
        #expect(found?.contains("once and in one piece") == true, "\(found ?? "")")
    }

    /// G1b of Adya, though nobody sees the other half.
    @Test func oneOfTwoAppendsIsFound() {
        let both: (ListHistory.Outcome, ClosedRange<UInt64>, [Operation]) = (
            .ok, 0...1, [.append(key: "x", value: 1), .append(key: "x", value: 2)]
        )
        #expect(violation([both, (.ok, 2...3, [.read(key: "x", [1])])]) != nil)
        #expect(violation([both, (.ok, 2...3, [.read(key: "x", [2, 1])])]) != nil)
        #expect(violation([both, (.ok, 2...3, [.read(key: "x", [1, 2])])]) == nil)
    }

    @Test func anAcknowledgedAppendThatIsLostIsFound() {
        let found = violation([
            (.ok, 0...1, [.append(key: "x", value: 1)]), (.ok, 2...3, [.append(key: "x", value: 2)]),
            (.ok, 4...5, [.read(key: "x", [2])]),
        ])
        #expect(found?.contains("not strictly serializable") == true, "\(found ?? "")")
    }

    /// G1a of Adya.
    @Test func anAppendThatAbortedMustNotBeRead() {
        let found = violation([(.failed, 0...1, [.append(key: "x", value: 1)]), (.ok, 2...3, [.read(key: "x", [1])])])
        #expect(found?.contains("aborted") == true)
    }

    @Test func whatNobodyAppendedMustNotBeRead() {
        #expect(violation([(.ok, 0...1, [.read(key: "x", [7])])])?.contains("nobody") == true)
    }

    /// G-single: both saw the list without the other's append.
    @Test func aLostUpdateIsFound() {
        let found = violation([
            (.ok, 0...9, [.read(key: "x", []), .append(key: "x", value: 1)]),
            (.ok, 0...9, [.read(key: "x", []), .append(key: "x", value: 2)]),
            (.ok, 10...11, [.read(key: "x", [1, 2])]),
        ])
        #expect(found?.contains("not strictly serializable") == true)
    }

    /// G2: each read what the other was about to change.
    @Test func writeSkewIsFound() {
        let found = violation([
            (.ok, 0...9, [.read(key: "x", []), .append(key: "y", value: 1)]),
            (.ok, 0...9, [.read(key: "y", []), .append(key: "x", value: 2)]),
            (.ok, 10...11, [.read(key: "x", [2]), .read(key: "y", [1])]),
        ])
        #expect(found?.contains("read x without 2, appended by") == true, "\(found ?? "")")
    }

    /// Serializable, but not strictly.
    @Test func aReadOfWhatWasLongReplacedIsFound() {
        let found = violation([(.ok, 0...1, [.append(key: "x", value: 1)]), (.ok, 5...6, [.read(key: "x", [])])])
        #expect(found?.contains("returned before the start of") == true, "\(found ?? "")")
    }

    @Test func halfOfATransactionIsFound() {
        let found = violation([
            (.ok, 0...9, [.append(key: "x", value: 1), .append(key: "y", value: 1)]),
            (.ok, 0...9, [.read(key: "x", [1]), .read(key: "y", [])]),
        ])
        // Nobody has read y with it.
        #expect(found != nil)
    }

    @Test func twoOrdersOfOneListAreFound() {
        let found = violation([
            (.ok, 0...9, [.append(key: "x", value: 1)]), (.ok, 0...9, [.append(key: "x", value: 2)]),
            (.ok, 0...9, [.read(key: "x", [1, 2])]),
            (.ok, 0...9, [.read(key: "x", [2, 1])]),
        ])
        #expect(found?.contains("two orders") == true)
    }

    @Test func aTransactionSeesItsOwnAppends() {
        #expect(
            violation([(.ok, 0...1, [.read(key: "x", []), .append(key: "x", value: 1), .read(key: "x", [1])])]) == nil)
        #expect(violation([(.ok, 0...1, [.append(key: "x", value: 1), .read(key: "x", [])])]) != nil)
    }

    /// - Parameter stale: a transaction that reads what was there before the last append.
    private func longHistory(stale: UInt64? = nil) -> ListHistory {
        var history = ListHistory()
        var lists: [String: [UInt64]] = [:]
        for i in 0..<20_000 as Range<UInt64> {
            let key = "k\(i % 97)"
            let list = lists[key] ?? []
            let operations: [Operation] =
                if i == stale { [.read(key: key, list.dropLast())] } else {
                    [.read(key: key, list), .append(key: key, value: i)]
                }
            history.add(
                .init(
                    process: Int(i % 8), invokedAt: 10 * i, returnedAt: 10 * i + 5, outcome: .ok, operations: operations
                ))
            if i != stale { lists[key, default: []].append(i) }
        }
        return history
    }

    @Test func longHistoriesAreCheckedInTime() {
        #expect(throws: Never.self) { try SerializabilityChecker.check(longHistory()) }
    }

    /// Not by any of the long ways round.
    @Test func aStaleReadInALongHistoryIsShownByTwoTransactions() {
        let error = #expect(throws: HistoryViolation.self) {
            try SerializabilityChecker.check(longHistory(stale: 15_000))
        }
        let lines = error?.description.split(separator: "\n") ?? []
        #expect(lines.count == 5 && lines[1].contains("#15000 of process 0"), "\(error?.description ?? "")")
        #expect(lines.last?.contains("returned before the start of the first") == true)
    }
}
