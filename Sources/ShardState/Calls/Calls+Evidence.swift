import Messages

/// What other shards have certified of a root call, and what it brings about here.
extension Calls {
    /// Starts the frames that are called here, brings answers to those that wait, ends what home has decided.
    package mutating func execute(
        _ evidence: CallEvidence, in context: inout ExecutionContext, into results: inout BatchResults
    ) throws(ShardStateError) {
        let root = evidence.root
        guard let invocation = root.request.rootCall, !VotingRules.isMalformed(root.request, context.limits) else {
            return
        }
        let isHome = context.state.isHome(root)
        let stored = try context.state.call(root.digest)
        let fresh = stored == nil ? try newRecord(evidence, isHome: isHome, in: context) : nil
        guard var record = stored ?? fresh else {
            if isHome { return try execute(root, invocation, in: &context, into: &results) }
            // Past the deadline there never will be one, and that can be said for ever (R10).
            let never = context.time > root.request.deadline ? evidence.calls(to: context.shard, context.map) : []
            results.noteVain(evidence.contentDigest)
            return try context.emit(call: root, never: never, into: &results)
        }
        if let stored { context.state.lift(stored) }
        var runnable: [CallPath] = []
        var never: [CallPath] = []
        var ending: CallRecord.Ending?
        var listed: [ConsumedCall] = []
        for certificate in evidence.certificates where certificate.shard != context.shard {
            let from = certificate.shard
            if from == context.map.shard(of: invocation.target) {
                switch certificate.leaf.status(ofLeg: 0) {
                case .returned(_, let consumed)?: (ending, listed) = (.committed, consumed)
                case .running?, .votedYes?, .closed?, nil: break
                case .votedNo?, .committed?, .aborted?, .noRecordAbort?, .acknowledged?, .read?, .failed?:
                    ending = ending ?? .aborted
                }
            } else if isHome, certificate.leaf.status(ofLeg: 0)?.isDecided == true {
                _ = record.noteDone(from)
            }
            guard record.ending == nil else { continue }
            for call in certificate.leaf.calls.issued
            where context.isHere(call.invocation) && record.index(of: call.path) == nil {
                if context.time > root.request.deadline {
                    never.append(call.path)
                } else if record.frames.count >= 2 * context.limits.maxFramesPerRecord {
                    continue
                } else if record.frames.count >= context.limits.maxFramesPerRecord {
                    var frame = Frame(
                        path: call.path, invocation: call.invocation, caller: from, now: context.time, reach: call.reach
                    )
                    frame.phase = .responded(.tooMany(call, on: context.shard))
                    record.put(frame)
                } else {
                    record.put(
                        Frame(
                            path: call.path, invocation: call.invocation, caller: from, now: context.time,
                            reach: call.reach))
                    runnable.append(call.path)
                }
            }
            for response in certificate.leaf.calls.responses
            where record.hasCalled(response.path, on: from, context.map) {
                runnable += record.note(response, on: context.shard, context.limits)
            }
            for path in certificate.leaf.calls.never where record.hasCalled(path, on: from, context.map) {
                let failure = CallFailure(.deadline, shard: from, procedure: "", text: "")
                runnable += record.note(
                    CallResponse(path: path, answer: .failed(failure), consumed: [], flows: []), on: context.shard,
                    context.limits)
            }
        }
        if record.ending == nil, let ending, !isHome {
            try end(&record, ending, listed, in: &context)
        } else {
            let outcome = record.ending == nil ? try advance(&record, runnable.reversed(), in: &context) : nil
            try context.state.put(record)
            if isHome { try settleHome(root, outcome, in: &context) }
        }
        if let stored, record == stored { results.noteVain(evidence.contentDigest) }
        try context.emit(call: root, never: never, into: &results)
    }

    /// A record for a root of which nothing is known here: only if a frame is to be started, and in time (R10). The
    /// principal's unfinished calls here are bounded (R12).
    private func newRecord(
        _ evidence: CallEvidence, isHome: Bool, in context: ExecutionContext
    ) throws(ShardStateError) -> CallRecord? {
        guard !isHome, context.time <= evidence.root.request.deadline,
            !evidence.calls(to: context.shard, context.map).isEmpty
        else { return nil }
        guard context.state.indexes.calls(of: evidence.root.request.principal) < context.limits.maxCallsPerPrincipal
        else { return nil }
        // What home has decided already needs no frame.
        let home = evidence.root.request.rootCall.map { context.map.shard(of: $0.target) }
        let isDecided = evidence.certificates.contains {
            $0.shard == home && $0.leaf.status(ofLeg: 0)?.isDecided == true
        }
        guard !isDecided,
            let calls = evidence.certificates.first(where: {
                $0.shard != context.shard && $0.leaf.calls.issued.contains { context.isHere($0.invocation) }
            })?.leaf.calls
        else { return nil }
        return CallRecord(root: evidence.root, age: calls.age, waitsInOrder: calls.waitsInOrder)
    }
}

extension CallEvidence {
    /// Calls to `shard` that other shards have certified.
    func calls(to shard: ShardID, _ map: ShardMap) -> [CallPath] {
        var paths: [CallPath] = []
        for certificate in certificates where certificate.shard != shard {
            for call in certificate.leaf.calls.issued where map.shard(of: call.invocation.target) == shard {
                paths.append(call.path)
            }
        }
        return paths
    }
}
