import Messages

/// What the messages between the watermarks prove, and what of them is said again.
extension MessageLog {
    // MARK: Certificates

    /// Prepared: the pre-prepare, and 2f + 1 prepares of different replicas that match it. The primary's is one like the
    /// others', said when it is durable, or its NEW-VIEW: PRE-PREPARE is no vote (PBFT §4.2 takes it for the primary's). So
    /// f + 1 correct replicas have it in their Q on disk.
    func hasPrepared(_ sequence: SequenceNumber, primary: ReplicaIndex) -> Bool {
        let slot = self[sequence]
        guard slot.isPrePrepared, let digest = slot.digest else { return false }
        if Mutant.is(.commitWithoutPrepare) { return true }
        if Mutant.is(.prepareQuorum) { return slot.prepares.count(of: digest) >= 2 * group.f }
        if Mutant.is(.prePrepareIsVote) { return slot.prepares.count(of: digest, except: primary) >= 2 * group.f }
        return slot.prepares.count(of: digest) >= group.quorum
    }

    /// Committed: 2f + 1 commits. At least f + 1 correct replicas prepared it, so no view change can select another.
    func committedBatch(at sequence: SequenceNumber) -> Batch? {
        guard contains(sequence) else { return nil }
        let slot = self[sequence]
        if Mutant.is(.executesPrepared), slot.isPrepared, let digest = slot.digest { return slot.body(digest) }
        if Mutant.is(.commitQuorum2f), slot.isPrePrepared, let digest = slot.digest,
            slot.commits.count(of: digest) >= 2 * group.f
        {
            return slot.body(digest)
        }
        guard slot.isPrePrepared, let digest = slot.digest, slot.commits.count(of: digest) >= group.quorum else {
            return nil
        }
        return slot.body(digest)
    }

    // MARK: What VIEW-CHANGE says

    /// P: at most one entry a sequence number.
    var prepared: [PQEntry] {
        if Mutant.is(.viewChangeWithoutP) { return [] }
        return sequences.compactMap { self[$0].prepared }
    }

    /// Q: one entry for each (sequence, digest).
    var prePrepared: [PQEntry] { sequences.flatMap { self[$0].prePrepared }.sorted() }

    // MARK: Numbers

    /// The highest sequence number that this replica voted for.
    var lastVoted: SequenceNumber? {
        sequences.reversed().first { !self[$0].prePrepared.isEmpty || self[$0].prepared != nil }
    }

    /// The highest sequence number for which this replica may have sent COMMIT.
    var lastPrepared: SequenceNumber? { sequences.reversed().first { self[$0].prepared != nil } }

    /// Up to here what is proposed in this view is known.
    func proposed(after executed: SequenceNumber) -> SequenceNumber {
        var sequence = executed
        while contains(sequence.next), self[sequence.next].digest != nil { sequence = sequence.next }
        return sequence
    }

    /// Something is proposed or selected here and not executed. Its requests need not wait at this host: they may have
    /// come in the proposal alone, and their clients may have f + 1 answers from others. A correct primary has few
    /// proposals in flight.
    func awaitsProposal(after executed: SequenceNumber, pipelineDepth: UInt64) -> Bool {
        (1...2 * pipelineDepth).contains { ahead in
            let sequence = SequenceNumber(executed.number + ahead)
            return contains(sequence) && self[sequence].digest != nil
        }
    }

    // MARK: Said again

    /// All that this replica has said, or is bound to say, in the view: after a restart.
    func votes(in view: InstalledView, of me: ReplicaIndex) -> [PBFTMessage] {
        sequences.flatMap { sequence -> [PBFTMessage] in
            let slot = self[sequence]
            guard slot.isPrePrepared, let digest = slot.digest, let batch = slot.body(digest) else { return [] }
            var said: [PBFTMessage] = []
            if view.primary == me, view.isFresh(sequence) {
                said.append(.prePrepare(PrePrepare(view: view.number, sequence: sequence, batch: batch)))
            }
            // NEW-VIEW says it of what it selects.
            if view.primary != me || view.isFresh(sequence) {
                said.append(.prepare(view.prepare(sequence, digest, isRepeated: true)))
            }
            if slot.isPrepared {
                said.append(.commit(Vote(view: view.number, sequence: sequence, digest: digest)))
            }
            return said
        }
    }

    /// What this replica has said in the view about the numbers on which a peer is stuck.
    /// - Parameter known: up to here the peer has the proposals, and votes are of use to it.
    func votes(
        in view: InstalledView, of me: ReplicaIndex, after sequence: SequenceNumber, upTo known: SequenceNumber
    ) -> [PBFTMessage] {
        guard sequence < high else { return [] }
        var next = max(sequence, low).next
        var said: [PBFTMessage] = []
        for _ in 0..<16 {
            guard contains(next), let digest = self[next].digest else { break }
            said += durableVotes(at: next, digest, in: view, of: me, isKnown: next <= known)
            next = next.next
        }
        return said
    }

    private func durableVotes(
        at sequence: SequenceNumber, _ digest: Digest, in view: InstalledView, of me: ReplicaIndex, isKnown: Bool
    ) -> [PBFTMessage] {
        let slot = self[sequence]
        let isPrimary = view.primary == me
        var said: [PBFTMessage] = []
        // PRE-PREPARE vouches for all that is in it, so what the view inherited is fetched by its digest.
        if isPrimary, slot.hasProposalLeft, view.isFresh(sequence), let batch = slot.body(digest) {
            said.append(.prePrepare(PrePrepare(view: view.number, sequence: sequence, batch: batch)))
        }
        guard isKnown || isPrimary else { return said }
        // An own vote is in the set only when it is durable. Of what NEW-VIEW selects that one is its primary's vote.
        if slot.prepares.contains(me), !isPrimary || view.isFresh(sequence) {
            said.append(.prepare(view.prepare(sequence, digest, isRepeated: true)))
        }
        if slot.commits.contains(me) {
            said.append(.commit(Vote(view: view.number, sequence: sequence, digest: digest)))
        }
        return said
    }

    // MARK: Bodies

    func body(_ digest: Digest, at sequence: SequenceNumber) -> Batch? {
        if digest.isNull { return .null }
        return contains(sequence) ? self[sequence].body(digest) : nil
    }

    func body(of digest: Digest) -> Batch? {
        for sequence in sequences {
            if let batch = self[sequence].bodies.first(where: { $0.digest == digest }) { return batch }
        }
        return nil
    }

    /// Everything here that a restart needs.
    var records: [JournalRecord] {
        sequences.flatMap { sequence -> [JournalRecord] in
            let slot = self[sequence]
            // A body beyond Q's bound is gone only with its entry.
            var records = slot.prePrepared.compactMap { entry in
                slot.body(entry.digest).map { JournalRecord.prePrepared(view: entry.view, sequence: sequence, $0) }
            }
            if let entry = slot.prepared {
                records.append(.prepared(view: entry.view, sequence: sequence, entry.digest))
            }
            return records
        }
    }
}
