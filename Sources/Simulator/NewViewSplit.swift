import Messages
import PBFT
import Randomness

/// Two NEW-VIEWs of one view that are both right, by different S: one selects more than the other. A faulty primary gives
/// each to some, and proposes to those who have the lesser what the other selects, as if it were fresh. All of them
/// then prepare the same batches; only some have been asked to look at them.
struct NewViewSplit {
    private let more: NewView
    private let less: NewView
    /// Who gets the one that selects more.
    private let believers: UInt64
    /// What the others get.
    let proposals: [PrePrepare]

    /// Nil if what it knows of admits no two that differ, or if what they differ in cannot be proposed.
    init?(_ original: NewView, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge) {
        let group = knowledge.manifest.group(of: original.shard)
        let candidates = Self.candidates(original, by: liar, knowledge)
        guard let more = candidates.max(by: { $0.end < $1.end }), let less = candidates.min(by: { $0.end < $1.end })
        else { return nil }
        var proposals: [PrePrepare] = []
        for (i, digest) in more.selection.digests.enumerated() {
            let sequence = SequenceNumber(more.selection.start.sequence.number + UInt64(i) + 1)
            guard sequence > less.end else { continue }
            guard let batch = knowledge.bodies.first(where: { $0.digest == digest }) else { return nil }
            proposals.append(PrePrepare(view: original.view, sequence: sequence, batch: batch))
        }
        guard !proposals.isEmpty, proposals.count <= 4 else { return nil }
        self.proposals = proposals
        self.more = Self.sign(more, insteadOf: original, by: liar)
        self.less = Self.sign(less, insteadOf: original, by: liar)
        // Those who are to check what nobody signed are to believe that it is selected.
        var believers = liar.rng.next()
        for case .request(let request) in proposals.flatMap(\.batch.items)
        where !request.isSignatureValid(StandInScheme()) {
            let first = group.firstDesignated(for: request.digest)
            for backup in group.designated(from: first, under: original.replica) {
                let host = knowledge.manifest.hosts(of: original.shard)[backup.index]
                believers |= 1 << UInt64(host.number % 64)
            }
        }
        self.believers = believers
    }

    func said(to peer: Int) -> [PBFTMessage] {
        if believers >> UInt64(peer % 64) & 1 == 1 { return [.newView(more)] + votes }
        return [.newView(less)] + proposals.map { .prePrepare($0) } + votes
    }

    /// Its votes for what one of the two selects and the other does not, for those of either.
    var votes: [PBFTMessage] {
        proposals.map {
            .prepare(Prepare(Vote(view: $0.view, sequence: $0.sequence, digest: $0.batch.digest), vouches: true))
        }
    }

    // MARK: What it may select

    private struct Candidate {
        let viewChanges: [ViewChange]
        let selection: NewViewSelection

        var end: SequenceNumber {
            SequenceNumber(selection.start.sequence.number + UInt64(selection.digests.count))
        }
    }

    /// Of every 2f + 1 that it has heard of, with its own word that nothing prepared, and with one that all that was
    /// forged lately did.
    private static func candidates(
        _ original: NewView, by liar: ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> [Candidate] {
        let group = knowledge.manifest.group(of: original.shard)
        var others: [ViewChange] = []
        let known = knowledge.viewChanges[ViewOfShard(shard: original.shard, view: original.view)] ?? []
        for viewChange in original.viewChanges + known
        where viewChange.replica != original.replica && viewChange.isWellFormed(window: knowledge.window)
            && !others.contains(where: { $0.replica == viewChange.replica })
        {
            others.append(viewChange)
        }
        guard let own = original.viewChanges.first(where: { $0.replica == original.replica }) else { return [] }
        let words = [word(own, claims: [], by: liar), word(own, claims: knowledge.forged(before: own), by: liar)]
        var candidates: [Candidate] = []
        for chosen in subsets(of: others, count: group.quorum - 1) {
            for word in words {
                let viewChanges = (chosen + [word]).sorted { $0.replica < $1.replica }
                guard let selection = NewViewSelection(viewChanges, group: group, window: knowledge.window) else {
                    continue
                }
                candidates.append(Candidate(viewChanges: viewChanges, selection: selection))
            }
        }
        return candidates
    }

    private static func subsets(of all: [ViewChange], count: Int) -> [[ViewChange]] {
        guard count > 0 else { return [[]] }
        guard all.count >= count, let last = all.last else { return [] }
        let before = Array(all.dropLast())
        return subsets(of: before, count: count) + subsets(of: before, count: count - 1).map { $0 + [last] }
    }

    /// Its VIEW-CHANGE, with P of these alone and Q of these too.
    private static func word(_ own: ViewChange, claims: [PQEntry], by liar: ByzantineHost) -> ViewChange {
        var prepared: [PQEntry] = []
        for claim in claims.sorted(by: { ($0.sequence, $1.view) < ($1.sequence, $0.view) })
        where prepared.last?.sequence != claim.sequence { prepared.append(claim) }
        let prePrepared =
            own.prePrepared.filter { entry in
                !prepared.contains { ($0.sequence, $0.digest) == (entry.sequence, entry.digest) }
            } + prepared
        return ViewChange(
            cluster: own.cluster, epoch: own.epoch, shard: own.shard, view: own.view, replica: own.replica,
            incarnation: own.incarnation, lowWatermark: own.lowWatermark, checkpoints: own.checkpoints,
            prepared: prepared, prePrepared: prePrepared.sorted(), signer: liar.signer)
    }

    private static func sign(_ candidate: Candidate, insteadOf original: NewView, by liar: ByzantineHost) -> NewView {
        NewView(
            cluster: original.cluster, epoch: original.epoch, shard: original.shard, view: original.view,
            replica: original.replica, viewChanges: candidate.viewChanges, start: candidate.selection.start,
            selection: candidate.selection.digests, signer: liar.signer)
    }
}

extension LiarsKnowledge {
    /// What was proposed to some in earlier views, as far as a VIEW-CHANGE may speak of it.
    fileprivate func forged(before viewChange: ViewChange) -> [PQEntry] {
        let low = viewChange.lowWatermark.number
        return forged.compactMap { position in
            guard position.shard == viewChange.shard, position.view < viewChange.view,
                position.sequence.number > low, position.sequence.number <= low + window,
                let digest = alternatives[position]?.digest
            else { return nil }
            return PQEntry(sequence: position.sequence, digest: digest, view: position.view)
        }
    }
}
