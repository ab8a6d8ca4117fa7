import Histories
import Testing

@Suite struct SerializabilityCheckerTests {
    private typealias Operation = ListHistory.Operation

    /// One after the other, unless times are given.
    private func history(_ transactions: [(ListHistory.Outcome, ClosedRange<UInt64>, [Operation])]) -> ListHistory {
        var history = ListHistory()
        for (i, (outcome, time, operations)) in transactions.enumerated() {
            history.add(
                .init(process: i, invokedAt: time.lowerBound, returnedAt: time.upperBound, outcome: outcome, operations: operations))
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
                (.ok, 0...1, [.append(key: "x", value: 1)]), (.ok, 2...3, [.read(key: "x", [1]), .append(key: "x", value: 2)]),
                (.ok, 4...5, [.read(key: "x", [1, 2]), .read(key: "y", [])]),
            ]) == nil)
    }

    @Test func concurrentTransactionsMayBeInAnyOrder() {
        #expect(
            violation([
                (.ok, 0...9, [.append(key: "x", value: 1)]), (.ok, 0...9, [.append(key: "x", value: 2)]), (.ok, 10...11, [.read(key: "x", [2, 1])]),
            ]) == nil)
    }

    @Test func whatNobodyKnowsMayHaveHappenedOrNot() {
        let asked: (ListHistory.Outcome, ClosedRange<UInt64>, [Operation]) = (.unknown, 0...0, [.append(key: "x", value: 1)])
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [])]), (.ok, 7...8, [.read(key: "x", [1])])]) == nil)
        #expect(violation([asked, (.ok, 5...6, [.read(key: "x", [1])]), (.ok, 7...8, [.read(key: "x", [])])]) != nil)
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
            (.ok, 0...9, [.read(key: "x", []), .append(key: "x", value: 1)]), (.ok, 0...9, [.read(key: "x", []), .append(key: "x", value: 2)]),
            (.ok, 10...11, [.read(key: "x", [1, 2])]),
        ])
        #expect(found?.contains("not strictly serializable") == true)
    }

    /// G2: each read what the other was about to change.
    @Test func writeSkewIsFound() {
        let found = violation([
            (.ok, 0...9, [.read(key: "x", []), .append(key: "y", value: 1)]), (.ok, 0...9, [.read(key: "y", []), .append(key: "x", value: 2)]),
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
            (.ok, 0...9, [.append(key: "x", value: 1), .append(key: "y", value: 1)]), (.ok, 0...9, [.read(key: "x", [1]), .read(key: "y", [])]),
        ])
        // Nobody has read y with it.
        #expect(found != nil)
    }

    @Test func twoOrdersOfOneListAreFound() {
        let found = violation([
            (.ok, 0...9, [.append(key: "x", value: 1)]), (.ok, 0...9, [.append(key: "x", value: 2)]), (.ok, 0...9, [.read(key: "x", [1, 2])]),
            (.ok, 0...9, [.read(key: "x", [2, 1])]),
        ])
        #expect(found?.contains("two orders") == true)
    }

    @Test func aTransactionSeesItsOwnAppends() {
        #expect(violation([(.ok, 0...1, [.read(key: "x", []), .append(key: "x", value: 1), .read(key: "x", [1])])]) == nil)
        #expect(violation([(.ok, 0...1, [.append(key: "x", value: 1), .read(key: "x", [])])]) != nil)
    }

    @Test func longHistoriesAreCheckedInTime() {
        var history = ListHistory()
        var lists: [String: [UInt64]] = [:]
        for i in 0..<20_000 as Range<UInt64> {
            let key = "k\(i % 97)"
            history.add(
                .init(
                    process: Int(i % 8), invokedAt: 10 * i, returnedAt: 10 * i + 5, outcome: .ok,
                    operations: [.read(key: key, lists[key] ?? []), .append(key: key, value: i)]))
            lists[key, default: []].append(i)
        }
        #expect(throws: Never.self) { try SerializabilityChecker.check(history) }
    }
}
