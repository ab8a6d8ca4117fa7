import Messages
import ShardState

/// The buckets of one chosen state on their way here: who was asked for which, and what has come of it.
struct StateDownload: Sendable {
    struct Peer: Sendable {
        /// What was asked of it and has not come.
        var asked: [Int] = []
        /// When it was asked, and since when nothing came.
        var askedSince: UInt64
        var askedAt: UInt64
        /// The bucket of which some parts have come from it.
        var partial: Partial?
        /// Those who did not answer in time get nothing to do until all others failed too.
        var isSlow = false
    }

    struct Partial: Sendable {
        let bucket: Int
        var parts: UInt16 = 0
        var bytes = 0
        var entries: [StateTransferMessage.StateEntry] = []

        mutating func add(_ more: [StateTransferMessage.StateEntry]) {
            // Two arrays an entry cost as much however short they are.
            bytes += more.reduce(0) { $0 + $1.key.count + $1.value.count + 64 }
            entries += more
            parts &+= 1
        }
    }

    enum Taken {
        /// It does not lie, as far as can be told: another was quicker, or it was given up.
        case notAsked
        case refused
        case part
        /// - Parameters:
        ///   - isDone: nothing else is missing.
        ///   - isIdle: its sender owes nothing more.
        case bucket(WholeBucket, isDone: Bool, isIdle: Bool)
    }

    let chosen: StateOffer
    /// Enough vouch for what is chosen to make it stable here.
    let isStable: Bool
    /// With the offers: whom to ask.
    var round: OfferRound
    /// Not asked of anybody, the last one next.
    private var unasked: [Int] = []
    /// By replica.
    private var peers: [Peer]

    init(_ offer: StateOffer, of round: OfferRound, isStable: Bool, now: UInt64) {
        (chosen, self.round, self.isStable) = (offer, round, isStable)
        peers = Array(repeating: Peer(askedSince: now, askedAt: now), count: round.offers.count)
    }

    /// Nothing is to be asked and nothing is awaited.
    var isDone: Bool { unasked.isEmpty && peers.allSatisfy(\.asked.isEmpty) }

    /// What differs from the own state and was not staged is to be asked; what is empty in the chosen one need not.
    /// - Returns: whether that is nothing.
    mutating func plan(own: [Digest], staging: inout StagingArea, into ready: inout StateFetching.Ready) -> Bool {
        let empty = StateDigest.emptyBucketDigest
        var missing: [Int] = []
        for bucket in chosen.buckets.indices.reversed() {
            let wanted = chosen.buckets[bucket]
            if wanted == own[bucket] || staging.summary(of: bucket, wanted) != nil { continue }
            guard wanted == empty, let none = StateDigest.bucket(bucket, of: [], digest: empty) else {
                missing.append(bucket)
                continue
            }
            if staging.noteEmpty(bucket) { continue }
            staging.hand(none)
            ready.stages.append(none)
        }
        if !missing.isEmpty { unasked = missing }
        return missing.isEmpty
    }

    /// Nil if not all of it is staged.
    func difference(from own: [Digest], _ staging: StagingArea) -> FetchedState? {
        var buckets: [BucketSummary] = []
        for (bucket, digest) in chosen.buckets.enumerated() where digest != own[bucket] {
            guard let summary = staging.summary(of: bucket, digest) else { return nil }
            buckets.append(summary)
        }
        return FetchedState(checkpoint: chosen.checkpoint, metadata: chosen.metadata, buckets: buckets)
    }

