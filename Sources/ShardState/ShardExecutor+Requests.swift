import Messages

/// New work: single-shard legs are applied, the others voted on.
extension ShardExecutor {
    private enum LegAnswer {
        /// Certified, and in digested state before it is (R9).
        case record(LegStatus)
        case refuse(RefusalReason)
    }

    mutating func execute(_ signed: SignedRequest, into results: inout BatchResults) throws(ShardStateError) {
        let request = signed.request
        if let invocation = request.rootCall { return try executeCall(signed, invocation, into: &results) }
        let legs = VotingRules.ownLegs(of: request, shard: shard, in: map)
        guard !legs.isEmpty else { return }
        let principal = try state.principal(request.principal)
        var filed = try state.filed(request, principal)
        let known = filed.record.index(of: signed.digest)
        let previous = known.map { filed.record.attempts[$0] }
        let answers = finalAnswers(legs, of: request, attempt: previous, principal)

        var refused: [(leg: UInt16, reason: RefusalReason)] = []
        var entries: [Leaf.Entry] = []
        var attempt = previous ?? AttemptRecord(digest: signed.digest, deadline: request.deadline, mode: request.mode)
        let refusal = previous == nil ? admission(of: request, attempts: filed.record.attempts.count, principal) : nil
        var undecided = Int(principal.undecided)
        for (leg, answer) in zip(legs, answers) {
            if let answer {
                entries.append(Leaf.Entry(leg: leg.leg, status: answer))
                continue
            }
            if let refusal {
                refused.append((leg.leg, refusal))
                continue
            }
            switch try vote(
                leg, of: signed, filed.record, undecided: undecided, new: undecided - Int(principal.undecided))
            {
            case .record(let status):
                if Mutant.is(.refusalNotRecorded), case .votedNo = status {
                    entries.append(Leaf.Entry(leg: leg.leg, status: status))
                    continue
                }
                attempt.put(LegRecord(leg: leg.leg, status: status, participants: leg.participants.count, own: leg.own))
                if leg.isCrossShard { attempt.hasBody = true }
                if !status.isDecided { undecided += 1 }
                entries.append(Leaf.Entry(leg: leg.leg, status: status))
            case .refuse(let reason): refused.append((leg.leg, reason))
            }
        }
        if attempt.legs.count > previous?.legs.count ?? 0 {
            if attempt.hasBody, previous?.hasBody != true { state.put(body: signed) }
            if let known { filed.record.attempts[known] = attempt } else { filed.record.attempts.append(attempt) }
            state.put(filed)
            try note(request, undecided: undecided, in: principal)
        } else if refused.isEmpty {
            results.noteVain(signed.digest)
        }
        results.emit(signed.digest, entries)
        report(refused, of: signed, into: &results)
    }

    /// Whether ordering it now would change nothing: all that it asks of this shard is recorded, or refused for ever.
    public func isAnswered(_ signed: SignedRequest) throws(ShardStateError) -> Bool {
        let request = signed.request
        var legs = VotingRules.ownLegs(of: request, shard: shard, in: map)
        if request.rootCall != nil {
            legs = isHome(signed) ? [VotingRules.OwnLeg(leg: 0, participants: [shard], own: 0)] : []
        }
        let record = try state.request(request.principal, request.number)
        let attempt = record.index(of: signed.digest).map { record.attempts[$0] }
        return finalAnswers(legs, of: request, attempt: attempt, try state.principal(request.principal)).allSatisfy {
            $0 != nil
        }
    }

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
    func admission(of request: Request, attempts: Int, _ principal: PrincipalRecord) -> RefusalReason? {
        let acknowledgedBelow = max(principal.acknowledgedBelow, request.acknowledgedBelow.number)
        if request.number.number >= acknowledgedBelow, request.number.number - acknowledgedBelow >= limits.requestWindow
        {
            return .numberTooHigh
        }
        if request.issuedAt > time.adding(microseconds: limits.futureToleranceMicroseconds) { return .fromTheFuture }
        return attempts >= limits.maxAttempts ? .overloaded : nil
    }

