import Messages

/// Root calls at their home shard, and the frames that other shards ask for (R13).
extension ShardExecutor {
    func isHome(_ root: SignedRequest) -> Bool { state.isHome(root) }

    // MARK: A root call, ordered at home

    /// A signed root call. Known, it is answered with what is recorded; new, it is run.
    mutating func executeCall(_ signed: SignedRequest, _ invocation: Invocation, into results: inout BatchResults)
        throws(ShardStateError)
    {
        let request = signed.request
        guard map.shard(of: invocation.target) == shard else { return }
        let leg = VotingRules.OwnLeg(leg: 0, participants: [shard], own: 0)
        let principal = try state.principal(request.principal)
        let requests = try state.request(request.principal, request.number)
        let known = requests.index(of: signed.digest).map { requests.attempts[$0] }
        if let answer = finalAnswers([leg], of: request, attempt: known, principal)[0] {
            results.noteVain(signed.digest)
            return try emit(signed, answer, into: &results)
        }
        func refuse(_ reason: RefusalReason) { report([(0, reason)], of: signed, into: &results) }
        if let refusal = admission(of: request, attempts: requests.attempts.count, principal) { return refuse(refusal) }
        if VotingRules.isSuperseded(0, of: signed.digest, in: requests) {
            try putAttempt(signed, .aborted(.superseded))
            return try emit(signed, .aborted(.superseded), into: &results)
        }
        guard Int(principal.undecided) < limits.maxUndecidedPerPrincipal,
            state.indexes.undecided < limits.maxUndecided / 2
        else {
            return refuse(.overloaded)
        }
        let (age, isRetry) = try takeOverAge(of: request)
        // Who has died once waits by age, which says when it is its turn.
        let waitsInOrder = !isRetry && procedures.find(invocation)?.locksInOrder == true
        var record = CallRecord(root: signed, age: age, waitsInOrder: waitsInOrder)
        record.put(Frame(path: .root, invocation: invocation, caller: shard, now: time, reach: .bare))
        let outcome = try advance(&record, [.root])
        if case .failed(let failure)? = outcome?.answer, failure.reason == .died, !hasCalledOthers(record) {
            // Nobody else knows of it: its outcome and its age are all that is kept (R5).
            try putAttempt(signed, .failed(failure), age: record.age)
            return try emit(signed, nil, into: &results)
        }
        try putAttempt(signed, .running, age: record.age)
        try state.put(record)
        try settleHome(signed, outcome)
        try emit(signed, nil, into: &results)
    }

    func hasCalledOthers(_ record: CallRecord) -> Bool {
        record.frames.contains { $0.calls.contains { map.shard(of: $0.call.invocation.target) != shard } }
    }

    /// How old a new root call is: as old as the one that it continues, if that failed here for want of a lock and not
    /// too long ago; otherwise it is new. An age is taken over once, so that nobody can use one for many, and does not
    /// grow without end (R5).
    private mutating func takeOverAge(of request: Request) throws(ShardStateError) -> (Timestamp, isRetry: Bool) {
        guard let continued = request.continuedCall, continued < request.number else { return (time, false) }
        var requests = try state.request(request.principal, continued)
        let found = requests.attempts.firstIndex { attempt in
            guard attempt.age != nil, case .failed? = attempt.record(ofLeg: 0)?.status else { return false }
            return time <= attempt.deadline.adding(microseconds: limits.maxLifetimeMicroseconds)
        }
        guard let found, let age = requests.attempts[found].age else { return (time, false) }
        requests.attempts[found].age = nil
        try state.put(requests, request.principal, continued)
        // Nobody is served before all others for ever.
        let oldest = time.number - min(time.number, Self.longestAge * limits.maxLifetimeMicroseconds)
        return (max(age, Timestamp(oldest)), true)
    }

    /// In lifetimes of a request: far more than it takes to become the oldest.
    private static let longestAge: UInt64 = 8

