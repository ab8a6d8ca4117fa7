import Messages

/// Checkpoints and truncation (PBFT §4.3).
extension Replica {
    /// A sequence number after which the state's digest is wanted.
    public func isCheckpoint(_ sequence: SequenceNumber) -> Bool {
        sequence.number.isMultiple(of: limits.checkpointInterval)
    }

    mutating func take(_ checkpoint: Checkpoint, into ready: inout ReplicaReady) {
        guard checkpoint.sequence > stable.sequence else { return }
        ownCheckpoints.append(checkpoint)
        // A replica that catches up comes by after the CHECKPOINTs of this one. A quorum can rebuild a later state, so none
        // needs what leads to this one; without that, nothing here would go to disk until it is level with the others.
        if checkpoint.sequence < certified { return advance(to: checkpoint, into: &ready) }
        // Others truncate on the strength of this: it may leave when the journal can rebuild it.
        promises.sayOnceDurable(.checkpoint(checkpoint), into: &ready)
        // A silent replica's own claim never counts, and the others' may all be here already: nothing else would bring it on when the
        // shard is idle.
        if standing != .full { stabilise(into: &ready) }
    }

    mutating func receive(_ checkpoint: Checkpoint, from: ReplicaIndex, into ready: inout ReplicaReady) {
        guard checkpoint.sequence > stable.sequence, isCheckpoint(checkpoint.sequence) else { return }
        if checkpointClaims[from.index].contains(where: { $0.sequence == checkpoint.sequence }) { return }
        checkpointClaims[from.index].append(checkpoint)
        if checkpointClaims[from.index].count > Self.maxClaims { checkpointClaims[from.index].removeFirst() }
        stabilise(into: &ready)
    }

    /// Whether a peer said CHECKPOINT for this one, above the stable checkpoint here.
    public func hasClaimed(_ checkpoint: Checkpoint, _ peer: ReplicaIndex) -> Bool {
        peer != me && checkpointClaims[peer.index].contains(checkpoint)
    }

    private static let maxClaims = 8

    /// The highest number of a checkpoint that a quorum of peers says CHECKPOINT for.
    private var certified: SequenceNumber {
        var highest = stable.sequence
        for claims in checkpointClaims {
            for claim in claims where claim.sequence > highest {
                if checkpointClaims.count(where: { $0.contains(claim) }) >= group.quorum { highest = claim.sequence }
            }
        }
        return highest
    }

    /// 2f + 1 claims make a checkpoint stable: a quorum can rebuild it (R1). This replica moves its watermarks only
    /// over what it has executed itself.
    mutating func stabilise(into ready: inout ReplicaReady) {
        for own in ownCheckpoints.reversed() {
            let claims = checkpointClaims.map { $0.first { $0.sequence == own.sequence } }
            let agreeing = claims.count { $0 == own }
            #if MUTANTS
            if Mutant.is(.truncatesAtWeakQuorum), agreeing >= group.weakQuorum { return advance(to: own, into: &ready) }
            #endif
            // A silent replica's own claim is not out; the others' suffice.
            if agreeing >= group.quorum, claims[me.index] == own || standing != .full {
                advance(to: own, into: &ready)
                return
            }
            // A quorum's claim contains f + 1 correct replicas; if it is not ours, our state is wrong.
            for claim in claims {
                guard let claim, claim != own, claims.count(where: { $0 == claim }) >= group.quorum else { continue }
                isHalted = true
                ready.halt = "the state after \(own.sequence) has digest \(own.digest.short), a quorum has \(claim.digest.short)"
                return
            }
        }
    }

    mutating func advance(to checkpoint: Checkpoint, into ready: inout ReplicaReady) {
        precondition(checkpoint.sequence <= lastExecuted)
        stable = checkpoint
        log.advance(to: checkpoint.sequence)
        ownCheckpoints.removeAll { $0.sequence <= checkpoint.sequence }
        for i in checkpointClaims.indices { checkpointClaims[i].removeAll { $0.sequence <= checkpoint.sequence } }
        nextSequence = max(nextSequence, checkpoint.sequence.next)
        promises.remember(.stable(checkpoint), into: &ready)
        applySelection(into: &ready)
        trimRetained()
    }

    /// A state from peers replaces everything up to its sequence number. The watermarks follow only if it is stable: otherwise
    /// it is as if this replica had executed batches that it never voted on (docs/decisions/0007), and what it voted for below
    /// stays in its log for a view change.
    mutating func install(_ checkpoint: Checkpoint, isStable: Bool, now: Instant, into ready: inout ReplicaReady) {
        guard checkpoint.sequence > lastExecuted else { return }
        if case .rebuilding = standing { return rebuild(on: checkpoint, isStable: isStable, now: now, into: &ready) }
        lastExecuted = checkpoint.sequence
        retained = RetainedBatches(after: checkpoint.sequence)
        flushed = checkpoint.sequence
        if isStable {
            ownCheckpoints.removeAll()
            advance(to: checkpoint, into: &ready)
        } else {
            nextSequence = max(nextSequence, checkpoint.sequence.next)
            take(checkpoint, into: &ready)
        }
        progressAt = now.uptime
        fetch = CatchUp(question: fetch.question)
        for i in peers.indices { peers[i].retainsFrom = nil }
    }
}
