import CLMDB
import Glibc
import Synchronization

/// How a replica's database is opened. May differ from one opening to the next.
public struct LMDBOptions: Sendable {
    /// The most that the database can hold, in bytes.
    ///
    /// This is address space, reserved when the database is opened; the file only has the pages that were ever used. A
    /// file that takes more than half of it gets twice as much. The map is never grown later: LMDB may do that only
    /// while the process has no transaction open, and readers hold one all the time.
    public var mapSize: Int
    /// How many readers and snapshots can be open at once.
    public var maximumReaders: Int
    /// A file of at most so many bytes is checked wholly before LMDB maps it; of a larger one the leaves are left for
    /// later (`LMDBStoreWriter.checkFile`).
    public var checkedAtOpening: Int

    /// 64 GiB of address space, room for 256 readers, and files of up to 16 MiB checked wholly at once, in a few
    /// hundredths of a second.
    public init(mapSize: Int = 64 << 30, maximumReaders: Int = 256, checkedAtOpening: Int = 16 << 20) {
        (self.mapSize, self.maximumReaders, self.checkedAtOpening) = (mapSize, maximumReaders, checkedAtOpening)
    }
}

// Unchecked: LMDB's environment and database handles may be used by all threads at once; they are set once, before
// anybody else has them, and freed when nobody has them. Everything else is a constant or a Mutex.
/// One replica's database: a folder with LMDB's two files, a map of entries and, in databases of their own, the
/// metadata and what is staged.
///
/// It is synced with every commit, data and meta page both: never MDB_NOSYNC, never MDB_MAPASYNC (R7). Closed when the
/// last reader, writer and snapshot of it are gone.
public final class LMDBEnvironment: @unchecked Sendable {
    private struct Identity: Hashable {
        let device, inode: UInt64
    }

    /// What is known of the file.
    private enum FileState {
        /// It was opened, and nothing was written to it.
        case isOpen
        case isWhole
        case isDamaged(LMDBError)
    }

    private static let open = Mutex<Set<Identity>>([])

    /// The folder, as it was given.
    public let path: String
    let mapSize: Int
    /// How much of the file was read before LMDB mapped it.
    package let pagesReadAtOpening: Int
    private let mark: FaultMark
    let mapped: MappedFile
    let handle: OpaquePointer
    let entries: MDB_dbi
    let metadata: MDB_dbi
    let staged: MDB_dbi
    let failure = Mutex<LMDBError?>(nil)
    let syncs: SyncWitness
    private let state: Mutex<FileState>
    private let identity: Identity

