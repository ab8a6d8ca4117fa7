import Messages

/// Execution needs to know that each request was signed; ordering does not (docs/decisions/0040). So P, Q and view
/// changes go by digests alone, and what is here stands between commit and execution.
extension Replica {
    /// - Returns: what of a committed batch is not executed; nil if the batch waits.
    mutating func skips(
        in batch: Batch, at sequence: SequenceNumber, now: Instant, into ready: inout ReplicaReady
    ) -> [UInt32]? {
        guard let view = viewChanger.installed else { return nil }
        let isFresh = view.isFresh(sequence) || Mutant.is(.inheritedIsVouchedFor)
        let slot = ordering.log[sequence]
        // Who has checked all of it waits for nobody.
        if isFresh, slot.isWhollyChecked || view.primary == me { return [] }
        let vouchers = isFresh ? vouchers(for: batch.digest, at: sequence, in: view) : nil
        switch gate.admit(batch, at: sequence, in: view.number, vouchers, now: now) {
        case .execute(let skipped): return skipped
        case .wait: return nil
        case .ask(let places):
            ready.checks.append(SignatureCheck(batch: batch, places: places))
            return nil
        }
    }

    /// A PREPARE of this view that vouches counts, whenever it came; so does this replica's own share, durable or not:
    /// nobody else takes its word for it here.
    private func vouchers(
        for digest: Digest, at sequence: SequenceNumber, in view: InstalledView
    ) -> ExecutionGate.Vouchers {
        var backups = ordering.log[sequence].prepares.voters(for: digest)
        backups.formIntersection(ordering.log[sequence].vouchers)
        backups.insert(me)
        return ExecutionGate.Vouchers(primary: view.primary, backups: backups)
    }

    /// A fresh proposal is here.
    mutating func checkAhead(_ proposal: PrePrepare, now: Instant, into ready: inout ReplicaReady) {
        guard let view = viewChanger.installed, view.isFresh(proposal.sequence),
            ordering.log.contains(proposal.sequence), ordering.log[proposal.sequence].isPrePrepared,
            !ordering.log[proposal.sequence].isWhollyChecked,
            ordering.log[proposal.sequence].digest == proposal.batch.digest
        else { return }
        let places = gate.checkAhead(proposal.batch, in: view.number, primary: view.primary, now: now)
        if !places.isEmpty { ready.checks.append(SignatureCheck(batch: proposal.batch, places: places)) }
    }

    /// What `ReplicaReady.checks` asked for.
    mutating func take(_ checked: CheckedSignatures, now: Instant, into ready: inout ReplicaReady) {
        guard let proposedIn = gate.take(checked) else { return }
        // What waited for this is executed first: who changes the view executes nothing until the next one.
        advanceExecution(now: now, into: &ready)
        suspectForger(in: proposedIn, now: now, into: &ready)
    }

    /// Its session brought a proposal that no correct primary makes: what a NEW-VIEW selected it does not propose, and
    /// all else it has checked.
    mutating func receiveForgery(
        from: ReplicaIndex, in forged: View, at sequence: SequenceNumber, now: Instant, into ready: inout ReplicaReady
    ) {
        guard let view = viewChanger.installed, view.number == forged, view.primary == from,
            view.isFresh(sequence)
        else { return }
        suspectForger(in: forged, now: now, into: &ready)
    }

    /// Nothing that a correct primary proposes lacks its signature: it has checked all of it. So there is nothing to
    /// wait for.
    private mutating func suspectForger(in forged: View, now: Instant, into ready: inout ReplicaReady) {
        guard viewChanger.installed?.number == forged, view == forged, !isPrimary else { return }
        pacemaker.proveFault(in: forged)
        if promises.isFull { suspect(now: now, into: &ready) }
    }
}
