import Cores
import Messages
import PBFT

/// What must never happen (docs/ARCHITECTURE.md), held against everything that hosts do and say.
struct Checks {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    private let byzantine: Set<Int>
    /// - Parameter manifest: every host has a replica of every shard, in the same order.
    init(byzantine: Set<Int> = [], manifest: Manifest? = nil, window: UInt64 = 0) {
        (self.byzantine, rules) = (byzantine, RuleChecks(manifest: manifest, window: window))
        order = OrderChecks(map: manifest?.shardMap)
        signatures = SignatureChecks(manifest: manifest)
    }

    private struct Said: Hashable {
        let host: Int
        let shard: ShardID
        let kind: Int
        let view: View
        let sequence: SequenceNumber
    }

    /// 1. The history after a sequence number, which is the same for all.
    private var histories: [RuleChecks.Place: Digest] = [:]
    /// What was seen last, by host and shard: mostly nothing has changed.
    private var latest: [[(history: Digest, view: View)?]] = []
    private var said: [Said: Digest] = [:]
    private var exempted: Set<Int> = []
    private var statements: [RuleChecks.Place: AttestationStatement] = [:]
    private var rules: RuleChecks
    private var signatures: SignatureChecks
    /// 2. What each shard certified of each leg, once it decided.
    private var decided: [TransactionKey: Bool] = [:]
    private(set) var views: Set<UInt64> = []
    var times = ShardTimeChecks()
    var order: OrderChecks
    private(set) var counts = Counts()

    private struct TransactionKey: Hashable {
        let request: Digest
        let leg: UInt16
    }

    /// What correct hosts did, so that a summary can tell whether a run tried what it should.
    struct Counts {
        var restarts = 0
        var stateTransfers = 0
        var checkpoints = 0
        var flushes = 0
        var compactions = 0
        var storageFailures = 0
    }

    /// Whether a correct replica was in a later view.
    func hasLeft(_ view: View, of shard: ShardID) -> Bool {
        views.contains { $0 >> 48 == UInt64(shard.number) && $0 & 0xFFFF_FFFF_FFFF > view.number }
    }

    mutating func crashed() { counts.restarts += 1 }
    mutating func storageFailed() { counts.storageFailures += 1 }

    mutating func observe(_ ready: HostReady) throws {
        try signatures.observe(ready.records)
        if ready.compacts { counts.compactions += 1 }
        for flush in ready.flushes { if flush.installs { counts.stateTransfers += 1 } else { counts.flushes += 1 } }
    }

    /// A host that lost its disk counted as faulty: what it said binds it no longer.
    mutating func forget(host: Int) {
        said = said.filter { $0.key.host != host && $0.key.host != -1 - host }
        rules.lostRecords(host: host)
    }

    /// It forgot what nobody can know that it said: one of f faulty hosts, whose words may contradict each other.
    mutating func exempt(host: Int) { exempted.insert(host) }

    func observe(_ flush: StateFlush) throws { try rules.flush(flush, liars: byzantine.count) }

    mutating func observe(_ core: HostCore, host: Int) throws {
        for progress in core.progress() { try observe(progress, host: host) }
    }

    mutating func observe(_ progress: HostCore.Progress, host: Int) throws {
        while latest.count <= host { latest.append([]) }
        let shard = Int(progress.shard.number)
        while latest[host].count <= shard { latest[host].append(nil) }
        if let (history, view) = latest[host][shard], history == progress.history, view == progress.view { return }
        latest[host][shard] = (progress.history, progress.view)
        let position = RuleChecks.Place(shard: progress.shard, sequence: progress.sequence)
        if let known = histories[position] {
            if known != progress.history {
                throw Violation(
                    description: "shard \(progress.shard) executed different batches up to \(progress.sequence)")
            }
        } else {
            histories[position] = progress.history
        }
        try times.observe(progress)
        if progress.view.number > 0 { views.insert(UInt64(progress.shard.number) << 48 | progress.view.number) }
    }