    /// Opens the database in a folder; makes both if they do not exist. The folder's parent must exist. Whoever opens
    /// it sees to it that no other process has it open.
    ///
    /// LMDB sees the file only when all that leads to its entries was found sound (`LMDBFileCheck`), and when no
    /// process died by a fault in LMDB since the folder is there (`FaultMark`). Nothing is written to the file before
    /// the rest was checked too: by the opening if it has something to write, else by the first write or `checkFile`.
    /// - Throws: an error with `isDamage` for a file that LMDB must not see. It is left as it is.
    public init(path: String, options: LMDBOptions = LMDBOptions()) throws(LMDBError) {
        self.path = path
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .failed(operation: "creation", path: path, code: errno)
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw .failed(operation: "stat", path: path, code: errno) }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard Self.open.withLock({ $0.insert(identity).inserted }) else { throw .alreadyOpen(path: path) }
        let file = path + "/data.mdb"
        let opening: LMDBFileCheck.Opening
        do throws(LMDBError) {
            mark = try FaultMark(in: path)
            mapSize = Self.mapSize(atLeast: options.mapSize, for: file)
            let limit = mark.asksForALook ? .max : options.checkedAtOpening
            opening = try LMDBFileCheck.beforeMapping(file, mapSize: mapSize, wholeUpTo: limit)
            if mark.asksForALook { try mark.settle(path) }
            pagesReadAtOpening = opening.pagesRead
            state = Mutex(opening.isWhole ? .isWhole : .isOpen)
            try Self.prepareLock(path + "/lock.mdb", readers: options.maximumReaders)
            handle = try Self.openHandle(path, mapSize: mapSize, options)
        } catch {
            Self.release(identity)
            throw error
        }
        do throws(LMDBError) {
            let handle = handle
            let witness = try SyncWitness(file)
            syncs = witness
            (entries, metadata, staged) = try mark.guarding(nil) { () throws(LMDBError) in
                try Self.openDatabases(handle, path, witness, mayWrite: opening.isWhole)
            }
            mapped = try MappedFile(handle, path: path, mapSize: mapSize)
            // The files' names, and the folder's own.
            try Self.syncDirectory(path)
            try Self.syncDirectory(path + "/..")
        } catch {
            mdb_env_close(handle)
            Self.release(identity)
            throw error
        }
        self.identity = identity
    }

    /// Opens the database of a folder to be read and left as it is, by a process that sees to it that nobody writes to
    /// it: no lock file, no mark, no write. The whole file is checked first, so that no damage ends the process.
    /// - Throws: an error with `isDamage` for a file that LMDB must not see; `failed` with ENOENT if there is none, or
    ///   nothing was ever written to it.
    public init(reading path: String) throws(LMDBError) {
        self.path = path
        let file = path + "/data.mdb"
        var status = stat()
        guard stat(file, &status) == 0 else { throw .failed(operation: "stat", path: file, code: errno) }
        guard status.st_size > 0 else { throw .failed(operation: "opening", path: file, code: ENOENT) }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard Self.open.withLock({ $0.insert(identity).inserted }) else { throw .alreadyOpen(path: path) }
        do throws(LMDBError) {
            mark = FaultMark()
            mapSize = Self.mapSize(atLeast: LMDBOptions().mapSize, for: file)
            pagesReadAtOpening = try LMDBFileCheck.beforeMapping(file, mapSize: mapSize, wholeUpTo: .max).pagesRead
            state = Mutex(.isWhole)
            handle = try Self.openHandle(
                path, mapSize: mapSize, LMDBOptions(), flags: UInt32(MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK))
        } catch {
            Self.release(identity)
            throw error
        }
        do throws(LMDBError) {
            syncs = try SyncWitness(file, reading: true)
            (entries, metadata, staged) = try Self.lookUpDatabases(handle, path)
            mapped = try MappedFile(handle, path: path, mapSize: mapSize)
        } catch {
            mdb_env_close(handle)
            Self.release(identity)
            throw error
        }
        self.identity = identity
    }

    deinit {
        mdb_env_close(handle)
        Self.release(identity)
    }

    /// Whether a process died by a fault while it read or wrote the database of a folder, or found that it is not what
    /// was written: the next opening refuses it. Changes nothing.
    public static func isCondemned(_ path: String) -> Bool { FaultMark.refuses(path) }

    /// Bytes of the database that are in use, free pages included.
    public var usedBytes: Int {
        var info = MDB_envinfo()
        var status = MDB_stat()
        guard mdb_env_info(handle, &info) == 0, mdb_env_stat(handle, &status) == 0 else { return 0 }
        return (info.me_last_pgno + 1) * Int(status.ms_psize)
    }

    /// Has the next opening refuse the database as damaged: what was read of it is not what was written.
    /// - Throws: `.failed`
    public func condemn() throws(LMDBError) { try mark.condemn(path) }

    /// See `LMDBStoreWriter.checkFile`. LMDB has mapped the file, but it is as it was found: every write is behind this.
    func checkFile() throws(LMDBError) {
        try state.withLock { (state) throws(LMDBError) in
            switch state {
            case .isWhole: return
            case .isDamaged(let error): throw error
            case .isOpen: break
            }
            do throws(LMDBError) {
                try LMDBFileCheck.everything(mapped.descriptor, path + "/data.mdb", mapSize: mapSize)
                state = .isWhole
            } catch {
                // What the system refuses says nothing of the file. Storage that cannot be read now may fail all hosts
                // on it at once, so whether it is damage is for the next opening to find out.
                if error.isDamage { state = .isDamaged(error) }
                if case .failed(_, _, EIO) = error { try? mark.askForALook(path) }
                throw error
            }
        }
    }

    /// Runs what reads or writes mapped pages. Not within itself.
    func guarding<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R { try mark.guarding(mapped, body) }

    func check(_ code: Int32, _ operation: String) throws(LMDBError) {
        guard code != 0 else { return }
        if code == MDB_MAP_FULL { throw .mapFull(path: path, limit: mapSize) }
        throw .failed(operation: operation, path: path, code: Self.reason(of: code, in: path))
    }

    private static func release(_ identity: Identity) { _ = open.withLock { $0.remove(identity) } }

    /// A map that was filled up is twice as large at the next opening.
    private static func mapSize(atLeast least: Int, for file: String) -> Int {
        var status = stat()
        guard stat(file, &status) == 0 else { return least }
        var size = least
        // A file that is larger than its map ever was is none of ours; its check says so.
        while size / 2 < Int(status.st_size), size < least << 10 { size *= 2 }
        return size
    }

    /// LMDB's lock file is memory that those share who have the database open; the first of them writes it anew, but
    /// takes its length as it is, and a page of it for which the disk has no room is a SIGBUS.
    private static func prepareLock(_ file: String, readers: Int) throws(LMDBError) {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        let size = off_t(192 + (readers - 1) * 64)
        let descriptor = Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .failed(operation: "opening", path: file, code: errno) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, size) == 0 else { throw .failed(operation: "cutting", path: file, code: errno) }
        let code = posix_fallocate(descriptor, 0, size)
        guard code == 0 else { throw .failed(operation: "allocating", path: file, code: code) }
    }

    /// - Parameter flags: read transactions belong to their objects, not to threads.
    private static func openHandle(
        _ path: String, mapSize: Int, _ options: LMDBOptions, flags: UInt32 = UInt32(MDB_NOTLS)
    ) throws(LMDBError) -> OpaquePointer {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        var created: OpaquePointer?
        let code = mdb_env_create(&created)
        guard code == 0, let handle = created else {
            throw .failed(operation: "creation of an environment", path: path, code: code)
        }
        for (operation, call) in [
            ("setting the map size", { mdb_env_set_mapsize(handle, mapSize) }),
            ("setting the readers", { mdb_env_set_maxreaders(handle, UInt32(options.maximumReaders)) }),
            ("setting the databases", { mdb_env_set_maxdbs(handle, 3) }),
            ("opening", { mdb_env_open(handle, path, flags, 0o600) }),
            // Slots of readers that died with their process.
            ("checking readers", { mdb_reader_check(handle, nil) }),
        ] as [(String, () -> Int32)] {
            let code = call()
            guard code == 0 else {
                mdb_env_close(handle)
                throw .failed(operation: operation, path: path, code: code)
            }
        }
        return handle
    }

    /// LMDB says EIO when the system took less than it was to write, as a full disk, a quota and a limit have it do. So
    /// where EIO was said, another file is asked for room behind the end of the database.
    static func reason(of code: Int32, in path: String) -> Int32 {
        guard code == EIO else { return code }
        var status = stat()
        guard stat(path + "/data.mdb", &status) == 0 else { return code }
        let probe = path + "/room"
        let descriptor = Glibc.open(probe, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return lacksRoom(errno) ? errno : code }
        let found = posix_fallocate(descriptor, status.st_size, 1 << 20)
        close(descriptor)
        unlink(probe)
        return lacksRoom(found) ? found : code
    }

    private static func lacksRoom(_ code: Int32) -> Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }

    /// - Parameter mayWrite: otherwise there is nothing to write.
    private static func openDatabases(
        _ handle: OpaquePointer, _ path: String, _ syncs: SyncWitness, mayWrite: Bool
    ) throws(LMDBError) -> (entries: MDB_dbi, metadata: MDB_dbi, staged: MDB_dbi) {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        var transaction: OpaquePointer?
        var (entries, metadata, staged): (MDB_dbi, MDB_dbi, MDB_dbi) = (0, 0, 0)
        let flags = UInt32(mayWrite ? MDB_CREATE : 0)
        var code = mdb_env_sync(handle, 1)
        guard code == 0 else { throw .syncFailed(operation: "syncing", path: path, code: code) }
        code = mdb_txn_begin(handle, nil, UInt32(mayWrite ? 0 : MDB_RDONLY), &transaction)
        guard code == 0 else { throw .failed(operation: "beginning a transaction", path: path, code: code) }
        code = mdb_dbi_open(transaction, "entries", flags, &entries)
        if code == 0 { code = mdb_dbi_open(transaction, "metadata", flags, &metadata) }
        if code == 0 { code = mdb_dbi_open(transaction, "staged", flags, &staged) }
        // Whoever staged it is gone. Emptying an empty one would be a write.
        var status = MDB_stat()
        if code == 0 { code = mdb_stat(transaction, staged, &status) }
        if code == 0, status.ms_entries > 0 { code = mdb_drop(transaction, staged, 0) }
        guard code == 0 else {
            mdb_txn_abort(transaction)
            throw .failed(operation: "opening databases", path: path, code: code)
        }
        code = mdb_txn_commit(transaction)
        if code != 0, syncs.hasFailed { throw .syncFailed(operation: "creating databases", path: path, code: code) }
        guard code == 0 else {
            throw .failed(operation: "creating databases", path: path, code: reason(of: code, in: path))
        }
        return (entries, metadata, staged)
    }

    /// - Returns: `staged` is 0 in a file that has no staging area.
    private static func lookUpDatabases(
        _ handle: OpaquePointer, _ path: String
    ) throws(LMDBError) -> (entries: MDB_dbi, metadata: MDB_dbi, staged: MDB_dbi) {
        var transaction: OpaquePointer?
        var (entries, metadata, staged): (MDB_dbi, MDB_dbi, MDB_dbi) = (0, 0, 0)
        var code = mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction)
        guard code == 0 else { throw .failed(operation: "beginning a transaction", path: path, code: code) }
        code = mdb_dbi_open(transaction, "entries", 0, &entries)
        if code == 0 { code = mdb_dbi_open(transaction, "metadata", 0, &metadata) }
        if code == 0 {
            let found = mdb_dbi_open(transaction, "staged", 0, &staged)
            if found != MDB_NOTFOUND { code = found }
        }
        // Handles are kept by a transaction that is committed.
        if code == 0 { code = mdb_txn_commit(transaction) } else { mdb_txn_abort(transaction) }
        guard code == 0 else { throw .failed(operation: "opening databases", path: path, code: code) }
        return (entries, metadata, staged)
    }

    private static func syncDirectory(_ path: String) throws(LMDBError) {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .failed(operation: "opening the folder", path: path, code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw .syncFailed(operation: "syncing the folder", path: path, code: errno)
        }
    }
}

/// Tells whether a commit that failed had failed to write or to sync, which LMDB says with the same codes.
///
/// Linux says of a file that could not be written back to everybody who has it open, to each once: at his next sync,
/// whoever else has heard of it. So a descriptor of its own, which never syncs otherwise, hears of each failure since
/// it was opened.
final class SyncWitness: Sendable {
    private let descriptor: Int32

    /// - Parameter reading: of a file that nothing is written to.
    init(_ file: String, reading: Bool = false) throws(LMDBError) {
        descriptor = open(file, (reading ? O_RDONLY : O_RDWR) | O_CLOEXEC)
        guard descriptor >= 0 else { throw .failed(operation: "opening", path: file, code: errno) }
    }

    /// Asked once, when a commit has failed: the environment is poisoned then.
    var hasFailed: Bool { fdatasync(descriptor) != 0 }

    deinit { close(descriptor) }
}
