import Messages

/// What a transaction's frames here have asked of others, and what those answer.
extension CallRecord {
    /// Some other shard may know of the transaction.
    func hasCalledOthers(but shard: ShardID, _ map: ShardMap) -> Bool {
        frames.contains { $0.calls.contains { map.shard(of: $0.call.invocation.target) != shard } }
    }

    /// A frame here has made this call, and to that shard.
    func hasCalled(_ path: CallPath, on shard: ShardID, _ map: ShardMap) -> Bool {
        guard let last = index(of: CallPath(Array(path.steps.dropLast()))), path.depth > 0 else { return false }
        return frames[last].calls.contains {
            $0.call.path == path && map.shard(of: $0.call.invocation.target) == shard
        }
    }

    /// Notes an answer in the frame that waits for it. Gives that frame's path when all that it waits for is there.
    mutating func note(_ response: CallResponse, on shard: ShardID, _ limits: ShardLimits) -> [CallPath] {
        let callerPath = CallPath(Array(response.path.steps.dropLast()))
        guard let index = self.index(of: callerPath), case .calling = frames[index].phase,
            let call = frames[index].calls.firstIndex(where: { $0.call.path == response.path }),
            frames[index].calls[call].response == nil
        else { return [] }
        var frame = frames[index]
        if weight + response.weight > limits.maxBytesPerRecord, case .returned = response.answer {
            frame.calls[call].response = CallResponse(
                path: response.path, answer: .failed(.tooLarge(frame, on: shard, limits)), consumed: [], flows: [])
        } else {
            frame.calls[call].response = response
        }
        put(frame)
        return frame.waitsForAnswers ? [] : [callerPath]
    }
}

extension CallResponse {
    /// The answer to a call for which there is no room here.
    static func tooMany(_ call: IssuedCall, on shard: ShardID) -> CallResponse {
        let failure = CallFailure(
            .limit, shard: shard, procedure: call.invocation.procedure, text: "too many calls of one transaction")
        return CallResponse(path: call.path, answer: .failed(failure), consumed: [], flows: [])
    }
}
