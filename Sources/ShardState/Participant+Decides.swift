import Messages

/// How legs end.
extension Participant {
    /// Decides what the certificates decide. Re-checks nothing of the request: what was reserved is there.
    package mutating func execute(
        _ decide: TransactionDecide, in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        if Mutant.is(.decidesUnderTheCap), context.state.indexes.undecided > context.limits.maxUndecided / 2 { return }
        var filed = try context.state.filed(decide.principal, decide.number)
        guard let index = filed.record.index(of: decide.request) else {
            // For a vote on it in this batch (R12).
            backing[decide.request, default: []] += decide.certificates
            if !context.isPressed { results.noteVain(decide.digest) }
            return
        }
        let attempt = filed.record.attempts[index]
        var isVain = true
        if attempt.hasBody {
            let request = try context.state.body(attempt.digest).request
            let advance = AttemptAdvance(
                attempt, request: request, shard: context.shard, map: context.map, certificates: decide.certificates)
            for (leg, commits) in advance.decisions { try settle(leg, of: request, commits: commits, in: &context) }
            if !advance.decisions.isEmpty {
                var principal = try context.state.principal(decide.principal)
                guard Int(principal.undecided) >= advance.decisions.count else {
                    throw .corruptEntry(key: StateKey.principal(decide.principal).bytes, what: "undecided legs")
                }
                principal.undecided -= UInt32(advance.decisions.count)
                context.state.put(principal, decide.principal)
            }
            if advance.attempt != attempt {
                isVain = false
                filed.record.attempts[index] = advance.attempt
                context.state.put(filed)
            }
        }
        if isVain { results.noteVain(decide.digest) }
        results.emit(decide.request, filed.record.attempts[index].leaf.entries)
    }

    private func settle(
        _ leg: UInt16, of request: Request, commits: Bool, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        var escrow = Escrow()
        let effects = request.effects(ofLeg: Int(leg), on: context.shard, in: context.map)
        let problem = try escrow.add(effects, principal: request.principal, issuer: issuer, in: context.state)
        guard problem == nil, let slots = escrow.settled(commits: commits) else {
            let key = StateKey.request(request.principal, request.number)
            throw .corruptEntry(key: key.bytes, what: "leg \(leg) voted yes and its reservation is not there")
        }
        try context.state.put(slots)
    }
}