    mutating func observe(_ message: HostMessage, from host: Int) throws {
        switch message {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m):
                try say(Said(host: host, shard: shard, kind: 1, view: m.view, sequence: m.sequence), m.batch.digest)
                try signatures.propose(m, from: host)
                try rules.vote(host, shard, m.sequence)
            case .prepare(let m):
                try say(Said(host: host, shard: shard, kind: 2, view: m.view, sequence: m.sequence), m.digest)
                try say(
                    Said(host: host, shard: shard, kind: 7, view: m.view, sequence: m.sequence),
                    m.vouches ? m.digest : .null)
                try signatures.prepare(m, on: shard, from: host)
                rules.prepare(host, shard, m.vote)
                try rules.vote(host, shard, m.sequence)
            case .commit(let m):
                try say(Said(host: host, shard: shard, kind: 3, view: m.view, sequence: m.sequence), m.digest)
                try rules.vote(host, shard, m.sequence)
                try rules.commit(host, shard, m, liars: byzantine.count)
                order.commit(shard, m)
            case .viewChange(let m):
                rules.note(m)
                try say(
                    Said(host: host, shard: shard, kind: 4, view: m.view, sequence: .zero),
                    Hasher256.hash(.viewChange, m.encoded()))
            case .newView(let m):
                try rules.relay(m)
                // Relayed by anyone: it is the new primary's word.
                guard !byzantine.contains(Int(m.replica.number)) else { return }
                rules.prepare(Int(m.replica.number), m)
                try say(
                    Said(host: -1 - Int(m.replica.number), shard: shard, kind: 5, view: m.view, sequence: .zero),
                    Hasher256.hash(.newView, m.encoded()))
            case .checkpoint(let m):
                counts.checkpoints += 1
                rules.claim(host, shard, m.sequence)
                try say(Said(host: -100, shard: shard, kind: 6, view: View(0), sequence: m.sequence), m.digest)
            case .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
                .recollection:
                break
            }
        case .push(_, let push):
            try observe(push.attested.statement)
            try observe(push.attested.leaf)
        case .stateTransfer, .forward: break
        }
    }

    mutating func observe(_ attestation: BatchAttestation, from host: Int) throws {
        try observe(attestation.statement)
        order.attest(attestation)
        for leaf in attestation.leaves { try observe(leaf) }
    }

    /// A certificate has the word of a correct host.
    mutating func observe(_ receipt: Receipt) throws {
        for certificate in receipt.certificates {
            let statement = certificate.statement
            let position = RuleChecks.Place(shard: statement.shard, sequence: statement.sequence)
            guard statements[position] != statement else { continue }
            throw Violation(
                description:
                    "a receipt's statement for shard \(position.shard) sequence \(position.sequence) was made by no correct host"
            )
        }
    }

    /// No replica, and no two, attest different things for one sequence number.
    private mutating func observe(_ statement: AttestationStatement) throws {
        let position = RuleChecks.Place(shard: statement.shard, sequence: statement.sequence)
        if let known = statements[position], known != statement {
            throw Violation(description: "two attestations for shard \(statement.shard) sequence \(statement.sequence)")
        }
        try rules.attest(statement, liars: byzantine.count)
        // R1: with one attestation the whole history before it is signed.
        guard statement.sequence > .zero else { return }
        let before = RuleChecks.Place(shard: statement.shard, sequence: SequenceNumber(statement.sequence.number - 1))
        if let known = histories[before], known != statement.previousHistory {
            throw Violation(
                description:
                    "the attestation of shard \(statement.shard) sequence \(statement.sequence) does not follow from what was executed"
            )
        }
        statements[position] = statement
    }

    /// No two shards decide one transaction differently, and no decision changes.
    private mutating func observe(_ leaf: Leaf) throws {
        try signatures.observe(leaf)
        for entry in leaf.entries {
            let commits: Bool
            switch entry.status {
            case .committed, .returned: commits = true
            case .aborted, .votedNo, .noRecordAbort, .failed: commits = false
            case .votedYes, .acknowledged, .read, .running, .closed: continue
            }
            let key = TransactionKey(request: leaf.request, leg: entry.leg)
            if let known = decided[key], known != commits {
                throw Violation(description: "leg \(entry.leg) of \(leaf.request.short) is decided both ways")
            }
            decided[key] = commits
        }
    }

    private mutating func say(_ key: Said, _ digest: Digest) throws {
        // A new primary's word has its host's number, negative.
        if exempted.contains(key.host) || exempted.contains(-1 - key.host) { return }
        if let known = said[key], known != digest {
            let names = ["", "PRE-PREPARE", "PREPARE", "COMMIT", "VIEW-CHANGE", "NEW-VIEW", "CHECKPOINT", "voucher"]
            throw Violation(
                description:
                    "\(names[key.kind]) shard \(key.shard) view \(key.view) sequence \(key.sequence): \(known.short), then \(digest.short)"
            )
        }
        said[key] = digest
    }
}

extension HostCore {
    /// After every step.
    func examine(after input: HostInput, host: Int, _ checks: inout Checks) throws {
        try checkInvariants(of: Self.shard(of: input))
        try forEachProgress { try checks.observe($0, host: host) }
    }
}