    /// Sets the status of the only leg of a root call, and what follows from it.
    /// - Parameter age: of a new one that runs, or has died.
    private mutating func putAttempt(_ signed: SignedRequest, _ status: LegStatus, age: Timestamp? = nil)
        throws(ShardStateError)
    {
        let request = signed.request
        var requests = try state.request(request.principal, request.number)
        let principal = try state.principal(request.principal)
        let known = requests.index(of: signed.digest)
        let previous = known.map { requests.attempts[$0] }
        var attempt = previous ?? AttemptRecord(digest: signed.digest, deadline: request.deadline, mode: request.mode)
        attempt.put(LegRecord(leg: 0, status: status, participants: 1, own: 0))
        if let age { attempt.age = age }
        switch status {
        case .running: attempt.hasCall = true
        case .failed(let failure) where failure.reason == .died || failure.reason == .waited: break
        default: attempt.age = nil
        }
        if let known { requests.attempts[known] = attempt } else { requests.attempts.append(attempt) }
        try state.put(requests, request.principal, request.number)
        let undecided = Int(principal.undecided) + attempt.undecided - (previous?.undecided ?? 0)
        guard undecided >= 0 else {
            throw .corruptEntry(key: StateKey.principal(request.principal).bytes, what: "undecided legs")
        }
        try note(request, undecided: undecided, in: principal)
    }

    // MARK: What other shards have certified

