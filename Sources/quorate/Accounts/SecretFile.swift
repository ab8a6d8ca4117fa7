import Foundation

/// Files of keys, of signed requests and of receipts: written beside their place, synced, and put there whole.
enum SecretFile {
    /// Replaces the file, or makes it.
    static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws {
        let temporary = try write(bytes, beside: path, mode: mode)
        guard rename(temporary, path) == 0 else {
            let problem = failure("replace", path)
            unlink(temporary)
            throw problem
        }
        try syncFolder(of: path)
    }

    /// Makes the file, unless there is one: of two who do it at once, one is told so.
    /// - Returns: whether it was made.
    static func create(_ path: String, _ bytes: [UInt8]) throws -> Bool {
        let temporary = try write(bytes, beside: path, mode: 0o600)
        defer { unlink(temporary) }
        // A link is never made over another file; a rename would be.
        guard link(temporary, path) == 0 else {
            if errno == EEXIST { return false }
            throw failure("create", path)
        }
        try syncFolder(of: path)
        return true
    }

    /// Durable when this returns. It need not be there.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove", path) }
        try syncFolder(of: path)
    }

    /// Makes the folder, for its owner only, and those above it.
    static func makeFolder(_ path: String, mode: mode_t = 0o700) throws {
        guard mkdir(path, mode) != 0 else { return try syncFolder(of: path) }
        switch errno {
        case EEXIST:
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
                throw ToolError(.storage, "cannot create the folder \(path): there is something else in its place")
            }
        case ENOENT:
            let above = URL(fileURLWithPath: path).deletingLastPathComponent().path
            guard above != path else { throw failure("create", path) }
            try makeFolder(above, mode: mode)
            try makeFolder(path, mode: mode)
        default: throw failure("create the folder", path)
        }
    }

    private static func write(_ bytes: [UInt8], beside path: String, mode: mode_t) throws -> String {
        let url = URL(fileURLWithPath: path)
        let name = ".\(url.lastPathComponent.prefix(80)).\(getpid()).\(UInt32.random(in: 0 ... .max)).tmp"
        let temporary = url.deletingLastPathComponent().path + "/" + name
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure("write into the folder of", path) }
        defer { close(descriptor) }
        do {
            var offset = 0
            while offset < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Foundation.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("write", path) }
                offset += count
            }
            guard fsync(descriptor) == 0 else { throw failure("sync", path) }
        } catch {
            unlink(temporary)
            throw error
        }
        return temporary
    }

    private static func syncFolder(of path: String) throws {
        let folder = open(
            URL(fileURLWithPath: path).deletingLastPathComponent().path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open the folder of", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("sync the folder of", path) }
    }

    private static func failure(_ what: String, _ path: String) -> ToolError {
        ToolError(.storage, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}

/// Keeps two commands from using one key at once. Goes with the value, or with the process.
final class KeyLock: Sendable {
    private let descriptor: Int32
    /// Longer than a command takes that asks until a deadline is past, which lies two minutes ahead at most.
    private static let patience = Duration.seconds(200)

    /// Waits for its turn, and says for whom.
    /// - Parameter name: whose key it is.
    /// - Throws: `busy` with the holder's name, when it does not come to an end.
    static func take(_ path: String, of name: String) async throws -> KeyLock {
        let lock = try KeyLock(path)
        let start = ContinuousClock.now
        var isQuiet = true
        while flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw ToolError(.storage, "cannot lock \(path): \(String(cString: strerror(errno)))")
            }
            guard ContinuousClock.now - start < patience else {
                throw ToolError(
                    .busy, "\(LockHolder.read(path)) uses the key of \(name); wait until it has ended, or end it")
            }
            if isQuiet { Console.error("waiting for \(LockHolder.read(path)), which uses the key of \(name)") }
            isQuiet = false
            try await Task.sleep(for: .milliseconds(50))
        }
        LockHolder.write(thisCommand, into: lock.descriptor)
        return lock
    }

    /// "transfer": what was asked for is nobody else's business.
    private static var thisCommand: String { CommandLine.arguments.dropFirst().first ?? "" }

    private init(_ path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw ToolError(.storage, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }
}
