import Messages
import PBFT
import ShardState

/// A checkpoint from peers, when they no longer have the batches that this replica lacks. f + 1 of them must offer the same
/// digest, so a correct one holds that state; if they hold different states, CHECKPOINTs vouch for an offer too. Only the
/// buckets that differ from the own state are fetched, from all who offer it at once; each is checked against its digest.
struct StateTransfer: Sendable {
    struct Offer: Sendable {
        let sequence: SequenceNumber
        let metadata: [UInt8]
        let buckets: [Digest]
        let digest: Digest
    }

    // Fetching.
    var minimum: SequenceNumber?
    var offers: [Offer?] = []
    var chosen: Offer?
    /// Fetched and checked; kept when another checkpoint is chosen, for the buckets that are the same there.
    var fetched: [Int: (digest: Digest, entries: [StateTransferMessage.StateEntry])] = [:]
    /// Not asked of anybody, the last one next.
    var unasked: [Int] = []
    /// By replica: what was asked of it and has not come, when it was asked, and since when nothing came.
    var asked: [[Int]] = []
    var askedSince: [UInt64] = []
    var askedAt: [UInt64] = []
    /// By replica: the bucket of which some parts have come from it.
    var partial: [Partial?] = []
    /// Those who did not answer in time get nothing to do until all others failed too.
    var isSlow: [Bool] = []
    var offersAskedAt: UInt64 = 0
    /// Rounds of offers that ended without f + 1 of a kind.
    var rounds = 0
    /// Enough vouch for what is chosen to make it stable here.
    var isStable = true
    /// What is being written down now.
    var installing: Checkpoint?
    /// Bytes of keys and values that came and were right, since the host started.
    var bytes: UInt64 = 0

    struct Partial: Sendable {
        let bucket: Int
        var parts: UInt16 = 0
        var bytes = 0
        var entries: [StateTransferMessage.StateEntry] = []
    }

    // Serving.
    /// Checkpoints that were offered and that somebody may still be reading; ascending.
    var serving: [Served] = []
    /// By replica.
    var customers: [Customer] = []

    struct Served: Sendable {
        let sequence: SequenceNumber
        let snapshot: any KeyValueReader & Sendable
        let reply: StateTransferMessage
        let since: UInt64
    }

    /// A peer that fetches: it holds one snapshot, has one question open, and what it is sent a second is bounded.
    struct Customer: Sendable {
        var holds: SequenceNumber?
        var until: UInt64 = 0
        var question: [UInt16] = []
        /// Bytes, negative after a large bucket.
        var allowance = 0
        var allowedAt: UInt64 = 0
    }
    /// The bucket digests of the state on disk, if they are at hand.
    var flushing: (sequence: SequenceNumber, buckets: [Digest])?
    var onDisk: (sequence: SequenceNumber, buckets: [Digest])?
    /// Taken above the state on disk, to vouch for the states of peers that have written down later ones; ascending.
    var taken: [Checkpoint] = []

    mutating func forgetFetch() {
        (minimum, chosen, offers, fetched) = (nil, nil, [], [:])
        (unasked, asked, partial) = ([], [], [])
    }
}

extension HostCore {
    mutating func fetchState(_ i: Int, atLeast minimum: SequenceNumber, now: Instant, into ready: inout HostReady) {
        guard nodes[i].transfer.installing == nil, nodes[i].transfer.minimum == nil else { return }
        nodes[i].transfer.minimum = minimum
        askForCheckpoint(i, now: now, into: &ready)
    }

    private mutating func askForCheckpoint(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let minimum = nodes[i].transfer.minimum else { return }
        nodes[i].transfer.offers = Array(repeating: nil, count: nodes[i].hosts.count)
        nodes[i].transfer.chosen = nil
        nodes[i].transfer.offersAskedAt = now.uptime
        ready.toHosts.append(.init(to: nodes[i].others, message: .stateTransfer(nodes[i].shard, .fetchCheckpoint(minimum: minimum))))
    }

