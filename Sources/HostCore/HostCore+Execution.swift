import Messages
import PBFT
import ShardState

/// Proposing, executing, certifying, writing down.
extension HostCore {
    /// The next batch, if this replica may propose and something waits. A lone request does not wait; while the pipeline
    /// is full, the next batch fills up.
    mutating func nextProposal(_ i: Int, now: Instant) -> Batch? {
        guard nodes[i].replica.canPropose, !nodes[i].replica.isExecutionPaused else { return nil }
        guard nodes[i].decides.hasUnproposed || nodes[i].requests.hasUnproposed else { return nil }
        var items: [BatchItem] = []
        var bytes = options.maxBatchBytes
        // Decides release what others wait for; requests keep a share (R12).
        nodes[i].decides.take(atMost: options.maxDecidesPerBatch, bytes: &bytes, into: &items)
        bytes = max(bytes, options.maxBatchBytes / 4)
        takeBacked(i, bytes: &bytes, into: &items)
        nodes[i].requests.take(atMost: options.maxBatchItems - items.count, bytes: &bytes, into: &items)
        return items.isEmpty ? nil : Batch(time: proposalTime(i, now: now), items: items)
    }

    /// Under pressure certified votes back a request of the same batch only (R12), so it does not wait for its turn.
    private mutating func takeBacked(_ i: Int, bytes: inout Int, into items: inout [BatchItem]) {
        guard nodes[i].executor.isPressed else { return }
        for case .decide(let decide) in items where (try? nodes[i].executor.effect(of: decide)) == .noRecord {
            if let request = nodes[i].requests.take(decide.request, bytes: &bytes) { items.append(request) }
        }
    }

    /// A replica that rejoins waits for the shard to move on (R4); an idle primary moves it, a batch a tick, and after
    /// `maxEmptyBatches` more slowly.
    mutating func proposeEmptyIfAwaited(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil, !nodes[i].decides.hasUnproposed, !nodes[i].requests.hasUnproposed, nodes[i].replica.isAwaited(now: now)
        else { return }
        guard nodes[i].emptyBatches < options.maxEmptyBatches || now.uptime >= nodes[i].emptyBatchAt + options.emptyBatchInterval
        else { return }
        nodes[i].emptyBatches += 1
        nodes[i].emptyBatchAt = now.uptime
        feed(i, .propose(Batch(time: proposalTime(i, now: now), items: [])), now: now, into: &ready)
    }

    mutating func execute(_ batch: Batch, at sequence: SequenceNumber, _ i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        let executed: ExecutedBatch
        do {
            executed = try nodes[i].executor.execute(batch, sequence: sequence)
        } catch {
            return halt(i, "execution of batch \(sequence): \(error)", into: &ready)
        }
        nodes[i].recent.append(executed.statement, executed.leaves)
        noteRefusedRequests(executed, batch, i, now: now, into: &ready)
        for leaf in executed.leaves {
            nodes[i].recovery.note(leaf, now: now)
            nodes[i].recovery.kept.forget(leaf.request)
        }
        if !batch.items.isEmpty { nodes[i].emptyBatches = max(0, nodes[i].emptyBatches - batch.items.count) }
        let vain = Set(executed.vain)
        let refused = Set(executed.refusals.map(\.request))
        for item in batch.items {
            let key = item.key
            if !refused.contains(key) {
                let source = nodes[i].requests.source(of: key) ?? nodes[i].decides.source(of: key)
                settleAccounts(isVain: vain.contains(key), source, now: now, into: &ready)
            }
            nodes[i].requests.remove(key)
            nodes[i].decides.remove(key)
        }
        admitEarly(executed.leaves, i, now: now, into: &ready)
        answer(executed, i, now: now, into: &ready)
        answerReads(i, into: &ready)
        if nodes[i].replica.isCheckpoint(sequence) { checkpoint(i, sequence, now: now, into: &ready) }
    }

