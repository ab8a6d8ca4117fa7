import Messages
import PBFT
import ShardState

/// A whole checkpoint from peers, when they no longer have the batches that this replica lacks. f + 1 of them must offer
/// the same digest, so a correct one holds that state; every bucket is checked against it.
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
    var entries: [[StateTransferMessage.StateEntry]?] = []
    var missing = 0
    var askedAt: UInt64 = 0
    var turn = 0
    /// What is being written down now.
    var installing: Checkpoint?

    // Serving.
    /// The newest checkpoint that was offered, and the one before it, which somebody may still be reading; ascending.
    var serving: [(sequence: SequenceNumber, snapshot: any KeyValueReader & Sendable, reply: StateTransferMessage)] = []
    var servedUntil: UInt64 = 0
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
        (nodes[i].transfer.chosen, nodes[i].transfer.entries) = (nil, [])
        nodes[i].transfer.askedAt = now.uptime
        ready.toHosts.append(.init(to: nodes[i].others, message: .stateTransfer(nodes[i].shard, .fetchCheckpoint(minimum: minimum))))
    }

    mutating func tickStateTransfer(_ i: Int, now: Instant, into ready: inout HostReady) {
        if !nodes[i].transfer.serving.isEmpty, now.uptime > nodes[i].transfer.servedUntil { nodes[i].transfer.serving = [] }
        guard let minimum = nodes[i].transfer.minimum, nodes[i].transfer.installing == nil else { return }
        if nodes[i].replica.lastExecuted >= minimum {
            // Batches came after all.
            nodes[i].transfer.minimum = nil
            (nodes[i].transfer.chosen, nodes[i].transfer.entries) = (nil, [])
            return
        }
        guard now.uptime > nodes[i].transfer.askedAt + options.stateTransferTimeout else { return }
        if nodes[i].transfer.chosen == nil {
            askForCheckpoint(i, now: now, into: &ready)
        } else {
            nodes[i].transfer.turn += 1
            askForBuckets(i, now: now, into: &ready)
        }
    }

    mutating func receive(_ message: StateTransferMessage, from: ReplicaIndex, at i: Int, now: Instant, into ready: inout HostReady) {
        guard nodes[i].halted == nil else { return }
        switch message {
        case .fetchCheckpoint(let minimum): offerCheckpoint(atLeast: minimum, to: from, i, now: now, into: &ready)
        case .fetchBuckets(let sequence, let buckets): serve(buckets, of: sequence, to: from, i, now: now, into: &ready)
        case .checkpoint(let sequence, let metadata, let buckets):
            guard nodes[i].transfer.minimum.map({ sequence >= $0 }) ?? false, nodes[i].transfer.chosen == nil,
                StateDigest.sequence(ofMetadata: metadata) == sequence,
                let digest = StateDigest.checkpoint(metadata: metadata, bucketDigests: buckets)
            else { return droppedMessages += 1 }
            nodes[i].transfer.offers[from.index] = .init(sequence: sequence, metadata: metadata, buckets: buckets, digest: digest)
            choose(i, now: now, into: &ready)
        case .bucket(let sequence, let bucket, let entries):
            take(bucket: Int(bucket), entries, of: sequence, i, now: now, into: &ready)
        case .gone(let sequence):
            if nodes[i].transfer.chosen?.sequence == sequence, nodes[i].transfer.installing == nil {
                nodes[i].transfer.offers[from.index] = nil
                nodes[i].transfer.turn += 1
                // With nobody left, start over.
                if nodes[i].transfer.offers.allSatisfy({ $0?.digest != nodes[i].transfer.chosen?.digest }) {
                    askForCheckpoint(i, now: now, into: &ready)
                }
            }
        }
    }

    private mutating func choose(_ i: Int, now: Instant, into ready: inout HostReady) {
        let offers = nodes[i].transfer.offers
        for case let offer? in offers {
            guard offers.count(where: { $0?.digest == offer.digest }) >= manifest.group(of: nodes[i].shard).weakQuorum else { continue }
            nodes[i].transfer.chosen = offer
            nodes[i].transfer.entries = Array(repeating: nil, count: offer.buckets.count)
            let empty = StateDigest.bucketDigest([])
            for (bucket, digest) in offer.buckets.enumerated() where digest == empty { nodes[i].transfer.entries[bucket] = [] }
            nodes[i].transfer.missing = nodes[i].transfer.entries.count { $0 == nil }
            if nodes[i].transfer.missing == 0 { return install(i, into: &ready) }
            return askForBuckets(i, now: now, into: &ready)
        }
    }

    private mutating func askForBuckets(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let chosen = nodes[i].transfer.chosen else { return }
        nodes[i].transfer.askedAt = now.uptime
        let offering = nodes[i].transfer.offers.indices.filter { nodes[i].transfer.offers[$0]?.digest == chosen.digest }
        guard !offering.isEmpty else { return askForCheckpoint(i, now: now, into: &ready) }
        let peer = nodes[i].hosts[offering[nodes[i].transfer.turn % offering.count]]
        var buckets: [UInt16] = []
        for (bucket, entries) in nodes[i].transfer.entries.enumerated() where entries == nil {
            buckets.append(UInt16(bucket))
            if buckets.count == options.stateTransferBuckets { break }
        }
        let message = StateTransferMessage.fetchBuckets(sequence: chosen.sequence, buckets: buckets)
        ready.toHosts.append(.init(to: [peer], message: .stateTransfer(nodes[i].shard, message)))
    }

    private mutating func take(
        bucket: Int, _ entries: [StateTransferMessage.StateEntry], of sequence: SequenceNumber, _ i: Int, now: Instant,
        into ready: inout HostReady
    ) {
        guard let chosen = nodes[i].transfer.chosen, nodes[i].transfer.installing == nil, chosen.sequence == sequence,
            bucket < chosen.buckets.count, nodes[i].transfer.entries[bucket] == nil,
            StateDigest.bucketDigest(entries) == chosen.buckets[bucket]
        else { return droppedMessages += 1 }
        nodes[i].transfer.entries[bucket] = entries
        nodes[i].transfer.missing -= 1
        nodes[i].transfer.askedAt = now.uptime
        if nodes[i].transfer.missing == 0 { return install(i, into: &ready) }
        // The last of the range that was asked for: ask for the next.
        let nextMissing = nodes[i].transfer.entries.firstIndex { $0 == nil } ?? 0
        if nextMissing > bucket { askForBuckets(i, now: now, into: &ready) }
    }

    /// The whole state is here and checked: it goes to disk first, and nothing is executed until it is there.
    private mutating func install(_ i: Int, into ready: inout HostReady) {
        guard let chosen = nodes[i].transfer.chosen else { return }
        let entries = nodes[i].transfer.entries.flatMap { $0 ?? [] }
        (nodes[i].transfer.chosen, nodes[i].transfer.entries, nodes[i].transfer.minimum) = (nil, [], nil)
        guard chosen.sequence > nodes[i].replica.lastExecuted else { return }
        do {
            let frozen = try nodes[i].executor.install(sequence: chosen.sequence, metadata: chosen.metadata, entries: entries)
            nodes[i].frozen = nil
            nodes[i].replica.isExecutionPaused = true
            nodes[i].transfer.installing = Checkpoint(sequence: chosen.sequence, digest: chosen.digest)
            ready.flushes.append(
                StateFlush(
                    shard: nodes[i].shard, sequence: frozen.sequence, writes: frozen.writes, metadata: frozen.metadata, clearing: true))
        } catch {
            halt(i, "installing the state of \(chosen.sequence): \(error)", into: &ready)
        }
    }

    mutating func finishInstall(_ i: Int, now: Instant, into ready: inout HostReady) {
        guard let checkpoint = nodes[i].transfer.installing else { return }
        nodes[i].transfer.installing = nil
        nodes[i].recent.removeAll()
        // What this replica proposed below the state will not be executed here.
        nodes[i].requests.enterView()
        nodes[i].decides.enterView()
        nodes[i].replica.isExecutionPaused = false
        feed(i, .stateInstalled(checkpoint), now: now, into: &ready)
    }

    // MARK: Serving

    private mutating func offerCheckpoint(
        atLeast minimum: SequenceNumber, to peer: ReplicaIndex, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        let flushed = nodes[i].replica.flushed
        guard flushed >= minimum, flushed > .zero, nodes[i].transfer.installing == nil else { return }
        if nodes[i].transfer.serving.last?.sequence != flushed {
            do {
                let snapshot = try nodes[i].executor.snapshot()
                guard let metadata = try snapshot.metadata(), StateDigest.sequence(ofMetadata: metadata) == flushed else { return }
                let buckets = try StateDigest.bucketDigests(of: snapshot)
                if nodes[i].transfer.serving.count == 2 { nodes[i].transfer.serving.removeFirst() }
                let reply = StateTransferMessage.checkpoint(sequence: flushed, metadata: metadata, buckets: buckets)
                nodes[i].transfer.serving.append((flushed, snapshot, reply))
            } catch { return halt(i, "reading a snapshot for a peer: \(error)", into: &ready) }
        }
        guard let serving = nodes[i].transfer.serving.last else { return }
        nodes[i].transfer.servedUntil = now.uptime + 20 * options.stateTransferTimeout
        ready.toHosts.append(.init(to: [nodes[i].hosts[peer.index]], message: .stateTransfer(nodes[i].shard, serving.reply)))
    }

    private mutating func serve(
        _ buckets: [UInt16], of sequence: SequenceNumber, to peer: ReplicaIndex, _ i: Int, now: Instant, into ready: inout HostReady
    ) {
        let to = [nodes[i].hosts[peer.index]]
        guard let serving = nodes[i].transfer.serving.first(where: { $0.sequence == sequence }) else {
            ready.toHosts.append(.init(to: to, message: .stateTransfer(nodes[i].shard, .gone(sequence: sequence))))
            return
        }
        nodes[i].transfer.servedUntil = now.uptime + 20 * options.stateTransferTimeout
        for bucket in buckets.prefix(options.stateTransferBuckets) where Int(bucket) < StateDigest.bucketCount {
            do {
                let entries = try StateDigest.entries(ofBucket: Int(bucket), in: serving.snapshot)
                let message = StateTransferMessage.bucket(sequence: sequence, bucket: bucket, entries: entries)
                ready.toHosts.append(.init(to: to, message: .stateTransfer(nodes[i].shard, message)))
            } catch { return halt(i, "reading a snapshot for a peer: \(error)", into: &ready) }
        }
    }
}
