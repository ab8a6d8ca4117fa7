import HostCore
import Messages
import PBFT

/// What must never happen (docs/ARCHITECTURE.md), held against everything that hosts do and say.
struct Checks {
    struct Violation: Error, CustomStringConvertible {
        let description: String
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
    private var observed: [[SequenceNumber]] = []
    private var said: [Said: Digest] = [:]
    private var statements: [Position: AttestationStatement] = [:]
    /// 2. What each shard certified of each leg, once it decided.
    private var decided: [TransactionKey: Bool] = [:]
    private(set) var views: Set<UInt64> = []
    private(set) var restarts = 0
    private(set) var stateTransfers = 0

    private struct TransactionKey: Hashable {
        let request: Digest
        let leg: UInt16
    }

    mutating func crashed(host: Int) { restarts += 1 }

    mutating func observe(_ core: HostCore, host: Int) throws {
        for progress in core.progress() {
            let position = Position(shard: progress.shard, sequence: progress.sequence)
            if let known = histories[position] {
                if known != progress.history {
                    throw Violation(description: "shard \(progress.shard) executed different batches up to \(progress.sequence)")
                }
            } else {
                histories[position] = progress.history
            }
            if progress.view.number > 0 { views.insert(UInt64(progress.shard.number) << 48 | progress.view.number) }
        }
    }

    mutating func observe(_ message: HostMessage, from host: Int) throws {
        switch message {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m): try say(Said(host: host, shard: shard, kind: 1, view: m.view, sequence: m.sequence), m.batch.digest)
            case .prepare(let m): try say(Said(host: host, shard: shard, kind: 2, view: m.view, sequence: m.sequence), m.digest)
            case .commit(let m): try say(Said(host: host, shard: shard, kind: 3, view: m.view, sequence: m.sequence), m.digest)
            case .viewChange(let m):
                try say(Said(host: host, shard: shard, kind: 4, view: m.view, sequence: .zero), Hasher256.hash(.viewChange, m.encoded()))
            case .newView(let m):
                // Relayed by anyone: it is the new primary's word.
                try say(
                    Said(host: -1 - Int(m.replica.number), shard: shard, kind: 5, view: m.view, sequence: .zero),
                    Hasher256.hash(.newView, m.encoded()))
            case .checkpoint(let m): try say(Said(host: -100, shard: shard, kind: 6, view: View(0), sequence: m.sequence), m.digest)
            case .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed: break
            }
        case .push(_, let push):
            try observe(push.attested.statement)
            try observe(push.attested.leaf)
        case .stateTransfer(_, let transfer): if case .bucket = transfer { stateTransfers += 1 }
        case .forward: break
        }
    }

    mutating func observe(_ attestation: BatchAttestation, from host: Int) throws {
        try observe(attestation.statement)
        for leaf in attestation.leaves { try observe(leaf) }
    }

    /// No replica, and no two, attest different things for one sequence number.
    private mutating func observe(_ statement: AttestationStatement) throws {
        let position = Position(shard: statement.shard, sequence: statement.sequence)
        if let known = statements[position], known != statement {
            throw Violation(description: "two attestations for shard \(statement.shard) sequence \(statement.sequence)")
        }
        statements[position] = statement
    }

    /// No two shards decide one transaction differently, and no decision changes.
    private mutating func observe(_ leaf: Leaf) throws {
        for entry in leaf.entries {
            let commits: Bool
            switch entry.status {
            case .committed: commits = true
            case .aborted, .votedNo, .noRecordAbort: commits = false
            case .votedYes, .acknowledged: continue
            }
            let key = TransactionKey(request: leaf.request, leg: entry.leg)
            if let known = decided[key], known != commits {
                throw Violation(description: "leg \(entry.leg) of \(leaf.request.short) is decided both ways")
            }
            decided[key] = commits
        }
    }

    private mutating func say(_ key: Said, _ digest: Digest) throws {
        if let known = said[key], known != digest {
            let names = ["", "PRE-PREPARE", "PREPARE", "COMMIT", "VIEW-CHANGE", "NEW-VIEW", "CHECKPOINT"]
            throw Violation(
                description: "\(names[key.kind]) shard \(key.shard) view \(key.view) sequence \(key.sequence): \(known.short), then \(digest.short)")
        }
        said[key] = digest
    }
}

extension Simulation {
    /// Everything is answered and every replica of a shard stands at the same place with nothing undecided.
    mutating func isQuiet() throws -> Bool {
        var first: [ShardID: Digest] = [:]
        for i in hosts.indices {
            guard let core = hosts[i].core else { return false }
            for progress in core.progress() {
                if progress.undecided > 0 { return false }
                if let known = first[progress.shard], known != progress.history { return false }
                first[progress.shard] = progress.history
            }
        }
        return true
    }

