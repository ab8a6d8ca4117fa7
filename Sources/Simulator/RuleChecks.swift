import Cores
import Messages
import PBFT

/// Rules that no comparison of two statements shows: they are about what a host may say at all. Held for correct hosts.
struct RuleChecks {
    struct Place: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }
    private struct Voter: Hashable {
        let host: Int
        let shard: ShardID
    }

    private struct Prepared: Hashable {
        let shard: ShardID
        let vote: Vote
    }

    private struct Choice: Hashable {
        let place: Place
        let digest: Digest
    }

    private let manifest: Manifest?
    private let window: UInt64
    init(manifest: Manifest?, window: UInt64) { (self.manifest, self.window) = (manifest, window) }

    /// A quorum without those that lie.
    private func correctQuorum(_ shard: ShardID, liars: Int) -> Int {
        guard let manifest else { return 0 }
        // Not `quorum`: what is checked must not be what is broken.
        return 2 * manifest.group(of: shard).f + 1 - liars
    }

    /// Correct hosts that said PREPARE, a bit each.
    private var prepares: [Prepared: UInt64] = [:]
    /// Correct hosts that said COMMIT, a bit each.
    private var commits: [Choice: UInt64] = [:]
    /// What correct hosts pre-prepared, by their VIEW-CHANGEs.
    private var prePrepared: Set<Choice> = []
    /// Correct hosts that claimed a checkpoint, a bit each.
    private var claims: [Place: UInt64] = [:]
    private var votedUpTo: [Voter: SequenceNumber] = [:]
    /// Of those that lost records: the highest number at which they had voted.
    private var lostUpTo: [Voter: SequenceNumber] = [:]

    mutating func lostRecords(host: Int) {
        for (voter, highest) in votedUpTo where voter.host == host { lostUpTo[voter] = highest }
    }

    /// R4: who forgot votes does not vote again where it could have voted.
    mutating func vote(_ host: Int, _ shard: ShardID, _ sequence: SequenceNumber) throws {
        let voter = Voter(host: host, shard: shard)
        votedUpTo[voter] = max(votedUpTo[voter] ?? .zero, sequence)
        guard let lost = lostUpTo[voter], sequence <= lost else { return }
        throw Checks.Violation(
            description: "shard \(shard): lost its records, had voted up to \(lost), and votes at \(sequence)")
    }

    mutating func claim(_ host: Int, _ shard: ShardID, _ sequence: SequenceNumber) {
        claims[Place(shard: shard, sequence: sequence), default: 0] |= 1 << UInt64(host)
    }

    /// R1: only what a quorum claims is stable, and only that is written down.
    func flush(_ flush: StateFlush, liars: Int) throws {
        guard !flush.installs else { return }
        let count = (claims[Place(shard: flush.shard, sequence: flush.sequence)] ?? 0).nonzeroBitCount
        guard count < correctQuorum(flush.shard, liars: liars) else { return }
        throw Checks.Violation(
            description:
                "shard \(flush.shard) writes the state of \(flush.sequence) down, which \(count) correct hosts claimed")
    }

    mutating func prepare(_ host: Int, _ shard: ShardID, _ vote: Vote) {
        prepares[Prepared(shard: shard, vote: vote), default: 0] |= 1 << UInt64(host)
    }

    /// Its primary's PREPARE for all that it selects.
    mutating func prepare(_ host: Int, _ newView: NewView) {
        for (i, digest) in newView.selection.enumerated() {
            let sequence = SequenceNumber(newView.start.sequence.number + UInt64(i) + 1)
            prepare(host, newView.shard, Vote(view: newView.view, sequence: sequence, digest: digest))
        }
    }

    /// R3: only what a quorum prepared is committed, and who said PREPARE has its pre-prepare on disk. A proposal is
    /// nobody's vote.
    mutating func commit(_ host: Int, _ shard: ShardID, _ vote: Vote, liars: Int) throws {
        let count = (prepares[Prepared(shard: shard, vote: vote)] ?? 0).nonzeroBitCount
        guard count >= correctQuorum(shard, liars: liars) else {
            throw Checks.Violation(
                description:
                    "shard \(shard) commits \(vote.sequence) in view \(vote.view), which \(count) correct hosts prepared"
            )
        }
        commits[Choice(place: Place(shard: shard, sequence: vote.sequence), digest: vote.digest), default: 0] |=
            1 << UInt64(host)
    }

    /// R1: only what a quorum committed is attested.
    func attest(_ statement: AttestationStatement, liars: Int) throws {
        let choice = Choice(place: Place(shard: statement.shard, sequence: statement.sequence), digest: statement.batch)
        let count = (commits[choice] ?? 0).nonzeroBitCount
        guard count < correctQuorum(statement.shard, liars: liars) else { return }
        throw Checks.Violation(
            description:
                "shard \(statement.shard) attests \(statement.sequence), which \(count) correct hosts committed")
    }

    mutating func note(_ viewChange: ViewChange) {
        for entry in viewChange.prePrepared {
            prePrepared.insert(
                Choice(place: Place(shard: viewChange.shard, sequence: entry.sequence), digest: entry.digest))
        }
    }

    /// Who passes a NEW-VIEW on has found that it follows from S, and what it selects was pre-prepared by a correct
    /// host.
    func relay(_ newView: NewView) throws {
        guard let manifest else { return }
        let selection = NewViewSelection(newView.viewChanges, group: manifest.group(of: newView.shard), window: window)
        guard let selection, selection.start == newView.start, selection.digests == newView.selection else {
            throw Checks.Violation(
                description: "shard \(newView.shard): the NEW-VIEW of \(newView.view) does not follow from its S")
        }
        for (i, digest) in newView.selection.enumerated() where !digest.isNull {
            let place = Place(
                shard: newView.shard, sequence: SequenceNumber(newView.start.sequence.number + UInt64(i) + 1))
            guard !prePrepared.contains(Choice(place: place, digest: digest)) else { continue }
            throw Checks.Violation(
                description:
                    "shard \(newView.shard): the NEW-VIEW of \(newView.view) selects at \(place.sequence) what no correct host pre-prepared"
            )
        }
    }
}
