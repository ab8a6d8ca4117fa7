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
        /// The shard's time.
        public let time: Timestamp
    }

    /// What a replica has still to do without anybody asking.
    public struct Activity: Sendable {
        public let shard: ShardID
        /// Waits to be ordered.
        public let pending: Int
        /// Records that are pushed to other shards.
        public let open: Int
        public var isNothing: Bool { pending == 0 && open == 0 }
    }

    public func activity() -> [Activity] {
        nodes.map { Activity(shard: $0.shard, pending: $0.requests.count + $0.decides.count, open: $0.executor.openCount) }
    }

    public func progress() -> [Progress] { nodes.indices.map { progress(of: $0) } }

    /// - Parameter index: of one of `shards`.
    public func progress(of index: Int) -> Progress {
        Progress(
            shard: nodes[index].shard, sequence: nodes[index].executor.lastExecuted, history: nodes[index].executor.history,
            view: nodes[index].replica.view, undecided: nodes[index].executor.undecidedCount, time: nodes[index].executor.time)
    }

    /// How many `shards` there are.
    public var shardCount: Int { nodes.count }

    /// The shard that a step with this input works on; nil if it may be any.
    public static func shard(of input: HostInput) -> ShardID? {
        switch input {
        case .peer(_, let message):
            switch message.value {
            case .pbft(let shard, _), .push(let shard, _), .stateTransfer(let shard, _), .forward(let shard, _): shard
            }
        case .flushed(let shard, _): shard
        case .gateway, .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .storageFailed, .tick: nil
        }
    }

    /// Mutating only so that everything is looked at where it lies.
    /// - Parameter shard: the one that a step touched; nil for all.
    public mutating func checkInvariants(of shard: ShardID? = nil) throws {
        for i in nodes.indices where nodes[i].halted == nil && (shard == nil || nodes[i].shard == shard) {
            try nodes[i].replica.checkInvariants()
            precondition(
                nodes[i].replica.isExecutionPaused || nodes[i].replica.lastExecuted == nodes[i].executor.lastExecuted,
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

    public func balance(_ account: AccountID) -> UInt128? { view(of: account)?.posted.number }

    /// As this host has it now.
    public func view(of account: AccountID) -> AccountView? {
        guard let i = node(manifest.shardMap.shard(of: account)) else { return nil }
        return (try? nodes[i].executor.account(account)) ?? nil
    }
}
