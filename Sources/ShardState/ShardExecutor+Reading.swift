import Messages

/// A cross-shard record that some participant may not know the end of: hosts push it until it does (R10).
public struct UnforgottenRecord: Sendable {
    /// To go on after this one.
    public let cursor: RecoveryCursor
    /// What its principal signed, which the other participants may lack.
    public let request: SignedRequest
    /// What this shard has recorded of the request, to be certified by re-emission.
    public let leaf: Leaf
    /// Participants of a recorded leg that are not certified decided here, ascending; never this shard.
    public let waitingFor: [ShardID]
}

extension ShardExecutor {
    /// An account as this replica has it now; nil if there is none.
    public func account(_ id: AccountID) throws(ShardStateError) -> AccountView? {
        try state.account(id).map {
            AccountView(
                owner: $0.owner, asset: $0.asset, posted: Amount($0.posted), pendingDebits: Amount($0.pendingDebits),
                pendingCredits: Amount($0.pendingCredits))
        }
    }

    /// Whether a procedure uses the account, so that what it holds is not known before that transaction ends (R6).
    public func isLocked(_ id: AccountID) -> Bool { state.indexes.locks.isTouched(StateKey.account(id, in: map).bytes) }

    /// What is recorded of a principal's request numbers (R11).
    public func standing(of principal: PublicKey) throws(ShardStateError) -> PrincipalStanding {
        let record = try state.principal(principal)
        return PrincipalStanding(
            acknowledgedBelow: RequestNumber(record.acknowledgedBelow), nextNumber: RequestNumber(record.nextNumber))
    }

    /// The value of a key as this replica has it now; nil if there is none.
    public func value(ofKey key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        try state.bytes(StateKey.value(key, in: map))
    }

    /// What is recorded of exactly this request's legs here; nil if none, or if a leg could still get a vote.
    public func recorded(_ signed: SignedRequest) throws(ShardStateError) -> Leaf? {
        let request = signed.request
        let record = try state.request(request.principal, request.number)
        guard let index = record.index(of: signed.digest) else { return nil }
        let legs = VotingRules.ownLegs(of: request, shard: shard, in: map)
        let answers = finalAnswers(
            legs, of: request, attempt: record.attempts[index], try state.principal(request.principal))
        var entries: [Leaf.Entry] = []
        for (leg, answer) in zip(legs, answers) {
            guard let answer else { return nil }
            entries.append(Leaf.Entry(leg: leg.leg, status: answer))
        }
        return Leaf(request: signed.digest, entries: entries)
    }

    /// Records that hosts have to push, by (deadline, principal, number, digest).
    /// - Parameter after: the cursor of the last one seen.
    public func unforgotten(after: RecoveryCursor?, limit: Int) throws(ShardStateError) -> [UnforgottenRecord] {
        var found: [UnforgottenRecord] = []
        for cursor in state.indexes.open.elements(after: after, limit: limit) {
            let record = try state.request(cursor.principal, cursor.number)
            guard let index = record.index(of: cursor.request) else {
                throw .corruptEntry(
                    key: StateKey.request(cursor.principal, cursor.number).bytes, what: "attempt missing")
            }
            let attempt = record.attempts[index]
            let signed = try state.body(cursor.request)
            var waitingFor: [ShardID] = []
            for leg in attempt.legs where leg.isCrossShard && !leg.isSettled {
                for (i, participant) in signed.request.participants(ofLeg: Int(leg.leg), in: map).enumerated()
                where participant != shard && leg.knownDecided >> UInt64(i) & 1 == 0
                    && !waitingFor.contains(participant)
                {
                    waitingFor.append(participant)
                }
            }
            found.append(
                UnforgottenRecord(cursor: cursor, request: signed, leaf: attempt.leaf, waitingFor: waitingFor.sorted()))
        }
        return found
    }

    /// Sums over the whole state. Reads all of it. Sums wrap around at 2^128; differences stay exact.
    public mutating func audit(replica: ReplicaIndex) throws(ShardStateError) -> ShardAudit {
        var position: [AssetID: Int] = [:]
        var sums: [(asset: AssetID, posted: UInt128, debits: UInt128, credits: UInt128, issued: UInt128)] = []
        func sum(of asset: AssetID) -> Int {
            if let known = position[asset] { return known }
            position[asset] = sums.count
            sums.append((asset, 0, 0, 0, 0))
            return sums.count - 1
        }
        var accounts: UInt64 = 0
        try state.forEach { key, value in
            switch StateKey.kind(of: key) {
            case .account:
                let account: AccountRecord = try decodeEntry(value, of: key)
                let index = sum(of: account.asset)
                accounts += 1
                sums[index].posted &+= account.posted
                sums[index].debits &+= account.pendingDebits
                sums[index].credits &+= account.pendingCredits
            case .issued:
                guard let asset = StateKey.decodeIssued(key) else {
                    throw ShardStateError.corruptEntry(key: key, what: "asset")
                }
                let amount: Amount = try decodeEntry(value, of: key)
                sums[sum(of: asset)].issued = amount.number
            case .body, .call, .principal, .request, .value: break
            case nil: throw ShardStateError.corruptEntry(key: key, what: "kind")
            }
        }
        sums.sort { $0.asset < $1.asset }
        return ShardAudit(
            shard: shard, replica: replica, sequence: lastExecuted, stateDigest: try checkpointDigest(),
            history: history,
            accounts: accounts, undecided: UInt64(undecidedCount),
            assets: sums.map {
                ShardAudit.Asset(
                    asset: $0.asset, posted: $0.posted, pendingDebits: $0.debits, pendingCredits: $0.credits,
                    issued: $0.issued)
            })
    }
}
