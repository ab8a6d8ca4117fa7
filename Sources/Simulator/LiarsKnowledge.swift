import Randomness
import Messages
import PBFT

/// What the faulty hosts of a run have overheard and agreed on, to lie with. They know each other: what one of them
/// hears all of them know.
struct LiarsKnowledge {
    struct Position: Hashable {
        let shard: ShardID
        let view: View
        let sequence: SequenceNumber
    }
    /// A second digest at a position, and who is to believe in it.
    struct Alternative {
        let digest: Digest
        let batch: Batch?
        let believers: UInt64
        var act = ByzantineAct.equivocation

        func isBelieved(by peer: Int) -> Bool { believers >> UInt64(peer % 64) & 1 == 1 }
    }

    let manifest: Manifest
    let window: UInt64
    private let hasJumpingClocks: Bool
    var alternatives: [Position: Alternative] = [:]
    /// Where forged requests were proposed lately.
    private(set) var forged: [Position] = []
    /// In runs in which clocks jump, the latest time that each shard's primaries proposed. A shard may stand there.
    private(set) var latestTime: [ShardID: Timestamp] = [:]
    /// What a primary has made of the NEW-VIEWs that it can sign; nil if they do not differ enough.
    private var splits: [ViewOfShard: NewViewSplit?] = [:]
    /// VIEW-CHANGEs that any of them knows of.
    private(set) var viewChanges: [ViewOfShard: [ViewChange]] = [:]
    /// Digests of proposals, to lie with.
    private var digests: [ShardID: [Digest]] = [:]
    private(set) var bodies: [Batch] = []
    /// By the digest of a true batch, that of a forged one.
    private(set) var forgeries: [Digest: Digest] = [:]
    private(set) var requests: [SignedRequest] = []

    init(manifest: Manifest, options: SimulationOptions) {
        (self.manifest, window) = (manifest, options.host.replica.window)
        hasJumpingClocks = options.jumpsClocks
    }

    // MARK: What they hear

    /// Keeps what one may lie with later.
    mutating func overhear(_ message: HostMessage) {
        guard case .pbft(let shard, let pbft) = message else { return }
        switch pbft {
        case .prePrepare(let prePrepare):
            note(prePrepare.batch, shard)
            if hasJumpingClocks { latestTime[shard] = max(latestTime[shard] ?? .zero, prePrepare.batch.time) }
        case .batch(let batch), .committedBody(let batch): note(batch, shard)
        case .viewChange(let viewChange): note(viewChange)
        case .prepare, .commit, .checkpoint, .suspect, .newView, .status, .fetchBatch, .fetchCommitted, .committed,
            .resumed, .recollection:
            break
        }
    }

    mutating func note(_ viewChange: ViewChange) {
        let key = ViewOfShard(shard: viewChange.shard, view: viewChange.view)
        guard (viewChanges[key]?.count ?? 0) < 64 else { return }
        viewChanges[key, default: []].append(viewChange)
    }

    mutating func note(_ batch: Batch, _ shard: ShardID) {
        guard !batch.isNull else { return }
        if digests[shard, default: []].count >= 32 { digests[shard]?.removeFirst() }
        digests[shard, default: []].append(batch.digest)
        if bodies.count >= 64 { bodies.removeFirst() }
        bodies.append(batch)
        if forgeries.count >= 256 { forgeries.removeAll() }
        forgeries[batch.digest] = Self.forgery(of: batch)?.digest
        for case .request(let request) in batch.items where !requests.contains(request) {
            if requests.count >= 64 { requests.removeFirst() }
            requests.append(request)
        }
    }

    /// A batch with forged requests is proposed, to all or to some.
    mutating func propose(_ batch: Batch, at position: Position, to believers: UInt64) {
        note(batch, position.shard)
        alternatives[position] = Alternative(
            digest: batch.digest, batch: batch, believers: believers, act: .forgedRequests)
        if forged.count >= 8 { forged.removeFirst() }
        forged.append(position)
    }

    // MARK: What they make of it

    /// Two right NEW-VIEWs in the place of one, and always the same.
    mutating func split(_ newView: NewView, by liar: inout ByzantineHost) -> NewViewSplit? {
        let key = ViewOfShard(shard: newView.shard, view: newView.view)
        if let known = splits[key] { return known }
        let split = NewViewSplit(newView, by: &liar, self)
        splits[key] = .some(split)
        guard let split else { return nil }
        // Whatever its core proposes there: the liars hold to this.
        for proposal in split.proposals {
            propose(
                proposal.batch, at: Position(shard: newView.shard, view: proposal.view, sequence: proposal.sequence),
                to: .max)
        }
        return split
    }

    func replica(of shard: ShardID, on liar: ByzantineHost) -> ReplicaIndex? {
        manifest.replica(of: shard, on: HostID(UInt16(liar.identity)))
    }

    /// Of a real proposal, or of nothing.
    func anyDigest(_ shard: ShardID, using rng: inout SplitMix64) -> Digest {
        let known = digests[shard] ?? []
        if known.isEmpty || rng.chance(perMille: 200) { return rng.digest() }
        return known[rng.below(known.count)]
    }

    /// All liars tell the same lie about the same thing.
    static func lie(about digest: Digest) -> Digest {
        var hasher = Hasher256()
        hasher.update(digest)
        return hasher.finish()
    }

    /// With a request that its principal never signed, beside or in place of one that he did; or with one that he
    /// signed, under another signature.
    func forgedProposal(insteadOf batch: Batch, using rng: inout SplitMix64) -> Batch? {
        var items = batch.items
        let places = items.indices.filter { if case .request = items[$0] { true } else { false } }
        let place = places.isEmpty ? nil : places[rng.below(places.count)]
        let model: SignedRequest
        if let place, case .request(let request) = items[place] {
            model = request
        } else if !requests.isEmpty {
            model = requests[rng.below(requests.count)]
        } else {
            return nil
        }
        var request = model.request
        if rng.chance(perMille: 700) { request.deadline = request.deadline.adding(microseconds: 1) }
        if rng.chance(perMille: 400), request.number.number < .max { request.number = request.number.next }
        let forgery = BatchItem.request(SignedRequest(request, signedBy: StandInSigner(.max)))
        if let place, rng.chance(perMille: 400) {
            items[place] = forgery
        } else {
            items.insert(forgery, at: rng.below(items.count + 1))
        }
        return Batch(time: batch.time, items: items)
    }

    /// With a request in the name of somebody who never signed it. The bodies of claims pass no verifier, so claims
    /// must hold it off.
    static func forgery(of batch: Batch) -> Batch? {
        var items = batch.items
        guard let i = items.firstIndex(where: { if case .request = $0 { true } else { false } }),
            case .request(let request) = items[i]
        else {
            return nil
        }
        items[i] = .request(SignedRequest(request.request, signedBy: StandInSigner(.max)))
        return Batch(time: batch.time, items: items)
    }
}
