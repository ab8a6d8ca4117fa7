import Messages
import PBFT
import ShardState

/// Fetches a checkpoint from peers, when they no longer have the batches that this replica lacks. f + 1 of them must
/// offer the same digest, so a correct one holds that state; if they hold different states, CHECKPOINTs vouch for an
/// offer too. Only the buckets that differ from the own state are fetched, from all who offer it at once; each is
/// checked against its digest, and goes to the store's staging area as soon as it is whole, so that no more than a few
/// are in memory (docs/decisions/0036).
///
/// It sees nothing of its replica but what an input says, and asks for what it needs to know of it.
package struct StateFetching: Sendable {
    /// What happens to it, one at a time.
    package enum Input: Sendable {
        /// Peers no longer have the batches after what is executed here.
        case needed(atLeast: SequenceNumber)
        /// The digests of a checkpoint that a peer holds on disk.
        case offer(from: ReplicaIndex, sequence: SequenceNumber, metadata: [UInt8], buckets: [Digest])
        case bucket(from: ReplicaIndex, BucketPart)
        /// A peer no longer holds that checkpoint.
        case gone(from: ReplicaIndex, SequenceNumber)
        /// What `wantsOwnBuckets` asked for.
        case ownBuckets([Digest], executed: SequenceNumber)
        /// Of `stages`, this is in the staging area.
        case staged(bucket: Int, Digest)
        /// What `installs` said is being written down.
        case installing
        /// The state up to here is durable in the store.
        case flushed(SequenceNumber)
        /// - Parameter claims: by replica, for which of `offered` it said CHECKPOINT.
        case tick(executed: SequenceNumber, claims: [[Checkpoint]])
    }

    /// What a step asks for, in the order in which it must be done.
    package struct Ready {
        /// 1. Send.
        package var sends: [(to: ReplicaReady.Destination, message: StateTransferMessage)] = []
        /// 2. Put into the store's staging area, in order, and say `staged` for each.
        package var stages: [WholeBucket] = []
        /// 3. Say `ownBuckets`: the state that is chosen is compared with the own one.
        package var wantsOwnBuckets = false
        /// 4. All that differs is staged. Unless something else is being written down, move it to its place, execute
        /// nothing before that is durable, and say `installing`. Otherwise do nothing: it is compared again at the next
        /// tick.
        package var installs: FetchedState?
        /// 5. That state is durable: go on from there.
        package var installed: InstalledState?
        /// 6. Count.
        package var drops: [MessageDrop] = []
        /// 7. Count: it was idle, and fetches from now on.
        package var begins = false

        package init() {}
    }

    /// Where it stands, with what it has there.
    enum Phase: Sendable {
        case idle
        case collectingOffers(OfferRound)
        case fetching(StateDownload)
        case installing(InstalledState)
    }

    private let group: ReplicaGroup
    private let options: HostOptions
    private var phase = Phase.idle
    private var staging = StagingArea()
    /// Rounds of offers that ended without f + 1 of a kind.
    private var rounds = 0

    package init(group: ReplicaGroup, options: HostOptions) { (self.group, self.options) = (group, options) }

    /// Nothing is missing, as far as is known.
    package var isIdle: Bool { if case .idle = phase { true } else { false } }
    /// The state that is being written down.
    package var installing: Checkpoint? { if case .installing(let state) = phase { state.checkpoint } else { nil } }

    /// What peers offer while nothing is chosen, once each: `tick` is told who vouches for it.
    package var offered: [Checkpoint] {
        guard case .collectingOffers(let round) = phase else { return [] }
        return round.checkpoints
    }

    package mutating func step(_ input: Input, now: Instant, into ready: inout Ready) {
        switch input {
        case .needed(let minimum):
            guard isIdle else { return }
            ready.begins = true
            askForOffers(OfferRound(minimum: minimum, peers: group.n), now: now, into: &ready)
        case .offer(let from, let sequence, let metadata, let buckets):
            receive(offer: sequence, metadata, buckets, from: from.index, now: now, into: &ready)
        case .bucket(let from, let part): receive(part, from: from.index, now: now, into: &ready)
        case .gone(let from, let sequence):
            guard case .fetching(let download) = phase, download.chosen.sequence == sequence else { return }
            withDownload { download, _ in download.lose(from.index) }
            askForBuckets(now: now, into: &ready)
        case .ownBuckets(let own, let executed): compare(with: own, executed: executed, now: now, into: &ready)
        case .staged(let bucket, let digest):
            staging.confirm(bucket, digest)
            guard case .fetching(let download) = phase else { return }
            goOn(isDone: download.isDone, now: now, into: &ready)
        case .installing:
            guard case .fetching(let download) = phase else { return }
            phase = .installing(InstalledState(checkpoint: download.chosen.checkpoint, isStable: download.isStable))
        case .flushed(let sequence):
            guard case .installing(let state) = phase, state.checkpoint.sequence == sequence else { return }
            phase = .idle
            staging.clear()
            ready.installed = state
        case .tick(let executed, let claims): tick(executed: executed, claims, now: now, into: &ready)
        }
    }

    private mutating func tick(
        executed: SequenceNumber, _ claims: [[Checkpoint]], now: Instant, into ready: inout Ready
    ) {
        switch phase {
        case .idle, .installing: return
        case .collectingOffers(let round):
            // Batches came after all.
            if executed >= round.minimum { return phase = .idle }
            guard now.uptime > round.askedAt + options.stateTransferTimeout else { return }
            guard let (offer, isStable) = claimedOffer(of: round, claims) else {
                return askForOffers(round, now: now, into: &ready)
            }
            choose(offer, of: round, isStable: isStable, now: now, into: &ready)
        case .fetching(let download):
            if executed >= download.round.minimum { return phase = .idle }
            let timeout = options.stateTransferTimeout
            let isDone = withDownload { download, _ in
                download.giveUpSlow(timeout: timeout, now: now.uptime)
                return download.isDone
            }
            goOn(isDone: isDone ?? false, now: now, into: &ready)
        }
    }

    /// - Parameter isDone: everything has come.
    private mutating func goOn(isDone: Bool, now: Instant, into ready: inout Ready) {
        guard isDone else { return askForBuckets(now: now, into: &ready) }
        if staging.isConfirmed { ready.wantsOwnBuckets = true }
    }

    /// In place: the parts of a bucket would be copied with every one that comes.
    @discardableResult
    private mutating func withDownload<Result>(
        _ change: (inout StateDownload, inout StagingArea) -> Result
    ) -> Result? {
        guard case .fetching(var download) = phase else { return nil }
        phase = .idle
        defer { phase = .fetching(download) }
        return change(&download, &staging)
    }

    // MARK: Offers

    private mutating func askForOffers(_ last: OfferRound, now: Instant, into ready: inout Ready) {
        phase = .collectingOffers(last.next(now: now.uptime))
        ready.sends.append((to: .others, message: .fetchCheckpoint(minimum: last.minimum)))
    }

    private mutating func receive(
        offer sequence: SequenceNumber, _ metadata: [UInt8], _ buckets: [Digest], from peer: Int, now: Instant,
        into ready: inout Ready
    ) {
        func checked(_ minimum: SequenceNumber) -> StateOffer? {
            guard sequence >= minimum, StateDigest.sequence(ofMetadata: metadata) == sequence,
                let digest = StateDigest.checkpoint(metadata: metadata, bucketDigests: buckets)
            else { return nil }
            return StateOffer(sequence: sequence, metadata: metadata, buckets: buckets, digest: digest)
        }
        switch phase {
        case .idle, .installing: ready.drops.append(.stateNotWanted)
        case .collectingOffers(var round):
            guard let offer = checked(round.minimum) else { return ready.drops.append(.wrongState) }
            round.offers[peer] = offer
            phase = .collectingOffers(round)
            guard let offer = agreed(in: round) else { return }
            choose(offer, of: round, isStable: true, now: now, into: &ready)
        case .fetching(let download):
            // One more to fetch from, or nothing.
            guard let offer = checked(download.round.minimum) else { return ready.drops.append(.wrongState) }
            guard offer.digest == download.chosen.digest else { return ready.drops.append(.stateNotWanted) }
            withDownload { download, _ in download.round.offers[peer] = offer }
        }
    }

    private func agreed(in round: OfferRound) -> StateOffer? {
        let needed = Mutant.is(.stateOfOnePeer) ? 1 : group.weakQuorum
        for case let offer? in round.offers
        where round.offers.count(where: { $0?.digest == offer.digest }) >= needed { return offer }
        return nil
    }

    /// Hosts may have written down different states, and may not move on without this one. What f + 1 offer was stable
    /// with a correct host; a CHECKPOINT says less, so there must be 2f: with this replica f + 1 correct ones then hold
    /// the state, as many as view changes count on. Each round begins with another peer: who offers and does not give
    /// cannot stay the first. With fewer, but f + 1, the state is right and perhaps not stable: when nothing else has
    /// come of it for long, it is taken, and the watermarks stay where they are.
    private mutating func claimedOffer(
        of round: OfferRound, _ claims: [[Checkpoint]]
    ) -> (StateOffer, isStable: Bool)? {
        rounds += 1
        let offers = round.offers
        var right: StateOffer?
        for k in offers.indices {
            guard let offer = offers[(rounds + k) % offers.count] else { continue }
            let vouching = offers.indices.count { peer in
                offers[peer]?.digest == offer.digest || claims[peer].contains(offer.checkpoint)
            }
            if vouching >= max(group.weakQuorum, 2 * group.f) { return (offer, true) }
            if vouching >= group.weakQuorum { right = right ?? offer }
        }
        guard rounds > group.n else { return nil }
        return right.map { ($0, false) }
    }

    private mutating func choose(
        _ offer: StateOffer, of round: OfferRound, isStable: Bool, now: Instant, into ready: inout Ready
    ) {
        rounds = 0
        phase = .fetching(StateDownload(offer, of: round, isStable: isStable, now: now.uptime))
        ready.wantsOwnBuckets = true
    }

    // MARK: Buckets

    /// What is still to be fetched; with nothing left, installs.
    private mutating func compare(with own: [Digest], executed: SequenceNumber, now: Instant, into ready: inout Ready) {
        guard let isComplete = withDownload({ $0.plan(own: own, staging: &$1, into: &ready) }) else { return }
        guard isComplete else { return askForBuckets(now: now, into: &ready) }
        guard staging.isConfirmed, case .fetching(let download) = phase else { return }
        guard download.chosen.sequence > executed else { return phase = .idle }
        ready.installs = download.difference(from: own, staging)
    }

    private mutating func askForBuckets(now: Instant, into ready: inout Ready) {
        let options = options
        guard let hasSomebody = withDownload({ $0.ask(options, $1, now: now.uptime, into: &ready) }), !hasSomebody,
            case .fetching(let download) = phase
        else { return }
        // What was staged stays.
        askForOffers(download.round, now: now, into: &ready)
    }

    private mutating func receive(_ part: BucketPart, from peer: Int, now: Instant, into ready: inout Ready) {
        let limit = options.maxBucketBytes
        switch withDownload({ download, _ in download.take(part, from: peer, limit: limit, now: now.uptime) }) {
        case nil, .notAsked?: ready.drops.append(.stateNotWanted)
        case .refused?: ready.drops.append(.wrongState)
        case .part?: return
        case .bucket(let whole, let isDone, let isIdle)?:
            staging.hand(whole)
            ready.stages.append(whole)
            if isDone || isIdle { goOn(isDone: isDone, now: now, into: &ready) }
        }
    }
}