    mutating func tickStateTransfer(_ i: Int, now: Instant, into ready: inout HostReady) {
        serveOpenQuestions(i, now: now, into: &ready)
        guard let minimum = nodes[i].transfer.minimum, nodes[i].transfer.installing == nil else { return }
        if nodes[i].replica.lastExecuted >= minimum {
            // Batches came after all.
            nodes[i].transfer.forgetFetch()
            return
        }
        guard nodes[i].transfer.chosen != nil else {
            guard now.uptime > nodes[i].transfer.offersAskedAt + options.stateTransferTimeout else { return }
            if let (claimed, isStable) = claimedOffer(i) { return choose(claimed, isStable: isStable, i, now: now, into: &ready) }
            return askForCheckpoint(i, now: now, into: &ready)
        }
        for peer in nodes[i].transfer.asked.indices where !nodes[i].transfer.asked[peer].isEmpty {
            // Whoever trickles is given up too.
            guard now.uptime > nodes[i].transfer.askedAt[peer] + options.stateTransferTimeout
                || now.uptime > nodes[i].transfer.askedSince[peer] + 16 * options.stateTransferTimeout
            else { continue }
            giveUp(peer, i)
            nodes[i].transfer.isSlow[peer] = true
        }
        if nodes[i].transfer.unasked.isEmpty, nodes[i].transfer.asked.allSatisfy(\.isEmpty) {
            plan(i, now: now, into: &ready)
        } else {
            askForBuckets(i, now: now, into: &ready)
        }
    }

    mutating func receive(_ message: StateTransferMessage, from: ReplicaIndex, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        switch message {
        case .fetchCheckpoint(let minimum): offerCheckpoint(atLeast: minimum, to: from, i, now: now, into: &ready)
        case .fetchBuckets(let sequence, let buckets): serve(buckets, of: sequence, to: from, i, now: now, into: &ready)
        case .checkpoint(let sequence, let metadata, let buckets):
            guard nodes[i].transfer.minimum.map({ sequence >= $0 }) ?? false,
                StateDigest.sequence(ofMetadata: metadata) == sequence,
                let digest = StateDigest.checkpoint(metadata: metadata, bucketDigests: buckets)
            else { return droppedMessages += 1 }
            if let chosen = nodes[i].transfer.chosen {
                // One more to fetch from, or nothing.
                guard chosen.digest == digest else { return droppedMessages += 1 }
            }
            nodes[i].transfer.offers[from.index] = .init(sequence: sequence, metadata: metadata, buckets: buckets, digest: digest)
            if nodes[i].transfer.chosen == nil { chooseOffered(i, now: now, into: &ready) }
        case .bucket(let sequence, let bucket, let part, let isLast, let entries):
            guard let chosen = nodes[i].transfer.chosen, nodes[i].transfer.installing == nil, chosen.sequence == sequence,
                nodes[i].transfer.asked[from.index].contains(Int(bucket))
            else { return droppedMessages += 1 }
            take(part, isLast: isLast, ofBucket: Int(bucket), entries, from: from, chosen, i, now: now, into: &ready)
        case .gone(let sequence):
            guard nodes[i].transfer.chosen?.sequence == sequence, nodes[i].transfer.installing == nil else { return }
            nodes[i].transfer.offers[from.index] = nil
            giveUp(from.index, i)
            askForBuckets(i, now: now, into: &ready)
        }
    }

    /// What was asked of a peer is to be asked of others, if it is not already.
    private mutating func giveUp(_ peer: Int, _ i: Int) {
        let open = nodes[i].transfer.asked[peer]
        nodes[i].transfer.asked[peer] = []
        nodes[i].transfer.partial[peer] = nil
        for bucket in open.reversed() where !nodes[i].transfer.asked.contains(where: { $0.contains(bucket) }) {
            nodes[i].transfer.unasked.append(bucket)
        }
    }

    private mutating func chooseOffered(_ i: Int, now: Instant, into ready: inout HostReady) {
        let offers = nodes[i].transfer.offers
        for case let offer? in offers {
            #if MUTANTS
            let needed = Mutant.is(.stateOfOnePeer) ? 1 : manifest.group(of: nodes[i].shard).weakQuorum
            #else
            let needed = manifest.group(of: nodes[i].shard).weakQuorum
            #endif
            guard offers.count(where: { $0?.digest == offer.digest }) >= needed else { continue }
            return choose(offer, isStable: true, i, now: now, into: &ready)
        }
    }

