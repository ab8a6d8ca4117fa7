import DequeModule
import Histories
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
    }

    private struct Position: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }
    private struct Said: Hashable {
        let host: Int
        let shard: ShardID
        let kind: Int
        let view: View
        let sequence: SequenceNumber
    }

    /// 1. The history after a sequence number, which is the same for all.
    private var histories: [Position: Digest] = [:]
    /// What was seen last, by host and shard: mostly nothing has changed.
    private var latest: [[(history: Digest, view: View)?]] = []
    private var said: [Said: Digest] = [:]
    private var exempted: Set<Int> = []
    private var statements: [Position: AttestationStatement] = [:]
    private var rules: RuleChecks
    /// 2. What each shard certified of each leg, once it decided.
    private var decided: [TransactionKey: Bool] = [:]
    private(set) var views: Set<UInt64> = []
    /// The shard's time after a sequence number, which is the same for all and never goes back.
    private var times: [Position: Timestamp] = [:]
    private var executedTimes: Set<Timestamp> = []
    /// What correct hosts' clocks showed of late.
    private var clocks = HighestClock()
    private var now: UInt64 = 0
    /// By shard, when a correct host last executed something new. Nanoseconds.
    private(set) var executedAt: [ShardID: UInt64] = [:]
    private(set) var restarts = 0
    private(set) var stateTransfers = 0

    private struct TransactionKey: Hashable {
        let request: Digest
        let leg: UInt16
    }

    private(set) var checkpoints = 0
    private(set) var flushes = 0
    private(set) var compactions = 0
    private(set) var storageFailures = 0

    /// Whether a correct replica was in a later view.
    func hasLeft(_ view: View, of shard: ShardID) -> Bool {
        views.contains { $0 >> 48 == UInt64(shard.number) && $0 & 0xFFFF_FFFF_FFFF > view.number }
    }

    mutating func crashed(host: Int) { restarts += 1 }
    mutating func storageFailed() { storageFailures += 1 }

    mutating func observe(_ ready: HostReady) {
        if ready.compacts { compactions += 1 }
        for flush in ready.flushes { if flush.installs { stateTransfers += 1 } else { flushes += 1 } }
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
        let position = Position(shard: progress.shard, sequence: progress.sequence)
        if let known = histories[position] {
            if known != progress.history {
                throw Violation(
                    description: "shard \(progress.shard) executed different batches up to \(progress.sequence)")
            }
        } else {
            histories[position] = progress.history
        }
        try observeTime(progress, at: position)
        if progress.view.number > 0 { views.insert(UInt64(progress.shard.number) << 48 | progress.view.number) }
    }

    /// Before each step of a correct host.
    mutating func noteClock(_ clock: Timestamp, ahead: UInt64, now: UInt64) {
        self.now = now
        clocks.note(clock.adding(microseconds: ahead), now: now)
    }

    /// R2: a shard's time goes on to what a correct host's clock showed when the batch was proposed, and what a
    /// proposal may be ahead of it, and no further; or to a time that was executed before. Where the clocks were before
    /// that excuses nothing.
    private mutating func observeTime(_ progress: HostCore.Progress, at position: Position) throws {
        if let known = times[position] {
            guard known != progress.time else { return }
            throw Violation(
                description:
                    "after \(progress.sequence) shard \(progress.shard)'s time is \(known) and \(progress.time)")
        }
        let before =
            progress.sequence > .zero
            ? times[Position(shard: progress.shard, sequence: SequenceNumber(progress.sequence.number - 1))] : nil
        if let before, before > progress.time {
            throw Violation(
                description:
                    "shard \(progress.shard)'s time goes back at \(progress.sequence), from \(before) to \(progress.time)"
            )
        }
        if before != progress.time, let highest = clocks.highest, progress.time > highest,
            !executedTimes.contains(progress.time)
        {
            let ahead = progress.time.microseconds(since: highest) / 1000
            throw Violation(
                description:
                    "shard \(progress.shard)'s time is \(ahead) ms later than any correct host's clock allowed in \(HighestClock.window / 1_000_000_000) s"
            )
        }
        times[position] = progress.time
        executedTimes.insert(progress.time)
        executedAt[progress.shard] = now
    }

    mutating func observe(_ message: HostMessage, from host: Int) throws {
        switch message {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m):
                try say(Said(host: host, shard: shard, kind: 1, view: m.view, sequence: m.sequence), m.batch.digest)
                try rules.vote(host, shard, m.sequence)
            case .prepare(let m):
                try say(Said(host: host, shard: shard, kind: 2, view: m.view, sequence: m.sequence), m.digest)
                try rules.vote(host, shard, m.sequence)
            case .commit(let m):
                try say(Said(host: host, shard: shard, kind: 3, view: m.view, sequence: m.sequence), m.digest)
                try rules.vote(host, shard, m.sequence)
                rules.commit(host, shard, m)
            case .viewChange(let m):
                rules.note(m)
                try say(
                    Said(host: host, shard: shard, kind: 4, view: m.view, sequence: .zero),
                    Hasher256.hash(.viewChange, m.encoded()))
            case .newView(let m):
                try rules.relay(m)
                // Relayed by anyone: it is the new primary's word.
                guard !byzantine.contains(Int(m.replica.number)) else { return }
                try say(
                    Said(host: -1 - Int(m.replica.number), shard: shard, kind: 5, view: m.view, sequence: .zero),
                    Hasher256.hash(.newView, m.encoded()))
            case .checkpoint(let m):
                checkpoints += 1
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
        for leaf in attestation.leaves { try observe(leaf) }
    }

    /// A certificate has the word of a correct host.
    mutating func observe(_ receipt: Receipt) throws {
        for certificate in receipt.certificates {
            let position = Position(shard: certificate.statement.shard, sequence: certificate.statement.sequence)
            guard statements[position] != certificate.statement else { continue }
            throw Violation(
                description:
                    "a receipt's statement for shard \(position.shard) sequence \(position.sequence) was made by no correct host"
            )
        }
    }

    /// No replica, and no two, attest different things for one sequence number.
    private mutating func observe(_ statement: AttestationStatement) throws {
        let position = Position(shard: statement.shard, sequence: statement.sequence)
        if let known = statements[position], known != statement {
            throw Violation(description: "two attestations for shard \(statement.shard) sequence \(statement.sequence)")
        }
        try rules.attest(statement, liars: byzantine.count)
        // R1: with one attestation the whole history before it is signed.
        guard statement.sequence > .zero else { return }
        let before = Position(shard: statement.shard, sequence: SequenceNumber(statement.sequence.number - 1))
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
            let names = ["", "PRE-PREPARE", "PREPARE", "COMMIT", "VIEW-CHANGE", "NEW-VIEW", "CHECKPOINT"]
            throw Violation(
                description:
                    "\(names[key.kind]) shard \(key.shard) view \(key.view) sequence \(key.sequence): \(known.short), then \(digest.short)"
            )
        }
        said[key] = digest
    }
}

