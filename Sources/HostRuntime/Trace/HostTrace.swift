import Cores
import Messages
import Meter
import PBFT

/// Stamps what a host does to traced requests. It looks at what goes into the core and comes out of it, from outside:
/// the core knows no clock. Lives on the protocol's thread.
final class HostTrace {
    private struct Place: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }

    private struct Item {
        let request: Digest
        let isDecide: Bool
    }

    /// What is traced of a batch that was pre-prepared.
    private struct Traced {
        let items: [Item]
        var preparedAt: UInt64 = 0
        var isExecuted = false
        /// COMMIT has left. A quorum of others may have committed before.
        var isSaid = false
        var isDone: Bool { isExecuted && isSaid }
    }

    let ring: StampRing
    /// Those of which something is still to come.
    private var batches: [Place: Traced] = [:]
    /// How much of `HostReady` was seen.
    private var (records, toHosts) = (0, 0)
    /// When the step began.
    private var began: UInt64 = 0
    /// Whether it is one in which the journal may be compacted.
    private var isTick = false

    /// Batches that were left behind, by a view change, say, are forgotten with all others when there are so many.
    private static let maxBatches = 4096

    init(_ ring: StampRing) { self.ring = ring }

    /// Before a step.
    func begin(_ input: HostInput, now: Instant, _ ready: HostReady) {
        began = now.uptime
        (records, toHosts) = (ready.records.count, ready.toHosts.count)
        isTick = if case .tick = input { true } else { false }
        let (shards, request): ([ShardID], SignedRequest)
        switch input {
        case .gateway(_, let message):
            guard case .submit(let all, let submitted) = message.value else { return }
            (shards, request) = (all, submitted)
        // Others are to look at its signature.
        case .unchecked(_, let all, let submitted): (shards, request) = (all, submitted)
        default: return
        }
        guard ring.sampling.takes(request.digest) else { return }
        for shard in shards { ring.add(Stamp(request: request.digest, kind: .admitted, shard: shard, at: began)) }
    }

    /// After it. What was committed in a step was so when it began, and is executed when it has ended.
    func end(_ ready: HostReady) {
        guard ready.records.count > records || ready.toHosts.count > toHosts else { return }
        // A compaction repeats what has happened before.
        let written = isTick && ready.compacts ? [] : ready.records[min(records, ready.records.count)...]
        var ended: UInt64?
        func now() -> UInt64 {
            if let ended { return ended }
            let time = Clock.uptime()
            ended = time
            return time
        }
        for record in written {
            switch record.record {
            case .prePrepared(_, let sequence, let batch):
                note(batch, at: Place(shard: record.shard, sequence: sequence), now)
            case .prepared(_, let sequence, _):
                stamp(.prepared, record.shard, sequence, now)
                batches[Place(shard: record.shard, sequence: sequence)]?.preparedAt = now()
            case .committed(let sequence, _, _): execute(Place(shard: record.shard, sequence: sequence), now)
            case .prePreparedAgain, .committedBody, .viewChange, .newView, .stable, .quarantine, .peerIncarnation: break
            }
        }
        guard !batches.isEmpty else { return }
        for outgoing in ready.toHosts[min(toHosts, ready.toHosts.count)...] {
            guard case .pbft(let shard, let message) = outgoing.message else { continue }
            switch message {
            case .prepare(let said): stamp(.prePrepareDurable, shard, said.sequence, now)
            case .commit(let said): commitLeft(Place(shard: shard, sequence: said.sequence), now)
            default: break
            }
        }
    }

    private func note(_ batch: Batch, at place: Place, _ now: () -> UInt64) {
        var items: [Item] = []
        for item in batch.items {
            switch item {
            case .request(let request) where ring.sampling.takes(request.digest):
                items.append(Item(request: request.digest, isDecide: false))
            case .decide(let decide) where ring.sampling.takes(decide.request):
                items.append(Item(request: decide.request, isDecide: true))
            case .request, .decide, .evidence: break
            }
        }
        guard !items.isEmpty else { return }
        if batches.count >= Self.maxBatches { batches.removeAll() }
        batches[place] = Traced(items: items)
        for item in items { add(item.isDecide ? .decidePrePrepared : .prePrepared, item, place, at: now()) }
    }

    private func stamp(_ kind: StampKind, _ shard: ShardID, _ sequence: SequenceNumber, _ now: () -> UInt64) {
        let place = Place(shard: shard, sequence: sequence)
        for item in batches[place]?.items ?? [] where !item.isDecide { add(kind, item, place, at: now()) }
    }

    private func commitLeft(_ place: Place, _ now: () -> UInt64) {
        stamp(.preparedDurable, place.shard, place.sequence, now)
        batches[place]?.isSaid = true
        if batches[place]?.isDone == true { batches[place] = nil }
    }

    private func execute(_ place: Place, _ now: () -> UInt64) {
        guard var traced = batches[place], !traced.isExecuted else { return }
        for item in traced.items {
            // A replica that lags may prepare and commit in one step.
            if !item.isDecide { add(.committed, item, place, at: max(began, traced.preparedAt)) }
            add(item.isDecide ? .decided : .executed, item, place, at: now())
        }
        traced.isExecuted = true
        batches[place] = traced.isDone ? nil : traced
    }

    private func add(_ kind: StampKind, _ item: Item, _ place: Place, at: UInt64) {
        ring.add(
            Stamp(
                request: item.request, kind: kind, shard: place.shard, number: place.sequence.number, at: at))
    }
}

