import Messages

/// What a gateway's answer to a request says, as people count it: the request as a whole, which is committed if all its
/// legs are.
package struct AnsweredRequest: Sendable, Equatable {
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
    package let abort: AbortCause?
    /// Of its first operations.
    package let steps: [Step]
    /// Something of it concerns several shards.
    package let isCross: Bool

    /// What is looked at of one request: it may have a thousand operations, and this is done for each answer.
    private static let maxOperations = 8

    package init(request: Digest, abort: AbortCause?, steps: [Step], isCross: Bool) {
        (self.request, self.abort, self.steps, self.isCross) = (request, abort, steps, isCross)
    }

    /// - Parameter legs: the receipt's.
    package init(_ receipt: Receipt, legs: DecidedLegs, map: ShardMap) {
        let request = receipt.request.request
        self.request = receipt.request.digest
        abort = legs.cause
        var steps: [Step] = []
        var calls = false
        for operation in request.operations.prefix(Self.maxOperations) {
            switch operation {
            case .transfer(let transfer):
                steps.append(Step(from: map.shard(of: transfer.from), to: map.shard(of: transfer.to)))
            case .open(let account): steps.append(.on(map.shard(of: account.id)))
            case .issue(let account, _, _), .read(let account): steps.append(.on(map.shard(of: account)))
            case .call(let invocation, _):
                steps.append(.on(map.shard(of: invocation.target)))
                calls = true
            }
        }
        for certificate in receipt.certificates where calls {
            for entry in certificate.leaf.entries.prefix(Self.maxOperations) {
                guard case .returned(_, let consumed) = entry.status else { continue }
                for call in consumed.prefix(Self.maxOperations) where call.shard != certificate.shard {
                    steps.append(Step(from: certificate.shard, to: call.shard))
                }
            }
        }
        self.steps = steps
        let first = receipt.certificates.first?.shard
        isCross =
            steps.contains { $0.from != $0.to }
            || (request.mode == .atomic && receipt.certificates.contains { $0.shard != first })
    }
}

extension AnsweredRequest.Step {
    fileprivate static func on(_ shard: ShardID) -> Self { Self(from: shard, to: shard) }
}