/// The highest clock of the last minute: longer than it takes from the proposal of a batch to its execution, over view
/// changes.
struct HighestClock {
    /// Nanoseconds.
    static let window: UInt64 = 60_000_000_000
    /// Later ones are lower.
    private var shown: Deque<(now: UInt64, clock: Timestamp)> = []

    mutating func note(_ clock: Timestamp, now: UInt64) {
        while let last = shown.last, last.clock <= clock { shown.removeLast() }
        shown.append((now, clock))
        while shown.count > 1, let first = shown.first, first.now + Self.window < now { shown.removeFirst() }
    }

    var highest: Timestamp? { shown.first?.clock }
}

extension HostCore {
    /// After every step.
    func examine(after input: HostInput, host: Int, _ checks: inout Checks) throws {
        try checkInvariants(of: Self.shard(of: input))
        try forEachProgress { try checks.observe($0, host: host) }
    }
}

extension HostMessage {
    var isRare: Bool {
        switch self {
        case .pbft(_, let message):
            switch message {
            case .prePrepare, .prepare, .commit, .checkpoint, .status: false
            case .suspect, .viewChange, .newView, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody,
                .resumed, .recollection:
                true
            }
        case .push: false
        case .stateTransfer(_, let message): if case .checkpoint = message { false } else { true }
        case .forward: true
        }
    }
}

extension Simulation {
    /// Everything is answered and every replica of a shard stands at the same place with nothing undecided.
    mutating func isQuiet() throws -> Bool {
        var first: [ShardID: Digest] = [:]
        for i in correctHosts {
            guard hosts[i].isUp else { return false }
            for progress in hosts[i].core?.progress() ?? [] {
                if progress.undecided > 0 { return false }
                if let known = first[progress.shard], known != progress.history { return false }
                first[progress.shard] = progress.history
            }
        }
        return true
    }

