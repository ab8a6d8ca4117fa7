import Foundation
import LMDBStore
import Messages
import ShardState
import StrictInput
import Workload

/// What one shard's state on disk holds, as far as it can be read.
struct StateContents: Sendable {
    struct Account: Encodable, Sendable {
        var account: String
        var exists: Bool
        var owner: String?
        var asset: UInt32?
        /// In minor units, in decimal digits.
        var posted: String?
        var pending_debits: String?
        var pending_credits: String?
        /// "debits", "credits" or "both"; left out if it is not frozen.
        var frozen: String?
        var frozen_reason: UInt32?
        /// A procedure uses it.
        var locked = false
    }
    struct OpenRecord: Encodable, Sendable {
        var txid: String
        var deadline: String
        /// Shards that have not said that they are done.
        var waits_for: [Int]
    }
    struct Problem: Sendable {
        let reason: ExitReason
        let text: String

        init(_ reason: ExitReason, _ text: String) { (self.reason, self.text) = (reason, text) }
    }

    let path: String
    private(set) var shard: Int?
    /// No state was written down yet.
    private(set) var isEmpty = false
    private(set) var header: StoredStateHeader?
    private(set) var digest: Digest?
    private(set) var isVerified = false
    private(set) var census: [(kind: String, count: Int)] = []
    private(set) var open = 0
    private(set) var undecided = 0
    private(set) var locks = (held: 0, awaited: 0)
    private(set) var buckets = (used: 0, all: 0, largest: UInt64(0))
    private(set) var openRecords: [OpenRecord] = []
    private(set) var account: Account?
    private(set) var figures: LMDBFigures?
    private(set) var isCondemned = false
    private(set) var problem: Problem?

    /// Reads as far as it goes: the rest is `problem`.
    init(at path: String, shard: ShardID?, manifest: Manifest, verify: Bool, account: AccountID?, open limit: Int) {
        self.path = path
        self.shard = shard.map { Int($0.number) }
        isCondemned = LMDBEnvironment.isCondemned(path)
        do {
            let environment = try LMDBEnvironment(reading: path)
            figures = try environment.figures()
            try read(try LMDBStore(environment), shard, manifest, verify: verify, account: account, open: limit)
        } catch {
            problem = Self.problem(error)
            if case LMDBError.failed(_, _, ENOENT) = error { (isEmpty, problem) = (true, nil) }
        }
    }

    private mutating func read(
        _ store: LMDBStore, _ expected: ShardID?, _ manifest: Manifest, verify: Bool, account: AccountID?,
        open limit: Int
    ) throws {
        guard let header = try StoredStateHeader(of: store) else {
            isEmpty = true
            return
        }
        self.header = header
        let shard = expected ?? header.shard
        self.shard = Int(shard.number)
        guard manifest.hasShard(shard) else {
            throw ShardStateError.foreignState(cluster: header.cluster, shard: header.shard)
        }
        guard var state = try StoredState(of: store, shard: shard, manifest: manifest) else { return }
        (open, undecided, locks, buckets) = (state.open, state.undecided, state.locks, state.buckets)
        let found = try state.digest()
        digest = found
        census = try state.census()
        openRecords = try state.openRecords(limit: limit).prefix(limit).map {
            OpenRecord(
                txid: $0.request.digest.hex, deadline: Self.text($0.cursor.deadline),
                waits_for: $0.waitingFor.map { Int($0.number) })
        }
        if let account { self.account = try Self.account(account, in: state) }
        if let seal = header.seal, seal != found {
            throw ShardStateError.digestMismatch(got: found, expected: seal)
        }
        if verify {
            try state.verify()
            isVerified = true
        }
    }

    private static func account(_ id: AccountID, in state: StoredState) throws -> Account {
        guard let view = try state.account(id) else { return Account(account: "\(id)", exists: false) }
        return Account(
            account: "\(id)", exists: true, owner: view.owner.hex, asset: view.asset.number,
            posted: "\(view.posted.number)", pending_debits: "\(view.pendingDebits.number)",
            pending_credits: "\(view.pendingCredits.number)", frozen: view.freeze?.direction.description,
            frozen_reason: view.freeze?.reason, locked: state.isLocked(id))
    }

    private static func problem(_ error: any Error) -> Problem {
        switch error {
        case let error as LMDBError: return Problem(.storage, error.description)
        case let error as ShardStateError:
            switch error {
            case .stateVersion: return Problem(.versionMismatch, error.description)
            case .foreignState: return Problem(.wrongManifest, error.description)
            default: return Problem(.storage, error.description)
            }
        default: return Problem(.failure, ToolError(error).description)
        }
    }

    private static func text(_ time: Timestamp) -> String {
        DoctorPage.text(Date(timeIntervalSince1970: Double(time.number) / 1e6))
    }

