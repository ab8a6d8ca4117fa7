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

    init(_ cluster: String) { self.cluster = cluster }

    private var folder: String { cluster + "/run" }
    private var logs: String { cluster + "/logs" }
    func logPath(_ role: Role) -> String { "\(logs)/\(role.fileName).log" }
    private func pidPath(_ role: Role) -> String { "\(folder)/\(role.fileName).pid" }
    func portPath(_ number: Int) -> String { "\(folder)/gateway-\(number).port" }

    func prepare() throws {
        for path in [folder, logs] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    }

    func record(_ identity: ProcessIdentity, _ role: Role) throws {
        try JSONEncoder().encode(identity).write(to: URL(fileURLWithPath: pidPath(role)), options: .atomic)
    }

    /// The process if it runs. A number that another program has by now does not count: the start time differs, and
    /// so does the command line.
    func running(_ role: Role) -> ProcessIdentity? {
        guard let identity = recordedIdentity(role), identity.isRunning,
            let line = FileManager.default.contents(atPath: "/proc/\(identity.pid)/cmdline")
        else { return nil }
        let arguments = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        let word = switch role {
        case .host: "host"
        case .gateway: "gateway"
        }
        // Not only in the first place: a script's own name stands before what it was given.
        return zip(arguments.dropFirst(), arguments.dropFirst(2)).contains { $0 == (word, "run") } ? identity : nil
    }

    /// Nil without a pid file. A damaged one names no process: it is said, once, and nothing is signalled on its word.
    private func recordedIdentity(_ role: Role) -> ProcessIdentity? {
        let path = pidPath(role)
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        do { return try ProcessIdentity(JSONReader(Array(data), file: path)) } catch {
            Self.warn("\(error.description); whether \(role) runs is not known, and it is taken for ended")
            return nil
        }
    }

    private static let warned = Mutex<Set<String>>([])
    private static func warn(_ text: String) {
        if warned.withLock({ $0.insert(text).inserted }) { Console.error("warning: \(text)") }
    }

    func forget(_ role: Role) {
        try? FileManager.default.removeItem(atPath: pidPath(role))
        if case .gateway(let number) = role { try? FileManager.default.removeItem(atPath: portPath(number)) }
    }

    /// All roles with a pid file, hosts first.
    func recorded() -> [Role] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        func numbers(_ prefix: String) -> [Int] {
            names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".pid") }.compactMap { Int($0.dropFirst(prefix.count).dropLast(4)) }.sorted()
        }
        return numbers("host-").map(Role.host) + numbers("gateway-").map(Role.gateway)
    }

    func writePort(_ port: Int, gateway: Int) throws {
        try Data("\(port)\n".utf8).write(to: URL(fileURLWithPath: portPath(gateway)), options: .atomic)
    }

    func port(ofGateway number: Int) -> Int? {
        let path = portPath(number)
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
    func logTail(_ role: Role, lines: Int = 5) -> String {
        guard let data = FileManager.default.contents(atPath: logPath(role)) else { return "(no log)" }
        return String(decoding: data.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(lines).map { "  " + $0 }.joined(separator: "\n")
    }
}
