import Messages
import PBFT
import ShardState

/// State transfer: says to `StateFetching` and `StateServing` what they must know of a replica, and carries out what they ask.
extension HostCore {
    mutating func fetchState(_ i: Int, atLeast minimum: SequenceNumber, now: Instant, into ready: inout HostReady) {
        fetch(.needed(atLeast: minimum), i, now: now, into: &ready)
    }

    mutating func tickStateTransfer(_ i: Int, now: Instant, into ready: inout HostReady) {
        serve(.tick, i, now: now, into: &ready)
        fetch(.tick(executed: nodes[i].replica.lastExecuted, claims: claims(i)), i, now: now, into: &ready)
    }

    /// By replica, for which of the checkpoints that are offered it said CHECKPOINT.
    private func claims(_ i: Int) -> [[Checkpoint]] {
        let offered = nodes[i].fetching.offered
        return nodes[i].hosts.indices.map { peer in
            offered.filter { nodes[i].replica.hasClaimed($0, ReplicaIndex(UInt8(peer))) }
        }
    }

    mutating func receive(_ message: StateTransferMessage, from: ReplicaIndex, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        switch message {
        case .fetchCheckpoint(let minimum):
            guard nodes[i].replica.mayAttest, nodes[i].fetching.installing == nil else { return }
            let state = ServableState(
                flushed: nodes[i].replica.flushed, stable: nodes[i].replica.stable.sequence, taken: nodes[i].taken)
            serve(.fetchCheckpoint(from: from, atLeast: minimum, state), i, now: now, into: &ready)
        case .fetchBuckets(let sequence, let buckets):
            serve(.fetchBuckets(from: from, sequence, buckets), i, now: now, into: &ready)
        case .checkpoint(let sequence, let metadata, let buckets):
            fetch(.offer(from: from, sequence: sequence, metadata: metadata, buckets: buckets), i, now: now, into: &ready)
        case .bucket(let sequence, let bucket, let part, let isLast, let entries):
            let part = BucketPart(sequence: sequence, bucket: Int(bucket), number: part, isLast: isLast, entries: entries)
            fetch(.bucket(from: from, part), i, now: now, into: &ready)
        case .gone(let sequence): fetch(.gone(from: from, sequence), i, now: now, into: &ready)
        }
    }

    mutating func fetch(_ input: StateFetching.Input, _ i: Int, now: Instant, into ready: inout HostReady) {
        var work = StateFetching.Ready()
        nodes[i].fetching.step(input, now: now, into: &work)
        droppedMessages += UInt64(work.drops)
        for (destination, message) in work.sends {
            let to = switch destination {
            case .others: nodes[i].others
            case .one(let peer): [nodes[i].hosts[peer.index]]
            }
            ready.toHosts.append(.init(to: to, message: .stateTransfer(nodes[i].shard, message)))
        }
        if work.wantsOwnBuckets {
            do {
                let own = try nodes[i].executor.bucketDigests()
                fetch(.ownBuckets(own, executed: nodes[i].replica.lastExecuted), i, now: now, into: &ready)
            } catch { return halt(i, "digests of the own state: \(error)", into: &ready) }
        }
        if let state = work.installs { install(state, i, now: now, into: &ready) }
        if let state = work.installed { finishInstall(state, i, now: now, into: &ready) }
    }

    private mutating func install(_ state: FetchedState, _ i: Int, now: Instant, into ready: inout HostReady) {
        if nodes[i].frozen != nil {
            nodes[i].frozen = nil
            nodes[i].executor.thaw()
        }
        // A flush is on its way to the disk.
        guard !nodes[i].executor.isFlushing else { return }
        do {
            let frozen = try nodes[i].executor.install(
                sequence: state.checkpoint.sequence, metadata: state.metadata, buckets: state.buckets, digest: state.checkpoint.digest)
            nodes[i].replica.isExecutionPaused = true
            fetch(.installing, i, now: now, into: &ready)
            flush(frozen, i, installs: true, into: &ready)
        } catch {
            halt(i, "installing the state of \(state.checkpoint.sequence): \(error)", into: &ready)
        }
    }

    private mutating func finishInstall(_ state: InstalledState, _ i: Int, now: Instant, into ready: inout HostReady) {
        nodes[i].taken.removeAll { $0.sequence <= state.checkpoint.sequence }
        nodes[i].recent.removeAll()
        nodes[i].recovery.kept.removeAll()
        nodes[i].early.removeAll()
        // What this replica proposed below the state will not be executed here.
        nodes[i].requests.enterView()
        nodes[i].decides.enterView()
        // First the batches after the state: what waits here may be in them.
        nodes[i].forwardsFrom = now.uptime + options.forwardAfter
        nodes[i].replica.isExecutionPaused = false
        feed(i, .stateInstalled(state.checkpoint, isStable: state.isStable), now: now, into: &ready)
        answerReads(i, into: &ready)
    }

    mutating func serve(_ input: StateServing.Input, _ i: Int, now: Instant, into ready: inout HostReady) {
        var work = StateServing.Ready()
        nodes[i].serving.step(input, now: now, into: &work)
        for (peer, message) in work.sends {
            let shard = nodes[i].shard
            let said: HostMessage = switch message {
            case .checkpoint(let checkpoint): .pbft(shard, .checkpoint(checkpoint))
            case .state(let state): .stateTransfer(shard, state)
            }
            ready.toHosts.append(.init(to: [nodes[i].hosts[peer.index]], message: said))
        }
        if let (sequence, peer) = work.wantsSnapshot {
            let known = nodes[i].onDisk.flatMap { $0.sequence == sequence ? $0.buckets : nil }
            do {
                let snapshot = try nodes[i].executor.snapshot()
                serve(.snapshot(snapshot, of: sequence, buckets: known, for: peer), i, now: now, into: &ready)
            } catch { return halt(i, "reading a snapshot for a peer: \(error)", into: &ready) }
        }
        if let failure = work.failure { halt(i, "reading a snapshot for a peer: \(failure)", into: &ready) }
    }
}
