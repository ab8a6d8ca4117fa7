import CLMDB
import Glibc

/// Where LMDB has mapped the data file.
struct MappedFile {
    /// Of a page's header, before what it holds.
    private static let header = 16
    private static let isOverflow: UInt16 = 4

    /// LMDB's own, of the data file.
    let descriptor: Int32
    /// The address of the file's first byte.
    let start: UInt
    /// Of the map, which is longer than the file; 0 if it is not known where it begins.
    let length: Int
    private let pageSize: Int

    /// LMDB does not tell. But of a page that it has given, the address and the number are known.
    /// - Parameter handle: with the databases made.
    /// - Throws: `.failed`
    init(_ handle: OpaquePointer, path: String, mapSize: Int) throws(LMDBError) {
        var (found, status) = (mdb_filehandle_t(-1), MDB_stat())
        var (transaction, cursor): (OpaquePointer?, OpaquePointer?)
        var (main, key, value) = (MDB_dbi(0), MDB_val(), MDB_val())
        var code = mdb_env_get_fd(handle, &found)
        if code == 0 { code = mdb_env_stat(handle, &status) }
        if code == 0 { code = mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction) }
        if code == 0 { code = mdb_dbi_open(transaction, nil, 0, &main) }
        if code == 0 { code = mdb_cursor_open(transaction, main, &cursor) }
        if code == 0 { code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST) }
        defer {
            mdb_cursor_close(cursor)
            mdb_txn_abort(transaction)
        }
        guard code == 0, let known = key.mv_data else {
            throw .failed(operation: "finding the map", path: path, code: code)
        }
        (descriptor, pageSize) = (found, Int(status.ms_psize))
        // A map begins with a page of memory, so smaller pages of the file lie in it as they do in the file. The file
        // of a machine with larger ones is read all the same.
        guard pageSize <= sysconf(Int32(_SC_PAGESIZE)) else {
            (start, length) = (0, 0)
            return
        }
        let page = UnsafeRawPointer(known) - (Int(bitPattern: known) & (pageSize - 1))
        let number = page.load(as: Int.self)
        (start, length) = (UInt(bitPattern: page - number * pageSize), mapSize)
    }

    /// Whether a value is as long as its pages allow. A length that has rotted would have whoever copies the value copy
    /// the rest of the file.
    func holds(_ value: MDB_val) -> Bool {
        guard length > 0, let bytes = value.mv_data else { return true }
        let place = Int(bitPattern: bytes) & (pageSize - 1)
        if value.mv_size <= pageSize - place { return true }
        // It has pages of its own, then: the first one says how many.
        guard place == Self.header else { return false }
        let page = UnsafeRawBufferPointer(start: bytes - Self.header, count: Self.header)
        let (flags, pages): (UInt16, UInt32) = (page.number(10), page.number(12))
        return flags == Self.isOverflow && value.mv_size <= Int(pages) * pageSize - Self.header
    }
}
