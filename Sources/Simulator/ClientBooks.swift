import Histories
import Messages

/// What the receipts of a run say: which legs were decided how, what the balances must be, and what lists were seen.
struct ClientBooks {
    /// Certified decisions: by transaction.
    private(set) var decisions: [TransactionID: Decision] = [:]
    /// What the balances must be.
    private(set) var balances: [AccountID: Int128] = [:]
    private(set) var committed = 0
    private(set) var aborted = 0
    private(set) var committedCalls = 0
    private(set) var abortedCalls = 0
    /// Because an account is frozen.
    private(set) var refusedAsFrozen = 0
    private(set) var history = ListHistory()

    /// A leg that is not in the books yet.
    mutating func enter(_ decision: Decision, of id: TransactionID, _ request: Request, leg: Int) {
        decisions[id] = decision
        guard decision == .commit else {
            aborted += 1
            if decision == .abort(.frozen) { refusedAsFrozen += 1 }
            if request.rootCall != nil { abortedCalls += 1 }
            return
        }
        committed += 1
        for operation in request.operations(ofLeg: leg) {
            switch operation {
            case .transfer(let transfer):
                balances[transfer.from, default: 0] -= Int128(transfer.amount.number)
                balances[transfer.to, default: 0] += Int128(transfer.amount.number)
            case .open(let account): balances[account.id, default: 0] += 0
            case .read, .freeze, .release: break
            case .call(let invocation, _): apply(invocation)
            case .issue(let to, _, let amount): balances[to, default: 0] += Int128(amount.number)
            }
        }
    }

    mutating func noteFrozenCall() { refusedAsFrozen += 1 }

    /// What a committed call has done to the balances.
    private mutating func apply(_ invocation: Invocation) {
        for (account, amount) in SimulatedProcedures.effects(of: invocation) { balances[account, default: 0] += amount }
        committedCalls += 1
    }

    /// What lists were read and appended to, for the check at the end.
    mutating func note(_ invocation: Invocation, _ receipt: Receipt, client: Int, from: UInt64, to: UInt64) {
        guard let operations = SimulatedProcedures.listOperations(of: invocation) else { return }
        var read: [[UInt64]]?
        for certificate in receipt.certificates {
            if case .returned(let bytes, _)? = certificate.leaf.status(ofLeg: 0) {
                read = try? [[UInt64]](decoding: bytes)
            }
        }
        var noted: [ListHistory.Operation] = []
        for (i, operation) in operations.enumerated() {
            noted.append(.read(key: operation.key, read?[i]))
            if let value = operation.value { noted.append(.append(key: operation.key, value: value)) }
        }
        history.add(
            .init(
                process: client, invokedAt: from, returnedAt: to, outcome: read == nil ? .failed : .ok,
                operations: noted))
    }
}
