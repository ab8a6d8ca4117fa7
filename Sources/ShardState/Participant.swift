import Messages

/// The shard's side of the two-phase commit: votes on the legs of requests and keeps for a yes what it takes, decides
/// them by what other shards have certified (`Participant+Decides.swift`), and forgets them when nobody can need them
/// any more (`Participant+Forgetting.swift`). Legs with no other participant are applied at once.
///
/// Of calls it knows one thing: which accounts they have locked, which the state says. Those it leaves alone (R6).
package struct Participant {
    let issuer: PublicKey
    /// Who may freeze accounts; nil if nobody may.
    let compliance: PublicKey?
    /// Of the batch that is executed: certified votes of requests of which nothing is recorded here.
    var backing: [Digest: [Certificate]] = [:]

    private enum LegAnswer {
        /// Certified, and in digested state before it is (R9).
        case record(LegStatus)
        case refuse(RefusalReason)
    }

    /// From so many legs on their accounts are brought near together.
    private static let many = 16

    /// The accounts of a request's transfers.
    private static func accounts(of request: Request) -> [AccountID] {
        var ids: [AccountID] = []
        ids.reserveCapacity(2 * request.operations.count)
        for case .transfer(let transfer) in request.operations {
            ids.append(transfer.from)
            ids.append(transfer.to)
        }
        return ids
    }

    /// - Parameters:
    ///   - issuer: who may create money.
    ///   - compliance: who may freeze accounts; nil if nobody may.
    package init(issuer: PublicKey, compliance: PublicKey? = nil) {
        (self.issuer, self.compliance) = (issuer, compliance)
    }

    /// The batch is over: what came with it stands for no other one.
    package mutating func finish() { backing = [:] }

    /// New work: a request that is no root call. Legs of one shard are applied, the others voted on.
    package func execute(
        _ signed: SignedRequest, in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        let request = signed.request
        let legs = VotingRules.ownLegs(of: request, shard: context.shard, in: context.map)
        guard !legs.isEmpty else { return }
        let principal = try context.state.principal(request.principal)
        var filed = try context.state.filed(request, principal)
        let known = filed.record.index(of: signed.digest)
        let previous = known.map { filed.record.attempts[$0] }
        let answers = context.finalAnswers(legs, of: request, attempt: previous, principal)

        var refused: [(leg: UInt16, reason: RefusalReason)] = []
        var entries: [Leaf.Entry] = []
        var attempt = previous ?? AttemptRecord(digest: signed.digest, deadline: request.deadline, mode: request.mode)
        let refusal =
            previous == nil ? try context.admission(of: request, attempts: filed.record.attempts.count, principal) : nil
        var undecided = Int(principal.undecided)
        if legs.count >= Self.many { context.state.touch(Self.accounts(of: request)) }
        var escrow = Escrow()
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
                leg, of: signed, filed.record, undecided: undecided, new: undecided - Int(principal.undecided),
                with: &escrow, in: &context)
            {
            case .record(let status):
                if Mutant.is(.refusalNotRecorded), case .votedNo = status {
                    entries.append(Leaf.Entry(leg: leg.leg, status: status))
                    continue
                }
                attempt.put(LegRecord(leg: leg.leg, status: status, participants: leg.participants, own: leg.own))
                if leg.isCrossShard { attempt.hasBody = true }
                if !status.isDecided { undecided += 1 }
                entries.append(Leaf.Entry(leg: leg.leg, status: status))
            case .refuse(let reason): refused.append((leg.leg, reason))
            }
        }
        if attempt.legs.count > previous?.legs.count ?? 0 {
            attempt.isWhole = refused.isEmpty
            if attempt.hasBody, previous?.hasBody != true { context.state.put(body: signed) }
            if let known { filed.record.attempts[known] = attempt } else { filed.record.attempts.append(attempt) }
            context.state.put(filed)
            try context.note(request, undecided: undecided, in: principal)
        } else if refused.isEmpty {
            results.noteVain(signed.digest)
        }
        results.emit(signed.digest, entries)
        context.report(refused, of: signed, into: &results)
    }

    /// The first and only vote on a leg, or, where there is no other shard, its execution.
    /// - Parameters:
    ///   - undecided: legs of the principal, those of this request included.
    ///   - new: those of them that are not yet in `state.indexes.undecided`.
    ///   - escrow: memory to work in.
    private func vote(
        _ leg: VotingRules.OwnLeg, of signed: SignedRequest, _ record: RequestRecord, undecided: Int, new: Int,
        with escrow: inout Escrow, in context: inout ExecutionContext
    ) throws(ShardStateError) -> LegAnswer {
        if case .read(let id)? = signed.request.operations(ofLeg: Int(leg.leg)).first {
            return try read(id, for: signed.request.principal, in: context)
        }
        if VotingRules.isSuperseded(leg.leg, of: signed.digest, in: record) { return .record(leg.refused(.superseded)) }
        switch signed.request.operations(ofLeg: Int(leg.leg)).first {
        case .freeze(let id, let freeze)?:
            return .record(try set(freeze, of: id, by: signed.request.principal, in: &context))
        case .release(let id)?: return .record(try set(nil, of: id, by: signed.request.principal, in: &context))
        case .transfer?, .open?, .issue?, .read?, .call?, nil: break
        }
        escrow.removeAll()
        let problem = try escrow.add(
            leg: Int(leg.leg), of: signed.request, issuer: issuer, isVoted: false, in: context.state)
        if let problem { return .record(leg.refused(problem)) }
        // What a procedure uses is not for escrow before the procedure's transaction ends (R6).
        if !context.state.indexes.locks.isEmpty,
            escrow.slots.contains(where: {
                context.state.indexes.locks.isTouched(StateKey.account($0.id, in: context.map).bytes)
            })
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
                let issued = try context.state.issued(asset)
                guard amount <= Amount.limit.number - issued else { return .record(.aborted(.overflow)) }
                context.state.put(issued: Amount(issued + amount), of: asset)
            }
            try escrow.apply(to: &context.state)
            return .record(.committed)
        }
        let room =
            isBacked(leg, of: signed, in: context.map)
            ? context.limits.maxUndecided
            : hasDebit(leg, of: signed.request, on: context.shard, in: context.map)
                ? context.limits.maxUndecided * 3 / 4 : context.limits.maxUndecided / 2
        guard undecided < context.limits.maxUndecidedPerPrincipal, context.state.indexes.undecided + new < room else {
            return .refuse(.overloaded)
        }
        try escrow.reserve(in: &context.state)
        return .record(.votedYes)
    }

    /// Freezes an account, or releases it. At once, whoever uses it: escrow stays as it is and is settled by the votes
    /// that took it, and a procedure that holds the account leaves the freeze alone (`Calls.end`). If it had to wait
    /// for them, whoever is to be frozen could keep it waiting.
    private func set(
        _ freeze: AccountFreeze?, of id: AccountID, by principal: PublicKey, in context: inout ExecutionContext
    ) throws(ShardStateError) -> LegStatus {
        if !Mutant.is(.anybodyFreezes) {
            guard let compliance else { return .aborted(.noComplianceAuthority) }
            guard principal == compliance else { return .aborted(.notAuthorised) }
        }
        guard var account = try context.state.account(id) else { return .aborted(.unknownAccount) }
        if account.freeze != freeze {
            account.freeze = freeze
            context.state.put(account, id)
        }
        return .committed
    }

    private func hasDebit(
        _ leg: VotingRules.OwnLeg, of request: Request, on shard: ShardID, in map: ShardMap
    ) -> Bool {
        request.firstEffect(ofLeg: Int(leg.leg), on: shard, in: map) { effect -> Bool? in
            if case .debit = effect { true } else { nil }
        } ?? false
    }

    /// Every shard that is debited has voted yes, by the certificates that came with the batch: the leg has cost
    /// somebody something, and is about to be decided (R12).
    private func isBacked(_ leg: VotingRules.OwnLeg, of signed: SignedRequest, in map: ShardMap) -> Bool {
        guard let certificates = backing[signed.digest] else { return false }
        return signed.request.participants(ofLeg: Int(leg.leg), in: map).allSatisfy { participant in
            guard hasDebit(leg, of: signed.request, on: participant, in: map) else { return true }
            return certificates.contains { certificate in
                let status = certificate.shard == participant ? certificate.leaf.find(leg.leg) : nil
                return status == .votedYes || status == .committed
            }
        }
    }

    /// A balance read takes a mode that conflicts with undecided escrow (R6): it is refused, and asked again.
    private func read(
        _ id: AccountID, for principal: PublicKey, in context: ExecutionContext
    ) throws(ShardStateError) -> LegAnswer {
        if Mutant.is(.readsWithoutLock) { return .record(.read(try context.account(id))) }
        if context.isLocked(id) { return .refuse(.conflict) }
        guard let view = try context.account(id) else { return .record(.read(nil)) }
        guard view.owner == principal else { return .record(.aborted(.notAuthorised)) }
        return view.isPending ? .refuse(.conflict) : .record(.read(view))
    }
}
