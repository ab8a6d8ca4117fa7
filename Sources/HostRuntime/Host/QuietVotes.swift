import Cores
import Messages
import PBFT

/// Which votes need not wake the protocol's thread. Of the n - 1 COMMITs that come for a batch all but one change
/// nothing at once: either others are missing still, or the batch is executed. They are handed over all the same, with
/// whatever comes next or at the next tick, so counting wrongly here costs a tick and nothing else.
package struct QuietVotes: Sendable {
    /// One phase of one number: the votes that came first.
    fileprivate struct Round: Sendable {
        var vote: Vote?
        /// A bit for each host.
        var voters: UInt64 = 0
    }

    fileprivate struct Shard: Sendable {
        let group: ReplicaGroup
        let me: ReplicaIndex
        /// By number, modulo.
        var prepares = [Round](repeating: Round(), count: QuietVotes.numbers)
        var commits = [Round](repeating: Round(), count: QuietVotes.numbers)
        /// As the journal has it.
        var prepared: (view: View, sequence: SequenceNumber) = (View(0), .zero)
        var executed = SequenceNumber.zero
    }

    /// By number; nil where this host has no replica.
    private var shards: [Shard?]
    /// A backup's PREPARE says what it has checked too, and more than a quorum of them may be needed.
    private let sharesChecks: Bool
    /// Batches that are under way at once are fewer by far.
    fileprivate static let numbers = 64

    package init(manifest: Manifest, host: HostID, options: HostOptions) {
        sharesChecks = options.sharesChecks
        shards = manifest.shards.indices.map { number in
            let shard = ShardID(UInt16(number))
            return manifest.replica(of: shard, on: host).map { Shard(group: manifest.group(of: shard), me: $0) }
        }
    }

    /// What the protocol has decided: what comes later for it is not needed any more.
    package mutating func note(_ records: [HostRecord]) {
        for record in records {
            let number = Int(record.shard.number)
            switch record.record {
            case .prepared(let view, let sequence, _): shards[number]?.prepared = (view, sequence)
            case .committed(let sequence, _, _), .committedBody(let sequence, _, _):
                shards[number]?.executed = sequence
            case .prePrepared, .prePreparedAgain, .viewChange, .newView, .stable, .quarantine, .peerIncarnation: break
            }
        }
    }

    /// False for anything but a vote.
    package mutating func isQuiet(_ message: HostMessage, from host: HostID) -> Bool {
        guard case .pbft(let shard, let message) = message, Int(shard.number) < shards.count else { return false }
        let number = Int(shard.number)
        switch message {
        case .prepare(let prepare):
            return !sharesChecks && shards[number]?.isQuiet(prepare: prepare.vote, of: shard, from: host) == true
        case .commit(let vote): return shards[number]?.isQuiet(commit: vote, from: host) == true
        case .prePrepare, .checkpoint, .suspect, .viewChange, .newView, .status, .fetchBatch, .batch, .fetchCommitted,
            .committed, .committedBody, .resumed, .recollection:
            return false
        }
    }
}

extension QuietVotes.Shard {
    /// With a backup's own, 2f PREPAREs are enough; without it, which comes from the journal, 2f of others.
    fileprivate mutating func isQuiet(prepare vote: Vote, of shard: ShardID, from host: HostID) -> Bool {
        if vote.view == prepared.view, vote.sequence <= prepared.sequence { return true }
        let isPrimary = group.primary(of: vote.view, in: shard) == me
        let enough = isPrimary ? 2 * group.f : 2 * group.f - 1
        return prepares[Self.place(vote)].isFew(vote, from: host, below: enough)
    }

    fileprivate mutating func isQuiet(commit vote: Vote, from host: HostID) -> Bool {
        if vote.sequence <= executed { return true }
        return commits[Self.place(vote)].isFew(vote, from: host, below: group.quorum - 1)
    }

    private static func place(_ vote: Vote) -> Int { Int(vote.sequence.number % UInt64(QuietVotes.numbers)) }
}

extension QuietVotes.Round {
    /// Whether it is one of less than `enough` for the same. What is said twice repairs something, and two that
    /// contradict each other are nobody's business here: neither is few.
    fileprivate mutating func isFew(_ vote: Vote, from host: HostID, below enough: Int) -> Bool {
        if self.vote?.sequence != vote.sequence || self.vote?.view != vote.view { self = .init(vote: vote) }
        let voter = UInt64(1) << UInt64(min(63, host.number))
        guard self.vote == vote, voters & voter == 0 else { return false }
        voters |= voter
        return voters.nonzeroBitCount < enough
    }
}
