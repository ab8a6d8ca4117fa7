import Messages
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

    /// Ascending.
    public var shards: [ShardID] { machines.map(\.id) }

    /// - Parameter now: nil leaves out for how long records have been undecided.
    public func status(now: Instant? = nil) -> [ReplicaStatus] { machines.map { $0.machine.status(now: now) } }

    public func activity() -> [Activity] { machines.map { $0.machine.activity() } }

    public func progress() -> [Progress] { machines.map { $0.machine.progress() } }

    /// As `progress`, without making a list of it.
    public func forEachProgress(_ body: (Progress) throws -> Void) rethrows {
        for shard in machines { try body(shard.machine.progress()) }
    }

    /// The shard that a step with this input works on; nil if it may be any.
    public static func shard(of input: HostInput) -> ShardID? {
        switch input {
        case .peer(_, let message): message.value.shard
        case .flushed(let shard, _): shard
        case .gateway, .gatewayClosed, .peerConnected, .peerDisconnected, .persisted, .storageFailed, .tick: nil
        }
    }

    /// - Parameter id: the shard that a step touched; nil for all.
    public func checkInvariants(of id: ShardID? = nil) throws {
        for shard in machines where id == nil || shard.id == id { try shard.machine.checkInvariants() }
    }

    /// The expensive part: reads the whole state.
    public func checkStateInvariants() throws { for shard in machines { try shard.machine.checkStateInvariants() } }

    public func audits() throws -> [ShardAudit] {
        var audits: [ShardAudit] = []
        for shard in machines { audits.append(try shard.machine.freshAudit()) }
        return audits
    }

    public func balance(_ account: AccountID) -> UInt128? { view(of: account)?.posted.number }

    /// As this host has it now.
    public func view(of account: AccountID) -> AccountView? {
        shard(manifest.shardMap.shard(of: account))?.machine.view(of: account)
    }
}
