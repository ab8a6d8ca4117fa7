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
    public func account(_ id: AccountID) throws(ShardStateError) -> AccountView? { try context.account(id) }

    /// Whether a procedure uses the account, so that what it holds is not known before that transaction ends (R6).
    public func isLocked(_ id: AccountID) -> Bool { context.isLocked(id) }

    /// Nothing that costs its principal nothing is voted on now, unless it is backed.
    public var isPressed: Bool { context.isPressed }

    /// What is recorded of a principal's request numbers (R11).
    public func standing(of principal: PublicKey) throws(ShardStateError) -> PrincipalStanding {
        try context.standing(of: principal)
    }

    /// The value of a key as this replica has it now; nil if there is none.
    public func value(ofKey key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        try context.value(ofKey: key)
    }

    /// Whether ordering it now would change nothing: all that it asks of this shard is recorded, or refused for ever.
    public func isAnswered(_ signed: SignedRequest) throws(ShardStateError) -> Bool {
        try context.isAnswered(signed)
    }

    /// What ordering `decide` would do now. Its certificates must have been verified.
    public func effect(of decide: TransactionDecide) throws(ShardStateError) -> DecideEffect {
        try context.effect(of: decide)
    }

    /// What a decide is about, as its principal signed it; nil if it is not kept here, or not any more.
    public func request(of decide: TransactionDecide) throws(ShardStateError) -> SignedRequest? {
        try context.request(of: decide)
    }

    /// The root call with this digest, as its principal signed it; nil if it is not kept here, or not any more.
    public func root(ofCall request: Digest) throws(ShardStateError) -> SignedRequest? {
        try context.root(ofCall: request)
    }

    /// What ordering `evidence` would do now. Its certificates must have been verified. Without any it is a question:
    /// this shard is to say again what it has recorded, or look at its clock.
    /// - Parameter wall: what the time would be if it were ordered now.
    public func effect(of evidence: CallEvidence, wall: Timestamp = .zero) throws(ShardStateError)
        -> EvidenceEffect
    {
        try context.effect(of: evidence, wall: wall)
    }

    /// What has to be ordered so that this shard certifies what it has to say of a root call to somebody who asks with
    /// `evidence`; nil if it has nothing to say, or if what changes something is to be ordered anyway.
    public func question(by evidence: CallEvidence, wall: Timestamp) throws(ShardStateError) -> CallEvidence? {
        try context.question(by: evidence, wall: wall)
    }

    /// What is recorded of exactly this request's legs here; nil if none, or if a leg could still get a vote.
    public func recorded(_ signed: SignedRequest) throws(ShardStateError) -> Leaf? {
        try context.recorded(signed)
    }

    /// Records that hosts have to push, by (deadline, principal, number, digest).
    /// - Parameter after: the cursor of the last one seen.
    public func unforgotten(after: RecoveryCursor?, limit: Int) throws(ShardStateError) -> [UnforgottenRecord] {
        try context.unforgotten(after: after, limit: limit)
    }

    /// The places of those records, in the same order. Reads none of them.
    public func openRecords(after: RecoveryCursor?, limit: Int) -> [RecoveryCursor] {
        context.state.indexes.open.elements(after: after, limit: limit)
    }

    /// One of them.
    /// - Precondition: `openRecords` gave the place, and nothing was executed since.
    public func unforgotten(_ cursor: RecoveryCursor) throws(ShardStateError) -> UnforgottenRecord {
        try context.unforgotten(cursor)
    }

    /// Root calls of which another shard may have to be told, by (deadline, principal, number, digest).
    public func unfinishedCalls(after: RecoveryCursor?, limit: Int) throws(ShardStateError)
        -> [UnforgottenRecord]
    {
        try context.unfinishedCalls(after: after, limit: limit)
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
        try context.state.forEach { key, value in
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
