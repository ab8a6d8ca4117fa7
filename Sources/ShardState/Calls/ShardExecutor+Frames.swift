import Messages

/// Runs frames of calls, and goes on for as long as one of them can.
extension ShardExecutor {
    private enum Run {
        case suspended
        case blocked(resource: [UInt8], isExclusive: Bool)
        case died(resource: [UInt8], isExclusive: Bool)
        case answered(CallAnswer, consumed: [ConsumedCall], flows: [AssetFlow])

        static func failed(_ failure: CallFailure) -> Run { .answered(.failed(failure), consumed: [], flows: []) }
    }

    /// Runs the frames in `runnable`, and those on this shard that they start, answer or wake, until all wait for
    /// somebody else.
    /// - Parameter record: not in the lock table.
    /// - Returns: the answer of the root frame, once it has one.
    mutating func advance(_ record: inout CallRecord, _ runnable: [CallPath]) throws(ShardStateError) -> CallResponse? {
        var runnable = runnable
        var outcome: CallResponse?
        while let path = runnable.popLast() {
            guard let index = record.index(of: path), record.frames[index].response == nil else { continue }
            var frame = record.frames[index]
            var run = try run(&frame, of: record)
            if case .died(let resource, let isExclusive) = run {
                // All frames of it are gone with this one.
                if startOver(&record, waitingFor: resource, isExclusive: isExclusive) { return nil }
                run = .failed(CallFailure(.died, shard: shard, procedure: frame.invocation.procedure))
            }
            switch run {
            case .died: break
            case .blocked(let resource, let isExclusive):
                frame.phase = .waiting(resource: resource, isExclusive: isExclusive, ordinal: nextOrdinal())
                record.put(frame)
            case .suspended:
                frame.phase = .calling
                record.put(frame)
                for call in frame.calls.reversed() where call.response == nil {
                    let callee = map.shard(of: call.call.invocation.target)
                    guard callee == shard, record.index(of: call.call.path) == nil else { continue }
                    guard record.frames.count < limits.maxFramesPerRecord else {
                        runnable += note(tooMany(call.call), in: &record)
                        continue
                    }
                    record.put(
                        Frame(
                            path: call.call.path, invocation: call.call.invocation, caller: shard, now: time,
                            reach: .any))
                    runnable.append(call.call.path)
                }
            case .answered(let answer, let consumed, let flows):
                // A frame's one and only response.
                let response = CallResponse(
                    path: path, answer: answer, consumed: consumed.sorted { $0.path < $1.path }, flows: flows)
                frame.phase = .responded(response)
                record.put(frame)
                if path == .root {
                    outcome = response
                } else if frame.caller == shard {
                    runnable += note(response, in: &record)
                }
            }
        }
        return outcome
    }

    /// The answer to a call for which there is no room here.
    func tooMany(_ call: IssuedCall) -> CallResponse {
        let failure = CallFailure(
            .limit, shard: shard, procedure: call.invocation.procedure, text: "too many calls of one transaction")
        return CallResponse(path: call.path, answer: .failed(failure), consumed: [], flows: [])
    }

    /// Notes an answer in the frame that waits for it. Gives that frame's path when all that it waits for is there.
    mutating func note(_ response: CallResponse, in record: inout CallRecord) -> [CallPath] {
        let callerPath = CallPath(Array(response.path.steps.dropLast()))
        guard let index = record.index(of: callerPath), case .calling = record.frames[index].phase,
            let call = record.frames[index].calls.firstIndex(where: { $0.call.path == response.path }),
            record.frames[index].calls[call].response == nil
        else { return [] }
        var frame = record.frames[index]
        if record.weight + response.weight > limits.maxBytesPerRecord, case .returned = response.answer {
            frame.calls[call].response = CallResponse(
                path: response.path, answer: .failed(tooLarge(frame)), consumed: [], flows: [])
        } else {
            frame.calls[call].response = response
        }
        record.put(frame)
        return frame.waitsForAnswers ? [] : [callerPath]
    }

    private func tooLarge(_ frame: Frame) -> CallFailure {
        CallFailure(
            .limit, shard: shard, procedure: frame.invocation.procedure,
            text: "more than \(limits.maxBytesPerRecord) bytes of arguments, results and changes on one shard")
    }

    private func run(_ frame: inout Frame, of record: CallRecord) throws(ShardStateError) -> Run {
        let context = ProcedureContext(
            shard: shard, map: map, limits: limits, state: state, table: state.indexes.locks, record: record,
            frame: frame)
        var result: [UInt8]?
        var thrown: (any Error)?
        if let procedure = procedures.find(frame.invocation) {
            do { result = try procedure.run(frame.invocation.arguments, context) } catch { thrown = error }
        } else {
            let name = "\(frame.invocation.procedure)@\(frame.invocation.version)"
            thrown = context.failure(.unknownProcedure, "there is no procedure \(name)")
        }
        if let damage = context.damage { throw damage }
        frame.locks = Self.merge(frame.locks, context.acquired)
        switch context.stop {
        case .blocked(let resource, let isExclusive)?: return .blocked(resource: resource, isExclusive: isExclusive)
        case .died(let resource, let isExclusive)?:
            frame.writes = []
            return .died(resource: resource, isExclusive: isExclusive)
        case .calling?:
            // What was changed so far is what the calls see if they come back here (R14).
            frame.writes = context.sortedWrites
            for call in context.issued { frame.calls.append(FrameCall(call: call)) }
            guard frame.weight + weight(of: record, without: frame) <= limits.maxBytesPerRecord else {
                (frame.writes, frame.calls) = ([], [])
                return .failed(tooLarge(frame))
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
            return .failed(context.failure(reason, text))
        }
        guard result.count <= Invocation.maxValueBytes else {
            return .failed(context.failure(.limit, "a result of \(result.count) bytes"))
        }
        frame.writes = context.sortedWrites
        guard frame.weight + result.count + weight(of: record, without: frame) <= limits.maxBytesPerRecord else {
            (frame.writes, frame.calls) = ([], [])
            return .failed(tooLarge(frame))
        }
        return .answered(.returned(result), consumed: context.consumed, flows: context.flows)
    }

    private func weight(of record: CallRecord, without frame: Frame) -> Int {
        record.frames.reduce(0) { $0 + ($1.path == frame.path ? 0 : $1.weight) }
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

    /// In order of arrival, and the same on a replica that was restarted in between.
    mutating func nextOrdinal() -> UInt64 {
        waits += 1
        return executing.number << 20 | waits
    }
}
