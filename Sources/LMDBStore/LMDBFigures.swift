import CLMDB
import Glibc

/// How large a database is, for people.
public struct LMDBFigures: Hashable, Sendable {
    /// Of the data file.
    public let fileBytes: Int
    /// In bytes.
    public let pageSize: Int
    /// In the file: of trees, and free.
    public let pages: Int
    /// What no tree uses; written over before the file grows.
    public let freePages: Int
    /// Of the state, nodes of its tree included.
    public let entries: Int
    /// Of the entries' tree, in pages from the root to a leaf.
    public let depth: Int
    /// Commits over the database's life.
    public let transactions: UInt64
}

extension LMDBEnvironment {
    /// - Throws: `.failed`
    public func figures() throws(LMDBError) -> LMDBFigures {
        var (info, status, file) = (MDB_envinfo(), MDB_stat(), stat())
        guard stat(path + "/data.mdb", &file) == 0 else {
            throw .failed(operation: "stat", path: path, code: errno)
        }
        var transaction: OpaquePointer?
        try check(mdb_env_info(handle, &info), "asking for figures")
        try check(mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction), "beginning a read transaction")
        defer { mdb_txn_abort(transaction) }
        try check(mdb_stat(transaction, entries, &status), "asking for figures")
        return LMDBFigures(
            fileBytes: Int(file.st_size), pageSize: Int(status.ms_psize), pages: info.me_last_pgno + 1,
            freePages: try freePages(transaction), entries: status.ms_entries, depth: Int(status.ms_depth),
            transactions: UInt64(info.me_last_txnid))
    }

    /// The lists of free pages are entries of database 0, each beginning with how many it has.
    private func freePages(_ transaction: OpaquePointer?) throws(LMDBError) -> Int {
        var cursor: OpaquePointer?
        try check(mdb_cursor_open(transaction, 0, &cursor), "reading the free pages")
        defer { mdb_cursor_close(cursor) }
        var (key, value, count) = (MDB_val(), MDB_val(), 0)
        var code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
        while code == 0 {
            if mapped.holds(value), value.mv_size >= 8 { count += Int(clamping: value.bytes.number(0) as UInt64) }
            code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
        }
        if code != MDB_NOTFOUND { try check(code, "reading the free pages") }
        return count
    }
}
