import Foundation

/// Where the clusters of a bench, a drill or a demo live: a temporary folder that goes, or one that the user wants to keep.
struct BenchFolder {
    let path: String
    private let isTemporary: Bool
    /// Of a temporary folder: held while this process lives.
    private let ownership: Int32

    private static let kinds = ["bench", "drill", "demo"]
    private static let ownerFile = "owner"

    /// Where temporary folders are made.
    static var parent: String {
        ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
    }

    /// - Parameter kind: part of a temporary folder's name.
    init(keep: String?, kind: String = "bench") throws {
        if let keep {
            path = URL(fileURLWithPath: keep).standardizedFileURL.path
            (isTemporary, ownership) = (false, -1)
            guard !FileManager.default.fileExists(atPath: path) else {
                throw ToolError(.folderExists, "\(keep) exists already; choose a new folder for --keep")
            }
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            return
        }
        isTemporary = true
        let parent = Self.parent
        Self.removeLeftovers(in: parent)
        var template = Array("\(parent)/quorate-\(kind)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ToolError(
                .storage, "cannot make a temporary folder in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        Interrupts.owns(folder: path)
        // Locked before it has its name: nobody finds it unlocked while this process lives.
        let new = "\(path)/\(Self.ownerFile).new"
        ownership = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard ownership >= 0, flock(ownership, LOCK_EX | LOCK_NB) == 0, rename(new, "\(path)/\(Self.ownerFile)") == 0
        else {
            let why = String(cString: strerror(errno))
            remove()
            throw ToolError(.storage, "cannot make a temporary folder in \(parent): \(why)")
        }
    }

    func remove() {
        guard isTemporary else { return }
        do { try Self.erase(path) } catch {
            Console.error("warning: \(path) is left behind: \(ToolError(error).description)")
        }
        Interrupts.disown(folder: path)
        if ownership >= 0 { close(ownership) }
    }

    /// The file that tells whose it is goes last: a folder that cannot be removed wholly is found by a later run.
    static func erase(_ path: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name != ownerFile {
            try FileManager.default.removeItem(atPath: path + "/" + name)
        }
        try FileManager.default.removeItem(atPath: path)
    }

    /// What a bench, a drill or a demo has left behind that was killed with SIGKILL. Its hosts have ended with it; one that was
    /// under SIGSTOP may not have.
    private static func removeLeftovers(in parent: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] {
            guard kinds.contains(where: { name.hasPrefix("quorate-\($0)-") }) else { continue }
            let path = "\(parent)/\(name)"
            var information = stat()
            guard lstat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR,
                information.st_uid == getuid()
            else { continue }
            let owner = open("\(path)/\(ownerFile)", O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            guard owner >= 0 else { continue }
            defer { close(owner) }
            guard flock(owner, LOCK_EX | LOCK_NB) == 0 else { continue }
            for cluster in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
                let run = RunFolder("\(path)/\(cluster)")
                for process in run.recorded().compactMap(run.running) + run.unrecorded().map(\.identity) {
                    process.signal(SIGKILL)
                }
            }
            do {
                try erase(path)
                Console.error("removed \(path), which a killed \(name.split(separator: "-")[1]) had left behind")
            } catch {
                Console.error(
                    "warning: \(path) was left behind by a killed run, and cannot be removed: \(ToolError(error).description)"
                )
            }
        }
    }
}

/// A pipe whose reading end is given to children: when this process ends, however it does, they stop.
final class LifeLine: Sendable {
    let readingEnd: Int32
    private let writingEnd: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
            throw ToolError(.failure, "cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        // Not inherited but where it is asked for: a child that held the writing end would keep the others alive.
        (readingEnd, writingEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readingEnd)
        close(writingEnd)
    }
}

enum FreePorts {
    /// The first of `count` neighbouring ports on loopback that are free now, below the range that the system gives to
    /// outgoing connections.
    static func base(count: Int) throws -> Int {
        for _ in 0..<200 {
            let base = Int.random(in: 15_000..<(32_000 - count))
            if (base..<base + count).allSatisfy(isFree) { return base }
        }
        throw ToolError(.portInUse, "cannot find \(count) free ports between 15000 and 32000")
    }

    /// For a new cluster: the usual ports, or the next ones where its hosts and some gateways find their places.
    static func forCluster(hosts: Int) throws -> Int {
        let (usual, distance) = (ClusterCommand.Init.usualPort, ClusterCommand.Init.gatewayDistance)
        for base in stride(from: usual, to: 32_000 - distance - 8, by: 2 * distance) {
            let needed = Array(base..<base + hosts) + Array(base + distance..<base + distance + 4)
            if needed.allSatisfy(isFree) { return base }
        }
        throw ToolError(.portInUse, "cannot find \(hosts) free ports from \(usual) on; choose some with --base-port")
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