    // MARK: For a person

    var text: String {
        var lines: [String] = []
        let name = shard.map { "shard \($0)" } ?? path
        if isEmpty {
            lines.append("\(name)  no state was written down yet: all of it is in the journal")
        } else if let header {
            lines.append(
                "\(name)  after batch \(header.sequence)  shard time \(Self.text(header.time))  format \(header.version)\(header.version == StoredStateHeader.supportedVersion ? "" : ", which this build does not read")"
            )
        } else {
            lines.append("\(name)  cannot be read")
        }
        if let digest {
            let seal = header?.seal.map { $0 == digest ? "the same as was stored with it" : "stored was \($0.hex)" }
            lines.append("  digest    \(digest.hex), \(seal ?? "none was stored with it")")
        }
        if isVerified { lines.append("  verified  every entry is what the digest says") }
        if !census.isEmpty {
            lines.append("  entries   " + census.map { "\($0.count) \($0.kind)" }.joined(separator: ", "))
            lines.append(
                "  records   \(open) open, \(undecided) undecided; locks: \(locks.held) held, \(locks.awaited) awaited")
            lines.append(
                "  buckets   \(buckets.used) of \(buckets.all) have entries, the largest \(buckets.largest)")
        }
        for record in openRecords {
            let shards = record.waits_for.map(String.init).joined(separator: ", ")
            lines.append(
                "  open      \(record.txid)  deadline \(record.deadline)  \(shards.isEmpty ? "waits for nobody else" : "waits for shard \(shards)")"
            )
        }
        if let account { lines.append("  account   " + Self.text(account)) }
        if let figures {
            lines.append(
                "  file      \(figures.fileBytes) bytes, \(figures.pages) pages of \(figures.pageSize), \(figures.freePages) free; \(figures.entries) keys with the nodes of the tree, \(figures.depth) pages deep, \(figures.transactions) commits"
            )
        }
        if isCondemned {
            lines.append(
                "  A PROCESS DIED READING IT, or found that it is not what was written: the next start puts it aside")
        }
        if let problem { lines.append("  WRONG     \(Printable.line(problem.text))") }
        return lines.joined(separator: "\n")
    }

    private static func text(_ account: Account) -> String {
        guard account.exists else { return "\(account.account) is not there" }
        return
            "\(account.account)  \(account.posted ?? "") of asset \(account.asset ?? 0)  reserved \(account.pending_debits ?? "")  to come \(account.pending_credits ?? "")  owner \(account.owner ?? "")\(account.frozen.map { "  frozen: \($0)" } ?? "")\(account.locked ? "  a procedure uses it" : "")"
    }

    // MARK: For a program

    struct Document: Encodable, Sendable {
        struct State: Encodable, Sendable {
            struct Counts: Encodable, Sendable {
                var open: Int
                var undecided: Int
                var locks_held: Int
                var locks_awaited: Int
                var buckets_used: Int
                var buckets: Int
                var largest_bucket: UInt64
            }
            struct File: Encodable, Sendable {
                var bytes: Int
                var page_size: Int
                var pages: Int
                var free_pages: Int
                var keys: Int
                var depth: Int
                var commits: UInt64
            }
            var path: String
            var shard: Int?
            var empty: Bool
            var version: UInt16?
            var sequence: UInt64?
            /// Microseconds since 1970.
            var shard_time: UInt64?
            var history: String?
            var digest: String?
            var stored_digest: String?
            var verified: Bool
            var entries: [String: Int]
            var counts: Counts?
            var open_records: [OpenRecord]
            var account: Account?
            var file: File?
            var condemned: Bool
            var problem: String?
        }
        var schema = 1
        var host: String
        var states: [State]

        init(title: String, states: [StateContents]) {
            host = title
            self.states = states.map(\.document)
        }
    }

    private var document: Document.State {
        .init(
            path: path, shard: shard, empty: isEmpty, version: header?.version, sequence: header?.sequence.number,
            shard_time: header?.time.number, history: header?.history.hex, digest: digest?.hex,
            stored_digest: header?.seal?.hex, verified: isVerified,
            entries: Dictionary(census.map { ($0.kind, $0.count) }) { first, _ in first },
            counts: census.isEmpty
                ? nil
                : .init(
                    open: open, undecided: undecided, locks_held: locks.held, locks_awaited: locks.awaited,
                    buckets_used: buckets.used, buckets: buckets.all, largest_bucket: buckets.largest),
            open_records: openRecords, account: account,
            file: figures.map {
                .init(
                    bytes: $0.fileBytes, page_size: $0.pageSize, pages: $0.pages, free_pages: $0.freePages,
                    keys: $0.entries, depth: $0.depth, commits: $0.transactions)
            },
            condemned: isCondemned, problem: problem?.text)
    }
}