    /// The final state against the clients' books.
    mutating func finish() throws -> Summary {
        do { try SerializabilityChecker.check(clients.history) } catch { throw failure(error.description) }
        var fingerprint = Hasher256()
        var posted: UInt128 = 0
        var issued: UInt128 = 0
        var first: [ShardAudit] = []
        for i in correctHosts {
            guard let core = hosts[i].core else { throw failure("host \(i) is down at the end") }
            let audits: [ShardAudit]
            do { audits = try core.audits() } catch { throw failure("audit: \(error)") }
            if i == correctHosts.first {
                first = audits
                // The others' states are the same to the last byte.
                do { try core.checkStateInvariants() } catch { throw failure("host \(i): \(error)") }
            }
            for audit in audits {
                fingerprint.update(audit.stateDigest)
                if let reference = first.first(where: { $0.shard == audit.shard }),
                    reference.stateDigest != audit.stateDigest
                {
                    throw failure(
                        "the states of shard \(audit.shard) differ between host \(correctHosts[0]) and \(i) at sequence \(audit.sequence)"
                    )
                }
                guard i == correctHosts.first else { continue }
                for asset in audit.assets {
                    posted += asset.posted
                    issued += asset.issued
                    if asset.pendingDebits != 0 || asset.pendingCredits != 0 {
                        throw failure("something is still reserved at the end")
                    }
                }
            }
            try checkByzantineClient(core, host: i)
            for account in clients.accounts {
                let balance = core.balance(account.id).map { Int128($0) }
                let expected = clients.balances[account.id]
                if balance != expected {
                    throw failure(
                        "account \(account.id) holds \(balance.map { "\($0)" } ?? "nothing") on host \(i); by the receipts it is \(expected.map { "\($0)" } ?? "none")"
                    )
                }
            }
        }
        if posted != issued { throw failure("\(posted) posted, \(issued) issued") }
        if options.profile == .calm, !checks.views.isEmpty {
            throw failure("a primary was replaced although nothing was wrong")
        }
        return summary(fingerprint: fingerprint.finish())
    }

    /// It may have done anything to its own accounts but make money.
    private func checkByzantineClient(_ core: HostCore, host: Int) throws {
        guard options.hasByzantineHosts else { return }
        let held = byzantineClient.accounts.compactMap { core.balance($0.id) }
        // Those that were opened.
        let issued = byzantineClient.accounts.compactMap { clients.balances[$0.id] }
        guard held.count == issued.count, held.map({ Int128($0) }).reduce(0, +) == issued.reduce(0, +) else {
            throw failure("the byzantine client holds \(held) on host \(host), of \(issued)")
        }
    }

    func describeState() -> String {
        var lines: [String] = ["clients waiting: \(clients.pending.indices.filter { clients.pending[$0] != nil })"]
        for i in hosts.indices {
            for s in hosts[i].core?.status() ?? [] {
                lines.append(
                    "host \(i) shard \(s.shard): view \(s.view)\(s.isChangingView ? " (changing)" : "") executed \(s.lastExecuted) stable \(s.stable) flushed \(s.flushed) pending \(s.pendingRequests) undecided \(s.undecided) \(s.standing)"
                )
            }
        }
        return lines.joined(separator: "\n  ")
    }

    static func describe(_ message: HostMessage) -> String {
        switch message {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m):
                "s\(shard) PRE-PREPARE v\(m.view) n\(m.sequence) \(m.batch.digest.short) (\(m.batch.items.count))"
            case .prepare(let m): "s\(shard) PREPARE v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .commit(let m): "s\(shard) COMMIT v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .checkpoint(let m): "s\(shard) CHECKPOINT n\(m.sequence) \(m.digest.short)"
            case .suspect(let view): "s\(shard) SUSPECT v\(view)"
            case .viewChange(let m):
                "s\(shard) VIEW-CHANGE v\(m.view) h\(m.lowWatermark) P\(m.prepared.count) Q\(m.prePrepared.count)"
            case .newView(let m): "s\(shard) NEW-VIEW v\(m.view) start \(m.start.sequence) + \(m.selection.count)"
            case .status(let m):
                "s\(shard) STATUS v\(m.view)\(m.isChangingView ? "?" : "") executed \(m.lastExecuted) stable \(m.stable)"
            case .fetchBatch(let d): "s\(shard) FETCH \(d.short)"
            case .batch(let b): "s\(shard) BATCH \(b.digest.short)"
            case .fetchCommitted(let m): "s\(shard) FETCH-COMMITTED \(m.from)+\(m.count)\(m.bodies ? " bodies" : "")"
            case .committed(let m): "s\(shard) COMMITTED \(m.from)+\(m.digests.count)"
            case .committedBody(let b): "s\(shard) BODY \(b.digest.short)"
            case .resumed(let m): "s\(shard) RESUMED \(m.isQuarantined ? "quarantined" : "remembers \(m.remembers)")"
            case .recollection(let m): "s\(shard) RECOLLECTION heard \(m.heard) checkpoint \(m.checkpoint)"
            }
        case .push(let shard, let push):
            "s\(shard) PUSH \(push.request.digest.short) \(push.attested.leaf.entries.map(\.status))"
        case .stateTransfer(let shard, let m):
            switch m {
            case .fetchCheckpoint(let minimum): "s\(shard) FETCH-CHECKPOINT \(minimum)"
            case .checkpoint(let n, _, _): "s\(shard) STATE n\(n)"
            case .fetchBuckets(let n, let buckets): "s\(shard) FETCH-BUCKETS n\(n) \(buckets.count)"
            case .bucket(let n, let bucket, let part, let isLast, let entries):
                "s\(shard) BUCKET n\(n) \(bucket).\(part)\(isLast ? "" : "…") (\(entries.count))"
            case .gone(let n): "s\(shard) GONE n\(n)"
            }
        case .forward(let shard, _): "s\(shard) FORWARD"
        }
    }
}
