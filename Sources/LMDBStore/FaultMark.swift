import CFaultMark
import Glibc

/// The file `opened` beside a database: whether a process has died by a fault while LMDB read or wrote it.
///
/// It says `open` from the first opening on, whether the database is open or not, and a signal handler turns that into
/// `died`. So a kill, a power cut and a fault elsewhere in the process leave it as it is. What only touches LMDB's lock
/// file is not guarded: that it cannot be written says nothing about the database.
struct FaultMark: ~Copyable {
    static let name = "opened"
    private static let open = Array(FAULT_MARK_OPEN.utf8)
    private static let died = Array(FAULT_MARK_DIED.utf8)

    private let descriptor: Int32

    /// Makes the file where it is missing. Its name is durable when its folder is synced.
    /// - Throws: `.diedReading` if the last process that had the database open died so.
    init(in folder: String) throws(LMDBError) {
        let path = folder + "/" + Self.name
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .failed(operation: "opening", path: path, code: errno) }
        // One more than there should be.
        var bytes = [UInt8](repeating: 0, count: Self.open.count + 1)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw .failed(operation: "reading", path: path, code: errno) }
        let found = bytes.prefix(count)
        if found.elementsEqual(Self.died) { throw .diedReading(path: folder) }
        guard !found.elementsEqual(Self.open) else { return }
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, Self.open, Self.open.count, 0) == Self.open.count else {
            throw .failed(operation: "writing", path: path, code: errno)
        }
        guard fsync(descriptor) == 0 else { throw .failed(operation: "syncing", path: path, code: errno) }
    }

    /// Has the next opening refuse the database, as if the process had died reading it.
    /// - Throws: `.failed`
    func condemn(_ path: String) throws(LMDBError) {
        guard pwrite(descriptor, Self.died, Self.died.count, 0) == Self.died.count, fsync(descriptor) == 0 else {
            throw .failed(operation: "marking as damaged", path: path, code: errno)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Runs what reads or writes mapped pages. Not within itself.
    /// - Parameter file: what is mapped, if that is known: without it a SIGBUS is not marked.
    func guarding<R, E: Error>(_ file: MappedFile?, _ body: () throws(E) -> R) throws(E) -> R {
        faultMarkInstall()
        faultMarkEnter(descriptor, file?.start ?? 0, file?.length ?? 0, file?.descriptor ?? -1)
        defer { faultMarkLeave() }
        return try body()
    }
}