extension StampRing {
    /// Of a message that a host has got from a gateway.
    func note(_ kind: StampKind, _ message: GatewayMessage) {
        guard case .submit(let shards, let request) = message, sampling.takes(request.digest) else { return }
        let now = Clock.uptime()
        for shard in shards { add(Stamp(request: request.digest, kind: kind, shard: shard, at: now)) }
    }

    /// Of a message that a gateway has got from a client. When it was signed is told too, by its own account.
    func noteReceived(_ message: ClientMessage) {
        guard case .submit(_, let request) = message, sampling.takes(request.digest) else { return }
        let now = Clock.now()
        let age = min(now.wall.microseconds(since: request.request.issuedAt) * 1000, now.uptime)
        add(Stamp(request: request.digest, kind: .issued, at: now.uptime - age))
        add(Stamp(request: request.digest, kind: .gatewayReceived, at: now.uptime))
    }

    /// Of a request at a gateway that has looked at its signature, or leaves that to the hosts.
    func note(_ kind: StampKind, _ request: SignedRequest) {
        guard sampling.takes(request.digest) else { return }
        add(Stamp(request: request.digest, kind: kind, at: Clock.uptime()))
    }

    /// Of an attestation that a gateway has verified.
    func note(_ attestation: BatchAttestation, from host: HostID) {
        let shard = attestation.statement.shard
        for leaf in attestation.leaves where sampling.takes(leaf.request) {
            add(
                Stamp(
                    request: leaf.request, kind: .attestationVerified, shard: shard, number: UInt64(host.number),
                    at: Clock.uptime()))
        }
    }

    /// Of what leaves a gateway. All of it leaves together, whatever the order in which it stands.
    func note(_ ready: GatewayReady) {
        guard !ready.toHosts.isEmpty || !ready.toClients.isEmpty else { return }
        let now = Clock.uptime()
        for outgoing in ready.toHosts {
            switch outgoing.message {
            case .submit(let shards, let request): note(.forwarded, request.digest, shards, now)
            case .decides(let shards, let decides):
                for decide in decides { note(.decideForwarded, decide.request, shards, now) }
            default: break
            }
        }
        for case (_, .receipt(_, let receipt, _, _)) in ready.toClients where sampling.takes(receipt.request.digest) {
            add(Stamp(request: receipt.request.digest, kind: .certified, at: now))
        }
    }

    private func note(_ kind: StampKind, _ request: Digest, _ shards: [ShardID], _ now: UInt64) {
        guard sampling.takes(request) else { return }
        for shard in shards { add(Stamp(request: request, kind: kind, shard: shard, at: now)) }
    }
}
