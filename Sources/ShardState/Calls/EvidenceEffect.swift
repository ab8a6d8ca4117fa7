import Messages

/// What ordering a `CallEvidence` would do here.
public enum EvidenceEffect: Hashable, Sendable {
    /// Nothing, and nobody can be waiting for what this shard would say of it.
    case nothing
    /// Nothing changes here, but a shard that has not finished may wait for what this one certifies of it.
    case question
    /// A frame starts, gets an answer or ends, or home learns that a shard is done: bypasses every cap (R12).
    case changes
}

extension EvidenceEffect {
    /// - Parameters:
    ///   - evidence: its certificates are verified. Without any it is a question: this shard is to say again what it
    ///     has recorded, or look at its clock.
    ///   - wall: what the time would be if it were ordered now.
    init(of evidence: CallEvidence, wall: Timestamp, in context: ExecutionContext) throws(ShardStateError) {
        self = try Self.effect(of: evidence, wall: wall, in: context)
    }

    private static func effect(
        of evidence: CallEvidence, wall: Timestamp, in context: ExecutionContext
    ) throws(ShardStateError) -> EvidenceEffect {
        guard let invocation = evidence.root.request.rootCall else { return .nothing }
        if evidence.certificates.isEmpty { return .question }
        let home = context.map.shard(of: invocation.target)
        guard let record = try context.state.call(evidence.root.digest) else {
            if Mutant.is(.usefulWithoutRecord) { return .changes }
            return home == context.shard
                ? atHomeWithoutRecord(evidence, context.shard)
                : withoutRecord(evidence, home: home, wall: wall, in: context)
        }
        var effect = EvidenceEffect.nothing
        for certificate in evidence.certificates where certificate.shard != context.shard {
            switch self.effect(of: certificate, on: record, home: home, in: context) {
            case .changes: return .changes
            case .question: effect = .question
            case .nothing: break
            }
        }
        return effect
    }

    /// Home has ended and forgotten it, or never ran it. Only a callee that has not ended still needs to be told so:
    /// what has ended (`closed` too) needs nothing, and an answer to it would be answered in turn.
    private static func atHomeWithoutRecord(_ evidence: CallEvidence, _ shard: ShardID) -> EvidenceEffect {
        evidence.certificates.contains { $0.shard != shard && $0.leaf.status(ofLeg: 0) == nil } ? .question : .nothing
    }

    /// In time a call starts a frame. Past the deadline none ever will, and home, while it keeps its outcome, or a
    /// caller may wait to hear that. A home that says `acknowledged` or `noRecordAbort` keeps nothing and waits for
    /// nobody.
    private static func withoutRecord(
        _ evidence: CallEvidence, home: ShardID, wall: Timestamp, in context: ExecutionContext
    ) -> EvidenceEffect {
        let root = evidence.root.request
        let homes = evidence.certificates.first { $0.shard == home }?.leaf.status(ofLeg: 0)
        let isCalled = !evidence.calls(to: context.shard, context.map).isEmpty
        guard max(context.time, wall) > root.deadline else {
            let hasRoom = context.state.indexes.calls(of: root.principal) < context.limits.maxCallsPerPrincipal
            return hasRoom && homes?.isDecided != true && isCalled ? .changes : .nothing
        }
        switch homes {
        case .returned?, .failed?, .aborted?, .votedNo?, .committed?, .read?: return .question
        case .acknowledged?, .noRecordAbort?: return .nothing
        case .running?, .votedYes?, .closed?, nil: return isCalled ? .question : .nothing
        }
    }

    private static func effect(
        of certificate: Certificate, on record: CallRecord, home: ShardID, in context: ExecutionContext
    ) -> EvidenceEffect {
        let isDecided = certificate.leaf.status(ofLeg: 0)?.isDecided == true
        if home == context.shard, isDecided,
            record.involved.contains(where: { $0.shard == certificate.shard && !$0.isDone })
        {
            return .changes
        }
        guard record.ending == nil else { return .nothing }
        if certificate.shard == home, isDecided { return .changes }
        let report = certificate.leaf.calls
        for path in report.responses.map(\.path) + report.never
        where record.hasCalled(path, on: certificate.shard, context.map) {
            let caller = record.index(of: CallPath(Array(path.steps.dropLast())))
            let isOpen =
                caller.map { record.frames[$0].calls.contains { $0.call.path == path && $0.response == nil } } ?? false
            if isOpen { return .changes }
        }
        let isNew = report.issued.contains {
            context.isHere($0.invocation) && record.index(of: $0.path) == nil
        }
        guard isNew else { return .nothing }
        // Past the deadline it is said that it never will run; with too many frames nothing is said.
        if context.time > record.deadline { return .question }
        return record.frames.count < 2 * context.limits.maxFramesPerRecord ? .changes : .nothing
    }
}
