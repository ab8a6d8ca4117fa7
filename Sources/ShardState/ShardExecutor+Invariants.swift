import Messages

/// What must never be, with the evidence.
public enum InvariantViolation: Error, Equatable, Sendable, CustomStringConvertible {
    /// The entries cannot be read.
    case state(ShardStateError)
    /// Negative, above its limit, or reserved beyond what is posted.
    case balance(AccountID, AccountView)
    /// An account's reservations are not those of the undecided legs.
    case reservations(AccountID, debits: UInt128, expectedDebits: UInt128, credits: UInt128, expectedCredits: UInt128)
    case undecidedOfPrincipal(PublicKey, recorded: Int, counted: Int)
    case undecided(recorded: Int, counted: Int)
    /// A leg voted yes twice, or committed twice, under one number (R11).
    case twoAttempts(PublicKey, RequestNumber, leg: UInt16)
    /// A record without the signed request that others may need, or the other way round (R10).
    case bodies(kept: Int, needed: Int)
    /// A record that should have been forgotten.
    case notForgotten(PublicKey, RequestNumber)
    case index(open: Int, expectedOpen: Int, due: Int, expectedDue: Int)
    /// The tree is not the one of the entries.
    case digest(ShardStateError)
    /// The lock table is not that of the call records.
    case locks
    /// An account that a procedure has locked is reserved by escrow.
    case lockedAndReserved(AccountID)

    /// What was found and what should have been, for the report of a failed run.
    public var description: String {
        switch self {
        case .state(let error): "\(error)"
        case .balance(let id, let view): "account \(id): \(view)"
        case .reservations(let id, let debits, let expectedDebits, let credits, let expectedCredits):
            "account \(id) reserves \(debits) / \(credits), its undecided legs \(expectedDebits) / \(expectedCredits)"
        case .undecidedOfPrincipal(let principal, let recorded, let counted):
            "principal \(principal.short) has \(recorded) undecided legs by its record, \(counted) by its requests"
        case .undecided(let recorded, let counted): "\(recorded) undecided legs by the index, \(counted) by the records"
        case .twoAttempts(let principal, let number, let leg):
            "two attempts hold leg \(leg) of \(principal.short) \(number)"
        case .bodies(let kept, let needed): "\(kept) signed requests kept, \(needed) needed"
        case .notForgotten(let principal, let number): "\(principal.short) \(number) is acknowledged and still there"
        case .index(let open, let expectedOpen, let due, let expectedDue):
            "\(open) open and \(due) due in the index, \(expectedOpen) and \(expectedDue) in the records"
        case .locks: "the lock table is not that of the call records"
        case .lockedAndReserved(let id): "account \(id) is locked and reserved"
        case .digest(let fault): "the tree is not that of the entries: \(fault)"
        }
    }
}

extension ShardExecutor {
    private struct Pending {
        var debits: UInt128 = 0
        var credits: UInt128 = 0
    }

    private struct Census {
        var accounts: [(AccountID, AccountRecord)] = []
        var principals: [(PublicKey, PrincipalRecord)] = []
        var requests: [(PublicKey, RequestNumber, RequestRecord)] = []
        var bodies: [Digest] = []
    }

    /// Reads the whole state. For tests and simulation.
    public mutating func checkInvariants() throws(InvariantViolation) {
        let census: Census
        let rebuilt: StateIndexes
        do {
            census = try takeCensus()
            rebuilt = try context.state.rebuiltIndexes()
        } catch { throw .state(error) }
        let indexes = context.state.indexes
        guard rebuilt.open.count == indexes.open.count, rebuilt.due.count == indexes.due.count else {
            throw .index(
                open: indexes.open.count, expectedOpen: rebuilt.open.count, due: indexes.due.count,
                expectedDue: rebuilt.due.count)
        }
        guard rebuilt.undecided == indexes.undecided else {
            throw .undecided(recorded: indexes.undecided, counted: rebuilt.undecided)
        }
        guard rebuilt.locks == indexes.locks, rebuilt.openCalls.count == indexes.openCalls.count,
            rebuilt.dueCalls.count == indexes.dueCalls.count,
            rebuilt.expiringCalls.count == indexes.expiringCalls.count
        else { throw .locks }
        let pending = try checkRequests(census)
        for (id, account) in census.accounts {
            let view = AccountView(
                owner: account.owner, asset: account.asset, posted: Amount(account.posted),
                pendingDebits: Amount(account.pendingDebits), pendingCredits: Amount(account.pendingCredits))
            guard account.isSound else { throw .balance(id, view) }
            if account.pendingDebits > 0 || account.pendingCredits > 0,
                !indexes.locks.holders(of: StateKey.account(id, in: context.map).bytes).isEmpty
            {
                throw .lockedAndReserved(id)
            }
            let expected = pending[id] ?? Pending()
            guard account.pendingDebits == expected.debits, account.pendingCredits == expected.credits else {
                throw .reservations(
                    id, debits: account.pendingDebits, expectedDebits: expected.debits, credits: account.pendingCredits,
                    expectedCredits: expected.credits)
            }
        }
        try checkTree()
    }

