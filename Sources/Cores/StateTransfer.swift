import Messages
import PBFT

/// The two machines of state transfer on one replica: gives them what they ask of it, and its peers what they say.
struct StateTransfer: Sendable {
    enum Input: Sendable {
        case needed(atLeast: SequenceNumber)
        case message(from: ReplicaIndex, StateTransferMessage)
        case flushed(SequenceNumber)
        case staged(bucket: Int, Digest)
        case tick
    }

    /// What the replica has to do.
    enum Outcome: Sendable {
        case nothing
        /// Execute nothing: a state is being written down.
        case paused
        /// Go on from a state that is written down.
        case installed(InstalledState)
    }

    private let setting: ShardSetting
    private var fetching: StateFetching
    private var serving: StateServing

    init(_ setting: ShardSetting) {
        self.setting = setting
        fetching = StateFetching(group: setting.group, options: setting.options)
        serving = StateServing(group: setting.group, options: setting.options)
    }

    /// Nothing is missing, as far as is known.
    var isIdle: Bool { fetching.isIdle }

    func isInstalling(_ sequence: SequenceNumber) -> Bool { fetching.installing?.sequence == sequence }

    mutating func step(
        _ input: Input, _ replica: borrowing Replica, _ execution: inout Execution, now: Instant,
        into ready: inout ShardReady
    ) throws(ShardFailure) -> Outcome {
        let executed = replica.lastExecuted
        switch input {
        case .needed(let minimum):
            return try fetch(.needed(atLeast: minimum), executed, &execution, now: now, into: &ready)
        case .flushed(let sequence):
            return try fetch(.flushed(sequence), executed, &execution, now: now, into: &ready)
        case .staged(let bucket, let digest):
            try execution.staged()
            return try fetch(.staged(bucket: bucket, digest), executed, &execution, now: now, into: &ready)
        case .tick:
            try serve(.tick, execution, now: now, into: &ready)
            let claims = isIdle ? [] : claims(replica)
            return try fetch(.tick(executed: executed, claims: claims), executed, &execution, now: now, into: &ready)
        case .message(let peer, let message):
            if let question = question(message, from: peer, replica, taken: execution.taken) {
                try serve(question, execution, now: now, into: &ready)
            }
            guard let answer = Self.answer(message, from: peer) else { return .nothing }
            return try fetch(answer, executed, &execution, now: now, into: &ready)
        }
    }

    /// By replica, for which of the checkpoints that are offered it said CHECKPOINT.
    private func claims(_ replica: borrowing Replica) -> [[Checkpoint]] {
        var claims: [[Checkpoint]] = Array(repeating: [], count: setting.hosts.count)
        for checkpoint in fetching.offered {
            for peer in claims.indices where replica.hasClaimed(checkpoint, ReplicaIndex(UInt8(peer))) {
                claims[peer].append(checkpoint)
            }
        }
        return claims
    }

    /// Nil if it is none, or one that this replica has nothing to say to.
    private func question(
        _ message: StateTransferMessage, from peer: ReplicaIndex, _ replica: borrowing Replica, taken: [Checkpoint]
    ) -> StateServing.Input? {
        switch message {
        case .fetchCheckpoint(let minimum):
            guard replica.mayAttest, fetching.installing == nil else { return nil }
            let state = ServableState(flushed: replica.flushed, stable: replica.stable.sequence, taken: taken)
            return .fetchCheckpoint(from: peer, atLeast: minimum, state)
        case .fetchBuckets(let sequence, let buckets): return .fetchBuckets(from: peer, sequence, buckets)
        case .checkpoint, .bucket, .gone: return nil
        }
    }

    private static func answer(_ message: StateTransferMessage, from peer: ReplicaIndex) -> StateFetching.Input? {
        switch message {
        case .checkpoint(let sequence, let metadata, let buckets):
            return .offer(from: peer, sequence: sequence, metadata: metadata, buckets: buckets)
        case .bucket(let sequence, let bucket, let number, let isLast, let entries):
            let part = BucketPart(
                sequence: sequence, bucket: Int(bucket), number: number, isLast: isLast, entries: entries)
            return .bucket(from: peer, part)
        case .gone(let sequence): return .gone(from: peer, sequence)
        case .fetchCheckpoint, .fetchBuckets: return nil
        }
    }

    private mutating func fetch(
        _ input: StateFetching.Input, _ executed: SequenceNumber, _ execution: inout Execution, now: Instant,
        into ready: inout ShardReady
    ) throws(ShardFailure) -> Outcome {
        var asked = StateFetching.Ready()
        fetching.step(input, now: now, into: &asked)
        ready.drops += asked.drops
        if asked.begins { ready.stateFetches += 1 }
        for (to, message) in asked.sends { ready.send(.stateTransfer(setting.shard, message), to: setting.hosts(to)) }
        for whole in asked.stages {
            let (bucket, digest) = (whole.summary.bucket, whole.summary.digest)
            ready.stages.append(.init(shard: setting.shard, bucket: bucket, digest: digest, part: whole.part))
        }
        if asked.wantsOwnBuckets {
            let own = try execution.ownBuckets()
            return try fetch(.ownBuckets(own, executed: executed), executed, &execution, now: now, into: &ready)
        }
        if let state = asked.installs, let flush = try execution.install(state) {
            ready.flushes.append(flush)
            _ = try fetch(.installing, executed, &execution, now: now, into: &ready)
            return .paused
        }
        return asked.installed.map { .installed($0) } ?? .nothing
    }

    private mutating func serve(
        _ input: StateServing.Input, _ execution: borrowing Execution, now: Instant, into ready: inout ShardReady
    ) throws(ShardFailure) {
        var asked = StateServing.Ready()
        serving.step(input, now: now, into: &asked)
        for (peer, message) in asked.sends {
            let said: HostMessage =
                switch message {
                case .checkpoint(let checkpoint): .pbft(setting.shard, .checkpoint(checkpoint))
                case .state(let state): .stateTransfer(setting.shard, state)
                }
            ready.send(said, to: [setting.hosts[peer.index]])
        }
        if let (sequence, peer) = asked.wantsSnapshot {
            try serve(.snapshot(try execution.snapshot(), of: sequence, for: peer), execution, now: now, into: &ready)
        }
        if let failure = asked.failure { throw ShardFailure(reading: "a snapshot for a peer", failure) }
    }
}