    /// Starts the frames that are called here, brings answers to those that wait, ends what home has decided.
    mutating func execute(_ evidence: CallEvidence, into results: inout BatchResults) throws(ShardStateError) {
        let root = evidence.root
        guard let invocation = root.request.rootCall, !VotingRules.isMalformed(root.request, limits) else { return }
        let isHome = isHome(root)
        let stored = try state.call(root.digest)
        let fresh = stored == nil ? try newRecord(evidence, isHome: isHome) : nil
        guard var record = stored ?? fresh else {
            if isHome { return try executeCall(root, invocation, into: &results) }
            // Past the deadline there never will be one, and that can be said for ever (R10).
            let never = time > root.request.deadline ? callsHere(evidence) : []
            results.noteVain(evidence.contentDigest)
            return try emit(root, nil, never: never, into: &results)
        }
        if let stored { state.lift(stored) }
        var runnable: [CallPath] = []
        var never: [CallPath] = []
        var ending: CallRecord.Ending?
        var listed: [ConsumedCall] = []
        for certificate in evidence.certificates where certificate.shard != shard {
            let from = certificate.shard
            if from == map.shard(of: invocation.target) {
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
            where map.shard(of: call.invocation.target) == shard && record.index(of: call.path) == nil {
                if time > root.request.deadline {
                    never.append(call.path)
                } else if record.frames.count >= 2 * limits.maxFramesPerRecord {
                    continue
                } else if record.frames.count >= limits.maxFramesPerRecord {
                    var frame = Frame(
                        path: call.path, invocation: call.invocation, caller: from, now: time, reach: call.reach)
                    frame.phase = .responded(tooMany(call))
                    record.put(frame)
                } else {
                    record.put(
                        Frame(path: call.path, invocation: call.invocation, caller: from, now: time, reach: call.reach))
                    runnable.append(call.path)
                }
            }
            for response in certificate.leaf.calls.responses where isFor(record, response.path, from) {
                runnable += note(response, in: &record)
            }
            for path in certificate.leaf.calls.never where isFor(record, path, from) {
                let failure = CallFailure(.deadline, shard: from, procedure: "", text: "")
                runnable += note(
                    CallResponse(path: path, answer: .failed(failure), consumed: [], flows: []), in: &record)
            }
        }
        if record.ending == nil, let ending, !isHome {
            try end(&record, ending, listed)
        } else {
            let outcome = record.ending == nil ? try advance(&record, runnable.reversed()) : nil
            try state.put(record)
            if isHome { try settleHome(root, outcome) }
        }
        if let stored, record == stored { results.noteVain(evidence.contentDigest) }
        try emit(root, nil, never: never, into: &results)
    }

    /// The response is for a call of a frame here to that shard.
    func isFor(_ record: CallRecord, _ path: CallPath, _ from: ShardID) -> Bool {
        guard let last = record.index(of: CallPath(Array(path.steps.dropLast()))), path.depth > 0 else { return false }
        return record.frames[last].calls.contains {
            $0.call.path == path && map.shard(of: $0.call.invocation.target) == from
        }
    }

    func callsHere(_ evidence: CallEvidence) -> [CallPath] {
        var paths: [CallPath] = []
        for certificate in evidence.certificates where certificate.shard != shard {
            for call in certificate.leaf.calls.issued where map.shard(of: call.invocation.target) == shard {
                paths.append(call.path)
            }
        }
        return paths
    }

    private func callsHere(_ certificate: Certificate) -> Bool {
        certificate.leaf.calls.issued.contains { map.shard(of: $0.invocation.target) == shard }
    }

    /// A record for a root of which nothing is known here: only if a frame is to be started, and in time (R10). The
    /// principal's unfinished calls here are bounded (R12).
    private func newRecord(_ evidence: CallEvidence, isHome: Bool) throws(ShardStateError) -> CallRecord? {
        guard !isHome, time <= evidence.root.request.deadline, !callsHere(evidence).isEmpty else { return nil }
        guard state.indexes.calls(of: evidence.root.request.principal) < limits.maxCallsPerPrincipal else { return nil }
        // What home has decided already needs no frame.
        let home = evidence.root.request.rootCall.map { map.shard(of: $0.target) }
        let isDecided = evidence.certificates.contains {
            $0.shard == home && $0.leaf.status(ofLeg: 0)?.isDecided == true
        }
        guard !isDecided,
            let calls = evidence.certificates.first(where: { $0.shard != shard && callsHere($0) })?.leaf.calls
        else { return nil }
        return CallRecord(root: evidence.root, age: calls.age, waitsInOrder: calls.waitsInOrder)
    }

    // MARK: The end

    /// At home: what the root frame has answered is the outcome, and the first one decides (R13).
    mutating func settleHome(_ root: SignedRequest, _ outcome: CallResponse?) throws(ShardStateError) {
        guard let outcome, var record = try state.call(root.digest), record.ending == nil else { return }
        var status: LegStatus
        switch outcome.answer {
        case .returned(let bytes): status = .returned(bytes, consumed: outcome.consumed)
        case .failed(let failure): status = .failed(failure)
        }
        let balances = outcome.flows.allSatisfy { $0.credits == $0.debits } || Mutant.is(.unbalancedCommitted)
        if case .returned = status, !balances {
            status = .failed(CallFailure(.unbalanced, shard: shard, procedure: root.request.rootCall?.procedure ?? ""))
        }
        for frame in record.frames {
            for call in frame.calls { record.involve(map.shard(of: call.call.invocation.target)) }
        }
        var listed: [ConsumedCall] = []
        if case .returned(_, let consumed) = status { listed = consumed }
        for call in listed { record.involve(call.shard) }
        _ = record.noteDone(shard)
        try putAttempt(root, status)
        try end(&record, status.isFailure ? .aborted : .committed, listed)
    }

    /// Applies or drops what the frames here have changed, lets go their locks, and wakes who waited for them.
    private mutating func end(_ record: inout CallRecord, _ ending: CallRecord.Ending, _ listed: [ConsumedCall])
        throws(ShardStateError)
    {
        var released: [[UInt8]] = []
        for frame in record.frames {
            released += frame.locks.map(\.resource)
            if case .waiting(let resource, _, _) = frame.phase { released.append(resource) }
        }
        if ending == .committed {
            for frame in record.frames(below: nil) where isCommitted(frame, listed) {
                for write in frame.writes { try state.put(bytes: write.value, write.key) }
            }
        }
        record.end(ending)
        try state.put(record)
        released.sort(by: precedes)
        for (i, resource) in released.enumerated() where i == 0 || resource != released[i - 1] {
            grants.append(resource)
        }
    }

    /// The root's frame, and every frame whose response the outcome lists, exactly as it was given (R13).
    private func isCommitted(_ frame: Frame, _ listed: [ConsumedCall]) -> Bool {
        guard let response = frame.response else { return false }
        if frame.path == .root { return true }
        return listed.contains { $0.path == frame.path && $0.shard == shard && $0.response == response.digest }
    }

    // MARK: Time

    /// Past the deadline home aborts, and a frame that has not answered answers that it failed (R13).
    mutating func expireCalls(into results: inout BatchResults) throws(ShardStateError) {
        for _ in 0..<limits.maxExpiriesPerBatch {
            guard let cursor = state.indexes.expiringCalls.first, time > cursor.deadline else { return }
            guard let stored = try state.call(cursor.request) else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "expires and is not there")
            }
            let isHome = isHome(stored.root)
            if isHome {
                // Who waited keeps his age, as who dies does (R5); who held locks and let time pass does not.
                let waits = stored.frames.contains { $0.isWaiting }
                let failure = CallFailure(
                    waits ? .waited : .deadline, shard: shard, procedure: stored.root.request.rootCall?.procedure ?? "")
                try settleHome(
                    stored.root, CallResponse(path: .root, answer: .failed(failure), consumed: [], flows: []))
            } else {
                var record = stored
                for var frame in stored.frames where frame.response == nil {
                    // Who waited behind it may have what it waited for.
                    if case .waiting(let resource, _, _) = frame.phase { grants.append(resource) }
                    let failure = CallFailure(
                        frame.isWaiting ? .waited : .deadline, shard: shard, procedure: frame.invocation.procedure)
                    frame.phase = .responded(
                        CallResponse(path: frame.path, answer: .failed(failure), consumed: [], flows: []))
                    frame.writes = []
                    record.put(frame)
                }
                try state.put(record)
            }
            try emit(stored.root, nil, into: &results)
        }
    }

    /// Home keeps its outcome until every shard that was called is done, and everybody until its own time has passed
    /// the deadline (R13). The outcome itself stays with the request until it is acknowledged (R11).
    mutating func forgetDueCalls() throws(ShardStateError) {
        for _ in 0..<limits.maxExpiriesPerBatch {
            guard let cursor = state.indexes.dueCalls.first, time > cursor.deadline else { return }
            guard let record = try state.call(cursor.request), record.isSettled else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "not due")
            }
            state.remove(record)
            if isHome(record.root) { try letGoOutcome(of: record.root.request, record.root.digest) }
        }
    }

    private mutating func letGoOutcome(of request: Request, _ digest: Digest) throws(ShardStateError) {
        var requests = try state.request(request.principal, request.number)
        guard let index = requests.index(of: digest) else {
            throw .corruptEntry(key: StateKey.request(request.principal, request.number).bytes, what: "attempt missing")
        }
        requests.attempts[index].hasCall = false
        let acknowledgedBelow = try state.principal(request.principal).acknowledgedBelow
        if VotingRules.mayForget(requests.attempts[index], number: request.number, acknowledgedBelow: acknowledgedBelow)
        {
            requests.attempts.remove(at: index)
        }
        try state.put(requests, request.principal, request.number)
    }

    // MARK: What is certified

    /// Everything that this shard says of a root call now, in one leaf.
    /// - Parameter status: at home, if it is not in the request's record.
    func emit(
        _ root: SignedRequest, _ status: LegStatus?, never: [CallPath] = [], into results: inout BatchResults
    ) throws(ShardStateError) {
        if let leaf = try callLeaf(root, status, never: never) { results.emit(leaf) }
    }

    func callLeaf(_ root: SignedRequest, _ status: LegStatus?, never: [CallPath] = []) throws(ShardStateError) -> Leaf?
    {
        var status = status
        let record = try state.call(root.digest)
        let isHome = isHome(root)
        if status == nil, isHome {
            let requests = try state.request(root.request.principal, root.request.number)
            status = requests.index(of: root.digest).flatMap { requests.attempts[$0].record(ofLeg: 0)?.status }
        }
        var report = CallReport()
        report.never = Array(never.prefix(CallReport.maxEntries))
        if let record {
            for frame in record.frames {
                for call in frame.calls
                where call.response == nil && map.shard(of: call.call.invocation.target) != shard {
                    if report.issued.count < CallReport.maxEntries { report.issued.append(call.call) }
                }
                if let response = frame.response, frame.caller != shard, report.responses.count < CallReport.maxEntries
                {
                    report.responses.append(response)
                }
            }
            if !report.isEmpty { (report.age, report.waitsInOrder) = (record.age, record.waitsInOrder) }
            if !isHome, let ending = record.ending {
                status = ending == .committed ? .committed : .aborted(.participantAborted)
            }
        } else if !isHome, time > root.request.deadline {
            status = .closed
        }
        guard status != nil || !report.isEmpty else { return nil }
        return Leaf(request: root.digest, entries: status.map { [Leaf.Entry(leg: 0, status: $0)] } ?? [], calls: report)
    }

    /// Root calls of which another shard may have to be told, by (deadline, principal, number, digest).
    public func unfinishedCalls(after: RecoveryCursor?, limit: Int) throws(ShardStateError) -> [UnforgottenRecord] {
        var found: [UnforgottenRecord] = []
        for cursor in state.indexes.openCalls.elements(after: after, limit: limit) {
            guard let record = try state.call(cursor.request) else {
                throw .corruptEntry(key: StateKey.call(cursor.request).bytes, what: "open and not there")
            }
            let leaf = try callLeaf(record.root, nil) ?? Leaf(request: cursor.request, entries: [])
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
                if let invocation = record.root.request.rootCall { shards.append(map.shard(of: invocation.target)) }
            }
            shards = shards.filter { $0 != shard }.sorted()
            let distinct = shards.indices.filter { $0 == 0 || shards[$0] != shards[$0 - 1] }.map { shards[$0] }
            found.append(UnforgottenRecord(cursor: cursor, request: record.root, leaf: leaf, waitingFor: distinct))
        }
        return found
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
