import Glibc
import Synchronization

/// A folder in memory for readers that want a file. One for each place in which files are read, so that targets do not
/// meet; the process's own.
final class ScratchFolder: Sendable {
    let path: String
    private let lock = Mutex<Void>(())

    init(_ name: String) {
        let root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        path = "\(root)/quorate-fuzz-\(getpid())-\(name)"
        _ = mkdir(path, 0o700)
        // What a process leaves that dies is removed by who started it.
        Self.made.withLock { made in
            if made.isEmpty { atexit { ScratchFolder.removeAll() } }
            made.append(path)
        }
    }

    private static let made = Mutex<[String]>([])
    private static func removeAll() {
        for folder in made.withLock({ $0 }) {
            for name in ["data.mdb", "lock.mdb", "opened", "file"] { unlink(folder + "/" + name) }
            rmdir(folder)
        }
    }

    /// One at a time.
    func with<T>(_ bytes: [UInt8], in name: String, _ body: (String) throws -> T) throws -> T {
        try lock.withLock { _ in
            let file = path + "/" + name
            let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw FuzzFinding("\(file) cannot be made: \(errno)") }
            let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
            guard written == bytes.count else { throw FuzzFinding("\(file) cannot be written: \(errno)") }
            return try body(file)
        }
    }

    /// For what writes there itself.
    func removeFiles() { for name in ["data.mdb", "lock.mdb", "opened"] { unlink(path + "/" + name) } }

    static func contents(of file: String) -> [UInt8] {
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: max(0, Int(lseek(descriptor, 0, SEEK_END))))
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        return Array(bytes.prefix(max(0, count)))
    }
}
