import Cores
import Messages
import PBFT

/// Which votes need not wake the protocol's thread. Of the n - 1 COMMITs that come for a batch all but one change
/// nothing at once: either others are missing still, or the batch is executed. They are handed over all the same, with
/// whatever comes next or at the next tick, so counting wrongly here costs a tick and nothing else.
package struct QuietVotes: Sendable {
    /// What each replica said last in one phase, by number, modulo: nobody can make another's vote be forgotten.
    fileprivate struct Phase: Sendable {
        var rounds: [[Vote?]]

        init(n: Int) { rounds = Array(repeating: Array(repeating: nil, count: n), count: QuietVotes.numbers) }
    }

    fileprivate struct Shard: Sendable {
        let group: ReplicaGroup
        /// By replica.
        let hosts: [HostID]
        var prepares: Phase
        var commits: Phase
        /// As the journal has it.
        var prepared: (view: View, sequence: SequenceNumber) = (View(0), .zero)
        var executed = SequenceNumber.zero
        /// Up to where that view's NEW-VIEW is its primary's PREPARE.
        var inherited: (view: View, end: UInt64) = (View(0), 0)

        init(_ shard: ShardID, of manifest: Manifest) {
            (group, hosts) = (manifest.group(of: shard), manifest.hosts(of: shard))
            (prepares, commits) = (Phase(n: group.n), Phase(n: group.n))
        }
    }

    /// By number; nil where this host has no replica.
    private var shards: [Shard?]
    /// A backup's PREPARE says what it has checked too, and more than a quorum of them may be needed.
    private let sharesChecks: Bool
    /// Batches that are under way at once are fewer by far.
    fileprivate static let numbers = 16

    package init(manifest: Manifest, host: HostID, options: HostOptions) {
        sharesChecks = options.sharesChecks
        shards = manifest.shards.indices.map { number in
            let shard = ShardID(UInt16(number))
            return manifest.replica(of: shard, on: host) == nil ? nil : Shard(shard, of: manifest)
        }
    }

    /// What the protocol has decided: what comes later for it is not needed any more.
    package mutating func note(_ records: [HostRecord]) {
        for record in records {
            let number = Int(record.shard.number)
            switch record.record {
            case .prepared(let view, let sequence, _): shards[number]?.prepared = (view, sequence)
            case .committed(let sequence, _, _), .committedBody(let sequence, _, _):
                if let before = shards[number]?.executed, before < sequence { shards[number]?.executed = sequence }
            case .newView(let newView):
                let end = newView.start.sequence.number + UInt64(newView.selection.count)
                shards[number]?.inherited = (newView.view, end)
            case .prePrepared, .prePreparedAgain, .viewChange, .stable, .quarantine, .peerIncarnation: break
            }
        }
    }

    /// False for anything but a vote.
    package mutating func isQuiet(_ message: HostMessage, from host: HostID) -> Bool {
        guard case .pbft(let shard, let message) = message, Int(shard.number) < shards.count else { return false }
        let number = Int(shard.number)
        switch message {
        case .prepare(let prepare):
            guard shards[number]?.isQuiet(prepare: prepare.vote, from: host) == true else { return false }
            // The primary's PRE-PREPARE has said what its PREPARE says of that.
            return !sharesChecks || shards[number]?.isPrimary(host, of: prepare.view, in: shard) == true
        case .commit(let vote): return shards[number]?.isQuiet(commit: vote, from: host) == true
        case .prePrepare, .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted,
            .committed, .committedBody, .resumed, .recollection:
            return false
        }
    }
}

extension QuietVotes.Shard {
    /// With the own one, which comes from the journal, 2f of others are enough.
    fileprivate mutating func isQuiet(prepare vote: Vote, from host: HostID) -> Bool {
        if vote.view == prepared.view, vote.sequence == prepared.sequence { return true }
        let isInherited = vote.view == inherited.view && vote.sequence.number <= inherited.end
        let enough = group.quorum - (isInherited ? 2 : 1)
        return prepares.isFew(vote, from: hosts.firstIndex(of: host), below: enough)
    }

    fileprivate func isPrimary(_ host: HostID, of view: View, in shard: ShardID) -> Bool {
        hosts.firstIndex(of: host) == group.primary(of: view, in: shard).index
    }

    fileprivate mutating func isQuiet(commit vote: Vote, from host: HostID) -> Bool {
        if vote.sequence <= executed { return true }
        return commits.isFew(vote, from: hosts.firstIndex(of: host), below: group.quorum - 1)
    }
}

extension QuietVotes.Phase {
    /// Whether it is one of less than `enough` for the same. What is said twice repairs something, and who contradicts
    /// himself is nobody's business here: neither is few.
    fileprivate mutating func isFew(_ vote: Vote, from replica: Int?, below enough: Int) -> Bool {
        guard let replica else { return false }
        let place = Int(vote.sequence.number % UInt64(QuietVotes.numbers))
        let earlier = rounds[place][replica]
        rounds[place][replica] = vote
        if let earlier, (earlier.sequence, earlier.view) == (vote.sequence, vote.view) { return false }
        return rounds[place].count { $0 == vote } < enough
    }
}
