import CoreMetrics
import Cores
import Messages
import Meter
import PBFT
import Synchronization

/// How batches travel, as a host sees it: a moment when a PRE-PREPARE leaves or is read and one when a batch is
/// executed, kept for whoever asks, and of sampled batches when PREPAREs leave and are read. What needs one clock only is
/// counted here: how long the others' PREPAREs take to come back to a primary. It looks at what goes into the core and
/// comes out of it, from outside: the core knows no clock. Any thread may call it.
package final class BatchTimes: Sendable {
    private struct Place: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }

    /// A batch that this host has proposed.
    private struct Proposal {
        let view: View
        let at: UInt64
        /// Whose PREPAREs were read.
        var prepared: [HostID] = []
        /// When those of a quorum were there, the primary's own word among them.
        var quorumAt: UInt64?
    }

    private let host: HostID
    private let ring = BatchMomentRing()
    /// By shard; nil where this host has no replica.
    private let groups: [ReplicaGroup?]
    /// By shard, in the order of the replicas; none where this host has no replica. What others say is not looked at.
    private let members: [[HostID]]
    /// By host; nil for this one.
    private let roundTrips: [Timer?]
    /// By shard; nil where this host has no replica.
    private let lags: [Timer?]
    private let proposals = Mutex<[Place: Proposal]>([:])

    /// Those of which a replica is mute are forgotten with all others when there are so many.
    private static let maxProposals = 4096

    /// - Parameter registry: gets its histograms.
    package init(manifest: Manifest, host: HostID, registry: MetricsRegistry) {
        self.host = host
        let own = Set(manifest.shards(of: host))
        let shards = manifest.shards.indices.map { ShardID(UInt16($0)) }
        groups = shards.map { own.contains($0) ? manifest.group(of: $0) : nil }
        members = shards.map { own.contains($0) ? manifest.hosts(of: $0) : [] }
        lags = shards.map { shard in
            guard own.contains(shard) else { return nil }
            return Timer(
                label: "quorate_last_prepare_lag_seconds", dimensions: [("shard", "\(shard.number)")],
                factory: registry)
        }
        let peers = Set(own.flatMap { manifest.hosts(of: $0) }).subtracting([host])
        roundTrips = manifest.hosts.indices.map { number in
            guard peers.contains(HostID(UInt16(number))) else { return nil }
            return Timer(
                label: "quorate_prepare_round_trip_seconds", dimensions: [("host", "\(number)")], factory: registry)
        }
    }

    /// What is kept, for whoever asks.
    package func answer(_ query: ObservationQuery, now: Instant) -> (moments: [BatchMoment], next: UInt64) {
        ring.answer(query, now: now)
    }

    /// Messages that are handed over to the sessions now.
    package func noteSent(_ messages: [HostReady.Outgoing]) {
        var found: [BatchMoment] = []
        var proposed: [(Place, Proposal)] = []
        var seen: UInt64?
        for outgoing in messages {
            // What is sent again goes to some only.
            guard case .pbft(let shard, let message) = outgoing.message, Int(shard.number) < groups.count,
                let group = groups[Int(shard.number)], outgoing.to.count == group.n - 1
            else { continue }
            switch message {
            case .prePrepare(let said):
                let at = Self.now(&seen)
                found.append(moment(.proposed, shard, said.view, said.sequence, at: at))
                proposed.append((Place(shard: shard, sequence: said.sequence), Proposal(view: said.view, at: at)))
            case .prepare(let said) where BatchMoment.isSampled(said.vote.sequence):
                found.append(moment(.prepareSent, shard, said.vote.view, said.vote.sequence, at: Self.now(&seen)))
            default: break
            }
        }
        if !found.isEmpty { ring.add(found) }
        if !proposed.isEmpty { propose(proposed) }
    }

    private func propose(_ proposed: [(Place, Proposal)]) {
        proposals.withLock { proposals in
            for (place, proposal) in proposed {
                if let known = proposals[place], known.view >= proposal.view { continue }
                if proposals.count >= Self.maxProposals { proposals.removeAll(keepingCapacity: true) }
                proposals[place] = proposal
            }
        }
    }

    /// What was read off sessions just now, together.
    package func noteRead(_ events: [TransportEvent]) {
        var found: [BatchMoment] = []
        var seen: UInt64?
        for event in events {
            guard case .peer(let from, .pbft(let shard, let message)) = event, Int(shard.number) < members.count,
                let place = members[Int(shard.number)].firstIndex(of: from)
            else { continue }
            switch message {
            case .prePrepare(let said):
                // Nobody else may propose, and who does spoils no figure.
                guard groups[Int(shard.number)]?.primary(of: said.view, in: shard).index == place else { continue }
                found.append(
                    moment(.received, shard, said.view, said.sequence, from: from, at: Self.now(&seen)))
            case .prepare(let said):
                let at = Self.now(&seen)
                notePrepare(said.vote, of: shard, from: from, at: at)
                guard BatchMoment.isSampled(said.vote.sequence) else { continue }
                found.append(moment(.prepareRead, shard, said.vote.view, said.vote.sequence, from: from, at: at))
            default: break
            }
        }
        if !found.isEmpty { ring.add(found) }
    }

    /// Only a primary waits for them.
    private func notePrepare(_ vote: Vote, of shard: ShardID, from: HostID, at: UInt64) {
        guard Int(shard.number) < groups.count, let group = groups[Int(shard.number)] else { return }
        let place = Place(shard: shard, sequence: vote.sequence)
        let (took, lag): (UInt64?, UInt64?) = proposals.withLock { proposals in
            guard var proposal = proposals[place], proposal.view == vote.view, !proposal.prepared.contains(from) else {
                return (nil, nil)
            }
            proposal.prepared.append(from)
            if proposal.prepared.count == group.quorum - 1 { proposal.quorumAt = at }
            let isLast = proposal.prepared.count == group.n - 1
            proposals[place] = isLast ? nil : proposal
            return (at - min(at, proposal.at), isLast ? proposal.quorumAt.map { at - min(at, $0) } : nil)
        }
        if let took, Int(from.number) < roundTrips.count {
            roundTrips[Int(from.number)]?.recordNanoseconds(Int64(clamping: took))
        }
        if let lag { lags[Int(shard.number)]?.recordNanoseconds(Int64(clamping: lag)) }
    }

    /// New records, and not those of a compaction.
    package func noteExecuted(_ records: ArraySlice<HostRecord>) {
        var found: [BatchMoment] = []
        var seen: UInt64?
        for record in records {
            switch record.record {
            case .committed(let sequence, _, _), .committedBody(let sequence, _, _):
                found.append(moment(.executed, record.shard, View(0), sequence, at: Self.now(&seen)))
            case .prePrepared, .prepared, .prePreparedAgain, .viewChange, .newView, .stable, .quarantine,
                .peerIncarnation:
                break
            }
        }
        if !found.isEmpty { ring.add(found) }
    }

    private func moment(
        _ kind: BatchMomentKind, _ shard: ShardID, _ view: View, _ sequence: SequenceNumber, from: HostID? = nil,
        at: UInt64
    ) -> BatchMoment {
        BatchMoment(shard: shard, view: view, sequence: sequence, kind: kind, from: from ?? host, at: at)
    }

    /// One look for all that happens together.
    private static func now(_ seen: inout UInt64?) -> UInt64 {
        if let seen { return seen }
        let time = Clock.uptime()
        seen = time
        return time
    }
}
