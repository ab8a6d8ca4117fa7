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
        var hasDecided = false
        if attempt.hasBody {
            let request = try context.state.body(attempt.digest).request
            let advance = AttemptAdvance(
                attempt, request: request, shard: context.shard, map: context.map, certificates: decide.certificates)
            var escrow = Escrow()
            for (leg, commits) in advance.decisions {
                try settle(leg, of: request, commits: commits, with: &escrow, in: &context)
            }
            if !advance.decisions.isEmpty {
                var principal = try context.state.principal(decide.principal)
                guard Int(principal.undecided) >= advance.decisions.count else {
                    throw .corruptEntry(key: StateKey.principal(decide.principal).bytes, what: "undecided legs")
                }
                principal.undecided -= UInt32(advance.decisions.count)
                context.state.put(principal, decide.principal)
            }
            hasDecided = !advance.decisions.isEmpty
            if advance.attempt != attempt {
                isVain = false
                filed.record.attempts[index] = advance.attempt
                context.state.put(filed)
            }
        }
        if isVain { results.noteVain(decide.digest) }
        // That another shard is done changes nothing of what this one has certified.
        guard isVain || hasDecided && !Mutant.is(.decidesInSilence) else { return }
        results.emit(decide.request, filed.record.attempts[index].leaf.entries)
    }

    private func settle(
        _ leg: UInt16, of request: Request, commits: Bool, with escrow: inout Escrow, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        escrow.removeAll()
        let problem = try escrow.add(leg: Int(leg), of: request, issuer: issuer, in: context.state)
        guard problem == nil, try escrow.settle(commits: commits, in: &context.state) else {
            let key = StateKey.request(request.principal, request.number)
            throw .corruptEntry(key: key.bytes, what: "leg \(leg) voted yes and its reservation is not there")
        }
    }
}
