import CFaultMark
import Glibc

/// The file `opened` beside a database: whether a process has died by a fault while LMDB read or wrote it.
///
/// It says `open` from the first opening on, whether the database is open or not, and a signal handler turns that into
/// `died`, or into `look` if a page could not be read: then the next opening reads all of them. So a kill, a power cut and a fault elsewhere in the process leave it as it is. What only touches LMDB's lock
/// file is not guarded: that it cannot be written says nothing about the database.
struct FaultMark: ~Copyable {
    static let name = "opened"
    private static let open = Array(FAULT_MARK_OPEN.utf8)
    private static let died = Array(FAULT_MARK_DIED.utf8)
    private static let look = Array(FAULT_MARK_LOOK.utf8)

    private let descriptor: Int32
    /// A page could not be read. Until `settle` this is said of each opening.
    private(set) var asksForALook = false

    /// Makes the file where it is missing. Its name is durable when its folder is synced.
    /// - Throws: `.diedReading` if the last process that had the database open died so.
    init(in folder: String) throws(LMDBError) {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        let path = folder + "/" + Self.name
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .failed(operation: "opening", path: path, code: errno) }
        // One more than there should be.
        var bytes = [UInt8](repeating: 0, count: Self.open.count + 1)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count >= 0 else { throw .failed(operation: "reading", path: path, code: errno) }
        let found = bytes.prefix(count)
        asksForALook = found.elementsEqual(Self.look)
        if found.elementsEqual(Self.died) { throw .diedReading(path: folder) }
        guard !asksForALook, !found.elementsEqual(Self.open) else { return }
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, Self.open, Self.open.count, 0) == Self.open.count else {
            throw .failed(operation: "writing", path: path, code: errno)
        }
        guard fsync(descriptor) == 0 else { throw .failed(operation: "syncing", path: path, code: errno) }
    }

    /// Whether the next opening of the database refuses it for its mark. Changes nothing.
    static func refuses(_ folder: String) -> Bool {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        let descriptor = Glibc.open(folder + "/" + Self.name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.open.count + 1)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return count > 0 && bytes.prefix(count).elementsEqual(Self.died)
    }

    /// None: what is only looked at is not marked.
    init() { descriptor = -1 }

    /// Has the next opening refuse the database, as if the process had died reading it.
    /// - Throws: `.failed`
    func condemn(_ path: String) throws(LMDBError) { try write(Self.died, "marking as damaged", path) }

    /// Has the next opening read every page before LMDB does.
    /// - Throws: `.failed`
    func askForALook(_ path: String) throws(LMDBError) { try write(Self.look, "marking as unread", path) }

    /// Every page could be read.
    /// - Throws: `.failed`
    func settle(_ path: String) throws(LMDBError) { try write(Self.open, "marking as read", path) }

    private func write(_ word: [UInt8], _ operation: String, _ path: String) throws(LMDBError) {
        let before = HeldSignals.hold()
        defer { HeldSignals.release(before) }
        guard pwrite(descriptor, word, word.count, 0) == word.count, fsync(descriptor) == 0 else {
            throw .failed(operation: operation, path: path, code: errno)
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
