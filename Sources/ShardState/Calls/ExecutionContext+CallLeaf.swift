import Messages

/// What is certified of a root call.
extension ExecutionContext {
    /// Everything that this shard says of a root call now, in one leaf.
    /// - Parameter status: at home, if it is not in the request's record.
    func emit(
        call root: SignedRequest, _ status: LegStatus? = nil, never: [CallPath] = [], into results: inout BatchResults
    ) throws(ShardStateError) {
        if let leaf = try leaf(ofCall: root, status, never: never) { results.emit(leaf) }
    }

    /// The same leaf; nil if there is nothing to say.
    func leaf(
        ofCall root: SignedRequest, _ status: LegStatus? = nil, never: [CallPath] = []
    ) throws(ShardStateError) -> Leaf? {
        var status = status
        let record = try state.call(root.digest)
        let isHome = state.isHome(root)
        if status == nil, isHome {
            let requests = try state.request(root.request.principal, root.request.number)
            status = requests.index(of: root.digest).flatMap { requests.attempts[$0].record(ofLeg: 0)?.status }
        }
        var report = CallReport()
        report.never = Array(never.prefix(CallReport.maxEntries))
        if let record {
            for frame in record.frames {
                for call in frame.calls
                where call.response == nil && !isHere(call.call.invocation) {
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
}
