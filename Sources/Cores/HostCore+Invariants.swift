import Messages
import PBFT
import ShardState

/// For tests and simulation: what is true between any two steps, and what there is to compare.
extension HostCore {
    /// How far a replica of this host has come, to be compared with the shard's other replicas.
    public struct Progress: Sendable {
        /// The shard whose replica it is.
        public let shard: ShardID
        /// Of the last batch that is executed.
        public let sequence: SequenceNumber
        /// After that batch: equal on all replicas that have executed as many.
        public let history: Digest
        /// The view that the replica is in, or changes to.
        public let view: View
        /// Legs and calls with a yes vote and no decision.
        public let undecided: Int
        /// The shard's time.
        public let time: Timestamp

        init(of machine: borrowing ShardMachine) {
            (shard, view) = (machine.setting.shard, machine.replica.view)
            (sequence, history) = (machine.execution.executor.lastExecuted, machine.execution.executor.history)
            (undecided, time) = (machine.execution.executor.undecidedCount, machine.execution.executor.time)
        }
    }

    /// What a replica has still to do without anybody asking.
    public struct Activity: Sendable {
        /// The shard whose replica it is.
        public let shard: ShardID
        /// Waits to be ordered.
        public let pending: Int
        /// Records that are pushed to other shards.
        public let open: Int
        /// Nothing waits, and nobody is asked: left alone it orders nothing more.
        public var isNothing: Bool { pending == 0 && open == 0 }

        init(of machine: borrowing ShardMachine) {
            shard = machine.setting.shard
            pending = machine.proposer.count + machine.proposer.unchecked.count
            open = machine.execution.executor.openCount
        }
    }

    /// Ascending.
    public var shards: [ShardID] { machines.map(\.id) }

    /// - Parameter now: nil leaves out for how long records have been undecided.
    public func status(now: Instant? = nil) -> [ReplicaStatus] {
        machines.map { ReplicaStatus(of: $0.machine, now: now) }
    }

    /// For each replica of this host, ascending by shard, up to where it knows that a correct one has executed.
    public func known() -> [SequenceNumber] { machines.map { $0.machine.replica.knownExecuted } }

    /// One entry for each replica of this host, ascending by shard.
    public func activity() -> [Activity] { machines.map { Activity(of: $0.machine) } }

    /// One entry for each replica of this host, ascending by shard.
    public func progress() -> [Progress] { machines.map { Progress(of: $0.machine) } }

    /// As `progress`, without making a list of it.
    public func forEachProgress(_ body: (Progress) throws -> Void) rethrows {
        for shard in machines { try body(Progress(of: shard.machine)) }
    }

    /// The shard that a step with this input works on; nil if it may be any.
    public static func shard(of input: HostInput) -> ShardID? {
        switch input {
        case .peer(_, let message): message.value.shard
        case .flushed(let shard, _), .staged(let shard, _, _), .stateDamaged(let shard, _), .forged(_, let shard, _, _),
            .checked(let shard, _), .submissionChecked(let shard, _, _, _):
            shard
        case .gateway, .unchecked, .unsigned, .gatewayClosed, .peerConnected, .peerDisconnected, .persisted,
            .storageFailed,
            .tick:
            nil
        }
    }

    /// - Parameter id: the shard that a step touched; nil for all.
    public func checkInvariants(of id: ShardID? = nil) throws {
        for shard in machines where id == nil || shard.id == id { try shard.machine.checkInvariants() }
    }

    /// The expensive part: reads the whole state.
    public func checkStateInvariants() throws { for shard in machines { try shard.machine.checkStateInvariants() } }

    /// Sums over the whole state of each replica, ascending by shard. Reads all of it, however lately that was done.
    /// - Throws: `ShardStateError` if a state cannot be read.
    public func audits() throws -> [ShardAudit] {
        var audits: [ShardAudit] = []
        for shard in machines { audits.append(try shard.machine.freshAudit()) }
        return audits
    }

    /// The oldest undecided records of this host's replicas, oldest first: some of each shard, and no more than one
    /// answer has room for.
    public func undecided(now: Instant) -> [UndecidedRecord] {
        let all = machines.flatMap { shard in
            shard.machine.pushes.undecided(limit: UndecidedRecord.maxOfShard, now: now)
        }
        return Array(
            all.sorted { ($1.age, $0.request, $0.shard) < ($0.age, $1.request, $1.shard) }
                .prefix(HostObservation.maxUndecided))
    }

    /// What is posted to the account, in minor units, as this host has it now; nil if there is no such account, or no
    /// replica of its shard here.
    public func balance(_ account: AccountID) -> UInt128? { view(of: account)?.posted.number }

    /// As this host has it now.
    public func view(of account: AccountID) -> AccountView? {
        shard(manifest.shardMap.shard(of: account))?.machine.view(of: account)
    }
}

extension ReplicaStatus {
    /// - Parameter now: nil leaves out what needs a clock.
    init(of machine: borrowing ShardMachine, now: Instant?) {
        let pending = UInt32(clamping: machine.proposer.count)
        let undecided = UInt32(clamping: machine.execution.executor.undecidedCount)
        let open = UInt32(clamping: machine.execution.executor.openCount)
        let standing = machine.replica.standing
        self.init(
            shard: machine.setting.shard, replica: machine.setting.me, view: machine.replica.view,
            isChangingView: machine.replica.isChangingView, isPrimary: machine.replica.isPrimary,
            lastExecuted: machine.replica.lastExecuted, stable: machine.replica.stable.sequence,
            flushed: machine.replica.flushed, pendingRequests: pending, undecided: undecided, open: open,
            oldestUndecided: now.map { machine.pushes.oldestUndecided(now: $0) / 1000 } ?? 0,
            halted: machine.halted ?? "", standing: standing == .full ? "" : standing.description,
            time: machine.execution.executor.time, clock: now?.wall ?? .zero)
    }
}
