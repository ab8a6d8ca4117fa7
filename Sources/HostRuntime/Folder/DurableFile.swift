import Glibc
import Synchronization
import WriteAheadLog

/// A file operation that the system refused: which, on what, and why.
public struct FileFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A verb to put between "cannot" and the path: `create`, `sync`, `set the mode of`.
    public let operation: String
    /// The file or folder that it was about.
    public let path: String
    /// `errno` as the system left it, or `EFBIG` for a file longer than it may be, `EEXIST` for a name that is taken.
    public let code: Int32

    init(_ operation: String, _ path: String, _ code: Int32 = errno) {
        (self.operation, self.path, self.code) = (operation, path, code)
    }
    /// What was not possible, and the system's reason in its words. What to do is `StorageFailure`'s to say.
    public var description: String { "cannot \(operation) \(path): \(String(cString: strerror(code)))" }
}

/// The few file operations that need modes and syncs, which higher libraries hide.
enum DurableFile {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether there is nothing of that name. What cannot be looked at is there, and so is a link that leads nowhere: for
    /// who would go on without the file, which is not what its owner meant.
    static func isAbsent(_ path: String) -> Bool {
        var information = stat()
        return lstat(path, &information) != 0 && errno == ENOENT
    }

    /// Creates the file, which must not exist, and returns when its bytes are on disk.
    static func create(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(FileFailure) {
        let descriptor = SystemCalls.uninterrupted { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) }
        guard descriptor >= 0 else { throw FileFailure("create", path) }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            if written < 0 {
                if errno == EINTR { continue }
                throw FileFailure("write", path)
            }
            offset += written
        }
        // The umask must not have widened or narrowed what the caller asked for.
        guard fchmod(descriptor, mode) == 0 else { throw FileFailure("set the mode of", path) }
        guard SystemCalls.uninterrupted({ fsync(descriptor) }) == 0 else { throw FileFailure("sync", path) }
    }

    /// - Parameter limit: a longer file is refused.
    static func read(_ path: String, limit: Int = 1 << 24) throws(FileFailure) -> [UInt8] {
        let descriptor = SystemCalls.uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileFailure("open", path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileFailure("read", path)
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= limit else { throw FileFailure("read", path, EFBIG) }
        }
    }

    /// The permission bits.
    static func mode(of path: String) throws(FileFailure) -> mode_t {
        var information = stat()
        guard stat(path, &information) == 0 else { throw FileFailure("inspect", path) }
        return information.st_mode & 0o7777
    }

    static func createFolder(_ path: String, mode: mode_t = 0o755) throws(FileFailure) {
        guard mkdir(path, mode) == 0 else { throw FileFailure("create", path) }
    }

    /// Makes creations and renames in a folder durable.
    static func syncFolder(_ path: String) throws(FileFailure) {
        let descriptor = SystemCalls.uninterrupted { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileFailure("open", path) }
        defer { close(descriptor) }
        guard SystemCalls.uninterrupted({ fsync(descriptor) }) == 0 else { throw FileFailure("sync", path) }
    }

    static func remove(_ path: String) throws(FileFailure) {
        guard unlink(path) == 0 || errno == ENOENT else { throw FileFailure("remove", path) }
    }

    static func rename(_ old: String, _ new: String) throws(FileFailure) {
        // renameat2 with RENAME_NOREPLACE is not exported by every libc; an empty target folder would be replaced.
        guard !exists(new) else { throw FileFailure("rename to", new, EEXIST) }
        guard Glibc.rename(old, new) == 0 else { throw FileFailure("rename", old) }
    }

    /// Puts a file into another one's place, or where none is; there is no moment without one.
    static func replace(_ new: String, by old: String) throws(FileFailure) {
        guard Glibc.rename(old, new) == 0 else { throw FileFailure("rename", old) }
    }

    /// Whether a folder holds nothing, or is not there. One that cannot be listed may hold anything.
    static func isEmpty(_ path: String) -> Bool {
        guard let folder = opendir(path) else { return errno == ENOENT }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Itself, and the one above.
        return count <= 2
    }

    /// Removes a folder and everything in it; used for what this process has just made. Errors are ignored.
    static func removeTree(_ path: String) {
        if let folder = opendir(path) {
            var names: [String] = []
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name != ".", name != ".." { names.append(name) }
            }
            closedir(folder)
            for name in names { removeTree(path + "/" + name) }
            rmdir(path)
        } else {
            unlink(path)
        }
    }
}

/// An exclusive lock on a file, held until `release` or the end of the process.
package final class FolderLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// The lock of a file that is not made, nor changed: of one that is not there it is a lock of nothing.
    /// - Returns: nil if another process holds it.
    init?(existing path: String) throws(FileFailure) {
        let opened = SystemCalls.uninterrupted { open(path, O_RDONLY | O_CLOEXEC) }
        guard opened >= 0 else {
            guard errno == ENOENT else { throw FileFailure("open", path) }
            descriptor = Mutex(nil)
            return
        }
        guard try Self.lock(opened, path) else { return nil }
        descriptor = Mutex(opened)
    }

    /// Nil if another process holds it.
    init?(_ path: String) throws(FileFailure) {
        let opened = SystemCalls.uninterrupted { open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644) }
        guard opened >= 0 else { throw FileFailure("open", path) }
        guard try Self.lock(opened, path) else { return nil }
        descriptor = Mutex(opened)
    }

    /// - Returns: false, with the descriptor closed, if another process holds it.
    private static func lock(_ opened: Int32, _ path: String) throws(FileFailure) -> Bool {
        guard flock(opened, LOCK_EX | LOCK_NB) != 0 else { return true }
        let code = errno
        close(opened)
        if code == EWOULDBLOCK { return false }
        throw FileFailure("lock", path, code)
    }

    package func release() {
        let held = descriptor.withLock { held in
            defer { held = nil }
            return held
        }
        if let held { close(held) }
    }

    deinit { release() }
}
