import Messages

/// When records go (R10, R11).
extension Participant {
    /// Drops bodies of settled attempts past their deadline, and the attempts too where they are acknowledged. At most
    /// `limits.maxExpiriesPerBatch` of them, earliest deadline first (R2).
    package func forgetDue(in context: inout ExecutionContext) throws(ShardStateError) {
        for _ in 0..<context.limits.maxExpiriesPerBatch {
            let isEarly = Mutant.is(.forgetsEarly)
            guard let cursor = context.state.indexes.due.first, context.time > cursor.deadline || isEarly else {
                return
            }
            var filed = try context.state.filed(cursor.principal, cursor.number)
            guard let index = filed.record.index(of: cursor.request),
                isEarly || VotingRules.mayDropBody(filed.record.attempts[index], time: context.time)
            else {
                throw .corruptEntry(key: StateKey.request(cursor.principal, cursor.number).bytes, what: "not due")
            }
            context.state.remove(body: cursor.request)
            filed.record.attempts[index].hasBody = false
            let acknowledgedBelow = try context.state.principal(cursor.principal).acknowledgedBelow
            if VotingRules.mayForget(
                filed.record.attempts[index], number: cursor.number, acknowledgedBelow: acknowledgedBelow)
            {
                filed.record.attempts.remove(at: index)
            }
            context.state.put(filed)
        }
    }
}