    /// Sends this replica's attestation to every gateway that waits for one of the batch's leaves.
    private mutating func answer(_ executed: ExecutedBatch, _ i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].replica.mayAttest else { return }
        var wanting: [SessionID] = []
        for leaf in executed.leaves {
            for session in nodes[i].interests.of(leaf.request) where sessions.contains(session) && !wanting.contains(session) {
                wanting.append(session)
            }
            if !leaf.entries.isEmpty, leaf.entries.allSatisfy({ $0.status.isDecided }) { nodes[i].interests.remove(leaf.request) }
            pushBack(leaf, i, into: &ready)
        }
        if !wanting.isEmpty,
            let attestation = nodes[i].recent.attestation(executed.sequence, replica: nodes[i].me, signer: signer)
        {
            ready.toGateways.append(.init(to: wanting.sorted(), reply: .attestation(attestation)))
        }
        for refusal in executed.refusals {
            let to = nodes[i].interests.of(refusal.request).filter { sessions.contains($0) }.sorted()
            if !to.isEmpty { ready.toGateways.append(.init(to: to, reply: .refused(refusal))) }
        }
    }

    private mutating func checkpoint(_ i: Int, _ sequence: SequenceNumber, now: Instant, into ready: inout HostReady) {
        let digest: Digest
        do { digest = try nodes[i].executor.checkpointDigest() } catch {
            return halt(i, "digest of the state after \(sequence): \(error)", into: &ready)
        }
        let taken = Checkpoint(sequence: sequence, digest: digest)
        nodes[i].taken.append(taken)
        nodes[i].step(.checkpointTaken(taken), now: now)
        let isDue = Self.isFlushDue(at: sequence, options) || nodes[i].executor.overlayCount >= options.flushKeys
        // One flush at a time; the next checkpoint asks again.
        guard isDue, nodes[i].frozen == nil, !nodes[i].executor.isFlushing else { return }
        nodes[i].frozen = nodes[i].executor.freeze()
    }

    /// The same checkpoints on every host, so that peers hold the same states.
    static func isFlushDue(at sequence: SequenceNumber, _ options: HostOptions) -> Bool {
        sequence.number.isMultiple(of: options.replica.checkpointInterval)
            && (sequence.number / options.replica.checkpointInterval).isMultiple(of: options.checkpointsPerFlush)
    }

    /// Only a stable checkpoint is written down: a quorum has the same state (R1).
    mutating func flushIfStable(_ i: Int, into ready: inout HostReady) {
        #if MUTANTS
        let stable = Mutant.is(.flushesUnstable) ? nodes[i].replica.lastExecuted : nodes[i].replica.stable.sequence
        #else
        let stable = nodes[i].replica.stable.sequence
        #endif
        guard let frozen = nodes[i].frozen, stable >= frozen.sequence else { return }
        nodes[i].frozen = nil
        flush(frozen, i, into: &ready)
    }

    mutating func flush(_ frozen: FrozenState, _ i: Int, installs: Bool = false, into ready: inout HostReady) {
        nodes[i].flushing = frozen.buckets.isEmpty ? nil : (frozen.sequence, frozen.buckets)
        ready.flushes.append(
            StateFlush(
                shard: nodes[i].shard, sequence: frozen.sequence, writes: frozen.writes, metadata: frozen.metadata,
                digest: frozen.digest, installs: installs))
    }

    mutating func flushed(_ shard: ShardID, _ sequence: SequenceNumber, now: Instant, into ready: inout HostReady) {
        guard let i = node(shard), nodes[i].halted == nil else { return }
        do { try nodes[i].executor.flushed(sequence) } catch {
            return halt(i, "reading the store after the flush of \(sequence): \(error)", into: &ready)
        }
        nodes[i].taken.removeAll { $0.sequence <= sequence }
        if let flushing = nodes[i].flushing, flushing.sequence == sequence {
            (nodes[i].onDisk, nodes[i].flushing) = (flushing, nil)
        }
        if nodes[i].fetching.installing?.sequence == sequence {
            fetch(.flushed(sequence), i, now: now, into: &ready)
        } else {
            feed(i, .flushed(sequence), now: now, into: &ready)
        }
    }
}
