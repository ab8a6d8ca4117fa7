import Randomness
import Messages

/// The root calls that clients ask for: money that moves by calls, lists on several shards, and calls that died, once
/// more.
struct CallWorkload {
    private let perMille: Int
    /// The last that was appended to a list.
    private var lastValue: UInt64 = 0
    /// By principal: a call that died, to be tried again.
    private var died: [(invocation: Invocation, number: RequestNumber)?]

    /// - Parameter perMille: how many of a thousand requests are calls.
    init(clients: Int, perMille: Int) {
        self.perMille = perMille
        died = Array(repeating: nil, count: clients)
    }

    mutating func died(_ member: Int, _ invocation: Invocation, _ number: RequestNumber) {
        died[member] = (invocation, number)
    }

    /// A call that died, once more, as old as it was: with the number that it continues.
    mutating func again(
        _ member: Int, using rng: inout SplitMix64
    ) -> (invocation: Invocation, continues: RequestNumber)? {
        guard let (invocation, continued) = died[member] else { return nil }
        died[member] = nil
        // Now and then it is let be.
        guard rng.chance(perMille: 900) else { return nil }
        guard let operations = SimulatedProcedures.listOperations(of: invocation) else {
            return (invocation, continued)
        }
        // What a call that failed would have appended must never be seen.
        let fresh = operations.map { operation in
            if operation.value != nil { lastValue += 1 }
            return SimulatedProcedures.ListOperation(key: operation.key, value: operation.value.map { _ in lastValue })
        }
        let again = Invocation(
            target: invocation.target, procedure: invocation.procedure, version: invocation.version,
            arguments: fresh.encoded())
        return (again, continued)
    }

    /// Perhaps a new one.
    /// - Parameters:
    ///   - own: the caller's accounts, by their place.
    ///   - accounts: everybody's.
    mutating func next(
        _ own: [Int], of accounts: [AccountSpecification], using rng: inout SplitMix64
    ) -> Invocation? {
        guard perMille > 0, rng.chance(perMille: perMille) else { return nil }
        if rng.chance(perMille: 400) {
            let count = 1 + rng.below(4)
            let operations = (0..<count).map { _ in
                lastValue += 1
                return SimulatedProcedures.ListOperation(
                    key: "list \(rng.below(6))", value: rng.chance(perMille: 600) ? lastValue : nil)
            }
            let name = lastValue % 2 == 0 ? SimulatedProcedures.Lists.name : SimulatedProcedures.ListsInOrder.name
            return Invocation(
                target: .key(operations[0].key), procedure: name, version: 1, arguments: operations.encoded())
        }
        if rng.chance(perMille: 50) {
            // Money from nowhere: must abort.
            let account = accounts[own[rng.below(own.count)]].id
            let movement = SimulatedProcedures.Movement(from: account, to: account, amount: 7)
            return Invocation(
                target: .account(account), procedure: SimulatedProcedures.Credit.name, version: 1,
                arguments: movement.encoded())
        }
        let from = accounts[own[rng.below(own.count)]].id
        var to = from
        while to == from { to = accounts[rng.below(accounts.count)].id }
        let amount = rng.chance(perMille: 100) ? 5_000 : 1 + UInt64(rng.below(300))
        let movement = SimulatedProcedures.Movement(from: from, to: to, amount: amount)
        let procedure = rng.chance(perMille: 500) ? SimulatedProcedures.Move.name : SimulatedProcedures.Bounce.name
        return Invocation(
            target: .account(from), procedure: procedure, version: 1, arguments: movement.encoded())
    }
}
