import CLMDB
import Messages

/// Why a state's database cannot be opened, read or written. None of these is ever a transaction's result, and a failed
/// write is not retried: the host stops voting (R7).
public enum LMDBError: Error, Equatable, Sendable {
    /// LMDB, or the operating system under it, refused. `code` is LMDB's.
    case failed(operation: String, path: String, code: Int32)
    /// A sync failed, by itself or in a commit: what was written may be lost, though it can be read (R7). `code` is the
    /// system's.
    case syncFailed(operation: String, path: String, code: Int32)
    /// The file is not what LMDB wrote: in `page`, which is the first thing that LMDB would have stumbled over.
    case damaged(path: String, page: UInt64, what: String)
    /// A process died by a fault in LMDB while it had the database open.
    case diedReading(path: String)
    /// This process has this environment open already. LMDB does not notice, and its locks would fail.
    case alreadyOpen(path: String)
    /// The database needs more than `limit` bytes: open it with a larger `mapSize`. Nothing of the write was applied.
    case mapFull(path: String, limit: Int)
    /// Keys have 1 to 511 bytes.
    case keyLength(Int)
    /// A commit failed earlier: what is on the disk is unknown from there on.
    indirect case poisoned(by: LMDBError)
}

extension LMDBError: StoreFailure {
    /// The file is not what LMDB wrote: another try does not help.
    public var isDamage: Bool {
        switch self {
        case .damaged, .diedReading: true
        case .failed(_, _, let code):
            // Not what another LMDB says of a sound file: after an upgrade all hosts would put theirs aside at once.
            [MDB_INVALID, MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PANIC, MDB_CURSOR_FULL].contains(code)
        case .poisoned(let cause): cause.isDamage
        case .syncFailed, .alreadyOpen, .mapFull, .keyLength: false
        }
    }

    /// What was written may be lost, though it can be read: another try would believe it (R7).
    public var isOfSync: Bool {
        switch self {
        case .syncFailed: true
        case .poisoned(let cause): cause.isOfSync
        case .failed, .damaged, .diedReading, .alreadyOpen, .mapFull, .keyLength: false
        }
    }
}

extension LMDBError: CustomStringConvertible {
    /// In one line: what failed, where, and why, in LMDB's or the system's words.
    public var description: String {
        switch self {
        case .failed(let operation, let path, let code), .syncFailed(let operation, let path, let code):
            "lmdb: \(operation) of \(path) failed: \(String(cString: mdb_strerror(code))) (\(code))"
        case .damaged(let path, let page, let what): "lmdb: page \(page) of \(path) is damaged: \(what)"
        case .diedReading(let path):
            "lmdb: a process died by a fault while it read or wrote \(path), or found that it is not what was written"
        case .alreadyOpen(let path): "lmdb: \(path) is already open in this process"
        case .mapFull(let path, let limit): "lmdb: \(path) is full: its map size of \(limit) bytes is used up"
        case .keyLength(let count): "lmdb: a key of \(count) bytes; keys have 1 to 511"
        case .poisoned(let cause): "lmdb: stopped by an earlier failure: \(cause)"
        }
    }
}
