import Foundation
import Messages

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
        guard let data = FileManager.default.contents(atPath: pidPath(role)),
            let identity = try? JSONDecoder().decode(ProcessIdentity.self, from: data), identity.isRunning,
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
        FileManager.default.contents(atPath: portPath(number))
            .flatMap { Int(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// The last lines of a log, for error messages.
    func logTail(_ role: Role, lines: Int = 5) -> String {
        guard let data = FileManager.default.contents(atPath: logPath(role)) else { return "(no log)" }
        return String(decoding: data.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(lines).map { "  " + $0 }.joined(separator: "\n")
    }
}