    /// Hosts may have written down different states, and may not move on without this one. What f + 1 offer was stable with a
    /// correct host; a CHECKPOINT says less, so there must be 2f: with this replica f + 1 correct ones then hold the state, as
    /// many as view changes count on. Each round begins with another peer: who offers and does not give cannot stay the first.
    /// With fewer, but f + 1, the state is right and perhaps not stable: when nothing else has come of it for long, it is taken, and
    /// the watermarks stay where they are.
    private mutating func claimedOffer(_ i: Int) -> (StateTransfer.Offer, isStable: Bool)? {
        nodes[i].transfer.rounds += 1
        let group = manifest.group(of: nodes[i].shard)
        let offers = nodes[i].transfer.offers
        var right: StateTransfer.Offer?
        for k in offers.indices {
            guard let offer = offers[(nodes[i].transfer.rounds + k) % offers.count] else { continue }
            let checkpoint = Checkpoint(sequence: offer.sequence, digest: offer.digest)
            let vouching = offers.indices.count { peer in
                offers[peer]?.digest == offer.digest || nodes[i].replica.hasClaimed(checkpoint, ReplicaIndex(UInt8(peer)))
            }
            if vouching >= max(group.weakQuorum, 2 * group.f) { return (offer, true) }
            if vouching >= group.weakQuorum { right = right ?? offer }
        }
        guard nodes[i].transfer.rounds > group.n else { return nil }
        return right.map { ($0, false) }
    }

    private mutating func choose(_ offer: StateTransfer.Offer, isStable: Bool, _ i: Int, now: Instant, into ready: inout HostReady) {
        let count = nodes[i].transfer.offers.count
        nodes[i].transfer.chosen = offer
        nodes[i].transfer.isStable = isStable
        nodes[i].transfer.rounds = 0
        nodes[i].transfer.asked = Array(repeating: [], count: count)
        nodes[i].transfer.askedAt = Array(repeating: now.uptime, count: count)
        nodes[i].transfer.askedSince = nodes[i].transfer.askedAt
        nodes[i].transfer.partial = Array(repeating: nil, count: count)
        nodes[i].transfer.isSlow = Array(repeating: false, count: count)
        plan(i, now: now, into: &ready)
    }

    /// What is still to be fetched; with nothing left, installs.
    private mutating func plan(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let chosen = nodes[i].transfer.chosen else { return }
        let own: [Digest]
        do { own = try nodes[i].executor.bucketDigests() } catch {
            return halt(i, "digests of the own state: \(error)", into: &ready)
        }
        let empty = StateDigest.bucketDigest([])
        var missing: [Int] = []
        for bucket in chosen.buckets.indices.reversed() {
            let wanted = chosen.buckets[bucket]
            if wanted == own[bucket] || nodes[i].transfer.fetched[bucket]?.digest == wanted { continue }
            if wanted == empty { nodes[i].transfer.fetched[bucket] = (empty, []) } else { missing.append(bucket) }
        }
        guard missing.isEmpty else {
            nodes[i].transfer.unasked = missing
            return askForBuckets(i, now: now, into: &ready)
        }
        install(chosen, own: own, i, into: &ready)
    }

    /// Gives everybody who offers the state, and has nothing to do, the next buckets.
    private mutating func askForBuckets(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let chosen = nodes[i].transfer.chosen, nodes[i].transfer.installing == nil else { return }
        let offering = nodes[i].transfer.offers.indices.filter { nodes[i].transfer.offers[$0]?.digest == chosen.digest }
        guard !offering.isEmpty else { return askForCheckpoint(i, now: now, into: &ready) }
        if offering.allSatisfy({ nodes[i].transfer.isSlow[$0] }) {
            for peer in offering { nodes[i].transfer.isSlow[peer] = false }
            // Perhaps they have moved on; what was fetched stays.
            if now.uptime > nodes[i].transfer.offersAskedAt + 4 * options.stateTransferTimeout {
                return askForCheckpoint(i, now: now, into: &ready)
            }
        }
        let share = max(1, min(options.stateTransferBuckets, (nodes[i].transfer.unasked.count + offering.count - 1) / offering.count))
        for peer in offering where nodes[i].transfer.asked[peer].isEmpty && !nodes[i].transfer.isSlow[peer] {
            var buckets = Array(nodes[i].transfer.unasked.suffix(share).reversed())
            nodes[i].transfer.unasked.removeLast(buckets.count)
            if buckets.isEmpty { buckets = owedForLong(i, now: now) }
            guard !buckets.isEmpty else { return }
            nodes[i].transfer.asked[peer] = buckets
            (nodes[i].transfer.askedAt[peer], nodes[i].transfer.askedSince[peer]) = (now.uptime, now.uptime)
            let message = StateTransferMessage.fetchBuckets(sequence: chosen.sequence, buckets: buckets.map { UInt16($0) })
            ready.toHosts.append(.init(to: [nodes[i].hosts[peer]], message: .stateTransfer(nodes[i].shard, message)))
        }
    }