    private mutating func checkTree() throws(InvariantViolation) {
        let fault: ShardStateError?
        do { fault = try context.state.fault() } catch { throw .state(error) }
        if let fault { throw .digest(fault) }
    }

    /// - Returns: what the undecided legs reserve.
    private func checkRequests(_ census: Census) throws(InvariantViolation) -> [AccountID: Pending] {
        var pending: [AccountID: Pending] = [:]
        var undecided: [PublicKey: Int] = [:]
        var acknowledged: [PublicKey: UInt64] = [:]
        for (key, principal) in census.principals { acknowledged[key] = principal.acknowledgedBelow }
        var bodiesNeeded = 0
        for (principal, number, record) in census.requests {
            var held = [Bool](repeating: false, count: Request.maxOperations)
            for attempt in record.attempts {
                if attempt.hasBody { bodiesNeeded += 1 }
                if VotingRules.mayForget(attempt, number: number, acknowledgedBelow: acknowledged[principal] ?? 0) {
                    throw .notForgotten(principal, number)
                }
                undecided[principal, default: 0] += attempt.undecided
                for leg in attempt.legs where leg.status.holdsNumber {
                    if held[Int(leg.leg)] { throw .twoAttempts(principal, number, leg: leg.leg) }
                    held[Int(leg.leg)] = true
                    guard leg.status == .votedYes else { continue }
                    let request: Request
                    do { request = try context.state.body(attempt.digest).request } catch { throw .state(error) }
                    for effect in request.effects(ofLeg: Int(leg.leg), on: shard, in: context.map) {
                        switch effect {
                        case .debit(let id, _, let amount): pending[id, default: Pending()].debits += amount.number
                        case .credit(let id, _, let amount): pending[id, default: Pending()].credits += amount.number
                        case .open, .issue: break
                        }
                    }
                }
            }
        }
        for (key, principal) in census.principals where Int(principal.undecided) != undecided[key] ?? 0 {
            throw .undecidedOfPrincipal(key, recorded: Int(principal.undecided), counted: undecided[key] ?? 0)
        }
        guard census.bodies.count == bodiesNeeded else {
            throw .bodies(kept: census.bodies.count, needed: bodiesNeeded)
        }
        return pending
    }

    private func takeCensus() throws(ShardStateError) -> Census {
        var census = Census()
        try context.state.forEach { key, value in
            let unreadable = ShardStateError.corruptEntry(key: key, what: "key")
            switch StateKey.kind(of: key) {
            case .account:
                guard let id = StateKey.decodeAccount(key) else { throw unreadable }
                census.accounts.append((id, try decodeEntry(value, of: key)))
            case .principal:
                guard let principal = StateKey.decodePrincipal(key) else { throw unreadable }
                census.principals.append((principal, try decodeEntry(value, of: key)))
            case .request:
                guard let (principal, number) = StateKey.decodeRequest(key) else { throw unreadable }
                census.requests.append((principal, number, try decodeEntry(value, of: key)))
            case .body:
                guard let digest = StateKey.decodeBody(key) else { throw unreadable }
                let body: SignedRequest = try decodeEntry(value, of: key)
                guard body.digest == digest else { throw unreadable }
                census.bodies.append(digest)
            case .issued:
                guard StateKey.decodeIssued(key) != nil else { throw unreadable }
            case .call:
                let record: CallRecord = try decodeEntry(value, of: key)
                guard StateKey.call(record.root.digest).bytes == key else { throw unreadable }
            case .value: break
            case nil: throw unreadable
            }
        }
        return census
    }
}

extension LegStatus {
    /// No other attempt of the number may have one of these too (R11).
    fileprivate var holdsNumber: Bool {
        switch self {
        case .votedYes, .committed, .running, .returned: true
        case .votedNo, .aborted, .noRecordAbort, .acknowledged, .read, .failed, .closed: false
        }
    }
}
