import Messages
import ShardState

/// Gives peers the state that this replica has on disk, out of snapshots of its store. A peer that fetches holds one
/// snapshot and has one question open, and what it is sent a second is bounded.
///
/// It sees nothing of its replica but what an input says, and asks for a snapshot when it needs one.
package struct StateServing: Sendable {
    /// What happens to it, one at a time.
    package enum Input: Sendable {
        /// A peer asks for the newest checkpoint on disk. Only from a replica that may attest and has all of its state.
        case fetchCheckpoint(from: ReplicaIndex, atLeast: SequenceNumber, ServableState)
        /// A peer asks for buckets of what it was offered.
        case fetchBuckets(from: ReplicaIndex, SequenceNumber, [UInt16])
        /// What `wantsSnapshot` asked for.
        case snapshot(any KeyValueReader & Sendable, of: SequenceNumber, for: ReplicaIndex)
        /// Time has passed: more may be sent.
        case tick
    }

    package enum Message: Hashable, Sendable {
        case checkpoint(Checkpoint)
        case state(StateTransferMessage)
    }

    /// What a step asks for, in the order in which it must be done.
    package struct Ready {
        /// 1. Send.
        package var sends: [(to: ReplicaIndex, message: Message)] = []
        /// 2. Say `snapshot`, of the store as it is, for this peer.
        package var wantsSnapshot: (of: SequenceNumber, for: ReplicaIndex)?
        /// 3. Halt: a snapshot could not be read.
        package var failure: (any Error)?

        package init() {}
    }

    /// A checkpoint that was offered and that somebody may still be reading.
    private struct Served: Sendable {
        let sequence: SequenceNumber
        let snapshot: any KeyValueReader & Sendable
        let reply: StateTransferMessage
        let since: UInt64
    }

    private struct Customer: Sendable {
        enum Phase: Sendable {
            case away
            /// - Parameter question: buckets that it waits for, the last one next.
            case reading(SequenceNumber, until: UInt64, question: [UInt16])
        }

        var phase = Phase.away
        /// Bytes, negative after a large bucket.
        var allowance = 0
        var allowedAt: UInt64 = 0

        var holds: SequenceNumber? { if case .reading(let sequence, _, _) = phase { sequence } else { nil } }

        /// What a peer may be sent grows with time.
        mutating func earn(_ bytesPerSecond: Int, now: UInt64) {
            let passed = min(now - min(now, allowedAt), 1_000_000_000)
            allowedAt = now
            allowance = min(allowance + Int(passed / 1000) * bytesPerSecond / 1_000_000, bytesPerSecond / 8)
        }

        /// The next bucket of its question, if it may have more.
        mutating func next() -> UInt16? {
            guard allowance > 0, case .reading(let sequence, let until, var question) = phase,
                let bucket = question.popLast()
            else { return nil }
            phase = .reading(sequence, until: until, question: question)
            return bucket
        }
    }

    private let options: HostOptions
    /// Ascending.
    private var serving: [Served] = []
    /// By replica.
    private var customers: [Customer]

    package init(group: ReplicaGroup, options: HostOptions) {
        self.options = options
        customers = Array(repeating: Customer(), count: group.n)
    }

    /// How many snapshots are held.
    package var snapshotCount: Int { serving.count }

    package mutating func step(_ input: Input, now: Instant, into ready: inout Ready) {
        switch input {
        case .fetchCheckpoint(let peer, let minimum, let state):
            offer(state, atLeast: minimum, to: peer, now: now, into: &ready)
        case .fetchBuckets(let peer, let sequence, let buckets):
            serve(buckets, of: sequence, to: peer, now: now, into: &ready)
        case .snapshot(let snapshot, let sequence, let peer):
            do {
                guard let metadata = try snapshot.metadata(), StateDigest.sequence(ofMetadata: metadata) == sequence
                else { return }
                let reply = StateTransferMessage.checkpoint(
                    sequence: sequence, metadata: metadata, buckets: try StateDigest.bucketDigests(of: snapshot))
                serving.append(Served(sequence: sequence, snapshot: snapshot, reply: reply, since: now.uptime))
            } catch { return ready.failure = error }
            offerNewest(to: peer, now: now, into: &ready)
        case .tick: tick(now: now, into: &ready)
        }
    }

    private mutating func offer(
        _ state: ServableState, atLeast minimum: SequenceNumber, to peer: ReplicaIndex, now: Instant,
        into ready: inout Ready
    ) {
        customers[peer.index].earn(options.stateBytesPerSecond, now: now.uptime)
        guard customers[peer.index].allowance > 0 else { return }
        // To vouch for what another peer has written down, even if nothing late enough is written down here. Later ones
        // than the stable checkpoint are said as long as they are not stable.
        for checkpoint in state.taken where checkpoint.sequence <= state.stable {
            ready.sends.append((peer, .checkpoint(checkpoint)))
        }
        // An offer says that the state is stable.
        guard state.flushed >= minimum, state.flushed > .zero, state.flushed <= state.stable else { return }
        guard serving.last?.sequence == state.flushed else { return ready.wantsSnapshot = (state.flushed, peer) }
        offerNewest(to: peer, now: now, into: &ready)
    }

    private mutating func offerNewest(to peer: ReplicaIndex, now: Instant, into ready: inout Ready) {
        guard let newest = serving.last else { return }
        customers[peer.index].phase = .reading(newest.sequence, until: patience(now), question: [])
        customers[peer.index].allowance -= 32 * StateDigest.bucketCount
        dropUnheld()
        ready.sends.append((peer, .state(newest.reply)))
    }

    /// Until when a peer that says nothing keeps its snapshot.
    private func patience(_ now: Instant) -> UInt64 { now.uptime + 20 * options.stateTransferTimeout }

    private mutating func serve(
        _ buckets: [UInt16], of sequence: SequenceNumber, to peer: ReplicaIndex, now: Instant, into ready: inout Ready
    ) {
        guard !buckets.isEmpty else { return }
        customers[peer.index].earn(options.stateBytesPerSecond, now: now.uptime)
        guard customers[peer.index].holds == sequence else {
            return ready.sends.append((peer, .state(.gone(sequence: sequence))))
        }
        let question = Array(buckets.prefix(options.stateTransferBuckets).reversed())
        customers[peer.index].phase = .reading(sequence, until: patience(now), question: question)
        answerQuestion(of: peer.index, into: &ready)
    }

    /// A bucket at a time while the peer may have more; the rest comes with the next ticks.
    private mutating func answerQuestion(of peer: Int, into ready: inout Ready) {
        guard let sequence = customers[peer].holds, let served = serving.first(where: { $0.sequence == sequence })
        else { return }
        while let bucket = customers[peer].next() {
            guard Int(bucket) < StateDigest.bucketCount else { continue }
            do {
                let entries = try StateDigest.entries(ofBucket: Int(bucket), in: served.snapshot)
                customers[peer].allowance -= send(entries, of: bucket, sequence, to: peer, into: &ready) + 256
            } catch { return ready.failure = error }
        }
    }

    /// In parts that a frame can hold. Gives the bytes of all.
    private func send(
        _ entries: [StateTransferMessage.StateEntry], of bucket: UInt16, _ sequence: SequenceNumber, to peer: Int,
        into ready: inout Ready
    ) -> Int {
        var (first, part, total) = (0, UInt16(0), 0)
        repeat {
            var (end, bytes) = (first, 0)
            while end < entries.count, bytes < options.bucketPartBytes {
                bytes += entries[end].key.count + entries[end].value.count
                end += 1
            }
            let message = StateTransferMessage.bucket(
                sequence: sequence, bucket: bucket, part: part, isLast: end == entries.count,
                entries: Array(entries[first..<end]))
            ready.sends.append((ReplicaIndex(UInt8(peer)), .state(message)))
            (first, part, total) = (end, part &+ 1, total + bytes)
        } while first < entries.count
        return total
    }

    private mutating func tick(now: Instant, into ready: inout Ready) {
        guard !serving.isEmpty else { return }
        for peer in customers.indices {
            guard case .reading(_, let until, let question) = customers[peer].phase else { continue }
            if now.uptime > until {
                customers[peer].phase = .away
            } else if !question.isEmpty {
                customers[peer].earn(options.stateBytesPerSecond, now: now.uptime)
                answerQuestion(of: peer, into: &ready)
            }
        }
        // A snapshot keeps the store from using its free pages again: nobody may hold one for long.
        for old in serving where now.uptime > old.since + options.snapshotLifetime {
            for peer in customers.indices where customers[peer].holds == old.sequence { customers[peer].phase = .away }
        }
        dropUnheld()
    }

    private mutating func dropUnheld() {
        let held = customers.compactMap(\.holds)
        serving.removeAll { !held.contains($0.sequence) }
    }
}

/// What a replica could give of its state.
package struct ServableState: Sendable {
    /// The state on disk.
    package let flushed: SequenceNumber
    package let stable: SequenceNumber
    /// Checkpoints taken above the state on disk, to vouch for the states of peers that have written down later ones;
    /// ascending.
    package let taken: [Checkpoint]

    package init(flushed: SequenceNumber, stable: SequenceNumber, taken: [Checkpoint]) {
        (self.flushed, self.stable, self.taken) = (flushed, stable, taken)
    }
}
