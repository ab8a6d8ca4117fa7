import Messages

/// Root calls at their home shard, and the frames that other shards ask for (R13): runs procedures under locks
/// (`Calls+Frames.swift`, `Calls+Waiting.swift`), takes what other shards have certified of a transaction
/// (`Calls+Evidence.swift`), and ends it (`Calls+Ending.swift`).
///
/// Of the participant's legs it knows one thing: what they have reserved on an account, which the state says. Those
/// accounts it leaves alone (R6).
package struct Calls {
    let procedures: ProcedureRegistry
    /// Of the batch that is executed: its number, how many waits began in it, and what was let go and not yet given on.
    private var executing = SequenceNumber.zero
    private var waits: UInt64 = 0
    var grants: [[UInt8]] = []

    /// - Parameter procedures: what can be called here; every replica has the same.
    package init(procedures: ProcedureRegistry) { self.procedures = procedures }

    /// Another batch is executed from here on.
    package mutating func begin(_ sequence: SequenceNumber) { (executing, waits) = (sequence, 0) }

    /// In order of arrival, and the same on a replica that was restarted in between.
    mutating func nextOrdinal() -> UInt64 {
        waits += 1
        return executing.number << 20 | waits
    }

    // MARK: A root call, ordered at home

    /// A signed root call. Known, it is answered with what is recorded; new, it is run.
    package mutating func execute(
        _ signed: SignedRequest, _ invocation: Invocation, in context: inout ExecutionContext,
        into results: inout BatchResults
    ) throws(ShardStateError) {
        let request = signed.request
        guard context.isHere(invocation) else { return }
        let leg = VotingRules.OwnLeg(leg: 0, participants: 1, own: 0)
        let principal = try context.state.principal(request.principal)
        let requests = try context.state.request(request.principal, request.number)
        let known = requests.index(of: signed.digest).map { requests.attempts[$0] }
        if let answer = context.finalAnswers([leg], of: request, attempt: known, principal)[0] {
            results.noteVain(signed.digest)
            return try context.emit(call: signed, answer, into: &results)
        }
        func refuse(_ reason: RefusalReason) { context.report([(0, reason)], of: signed, into: &results) }
        if let refusal = try context.admission(of: request, attempts: requests.attempts.count, principal) {
            return refuse(refusal)
        }
        if VotingRules.isSuperseded(0, of: signed.digest, in: requests) {
            try putAttempt(signed, .aborted(.superseded), in: &context)
            return try context.emit(call: signed, .aborted(.superseded), into: &results)
        }
        guard Int(principal.undecided) < context.limits.maxUndecidedPerPrincipal, !context.isPressed else {
            return refuse(.overloaded)
        }
        let (age, isRetry) = try takeOverAge(of: request, in: &context)
        // Who has died once waits by age, which says when it is its turn.
        let waitsInOrder = !isRetry && procedures.find(invocation)?.locksInOrder == true
        var record = CallRecord(root: signed, age: age, waitsInOrder: waitsInOrder)
        record.put(Frame(path: .root, invocation: invocation, caller: context.shard, now: context.time, reach: .bare))
        let outcome = try advance(&record, [.root], in: &context)
        if case .failed(let failure)? = outcome?.answer, failure.reason == .died,
            !record.hasCalledOthers(but: context.shard, context.map)
        {
            // Nobody else knows of it: its outcome and its age are all that is kept (R5).
            try putAttempt(signed, .failed(failure), age: record.age, in: &context)
            return try context.emit(call: signed, into: &results)
        }
        try putAttempt(signed, .running, age: record.age, in: &context)
        try context.state.put(record)
        try settleHome(signed, outcome, in: &context)
        try context.emit(call: signed, into: &results)
    }

    /// How old a new root call is: as old as the one that it continues, if that failed here for want of a lock and not
    /// too long ago; otherwise it is new. An age is taken over once, so that nobody can use one for many, and does not
    /// grow without end (R5).
    private func takeOverAge(
        of request: Request, in context: inout ExecutionContext
    ) throws(ShardStateError) -> (Timestamp, isRetry: Bool) {
        let time = context.time
        guard let continued = request.continuedCall, continued < request.number else { return (time, false) }
        var requests = try context.state.request(request.principal, continued)
        let found = requests.attempts.firstIndex { attempt in
            guard attempt.age != nil, case .failed? = attempt.record(ofLeg: 0)?.status else { return false }
            return time <= attempt.deadline.adding(microseconds: context.limits.maxLifetimeMicroseconds)
        }
        guard let found, let age = requests.attempts[found].age else { return (time, false) }
        requests.attempts[found].age = nil
        try context.state.put(requests, request.principal, continued)
        // Nobody is served before all others for ever.
        let oldest = time.number - min(time.number, Self.longestAge * context.limits.maxLifetimeMicroseconds)
        return (max(age, Timestamp(oldest)), true)
    }

    /// In lifetimes of a request: far more than it takes to become the oldest.
    private static let longestAge: UInt64 = 8

    /// Sets the status of the only leg of a root call, and what follows from it.
    /// - Parameter age: of a new one that runs, or has died.
    func putAttempt(
        _ signed: SignedRequest, _ status: LegStatus, age: Timestamp? = nil, in context: inout ExecutionContext
    ) throws(ShardStateError) {
        let request = signed.request
        var requests = try context.state.request(request.principal, request.number)
        let principal = try context.state.principal(request.principal)
        let known = requests.index(of: signed.digest)
        let previous = known.map { requests.attempts[$0] }
        var attempt = previous ?? AttemptRecord(digest: signed.digest, deadline: request.deadline, mode: request.mode)
        attempt.put(LegRecord(leg: 0, status: status, participants: 1, own: 0))
        attempt.isWhole = true
        if let age { attempt.age = age }
        switch status {
        case .running: attempt.hasCall = true
        case .failed(let failure) where failure.reason == .died || failure.reason == .waited: break
        default: attempt.age = nil
        }
        if let known { requests.attempts[known] = attempt } else { requests.attempts.append(attempt) }
        try context.state.put(requests, request.principal, request.number)
        let undecided = Int(principal.undecided) + attempt.undecided - (previous?.undecided ?? 0)
        guard undecided >= 0 else {
            throw .corruptEntry(key: StateKey.principal(request.principal).bytes, what: "undecided legs")
        }
        try context.note(request, undecided: undecided, in: principal)
    }
}
