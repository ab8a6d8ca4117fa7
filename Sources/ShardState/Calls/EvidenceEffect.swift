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

extension ShardExecutor {
    /// What ordering `evidence` would do now. Its certificates must have been verified. Without any it is a question:
    /// this shard is to say again what it has recorded, or look at its clock.
    /// - Parameter wall: what the time would be if it were ordered now.
    public func effect(of evidence: CallEvidence, wall: Timestamp = .zero) throws(ShardStateError) -> EvidenceEffect {
        guard let invocation = evidence.root.request.rootCall else { return .nothing }
        if evidence.certificates.isEmpty { return .question }
        let home = map.shard(of: invocation.target)
        guard let record = try state.call(evidence.root.digest) else {
            if Mutant.is(.usefulWithoutRecord) { return .changes }
            return home == shard
                ? effectAtHomeWithoutRecord(evidence) : effectWithoutRecord(evidence, home: home, wall: wall)
        }
        var effect = EvidenceEffect.nothing
        for certificate in evidence.certificates where certificate.shard != shard {
            switch self.effect(of: certificate, on: record, home: home) {
            case .changes: return .changes
            case .question: effect = .question
            case .nothing: break
            }
        }
        return effect
    }

    /// What has to be ordered so that this shard certifies what it has to say of a root call to somebody who asks with
    /// `evidence`; nil if it has nothing to say, or if what changes something is to be ordered anyway.
    public func question(by evidence: CallEvidence, wall: Timestamp) throws(ShardStateError) -> CallEvidence? {
        let effect = try effect(of: evidence, wall: wall)
        if effect == .changes { return nil }
        let bare = CallEvidence(root: evidence.root, certificates: [])
        if try state.call(evidence.root.digest) != nil { return bare }
        // Who never heard of a call can say so past the deadline; home has always something to say.
        let isPast = max(time, wall) > evidence.root.request.deadline
        return effect == .question && (isHome(evidence.root) || isPast) ? evidence : nil
    }

    /// Home has ended and forgotten it, or never ran it. Only a callee that has not ended still needs to be told so:
    /// what has ended (`closed` too) needs nothing, and an answer to it would be answered in turn.
    private func effectAtHomeWithoutRecord(_ evidence: CallEvidence) -> EvidenceEffect {
        evidence.certificates.contains { $0.shard != shard && $0.leaf.status(ofLeg: 0) == nil } ? .question : .nothing
    }

    /// In time a call starts a frame. Past the deadline none ever will, and home, while it keeps its outcome, or a
    /// caller may wait to hear that. A home that says `acknowledged` or `noRecordAbort` keeps nothing and waits for
    /// nobody.
    private func effectWithoutRecord(_ evidence: CallEvidence, home: ShardID, wall: Timestamp) -> EvidenceEffect {
        let root = evidence.root.request
        let homes = evidence.certificates.first { $0.shard == home }?.leaf.status(ofLeg: 0)
        guard max(time, wall) > root.deadline else {
            let hasRoom = state.indexes.calls(of: root.principal) < limits.maxCallsPerPrincipal
            return hasRoom && homes?.isDecided != true && !callsHere(evidence).isEmpty ? .changes : .nothing
        }
        switch homes {
        case .returned?, .failed?, .aborted?, .votedNo?, .committed?, .read?: return .question
        case .acknowledged?, .noRecordAbort?: return .nothing
        case .running?, .votedYes?, .closed?, nil: return callsHere(evidence).isEmpty ? .nothing : .question
        }
    }

    private func effect(of certificate: Certificate, on record: CallRecord, home: ShardID) -> EvidenceEffect {
        let isDecided = certificate.leaf.status(ofLeg: 0)?.isDecided == true
        if home == shard, isDecided, record.involved.contains(where: { $0.shard == certificate.shard && !$0.isDone }) {
            return .changes
        }
        guard record.ending == nil else { return .nothing }
        if certificate.shard == home, isDecided { return .changes }
        let report = certificate.leaf.calls
        for path in report.responses.map(\.path) + report.never where isFor(record, path, certificate.shard) {
            let caller = record.index(of: CallPath(Array(path.steps.dropLast())))
            let isOpen =
                caller.map { record.frames[$0].calls.contains { $0.call.path == path && $0.response == nil } } ?? false
            if isOpen { return .changes }
        }
        let isNew = report.issued.contains {
            map.shard(of: $0.invocation.target) == shard && record.index(of: $0.path) == nil
        }
        guard isNew else { return .nothing }
        // Past the deadline it is said that it never will run; with too many frames nothing is said.
        if time > record.deadline { return .question }
        return record.frames.count < 2 * limits.maxFramesPerRecord ? .changes : .nothing
    }
}
