import Foundation
import StrictInput

/// The lines that were given to the shell of a cluster: `shell-history` in its folder, for its owner's eyes only.
struct ShellHistory {
    /// Oldest first.
    private(set) var lines: [String] = []
    private let path: String
    /// What is wrong was said once.
    private var hasFailed = false
    private static let maxLines = 1000
    /// Of the file that are read.
    private static let maxBytes = 1 << 20
    /// In an option's name: what follows is nobody's business. No command takes such a thing today.
    private static let secrets = ["secret", "seed", "password", "passphrase", "token", "private"]

    init(folder: String) {
        path = folder + "/shell-history"
        guard let descriptor = try? Self.open(path, O_RDONLY), descriptor >= 0 else { return }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let size = (try? file.seekToEnd()) ?? 0
        try? file.seek(toOffset: size - min(size, UInt64(Self.maxBytes)))
        let text = String(decoding: (try? file.read(upToCount: Self.maxBytes)) ?? Data(), as: UTF8.self)
        let all = text.split(separator: "\n").map(String.init)
        // What would not be seen as it is does not come from here.
        lines = all.filter { Printable.line($0) == $0 }.suffix(Self.maxLines)
        guard all.count > 2 * Self.maxLines || size > Self.maxBytes else { return }
        let kept = lines.map { $0 + "\n" }.joined()
        try? SecretFile.replace(path, Array(kept.utf8))
    }

    /// Nothing of a blank line, of one that begins with a blank, of the same line again, and of one with a secret.
    mutating func add(_ line: String) {
        guard let first = line.first, first != " ", line != lines.last, !Self.hasSecret(line) else { return }
        lines.append(line)
        if lines.count > Self.maxLines { lines.removeFirst() }
        guard !hasFailed else { return }
        do {
            let descriptor = try Self.open(path, O_WRONLY | O_CREAT | O_APPEND)
            defer { close(descriptor) }
            let bytes = Array((line + "\n").utf8)
            // One write a line: two shells do not mix theirs.
            guard write(descriptor, bytes, bytes.count) == bytes.count else { throw Self.failure(path) }
        } catch {
            hasFailed = true
            Console.error("warning: the history is not kept: \(ToolError(error).description)")
        }
    }

    private static func hasSecret(_ line: String) -> Bool {
        line.split(separator: " ").contains { word in
            word.hasPrefix("--") && secrets.contains(where: word.lowercased().contains)
        }
    }

    /// A file of ours that nobody else reads, and no link to another one.
    private static func open(_ path: String, _ flags: Int32) throws -> Int32 {
        let descriptor = Foundation.open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
            information.st_uid == getuid(), fchmod(descriptor, 0o600) == 0
        else {
            close(descriptor)
            throw ToolError(.notPermitted, "\(path) is no file of this user's")
        }
        return descriptor
    }

    private static func failure(_ path: String) -> ToolError {
        let code = errno
        return ToolError(
            code == EACCES ? .notPermitted : .storage, "cannot write \(path): \(String(cString: strerror(code)))")
    }
}
