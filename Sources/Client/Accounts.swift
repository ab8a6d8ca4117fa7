import Messages

/// An account that is open: since this request, or already before it.
public struct OpenedAccount: Sendable {
    /// What was asked for, and is there: the identifier is a hash of it.
    public let specification: AccountSpecification
    /// False: it was there already. Who asks again after a crash finds the same account, whatever became of the first
    /// request.
    public let isNew: Bool
    /// With the receipt that proves either.
    public let outcome: Outcome

    /// The identifier by which transfers name it.
    public var id: AccountID { specification.id }
}

/// It is certified that an account was not opened.
public struct AccountNotOpened: Error, Sendable, CustomStringConvertible {
    /// What was asked for.
    public let specification: AccountSpecification
    /// With the receipt that proves it.
    public let outcome: Outcome

    /// The account and, where it was aborted, the reason in words.
    public var description: String {
        if case .abort(let reason)? = outcome.decisions.first {
            return "account \(specification.id) was not opened: \(reason)"
        }
        return "account \(specification.id) was not opened"
    }
}

extension QuorateClient {
    /// Opens an empty account of this client's principal, if it is not open yet.
    /// - Parameter index: tells apart the accounts of one owner in one asset.
    /// - Throws: `AccountNotOpened`; `ClientError`.
    @discardableResult public func openAccount(_ asset: AssetID, index: UInt64 = 0) async throws -> OpenedAccount {
        try await openAccount(AccountSpecification(owner: publicKey, asset: asset, index: index))
    }

    /// Opens an empty account of anybody, or of a procedure (`AccountSpecification.init(procedure:)`), if it is not
    /// open yet.
    /// - Throws: `AccountNotOpened`; `ClientError`.
    @discardableResult public func openAccount(_ specification: AccountSpecification) async throws -> OpenedAccount {
        let outcome = try await submit([.open(specification)], mode: .independent)
        switch outcome.decisions.first {
        case .commit: return OpenedAccount(specification: specification, isNew: true, outcome: outcome)
        // Its identifier is a hash of all that was asked for: what is there is the same account.
        case .abort(.accountExists): return OpenedAccount(specification: specification, isNew: false, outcome: outcome)
        case .abort, nil: throw AccountNotOpened(specification: specification, outcome: outcome)
        }
    }

    /// What every shard would refuse for ever, whatever its state, and would say no more of than that the request is
    /// malformed.
    /// - Throws: `ClientError.malformed`, which says what is wrong with which operation.
    static func check(_ operations: [Operation], _ mode: Request.Mode) throws {
        guard !operations.isEmpty else { throw ClientError.malformed("a request without operations") }
        guard operations.count <= Request.maxOperations else {
            throw ClientError.malformed(
                "\(operations.count) operations in one request, of which \(Request.maxOperations) are allowed")
        }
        for (number, operation) in operations.enumerated() {
            guard let problem = problem(operation, mode, isAlone: operations.count == 1) else { continue }
            throw ClientError.malformed(
                operations.count == 1 ? problem : "operation \(number + 1) of \(operations.count): \(problem)")
        }
    }

    private static func problem(_ operation: Operation, _ mode: Request.Mode, isAlone: Bool) -> String? {
        func amountProblem(_ amount: Amount) -> String? {
            if amount == .zero { return "an amount of zero" }
            return amount > .limit ? "an amount of \(amount), above the limit of \(Amount.limit)" : nil
        }
        func independent(_ what: String) -> String {
            "\(what) is a transaction of its own: submit it with mode: .independent"
        }
        switch operation {
        case .transfer(let transfer):
            if transfer.from == transfer.to { return "a transfer from account \(transfer.from) to itself" }
            return amountProblem(transfer.amount)
        case .open: return mode == .atomic ? independent("opening an account") + ", or call openAccount" : nil
        case .issue(_, _, let amount): return mode == .atomic ? independent("issuing money") : amountProblem(amount)
        case .freeze, .release: return mode == .atomic ? independent("freezing or releasing an account") : nil
        case .read: return mode == .atomic && !isAlone ? independent("a read") + ", or by itself" : nil
        case .call: return mode == .atomic && isAlone ? nil : "a call stands alone in its request, with mode: .atomic"
        }
    }
}
