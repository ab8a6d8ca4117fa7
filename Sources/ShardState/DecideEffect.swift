import Messages

/// What a `TransactionDecide` would do here.
public enum DecideEffect: Hashable, Sendable {
    /// No record of that request: the vote may not be executed here yet, or the record is forgotten.
    case noRecord
    /// Nothing new.
    case nothing
    /// A participant becomes known decided: the record comes nearer to being forgotten (R10).
    case notes
    /// A leg that is undecided here is decided: bypasses every cap (R12).
    case decides
}

extension ExecutionContext {
    /// What ordering `decide` would do now. Its certificates must have been verified.
    func effect(of decide: TransactionDecide) throws(ShardStateError) -> DecideEffect {
        let record = try state.request(decide.principal, decide.number)
        guard let index = record.index(of: decide.request) else { return .noRecord }
        let attempt = record.attempts[index]
        guard attempt.hasBody else { return .nothing }
        let advance = AttemptAdvance(
            attempt, request: try state.body(attempt.digest).request, shard: shard, map: map,
            certificates: decide.certificates)
        if !advance.decisions.isEmpty { return .decides }
        return advance.notes ? .notes : .nothing
    }
}
