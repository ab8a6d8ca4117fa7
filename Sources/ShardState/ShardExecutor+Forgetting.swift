import Messages

/// When records go (R10, R11).
extension ShardExecutor {
    /// Drops bodies of settled attempts past their deadline, and the attempts too where they are acknowledged. At most
    /// `limits.maxExpiriesPerBatch` of them, earliest deadline first (R2).
    mutating func forgetDue() throws(ShardStateError) {
        for _ in 0..<limits.maxExpiriesPerBatch {
            let isEarly = Mutant.is(.forgetsEarly)
            guard let cursor = state.indexes.due.first, time > cursor.deadline || isEarly else { return }
            var filed = try state.filed(cursor.principal, cursor.number)
            guard let index = filed.record.index(of: cursor.request),
                isEarly || VotingRules.mayDropBody(filed.record.attempts[index], time: time)
            else {
                throw .corruptEntry(key: StateKey.request(cursor.principal, cursor.number).bytes, what: "not due")
            }
            state.remove(body: cursor.request)
            filed.record.attempts[index].hasBody = false
            let acknowledgedBelow = try state.principal(cursor.principal).acknowledgedBelow
            if VotingRules.mayForget(
                filed.record.attempts[index], number: cursor.number, acknowledgedBelow: acknowledgedBelow)
            {
                filed.record.attempts.remove(at: index)
            }
            state.put(filed)
        }
    }

    /// Forgets what the principal has newly acknowledged, except what others may need: that goes with its body.
    /// - Parameter before: the principal's record until now. Nothing at or above its `nextNumber` was recorded then,
    ///   and the window keeps that within 1,024 of what it had acknowledged, so the loop is short however far the
    ///   number jumps.
    mutating func forgetAcknowledged(
        _ principal: PublicKey, before: PrincipalRecord, acknowledgedBelow: UInt64
    ) throws(ShardStateError) {
        let end = min(acknowledgedBelow, before.nextNumber)
        guard before.acknowledgedBelow < end else { return }
        for number in before.acknowledgedBelow..<end {
            let number = RequestNumber(number)
            var filed = try state.filed(principal, number)
            let count = filed.record.attempts.count
            filed.record.attempts.removeAll {
                VotingRules.mayForget($0, number: number, acknowledgedBelow: acknowledgedBelow)
            }
            if filed.record.attempts.count < count { state.put(filed) }
        }
    }
}