    /// The final state against the clients' books.
    mutating func finish() throws -> Summary {
        var fingerprint = Hasher256()
        var posted: UInt128 = 0
        var issued: UInt128 = 0
        for i in hosts.indices {
            guard var core = hosts[i].core else { throw failure("host \(i) is down at the end") }
            let audits: [ShardAudit]
            do { audits = try core.audits() } catch { throw failure("audit: \(error)") }
            for audit in audits {
                fingerprint.update(audit.stateDigest)
                try checkEqual(audit, host: i)
                guard i == 0 else { continue }
                for asset in audit.assets {
                    posted += asset.posted
                    issued += asset.issued
                    if asset.pendingDebits != 0 || asset.pendingCredits != 0 { throw failure("something is still reserved at the end") }
                }
            }
            for account in clients.accounts {
                let balance = core.balance(account.id).map { Int128($0) }
                let expected = clients.balances[account.id]
                if balance != expected {
                    throw failure(
                        "account \(account.id) holds \(balance.map { "\($0)" } ?? "nothing") on host \(i); by the receipts it is \(expected.map { "\($0)" } ?? "none")")
                }
            }
        }
        if posted != issued { throw failure("\(posted) posted, \(issued) issued") }
        return Summary(
            seed: options.seed, steps: steps, simulatedNanoseconds: now, committed: clients.committed, aborted: clients.aborted,
            viewChanges: checks.views.count, restarts: checks.restarts, stateTransfers: checks.stateTransfers,
            fingerprint: fingerprint.finish())
    }

    private mutating func checkEqual(_ audit: ShardAudit, host: Int) throws {
        guard host > 0, var first = hosts[0].core else { return }
        let reference = try first.audits().first { $0.shard == audit.shard }
        if let reference, reference.stateDigest != audit.stateDigest {
            throw failure("the states of shard \(audit.shard) differ between host 0 and \(host) at sequence \(audit.sequence)")
        }
    }

    func describeState() -> String {
        var lines: [String] = ["clients waiting: \(clients.pending.indices.filter { clients.pending[$0] != nil })"]
        for i in hosts.indices {
            for s in hosts[i].core?.status() ?? [] {
                lines.append(
                    "host \(i) shard \(s.shard): view \(s.view)\(s.isChangingView ? " (changing)" : "") executed \(s.lastExecuted) stable \(s.stable) flushed \(s.flushed) pending \(s.pendingRequests) undecided \(s.undecided)")
            }
        }
        return lines.joined(separator: "\n  ")
    }

    static func describe(_ message: HostMessage) -> String {
        switch message {
        case .pbft(let shard, let pbft):
            switch pbft {
            case .prePrepare(let m): "s\(shard) PRE-PREPARE v\(m.view) n\(m.sequence) \(m.batch.digest.short) (\(m.batch.items.count))"
            case .prepare(let m): "s\(shard) PREPARE v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .commit(let m): "s\(shard) COMMIT v\(m.view) n\(m.sequence) \(m.digest.short)"
            case .checkpoint(let m): "s\(shard) CHECKPOINT n\(m.sequence) \(m.digest.short)"
            case .suspect(let view): "s\(shard) SUSPECT v\(view)"
            case .viewChange(let m): "s\(shard) VIEW-CHANGE v\(m.view) h\(m.lowWatermark) P\(m.prepared.count) Q\(m.prePrepared.count)"
            case .newView(let m): "s\(shard) NEW-VIEW v\(m.view) start \(m.start.sequence) + \(m.selection.count)"
            case .status(let m): "s\(shard) STATUS v\(m.view)\(m.isChangingView ? "?" : "") executed \(m.lastExecuted) stable \(m.stable)"
            case .fetchBatch(let d): "s\(shard) FETCH \(d.short)"
            case .batch(let b): "s\(shard) BATCH \(b.digest.short)"
            case .fetchCommitted(let m): "s\(shard) FETCH-COMMITTED \(m.from)+\(m.count)\(m.bodies ? " bodies" : "")"
            case .committed(let m): "s\(shard) COMMITTED \(m.from)+\(m.digests.count)"
            }
        case .push(let shard, let push): "s\(shard) PUSH \(push.request.digest.short) \(push.attested.leaf.entries.map(\.status))"
        case .stateTransfer(let shard, let m):
            switch m {
            case .fetchCheckpoint(let minimum): "s\(shard) FETCH-CHECKPOINT \(minimum)"
            case .checkpoint(let n, _, _): "s\(shard) STATE n\(n)"
            case .fetchBuckets(let n, let buckets): "s\(shard) FETCH-BUCKETS n\(n) \(buckets.count)"
            case .bucket(let n, let bucket, let entries): "s\(shard) BUCKET n\(n) \(bucket) (\(entries.count))"
            case .gone(let n): "s\(shard) GONE n\(n)"
            }
        case .forward(let shard, _): "s\(shard) FORWARD"
        }
    }
}