    /// The first and only vote on a leg, or, where there is no other shard, its execution.
    /// - Parameters:
    ///   - undecided: legs of the principal, those of this request included.
    ///   - new: those of them that are not yet in `state.indexes.undecided`.
    private mutating func vote(
        _ leg: VotingRules.OwnLeg, of signed: SignedRequest, _ record: RequestRecord, undecided: Int, new: Int
    ) throws(ShardStateError) -> LegAnswer {
        if case .read(let id)? = signed.request.operations(ofLeg: Int(leg.leg)).first {
            return try read(id, for: signed.request.principal)
        }
        if VotingRules.isSuperseded(leg.leg, of: signed.digest, in: record) { return .record(leg.refused(.superseded)) }
        var escrow = Escrow()
        let effects = signed.request.effects(ofLeg: Int(leg.leg), on: shard, in: map)
        let problem = try escrow.add(effects, principal: signed.request.principal, issuer: issuer) {
            id throws(ShardStateError) in
            try state.account(id)
        }
        if let problem { return .record(leg.refused(problem)) }
        // What a procedure uses is not for escrow before the procedure's transaction ends (R6).
        if !state.indexes.locks.isEmpty,
            escrow.slots.contains(where: { state.indexes.locks.isTouched(StateKey.account($0.id, in: map).bytes) })
        {
            return .refuse(.conflict)
        }
        switch escrow.answer {
        case .never(let reason): return .record(leg.refused(reason))
        case .conflict: return .refuse(.conflict)
        case .possible: break
        }
        guard leg.isCrossShard else {
            if let (asset, amount) = escrow.issued {
                let issued = try state.issued(asset)
                guard amount <= Amount.limit.number - issued else { return .record(.aborted(.overflow)) }
                state.put(issued: Amount(issued + amount), of: asset)
            }
            try set(escrow.applied())
            return .record(.committed)
        }
        let room =
            isBacked(leg, of: signed)
            ? limits.maxUndecided : hasDebit(effects) ? limits.maxUndecided * 3 / 4 : limits.maxUndecided / 2
        guard undecided < limits.maxUndecidedPerPrincipal, state.indexes.undecided + new < room else {
            return .refuse(.overloaded)
        }
        try set(escrow.reserved())
        return .record(.votedYes)
    }

    mutating func set(_ slots: [Escrow.Slot]) throws(ShardStateError) {
        for slot in slots {
            guard slot.record.isSound else {
                throw .corruptEntry(key: StateKey.account(slot.id, in: map).bytes, what: "balance")
            }
            state.put(slot.record, slot.id)
        }
    }

    private func hasDebit(_ effects: [Effect]) -> Bool {
        effects.contains { if case .debit = $0 { true } else { false } }
    }

    /// Every shard that is debited has voted yes, by the certificates that came with the batch: the leg has cost
    /// somebody something, and is about to be decided (R12).
    private func isBacked(_ leg: VotingRules.OwnLeg, of signed: SignedRequest) -> Bool {
        guard let certificates = backing[signed.digest] else { return false }
        return leg.participants.allSatisfy { participant in
            guard hasDebit(signed.request.effects(ofLeg: Int(leg.leg), on: participant, in: map)) else { return true }
            return certificates.contains { certificate in
                let status = certificate.shard == participant ? certificate.leaf.find(leg.leg) : nil
                return status == .votedYes || status == .committed
            }
        }
    }

    /// Nothing that costs its principal nothing is voted on now, unless it is backed.
    public var isPressed: Bool { state.indexes.undecided >= limits.maxUndecided / 2 }

    /// A balance read takes a mode that conflicts with undecided escrow (R6): it is refused, and asked again.
    private func read(_ id: AccountID, for principal: PublicKey) throws(ShardStateError) -> LegAnswer {
        if Mutant.is(.readsWithoutLock) { return .record(.read(try account(id))) }
        if isLocked(id) { return .refuse(.conflict) }
        guard let view = try account(id) else { return .record(.read(nil)) }
        guard view.owner == principal else { return .record(.aborted(.notAuthorised)) }
        return view.isPending ? .refuse(.conflict) : .record(.read(view))
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

    func report(
        _ refused: [(leg: UInt16, reason: RefusalReason)], of signed: SignedRequest, into results: inout BatchResults
    ) {
        for reason in RefusalReason.allCases {
            let legs = refused.filter { $0.reason == reason }.map(\.leg)
            guard !legs.isEmpty else { continue }
            let retryAfter: UInt64 =
                switch reason {
                case .conflict: 2_000
                case .overloaded, .viewChange, .halted: 50_000
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
