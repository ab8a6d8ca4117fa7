import Messages

/// Checkpoints and truncation (PBFT §4.3).
extension Replica {
    /// A sequence number after which the state's digest is wanted.
    public func isCheckpoint(_ sequence: SequenceNumber) -> Bool { checkpoints.isCheckpoint(sequence) }

    /// Whether a peer said CHECKPOINT for this one, above the stable checkpoint here.
    public func hasClaimed(_ checkpoint: Checkpoint, _ peer: ReplicaIndex) -> Bool {
        checkpoints.hasClaimed(checkpoint, peer)
    }

    /// Up to where this replica knows that a correct one has executed: itself, or one of f + 1 that say so, or of the
    /// 2f + 1 that have a checkpoint.
    public var knownExecuted: SequenceNumber {
        max(lastExecuted, peers.certainlyExecuted, checkpoints.certified)
    }

    mutating func take(_ checkpoint: Checkpoint, into ready: inout ReplicaReady) {
        guard checkpoints.take(checkpoint) else { return }
        // A replica that catches up comes by after the CHECKPOINTs of this one. A quorum can rebuild a later state, so
        // none needs what leads to this one; without that, nothing here would go to disk until it is level with the
        // others. Unless a quorum says something else of this very one, as
        // far as its claims are still held: whoever lags more may call a wrong state stable until the next checkpoint.
        if checkpoint.sequence < checkpoints.certified {
            if let certified = checkpoints.contradiction(of: checkpoint) {
                return diverge(checkpoint, from: certified, into: &ready)
            }
            return advance(to: checkpoint, into: &ready)
        }
        // Others truncate on the strength of this: it may leave when the journal can rebuild it.
        promises.sayOnceDurable(.checkpoint(checkpoint), into: &ready)
        // A silent replica's own claim never counts, and the others' may all be here already: nothing else would bring
        // it on when the shard is idle.
        if !promises.isFull { stabilise(into: &ready) }
    }

    mutating func receive(_ checkpoint: Checkpoint, from: ReplicaIndex, into ready: inout ReplicaReady) {
        if checkpoints.claim(checkpoint, by: from) { stabilise(into: &ready) }
    }

    /// This replica moves its watermarks only over what it has executed itself.
    private mutating func stabilise(into ready: inout ReplicaReady) {
        switch checkpoints.verdict(isSilent: !promises.isFull) {
        case .undecided: break
        case .stable(let checkpoint): advance(to: checkpoint, into: &ready)
        case .diverged(let own, let certified): diverge(own, from: certified, into: &ready)
        }
    }

    private mutating func diverge(
        _ own: Checkpoint, from certified: Checkpoint, into ready: inout ReplicaReady
    ) {
        ready.hasDiverged = true
        halt(
            "the state after \(own.sequence) has digest \(own.digest.short), a quorum has \(certified.digest.short)",
            into: &ready)
    }

    private mutating func advance(to checkpoint: Checkpoint, into ready: inout ReplicaReady) {
        precondition(checkpoint.sequence <= lastExecuted)
        checkpoints.advance(to: checkpoint)
        ordering.advance(to: checkpoint.sequence)
        promises.remember(.stable(checkpoint), into: &ready)
        takeUpSelection(into: &ready)
        trimRetained()
    }

    /// A state from peers replaces everything up to its sequence number. The watermarks follow only if it is stable:
    /// otherwise it is as if this replica had executed batches that it never voted on (docs/decisions/0007), and what
    /// it voted for below stays in its log for a view change.
    mutating func install(_ checkpoint: Checkpoint, isStable: Bool, now: Instant, into ready: inout ReplicaReady) {
        guard checkpoint.sequence > lastExecuted else { return }
        if case .rebuilding = standing { return rebuild(on: checkpoint, isStable: isStable, now: now, into: &ready) }
        retained = RetainedBatches(after: checkpoint.sequence)
        checkpoints.install(checkpoint, isStable: isStable)
        if isStable {
            advance(to: checkpoint, into: &ready)
        } else {
            ordering.skip(to: checkpoint.sequence.next)
            take(checkpoint, into: &ready)
        }
        pacemaker.installedState(now: now)
        catchUp.installedState()
    }
}