    /// Gives everybody who offers the state, and has nothing to do, the next buckets: as many as there is room for,
    /// should all be as large as the largest. While the disk has not kept up nobody is asked for more than keeps him
    /// from forgetting who fetches.
    /// - Returns: false if nobody does, or if all have been slow for long: perhaps they have moved on.
    mutating func ask(
        _ options: HostOptions, _ staging: StagingArea, now: UInt64, into ready: inout StateFetching.Ready
    ) -> Bool {
        let isHeldUp = staging.unconfirmedBytes >= options.maxStagingBytes
        let offering = peers.indices.filter { round.offers[$0]?.digest == chosen.digest }
        guard !offering.isEmpty else { return isHeldUp }
        if !isHeldUp, offering.allSatisfy({ peers[$0].isSlow }) {
            for peer in offering { peers[peer].isSlow = false }
            if now > round.askedAt + 4 * options.stateTransferTimeout { return false }
        }
        let room = staging.room(within: options.maxStagingBytes, peers: offering.count) / offering.count
        let fair = (unasked.count + offering.count - 1) / offering.count
        let share = max(1, min(options.stateTransferBuckets, fair, room))
        for peer in offering where peers[peer].asked.isEmpty && !peers[peer].isSlow {
            if isHeldUp, now < peers[peer].askedAt + 10 * options.stateTransferTimeout { continue }
            var buckets = Array(unasked.suffix(isHeldUp ? 1 : share).reversed())
            unasked.removeLast(buckets.count)
            if buckets.isEmpty { buckets = owedForLong(options, now: now) }
            guard !buckets.isEmpty else { return true }
            peers[peer].asked = buckets
            (peers[peer].askedAt, peers[peer].askedSince) = (now, now)
            let message = StateTransferMessage.fetchBuckets(
                sequence: chosen.sequence, buckets: buckets.map { UInt16($0) })
            ready.sends.append((to: .one(ReplicaIndex(UInt8(peer))), message: message))
        }
        return true
    }

    /// What somebody was asked for some time ago and still owes: whoever has nothing to do is asked too.
    private func owedForLong(_ options: HostOptions, now: UInt64) -> [Int] {
        for peer in peers where now > peer.askedSince + options.stateTransferTimeout {
            let owed = peer.asked.filter { bucket in peers.count { $0.asked.contains(bucket) } == 1 }
            if !owed.isEmpty { return Array(owed.suffix(options.stateTransferBuckets)) }
        }
        return []
    }

    mutating func giveUpSlow(timeout: UInt64, now: UInt64) {
        for peer in peers.indices where !peers[peer].asked.isEmpty {
            // Whoever trickles is given up too.
            guard now > peers[peer].askedAt + timeout || now > peers[peer].askedSince + 16 * timeout else { continue }
            giveUp(peer)
            peers[peer].isSlow = true
        }
    }

    /// It has the state no longer.
    mutating func lose(_ peer: Int) {
        round.offers[peer] = nil
        giveUp(peer)
    }

    /// What was asked of a peer is to be asked of others, if it is not already.
    private mutating func giveUp(_ peer: Int) {
        let open = peers[peer].asked
        (peers[peer].asked, peers[peer].partial) = ([], nil)
        for bucket in open.reversed() where !peers.contains(where: { $0.asked.contains(bucket) }) {
            unasked.append(bucket)
        }
    }

    /// A part of a bucket. What is whole is checked against its digest.
    mutating func take(_ part: BucketPart, from peer: Int, limit: Int, now: UInt64) -> Taken {
        guard part.sequence == chosen.sequence, peers[peer].asked.contains(part.bucket) else { return .notAsked }
        if part.number == 0 { peers[peer].partial = Partial(bucket: part.bucket) }
        guard var partial = peers[peer].partial, partial.bucket == part.bucket, partial.parts == part.number else {
            return .refused
        }
        peers[peer].partial = nil
        partial.add(part.entries)
        guard part.isLast else {
            // No digest says how large a bucket is: a liar must not fill the memory.
            guard partial.bytes <= limit, partial.parts != 0, !part.entries.isEmpty else { return .refused }
            peers[peer].partial = partial
            peers[peer].askedAt = now
            return .part
        }
        let digest = chosen.buckets[part.bucket]
        guard let whole = StateDigest.bucket(part.bucket, of: partial.entries, digest: digest) else {
            // Whoever lies does not have the next ones hashed in vain.
            giveUp(peer)
            peers[peer].isSlow = true
            return .refused
        }
        peers[peer].askedAt = now
        // Others may have been asked too.
        for other in peers.indices { peers[other].asked.removeAll { $0 == part.bucket } }
        return .bucket(whole, isDone: isDone, isIdle: peers[peer].asked.isEmpty)
    }
}
