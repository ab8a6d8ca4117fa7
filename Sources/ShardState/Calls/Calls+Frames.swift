import Messages

/// Runs frames of calls, and goes on for as long as one of them can.
extension Calls {
    /// Runs the frames in `runnable`, and those on this shard that they start, answer or wake, until all wait for
    /// somebody else.
    /// - Parameter record: not in the lock table.
    /// - Returns: the answer of the root frame, once it has one.
    mutating func advance(
        _ record: inout CallRecord, _ runnable: [CallPath], in context: inout ExecutionContext
    ) throws(ShardStateError) -> CallResponse? {
        var runnable = runnable
        var outcome: CallResponse?
        while let path = runnable.popLast() {
            guard let index = record.index(of: path), record.frames[index].response == nil else { continue }
            var frame = record.frames[index]
            var run = try FrameRun.run(&frame, of: record, procedures, in: context)
            if case .died(let resource, let isExclusive) = run {
                // All frames of it are gone with this one.
                if startOver(&record, waitingFor: resource, isExclusive: isExclusive, in: context) { return nil }
                run = .failed(CallFailure(.died, shard: context.shard, procedure: frame.invocation.procedure))
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
                    guard context.isHere(call.call.invocation), record.index(of: call.call.path) == nil else {
                        continue
                    }
                    guard record.frames.count < context.limits.maxFramesPerRecord else {
                        runnable += record.note(
                            .tooMany(call.call, on: context.shard), on: context.shard, context.limits)
                        continue
                    }
                    record.put(
                        Frame(
                            path: call.call.path, invocation: call.call.invocation, caller: context.shard,
                            now: context.time,
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
                } else if frame.caller == context.shard {
                    runnable += record.note(response, on: context.shard, context.limits)
                }
            }
        }
        return outcome
    }
}
