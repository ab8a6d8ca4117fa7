import Messages

/// What the executor is asked between batches (`ShardExecutor+Reading.swift` says what each answer means). Here, so
/// that the state is read where it lies.
extension ExecutionContext {
    func effect(of evidence: CallEvidence, wall: Timestamp) throws(ShardStateError) -> EvidenceEffect {
        try EvidenceEffect(of: evidence, wall: wall, in: self)
    }

    func standing(of principal: PublicKey) throws(ShardStateError) -> PrincipalStanding {
        let record = try state.principal(principal)
        return PrincipalStanding(
            acknowledgedBelow: RequestNumber(record.acknowledgedBelow), nextNumber: RequestNumber(record.nextNumber))
    }

    func value(ofKey key: [UInt8]) throws(ShardStateError) -> [UInt8]? {
        try state.bytes(StateKey.value(key, in: map))
    }

    func isAnswered(_ signed: SignedRequest) throws(ShardStateError) -> Bool {
        let request = signed.request
        var legs = VotingRules.ownLegs(of: request, shard: shard, in: map)
        if request.rootCall != nil {
            legs = state.isHome(signed) ? [VotingRules.OwnLeg(leg: 0, participants: 1, own: 0)] : []
        }
        let record = try state.request(request.principal, request.number)
        let attempt = record.index(of: signed.digest).map { record.attempts[$0] }
        let principal = try state.principal(request.principal)
        return finalAnswers(legs, of: request, attempt: attempt, principal).allSatisfy { $0 != nil }
    }

    func request(of decide: TransactionDecide) throws(ShardStateError) -> SignedRequest? {
        let record = try state.request(decide.principal, decide.number)
        guard let index = record.index(of: decide.request), record.attempts[index].hasBody else { return nil }
        return try state.body(decide.request)
    }

    func root(ofCall request: Digest) throws(ShardStateError) -> SignedRequest? { try state.call(request)?.root }

    func recorded(_ signed: SignedRequest) throws(ShardStateError) -> Leaf? {
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

    func question(by evidence: CallEvidence, wall: Timestamp) throws(ShardStateError) -> CallEvidence? {
        let effect = try effect(of: evidence, wall: wall)
        if effect == .changes { return nil }
        let bare = CallEvidence(root: evidence.root, certificates: [])
        if try state.call(evidence.root.digest) != nil { return bare }
        // Who never heard of a call can say so past the deadline; home has always something to say.
        let isPast = max(time, wall) > evidence.root.request.deadline
        return effect == .question && (state.isHome(evidence.root) || isPast) ? evidence : nil
    }

    func unforgotten(after: RecoveryCursor?, limit: Int) throws(ShardStateError) -> [UnforgottenRecord] {
        var found: [UnforgottenRecord] = []
        for cursor in state.indexes.open.elements(after: after, limit: limit) { found.append(try unforgotten(cursor)) }
        return found
    }

    func unforgotten(_ cursor: RecoveryCursor) throws(ShardStateError) -> UnforgottenRecord {
        let record = try state.request(cursor.principal, cursor.number)
        guard let index = record.index(of: cursor.request) else {
            throw .corruptEntry(key: StateKey.request(cursor.principal, cursor.number).bytes, what: "attempt missing")
        }
        let attempt = record.attempts[index]
        let signed = try state.body(cursor.request)
        var waitingFor: [ShardID] = []
        for leg in attempt.legs where leg.isCrossShard && !leg.isSettled {
            for (i, participant) in signed.request.participants(ofLeg: Int(leg.leg), in: map).enumerated()
            where participant != shard && leg.knownDecided >> UInt64(i) & 1 == 0 && !waitingFor.contains(participant) {
                waitingFor.append(participant)
            }
        }
        return UnforgottenRecord(
            cursor: cursor, request: signed, leaf: attempt.leaf, waitingFor: waitingFor.sorted())
    }

    func unfinishedCalls(after: RecoveryCursor?, limit: Int) throws(ShardStateError)
        -> [UnforgottenRecord]
    {
        var found: [UnforgottenRecord] = []
        for cursor in state.indexes.openCalls.elements(after: after, limit: limit) {
            guard let record = try state.call(cursor.request) else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "open and not there")
            }
            let leaf = try leaf(ofCall: record.root) ?? Leaf(request: cursor.request, entries: [])
            var shards: [ShardID] = []
            if record.ending != nil {
                shards = record.involved.filter { !$0.isDone }.map(\.shard)
            } else {
                for frame in record.frames {
                    for call in frame.calls where call.response == nil {
                        shards.append(map.shard(of: call.call.invocation.target))
                    }
                    if frame.response != nil { shards.append(frame.caller) }
                }
                if let invocation = record.root.request.rootCall {
                    shards.append(map.shard(of: invocation.target))
                }
            }
            shards = shards.filter { $0 != shard }.sorted()
            let distinct = shards.indices.filter { $0 == 0 || shards[$0] != shards[$0 - 1] }.map { shards[$0] }
            found.append(UnforgottenRecord(cursor: cursor, request: record.root, leaf: leaf, waitingFor: distinct))
        }
        return found
    }
}
