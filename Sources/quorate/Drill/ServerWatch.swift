import Client
import Foundation
import NIOPosix
import Synchronization
import Workload

/// What is seen of a cluster's processes from outside: what they hold, what they count and what they log.
final class ServerWatch: Sendable {
    struct Snapshot: Sendable {
        var samples: [RunFolder.Role: ProcessSample] = [:]
        /// Counters of the first gateway and the first host, by role, name and labels.
        var counters: [String: Double] = [:]
        /// Lines of all logs, by role.
        var lines: [RunFolder.Role: Int] = [:]
    }

    /// Whether somebody who comes now is served.
    struct Newcomers: Codable, Sendable {
        var tries = 0
        var failures = 0
        /// The longest of those that were served.
        var worst_ms = 0.0

        mutating func note(_ milliseconds: Double?) {
            tries += 1
            if let milliseconds { worst_ms = max(worst_ms, milliseconds) } else { failures += 1 }
        }
    }

    private let processes: ClusterProcesses
    private let roles: [RunFolder.Role]
    private let group: MultiThreadedEventLoopGroup
    private let logs = Mutex<[RunFolder.Role: (offset: UInt64, lines: Int)]>([:])
    /// What somebody causes who means no good.
    private static let counted = [
        "quorate_sessions_refused_total", "quorate_sessions_displaced_total", "quorate_sessions_paused_total",
        "quorate_dropped_total", "quorate_rejected_total",
    ]
    private static let patience = UInt64(5e9)

    init(_ processes: ClusterProcesses, on group: MultiThreadedEventLoopGroup) {
        (self.processes, self.group) = (processes, group)
        roles = processes.run.recorded()
    }

    func snapshot() async -> Snapshot {
        var snapshot = Snapshot(samples: samples(), lines: lines())
        for role in [RunFolder.Role.gateway(0), .host(0)] {
            for (name, value) in await metrics(role) ?? [:] {
                snapshot.counters["\(role): \(name)", default: 0] += value
            }
        }
        return snapshot
    }

    func samples() -> [RunFolder.Role: ProcessSample] {
        roles.reduce(into: [:]) { samples, role in
            samples[role] = processes.run.running(role).flatMap { ProcessSample(of: $0) }
        }
    }

    /// The most of each process, looked at four times a second until the switch is turned on.
    func most(until stop: StopSwitch) async -> [RunFolder.Role: ProcessSample] {
        var most: [RunFolder.Role: ProcessSample] = [:]
        while !stop.isOn, !Task.isCancelled {
            for (role, sample) in samples() {
                guard var known = most[role] else {
                    most[role] = sample
                    continue
                }
                known.memory = max(known.memory, sample.memory)
                known.descriptors = max(known.descriptors, sample.descriptors)
                most[role] = known
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
        return most
    }

    /// Comes as a new client of the first gateway, twice a second, until the switch is turned on.
    func comeAsClient(until stop: StopSwitch) async -> Newcomers {
        var newcomers = Newcomers()
        while !stop.isOn, !Task.isCancelled {
            let start = DrillScene.now
            var milliseconds: Double?
            if let address = processes.gateways.first, let connection = try? await GatewayConnection.connect(address) {
                if (try? await connection.status(timeout: .seconds(5))) != nil {
                    milliseconds = Figures.milliseconds(DrillScene.now - start)
                }
                await connection.close()
            }
            newcomers.note(milliseconds)
            try? await Task.sleep(for: .milliseconds(500))
        }
        return newcomers
    }

    /// The same over HTTP, as one who scrapes.
    func comeAsScraper(until stop: StopSwitch) async -> Newcomers {
        var newcomers = Newcomers()
        while !stop.isOn, !Task.isCancelled {
            let start = DrillScene.now
            let answer = await get("/health/live", from: .gateway(0))
            newcomers.note(answer == nil ? nil : Figures.milliseconds(DrillScene.now - start))
            try? await Task.sleep(for: .milliseconds(500))
        }
        return newcomers
    }

    private func lines() -> [RunFolder.Role: Int] {
        logs.withLock { logs in
            for role in roles {
                var known = logs[role] ?? (0, 0)
                if let file = FileHandle(forReadingAtPath: processes.run.logPath(role)) {
                    try? file.seek(toOffset: known.offset)
                    let bytes = (try? file.readToEnd()) ?? Data()
                    known.offset += UInt64(bytes.count)
                    known.lines += bytes.count { $0 == UInt8(ascii: "\n") }
                    try? file.close()
                }
                logs[role] = known
            }
            return logs.mapValues(\.lines)
        }
    }

    private func metrics(_ role: RunFolder.Role) async -> [String: Double]? {
        guard let text = await get("/metrics", from: role) else { return nil }
        var values: [String: Double] = [:]
        for line in text.split(separator: "\n") where Self.counted.contains(where: { line.hasPrefix($0) }) {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                continue
            }
            values[String(line[..<space])] = value
        }
        return values
    }

    /// The body; nil if there is none of status 200 in time.
    private func get(_ path: String, from role: RunFolder.Role) async -> String? {
        guard let port = processes.run.webPort(of: role),
            let connection = try? await HostileConnection.open(("127.0.0.1", port), keeps: .max, on: group)
        else { return nil }
        connection.send(Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8))
        let isWhole = await connection.waitForEnd(until: DrillScene.now + Self.patience)
        connection.close()
        let text = String(decoding: connection.seen.head, as: UTF8.self)
        guard isWhole, text.hasPrefix("HTTP/1.1 200"), let end = text.range(of: "\r\n\r\n") else { return nil }
        return String(text[end.upperBound...])
    }
}

/// How many descriptors this process may have.
enum DescriptorLimit {
    /// As many as the system allows.
    /// - Returns: how many these are.
    static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
