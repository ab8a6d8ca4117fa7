import Histories
import Testing

/// Histories that hold, and the same ones with something wrong in them that a broken cluster could have shown. Each
/// checker must accept the one and refuse the other.
@Suite struct PlantedFaultTests {
    static let seeds: [UInt64] = Array(1...12)

    // MARK: Lists

    @Test(arguments: seeds) func aLostAppendIsFound(seed: UInt64) throws {
        var made = MadeHistory.lists(seed: seed)
        try SerializabilityChecker.check(made.history)
        // Acknowledged, and read by somebody who began later.
        let candidates = made.transactions.indices.compactMap { place -> (place: Int, key: String, value: UInt64)? in
            guard made.transactions[place].outcome == .ok else { return nil }
            for case .append(let key, let value) in made.transactions[place].value
            where made.later(than: place).contains(where: { Self.reads(made.transactions[$0].value, key, value) }) {
                return (place, key, value)
            }
            return nil
        }
        let lost = try #require(candidates.first)
        for place in made.transactions.indices where place != lost.place {
            made.set(
                place,
                made.transactions[place].value.map { operation in
                    guard case .read(lost.key, let list?) = operation else { return operation }
                    return .read(key: lost.key, list.filter { $0 != lost.value })
                })
        }
        #expect(throws: HistoryViolation.self) { try SerializabilityChecker.check(made.history) }
    }

    @Test(arguments: seeds) func aStaleReadOfAListIsFound(seed: UInt64) throws {
        var made = MadeHistory.lists(seed: seed)
        let last = try #require(
            made.transactions.indices.last {
                if case .read(_, let list?)? = made.transactions[$0].value.first { !list.isEmpty } else { false }
            })
        guard case .read(let key, let list?) = made.transactions[last].value[0] else { return }
        // Not its end alone: an append of which nobody heard may still come.
        made.set(last, [.read(key: key, [])])
        #expect(!list.isEmpty)
        #expect(throws: HistoryViolation.self) { try SerializabilityChecker.check(made.history) }
    }

    private static func reads(_ operations: [ListAction], _ key: String, _ value: UInt64) -> Bool {
        operations.contains { operation in
            if case .read(key, let list?) = operation { list.contains(value) } else { false }
        }
    }

    // MARK: Bank

    private func check(_ made: MadeHistory<BankAction>) throws {
        try BankChecker(initial: MadeHistory<BankAction>.initial).check(made.history)
    }

    /// The money adds up in every read, and what later transfers found fits too: only that nobody saw it is wrong.
    @Test(arguments: seeds) func aLostTransferIsFound(seed: UInt64) throws {
        var made = MadeHistory.bank(seed: seed)
        try check(made)
        let lost = try #require(
            made.transactions.indices.first {
                if case .transfer = made.transactions[$0].value { made.transactions[$0].outcome == .ok } else { false }
            })
        guard case .transfer(let from, let to, let amount, _) = made.transactions[lost].value else { return }
        func without(_ account: Int, _ balance: UInt64) -> UInt64 {
            account == from ? balance &+ amount : account == to ? balance &- amount : balance
        }
        for place in made.later(than: lost) {
            switch made.transactions[place].value {
            case .read(let balances?):
                made.set(place, .read(balances.indices.map { without($0, balances[$0]) }))
            case .transfer(let payer, let payee, let sum, let found?):
                made.set(
                    place,
                    .transfer(
                        from: payer, to: payee, amount: sum,
                        found: .init(from: without(payer, found.from), to: without(payee, found.to))))
            case .read(nil), .transfer(_, _, _, nil): break
            }
        }
        #expect(throws: HistoryViolation.self) { try check(made) }
    }

    @Test(arguments: seeds) func aStaleReadOfTheBankIsFound(seed: UInt64) throws {
        var made = MadeHistory.bank(seed: seed)
        let last = made.transactions.count - 1
        #expect(made.transactions[last].value != .read(MadeHistory<BankAction>.initial))
        made.set(last, .read(MadeHistory<BankAction>.initial))
        #expect(throws: HistoryViolation.self) { try check(made) }
    }

    /// One account as it was, the others as they are: not one moment's balances.
    @Test(arguments: seeds) func aReadOfTwoMomentsIsFound(seed: UInt64) throws {
        var made = MadeHistory.bank(seed: seed)
        let last = made.transactions.count - 1
        guard case .read(var balances?) = made.transactions[last].value else { return }
        let account = try #require(balances.indices.first { balances[$0] != MadeHistory<BankAction>.initial[$0] })
        balances[account] = MadeHistory<BankAction>.initial[account]
        made.set(last, .read(balances))
        let error = #expect(throws: HistoryViolation.self) { try check(made) }
        #expect(error?.description.contains("in all were read") == true, "\(error?.description ?? "")")
    }

    /// As the last one, but nothing is missing.
    @Test(arguments: seeds) func aReadThatAddsUpAndNeverWasIsFound(seed: UInt64) throws {
        var made = MadeHistory.bank(seed: seed)
        let last = made.transactions.count - 1
        guard case .read(var balances?) = made.transactions[last].value else { return }
        let payer = try #require(balances.indices.first { balances[$0] > 0 })
        balances[payer] -= 1
        balances[(payer + 1) % balances.count] += 1
        made.set(last, .read(balances))
        let error = #expect(throws: HistoryViolation.self) { try check(made) }
        #expect(error?.description.contains("no order explains") == true, "\(error?.description ?? "")")
    }

    // MARK: Keys

    @Test(arguments: seeds) func aLostTextIsFound(seed: UInt64) throws {
        var made = MadeHistory.keyValue(seed: seed)
        try KeyValueChecker().check(made.history)
        let candidates = made.transactions.indices.compactMap { place -> (place: Int, key: String, text: String)? in
            guard made.transactions[place].outcome == .ok,
                case .append(let key, let text) = made.transactions[place].value
            else { return nil }
            let isRead = made.later(than: place).contains {
                if case .get(key, let read?) = made.transactions[$0].value { read.contains(text) } else { false }
            }
            // Another put that was under way could have come behind it, and then it need not be seen.
            let one = made.transactions[place]
            let isAlone = !made.transactions.contains { other in
                guard case .put(key, _) = other.value else { return false }
                let hasEnded = other.outcome == .ok && other.returnedAt < one.invokedAt
                return !hasEnded && other.invokedAt < one.returnedAt
            }
            return isRead && isAlone ? (place, key, text) : nil
        }
        let lost = try #require(candidates.first)
        for place in made.transactions.indices {
            guard case .get(lost.key, let read?) = made.transactions[place].value else { continue }
            made.set(place, .get(key: lost.key, read.split(separator: lost.text).joined()))
        }
        #expect(throws: HistoryViolation.self) { try KeyValueChecker().check(made.history) }
    }

    @Test(arguments: seeds) func aStaleGetIsFound(seed: UInt64) throws {
        var made = MadeHistory.keyValue(seed: seed)
        let last = made.transactions.count - 1
        guard case .get(let key, let text?) = made.transactions[last].value else { return }
        #expect(!text.isEmpty)
        made.set(last, .get(key: key, ""))
        #expect(throws: HistoryViolation.self) { try KeyValueChecker().check(made.history) }
    }
}
