import Messages

/// What a gateway's answer to a request says, as people count it: the request as a whole, which is committed if all its
/// legs are.
package struct AnsweredRequest: Sendable, Equatable {
    /// Why a request was aborted, as far as its certificates say. The first that tells more than that another shard
    /// did.
    package enum Abort: Hashable, Sendable {
        case reason(AbortReason)
        /// A shard's time had passed the deadline, and it had no record.
        case noRecord
        /// Its principal had acknowledged the number before: it may have been committed, and nobody can prove it (R11).
        case acknowledged

        /// All, in the order of their places.
        package static let all = AbortReason.allCases.map(Abort.reason) + [.noRecord, .acknowledged]
        /// In `all`.
        package var place: Int {
            switch self {
            case .reason(let reason): Int(reason.rawValue) - 1
            case .noRecord: Self.all.count - 2
            case .acknowledged: Self.all.count - 1
            }
        }
        /// As JSON has it: `insufficient_funds`.
        package var label: String {
            switch self {
            case .reason(let reason): HostCounters.label("\(Self.name(reason))")
            case .noRecord: "no_record"
            case .acknowledged: "acknowledged"
            }
        }
        /// In words.
        package var description: String {
            switch self {
            case .reason(let reason): reason.description
            case .noRecord: "no record by the deadline"
            case .acknowledged: "acknowledged before: nobody can prove the outcome any more"
            }
        }

        /// Its description is a sentence.
        private static func name(_ reason: AbortReason) -> String {
            switch reason {
            case .insufficientFunds: "insufficientFunds"
            case .unknownAccount: "unknownAccount"
            case .notAuthorised: "notAuthorised"
            case .wrongAsset: "wrongAsset"
            case .overflow: "overflow"
            case .accountExists: "accountExists"
            case .malformed: "malformed"
            case .superseded: "superseded"
            case .participantAborted: "participantAborted"
            case .callFailed: "callFailed"
            case .frozen: "frozen"
            case .noComplianceAuthority: "noComplianceAuthority"
            }
        }
    }

    /// One shard asked another for something: where money leaves or a call begins, and where it arrives. The same shard
    /// twice where nothing crosses.
    package struct Step: Hashable, Sendable {
        package let from: ShardID
        package let to: ShardID

        package init(from: ShardID, to: ShardID) { (self.from, self.to) = (from, to) }
    }

    /// Its digest.
    package let request: Digest
    /// Nil if it is committed.
    package let abort: Abort?
    /// Of its first operations.
    package let steps: [Step]
    /// Something of it concerns several shards.
    package let isCross: Bool

    /// What is looked at of one request: an answer may have a thousand legs, and this is done for each answer.
    private static let maxOperations = 8
    private static let maxStatuses = 64

    package init(request: Digest, abort: Abort?, steps: [Step], isCross: Bool) {
        (self.request, self.abort, self.steps, self.isCross) = (request, abort, steps, isCross)
    }

    package init(_ receipt: Receipt, map: ShardMap) {
        let request = receipt.request.request
        self.request = receipt.request.digest
        var steps: [Step] = []
        for operation in request.operations.prefix(Self.maxOperations) {
            switch operation {
            case .transfer(let transfer):
                steps.append(Step(from: map.shard(of: transfer.from), to: map.shard(of: transfer.to)))
            case .open(let account): steps.append(.on(map.shard(of: account.id)))
            case .issue(let account, _, _), .read(let account), .freeze(let account, _), .release(let account):
                steps.append(.on(map.shard(of: account)))
            case .call(let invocation, _): steps.append(.on(map.shard(of: invocation.target)))
            }
        }
        var abort: Abort?
        // What one shard has forgotten another one may still prove.
        var (isCommitted, isForgotten) = (false, false)
        var left = Self.maxStatuses
        for certificate in receipt.certificates {
            for entry in certificate.leaf.entries where left > 0 {
                left -= 1
                switch entry.status {
                case .committed, .read: isCommitted = true
                case .votedYes, .running, .closed: continue
                case .acknowledged: isForgotten = true
                case .returned(_, let consumed):
                    isCommitted = true
                    for call in consumed.prefix(Self.maxOperations) where call.shard != certificate.shard {
                        steps.append(Step(from: certificate.shard, to: call.shard))
                    }
                case .votedNo(let reason), .aborted(let reason):
                    if abort == nil || abort == .reason(.participantAborted) { abort = .reason(reason) }
                case .failed: abort = abort ?? .reason(.callFailed)
                case .noRecordAbort: if abort == nil || abort == .reason(.participantAborted) { abort = .noRecord }
                }
            }
        }
        if isForgotten, !isCommitted { abort = abort ?? .acknowledged }
        (self.abort, self.steps) = (abort, steps)
        let first = receipt.certificates.first?.shard
        isCross =
            steps.contains { $0.from != $0.to }
            || (request.mode == .atomic && receipt.certificates.contains { $0.shard != first })
    }
}

extension AnsweredRequest.Step {
    fileprivate static func on(_ shard: ShardID) -> Self { Self(from: shard, to: shard) }
}