    /// What somebody was asked for some time ago and still owes: whoever has nothing to do is asked too.
    private func owedForLong(_ i: Int, now: Instant) -> [Int] {
        let transfer = nodes[i].transfer
        for peer in transfer.asked.indices where now.uptime > transfer.askedSince[peer] + options.stateTransferTimeout {
            let owed = transfer.asked[peer].filter { bucket in transfer.asked.count { $0.contains(bucket) } == 1 }
            if !owed.isEmpty { return Array(owed.suffix(options.stateTransferBuckets)) }
        }
        return []
    }

    /// A part of a bucket. What is whole is checked against its digest.
    private mutating func take(
        _ part: UInt16, isLast: Bool, ofBucket bucket: Int, _ entries: [StateTransferMessage.StateEntry], from: ReplicaIndex,
        _ chosen: StateTransfer.Offer, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        var partial = nodes[i].transfer.partial[from.index]
        if partial?.bucket != bucket || part == 0 { partial = part == 0 ? .init(bucket: bucket) : nil }
        guard var partial, partial.parts == part else { return droppedMessages += 1 }
        partial.bytes += entries.reduce(0) { $0 + $1.key.count + $1.value.count }
        partial.entries += entries
        partial.parts &+= 1
        guard isLast else {
            // No digest says how large a bucket is: a liar must not fill the memory.
            if partial.bytes <= options.maxBucketBytes, partial.parts != 0, !entries.isEmpty {
                nodes[i].transfer.partial[from.index] = partial
                nodes[i].transfer.askedAt[from.index] = now.uptime
            } else {
                nodes[i].transfer.partial[from.index] = nil
            }
            return
        }
        nodes[i].transfer.partial[from.index] = nil
        guard isRight(partial.entries, chosen.buckets[bucket]) else { return droppedMessages += 1 }
        nodes[i].transfer.askedAt[from.index] = now.uptime
        // Others may have been asked too.
        for peer in nodes[i].transfer.asked.indices { nodes[i].transfer.asked[peer].removeAll { $0 == bucket } }
        nodes[i].transfer.fetched[bucket] = (chosen.buckets[bucket], partial.entries)
        nodes[i].transfer.bytes += UInt64(partial.bytes)
        if nodes[i].transfer.unasked.isEmpty, nodes[i].transfer.asked.allSatisfy(\.isEmpty) {
            plan(i, now: now, into: &ready)
        } else if nodes[i].transfer.asked[from.index].isEmpty {
            askForBuckets(i, now: now, into: &ready)
        }
    }

    private func isRight(_ entries: [StateTransferMessage.StateEntry], _ digest: Digest) -> Bool {
        #if MUTANTS
        if Mutant.is(.bucketDigestUnchecked) { return true }
        #endif
        return StateDigest.bucketDigest(entries) == digest
    }

    /// All that differs is here and checked: it goes to disk first, and nothing is executed until it is there.
    private mutating func install(_ chosen: StateTransfer.Offer, own: [Digest], _ i: Int, into ready: inout HostReady) {
        guard chosen.sequence > nodes[i].replica.lastExecuted else { return nodes[i].transfer.forgetFetch() }
        if nodes[i].frozen != nil {
            nodes[i].frozen = nil
            nodes[i].executor.thaw()
        }
        // A flush is on its way to the disk: the tick plans again.
        guard !nodes[i].executor.isFlushing else { return }
        var buckets: [(bucket: Int, entries: [StateTransferMessage.StateEntry])] = []
        for (bucket, digest) in chosen.buckets.enumerated() where digest != own[bucket] {
            guard let fetched = nodes[i].transfer.fetched[bucket] else { return }
            buckets.append((bucket, fetched.entries))
        }
        nodes[i].transfer.forgetFetch()
        do {
            let frozen = try nodes[i].executor.install(
                sequence: chosen.sequence, metadata: chosen.metadata, buckets: buckets, digest: chosen.digest)
            nodes[i].replica.isExecutionPaused = true
            nodes[i].transfer.installing = Checkpoint(sequence: chosen.sequence, digest: chosen.digest)
            flush(frozen, i, installs: true, into: &ready)
        } catch {
            halt(i, "installing the state of \(chosen.sequence): \(error)", into: &ready)
        }
    }

