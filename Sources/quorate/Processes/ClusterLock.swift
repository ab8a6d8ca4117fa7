import Foundation
import StrictInput
import Synchronization

/// Held by a command while it starts or ends processes of a cluster: `flock` on `run/lock`. Two commands at once would
/// each take what the other has just started for missing, or for its own.
final class ClusterLock: Sendable {
    private let descriptor: Int32
    /// Before another command's work is said to be waited for, and before it is not waited for any longer.
    private static let silence = Duration.seconds(2)
    private static let patience = Duration.seconds(10)

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// - Parameter command: what the holder does, for whoever waits for it: `cluster up`.
    /// - Throws: `busy` with the holder's name, when it does not come to an end.
    static func hold(_ run: RunFolder, for command: String) async throws -> ClusterLock {
        try run.prepare()
        let path = run.lockPath
        let start = ContinuousClock.now
        var hasSpoken = false
        while true {
            // The file may be another user's, who can be kept out without being able to write.
            var isWritable = true
            var opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            if opened < 0, errno == EACCES || errno == EROFS {
                isWritable = false
                opened = open(path, O_RDONLY | O_CLOEXEC)
            }
            guard opened >= 0 else {
                let code = errno
                throw ToolError(
                    code == EACCES ? .notPermitted : .storage, "cannot open \(path): \(String(cString: strerror(code)))"
                )
            }
            if flock(opened, LOCK_EX | LOCK_NB) == 0 {
                if isWritable { LockHolder.write(command, into: opened) }
                return ClusterLock(opened)
            }
            let code = errno
            close(opened)
            guard code == EWOULDBLOCK || code == EINTR else {
                throw ToolError(.storage, "cannot lock \(path): \(String(cString: strerror(code)))")
            }
            let waited = ContinuousClock.now - start
            if waited >= patience {
                throw ToolError(
                    .busy, "\(LockHolder.read(path)) is at work on \(run.cluster); wait until it has ended, or end it")
            }
            if waited >= silence, !hasSpoken {
                hasSpoken = true
                Console.error("waiting for \(LockHolder.read(path)), which is at work on \(run.cluster)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

/// Who holds a lock says so in its file, for whoever waits.
enum LockHolder {
    static func write(_ command: String, into descriptor: Int32) {
        let text = Array("\(getpid()) \(command)\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    static func read(_ path: String) -> String {
        let words =
            (FileManager.default.contents(atPath: path).map { String(decoding: $0.prefix(200), as: UTF8.self) } ?? "")
            .trimmingCharacters(in: .whitespacesAndNewlines).split(separator: " ", maxSplits: 1)
        guard words.count == 2, let pid = Int32(words[0]) else { return "another command" }
        return "quorate \(Printable.line(String(words[1]))) (process \(pid))"
    }
}