/// A part of a bucket's entries, as a peer says it.
package struct BucketPart: Sendable {
    package let sequence: SequenceNumber
    package let bucket: Int
    /// Counted from zero.
    package let number: UInt16
    package let isLast: Bool
    package let entries: [StateTransferMessage.StateEntry]

    package init(
        sequence: SequenceNumber, bucket: Int, number: UInt16, isLast: Bool, entries: [StateTransferMessage.StateEntry]
    ) {
        (self.sequence, self.bucket, self.number) = (sequence, bucket, number)
        (self.isLast, self.entries) = (isLast, entries)
    }
}

/// A state that came from peers, as what differs from the own one.
package struct FetchedState: Sendable {
    package let checkpoint: Checkpoint
    package let metadata: [UInt8]
    /// Ascending; all of them are staged.
    package let buckets: [BucketSummary]

    package init(checkpoint: Checkpoint, metadata: [UInt8], buckets: [BucketSummary]) {
        (self.checkpoint, self.metadata, self.buckets) = (checkpoint, metadata, buckets)
    }
}

/// A state that came from peers and is written down.
package struct InstalledState: Hashable, Sendable {
    package let checkpoint: Checkpoint
    /// Enough vouch for it to make it stable here.
    package let isStable: Bool
}

/// A checkpoint as one peer holds it, by its digests.
struct StateOffer: Sendable {
    let sequence: SequenceNumber
    let metadata: [UInt8]
    let buckets: [Digest]
    let digest: Digest

    var checkpoint: Checkpoint { Checkpoint(sequence: sequence, digest: digest) }
}

/// Offers of a state of at least some sequence number, since everybody was asked for them.
struct OfferRound: Sendable {
    let minimum: SequenceNumber
    /// By replica.
    var offers: [StateOffer?]
    private(set) var askedAt: UInt64 = 0

    init(minimum: SequenceNumber, peers: Int) {
        self.minimum = minimum
        offers = Array(repeating: nil, count: peers)
    }

    /// What is offered, once each.
    var checkpoints: [Checkpoint] {
        var checkpoints: [Checkpoint] = []
        for case let offer? in offers where !checkpoints.contains(offer.checkpoint) {
            checkpoints.append(offer.checkpoint)
        }
        return checkpoints
    }

    /// Everybody is asked again.
    func next(now: UInt64) -> OfferRound {
        var next = self
        next.offers = Array(repeating: nil, count: offers.count)
        next.askedAt = now
        return next
    }
}
