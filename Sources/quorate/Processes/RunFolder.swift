import Foundation
import Messages
import StrictInput
import Synchronization

/// What runs of a cluster: `run/host-N.pid`, `run/gateway-N.pid` with the gateway's port, and `logs/`.
struct RunFolder: Sendable {
    let cluster: String

    enum Role: Hashable, Sendable, CustomStringConvertible {
        case host(Int)
        case gateway(Int)

        var description: String {
            switch self {
            case .host(let number): "host \(number)"
            case .gateway(let number): "gateway \(number)"
            }
        }
        var fileName: String {
            switch self {
            case .host(let number): "host-\(number)"
            case .gateway(let number): "gateway-\(number)"
            }
        }
    }

    /// The cluster's identifier in hexadecimal; nil where nothing is looked for or recorded.
    private let identifier: String?

    init(_ cluster: String, identifier: String? = nil) { (self.cluster, self.identifier) = (cluster, identifier) }

    private var folder: String { cluster + "/run" }
    private var logs: String { cluster + "/logs" }
    func logPath(_ role: Role) -> String { "\(logs)/\(role.fileName).log" }
    var lockPath: String { folder + "/lock" }
    private func pidPath(_ role: Role) -> String { "\(folder)/\(role.fileName).pid" }
    func portPath(_ number: Int) -> String { "\(folder)/gateway-\(number).port" }
    func webPortPath(_ role: Role) -> String { "\(folder)/\(role.fileName).http" }

    func prepare() throws {
        for path in [folder, logs] where mkdir(path, 0o755) != 0 && errno != EEXIST {
            let code = errno
            throw ToolError(
                code == EACCES ? .notPermitted : .storage, "cannot create \(path): \(String(cString: strerror(code)))")
        }
    }

    /// - Parameter executable: nil for a script, which may have become another program by the time it is looked at.
    func record(_ identity: ProcessIdentity, _ role: Role, executable: String? = nil) throws {
        guard let folder = FolderIdentity(of: cluster), let boot = PidFile.thisBoot else {
            throw ToolError(.storage, "cannot find out which folder \(cluster) is: \(String(cString: strerror(errno)))")
        }
        let file = PidFile(
            pid: identity.pid, start: identity.start, boot: boot, executable: executable, cluster: identifier ?? "",
            device: folder.device,
            inode: folder.inode)
        try JSONEncoder().encode(file).write(to: URL(fileURLWithPath: pidPath(role)), options: .atomic)
    }

    /// The process if it runs and is this folder's. Number and start time tell it from a later process with its number,
    /// the boot from one of before the machine started again; the folder's device and inode tell it from the process of
    /// a folder that this one is a copy of; the cluster, the executable and the command line tell it from everything
    /// else that a damaged or forged file may name.
    func running(_ role: Role) -> ProcessIdentity? {
        guard let file = recordedFile(role), file.identity.isRunning, let words = Self.commandLine(file.pid),
            Self.words(words, start: role)
        else { return nil }
        guard let boot = file.boot else {
            // Written before such files said more: then the command line must name this very folder.
            return FolderIdentity(of: cluster).map { Self.folder(in: words, of: file.pid) == $0 } ?? false
                ? file.identity : nil
        }
        guard boot == PidFile.thisBoot, let folder = FolderIdentity(of: cluster),
            (file.device, file.inode) == (folder.device, folder.inode),
            identifier == nil || file.cluster == identifier
        else { return nil }
        // Another user's cannot be looked at.
        if let executable = file.executable, let actual = PidFile.executable(of: file.pid), actual != executable {
            return nil
        }
        return file.identity
    }

    /// Not only in the first place: a script's own name stands before what it was given.
    private static func words(_ words: [String], start role: Role) -> Bool {
        let (word, number) =
            switch role {
            case .host(let number): ("host", number)
            case .gateway(let number): ("gateway", number)
            }
        return words.indices.contains { i in
            i > 0 && i + 3 < words.count && words[i] == word && words[i + 1] == "run" && words[i + 3] == "\(number)"
        }
    }

