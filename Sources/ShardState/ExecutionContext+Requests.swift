import Messages

/// Under a principal's request number something happens once (R11), whether it is legs or a root call: how a number is
/// looked up, let in and noted, and what is said of a request that is not let in.
extension ExecutionContext {
    /// What is certified of each leg already or can be without a record; nil where it has to be voted on.
    func finalAnswers(
        _ legs: [VotingRules.OwnLeg], of request: Request, attempt: AttemptRecord?, _ principal: PrincipalRecord
    ) -> [LegStatus?] {
        let attempt = Mutant.forgetful(attempt)
        let isMalformed = VotingRules.isMalformed(request, limits)
        return legs.map { leg in
            attempt?.record(ofLeg: leg.leg)?.status
                ?? VotingRules.permanentRefusal(
                    of: leg, request: request, isMalformed: isMalformed, acknowledgedBelow: principal.acknowledgedBelow,
                    time: time)
        }
    }

    /// Whether a new attempt may be looked at now. Says nothing for ever, so it is not certified (R9).
    func admission(
        of request: Request, attempts: Int, _ principal: PrincipalRecord
    ) throws(ShardStateError) -> RefusalReason? {
        let acknowledgedBelow = max(principal.acknowledgedBelow, request.acknowledgedBelow.number)
        if request.number.number >= acknowledgedBelow, request.number.number - acknowledgedBelow >= limits.requestWindow
        {
            return .numberTooHigh
        }
        if request.issuedAt > time.adding(microseconds: limits.futureToleranceMicroseconds) { return .fromTheFuture }
        if attempts >= limits.maxAttempts { return .overloaded }
        return try isOutOfOrder(request, acknowledgedBelow: acknowledgedBelow) ? .outOfOrder : nil
    }

    /// Whether it follows a request here that is still to come, or of which a leg is. Only what is signed counts (R8):
    /// in what order requests came says nothing.
    private func isOutOfOrder(_ request: Request, acknowledgedBelow: UInt64) throws(ShardStateError) -> Bool {
        if Mutant.is(.orderIgnored) { return false }
        guard let predecessor = request.predecessor(on: shard) else { return false }
        if Mutant.is(.orderOnOneShard), request.follows.first != predecessor { return false }
        if Mutant.is(.orderByHighestNumber) {
            return try state.principal(request.principal).nextNumber <= predecessor.number.number
        }
        return !VotingRules.isBehind(
            predecessor, try state.request(request.principal, predecessor.number), acknowledgedBelow: acknowledgedBelow,
            time: time)
    }

    /// Keeps what the principal's record has to say after something of `request` was recorded.
    mutating func note(_ request: Request, undecided: Int, in principal: PrincipalRecord) throws(ShardStateError) {
        var updated = principal
        updated.undecided = UInt32(undecided)
        // Saturates: a principal may sign any number that its acknowledgement allows.
        updated.nextNumber = max(updated.nextNumber, request.number.number == .max ? .max : request.number.next.number)
        updated.acknowledgedBelow = max(updated.acknowledgedBelow, request.acknowledgedBelow.number)
        if updated != principal { state.put(updated, request.principal) }
        if updated.acknowledgedBelow > principal.acknowledgedBelow {
            try forgetAcknowledged(request.principal, before: principal, acknowledgedBelow: updated.acknowledgedBelow)
        }
    }

    /// Forgets what the principal has newly acknowledged, except what others may need: that goes with its body, or with
    /// its call.
    /// - Parameter before: the principal's record until now. Nothing at or above its `nextNumber` was recorded then,
    ///   and the window keeps that within 1,024 of what it had acknowledged, so the loop is short however far the
    ///   number jumps.
    private mutating func forgetAcknowledged(
        _ principal: PublicKey, before: PrincipalRecord, acknowledgedBelow: UInt64
    ) throws(ShardStateError) {
        let end = min(acknowledgedBelow, before.nextNumber)
        guard before.acknowledgedBelow < end else { return }
        for number in before.acknowledgedBelow..<end {
            let number = RequestNumber(number)
            var filed = try state.filed(principal, number)
            let kept = filed.record.attempts.filter {
                !VotingRules.mayForget($0, number: number, acknowledgedBelow: acknowledgedBelow)
            }
            guard kept.count < filed.record.attempts.count else { continue }
            filed.record.attempts = kept
            state.put(filed)
        }
    }

    /// Says of legs of which nothing was recorded why not, and when to come back.
    func report(
        _ refused: [(leg: UInt16, reason: RefusalReason)], of signed: SignedRequest, into results: inout BatchResults
    ) {
        for reason in RefusalReason.allCases {
            let legs = refused.filter { $0.reason == reason }.map(\.leg)
            guard !legs.isEmpty else { continue }
            let retryAfter: UInt64 =
                switch reason {
                case .conflict, .outOfOrder: 2_000
                case .overloaded, .viewChange, .halted, .unsigned: 50_000
                case .numberTooHigh: 0
                case .fromTheFuture: signed.request.issuedAt.microseconds(since: time)
                }
            results.refuse(
                Refusal(
                    shard: shard, request: signed.digest, legs: legs, reason: reason, retryAfterMicroseconds: retryAfter
                ))
        }
    }
}

extension Mutant {
    /// The exactly-once table with holes.
    static func forgetful(_ attempt: AttemptRecord?) -> AttemptRecord? {
        // A call that runs is another mutant's.
        guard let attempt, !attempt.hasCall, Mutant.is(.executesAgain) || Mutant.is(.votesAgain) else { return attempt }
        var kept = AttemptRecord(digest: attempt.digest, deadline: attempt.deadline, mode: attempt.mode)
        for leg in attempt.legs where Mutant.is(.executesAgain) ? leg.isCrossShard : leg.status != .votedYes {
            kept.put(leg)
        }
        return kept
    }
}
