import Messages
import PBFT
import ShardState

/// For tests and simulation: what is true between any two steps, and what there is to compare.
extension HostCore {
    public struct Progress: Sendable {
        public let shard: ShardID
        public let sequence: SequenceNumber
        public let history: Digest
        public let view: View
        public let undecided: Int
    }

    public func progress() -> [Progress] {
        nodes.map {
            Progress(
                shard: $0.shard, sequence: $0.executor.lastExecuted, history: $0.executor.history, view: $0.replica.view,
                undecided: $0.executor.undecidedCount)
        }
    }

    public func checkInvariants() throws {
        for node in nodes where node.halted == nil {
            try node.replica.checkInvariants()
            precondition(
                node.replica.isExecutionPaused || node.replica.lastExecuted == node.executor.lastExecuted,
                "the replica and its state stand at different batches")
        }
    }

    /// The expensive part: reads the whole state.
    public mutating func checkStateInvariants() throws {
        for i in nodes.indices where nodes[i].halted == nil { try nodes[i].executor.checkInvariants() }
    }

    public mutating func audits() throws -> [ShardAudit] {
        var audits: [ShardAudit] = []
        for i in nodes.indices { audits.append(try nodes[i].executor.audit(replica: nodes[i].me)) }
        return audits
    }

    public func balance(_ account: AccountID) -> UInt128? {
        guard let i = node(manifest.shardMap.shard(of: account)) else { return nil }
        return ((try? nodes[i].executor.account(account)) ?? nil)?.posted.number
    }
}
