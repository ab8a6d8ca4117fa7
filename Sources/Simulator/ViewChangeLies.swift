import Messages
import PBFT

/// Forged VIEW-CHANGE and NEW-VIEW, with valid signatures.
enum ViewChangeLies {
    /// A VIEW-CHANGE that lies about what was prepared, pre-prepared and stable; mostly well formed, as others are
    /// refused.
    static func forge(
        _ original: ViewChange, view: View? = nil, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> ViewChange {
        let view = view ?? original.view
        var low = original.lowWatermark
        var checkpoints = original.checkpoints
        var prepared = liar.rng.chance(perMille: 400) ? [] : original.prepared
        var prePrepared = liar.rng.chance(perMille: 400) ? [] : original.prePrepared
        if liar.rng.chance(perMille: 250) {
            checkpoints = checkpoints.map {
                Checkpoint(sequence: $0.sequence, digest: LiarsKnowledge.lie(about: $0.digest))
            }
        }
        if liar.rng.chance(perMille: 150) {
            low = SequenceNumber(low.number - min(low.number, 4 * (1 + liar.rng.below(UInt64(3)))))
            checkpoints = [Checkpoint(sequence: low, digest: LiarsKnowledge.lie(about: .null))]
        } else if liar.rng.chance(perMille: 150) {
            low = SequenceNumber(low.number + 4 * (1 + liar.rng.below(UInt64(4))))
            checkpoints = [Checkpoint(sequence: low, digest: LiarsKnowledge.lie(about: .null))]
        } else if liar.rng.chance(perMille: 150), let last = checkpoints.last {
            checkpoints.append(
                Checkpoint(
                    sequence: SequenceNumber(last.sequence.number + 4), digest: LiarsKnowledge.lie(about: last.digest)))
        }
        // Inventions in P and Q: digests of real proposals, equivocated ones before all, in the highest views.
        for _ in 0..<liar.peek({ $0.below(8) }) {
            let sequence = SequenceNumber(low.number + 1 + liar.rng.below(knowledge.window))
            let earlier = View(view.number - min(view.number, 1 + liar.rng.below(UInt64(3))))
            let known = knowledge.alternatives[.init(shard: original.shard, view: earlier, sequence: sequence)]
            let digest =
                known?.digest
                ?? (liar.rng.chance(perMille: 100) ? .null : knowledge.anyDigest(original.shard, using: &liar.rng))
            let entry = PQEntry(sequence: sequence, digest: digest, view: earlier)
            if liar.rng.chance(perMille: 700) { prepared.append(entry) }
            if liar.rng.chance(perMille: 700) { prePrepared.append(entry) }
        }
        let high = low.number + knowledge.window
        func fits(_ entry: PQEntry) -> Bool {
            entry.sequence > low && entry.sequence.number <= high && entry.view < view
        }
        prepared = prepared.filter(fits).sorted { ($0.sequence, $1.view) < ($1.sequence, $0.view) }
        prePrepared = prePrepared.filter(fits).sorted()
        var p: [PQEntry] = []
        for entry in prepared where p.last?.sequence != entry.sequence { p.append(entry) }
        var q: [PQEntry] = []
        for entry in prePrepared
        where q.last.map({ ($0.sequence, $0.digest) != (entry.sequence, entry.digest) }) ?? true { q.append(entry) }
        checkpoints = checkpoints.filter { $0.sequence.number <= high }
        return ViewChange(
            cluster: original.cluster, epoch: original.epoch, shard: original.shard, view: view,
            replica: original.replica,
            lowWatermark: low, checkpoints: checkpoints, prepared: p, prePrepared: q, signer: liar.signer)
    }

    /// A NEW-VIEW from another S, whose selection may differ and is right for it; or one that is wrong.
    static func forge(
        _ original: NewView, to: Int, by liar: inout ByzantineHost, _ knowledge: inout LiarsKnowledge
    ) -> NewView {
        let group = knowledge.manifest.group(of: original.shard)
        var start = original.start
        var selection = original.selection
        var messages = original.viewChanges
        switch liar.rng.below(6) {
        case 0:
            if !selection.isEmpty {
                selection.removeLast()
            } else {
                selection.append(knowledge.anyDigest(original.shard, using: &liar.rng))
            }
        case 1: selection = selection.map { _ in .null }
        case 2: messages.removeLast()
        case 3: start = Checkpoint(sequence: start.sequence, digest: LiarsKnowledge.lie(about: start.digest))
        default:
            var pool = knowledge.viewChanges[ViewOfShard(shard: original.shard, view: original.view)] ?? []
            if let own = messages.first(where: { $0.replica == original.replica }) {
                pool.append(forge(own, by: &liar, knowledge))
            }
            // Any order, then the first of each replica.
            var chosen: [ViewChange] = []
            while !pool.isEmpty, chosen.count < group.quorum {
                let next = pool.remove(at: liar.rng.below(pool.count))
                if !chosen.contains(where: { $0.replica == next.replica }) { chosen.append(next) }
            }
            chosen.sort { $0.replica < $1.replica }
            guard let other = NewViewSelection(chosen, group: group, window: knowledge.window) else { break }
            (messages, start, selection) = (chosen, other.start, other.digests)
            let first = start.sequence.number
            for (i, digest) in selection.enumerated() {
                let position = LiarsKnowledge.Position(
                    shard: original.shard, view: original.view, sequence: SequenceNumber(first + 1 + UInt64(i)))
                if knowledge.alternatives[position] == nil {
                    knowledge.alternatives[position] = LiarsKnowledge.Alternative(
                        digest: digest, batch: nil, believers: 1 << UInt64(to % 64))
                }
            }
        }
        return NewView(
            cluster: original.cluster, epoch: original.epoch, shard: original.shard, view: original.view,
            replica: original.replica,
            viewChanges: messages, start: start, selection: selection, signer: liar.signer)
    }
}