    mutating func finishInstall(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let checkpoint = nodes[i].transfer.installing else { return }
        nodes[i].transfer.installing = nil
        nodes[i].transfer.taken.removeAll { $0.sequence <= checkpoint.sequence }
        nodes[i].recent.removeAll()
        nodes[i].recovery.kept.removeAll()
        nodes[i].early.removeAll()
        // What this replica proposed below the state will not be executed here.
        nodes[i].requests.enterView()
        nodes[i].decides.enterView()
        // First the batches after the state: what waits here may be in them.
        nodes[i].forwardsFrom = now.uptime + options.forwardAfter
        nodes[i].replica.isExecutionPaused = false
        feed(i, .stateInstalled(checkpoint, isStable: nodes[i].transfer.isStable), now: now, into: &ready)
        answerReads(i, into: &ready)
    }

    // MARK: Serving

    private mutating func offerCheckpoint(
        atLeast minimum: SequenceNumber, to peer: ReplicaIndex, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        guard nodes[i].replica.mayAttest, nodes[i].transfer.installing == nil else { return }
        earn(peer, i, now: now)
        guard nodes[i].transfer.customers[peer.index].allowance > 0 else { return }
        // To vouch for what another peer has written down, even if nothing late enough is written down here. Later ones than the
        // stable checkpoint are said as long as they are not stable.
        for checkpoint in nodes[i].transfer.taken where checkpoint.sequence <= nodes[i].replica.stable.sequence {
            ready.toHosts.append(.init(to: [nodes[i].hosts[peer.index]], message: .pbft(nodes[i].shard, .checkpoint(checkpoint))))
        }
        let flushed = nodes[i].replica.flushed
        // An offer says that the state is stable.
        guard flushed >= minimum, flushed > .zero, flushed <= nodes[i].replica.stable.sequence else { return }
        if nodes[i].transfer.serving.last?.sequence != flushed {
            do {
                let snapshot = try nodes[i].executor.snapshot()
                guard let metadata = try snapshot.metadata(), StateDigest.sequence(ofMetadata: metadata) == flushed else { return }
                let known = nodes[i].transfer.onDisk.flatMap { $0.sequence == flushed ? $0.buckets : nil }
                let buckets = try known ?? StateDigest.bucketDigests(of: snapshot)
                let reply = StateTransferMessage.checkpoint(sequence: flushed, metadata: metadata, buckets: buckets)
                nodes[i].transfer.serving.append(.init(sequence: flushed, snapshot: snapshot, reply: reply, since: now.uptime))
            } catch { return halt(i, "reading a snapshot for a peer: \(error)", into: &ready) }
        }
        guard let serving = nodes[i].transfer.serving.last else { return }
        nodes[i].transfer.customers[peer.index].holds = serving.sequence
        nodes[i].transfer.customers[peer.index].until = now.uptime + 20 * options.stateTransferTimeout
        nodes[i].transfer.customers[peer.index].question = []
        nodes[i].transfer.customers[peer.index].allowance -= 32 * StateDigest.bucketCount
        dropUnheld(i)
        let to = [nodes[i].hosts[peer.index]]
        ready.toHosts.append(.init(to: to, message: .stateTransfer(nodes[i].shard, serving.reply)))
    }

    private mutating func serve(
        _ buckets: [UInt16], of sequence: SequenceNumber, to peer: ReplicaIndex, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        guard !buckets.isEmpty else { return }
        earn(peer, i, now: now)
        guard nodes[i].transfer.customers[peer.index].holds == sequence else {
            let to = [nodes[i].hosts[peer.index]]
            ready.toHosts.append(.init(to: to, message: .stateTransfer(nodes[i].shard, .gone(sequence: sequence))))
            return
        }
        nodes[i].transfer.customers[peer.index].until = now.uptime + 20 * options.stateTransferTimeout
        nodes[i].transfer.customers[peer.index].question = buckets.prefix(options.stateTransferBuckets).reversed()
        answerQuestion(of: peer.index, i, into: &ready)
    }

