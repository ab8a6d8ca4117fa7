import Messages

/// How one run of a frame's procedure has ended.
enum FrameRun {
    /// It waits for answers.
    case suspended
    /// It waits for a lock.
    case blocked(resource: [UInt8], isExclusive: Bool)
    /// It may not wait for this one (R5).
    case died(resource: [UInt8], isExclusive: Bool)
    case answered(CallAnswer, consumed: [ConsumedCall], flows: [AssetFlow])

    static func failed(_ failure: CallFailure) -> FrameRun { .answered(.failed(failure), consumed: [], flows: []) }

    /// Runs a frame's procedure from its start.
    /// - Parameter frame: gets its locks, what it changes and what it calls.
    static func run(
        _ frame: inout Frame, of record: CallRecord, _ procedures: ProcedureRegistry, in context: ExecutionContext
    ) throws(ShardStateError) -> FrameRun {
        let view = ProcedureContext(
            shard: context.shard, map: context.map, limits: context.limits, state: context.state,
            table: context.state.indexes.locks, record: record, frame: frame)
        var result: [UInt8]?
        var thrown: (any Error)?
        if let procedure = procedures.find(frame.invocation) {
            do { result = try procedure.run(frame.invocation.arguments, view) } catch { thrown = error }
        } else {
            let name = "\(frame.invocation.procedure)@\(frame.invocation.version)"
            thrown = view.failure(.unknownProcedure, "there is no procedure \(name)")
        }
        if let damage = view.damage { throw damage }
        frame.locks = merge(frame.locks, view.acquired)
        switch view.stop {
        case .blocked(let resource, let isExclusive)?: return .blocked(resource: resource, isExclusive: isExclusive)
        case .died(let resource, let isExclusive)?:
            frame.writes = []
            return .died(resource: resource, isExclusive: isExclusive)
        case .calling?:
            // What was changed so far is what the calls see if they come back here (R14).
            frame.writes = view.sortedWrites
            for call in view.issued { frame.calls.append(FrameCall(call: call)) }
            guard frame.weight + record.weight(without: frame) <= context.limits.maxBytesPerRecord else {
                (frame.writes, frame.calls) = ([], [])
                return .failed(.tooLarge(frame, on: context.shard, context.limits))
            }
            return .suspended
        case .failed(let failure)?:
            frame.writes = []
            return .failed(failure)
        case nil: break
        }
        guard let result else {
            frame.writes = []
            let text = (thrown as? CallFailure).map(\.text) ?? thrown.map { String(describing: $0) } ?? ""
            let reason = (thrown as? CallFailure)?.reason ?? .procedure
            return .failed(view.failure(reason, text))
        }
        guard result.count <= Invocation.maxValueBytes else {
            return .failed(view.failure(.limit, "a result of \(result.count) bytes"))
        }
        frame.writes = view.sortedWrites
        guard frame.weight + result.count + record.weight(without: frame) <= context.limits.maxBytesPerRecord else {
            (frame.writes, frame.calls) = ([], [])
            return .failed(.tooLarge(frame, on: context.shard, context.limits))
        }
        return .answered(.returned(result), consumed: view.consumed, flows: view.flows)
    }

    private static func merge(_ held: [HeldLock], _ acquired: [HeldLock]) -> [HeldLock] {
        var merged = held
        for lock in acquired {
            if let place = merged.firstIndex(where: { $0.resource == lock.resource }) {
                merged[place].isExclusive = merged[place].isExclusive || lock.isExclusive
            } else {
                merged.append(lock)
            }
        }
        return merged
    }
}

extension CallRecord {
    fileprivate func weight(without frame: Frame) -> Int {
        frames.reduce(0) { $0 + ($1.path == frame.path ? 0 : $1.weight) }
    }
}

extension CallFailure {
    /// What a transaction keeps on one shard is bounded.
    static func tooLarge(_ frame: Frame, on shard: ShardID, _ limits: ShardLimits) -> CallFailure {
        CallFailure(
            .limit, shard: shard, procedure: frame.invocation.procedure,
            text: "more than \(limits.maxBytesPerRecord) bytes of arguments, results and changes on one shard")
    }
}
