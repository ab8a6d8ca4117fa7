import Messages

/// What a `TransactionDecide` would do here.
public enum DecideEffect: Hashable, Sendable {
    /// No record of that request: the vote may not be executed here yet, or the record is forgotten.
    case noRecord
    /// Nothing new.
    case nothing
    /// A participant becomes known decided: the record comes nearer to being forgotten (R10).
    case notes
    /// A leg that is undecided here is decided: bypasses every cap (R12).
    case decides
}

extension ShardExecutor {
    /// What ordering `decide` would do now. Its certificates must have been verified.
    public func effect(of decide: TransactionDecide) throws(ShardStateError) -> DecideEffect {
        let record = try state.request(decide.principal, decide.number)
        guard let index = record.index(of: decide.request) else { return .noRecord }
        guard record.attempts[index].hasBody else { return .nothing }
        let advance = try advance(record.attempts[index], by: decide)
        if !advance.decisions.isEmpty { return .decides }
        return advance.notes ? .notes : .nothing
    }

    /// Decides what the certificates decide. Re-checks nothing of the request: what was reserved is there.
    mutating func execute(_ decide: TransactionDecide, into results: inout BatchResults) throws(ShardStateError) {
        if Mutant.is(.decidesUnderTheCap), state.indexes.undecided > limits.maxUndecided / 2 { return }
        var filed = try state.filed(decide.principal, decide.number)
        guard let index = filed.record.index(of: decide.request) else {
            // For a vote on it in this batch (R12).
            backing[decide.request, default: []] += decide.certificates
            if !isPressed { results.noteVain(decide.digest) }
            return
        }
        let attempt = filed.record.attempts[index]
        var isVain = true
        if attempt.hasBody {
            let request = try state.body(attempt.digest).request
            let advance = AttemptAdvance(
                attempt, request: request, shard: shard, map: map, certificates: decide.certificates)
            for (leg, commits) in advance.decisions { try settle(leg, of: request, commits: commits) }
            if !advance.decisions.isEmpty {
                var principal = try state.principal(decide.principal)
                guard Int(principal.undecided) >= advance.decisions.count else {
                    throw .corruptEntry(key: StateKey.principal(decide.principal).bytes, what: "undecided legs")
                }
                principal.undecided -= UInt32(advance.decisions.count)
                state.put(principal, decide.principal)
            }
            if advance.attempt != attempt {
                isVain = false
                filed.record.attempts[index] = advance.attempt
                state.put(filed)
            }
        }
        if isVain { results.noteVain(decide.digest) }
        results.emit(decide.request, filed.record.attempts[index].leaf.entries)
    }

    private func advance(_ attempt: AttemptRecord, by decide: TransactionDecide) throws(ShardStateError)
        -> AttemptAdvance
    {
        let request = try state.body(attempt.digest).request
        return AttemptAdvance(attempt, request: request, shard: shard, map: map, certificates: decide.certificates)
    }

    private mutating func settle(_ leg: UInt16, of request: Request, commits: Bool) throws(ShardStateError) {
        var escrow = Escrow()
        let effects = request.effects(ofLeg: Int(leg), on: shard, in: map)
        let problem = try escrow.add(effects, principal: request.principal, issuer: issuer) {
            id throws(ShardStateError) in
            try state.account(id)
        }
        guard problem == nil, let slots = escrow.settled(commits: commits) else {
            let key = StateKey.request(request.principal, request.number)
            throw .corruptEntry(key: key.bytes, what: "leg \(leg) voted yes and its reservation is not there")
        }
        try set(slots)
    }
}