    /// What a peer may be sent grows with time.
    private mutating func earn(_ peer: ReplicaIndex, _ i: Int, now: Instant) {
        if nodes[i].transfer.customers.isEmpty {
            nodes[i].transfer.customers = Array(repeating: .init(), count: nodes[i].hosts.count)
        }
        let customer = nodes[i].transfer.customers[peer.index]
        let passed = min(now.uptime - min(now.uptime, customer.allowedAt), 1_000_000_000)
        let earned = Int(passed / 1000) * options.stateBytesPerSecond / 1_000_000
        nodes[i].transfer.customers[peer.index].allowedAt = now.uptime
        nodes[i].transfer.customers[peer.index].allowance = min(customer.allowance + earned, options.stateBytesPerSecond / 8)
    }

    /// A bucket at a time while the peer may have more; the rest comes with the next ticks.
    private mutating func answerQuestion(of peer: Int, _ i: Int, into ready: inout HostReady) {
        guard let sequence = nodes[i].transfer.customers[peer].holds,
            let serving = nodes[i].transfer.serving.first(where: { $0.sequence == sequence })
        else { return }
        while nodes[i].transfer.customers[peer].allowance > 0, let bucket = nodes[i].transfer.customers[peer].question.popLast() {
            guard Int(bucket) < StateDigest.bucketCount else { continue }
            do {
                let entries = try StateDigest.entries(ofBucket: Int(bucket), in: serving.snapshot)
                let bytes = send(entries, of: bucket, sequence, to: nodes[i].hosts[peer], i, into: &ready)
                nodes[i].transfer.customers[peer].allowance -= bytes + 256
            } catch { return halt(i, "reading a snapshot for a peer: \(error)", into: &ready) }
        }
    }

    /// In parts that a frame can hold. Gives the bytes of all.
    private func send(
        _ entries: [StateTransferMessage.StateEntry], of bucket: UInt16, _ sequence: SequenceNumber, to host: HostID, _ i: Int,
        into ready: inout HostReady
    ) -> Int {
        var (first, part, total) = (0, UInt16(0), 0)
        repeat {
            var (end, bytes) = (first, 0)
            while end < entries.count, bytes < options.bucketPartBytes {
                bytes += entries[end].key.count + entries[end].value.count
                end += 1
            }
            let message = StateTransferMessage.bucket(
                sequence: sequence, bucket: bucket, part: part, isLast: end == entries.count, entries: Array(entries[first..<end]))
            ready.toHosts.append(.init(to: [host], message: .stateTransfer(nodes[i].shard, message)))
            (first, part, total) = (end, part &+ 1, total + bytes)
        } while first < entries.count
        return total
    }

    private mutating func serveOpenQuestions(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard !nodes[i].transfer.serving.isEmpty else { return }
        for peer in nodes[i].transfer.customers.indices where nodes[i].transfer.customers[peer].holds != nil {
            if now.uptime > nodes[i].transfer.customers[peer].until {
                (nodes[i].transfer.customers[peer].holds, nodes[i].transfer.customers[peer].question) = (nil, [])
            } else if !nodes[i].transfer.customers[peer].question.isEmpty {
                earn(ReplicaIndex(UInt8(peer)), i, now: now)
                answerQuestion(of: peer, i, into: &ready)
            }
        }
        // A snapshot keeps the store from using its free pages again: nobody may hold one for long.
        let lifetime = options.snapshotLifetime
        for old in nodes[i].transfer.serving where now.uptime > old.since + lifetime {
            for peer in nodes[i].transfer.customers.indices where nodes[i].transfer.customers[peer].holds == old.sequence {
                nodes[i].transfer.customers[peer].holds = nil
            }
        }
        dropUnheld(i)
    }

    private mutating func dropUnheld(_ i: Int) {
        let held = nodes[i].transfer.customers.compactMap(\.holds)
        nodes[i].transfer.serving.removeAll { !held.contains($0.sequence) }
    }
}
