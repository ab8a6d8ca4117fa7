import Glibc
import Synchronization

/// A folder on a disk. It is locked against a second user, in this process or another, while this object lives.
///
/// Descriptors of files are kept open: fdatasync on a descriptor covers what was written through it. A failed write or
/// sync is reported, never repeated: after one, the kernel may have dropped the pages and call them clean. One that a
/// signal interrupted (EINTR) has not failed: the kernel says of a page that could not be written before it says that.
public final class PosixJournalStorage: JournalStorage, Sendable {
    private struct Descriptors {
        var directory: Int32?
        var files: [String: Int32] = [:]
    }

    /// The folder, as it was given.
    public let path: String
    private let isReadOnly: Bool
    private let descriptors = Mutex(Descriptors())

    /// Touches nothing yet. The folder is made with the first file; its parent must exist.
    public init(directory: String) { (path, isReadOnly) = (directory, false) }

    /// To be read and left as it is: whatever would change the folder, or wait for the disk, fails with EROFS.
    public init(reading directory: String) { (path, isReadOnly) = (directory, true) }

    deinit {
        descriptors.withLock { held in
            for descriptor in held.files.values { _ = close(descriptor) }
            if let directory = held.directory { _ = close(directory) }
        }
    }

    /// Opens and locks the folder, if there is one.
    /// - Throws: `storage(.lock, …)` if somebody else uses it.
    public func names() throws(JournalError) -> [String] {
        try withDescriptors { (held) throws(JournalError) in
            guard SystemCalls.exists(path) else { return [] }
            _ = try directory(&held)
            guard let stream = opendir(path) else { throw failure(.list) }
            defer { closedir(stream) }
            var names: [String] = []
            errno = 0
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != "." && name != ".." { names.append(name) }
                errno = 0
            }
            guard errno == 0 else { throw failure(.list) }
            return names
        }
    }

    /// Asks the kernel to drop its clean pages first, so that what comes is what the disk has. At most one byte more
    /// than the longest segment.
    public func read(_ name: String) throws(JournalError) -> [UInt8] {
        try withDescriptors { (held) throws(JournalError) in
            let descriptor = try file(name, &held)
            // Drops clean pages, so that what is read comes from the disk. It is advice: a kernel that ignores it is no
            // worse than one that was not asked.
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw failure(.read, name) }
            // A file may be said to have any length without having a byte.
            var bytes = [UInt8](repeating: 0, count: min(Int(status.st_size), JournalOptions.maximumSegmentSize + 1))
            var done = 0
            var failed: Int32 = 0
            bytes.withUnsafeMutableBytes { buffer in
                while done < buffer.count {
                    let count = pread(
                        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(done))
                    if count < 0 && errno == EINTR { continue }
                    if count < 0 { failed = errno }
                    if count <= 0 { return }
                    done += count
                }
            }
            guard failed == 0 else { throw .storage(.read, path: full(name), errno: failed) }
            bytes.removeLast(bytes.count - done)
            return bytes
        }
    }

    /// As the file system says it, whether or not the blocks are there.
    public func size(of name: String) throws(JournalError) -> Int {
        var status = stat()
        guard stat(full(name), &status) == 0 else { throw failure(.read, name) }
        return Int(status.st_size)
    }

    /// Allocated with `posix_fallocate`. Makes the folder too, durably, if it is not there.
    /// - Throws: also if there is such a file.
    public func create(_ name: String, size: Int) throws(JournalError) {
        try expectWritable(.create, name)
        try withDescriptors { (held) throws(JournalError) in
            if !SystemCalls.exists(path) { try createDirectory() }
            _ = try directory(&held)
            let path = full(name)
            let descriptor = SystemCalls.uninterrupted { open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
            guard descriptor >= 0 else { throw failure(.create, name) }
            held.files[name] = descriptor
            let code = SystemCalls.uninterruptedCode { posix_fallocate(descriptor, 0, off_t(size)) }
            guard code == 0 else { throw .storage(.create, path: full(name), errno: code) }
        }
    }

    /// Closes the file. It is opened again with its next use.
    public func release(_ name: String) {
        let descriptor = descriptors.withLock { $0.files.removeValue(forKey: name) }
        if let descriptor { _ = close(descriptor) }
    }

    /// In as many calls as it takes; an error may leave a part of it written.
    public func write(_ bytes: [UInt8], to name: String, at offset: Int) throws(JournalError) {
        try expectWritable(.write, name)
        try withDescriptors { (held) throws(JournalError) in
            let descriptor = try file(name, &held)
            let failed: Int32 = bytes.withUnsafeBytes { buffer in
                var done = 0
                while done < buffer.count {
                    let count = pwrite(
                        descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
                    if count < 0 && errno == EINTR { continue }
                    if count <= 0 { return count < 0 ? errno : EIO }
                    done += count
                }
                return 0
            }
            guard failed == 0 else { throw .storage(.write, path: full(name), errno: failed) }
        }
    }

    /// fdatasync, once: a failure is not to be repeated, because the kernel may have dropped the pages.
    public func sync(_ name: String) throws(JournalError) {
        try expectWritable(.sync, name)
        try withDescriptors { (held) throws(JournalError) in
            let descriptor = try file(name, &held)
            guard SystemCalls.uninterrupted({ fdatasync(descriptor) }) == 0 else { throw failure(.sync, name) }
        }
    }

    /// Closes the file, then unlinks it.
    public func remove(_ name: String) throws(JournalError) {
        try expectWritable(.remove, name)
        try withDescriptors { (held) throws(JournalError) in
            if let descriptor = held.files.removeValue(forKey: name) { _ = close(descriptor) }
            guard unlink(full(name)) == 0 else { throw failure(.remove, name) }
        }
    }

    /// The open descriptor goes with the name.
    public func rename(_ old: String, to new: String) throws(JournalError) {
        try expectWritable(.rename, old)
        try withDescriptors { (held) throws(JournalError) in
            guard SystemCalls.rename(full(old), full(new)) == 0 else { throw failure(.rename, old) }
            held.files[new] = held.files.removeValue(forKey: old)
        }
    }

    /// fsync of the folder.
    public func syncDirectory() throws(JournalError) {
        try expectWritable(.syncDirectory)
        try withDescriptors { (held) throws(JournalError) in
            let descriptor = try directory(&held)
            guard SystemCalls.uninterrupted({ fsync(descriptor) }) == 0 else { throw failure(.syncDirectory) }
        }
    }

    // MARK: - Parts

    private func withDescriptors<R>(
        _ body: (inout Descriptors) throws(JournalError) -> R
    ) throws(JournalError) -> R where R: Sendable {
        // `withLock` forwards no typed error through `sending`, so the result crosses as a value.
        let result: Result<R, JournalError> = descriptors.withLock { held in
            do throws(JournalError) { return .success(try body(&held)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// The system alone would refuse no more than a write: a sync and a rename need no descriptor that may write.
    private func expectWritable(_ operation: JournalOperation, _ name: String? = nil) throws(JournalError) {
        guard isReadOnly else { return }
        throw .storage(operation, path: name.map(full) ?? path, errno: EROFS)
    }

    private func full(_ name: String) -> String { path + "/" + name }

    private func failure(_ operation: JournalOperation, _ name: String? = nil) -> JournalError {
        let code = errno
        return .storage(operation, path: name.map(full) ?? path, errno: code)
    }

    private func createDirectory() throws(JournalError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure(.createDirectory) }
        let parent = SystemCalls.uninterrupted { open(path + "/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard parent >= 0 else { throw failure(.createDirectory) }
        defer { close(parent) }
        guard SystemCalls.uninterrupted({ fsync(parent) }) == 0 else { throw failure(.createDirectory) }
    }

    /// Opened and locked with the first use.
    private func directory(_ held: inout Descriptors) throws(JournalError) -> Int32 {
        if let descriptor = held.directory { return descriptor }
        let descriptor = SystemCalls.uninterrupted { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw failure(.open) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error = failure(.lock)
            close(descriptor)
            throw error
        }
        held.directory = descriptor
        return descriptor
    }

    private func file(_ name: String, _ held: inout Descriptors) throws(JournalError) -> Int32 {
        if let descriptor = held.files[name] { return descriptor }
        let descriptor = SystemCalls.uninterrupted { open(full(name), (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC) }
        guard descriptor >= 0 else { throw failure(.open, name) }
        held.files[name] = descriptor
        return descriptor
    }
}

/// The system's calls, for files.
package enum SystemCalls {
    /// Tries again what a signal interrupted: handlers run on any thread, and not all calls begin again by themselves.
    /// Not for `close`, which has closed by then.
    package static func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
        var result = call()
        while result < 0 && errno == EINTR { result = call() }
        return result
    }

    /// The same for a call that returns what others leave in `errno`.
    package static func uninterruptedCode(_ call: () -> Int32) -> Int32 {
        var code = call()
        while code == EINTR { code = call() }
        return code
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    static func rename(_ old: String, _ new: String) -> Int32 { Glibc.rename(old, new) }
    static func message(_ code: Int32) -> String { "\(String(cString: strerror(code))) (\(code))" }
    static let ioError = EIO
    static let noSpace = ENOSPC
    static let noEntry = ENOENT
    static let exists = EEXIST
}
