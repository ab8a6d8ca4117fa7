import ArgumentParser
import Foundation
import HostRuntime
import StrictInput

extension ClusterCommand {
    struct Logs: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what hosts and gateways have logged.",
            discussion: """
                Of all of them, in the order of time; or of those that are named.

                  quorate cluster logs demo
                  quorate cluster logs demo 2                 # host 2
                  quorate cluster logs demo 0 2 gateway 0 --lines 200
                  quorate cluster logs demo --follow          # until Ctrl-C

                The files are logs/host-N.log and logs/gateway-N.log in the cluster's folder.
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Argument(
            help: ArgumentHelp(
                "Whose: a host's number, or gateway and its number. Default: everybody's.", valueName: "host"))
        var whose: [String] = []
        @Flag(name: .shortAndLong, help: "Go on with what comes, until it is interrupted.") var follow = false
        @Option(
            name: .shortAndLong, help: Whole(0...1_000_000).help("So many lines of each log at most, the last ones."),
            transform: Whole(0...1_000_000).parse) var lines = 40
        @Flag(help: "Print one JSON object a line.") var json = false

        struct Line: Encodable, Sendable {
            var schema = 1
            var from: String
            var line: String
        }

        func validate() throws { _ = try Self.roles(whose) }

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            let run = RunFolder(folder.path)
            let named = try Self.roles(whose)
            for case .host(let host) in named { try Limits.checkHost(host, of: folder.manifest.hosts.count) }
            let roles = named.isEmpty ? run.logged() : named
            let missing = named.filter { access(run.logPath($0), F_OK) != 0 }
            if let first = missing.first {
                throw ToolError(
                    .notRunning,
                    "\(first) has logged nothing: there is no \(run.logPath(first)). Who has: \(run.logged().map(\.description).joined(separator: ", "))"
                )
            }
            guard !roles.isEmpty else {
                throw ToolError(
                    .notRunning,
                    folder.isForManyMachines
                        ? "nothing was logged here: hosts and gateways of a cluster for many machines log where they run, to standard error; with systemd: journalctl -u quorate-host@NAME"
                        : "nothing was logged yet; start the cluster with: quorate cluster up \(Shell.quoted(directory))"
                )
            }
            var files = try roles.map { try LogFile($0, at: run.logPath($0)) }
            var last: [(from: RunFolder.Role, line: String)] = []
            for i in files.indices { last += try files[i].lastLines(lines).map { (roles[i], $0) } }
            // Each line begins with its time; what does not, a crash's last words, stays behind the line before it.
            var time = ""
            let keyed = last.enumerated().map { i, entry in
                if i == 0 || last[i - 1].from != entry.from { time = "" }
                if let own = Self.time(entry.line) { time = own }
                return (key: time, order: i, entry: entry)
            }
            for item in keyed.sorted(by: { ($0.key, $0.order) < ($1.key, $1.order) }) {
                try show(item.entry.line, item.entry.from)
            }
            while follow {
                try await Task.sleep(for: .milliseconds(200))
                // Hosts may be started, and gateways, that had no log before.
                if named.isEmpty {
                    for role in run.logged() where !files.contains(where: { $0.role == role }) {
                        files.append(try LogFile(role, at: run.logPath(role)))
                    }
                }
                for i in files.indices {
                    for line in try files[i].newLines() { try show(line, files[i].role) }
                }
            }
        }

        private func show(_ line: String, _ role: RunFolder.Role) throws {
            if json { return try Console.json(Line(from: role.fileName, line: line)) }
            // A line of a log says who speaks, after its time; another one does not.
            let speaks = Self.time(line) != nil && line.contains(" \(role.fileName) ")
            Console.out(speaks ? line : "\(role.fileName): \(line)")
        }

        /// `2026-11-29T11:20:05.123Z` at the beginning.
        private static func time(_ line: String) -> String? {
            let first = line.prefix { $0 != " " }
            return first.utf8.count == 24 && first.hasSuffix("Z") && first.first?.isNumber == true ? String(first) : nil
        }

        /// `2`, `host 2`, `host-2`, `gateway 0`, `gateway-0`.
        static func roles(_ words: [String]) throws -> [RunFolder.Role] {
            var roles: [RunFolder.Role] = []
            var kind: Substring?
            for word in words.flatMap({ $0.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false) }) {
                if kind == nil, word == "host" || word == "gateway" {
                    kind = word
                    continue
                }
                guard let number = Int(word), (0...65535).contains(number) else {
                    throw ValidationError(
                        "\"\(Printable.line(words.joined(separator: " ")))\" names no logs: a host's number from 0 to 65535 is wanted, or gateway and its number."
                    )
                }
                roles.append(kind == "gateway" ? .gateway(number) : .host(number))
                kind = nil
            }
            guard kind == nil else { throw ValidationError("a number must follow \"\(kind ?? "")\".") }
            return roles
        }
    }
}

/// A log that others write, read from its end.
private struct LogFile {
    let role: RunFolder.Role
    private let path: String
    private var offset: UInt64 = 0
    /// The beginning of a line whose end is not there yet.
    private var rest: [UInt8] = []
    /// Of one line: what is longer is cut into several.
    private static let longestLine = 1 << 16

    init(_ role: RunFolder.Role, at path: String) throws { (self.role, self.path) = (role, path) }

    mutating func lastLines(_ count: Int) throws -> [String] {
        let file = try open()
        defer { try? file.close() }
        let size = try file.seekToEnd()
        var start = size
        var bytes: [UInt8] = []
        // Backwards, until there is one line feed more than lines.
        var feeds = 0
        while start > 0, feeds <= count, bytes.count < 1 << 28 {
            let step = min(start, 1 << 16)
            start -= step
            try file.seek(toOffset: start)
            let chunk = Array(try file.read(upToCount: Int(step)) ?? Data())
            feeds += chunk.count { $0 == 0x0a }
            bytes = chunk + bytes
        }
        offset = size
        return Array(take(bytes).suffix(count))
    }

    mutating func newLines() throws -> [String] {
        guard let file = try? open() else { return [] }
        defer { try? file.close() }
        // Somebody has emptied it.
        if try file.seekToEnd() < offset { (offset, rest) = (0, []) }
        try file.seek(toOffset: offset)
        let bytes = Array(try file.read(upToCount: 1 << 20) ?? Data())
        offset += UInt64(bytes.count)
        return take(bytes)
    }

    private func open() throws -> FileHandle {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw ToolError(.failure, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        return file
    }

    private mutating func take(_ bytes: [UInt8]) -> [String] {
        var lines = (rest + bytes).split(separator: 0x0a, omittingEmptySubsequences: false).map(Array.init)
        rest = lines.popLast() ?? []
        if rest.count > Self.longestLine {
            lines.append(rest)
            rest = []
        }
        return lines.map { Printable.line(String(decoding: $0, as: UTF8.self)) }
    }
}

extension RunFolder {
    /// Who has a log.
    func logged() -> [Role] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cluster + "/logs")) ?? []
        func numbers(_ prefix: String) -> [Int] {
            names.filter { $0.hasPrefix(prefix) && $0.hasSuffix(".log") }.compactMap {
                Int($0.dropFirst(prefix.count).dropLast(4))
            }.sorted()
        }
        return numbers("host-").map(Role.host) + numbers("gateway-").map(Role.gateway)
    }
}