    private static func commandLine(_ pid: Int32) -> [String]? {
        guard let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"), !line.isEmpty else { return nil }
        return line.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The folder after `run`, as the process sees it: in a container the same path is another folder.
    private static func folder(in words: [String], of pid: Int32) -> FolderIdentity? {
        guard let run = words.firstIndex(of: "run"), run + 1 < words.count else { return nil }
        let path = words[run + 1]
        guard path.hasPrefix("/") else { return FolderIdentity(of: "/proc/\(pid)/cwd/\(path)") }
        if let folder = FolderIdentity(of: "/proc/\(pid)/root\(path)") { return folder }
        // Another user's process does not show what it sees. Who may not look may not signal it either.
        return errno == EACCES || errno == EPERM ? FolderIdentity(of: path) : nil
    }

    /// Processes of this folder that no file names: whoever started them was killed before it could write one, or the
    /// file names the script that started them.
    func unrecorded() -> [(role: Role, identity: ProcessIdentity)] {
        guard let own = FolderIdentity(of: cluster) else { return [] }
        let pids = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        return pids.sorted().compactMap { pid in
            guard let words = Self.commandLine(pid), words.count >= 5, words[2] == "run", let number = Int(words[4]),
                (0...65535).contains(number),
                let role: Role = words[1] == "host" ? .host(number) : words[1] == "gateway" ? .gateway(number) : nil,
                let identity = ProcessIdentity(running: pid), Self.folder(in: words, of: pid) == own,
                running(role) != identity
            else { return nil }
            return (role, identity)
        }
    }

    /// Nil without a pid file. A damaged one names no process: it is said, once, and nothing is signalled on its word.
    private func recordedFile(_ role: Role) -> PidFile? {
        let path = pidPath(role)
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        do { return try PidFile(JSONReader(Array(data), file: path)) } catch {
            Self.warn("\(error.description); whether \(role) runs is not known, and it is taken for ended")
            return nil
        }
    }

    private static let warned = Mutex<Set<String>>([])
    private static func warn(_ text: String) {
        if warned.withLock({ $0.insert(text).inserted }) { Console.error("warning: \(text)") }
    }

    func forget(_ role: Role) {
        unlink(pidPath(role))
        unlink(webPortPath(role))
        if case .gateway(let number) = role { unlink(portPath(number)) }
    }

    /// All roles with a pid file, hosts first.
    func recorded() -> [Role] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        func numbers(_ prefix: String) -> [Int] {
            names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".pid") }.compactMap {
                Int($0.dropFirst(prefix.count).dropLast(4))
            }.sorted()
        }
        return numbers("host-").map(Role.host) + numbers("gateway-").map(Role.gateway)
    }

    /// Where nothing is managed, as in a cluster's public part, nobody looks for it.
    func writePort(_ port: Int, gateway: Int) throws {
        guard FileManager.default.fileExists(atPath: folder) else { return }
        try Data("\(port)\n".utf8).write(to: URL(fileURLWithPath: portPath(gateway)), options: .atomic)
    }

    func port(ofGateway number: Int) -> Int? { port(in: portPath(number)) }

    /// Where the process says over HTTP how it is; nil if it does not.
    func webPort(of role: Role) -> Int? { port(in: webPortPath(role)) }

    private func port(in path: String) -> Int? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        // Exactly as it is written: digits and a line feed.
        let port = Int(String(decoding: data.dropLast(), as: UTF8.self))
        guard let port, (1...65535).contains(port), Data("\(port)\n".utf8) == data else {
            Self.warn("\(path): \(Printable.quoted(data)); expected a port from 1 to 65535 and a line feed")
            return nil
        }
        return port
    }

    /// The last lines of a log, for error messages.
    /// - Parameter start: what was logged before is somebody else's trouble.
    func logTail(_ role: Role, lines: Int = 5, from start: UInt64 = 0) -> String {
        guard let file = FileHandle(forReadingAtPath: logPath(role)), let size = try? file.seekToEnd() else {
            return "(no log)"
        }
        defer { try? file.close() }
        try? file.seek(toOffset: max(min(start, size), size - min(size, 4096)))
        let bytes = (try? file.readToEnd()) ?? Data()
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(lines).map { "  " + $0 }.joined(
            separator: "\n")
    }
}

/// Which folder it is, by whatever path: it is the same one after it was renamed, and a copy is another one.
struct FolderIdentity: Equatable, Sendable {
    let device: UInt64
    let inode: UInt64

    init?(of path: String) {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        (device, inode) = (UInt64(information.st_dev), UInt64(information.st_ino))
    }
}

/// `run/host-N.pid`
private struct PidFile: Encodable {
    let pid: Int32
    let start: UInt64
    /// Nil in files of earlier versions, which had `pid` and `start` only.
    let boot: String?
    let executable: String?
    let cluster: String
    let device: UInt64
    let inode: UInt64

    var identity: ProcessIdentity { ProcessIdentity(pid: pid, start: start) }

    init(pid: Int32, start: UInt64, boot: String, executable: String?, cluster: String, device: UInt64, inode: UInt64) {
        (self.pid, self.start, self.boot, self.executable) = (pid, start, boot, executable)
        (self.cluster, self.device, self.inode) = (cluster, device, inode)
    }

    init(_ root: JSONReader) throws(InputProblem) {
        let fields = try root.object(["pid", "start"], optional: ["boot", "executable", "cluster", "device", "inode"])
        (pid, start) = (try fields["pid"].integer(in: 1...Int32.max), try fields["start"].integer())
        guard let boot = fields.optional("boot") else {
            (self.boot, executable, cluster, device, inode) = (nil, nil, "", 0, 0)
            return
        }
        self.boot = try boot.string()
        executable = try fields.optional("executable")?.string()
        let whole = try root.object(["pid", "start", "boot", "cluster", "device", "inode"], optional: ["executable"])
        cluster = try whole["cluster"].string()
        (device, inode) = (try whole["device"].integer(), try whole["inode"].integer())
    }

    /// Start times count from it.
    static var thisBoot: String? {
        guard let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8) else {
            return nil
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Also of one that was replaced on disk since.
    static func executable(of pid: Int32) -> String? {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe") else {
            return nil
        }
        return path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }
}

extension RunFolder {
    /// What a program that was just started is; nil for a script.
    static func executable(of identity: ProcessIdentity, program: String?) -> String? {
        if let program, let file = FileHandle(forReadingAtPath: program) {
            defer { try? file.close() }
            if (try? file.read(upToCount: 2)) == Data("#!".utf8) { return nil }
        }
        return PidFile.executable(of: identity.pid)
    }
}
