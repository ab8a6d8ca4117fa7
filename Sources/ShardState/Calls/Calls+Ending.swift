import Messages

/// How root calls end, and when their records go (R13).
extension Calls {
    /// At home: what the root frame has answered is the outcome, and the first one decides (R13).
    mutating func settleHome(
        _ root: SignedRequest, _ outcome: CallResponse?, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        guard let outcome, var record = try context.state.call(root.digest), record.ending == nil else { return }
        var status: LegStatus
        switch outcome.answer {
        case .returned(let bytes): status = .returned(bytes, consumed: outcome.consumed)
        case .failed(let failure): status = .failed(failure)
        }
        let balances = outcome.flows.allSatisfy { $0.credits == $0.debits } || Mutant.is(.unbalancedCommitted)
        if case .returned = status, !balances {
            status = .failed(
                CallFailure(.unbalanced, shard: context.shard, procedure: root.request.rootCall?.procedure ?? ""))
        }
        for frame in record.frames {
            for call in frame.calls { record.involve(context.map.shard(of: call.call.invocation.target)) }
        }
        var listed: [ConsumedCall] = []
        if case .returned(_, let consumed) = status { listed = consumed }
        for call in listed { record.involve(call.shard) }
        _ = record.noteDone(context.shard)
        try putAttempt(root, status, in: &context)
        try end(&record, status.isFailure ? .aborted : .committed, listed, in: &context)
    }

    /// Applies or drops what the frames here have changed, lets go their locks, and wakes who waited for them.
    mutating func end(
        _ record: inout CallRecord, _ ending: CallRecord.Ending, _ listed: [ConsumedCall],
        in context: inout ExecutionContext
    ) throws(ShardStateError) {
        var released: [[UInt8]] = []
        for frame in record.frames {
            released += frame.locks.map(\.resource)
            if case .waiting(let resource, _, _) = frame.phase { released.append(resource) }
        }
        if ending == .committed {
            for frame in record.frames(below: nil) where isCommitted(frame, listed, on: context.shard) {
                for write in frame.writes { try context.state.put(bytes: keptFrozen(write, in: context), write.key) }
            }
        }
        record.end(ending)
        try context.state.put(record)
        released.sort(by: precedes)
        for (i, resource) in released.enumerated() where i == 0 || resource != released[i - 1] {
            grants.append(resource)
        }
    }

    /// What a frame leaves under a key. An account stays as frozen as it is: freezes wait for nobody's lock, and the
    /// frame may have run before this one came.
    private func keptFrozen(_ write: FrameWrite, in context: ExecutionContext) throws(ShardStateError) -> [UInt8]? {
        guard let value = write.value, let id = StateKey.decodeAccount(write.key),
            StateKey.kind(of: write.key) == .account, let current = try context.state.account(id)
        else { return write.value }
        var account: AccountRecord = try decodeEntry(value, of: write.key)
        guard account.freeze != current.freeze else { return value }
        account.freeze = current.freeze
        return account.encoded()
    }

    /// The root's frame, and every frame whose response the outcome lists, exactly as it was given (R13).
    private func isCommitted(_ frame: Frame, _ listed: [ConsumedCall], on shard: ShardID) -> Bool {
        guard let response = frame.response else { return false }
        if frame.path == .root { return true }
        return listed.contains { $0.path == frame.path && $0.shard == shard && $0.response == response.digest }
    }

    // MARK: Time

    /// Past the deadline home aborts, and a frame that has not answered answers that it failed (R13).
    package mutating func expire(
        in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        for _ in 0..<context.limits.maxExpiriesPerBatch {
            guard let cursor = context.state.indexes.expiringCalls.first, context.time > cursor.deadline else { return }
            guard let stored = try context.state.call(cursor.request) else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "expires and is not there")
            }
            let isHome = context.state.isHome(stored.root)
            if isHome {
                // Who waited keeps his age, as who dies does (R5); who held locks and let time pass does not.
                let waits = stored.frames.contains { $0.isWaiting }
                let failure = CallFailure(
                    waits ? .waited : .deadline, shard: context.shard,
                    procedure: stored.root.request.rootCall?.procedure ?? "")
                try settleHome(
                    stored.root, CallResponse(path: .root, answer: .failed(failure), consumed: [], flows: []),
                    in: &context)
            } else {
                var record = stored
                for var frame in stored.frames where frame.response == nil {
                    // Who waited behind it may have what it waited for.
                    if case .waiting(let resource, _, _) = frame.phase { grants.append(resource) }
                    let failure = CallFailure(
                        frame.isWaiting ? .waited : .deadline, shard: context.shard,
                        procedure: frame.invocation.procedure)
                    frame.phase = .responded(
                        CallResponse(path: frame.path, answer: .failed(failure), consumed: [], flows: []))
                    frame.writes = []
                    record.put(frame)
                }
                try context.state.put(record)
            }
            try context.emit(call: stored.root, into: &results)
        }
    }

    /// Home keeps its outcome until every shard that was called is done, and everybody until its own time has passed
    /// the deadline (R13). The outcome itself stays with the request until it is acknowledged (R11).
    package func forgetDue(in context: inout ExecutionContext) throws(ShardStateError) {
        for _ in 0..<context.limits.maxExpiriesPerBatch {
            guard let cursor = context.state.indexes.dueCalls.first, context.time > cursor.deadline else { return }
            guard let record = try context.state.call(cursor.request), record.isSettled else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "not due")
            }
            context.state.remove(record)
            if context.state.isHome(record.root) {
                try letGoOutcome(of: record.root.request, record.root.digest, in: &context)
            }
        }
    }

    private func letGoOutcome(
        of request: Request, _ digest: Digest, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        var requests = try context.state.request(request.principal, request.number)
        guard let index = requests.index(of: digest) else {
            throw .corruptEntry(key: StateKey.request(request.principal, request.number).bytes, what: "attempt missing")
        }
        requests.attempts[index].hasCall = false
        let acknowledgedBelow = try context.state.principal(request.principal).acknowledgedBelow
        if VotingRules.mayForget(requests.attempts[index], number: request.number, acknowledgedBelow: acknowledgedBelow)
        {
            requests.attempts.remove(at: index)
        }
        try context.state.put(requests, request.principal, request.number)
    }
}

extension LegStatus {
    var isFailure: Bool {
        switch self {
        case .failed: true
        case .votedYes, .votedNo, .committed, .aborted, .noRecordAbort, .acknowledged, .read, .running, .returned,
            .closed:
            false
        }
    }
}
