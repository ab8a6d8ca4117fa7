import Messages

/// What freezes forbid, on one shard: nothing that was ordered after a freeze of an account, and before its release,
/// takes from it or gives to it, unless the shard had voted for it before. Held against what was ordered and what was
/// attested (`OrderChecks`), and not against what replicas keep, which may be what is broken.
///
/// What nobody attested is taken to have been voted on, and the accounts that it is about not to be frozen, so that
/// nothing is reported that did not happen.
struct FreezeChecks {
    private var frozen: [AccountID: AccountFreeze] = [:]
    /// Legs that got a word that stays.
    private var done: Set<TransactionID> = []
    /// Released by the batch that is looked at: calls that waited may have run before or after.
    private var releasedNow: Set<AccountID> = []
    /// Those that took effect.
    private(set) var freezes = 0

    mutating func begin() { releasedNow = [] }

    /// Nobody said what became of it.
    mutating func assume(_ signed: SignedRequest) {
        let request = signed.request
        for leg in 0..<request.legCount { done.insert(TransactionID(signed, leg: leg)) }
        for operation in request.operations {
            switch operation {
            case .freeze(let account, _), .release(let account): release(account)
            case .transfer, .open, .issue, .read, .call: break
            }
        }
    }

    /// A request of a batch, in their order, with what was attested of it.
    mutating func follow(_ signed: SignedRequest, _ leaf: Leaf, at place: RuleChecks.Place, _ map: ShardMap) throws {
        let request = signed.request
        for entry in leaf.entries where Int(entry.leg) < request.legCount {
            let isKept =
                switch entry.status {
                case .votedYes, .committed, .running, .returned, .failed: true
                case .votedNo, .aborted, .noRecordAbort, .acknowledged, .read, .closed: false
                }
            guard isKept, done.insert(TransactionID(signed, leg: Int(entry.leg))).inserted else { continue }
            for operation in request.operations(ofLeg: Int(entry.leg)) {
                guard let account = breach(operation, entry.status, on: place.shard, map) else { continue }
                throw Checks.Violation(
                    description:
                        "shard \(place.shard) lets \(signed.digest.short) use account \(account) in batch \(place.sequence), which is frozen"
                )
            }
        }
    }

    /// Takes note of freezes and releases.
    /// - Returns: a frozen account that is used.
    private mutating func breach(
        _ operation: Operation, _ status: LegStatus, on shard: ShardID, _ map: ShardMap
    ) -> AccountID? {
        func isShut(_ account: AccountID, debits: Bool) -> Bool {
            guard map.shard(of: account) == shard, let freeze = frozen[account] else { return false }
            return debits ? freeze.stopsDebits : freeze.stopsCredits
        }
        switch operation {
        case .freeze(let account, let freeze):
            frozen[account] = freeze
            freezes += 1
        case .release(let account): release(account)
        case .transfer(let transfer):
            if isShut(transfer.from, debits: true) { return transfer.from }
            if isShut(transfer.to, debits: false) { return transfer.to }
        case .call(let invocation, _):
            // It has run to its end in the batch that brought it.
            guard case .returned = status else { return nil }
            return SimulatedProcedures.effects(of: invocation).first {
                !releasedNow.contains($0.account) && isShut($0.account, debits: $0.amount < 0)
            }?.account
        case .open, .issue, .read: break
        }
        return nil
    }

    private mutating func release(_ account: AccountID) {
        frozen[account] = nil
        releasedNow.insert(account)
    }
}

extension TransactionID {
    fileprivate init(_ signed: SignedRequest, leg: Int) {
        self.init(request: signed.digest, mode: signed.request.mode, leg: UInt16(leg))
    }
}
