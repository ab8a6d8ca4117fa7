import Foundation

/// Where the clusters of a bench or a drill live: a temporary folder that goes, or one that the user wants to keep.
struct BenchFolder {
    let path: String
    private let isTemporary: Bool

    /// - Parameter kind: part of a temporary folder's name.
    init(keep: String?, kind: String = "bench") throws {
        if let keep {
            path = URL(fileURLWithPath: keep).standardizedFileURL.path
            isTemporary = false
            guard !FileManager.default.fileExists(atPath: path) else { throw ToolError(.folderExists, "\(keep) exists already; choose a new folder for --keep") }
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            return
        }
        isTemporary = true
        let parent = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        var template = Array("\(parent)/quorate-\(kind)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ToolError(.storage, "cannot make a temporary folder in \(parent): \(String(cString: strerror(errno)))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func remove() {
        if isTemporary { try? FileManager.default.removeItem(atPath: path) }
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
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
        }
    }
}
